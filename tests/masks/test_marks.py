"""Marks on the wire: only our own signature counts, and no captured header slips past the marks."""

from __future__ import annotations

import os
import re
import string

import pytest
from hypothesis import given, strategies as st

from echolane.exchange import Headers
from echolane.marks import (
    REMOVED,
    HeaderRefused,
    Signer,
    clean_headers,
    find_mark,
    fresh_traceparent,
    fresh_traceparents,
    lane_of,
    lane_ok,
    lane_pattern,
    prepare_headers,
    verify,
    with_lane,
)

KEY = bytes(range(32))
TOKEN = st.text(string.ascii_letters + string.digits + "-_!~", min_size=1, max_size=20).map(str.encode)
VALUE = st.binary(max_size=40).map(lambda value: bytes(set(value) and value.translate(None, b"\r\n\0")))
HEADERS = st.lists(
    st.tuples(st.one_of(TOKEN, st.sampled_from([name.title() for name in sorted(REMOVED)])), VALUE), max_size=12
)


def parsed(block: bytes) -> Headers:
    """The pairs of a header block, as a server splits them."""
    assert block.endswith(b"\r\n\r\n")
    return [(name, value) for name, _, value in (line.partition(b": ") for line in block[:-4].split(b"\r\n"))]


def block_of(headers: Headers, lane: str | None = "feat-1", length: int | None = None) -> bytes:
    """A header block for one target."""
    return prepare_headers(headers, authority=b"h:1", lane=lane, mark=b"M", traceparent=b"T", length=length)


def test_a_mark_is_read_back():
    """What was signed is what is read."""
    value = Signer(KEY, "run-1").sign("0190-ex", 1)

    assert value.startswith(b"v1;run-1;0190-ex;1;")
    mark = verify(KEY, value)
    assert mark == ("run-1", "0190-ex", 1)
    assert mark is not None
    assert not mark.looped


def test_the_signature_is_the_published_one():
    """Scripts outside can make and check marks: HMAC-SHA256 over v1;RUN;EXCHANGE;HOP, base64url without padding."""
    assert Signer(bytes(32), "R").sign("E", 1) == b"v1;R;E;1;hoxs8TaarVB1TB44a5HZofypvJetBmGHEHKxdaf6xRY"


@given(st.one_of(st.binary(max_size=64), st.binary(min_size=65, max_size=200)), st.integers(1, 999))
def test_a_key_of_any_length_signs_as_hmac_does(key: bytes, hop: int):
    """Whatever the key, a mark of the run's signer is the one that the standard library's HMAC proves."""
    signer = Signer(key, "run")

    assert [verify(key, signer.sign(name, hop)) for name in ("a", "b", "a")] == [
        ("run", n, hop) for n in ("a", "b", "a")
    ]


def test_a_second_hop_is_a_loop():
    """A request that was replayed, recorded and replayed again is told."""
    mark = verify(KEY, Signer(KEY, "r").sign("e", 2))

    assert mark is not None
    assert mark.looped


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject):
    """Whoever changes a byte of a mark, or adds one, has no mark."""
    value = Signer(KEY, "run").sign("exchange", 1)
    at = data.draw(st.integers(0, len(value)))
    byte = data.draw(st.binary(min_size=1, max_size=1))
    other = value[:at] + byte + value[at + 1 :] if data.draw(st.booleans()) else value[:at] + byte + value[at:]

    assert other == value or verify(KEY, other) is None


@given(st.binary(max_size=120))
def test_a_stranger_cannot_opt_out(value: bytes):
    """No bytes without the key are a mark, so nobody hides traffic from the recorder."""
    assert verify(KEY, value) is None
    assert verify(b"other key", Signer(KEY, "r").sign("e")) is None


def test_a_forged_mark_does_not_hide_a_real_one():
    """The first valid mark counts, in any case of the name."""
    headers = [(b"X-Echolane-Replay", b"v1;r;e;1;forged"), (b"x-echolane-replay", Signer(KEY, "r").sign("e") + b" ")]

    assert find_mark(KEY, headers) == ("r", "e", 1)
    assert find_mark(KEY, headers[:1]) is None


@pytest.mark.parametrize(
    ("run", "exchange", "hop"), [("a;b", "e", 1), ("", "e", 1), ("r", "e\n", 1), ("r", "e", 0), ("r" * 65, "e", 1)]
)
def test_what_cannot_be_read_is_not_signed(run: str, exchange: str, hop: int):
    """A mark that its reader would refuse is never made."""
    with pytest.raises(ValueError, match="mark"):
        Signer(KEY, run).sign(exchange, hop)


