"""The pixels of a PNG (ISO/IEC 15948), of those that are small and plain: 8 bits a channel, not interlaced."""

from __future__ import annotations

import zlib
from struct import error as StructError, unpack_from  # noqa: N812 - a class, named like one

import msgspec

PIXEL_BYTES_MAX = 256 * 1024
"""Bytes of all lines of an image that is unpacked, 256 pixels square: undoing the filters costs Python a quarter of a second a megabyte."""
CHUNKS_MAX = 10_000
GRID = 8
"""Fields on each side of an average hash: 64 bits."""
PROBES = 8
"""Pixels on each side of a field that are looked at; more give the same bits."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""


class Pixels(msgspec.Struct, frozen=True, gc=False):
    """What an image shows; equal when every pixel is."""

    width: int
    height: int
    colour: int
    palette: bytes
    lines: bytes

    def level(self, x: int, y: int) -> int:
        """The brightness of a pixel, roughly: the sum of its colours."""
        channels = _CHANNELS[self.colour]
        at = (y * self.width + x) * channels
        if self.colour == 3:
            index = self.lines[at] * 3
            return sum(self.palette[index : index + 3])
        return sum(self.lines[at : at + (channels if channels % 2 else channels - 1)])


def pixels_of(data: bytes) -> Pixels | None:
    """The pixels of a PNG; None where it is damaged, large, interlaced or of another depth."""
    try:
        width, height, depth, colour, *_, interlaced = unpack_from(">IIBBBBB", data, 16)
        channels = _CHANNELS[colour]
        size = (width * channels + 1) * height
        if depth != 8 or interlaced or not width or not 0 < size <= PIXEL_BYTES_MAX:
            return None
        chunks = _chunks(data)
        packed = chunks.get(b"IDAT", b"")
        lines = zlib.decompressobj().decompress(packed, size)
        if len(lines) != size:
            return None
        # What turns samples into colours belongs to them.
        palette = b"".join(chunks.get(name, b"") for name in (b"PLTE", b"tRNS", b"gAMA", b"iCCP"))
        return Pixels(width, height, colour, palette, _unfiltered(lines, width * channels, channels))
    except (StructError, KeyError, IndexError, ValueError, zlib.error):
        return None


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The content of all chunks by name, those of one name joined."""
    found: dict[bytes, list[bytes]] = {}
    at = 8
    for _ in range(CHUNKS_MAX):
        if at + 8 > len(data):
            break
        size, name = unpack_from(">I4s", data, at)
        found.setdefault(name, []).append(data[at + 8 : at + 8 + size])
        at += 12 + size
    return {name: b"".join(pieces) for name, pieces in found.items()}


def _unfiltered(lines: bytes, width: int, step: int) -> bytes:
    """Lines without their filters (section 9)."""
    found: list[bytes] = []
    before = bytearray(width)
    for begin in range(0, len(lines), width + 1):
        line = bytearray(lines[begin + 1 : begin + 1 + width])
        _undo(lines[begin], line, before, step)
        found.append(bytes(line))
        before = line
    return b"".join(found)


def _undo(kind: int, line: bytearray, before: bytearray, step: int) -> None:
    if kind == 1:
        for at in range(step, len(line)):
            line[at] = (line[at] + line[at - step]) & 255
    elif kind == 2:
        for at, above in enumerate(before):
            line[at] = (line[at] + above) & 255
    elif kind == 3:
        for at, above in enumerate(before):
            left = line[at - step] if at >= step else 0
            line[at] = (line[at] + (left + above) // 2) & 255
    elif kind == 4:
        for at, above in enumerate(before):
            left, corner = (line[at - step], before[at - step]) if at >= step else (0, 0)
            line[at] = (line[at] + _paeth(left, above, corner)) & 255
    elif kind:
        raise ValueError(kind)


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    a, b, c = abs(guess - left), abs(guess - above), abs(guess - corner)
    return left if a <= b and a <= c else above if b <= c else corner


def distance(old: Pixels, new: Pixels) -> int:
    """Bits in which the average hashes of two images differ: 0 for one picture, about 32 for two that have nothing in common."""
    return (average_hash(old) ^ average_hash(new)).bit_count()


def average_hash(image: Pixels) -> int:
    """Which of 64 fields are brighter than the image on average."""
    levels = [_field(image, column, row) for row in range(GRID) for column in range(GRID)]
    mean = sum(levels) / len(levels)
    return sum(1 << bit for bit, level in enumerate(levels) if level > mean)


def _field(image: Pixels, column: int, row: int) -> float:
    xs = _probes(image.width, column)
    ys = _probes(image.height, row)
    return sum(image.level(x, y) for y in ys for x in xs) / (len(xs) * len(ys))


def _probes(size: int, field: int) -> list[int]:
    """Some places of one of the GRID parts of a side."""
    begin, end = field * size // GRID, max(field * size // GRID + 1, (field + 1) * size // GRID)
    return list(range(begin, end, max(1, (end - begin) // PROBES)))
