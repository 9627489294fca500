"""What a rule asks of two values: numbers or times that are near, texts of one form, members in another order. Pure, bounded.

A value that is not of the sort that a matcher knows, or too long for it, is not matched: its difference stays one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from differ.classes import instant_ns, klass_of
from differ.difference import EXCERPT_BYTES
from differ.jsons import Exact
from differ.rules_automaton import Budget, automaton
from differ.sink import MISSING
from echolane.rules import CLASS, IGNORE, IGNORE_ORDER, REGEX, TOLERANCE, Rule

COUNTER = "counter"
CLASSES = ("time", "uuid", "hash", COUNTER, "token")
DIGITS_MAX = 512
"""A longer number is an id, of which near has no meaning."""
TEXT_MAX = EXCERPT_BYTES - 1
"""Texts of this length may be excerpts; what was cut off could hide a change."""
Matcher = Callable[[Any, Any, Budget], bool]
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,4})?")
_COUNTER = re.compile(r"\d{1,20}")


def matcher_of(rule: Rule) -> Matcher | None:
    """Whether two values are what the rule allows; None where the rule asks nothing of them, or asks a function."""
    if rule.matcher == TOLERANCE:
        return near(rule)
    if rule.matcher == REGEX:
        return formed(rule.pattern)
    if rule.matcher == CLASS:
        return of_class(rule.klass)
    return None


ALWAYS = frozenset((IGNORE, IGNORE_ORDER))
"""Matchers that ask nothing of the values: the place and the kind say it all."""


def plain(value: Any) -> Any:
    """A value as it was met in a comparison: raw texts of JSON are read."""
    if value.__class__ is bytes:
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return MISSING
    return value


def decimal_of(value: Any) -> Decimal | None:
    """A number, or a text that is one, exactly; None for anything else."""
    if isinstance(value, bool):
        return None
    text = value.text if isinstance(value, Exact) else repr(value) if isinstance(value, int | float) else value
    if not isinstance(text, str) or len(text) > DIGITS_MAX or not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def near(rule: Rule) -> Matcher:
    """Numbers that differ by at most ``absolute`` or ``relative`` (of the larger), times by at most ``within``."""
    absolute = None if rule.absolute is None else Decimal(repr(rule.absolute))
    relative = None if rule.relative is None else Decimal(repr(rule.relative))
    within_ns = None if rule.within_s is None else int(rule.within_s * 1e9)

    def matches(old: Any, new: Any, _: Budget) -> bool:
        old, new = plain(old), plain(new)
        if within_ns is not None:
            one, two = instant_ns(old), instant_ns(new)
            if one is not None and two is not None:
                return abs(one - two) <= within_ns
        left, right = decimal_of(old), decimal_of(new)
        if left is None or right is None:
            return False
        apart = abs(left - right)
        if absolute is not None and apart <= absolute:
            return True
        return relative is not None and apart <= relative * max(abs(left), abs(right))

    return matches


def formed(pattern: str) -> Matcher:
    """Texts that a pattern matches, both of them and whole."""
    found = automaton(pattern)

    def matches(old: Any, new: Any, budget: Budget) -> bool:
        one, two = text_of(plain(old)), text_of(plain(new))
        return one is not None and two is not None and found.matches(one, budget) and found.matches(two, budget)

    return matches


def of_class(name: str) -> Matcher:
    """Values of one class by their looks (:mod:`differ.classes`)."""
    if name == COUNTER:
        return lambda old, new, _: _is_counter(plain(old)) and _is_counter(plain(new))
    is_time = name == "time"

    def is_one(value: Any) -> bool:
        if isinstance(value, str):
            return len(value) <= TEXT_MAX and klass_of(value) == name
        return is_time and instant_ns(value) is not None

    return lambda old, new, _: is_one(plain(old)) and is_one(plain(new))


def _is_counter(value: Any) -> bool:
    text = text_of(value)
    return text is not None and _COUNTER.fullmatch(text) is not None


def text_of(value: Any) -> str | None:
    """A text, or a number as it is written; None for what has members, for true, false and null, and for excerpts."""
    if isinstance(value, str):
        return value if len(value) < TEXT_MAX else None
    if isinstance(value, Exact):
        return value.text
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