@given(HEADERS, st.sampled_from([None, "blue", "feat-1"]), st.sampled_from([None, 0, 17]))
def test_nothing_captured_slips_past_the_marks(headers: Headers, lane: str | None, length: int | None):
    """Whatever was captured: one Host, one length, one lane, one trace, one mark, nothing of a connection, the rest in order."""
    out = parsed(block_of(headers, lane, length))
    names = [name.lower() for name, _ in out]

    assert out[0] == (b"Host", b"h:1")
    assert out[-2:] == [(b"traceparent", b"T"), (b"x-echolane-replay", b"M")]
    assert names.count(b"host") == names.count(b"traceparent") == names.count(b"x-echolane-replay") == 1
    assert names.count(b"content-length") == (length is not None)
    assert names.count(b"x-lane") == (lane is not None)
    assert lane_of(out) == (lane or "")
    assert not {b"connection", b"transfer-encoding", b"expect", b"te", b"upgrade", b"keep-alive"} & set(names)
    named = {word.strip() for n, v in headers if n.lower() == b"connection" for word in v.lower().split(b",")}
    kept = [pair for pair in headers if pair[0].lower() not in REMOVED | named]
    assert [pair for pair in out if pair in kept or pair[0].lower() not in REMOVED] == kept


@given(HEADERS, TOKEN, st.sampled_from([b"\r", b"\n", b"\0", b"\r\nx-lane: evil"]), VALUE)
def test_a_line_cannot_be_broken(headers: Headers, name: bytes, evil: bytes, value: bytes):
    """CR, LF or NUL in a value that would be sent is refused, never repaired."""
    if name.lower() in REMOVED or any(n.lower() == b"connection" for n, _ in headers):
        return

    with pytest.raises(HeaderRefused):
        block_of([*headers, (name, value + evil + value)])


@pytest.mark.parametrize("name", [b"", b"a b", b"a:b", b"x\r\ny", b":authority", b"n\xc3\xa4me", b"x\0"])
def test_a_name_must_be_a_name(name: bytes):
    """What is no token cannot be a header's name."""
    with pytest.raises(HeaderRefused, match="header"):
        block_of([(name, b"v")])


def test_evil_in_the_baggage_is_refused():
    """The baggage that is carried on may not break its line either."""
    with pytest.raises(HeaderRefused, match="baggage"):
        block_of([(b"baggage", b"a=1\r\nx-lane: evil")])


def test_other_members_of_the_baggage_are_kept():
    """Only the lane is ours; properties and other members go on as they came."""
    headers = [(b"Baggage", b"user=7;p=1 , lane=old;x=1"), (b"baggage", b"LANE=other,lane = blue ,t=2")]

    assert dict(parsed(block_of(headers)))[b"baggage"] == b"user=7;p=1,LANE=other,t=2,lane=feat-1"
    assert dict(parsed(block_of(headers, None)))[b"baggage"] == b"user=7;p=1,LANE=other,t=2"
    assert b"baggage" not in dict(parsed(block_of([(b"baggage", b"lane=old")], None)))


def test_a_lane_is_set_and_taken_out():
    """The lane's member is replaced, not doubled, and an empty header is none."""
    assert with_lane(b"a=1,lane=x", "y") == b"a=1,lane=y"
    assert with_lane(b"lane=x", None) is None
    assert with_lane(None, "y") == b"lane=y"


def test_what_connection_names_is_taken_off():
    """A header that the client declared to be of its connection is not sent on, wherever it stands."""
    headers = [(b"X-Mine", b"1"), (b"Connection", b"close, X-Mine"), (b"x-mine", b"2"), (b"X-Other", b"3")]

    assert clean_headers(headers).headers == [(b"X-Other", b"3")]


def test_a_pattern_finds_the_lane_and_nothing_like_it():
    """The expression for gateways is anchored: blue is neither blueish nor a value of another key."""
    pattern = re.compile(lane_pattern("blue"))

    assert all(pattern.search(text) for text in ("lane=blue", "a=1, lane=blue;p=1,b=2", "a=1,lane = blue"))
    assert not any(
        pattern.search(text) for text in ("lane=blueish", "xlane=blue", "lane=b", "a=lane=blue", "lane=blue2,a=1")
    )


def test_names_of_lanes():
    """A lane's name is safe in a header and in a label."""
    assert all(lane_ok(name) for name in ("a", "feat-1", "v1.2_x", "a" * 63))
    assert not any(lane_ok(name) for name in ("", "-a", "a,b", "a b", "a" * 64, "a\n", "ä"))


def test_traces_are_fresh():
    """Every shot has a trace of its own, in the standard's form."""
    seen = {fresh_traceparent(os.urandom) for _ in range(50)} | set(fresh_traceparents(os.urandom, 50))

    assert len(seen) == 100
    assert all(re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-00", value) for value in seen)
    with pytest.raises(ValueError, match="zeros"):
        fresh_traceparent(bytes)
    for broken in (bytes(16) + b"x" * 8, b"x" * 16 + bytes(8)):
        with pytest.raises(ValueError, match="zeros"):
            fresh_traceparents(lambda size, broken=broken: b"x" * (size - 24) + broken, 3)
    shifted = b"x" * 20 + bytes(8) + b"x" * 20  # zeros across two traces are chance
    assert fresh_traceparents(lambda _: shifted, 2)
