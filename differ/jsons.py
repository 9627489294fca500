"""Exact JSON: orjson where it holds everything, a slower parser for what it cannot (long digits, exponents, duplicate keys, NaN)."""

from __future__ import annotations

import json
import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson

_MARKS = bytes(
    0x30 if 0x30 <= c <= 0x39 else 0x65 if c in b"eE" else c if c in b".+-" else 0x5F if c in b":[, \t\r\n" else 0x78
    for c in range(256)
)
"""Digits become 0, exponents e, what may stand before a number _, the rest x: then substring searches find what is rare."""
_RISKY = re.compile(rb"_0(?:[0.]{15}|[0.]*+e[+-]?000)"), re.compile(rb"_-0(?:[0.]{15}|[0.]*+e[+-]?000)")
"""More than 15 digits or an exponent of three; plain and negative apart, since a literal beginning is what makes a search fast."""


class Looks(NamedTuple):
    """What a JSON text holds that a parser or ``==`` could get wrong."""

    lossy: bool
    """Numbers that orjson would round or refuse: more than 15 digits, exponents of three digits."""
    mixed: bool
    """Decimals without a fraction, or booleans: 1, 1.0 and true are equal to Python."""


def looks(data: bytes) -> Looks:
    """Cheap detectors: a false alarm costs time, never a wrong answer. Doubles tell all decimals of up to 15 digits apart."""
    marks = data.translate(_MARKS)
    exponents = b"0e" in marks
    lossy = marks[:1] in b"0-" or ((b"00000000" in marks or (exponents and b"000" in marks)) and _risky(marks))
    return Looks(lossy, lossy or exponents or b".0" in data or b"true" in data or b"false" in data)


def _risky(marks: bytes) -> bool:
    return _RISKY[0].search(marks) is not None or (b"_-" in marks and _RISKY[1].search(marks) is not None)


DIGITS_MAX = 4000
"""Digits of one number that are computed with; longer ones are compared as text."""


_EXACTLY = Context(prec=DIGITS_MAX, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Whatever exponent can be written: with the usual ones, a number beyond them would be an error, and one below them zero."""


class NotJson(ValueError):  # noqa: N818
    """The bytes are not JSON, or nest too deeply to be read."""


class Exact:
    """A number as it was written. Equal when both are integers or both decimals, and exactly equal."""

    __slots__ = ("text", "value")

    def __init__(self, text: str) -> None:
        self.text = text
        self.value: Any = text
        if len(text) <= DIGITS_MAX:
            try:
                value = Decimal(text)
            except InvalidOperation:
                return
            if value.is_finite():  # NaN is not equal to itself, and says the same in both answers
                self.value = value

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

    def key(self) -> str:
        """One text for equal numbers."""
        value = self.value.normalize(_EXACTLY) if isinstance(self.value, Decimal) else self.value
        return f"{'decimal' if self.decimal else 'integer'} {value}"


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


PLAIN, MIXED, LOSSY = range(3)


def read(data: bytes) -> tuple[Any, int]:
    """The value of a JSON text, without loss of digits, and what it holds (:class:`Looks`); NotJson when it is none.

    The numbers of a LOSSY text are :class:`Exact`, which are never equal to plain ones: read both texts of a comparison alike.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # orjson also refuses what is valid but beyond it, and NaN, which is not JSON but written by many servers.
        if b"NaN" in data or b"Infinity" in data or looks(data).lossy:
            return parse_with_duplicates(data), LOSSY
        raise NotJson(str(error)) from error
    try:
        if orjson.dumps(value) == data:  # nothing was lost
            mixed = b"true" in data or b"false" in data or b".0" in data or b"0e" in data.translate(_MARKS)
            return value, MIXED if mixed else PLAIN
    except TypeError:  # deeper than it writes
        pass
    found = looks(data)
    return (parse_with_duplicates(data), LOSSY) if found.lossy else (value, MIXED if found.mixed else PLAIN)


def parse(data: bytes) -> Any:
    """The value of a JSON text, without loss of digits; NotJson when it is none."""
    return read(data)[0]


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
