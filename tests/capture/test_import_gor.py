"""GoReplay files: records, separators inside bodies, pairs, chunks and cut ends."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from capture.importing.entry import Limits
from capture.importing.gor import SEPARATOR, GorSource, in_order
from capture.importing.material import Imported
from echolane.errors import UsageError

LIMITS = Limits(256 * 1024, 1024 * 1024)
ID = "a1" * 12
GET = b"GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def record(
    kind: int, payload: bytes, id_: str = ID, time: int = 10, latency: int | None = 0, *, end: bool = True
) -> bytes:
    """One record as GoReplay writes it; without a latency as its old versions did."""
    last = "" if latency is None else f" {latency}"
    return f"{kind} {id_} {time}{last}\n".encode() + payload + (SEPARATOR if end else b"")


def post(body: bytes, *, chunked: bool = False) -> bytes:
    """A POST with a body of that length, or in two chunks."""
    head = b"POST /p HTTP/1.1\r\nHost: shop.example\r\n"
    if chunked:
        cut = len(body) // 2
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read(
    tmp_path: Path, *contents: bytes, names: list[str] | None = None
) -> tuple[list[Imported | str], dict[str, int]]:
    """The exchanges of files with these contents, and the notes."""
    paths = [tmp_path / name for name in (names or [f"f{n}.gor" for n in range(len(contents))])]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    source = GorSource(paths, LIMITS)
    try:
        source.check()
        found = list(source.exchanges())
    finally:
        source.close()
    return found, {name: count for name, count in source.notes.items() if count}


def only(found: list[Imported | str]) -> Imported:
    assert len(found) == 1
    assert isinstance(found[0], Imported)
    return found[0]


def bodies(found: list[Imported | str]) -> list[bytes]:
    return [one.request.body.data for one in found if isinstance(one, Imported)]


def test_a_pair(tmp_path):
    """A request and its answer are one exchange, with its time, its duration and its connection."""
    found, notes = read(tmp_path, record(1, GET, time=100) + record(2, OK, ID.upper(), time=150, latency=40))
    one = only(found)
    assert (one.request.method, one.request.target, one.request.authority, one.captured_at_ns, one.duration_ns) == (
        "GET",
        "/a",
        "shop.example",
        100,
        40,
    )
    assert one.response is not None
    assert (one.response.status, one.response.body.data, one.client, notes) == (200, b"ok", "gor " + ID[:16], {})


@pytest.mark.parametrize("id_", ["0", "f" * 24, "0123456789abcdef" * 2 + "01234567"])
def test_ids_of_any_length_and_three_fields(tmp_path, id_):
    """Ids of 1, 24 and 40 digits pair, also in records of old versions that have no latency."""
    one = only(read(tmp_path, record(1, GET, id_, 5, None) + record(2, OK, id_, 9, None))[0])
    assert one.response is not None
    assert one.duration_ns == 4


def test_answers_come_in_any_order(tmp_path):
    """Interleaved, early, lonely, missing and replayed answers find their place; requests are sorted by time."""
    data = (
        record(2, OK, "0b", 31) + record(1, GET, "0a", 50) + record(1, post(b"x"), "0b", 30) + record(3, OK, "0a", 60)
        + record(2, OK, "0c", 70) + record(2, OK.replace(b"200", b"404"), "0a", 80)
    )  # fmt: skip
    found, notes = read(tmp_path, data + record(1, GET, "0d", 90))
    statuses = [one.response.status if one.response else one.no_answer for one in found if isinstance(one, Imported)]
    assert statuses == [200, 404, "not-recorded"]
    assert bodies(found)[0] == b"x"
    assert notes == {"replayed-answers-ignored": 1, "answers-without-request": 1, "answers-missing": 1}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "inside",
    [
        SEPARATOR,
        b"a" + SEPARATOR + b"b",
        SEPARATOR + b"1 aa 5 0\nGET / HTTP/1.1\r\n\r\n" + SEPARATOR,
        SEPARATOR * 3,
        b"x" + SEPARATOR + b"2 b 1\n",
    ],
)
def test_a_separator_inside_a_body(tmp_path, inside, chunked):
    """A body that holds the separator, even one that looks like whole records, is put together by its own length."""
    found, notes = read(tmp_path, record(1, post(inside, chunked=chunked), "0a", 1) + record(1, GET, "0b", 2))
    assert bodies(found) == [inside, b""]
    assert notes == {"answers-missing": 2}


def test_a_separator_in_an_answer_that_lasts_until_the_close(tmp_path):
    """Without any framing a piece that begins no record belongs to the one before."""
    told = b"HTTP/1.0 200 OK\r\n\r\none" + SEPARATOR + b"two"
    one = only(read(tmp_path, record(1, GET) + record(2, told))[0])
    assert one.response is not None
    assert one.response.body.data == b"one" + SEPARATOR + b"two"


def test_head_answers_announce_what_they_do_not_have(tmp_path):
    """An answer to HEAD, a 304, and a body that the capture cut do not eat the records behind them."""
    head = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
    data = (
        record(1, head, "0a", 1)
        + record(2, empty, "0a", 2)
        + record(1, GET, "0b", 3)
        + record(2, empty + b"cut", "0b", 4)
    )
    found, _ = read(tmp_path, data + record(1, GET, "0c", 5))
    whole, cut, _ = (one.response for one in found if isinstance(one, Imported))
    assert whole is not None
    assert cut is not None
    assert (whole.incomplete, cut.incomplete, cut.body.data) == (False, True, b"cut")


def test_a_cut_request_is_not_fired(tmp_path):
    """A request whose body is not whole is marked as truncated."""
    one = only(read(tmp_path, record(1, post(b"12345")[:-2]))[0])
    assert (one.request.body.truncated, one.request.body.data) == (True, b"123")


def test_an_unterminated_last_record(tmp_path):
    """A last record without a separator is imported and told."""
    found, notes = read(tmp_path, record(1, GET, "0a") + record(1, post(b"a" + SEPARATOR), "0b", end=False))
    assert bodies(found) == [b"", b"a" + SEPARATOR]
    assert notes["unterminated"] == 1


def test_what_is_no_http_is_counted(tmp_path):
    """Garbage costs its own record; an answer that cannot be framed leaves its request."""
    found, notes = read(
        tmp_path, record(1, b"\x16\x03\x01", "0a", 1) + record(1, GET, "0b", 2) + record(2, b"nonsense", "0b", 3)
    )
    assert found[0] == "unparseable"
    one = found[1]
    assert isinstance(one, Imported)
    assert (one.no_answer, notes["answers-unframeable"]) == ("unframeable", 1)


def test_websockets_are_left_out(tmp_path):
    """An upgraded connection is no exchange."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    assert read(tmp_path, record(1, GET) + record(2, answer))[0] == ["websocket"]


