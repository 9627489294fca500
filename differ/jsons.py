"""Exact JSON: orjson where it holds everything, a slower parser for what it cannot (long digits, exponents, duplicate keys, NaN)."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson

_MARKS = bytes(0x30 if 0x30 <= c <= 0x39 else 0x65 if c in b"eE" else c if c in b".+-" else 0x78 for c in range(256))
"""Digits become 0, exponents e, everything that cannot stand in a number x: then substring searches find what is rare."""
_EXPONENT = re.compile(rb"[:\[,\s]-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]")
_LONG_NUMBER = re.compile(rb"[:\[,\s]-?[0-9.]{16}|\A-?[0-9.]{16}")


class Looks(NamedTuple):
    """What a JSON text holds that a parser or ``==`` could get wrong."""

    lossy: bool
    """Numbers that orjson would round or refuse."""
    mixed: bool
    """Decimals or booleans: 1, 1.0 and true are equal to Python."""


def looks(data: bytes) -> Looks:
    """Cheap detectors: a false alarm costs time, never a wrong answer."""
    marks = data.translate(_MARKS)
    lossy = b"NaN" in data or b"Infinity" in data
    if not lossy and (b"0000000000000000" in marks or (b"0.0" in marks and b"0" * 12 in marks)):
        lossy = _LONG_NUMBER.search(data) is not None
    if not lossy and (b"0e" in marks):
        lossy = _EXPONENT.search(data) is not None or data[:1] in b"-0123456789"
    return Looks(lossy, lossy or b"0.0" in marks or b"true" in data or b"false" in data)


DIGITS_MAX = 4000
"""Digits of one number that are computed with; longer ones are compared as text."""


class NotJson(ValueError):  # noqa: N818
    """The bytes are not JSON, or nest too deeply to be read."""


class Exact:
    """A number as it was written. Equal when both are integers or both decimals, and exactly equal."""

    __slots__ = ("text", "value")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.value: Any = Decimal(text) if len(text) <= DIGITS_MAX else text
        except InvalidOperation:
            self.value = text

    @property
    def decimal(self) -> bool:
        """Whether it was written with a point or an exponent."""
        return any(mark in self.text for mark in ".eE")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact) and self.value == other.value and self.decimal == other.decimal

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return self.text


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that comes again is kept under a name of its own, so that it is seen."""
    found: dict[str, Any] = {}
    for key, value in items:
        name, again = key, 2
        while name in found:
            name, again = f"{key} (again {again})", again + 1
        found[name] = value
    return found


def _integer(text: str) -> Any:
    return int(text) if len(text) < 16 else Exact(text)


def parse(data: bytes, lossy: bool | None = None) -> Any:
    """The value of a JSON text, without loss of digits; NotJson when it is none. ``lossy``: what :func:`looks` said."""
    try:
        if looks(data).lossy if lossy is None else lossy:
            return _slow(data)
        return orjson.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


def _slow(data: bytes) -> Any:
    return json.loads(data, parse_float=Exact, parse_int=_integer, parse_constant=Exact, object_pairs_hook=_pairs)


def has_duplicates(data: bytes, value: Any) -> bool:
    """Whether an object of the text has a key twice: its text then has more keys than its value.

    Asked only where two different texts have equal values, since every parser drops one of the two silently. A key written with
    a blank before its colon is not counted, so the answer may be a wrong no for such a text, never a wrong yes.
    """
    try:
        text = orjson.dumps(value, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # deeper than orjson writes
        text = json.dumps(value, default=repr, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
    return data.count(b'":') > text.count(b'":')


def parse_with_duplicates(data: bytes) -> Any:
    """The value with repeated keys kept; NotJson when it cannot be read."""
    try:
        return _slow(data)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
