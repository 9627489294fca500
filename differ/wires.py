"""Protobuf on the wire: numbers, types and values of fields, nothing of what they mean (the encoding's own page at protobuf.dev)."""

from __future__ import annotations

FIELDS_MAX = 50_000
"""Fields of the messages of one comparison; a body with more is compared as bytes. Python reads some million a second."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Wire = list[tuple[int, int, int | bytes]]
"""Number, wire type and value of each field."""


def wire(data: bytes) -> Wire | None:
    """The fields of a message; None where the bytes are none. Groups, which nobody writes any more, are not read."""
    found: Wire = []
    at, end = 0, len(data)
    while at < end:
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if at < 0 or not 0 < number < 1 << 29 or len(found) >= FIELDS_MAX:
            return None
        if kind == VARINT:
            value, at = varint(data, at)
            if at < 0:
                return None
            found.append((number, kind, value))
            continue
        if kind == BYTES:
            size, at = varint(data, at)
        else:
            size = 8 if kind == FIXED64 else 4 if kind == FIXED32 else -1
        if at < 0 or size < 0 or at + size > end:
            return None
        found.append((number, kind, data[at : at + size]))
        at += size
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits and where it ends; -1 where it does not."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
    return 0, -1
