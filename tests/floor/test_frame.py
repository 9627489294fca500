"""Frames: what goes in comes out, damage is known as such, every past version opens."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from echolane import frame
from echolane.exchange import Body, Exchange, Request, Response, WorkItem
from echolane.frame import (
    EXCHANGES,
    OBSERVATIONS,
    WORK,
    FrameDamaged,
    FrameTooLarge,
    check_frame,
    decode_frame,
    encode_frame,
    frames_of,
    peek,
)
from echolane.observation import Observation, Shot

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def an_exchange(number: int = 7, body: bytes = b'{"price":10.0}') -> Exchange:
    """An exchange with every field set to something that is not its default."""
    request = Request(
        "POST",
        "http",
        "shop.example:8080",
        "/items/7?q=caf\xe9",
        "1.1",
        [(b"Host", b"shop.example:8080"), (b"X-Raw", b"\xff\x00"), (b"x-raw", b"again")],
        Body(b"a=1", 3, "gzip", b"\x01" * 16, truncated=True, undecoded="bomb", chunked=True),
        [(b"Trailer", b"1")],
    )
    response = Response(
        201, "1.0", [(b"Set-Cookie", b"sid=1")], Body(body, len(body)), [(b"T", b"2")], b"Created", incomplete=True
    )
    return Exchange(
        f"01890000-0000-7000-8000-{number:012x}",
        "shop",
        "0a1b2c3d",
        3,
        number,
        "00ff00ff00ff00ff",
        1_700_000_000_000_000_000 + number,
        12_345,
        request,
        response,
        ["1" * 16],
        ["2" * 16],
        2,
        b"sealed",
        "half",
        0.5,
        {"import": "x.har"},
        "client-closed",
    )


def an_observation() -> Observation:
    """An observation with one shot of each outcome."""
    answer = Response(200, "1.1", [(b"Date", b"now")], Body(b"{}", 2))
    shots = [
        Shot("answered", "", answer, -1, 11, 12, 2, ["cookie sid"]),
        Shot("answered", "", None, 0, 13, 14),
        Shot("failed", "timeout"),
        Shot("spared", "sampled"),
    ]
    return Observation("01890000", 17, 2, "GET /items/{id}", "GET", "/items/3", 200, 10, shots, "", "in-doubt", 5, 6)


GOLDEN_RECORDS = {
    "exchange-v1.frame": (EXCHANGES, Exchange, an_exchange()),
    "work-v1.frame": (WORK, WorkItem, WorkItem(17, 1_000, "GET /items/{id}", [3, 5], an_exchange(), "unsafe-method")),
    "observation-v1.frame": (OBSERVATIONS, Observation, an_observation()),
}


@pytest.mark.parametrize("name", GOLDEN_RECORDS)
def test_a_frame_of_every_past_version_still_opens(name: str) -> None:
    """What an earlier release has recorded is read as what it was."""
    kind, record_type, record = GOLDEN_RECORDS[name]
    data = (GOLDEN / name).read_bytes()

    assert decode_frame(data, record_type) == [record]
    assert peek(data)[:6] == (1, 1, kind, 2, 1, 5)


def test_the_golden_records_have_every_field_set() -> None:
    """A field that is appended to a record must also be set in its golden file's successor, or nothing would guard it."""

    def defaults(record: msgspec.Struct) -> list[str]:
        fields = msgspec.structs.fields(record)
        return [f.name for f in fields if not f.required and getattr(record, f.name) == f.default]

    exchange = an_exchange()
    assert [defaults(part) for part in (exchange, exchange.request, exchange.response, exchange.request.body)] == [
        []
    ] * 4


