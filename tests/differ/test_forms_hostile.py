"""Bodies made to hurt, and bytes that are no text: bounded in time and memory, and never equal to something else."""

from __future__ import annotations

import base64
import gzip
import resource
import struct
import time
import zlib

import pytest

from differ.compare import compare
from differ.context import Context
from differ.difference import FORMAT
from differ.fields import headers
from differ.htmls import page_of
from differ.protobufs import messages_of
from differ.sink import Sink
from echolane.exchange import Body, Response
from tests.differ.forms import answer, between, places


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def frame(message: bytes, flag: int = 0) -> bytes:
    """A frame of gRPC."""
    return struct.pack(">BI", flag, len(message)) + message


def field(number: int, text: bytes) -> bytes:
    """One field of bytes."""
    return varint(number << 3 | 2) + varint(len(text)) + text


def cpu_s(old: bytes, new: bytes, media: str) -> float:
    """Seconds of computing that a comparison took."""
    begun = time.process_time()
    compare(answer(old, media), answer(new, media), Context())
    return time.process_time() - begun


def test_many_small_bombs_are_unpacked_no_further_than_one() -> None:
    """A bound for each frame would be no bound for a body of thousands."""
    bomb = frame(gzip.compress(field(1, bytes(4_000_000))), 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    assert messages_of(bomb * 60, "application/grpc") is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


HOSTILE = {
    "numbers of protobuf": (
        b"".join(field(n, b"a") for n in range(1, 8000)),
        b"".join(field(n, b"b") for n in range(1, 8000)),
        "application/protobuf",
    ),
    "lines of one event": (b"data: x\n" * 300_000, b"data: x\n" * 300_000 + b"data: y\n", "text/event-stream"),
    "equal signs": (b"=" * 30_000, b"=" * 30_000 + b" a", "text/plain"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_as_the_body_does(name: str) -> None:
    """What took the square of its size took ten seconds and more; the box is wide, for slow machines."""
    assert cpu_s(*HOSTILE[name]) < 3


def test_end_tags_without_a_beginning_count_as_nodes() -> None:
    """Each is looked for among all that are open, so a page of nothing else must come to an end."""
    assert page_of("<div>" * 128 + "</x>" * 100_000) is None
    assert page_of("<div>" * 128 + "</x>" * 100) is not None


def test_challenges_of_many_schemes_are_read_once() -> None:
    """A header of 60 KB costs no more than its bytes."""
    old, new = (
        Response(401, "1.1", [(b"WWW-Authenticate", b", ".join(b"S%d" % n for n in range(9000)) + end)], Body(b"", 0))
        for end in (b"", b", T")
    )
    begun = time.process_time()
    headers(Sink(), old, new, Context())

    assert time.process_time() - begun < 1.5


@pytest.mark.parametrize("media", ["text/html", "text/csv", "text/plain"])
def test_another_encoding_is_another_text(media: str) -> None:
    """Latin-1 under a name that says UTF-8 is broken for a reader, though the letters were meant alike."""
    (found,) = between("<p>é</p>".encode(), b"<p>\xe9</p>", media)

    assert found.old != found.new


def test_bytes_that_are_no_text_stay_apart() -> None:
    """In a header, a cookie and a form: two letters that UTF-8 knows neither of are not one."""
    for name in (b"X-Name", b"Set-Cookie"):
        one, two = (Response(200, "1.1", [(name, b"a=" + byte)], Body(b"", 0)) for byte in (b"\xe9", b"\xe8"))
        assert compare(one, two, Context()).differences
    assert places(between("a=%ff", "a=%fe", "application/x-www-form-urlencoded")) == {("body:$.a", "value")}


def test_padded_pieces_of_grpc_web_are_all_read() -> None:
    """A server may write each frame by itself, and base64 pads each."""
    first, one, two = (base64.b64encode(frame(field(1, text))) for text in (b"abcd", b"x1", b"y1"))

    assert places(between(first + one, first + two, "application/grpc-web-text")) == {("body:$[*]['1']", "value")}


def test_lines_in_another_order_are_no_time() -> None:
    """They are shown, and weighed as any order is."""
    lines = [f"line {n} of a longer text, so that it is compared by lines" for n in range(9)]
    (found,) = between("\n".join(lines), "\n".join(reversed(lines)), "text/plain")

    assert (found.kind, found.klass) == ("order", "")
    assert found.old is not None
    assert "line 8" in found.old


@pytest.mark.parametrize(
    ("gone", "old"),
    [("\n", r'"\n"'), ("\n\n", r'"\n\n"'), (" \n", r'" \n"')],
)
def test_blank_lines_that_went_are_seen(gone: str, old: str) -> None:
    """Two empty texts beside each other say nothing of what changed; nor is such a change one of numbers."""
    lines = "".join(f"line {n} of a longer text, so that it is compared by lines\n" for n in range(9))
    (inside,) = between("begin\n" + gone + lines, "begin\n" + lines, "text/plain")
    (ending,) = between(lines + "\n", lines, "text/plain")

    assert (inside.old, inside.new) == (old, '""')
    assert (ending.old, ending.new) == (r'"\n"', '""')
    assert ending.signature == "value:text:blank lines"


def token(claims: str) -> str:
    """A token with these claims, in an answer."""
    parts = [base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode() for text in ('{"alg":"HS256"}', claims)]
    return f'{{"token":"{parts[0]}.{parts[1]}.c2lnbmF0dXJl"}}'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"sub":"5d9d5f7a-1111-4222-8333-444455556666"}', '{"sub":"9e0e6a8b-1111-4222-8333-444455556666"}'),
        ('{"sub":1795448000}', '{"sub":1295448001}'),
        ('{"admin":true}', '{"admin":1}'),
    ],
)
def test_a_token_for_somebody_else_is_a_change_of_format(old: str, new: str) -> None:
    """However much the subject looks like what is drawn anew, and though Python takes true for 1."""
    (found,) = between(token(old), token(new), "application/json")

    assert (found.facet, found.klass) == (FORMAT, "")


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_a_picture_without_a_width_is_compared_by_its_bytes() -> None:
    """Nothing is unpacked of it, so nothing can be missing in it."""
    size = struct.pack(">IIBBBBB", 0, 1, 8, 3, 0, 0, 0)
    one, two = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size) + chunk(b"PLTE", palette) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
        for palette in (b"abc", b"abd")
    )  # fmt: skip

    assert between(one, two, "image/png")


def test_a_multipart_body_of_too_many_parts_is_none() -> None:
    """The bound holds with a closing boundary, too."""
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    (found,) = between(part * 1001 + b"--b--", part * 1001 + b"--b--\r\n", "multipart/form-data; boundary=b")

    assert found.where == "body"
