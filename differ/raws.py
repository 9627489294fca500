"""Equal bytes first, at every level of JSON: members are cut out as raw texts, equal ones put aside, and only what differs is parsed.

Cutting costs a quarter of parsing, and two equal texts are equal exactly, whatever their numbers. What differs goes to the same
:class:`~differ.walk.Walk` as everywhere: leaves at once, and as whole trees what has to be aligned first. Only valid JSON gets here.
"""

from __future__ import annotations

from itertools import compress
from operator import ne
from typing import Any

import msgspec
from orjson import JSONDecodeError, loads

from differ.aligning import KEYS, exactly_equal
from differ.difference import PERMUTATION, VALUE
from differ.jsons import LOSSY, parse_with_duplicates, read
from differ.places import Place
from differ.sink import MISSING, Change
from differ.walk import DEADLINE_MASK, OURS, Walk

DEPTH_MAX = 12
"""Levels that are cut one by one: each reads what differs once more. Below, trees are parsed whole; few answers nest so deep."""
DIGITS_MAX = 15
"""A number of so many characters, without an exponent, is what a double or 64 bits hold exactly."""

Raw = msgspec.Raw
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode
_QUOTE, _NINE, _ARRAY, _OBJECT = b'"9[{'
_HOLDERS = frozenset((_ARRAY, _OBJECT))
_EXPONENTS = frozenset(b"eE.")


def differing(walk: Walk, old: bytes, new: bytes, place: Place) -> None:
    """Emit what differs between two texts of JSON that are not the same.

    Raises:
        msgspec.MsgspecError, NotJson, RecursionError: one of them is no JSON, or nests too deeply to be cut.
        TooMuch: a bound of the walk was reached.
    """
    _pair(walk, old, new, place, 0)


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8, which cutting does not look at."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pair(walk: Walk, old: bytes, new: bytes, place: Place, depth: int) -> None:
    """Two texts that are not the same."""
    first = old[0]
    if first not in _HOLDERS:
        _leaf(walk, old, new, place, depth)
    elif first != new[0] or depth >= DEPTH_MAX:
        _whole(walk, old, new, place, depth)
    elif first == _OBJECT:
        _objects(walk, _members(old), _members(new), place, depth)
    else:
        _arrays(walk, _elements(old), _elements(new), place, depth)


def _leaf(walk: Walk, old: bytes, new: bytes, place: Place, depth: int) -> None:
    """Two texts of which the first is a string, a number or a literal."""
    try:
        one, two = loads(old), loads(new)
    except JSONDecodeError:  # numbers beyond a double
        _whole(walk, old, new, place, depth)
        return
    kind = one.__class__
    if kind is not two.__class__ or kind is bool:
        _whole(walk, old, new, place, depth)
    elif kind is str:
        if one != two:
            walk.strings(one, two, place.value)
    elif len(old) > DIGITS_MAX or len(new) > DIGITS_MAX or (kind is float and _has_exponent(old, new)):
        _whole(walk, old, new, place, depth)
    elif one != two:
        walk.numbers(one, two, place)


def _has_exponent(old: bytes, new: bytes) -> bool:
    return 101 in old or 101 in new or 69 in old or 69 in new


def _whole(walk: Walk, old: bytes, new: bytes, place: Place, depth: int) -> None:
    """Two texts as the trees they are, with exact numbers where one of them needs it."""
    (one, holds), (two, others) = read(old), read(new)
    if LOSSY in {holds, others}:
        one, two = parse_with_duplicates(old), parse_with_duplicates(new)
    if one != two or not exactly_equal(one, two):
        walk.walk(one, two, place, depth)


def _objects(walk: Walk, old: dict[str, Raw], new: dict[str, Raw], place: Place, depth: int) -> None:
    """Keys by name: missing, added, or compared."""
    walk.met = met = walk.met + 1
    if not met & DEADLINE_MASK:
        walk.check(depth)
    get, children, gone = new.get, place.children, False
    for key, value in old.items():
        other = get(key)
        if other is None:
            gone = True
            if key.lower() not in OURS:
                walk.came_or_went("missing", place, key, _value(value), MISSING)
        elif value != other:
            _pair(walk, bytes(value), bytes(other), children.get(key) or place.child(key), depth + 1)
    if len(new) == len(old) and not gone:
        return
    for key, value in new.items():
        if key not in old and key.lower() not in OURS:
            walk.came_or_went("added", place, key, MISSING, _value(value))


def _value(raw: Raw) -> Any:
    return read(bytes(raw))[0]


def _arrays(walk: Walk, old: list[Raw], new: list[Raw], place: Place, depth: int) -> None:
    """Elements at their own places where they belong there; else the arrays are aligned as trees."""
    if len(old) != len(new):
        _whole(walk, _joined(old), _joined(new), place, depth)
        return
    left = list(compress(zip(old, new, strict=True), map(ne, old, new)))
    if not left:
        return
    inside = place.children.get(None) or place.child(None)
    if len(left) == 1:
        _pair(walk, bytes(left[0][0]), bytes(left[0][1]), inside, depth + 1)
        return
    olds, news = [bytes(one) for one, _ in left], [bytes(two) for _, two in left]
    if sorted(olds) == sorted(news):
        change = Change("order", VALUE, _joined(olds), _joined(news), "order", flags=PERMUTATION)
        walk.sink.add(place.text, change)
    elif members := _in_place(olds, news):
        for one, two in zip(*members, strict=True):
            _objects(walk, one, two, inside, depth + 1)
    else:
        _whole(walk, _joined(olds), _joined(news), place, depth)


def _joined(elements: list[bytes] | list[Raw]) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def _in_place(olds: list[bytes], news: list[bytes]) -> tuple[list[dict[str, Raw]], list[dict[str, Raw]]] | None:
    """The members of two arrays' objects, if a key that is unique in both says that each belongs to that at its own place.

    The same as :func:`differ.aligning.by_key` finds; where it would find anything else, the answer is None.
    """
    if olds[0][0] != _OBJECT or news[0][0] != _OBJECT:
        return None
    try:
        one, two = list(map(_members, olds)), list(map(_members, news))
    except msgspec.ValidationError:  # not all of them are objects
        return None
    for name in KEYS:
        if name not in one[0]:
            continue
        try:
            raws, others = [item[name] for item in one], [item[name] for item in two]
        except KeyError:
            continue
        if raws != others:
            return None
        keys = list(map(bytes, raws))
        if len(set(keys)) == len(keys) and all(map(_is_key, keys)):
            return one, two
        return None
    return None


def _is_key(text: bytes) -> bool:
    """Whether a text is a string that is written in one way only, or an integer."""
    if text[0] == _QUOTE:
        return b"\\" not in text
    return text[0] <= _NINE and _EXPONENTS.isdisjoint(text)
