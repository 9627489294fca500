"""Message bodies: Content-Encoding undone under hard limits, done again for the sender, and cut to what is kept.

Whoever sees a body on the wire (recorder, importers, replayer) calls :func:`keep` and gets the :class:`~echolane.exchange.Body`
that travels in exchanges and observations; whoever sends one calls :func:`encode`. Nothing here trusts its input: work and
memory are bounded before they are spent, and a body that cannot be undone stays as it was on the wire, with the reason.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast

import brotli
import zstandard

from echolane.exchange import EMPTY, Body


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a body may grow while its Content-Encoding is undone."""

    layers_max: int = 3
    """Servers nest two at most (a proxy gzips what was br); the third is slack, a fourth is an attack."""
    decoded_bytes_max: int = 8 * 1024 * 1024
    """What the differ accepts to compare."""
    ratio_max: int = 100
    """JSON of many equal rows reaches 50:1; deflate bombs reach 1028:1, brotli's and zstd's far more."""
    ratio_free_bytes: int = 1024 * 1024
    """Below this size any ratio is harmless: a page of blanks is no bomb."""

    def room(self, wire_bytes: int) -> int:
        """The most bytes a body of this size on the wire may become."""
        return min(self.decoded_bytes_max, max(self.ratio_free_bytes, self.ratio_max * wire_bytes))


LIMITS = Limits()

BOMB, CORRUPT, UNSUPPORTED = "bomb", "corrupt", "unsupported"
"""Why a Content-Encoding could not be undone."""

_ZSTD_WINDOW_MAX = 1 << 23  # RFC 9659: a zstd content coding may not need a window above 8 MiB.
_STEP = 1 << 17  # Pieces in which a stream is read: large enough to be few, small enough to stop in time.


class Decoded(NamedTuple):
    """A body after its Content-Encoding was undone; ``data`` is the input itself where there is a reason why not."""

    data: bytes
    undecoded: str = ""


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """A layer could not be undone; its argument is the reason."""


def codings_of(content_encoding: str) -> list[str]:
    """The codings of a Content-Encoding value in the order they were applied, lower case, ``identity`` left out."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return [_ALIASES.get(name, name) for name in names if name and name != "identity"]


def decode(data: bytes, content_encoding: str, limits: Limits = LIMITS, *, partial: bool = False) -> Decoded:
    """Undo every coding of ``content_encoding``; ``partial`` says that ``data`` is only the beginning of the body."""
    codings = codings_of(content_encoding)
    if not codings or not data:
        return Decoded(data)
    if len(codings) > limits.layers_max:
        return Decoded(data, BOMB)
    room = limits.room(len(data))
    out = data
    try:
        for coding in reversed(codings):
            undo = _UNDO.get(coding)
            if undo is None:
                return Decoded(data, UNSUPPORTED)
            out = undo(out, room, partial)
    except _Refused as refused:
        return Decoded(data, str(refused))
    return Decoded(out)


def encode(data: bytes, content_encoding: str) -> bytes:
    """Apply the codings of ``content_encoding`` in their order; ValueError for one that :func:`decode` does not know."""
    for coding in codings_of(content_encoding):
        do = _DO.get(coding)
        if do is None:
            raise ValueError(f"cannot encode a body as {coding!r}: only gzip, deflate, br and zstd are known")
        data = do(data)
    return data


def digest_of(wire: bytes) -> bytes:
    """The digest that stands for a body which is not kept whole."""
    return hashlib.blake2b(wire, digest_size=16).digest()


def keep(
    wire: bytes, limit: int, *, encoding: str = "", chunked: bool = False, size: int | None = None, digest: bytes = b""
) -> Body:
    """What is kept of a body: decoded, cut at ``limit`` bytes, with size and digest of the whole.

    ``wire`` is the body after de-chunking, or its beginning: then ``size`` says how long the whole is and ``digest`` is that
    of the whole (a caller that streams feeds ``hashlib.blake2b(digest_size=16)``, as :func:`digest_of` does).
    """
    if not wire and not size:
        return Body(chunked=True) if chunked else EMPTY
    whole = len(wire) if size is None else size
    cut = whole > len(wire)
    data, undecoded, coded = wire, "", ""
    if encoding:
        data, undecoded = decode(wire, encoding, partial=cut)
        coded = "" if undecoded else ", ".join(codings_of(encoding))
    truncated = cut or len(data) > limit
    if not truncated and not undecoded:
        return Body(data, whole, coded, b"", False, "", chunked)
    return Body(data[:limit], whole, coded, digest or digest_of(wire), truncated, undecoded, chunked)


def _inflate(data: bytes, room: int, partial: bool, wbits: int) -> bytes:
    """Inflate one stream, or one gzip member after the other, into at most ``room`` bytes."""
    parts: list[bytes] = []
    left = room
    rest = data
    while True:
        stream = zlib.decompressobj(wbits)
        try:
            part = stream.decompress(rest, left + 1)
        except zlib.error as error:
            raise _Refused(CORRUPT) from error
        if len(part) > left:
            raise _Refused(BOMB)
        parts.append(part)
        left -= len(part)
        if not stream.eof:
            if not partial:
                raise _Refused(CORRUPT)
            break
        # Zero bytes after the last member are padding that every client skips; anything else would be lost, so it is damage.
        rest = stream.unused_data.lstrip(b"\0")
        if not rest:
            break
        if wbits != _GZIP or rest[0] != 0x1F:
            raise _Refused(CORRUPT)
    return parts[0] if len(parts) == 1 else b"".join(parts)


_GZIP, _ZLIB, _RAW = 31, 15, -15


def _ungzip(data: bytes, room: int, partial: bool) -> bytes:
    return _inflate(data, room, partial, _GZIP)


def _undeflate(data: bytes, room: int, partial: bool) -> bytes:
    """``deflate`` is zlib by the RFC and raw deflate by many servers: the two header bytes tell, a failure asks the other."""
    zlib_head = len(data) > 1 and data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
    first, second = (_ZLIB, _RAW) if zlib_head else (_RAW, _ZLIB)
    try:
        return _inflate(data, room, partial, first)
    except _Refused as refused:
        if str(refused) == BOMB:
            raise
        return _inflate(data, room, partial, second)


class _BrotliStream(Protocol):
    """What is used of brotli's Decompressor, which has no types of its own."""

    def process(self, data: bytes, output_buffer_limit: int = ...) -> bytes: ...
    def is_finished(self) -> bool: ...
    def can_accept_more_data(self) -> bool: ...


