"""Images by what they show: kind and dimensions from their headers, and of small PNGs the pixels, however they are packed. Pure."""

from __future__ import annotations

from struct import error as StructError, unpack_from  # noqa: N812 - a class, named like one

import msgspec

from differ.difference import FORMAT, TYPE, VALUE
from differ.magics import described
from differ.pixels import Pixels, distance, pixels_of
from differ.sink import Change, Sink

SEGMENTS_MAX = 1_000
"""Segments of a JPEG that are stepped over to its dimensions; cameras write some twenty."""
ALIKE_MAX = 5
"""Bits of 64 in which the average hashes of one picture, scaled or compressed otherwise, differ at most by experience."""
_BMP_HEADERS = frozenset((12, 40, 52, 56, 64, 108, 124))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Image(msgspec.Struct, gc=False):
    """An image by its header."""

    data: bytes
    kind: str
    width: int
    height: int


def image_of(data: bytes) -> Image | None:
    """Kind and dimensions; None where bytes are no PNG, JPEG, GIF, WebP or BMP with a whole header."""
    try:
        found = _sized(data)
    except (StructError, IndexError):  # a header that was cut
        return None
    return Image(data, *found) if found is not None else None


def _sized(data: bytes) -> tuple[str, int, int] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
        return "png", *unpack_from(">II", data, 16)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data)
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return "gif", *unpack_from("<HH", data, 6)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:2] == b"BM" and unpack_from("<I", data, 14)[0] in _BMP_HEADERS:
        old = data[14] == 12
        width, height = unpack_from("<HH" if old else "<ii", data, 18)
        return "bmp", width, abs(height)
    return None


def _jpeg(data: bytes) -> tuple[str, int, int] | None:
    at = 2
    for _ in range(SEGMENTS_MAX):
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF:
            return None
        if marker in _FRAMES:
            height, width = unpack_from(">HH", data, at + 5)
            return "jpeg", width, height
        alone = marker == 0x01 or 0xD0 <= marker <= 0xD8
        at += 2 if alone else 2 + unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> tuple[str, int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return ("webp", width, height) if len(data) >= 30 else None
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = unpack_from("<I", data, 21)[0]
        return "webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = unpack_from("<HH", data, 26)
        return "webp", width & 0x3FFF, height & 0x3FFF
    return None


def images(sink: Sink, old: Image, new: Image) -> None:
    """Emit how two images differ; nothing where both are PNGs of the very same pixels."""
    if old.kind != new.kind:
        sink.add("body", Change("format", TYPE, shown(old), shown(new), f"image:{old.kind}>{new.kind}"))
        return
    if (old.width, old.height) != (new.width, new.height):
        sink.add("body", Change("value", FORMAT, shown(old), shown(new), "image:dimensions"))
        return
    sides = (pixels_of(old.data), pixels_of(new.data)) if old.kind == "png" else (None, None)
    if sides[0] is None or sides[1] is None:
        sink.add("body", Change("value", FORMAT, shown(old), shown(new), f"image:{old.kind}"))
    elif sides[0] != sides[1]:
        sink.add("body", _repainted(old, new, sides[0], sides[1]))


def _repainted(old: Image, new: Image, one: Pixels, two: Pixels) -> Change:
    """Other pixels: a little or another picture."""
    bits = distance(one, two)
    told = f"average hashes {bits} bits apart"
    facet, name = (VALUE, "alike") if bits <= ALIKE_MAX else (FORMAT, "pixels")
    return Change("value", facet, f"{shown(old)}, {told}", f"{shown(new)}, {told}", f"image:{name}")


def shown(image: Image) -> str:
    """An image as a text to look at."""
    return f"{image.width}x{image.height} {described(image.data)}"