def test_gzip_of_several_members(tmp_path):
    """GoReplay appends members to one gzip; all of them are read."""
    packed = gzip.compress(record(1, GET, "0a", 1)) + gzip.compress(record(1, GET, "0b", 2))
    assert len(read(tmp_path, packed, names=["x.gor.gz"])[0]) == 2


def test_pairs_across_chunks(tmp_path):
    """A pair whose halves are in two chunks of one recording is one exchange, whatever the order of the names."""
    found, notes = read(tmp_path, record(2, OK, "0a", 2), record(1, GET, "0a", 1), names=["r_10.gor", "r_9.gor"])
    assert only(found).response is not None
    assert notes == {}
    names = ["b.gor", "r_10.gor", "a.gor", "r_9.gor", "r_9.gor.gz"]
    assert [p.name for p in in_order([tmp_path / n for n in names])] == [
        "b.gor",
        "r_9.gor",
        "r_10.gor",
        "a.gor",
        "r_9.gor.gz",
    ]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b'{"log": {}}', "byte 0"),
        (b"4 aa 1 1\nx", "byte 0"),
        (b"1 xyz 1 1\nx", "byte 0"),
        (record(1, GET) + b"lost bytes" + SEPARATOR, f"byte {len(record(1, GET))}"),
        (record(1, post(b"1234")[:-1]) + b"lost bytes" + SEPARATOR, f"byte {len(record(1, GET)) + 23}"),
    ],
)
def test_what_is_no_gor_is_refused(tmp_path, data, what):
    """A file that is not GoReplay's, or has bytes that belong nowhere, is refused with the byte."""
    with pytest.raises(UsageError, match=what):
        read(tmp_path, data)


def test_a_damaged_gzip_is_refused(tmp_path):
    """A gzip that is cut or damaged is one clear line."""
    with pytest.raises(UsageError, match="damaged or cut"):
        read(tmp_path, gzip.compress(record(1, GET) * 10)[:-9], names=["x.gor.gz"])
