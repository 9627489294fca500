"""Bodies: what was encoded comes back, whatever is hostile is refused in bounded work, and cut bodies say so."""

from __future__ import annotations

import gzip
import time
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, strategies as st

from echolane.bodies import LIMITS, decode, digest_of, encode, keep
from echolane.exchange import EMPTY

CODINGS = ("gzip", "deflate", "br", "zstd")


@given(st.binary(max_size=3000), st.lists(st.sampled_from(CODINGS), max_size=3))
def test_what_is_encoded_is_decoded(data: bytes, codings: list[str]):
    """Any body under any three codings comes back byte for byte."""
    named = ", ".join(codings)

    assert decode(encode(data, named), named) == (data, "")


@given(st.binary(min_size=1, max_size=400), st.sampled_from((*CODINGS, "gzip, br", "x-gzip")))
def test_any_bytes_are_decoded_or_refused(data: bytes, coding: str):
    """Bytes that are no such coding never raise: they stay as they were, with a reason."""
    out, reason = decode(data, coding)

    assert reason in {"", "corrupt", "bomb"}
    assert not reason or out == data


@pytest.mark.parametrize("coding", CODINGS)
def test_a_cut_stream_is_corrupt_unless_it_is_known_to_be_cut(coding: str):
    """Half a compressed body is damage; of a body that was kept in part, what can be read is read."""
    data = bytes(range(256)) * 40
    half = encode(data, coding)[:-9]

    assert decode(half, coding) == (half, "corrupt")
    out, reason = decode(half, coding, partial=True)
    assert reason == ""
    assert data.startswith(out)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_stream_cut_anywhere_is_told(coding: str):
    """No cut of a compressed body passes for the whole."""
    wire = encode(b"Echolane says what the new version changed. " * 5, coding)

    assert [at for at in range(1, len(wire)) if decode(wire[:at], coding).undecoded != "corrupt"] == []


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_before_it_goes_off(coding: str):
    """64 MiB of zeros in a few kilobytes cost no more than the limit allows to come out."""
    bomb = encode(bytes(64 << 20), coding)
    started = time.process_time()

    assert decode(bomb, coding) == (bomb, "bomb")
    assert time.process_time() - started < 0.5


def test_a_bomb_inside_a_coding_is_refused():
    """The ratio counts from the wire, so an outer layer does not hide an inner bomb."""
    bomb = encode(bytes(40 << 20), "gzip, gzip")

    assert decode(bomb, "gzip, gzip").undecoded == "bomb"


def test_a_well_packed_small_body_is_no_bomb():
    """A megabyte of blanks is harmless however small it is packed."""
    blanks = b" " * LIMITS.ratio_free_bytes

    assert decode(encode(blanks, "gzip"), "gzip") == (blanks, "")
    assert decode(encode(blanks + b" ", "gzip"), "gzip").undecoded == "bomb"


def test_deflate_is_read_with_and_without_its_header():
    """Servers send both zlib streams and raw deflate under the name deflate."""
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)

    assert decode(raw.compress(b"hello " * 9) + raw.flush(), "deflate").data == b"hello " * 9
    assert decode(zlib.compress(b"hello " * 9), "deflate").data == b"hello " * 9


def test_gzip_members_and_zstd_frames_follow_each_other():
    """Concatenated streams are one body; padding after them is nothing, anything else is damage."""
    two = gzip.compress(b"one ") + gzip.compress(b"two")

    assert decode(two, "gzip").data == b"one two"
    assert decode(two + bytes(20), "gzip").data == b"one two"
    assert decode(two + b"three", "gzip").undecoded == "corrupt"
    assert decode(encode(b"one ", "zstd") + encode(b"two", "zstd"), "zstd").data == b"one two"
    assert decode(encode(b"one ", "zstd") + b"two", "zstd").undecoded == "corrupt"
    assert decode(brotli.compress(b"one") + b"two", "br").undecoded == "corrupt"


def test_a_zstd_window_above_the_standards_is_refused():
    """A decoder of a content coding need not spend more than 8 MiB on a window."""
    huge = zstandard.ZstdCompressionParameters(window_log=26, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=huge).compressobj()

    assert decode(packer.compress(b"x" * 100) + packer.flush(), "zstd").undecoded == "corrupt"


@pytest.mark.parametrize(
    ("coding", "reason"), [("compress", "unsupported"), ("gzip,gzip,gzip,gzip", "bomb"), ("gzip;q=1", "unsupported")]
)
def test_what_is_not_known_says_so(coding: str, reason: str):
    """Codings that nobody here can undo, or too many of them, leave the body as it was."""
    assert decode(b"data", coding) == (b"data", reason)


def test_an_unknown_coding_is_not_encoded():
    """A body is never sent under a coding it does not have."""
    with pytest.raises(ValueError, match="compress"):
        encode(b"data", "compress")


def test_equal_bodies_are_encoded_equally():
    """No clock reaches the wire, so four targets get the same bytes."""
    for coding in CODINGS:
        first = encode(b"same" * 50, coding)
        assert first == encode(b"same" * 50, coding)


def test_keeping_says_size_digest_and_coding():
    """A kept body is plain, knows its size on the wire, and has a digest only where it is not whole."""
    wire = encode(b"hello world, hello world", "gzip")
    whole = keep(wire, 100, encoding="GZip")
    cut = keep(wire, 5, encoding="gzip", chunked=True)

    assert (whole.data, whole.size, whole.encoding, whole.digest) == (
        b"hello world, hello world",
        len(wire),
        "gzip",
        b"",
    )
    assert (cut.data, cut.truncated, cut.digest, cut.chunked) == (b"hello", True, digest_of(wire), True)


def test_keeping_the_beginning_of_a_body():
    """Of a body that was too long to be held, size and digest of the whole come from who saw it."""
    body = keep(b"abc", 100, size=5000, digest=b"d" * 16)

    assert (body.data, body.size, body.truncated, body.digest) == (b"abc", 5000, True, b"d" * 16)
    assert keep(encode(b"a" * 500, "gzip")[:20], 100, encoding="gzip", size=9000).undecoded == ""


def test_keeping_what_cannot_be_decoded():
    """A damaged body is kept as it was on the wire, with the reason and its digest."""
    body = keep(b"nonsense", 100, encoding="br")

    assert (body.data, body.undecoded, body.encoding, body.digest) == (
        b"nonsense",
        "corrupt",
        "",
        digest_of(b"nonsense"),
    )


def test_keeping_nothing():
    """An empty body is the one empty body, coded or not."""
    assert keep(b"", 10) is EMPTY
    assert keep(b"", 10, encoding="gzip") == EMPTY
    assert keep(b"", 10, chunked=True).chunked
