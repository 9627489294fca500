"""Blocks of ClickHouse's Native format, told apart without being understood: how many bytes each takes, by the types it names."""

from __future__ import annotations

import re
import struct
from functools import lru_cache

WIDTHS = {"Nothing": 1, "Bool": 1, "Enum8": 1, "Enum16": 2, "Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8}
WIDTHS |= {
    "UUID": 16,
    "IPv4": 4,
    "IPv6": 16,
    "Float32": 4,
    "Float64": 8,
    "Decimal32": 4,
    "Decimal64": 8,
    "Decimal128": 16,
}
WIDTHS |= {f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)}
_NAMED = re.compile(r"(?:`[^`]+`|[A-Za-z_]\w*) (.+)", re.DOTALL)


class Short(Exception):  # noqa: N818
    """The block goes on beyond what is here."""


def varint(number: int) -> bytes:
    """A length on the wire."""
    out = bytearray()
    while number >= 128:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str) -> bytes:
    """A text on the wire."""
    data = value.encode()
    return varint(len(data)) + data


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A length, and where it ends."""
    number, shift = 0, 0
    while True:
        if at >= len(data):
            raise Short
        number |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return number, at
        shift += 7


def read_text(data: bytes | bytearray, at: int) -> tuple[str, int]:
    """A text, and where it ends."""
    size, at = read_varint(data, at)
    if at + size > len(data):
        raise Short
    return bytes(data[at : at + size]).decode("utf-8", "replace"), at + size


def end_of_block(data: bytes | bytearray, at: int) -> int:
    """Where the block that begins at ``at`` ends."""
    columns, at = read_varint(data, at)
    rows, at = read_varint(data, at)
    for _ in range(columns):
        at = end_of_column(data, at, rows)
    return at


def end_of_column(data: bytes | bytearray, at: int, rows: int) -> int:
    """Where the column that begins at ``at`` with its name ends; Short if that is not here."""
    _, at = read_text(data, at)
    kind, at = read_text(data, at)
    at = _body(data, at + _prefix(kind), kind, rows) if rows else at
    if at > len(data):
        raise Short
    return at


@lru_cache(maxsize=1024)
def parts(kind: str) -> tuple[str, tuple[str, ...]]:
    """A type's name and its arguments: ``Array(String)`` to ``("Array", ("String",))``."""
    name, parenthesis, inner = kind.partition("(")
    found, depth, last, quoted = list[str](), 0, 0, False
    inner = inner.removesuffix(")")
    for index, char in enumerate(inner):
        quoted ^= char == "'"
        depth += (char == "(") - (char == ")")
        if char == "," and not depth and not quoted:
            found.append(inner[last:index].strip())
            last = index + 1
    return name, (*found, inner[last:].strip()) if parenthesis else ()


def _prefix(kind: str) -> int:
    name, inner = parts(kind)
    if name == "LowCardinality":
        return 8
    return sum(map(_prefix, _elements(name, inner))) if name in {"Array", "Nullable", "Tuple", "Map"} else 0


def _elements(name: str, inner: tuple[str, ...]) -> list[str]:
    named = [_NAMED.fullmatch(one) for one in inner]
    return [found[1] if found and name == "Tuple" else one for found, one in zip(named, inner, strict=True)]


def _body(data: bytes | bytearray, at: int, kind: str, rows: int) -> int:
    name, inner = parts(kind)
    if name == "String":
        return _strings(data, at, rows)
    if name == "FixedString":
        return at + rows * int(inner[0])
    if name == "Decimal":
        digits = int(inner[0])
        return at + rows * (4 if digits < 10 else 8 if digits < 19 else 16 if digits < 39 else 32)
    if name == "Nullable":
        return _body(data, at + rows, inner[0], rows)
    if name in {"Array", "Map"}:
        count = _number(data, at + 8 * (rows - 1)) if rows else 0
        at += 8 * rows
        for one in inner:
            at = _body(data, at, one, count)
        return at
    if name == "Tuple":
        for one in _elements(name, inner):
            at = _body(data, at, one, rows)
        return at
    if name == "LowCardinality":
        if not rows:
            return at
        flags, keys = _number(data, at), _number(data, at + 8)
        kept = parts(inner[0])
        at = _body(data, at + 16, kept[1][0] if kept[0] == "Nullable" else inner[0], keys)
        return at + 8 + _number(data, at) * (1 << (flags & 15))
    return at + rows * WIDTHS[name]


def _strings(data: bytes | bytearray, at: int, rows: int) -> int:
    try:
        for _ in range(rows):
            size = data[at]
            at += 1
            if size >= 128:
                size, at = read_varint(data, at - 1)
            at += size
    except IndexError:
        raise Short from None
    return at


def _number(data: bytes | bytearray, at: int) -> int:
    if at + 8 > len(data):
        raise Short
    return int(struct.unpack_from("<Q", data, at)[0])
