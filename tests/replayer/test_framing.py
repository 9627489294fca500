"""Where an answer ends: laws against an oracle, stories of broken servers."""

from __future__ import annotations

import hashlib
from typing import Any

import httptools
import pytest
from hypothesis import given, strategies as st

from echolane.exchange import OBSERVED_BODY_KEPT
from replayer.answer import Answer, Garbage, headers_of, pairs_of
from replayer.connection import Kin
from replayer.framing import AnswerReader, whole


class Oracle:
    """What httptools reads."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers.append((name, value))

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """The end."""
        self.done = True


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in zip(places, places[1:], strict=False)]


def read(data: bytes, cuts: list[int] = [], *, head_only: bool = False, end: bool = False) -> tuple[AnswerReader, bool]:  # noqa: B006
    """Feed bytes piece by piece; the reader, and whether the answer is whole."""
    reader = AnswerReader(head_only=head_only)
    done = False
    for piece in pieces(data, cuts):
        done = reader.feed(piece)
    return reader, done or (end and reader.end())


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """The body in chunks of these sizes."""
    out, at = b"", 0
    for size in [*sizes, len(body)]:
        part = body[at : at + size]
        if part:
            out += b"%x;ext=1\r\n%b\r\n" % (len(part), part)
        at += len(part)
    return out + b"0\r\n"


TOKEN = st.text("abcXYZ-09", min_size=1, max_size=8).map(lambda text: b"x-" + text.encode())
VALUE = st.text('abc ;=,"é~', max_size=12).map(lambda text: text.strip().encode("latin-1"))
CUTS = st.lists(st.integers(0, 5000), max_size=6)


@st.composite
def responses(draw: Any) -> bytes:
    """Well-formed responses, framed by length or by chunks."""
    status = draw(st.sampled_from([200, 201, 302, 404, 500]))
    headers = draw(st.lists(st.tuples(TOKEN, VALUE), max_size=5))
    body = draw(st.binary(max_size=300))
    head = b"HTTP/1.1 %d Some Reason\r\n" % status + b"".join(b"%b: %b\r\n" % pair for pair in headers)
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    trailers = b"".join(b"%b: %b\r\n" % pair for pair in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=2)))
    return (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunked(body, draw(st.lists(st.integers(1, 50), max_size=4)))
        + trailers
        + b"\r\n"
    )


@given(responses(), CUTS)
def test_any_cutting_of_a_response_gives_what_the_oracle_reads(data: bytes, cuts: list[int]) -> None:
    """Status, headers and body are those of httptools, however the bytes arrive."""
    oracle = Oracle()
    parser = httptools.HttpResponseParser(oracle)
    parser.feed_data(data)

    reader, done = read(data, cuts)

    assert done
    assert oracle.done
    answer = reader.answer
    assert answer.status == parser.get_status_code()
    assert answer.body == oracle.body
    assert answer.size == len(oracle.body)
    version, reason, headers = headers_of(answer.head)
    assert (version, reason) == ("1.1", b"Some Reason")
    assert headers + pairs_of(answer.trailers.rstrip(b"\r\n")) == [
        (name, value.strip()) for name, value in oracle.headers
    ]
    assert reader.keep_alive


@given(responses())
def test_the_short_way_agrees_with_the_reader(data: bytes) -> None:
    """An answer taken whole in one piece is the same as one that was read."""
    found = whole(data, head_only=False)
    if found is not None:
        assert found == read(data)[0].answer


@given(st.lists(responses(), min_size=1, max_size=3), st.lists(st.integers(0, 2), max_size=5), st.booleans())
def test_what_came_before_with_the_same_bytes_reads_the_same(
    made: list[bytes], order: list[int], head_only: bool
) -> None:
    """Among shots of one request, each answer is what it would be alone, whichever others came before it."""
    made = [*made, made[0][:-1] + b"~"]  # as long, and another
    kin = Kin()
    for place in (0, -1, *order):
        data = made[place % len(made)]
        assert kin.whole(data, head_only=head_only) == whole(data, head_only=head_only)


@given(responses(), st.integers(1, 400), CUTS)
def test_a_response_that_breaks_off_is_incomplete_or_no_answer(data: bytes, missing: int, cuts: list[int]) -> None:
    """Cut anywhere: before the end of its head there is no answer, after it an incomplete one; never a whole one."""
    data = data[: max(0, len(data) - missing)]
    reader, done = read(data, cuts, end=True)
    assert done == (b"\r\n\r\n" in data)
    assert reader.answer.incomplete == done


@given(st.binary(max_size=200), CUTS)
def test_noise_never_escapes_as_another_error(data: bytes, cuts: list[int]) -> None:
    """Any bytes are an answer, the beginning of one, or garbage."""
    for noise in (b"HTTP/1.1 200 OK\r\n" + data, data):
        try:
            reader, done = read(noise, cuts, end=True)
        except Garbage:
            continue
        assert not done or 100 <= reader.answer.status <= 599


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 -1 Nope", b"HTTP/1.1 99 Low", b"HTTP/1.1 0 Zero", b"HTTP/1.1 600 High", b"HTTP/1.1 2000 Long", b"HTTP/2 200 OK",
        b"ICY 200 OK", b"SSH-2.0-OpenSSH", b"\x16\x03\x01", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5", b"HTTP/1.1 200 OK\r\nContent-Length: five", b"HTTP/1.1200 OK",
    ],
)  # fmt: skip
def test_what_is_no_response_is_garbage(head: bytes) -> None:
    """Status lines and lengths outside the standard are garbage, not an answer with an odd status."""
    with pytest.raises(Garbage, match="garbage"):
        read(head + b"\r\n\r\nhello!")
    with pytest.raises(Garbage, match="garbage"):
        whole(head + b"\r\n\r\nhello!", head_only=False)


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\nab\r\n0\r\n\r\n", b"2\r\nabcd\r\n0\r\n\r\n", b"-2\r\nab\r\n", b"0x2\r\nab\r\n", b"\r\n\r\n", b"1" * 5000],
)
def test_broken_chunks_are_garbage(chunks: bytes) -> None:
    """A chunk that is not one makes the whole answer garbage."""
    with pytest.raises(Garbage):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)


@pytest.mark.parametrize(
    ("head", "head_only", "body", "alive"),
    [
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 3", False, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3", False, b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3", True, b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False, b"", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0", False, b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0", False, b"", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0, 0", False, b"", True),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x", False, b"", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0", False, b"", True),
    ],
)  # fmt: skip
def test_a_body_is_only_where_the_standard_has_one(head: bytes, head_only: bool, body: bytes, alive: bool) -> None:
    """HEAD, 1xx, 204 and 304 have none; interim answers are passed over; the version decides about keeping open."""
    reader, done = read(head + b"\r\n\r\n", [7, 30, 60], head_only=head_only)
    assert done
    assert (reader.answer.body, reader.keep_alive) == (body, alive)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """Neither length nor chunks: what came until the end is the body, and it is complete."""
    reader, done = read(b"HTTP/1.1 200 OK\r\n\r\nall of it", [20], end=True)
    assert done
    assert (reader.answer.body, reader.answer.incomplete, reader.keep_alive) == (b"all of it", False, False)


def test_bare_line_feeds_are_understood() -> None:
    """Old CGI programs end lines with a line feed alone; clients accept that, so it is an answer."""
    for cuts in ([], [3], [40]):
        reader, done = read(b"HTTP/1.1 200 OK\nContent-Length: 4\nX: y\n\n\r\n\r\n", cuts)
        assert done
        assert reader.answer.body == b"\r\n\r\n"
        assert headers_of(reader.answer.head)[2] == [(b"Content-Length", b"4"), (b"X", b"y")]
    assert whole(b"HTTP/1.1 200 OK\nContent-Length: 4\n\n\r\n\r\n", head_only=False) is None


def test_bytes_behind_an_answer_end_the_connection() -> None:
    """More than was announced: the answer stands, but nothing else may be read from this connection."""
    reader, done = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
    assert done
    assert (reader.answer.body, reader.keep_alive) == (b"ok", False)


def test_a_large_body_is_kept_in_part_with_the_digest_of_all() -> None:
    """Memory is bounded: three mebibytes are kept, the rest only counted and hashed."""
    block, blocks = b"0123456789abcdef" * 4096, 80
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * blocks))
    for _ in range(blocks):
        done = reader.feed(block)
    answer = reader.answer
    assert done
    assert (len(answer.body), answer.size) == (OBSERVED_BODY_KEPT, len(block) * blocks)
    assert answer.digest == hashlib.blake2b(block * blocks, digest_size=16).digest()


@pytest.mark.parametrize("line", [b"x: y\r\n", b"x" * 70_000])
def test_an_endless_head_is_given_up(line: bytes) -> None:
    """A hundred thousand headers, or one that never ends: too large, and not more than a mebibyte of memory."""
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n")
    piece = line * (70_000 // len(line))
    with pytest.raises(Garbage, match="too-large"):
        any(reader.feed(piece) for _ in range(100))
    with pytest.raises(Garbage, match="too-large"):
        AnswerReader().feed(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000 + b"\r\n")


def test_folded_and_nameless_lines_keep_their_bytes() -> None:
    """Headers are kept as sent: order, case, repetition; a folded line is one value."""
    head = b"HTTP/1.1 200 OK\r\nA: 1\r\na:2\r\nLong: one\r\n two\r\nEmpty:\r\nnocolon"
    assert headers_of(head)[2] == [
        (b"A", b"1"),
        (b"a", b"2"),
        (b"Long", b"one two"),
        (b"Empty", b""),
        (b"nocolon", b""),
    ]


def test_equal_means_equal_bytes() -> None:
    """Two answers are the same when head, body and all else came alike."""
    first = Answer(200, b"h", b"b", 1)
    assert first.same(Answer(200, b"h", b"b", 1))
    assert not first.same(Answer(200, b"h", b"b", 1, incomplete=True))
    assert not first.same(Answer(200, b"H", b"b", 1))
