"""Exact JSON: orjson where it holds everything, a slower parser for what it cannot (long digits, exponents, duplicate keys, NaN)."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

_LONG = re.compile(rb"[0-9]{16}|[0-9][eE][+-]?[0-9]|NaN|Infinity")
"""What orjson would round or refuse."""
_RISKY = re.compile(rb"[0-9]{16}|[0-9][eE][+-]?[0-9]|NaN|Infinity|[0-9]\.[0-9]|\b(?:true|false)\b")
"""What ``==`` could confuse: 1, 1.0 and true are equal to Python."""
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


def risky(data: bytes) -> bool:
    """Whether ``==`` on what was parsed of this text could be wrong."""
    return _RISKY.search(data) is not None


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


def parse(data: bytes) -> Any:
    """The value of a JSON text, without loss of digits; NotJson when it is none."""
    try:
        if _LONG.search(data):
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