_brotli_stream = cast("Callable[[], _BrotliStream]", vars(brotli)["Decompressor"])
_BrotliError = cast("type[Exception]", vars(brotli)["error"])


def _unbrotli(data: bytes, room: int, partial: bool) -> bytes:
    stream = _brotli_stream()
    parts: list[bytes] = []
    size = 0
    feed = data
    try:
        while True:
            part = stream.process(feed, output_buffer_limit=_STEP)
            feed = b""
            parts.append(part)
            size += len(part)
            if size > room:
                raise _Refused(BOMB)
            if stream.is_finished():
                break
            if not part and stream.can_accept_more_data():
                if not partial:
                    raise _Refused(CORRUPT)
                break
    except _BrotliError as error:
        raise _Refused(CORRUPT) from error
    return b"".join(parts)


def _unzstd(data: bytes, room: int, partial: bool) -> bytes:
    """Zstd frames one after the other; a frame's own word on its size is not believed."""
    parts: list[bytes] = []
    size = 0
    try:
        with _zstd_reader().stream_reader(data, read_across_frames=True) as reader:
            while part := reader.read(_STEP):
                parts.append(part)
                size += len(part)
                if size > room:
                    raise _Refused(BOMB)
        # The bounded pass proved the frames harmless; this one tells whether the last of them ended, which a reader does not.
        rest = data
        while rest and not partial:
            walker = _zstd_reader().decompressobj()
            walker.decompress(rest)
            if not walker.eof:
                raise _Refused(CORRUPT)
            rest = walker.unused_data
    except zstandard.ZstdError as error:
        raise _Refused(CORRUPT) from error
    return b"".join(parts)


def _zstd_reader() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)


def _gzip(data: bytes) -> bytes:
    """Gzip without a time in its header, so that equal bodies are equal on the wire."""
    stream = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return stream.compress(data) + stream.flush()


def _brotli(data: bytes) -> bytes:
    compress = cast("Callable[..., bytes]", vars(brotli)["compress"])
    return compress(data, quality=4)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


_ALIASES = {"x-gzip": "gzip", "x-deflate": "deflate"}
_UNDO: dict[str, Callable[[bytes, int, bool], bytes]] = {
    "gzip": _ungzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
_DO: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "deflate": zlib.compress, "br": _brotli, "zstd": _zstd}