@given(st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=200)), max_size=20), st.integers(0, 65_535))
def test_a_frame_gives_back_what_it_was_given(parts: list[tuple[int, bytes]], partition: int) -> None:
    """decode(encode(x)) == x, and the head says how many and of when."""
    items = [an_exchange(number, body) for number, body in parts]

    data = encode_frame(items, kind=EXCHANGES, partition=partition, first_ns=1, last_ns=(1 << 64) - 1)

    assert decode_frame(data, Exchange) == items
    assert check_frame(data) == (1, 1, EXCHANGES, partition, len(items), 1, (1 << 64) - 1)


def test_every_flipped_byte_and_every_cut_is_found() -> None:
    """No single damaged byte and no missing tail lets a frame pass."""
    data = encode_frame([an_exchange()], kind=EXCHANGES, partition=1, first_ns=1, last_ns=2)

    for at in range(len(data)):
        with pytest.raises(FrameDamaged):
            decode_frame(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :], Exchange)
        with pytest.raises(FrameDamaged):
            decode_frame(data[:at], Exchange)
    with pytest.raises(FrameDamaged):
        decode_frame(data + b"\0", Exchange)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_frame_are_damage(noise: bytes) -> None:
    """Whatever stands in a file, opening it as a frame raises FrameDamaged and nothing else."""
    for data in (noise, b"EL\x01\x01" + noise):
        with pytest.raises(FrameDamaged):
            decode_frame(data, Exchange)


def test_a_frame_of_other_records_is_damage() -> None:
    """A sound frame whose records are of another kind does not pass as the kind asked for."""
    data = encode_frame([an_observation()], kind=OBSERVATIONS, partition=0, first_ns=1, last_ns=2)

    with pytest.raises(FrameDamaged, match="does not open"):
        decode_frame(data, Exchange)


def test_a_block_that_lies_about_its_size_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile frame cannot make a reader unpack more than it announces, nor announce more than the limit."""
    items = [an_exchange(1, bytes(200_000))]
    data = encode_frame(items, kind=EXCHANGES, partition=0, first_ns=1, last_ns=2)
    assert decode_frame(data, Exchange) == items

    monkeypatch.setattr(frame, "RAW_BYTES_MAX", 100_000)
    with pytest.raises(FrameDamaged):
        decode_frame(data, Exchange)


def test_a_batch_is_split_near_the_target_in_order() -> None:
    """frames_of keeps order and counts, closes a frame at its target, and gives a large record a frame of its own."""
    items = [an_exchange(n, bytes(5_000 if n == 4 else 100)) for n in range(9)]

    frames = list(frames_of(items, kind=EXCHANGES, partition=3, times=range(10, 19), raw_target=1_500))

    assert [item for data, _ in frames for item in decode_frame(data, Exchange)] == items
    assert [count for _, count in frames] == [peek(data).records for data, _ in frames]
    assert all(
        count == 1 or sum(len(msgspec.msgpack.encode(i)) for i in decode_frame(d, Exchange)) <= 1_500
        for d, count in frames
    )
    assert next((peek(data).first_ns, peek(data).last_ns) for data, _ in frames)[0] == 10
    assert peek(frames[-1][0]).last_ns == 18
    assert list(frames_of([], kind=EXCHANGES, partition=0, times=[])) == []


def test_a_record_over_the_limit_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that no frame can hold raises FrameTooLarge, so that its owner can count it."""
    monkeypatch.setattr(frame, "RAW_BYTES_MAX", 1_000)

    with pytest.raises(FrameTooLarge, match="limit of 1000"):
        encode_frame([an_exchange(1, bytes(2_000))], kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)


def test_threads_may_encode_and_decode_at_once() -> None:
    """Compressors are a thread's own: frames made at the same moment do not mix."""
    batches = [[an_exchange(n, bytes([n]) * 20_000)] * 8 for n in range(8)]

    def there_and_back(items: list[Exchange]) -> bool:
        return all(
            decode_frame(encode_frame(items, kind=1, partition=0, first_ns=1, last_ns=1), Exchange) == items
            for _ in range(30)
        )

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(there_and_back, batches))
    finally:
        sys.setswitchinterval(interval)
