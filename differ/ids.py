"""What in an answer is an id, and of what: by its looks, or by the name of its place. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from differ.classes import klass_of
from differ.jsons import Exact

OPAQUE = frozenset(("uuid", "hash", "token"))
"""Classes of values that are ids by their looks."""
LENGTH_MAX = 512
"""A longer text is no id and no link to one."""
NAMED_MAX = 64
"""Characters of a text, or a number, that is an id only because its place says so: Python reads no number of thousands of digits."""
DIGITS_MIN = 6
"""Two different counters may well both be at 17; at a number of so many digits they hardly meet."""
SINGLE_MIN = 12
"""Fewer characters than this tell two random ids apart by luck only."""

_LAST = re.compile(r"(?:\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\])(?:\[\*\])*$")
_OWN = re.compile(r"(?i:_?id|uuid|guid|uid)")
_FOREIGN = re.compile(r"(?P<noun>.*?)(?:[_-](?i:id|uuid|guid|uid)s?|(?<=[a-z0-9])(?:Id|ID|Uuid|UUID|Guid)s?)")
_SEGMENT = re.compile(r"[\w-]+")


class Id(NamedTuple):
    """An id and what it names; the noun of one that can be no other thing's id by luck is empty."""

    noun: str
    text: str


class Name(NamedTuple):
    """What the name of a place says of the ids there."""

    noun: str
    """``user`` for ``user_id``, and for ``id`` under ``users``; empty where nothing says it."""
    own: bool
    """Whether the id is that of the thing which has it: other places refer to this one."""


@lru_cache(maxsize=8192)
def name_of(where: str) -> Name | None:
    """What the last key of a place says of ids; None when it names none."""
    found = _LAST.search(where)
    if found is None:
        return None
    key = found[1] or found[2] or ""
    if _OWN.fullmatch(key):
        above = _LAST.search(where[: found.start()])
        return Name(singular(above[1] or above[2] or "") if above else "", own=True)
    foreign = _FOREIGN.fullmatch(key)
    return Name(singular(foreign["noun"]), own=False) if foreign else None


def singular(noun: str) -> str:
    """One spelling for a thing and for many of it, of ``addresses`` and ``movies`` too. It is compared, and shown to nobody."""
    noun = noun.lower()
    stem = noun.rstrip("es") or noun
    return stem[:-1] + "i" if stem.endswith("y") else stem


def ids_in(value: Any, where: str) -> tuple[str, list[Id]]:
    """The ids in a value of a place, and the value without them."""
    if value.__class__ is int or (isinstance(value, Exact) and not value.decimal):
        text = str(value)
        found = named(text, where) if len(text) <= NAMED_MAX else None
    elif not isinstance(value, str) or len(value) > LENGTH_MAX:
        return "", []
    elif is_opaque(value):
        found = Id("", value)
    elif "/" in value:
        return linked(value)
    else:
        found = named(value, where) if len(value) <= NAMED_MAX and not any(map(str.isspace, value)) else None
    return "", [found] if found is not None else []


def named(text: str, where: str) -> Id | None:
    """The id that a place of such a name holds; None when the name is none of an id, or tells not of what."""
    name = name_of(where)
    if name is None:
        return None
    if text.isdigit() and len(text) >= DIGITS_MIN:
        return Id("", text)
    return Id(name.noun, text) if name.noun and text else None


@lru_cache(maxsize=4096)
def is_opaque(text: str) -> bool:
    """Whether a text was drawn so that no other thing has the same."""
    klass = klass_of(text) if len(text) >= SINGLE_MIN else ""
    if klass == "token":
        return _SEGMENT.fullmatch(text) is not None
    return klass in OPAQUE and '"' not in text


def linked(text: str) -> tuple[str, list[Id]]:
    """The ids among the steps of a link (``/users/17``: a user), and the link without them."""
    found: list[Id] = []
    before = ""

    def step(match: re.Match[str]) -> str:
        nonlocal before
        here, noun, before = match[0], before, match[0]
        if is_opaque(here):
            found.append(Id("", here))
        elif here.isdigit() and text[match.start() - 1 : match.start()] == "/" and noun:
            found.append(Id("" if len(here) >= DIGITS_MIN else singular(noun), here))
        else:
            return here
        return "\0"

    return _SEGMENT.sub(step, text), found
