"""Equal bytes first, at every level of JSON: members are cut out as raw texts, equal ones put aside, and only what differs is parsed.

Cutting costs a quarter of parsing, and two equal texts are equal exactly, whatever their numbers. What differs goes to the same
:class:`~differ.walk.Walk` as everywhere: leaves at once, and as whole trees what has to be aligned first. Only valid JSON gets here.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import msgspec
from orjson import JSONDecodeError, dumps, loads

from differ.aligning import exactly_equal
from differ.difference import ORDER_OF, PERMUTATION, VALUE
from differ.drawn_keys import Map, drawn_keys, keep
from differ.echoes import NOBODY, Own, unechoed
from differ.jsons import LOSSY, parse_with_duplicates, read
from differ.keying import KEYS
from differ.places import Place
from differ.sink import MISSING, Change
from differ.walk import DEADLINE_MASK, NUMBERS, OURS, Walk

DEPTH_MAX = 12
"""Levels that are cut one by one: each reads what differs once more. Below, trees are parsed whole; few answers nest so deep."""
DIGITS_MAX = 15
"""A number of so many characters, without an exponent, is what a double or 64 bits hold exactly."""

LARGE = 1024
"""Bytes of an array's objects, on average, from which on it pays to cut them once more; smaller ones are read faster as trees."""

Raw = msgspec.Raw
Owns = tuple[Own, Own]
Rows = list[dict[str, Raw]]
_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode
_rows = msgspec.json.Decoder(list[dict[str, Raw]]).decode
_QUOTE, _NINE, _ARRAY, _OBJECT = b'"9[{'
_HOLDERS = frozenset((_ARRAY, _OBJECT))
_EXPONENTS = frozenset(b"eE.")


class Uncut(Exception):  # noqa: N818
    """Cutting cannot tell: the texts are to be compared as whole trees."""


def differing(walk: Walk, old: bytes, new: bytes, place: Place, owns: Owns | None) -> None:
    """Emit what differs between two texts of JSON that are not the same.

    What each target echoes of itself is masked where texts differ, and not looked for elsewhere; not at all without ``owns``.

    Raises:
        msgspec.MsgspecError, NotJson, Uncut, RecursionError: one of them is no JSON, or cannot be cut.
        TooMuch: a bound of the walk was reached.
    """
    _pair(walk, old, new, place, 0, owns)
    walk.settle()


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8, which cutting does not look at."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pair(walk: Walk, old: bytes, new: bytes, place: Place, depth: int, owns: Owns | None) -> None:
    """Two texts that are not the same; without ``owns`` they are masked already."""
    first = old[0]
    if first not in _HOLDERS:
        _leaf(walk, old, new, place, depth, owns)
    elif first != new[0] or depth >= DEPTH_MAX:
        _whole(walk, old, new, place, depth, owns)
    elif first == _OBJECT:
        walk.lossy = True
        _objects(walk, _members(old), _members(new), place, depth, owns)
    else:
        _arrays(walk, _elements(old), _elements(new), place, depth, owns)


def _leaf(walk: Walk, old: bytes, new: bytes, place: Place, depth: int, owns: Owns | None) -> None:
    """Two texts of which the first is a string, a number or a literal."""
    if owns is not None and old[0] == _QUOTE:
        old, new = unechoed(old, owns[0]), unechoed(new, owns[1])
    try:
        one, two = loads(old), loads(new)
    except JSONDecodeError:  # numbers beyond a double
        _whole(walk, old, new, place, depth, owns)
        return
    kind = one.__class__
    if kind is not two.__class__ or kind is bool:
        _whole(walk, old, new, place, depth, owns)
    elif kind is str:
        if one != two:
            walk.strings(one, two, place.value)
    elif len(old) > DIGITS_MAX or len(new) > DIGITS_MAX or (kind is float and _has_exponent(old, new)):
        _whole(walk, old, new, place, depth, owns)
    elif one != two:
        walk.numbers(one, two, place)


def _has_exponent(old: bytes, new: bytes) -> bool:
    return 101 in old or 101 in new or 69 in old or 69 in new


def _whole(walk: Walk, old: bytes, new: bytes, place: Place, depth: int, owns: Owns | None) -> None:
    """Two texts as the trees they are."""
    one, two = _trees(walk, old, new, owns)
    if one != two or not exactly_equal(one, two):
        walk.walk(one, two, place, depth)


def _trees(walk: Walk, old: bytes, new: bytes, owns: Owns | None) -> tuple[Any, Any]:
    """Two texts parsed, with exact numbers where one of them needs it."""
    if owns is not None:
        old, new = unechoed(old, owns[0]), unechoed(new, owns[1])
    walk.lossy = True
    (one, holds), (two, others) = read(old), read(new)
    if LOSSY in {holds, others}:
        one, two = parse_with_duplicates(old), parse_with_duplicates(new)
    return one, two


def _objects(walk: Walk, old: dict[str, Raw], new: dict[str, Raw], place: Place, depth: int, owns: Owns | None) -> None:
    """Keys by name: missing, added, or compared."""
    walk.met = met = walk.met + 1
    if not met & DEADLINE_MASK:
        walk.check(depth)
    children, gone = place.children, False
    for key, value in old.items():
        other = new.get(key)
        if other is None:
            gone = True
        elif value != other:
            _pair(walk, bytes(value), bytes(other), children.get(key) or place.child(key), depth + 1, owns)
    if gone or len(new) != len(old):
        _apart(walk, old, new, place, depth, owns)


def _apart(walk: Walk, old: dict[str, Raw], new: dict[str, Raw], place: Place, depth: int, owns: Owns | None) -> None:
    """Keys that only one of two objects has: missing, added, or drawn anew."""
    gone, came = [key for key in old if key not in new], [key for key in new if key not in old]
    drawn = drawn_keys(old, new, gone, came)
    for key in gone:
        if key not in drawn:
            _came_or_went(walk, "missing", place, key, (old[key], None), owns)
    for key in came:
        if key not in drawn:
            _came_or_went(walk, "added", place, key, (None, new[key]), owns)
    if drawn:
        walk.put_off(Map(*_trees(walk, _only(old, drawn), _only(new, drawn), owns), keep(old, new)), place, depth)


def _only(members: dict[str, Raw], keys: frozenset[str]) -> bytes:
    """The text of an object with these of its members alone."""
    return b"{%b}" % b",".join(b"%b:%b" % (dumps(key), raw) for key, raw in members.items() if key in keys)


def _came_or_went(
    walk: Walk, kind: str, place: Place, key: str, sides: tuple[Raw | None, Raw | None], owns: Owns | None
) -> None:
    """A key is there on one side only."""
    if key.lower() in OURS:
        return
    owner = NOBODY if owns is None else owns[sides[0] is None]
    if unechoed(named := key.encode(), owner) is not named:
        raise Uncut
    values = [MISSING if raw is None else read(unechoed(bytes(raw), owner))[0] for raw in sides]
    walk.came_or_went(kind, place, key, *values)


def _arrays(walk: Walk, old: list[Raw], new: list[Raw], place: Place, depth: int, owns: Owns | None) -> None:
    """Elements at their own places where they belong there; else the arrays are aligned as trees."""
    if len(old) != len(new):
        _whole(walk, _joined(old), _joined(new), place, depth, owns)
        return
    olds: list[Raw] = []
    news: list[Raw] = []
    for one, two in zip(old, new, strict=True):  # at any length a tenth faster than map() and compress()
        if one != two:
            olds.append(one)
            news.append(two)
    if not olds:
        return
    inside = place.children.get(None) or place.child(None)
    if len(olds) == 1:
        _pair(walk, bytes(olds[0]), bytes(news[0]), inside, depth + 1, owns)
        return
    data, other = texts = _joined(olds), _joined(news)
    if owns is not None:
        data, other = unechoed(data, owns[0]), unechoed(other, owns[1])
        if data == other:
            return
        if data is not texts[0] or other is not texts[1]:
            # What was an echo may have been all that was different in some of them.
            _arrays(walk, _elements(data), _elements(other), place, depth, None)
            return
    # An element that is elsewhere on the other side says at once that not each is at its own place.
    if olds[0] not in news and _by_key_in_place(walk, data, other, inside, depth + 1):
        return
    if sorted(map(bytes, olds)) == sorted(map(bytes, news)):
        walk.sink.add(place.text, Change("order", VALUE, data, other, f"{ORDER_OF}{len(old)}", flags=PERMUTATION))
    else:
        _whole(walk, data, other, place, depth, None)


def _joined(elements: list[Raw]) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def _by_key_in_place(walk: Walk, one: bytes, two: bytes, inside: Place, depth: int) -> bool:
    """Compare objects whose key says that each belongs to that at its own place; whether one does.

    The key is the same as :func:`differ.aligning.by_key` finds; where that would find anything else, the answer is no.
    """
    if one[1] != _OBJECT or two[1] != _OBJECT:
        return False
    try:
        items, others = _rows(one), _rows(two)
    except msgspec.ValidationError:  # not all are objects
        return False
    names = _keyed(items, others)
    if names is None or not _unique_raws(names):
        return False
    if len(one) > LARGE * len(items) or not _at_once(walk, len(one) - len(two), (items, others), inside, depth):
        walk.lossy = True
        for old, new in zip(items, others, strict=True):
            _objects(walk, old, new, inside, depth, None)
    return True


def _at_once(walk: Walk, longer: int, rows: tuple[Rows, Rows], inside: Place, depth: int) -> bool:
    """Compare objects that have the same keys; whether they have. What differs in all of them is parsed in one go.

    Another number than a double, or one that another text says too, is left to the other way.
    """
    unlike = _unlike(rows, inside)
    if unlike is None:
        return False
    places, one, two = unlike
    # What is equal is as long on both sides, save where a key comes twice, which cutting drops, or blanks stand between.
    if longer != len(one) - len(two):
        walk.lossy = True
    both = b"[[%b],[%b]]" % (one, two)
    try:
        trees = loads(both)
        if dumps(trees) != both:
            return False
    except (TypeError, ValueError):  # deeper than orjson writes, or a number beyond a double
        return False
    for place, value, other in zip(places, *trees, strict=True):
        kind = value.__class__
        if kind in NUMBERS and kind is other.__class__:
            if value != other:
                walk.numbers(value, other, place)
        elif kind is dict or value != other or not exactly_equal(value, other):
            walk.walk(value, other, place, depth + 1)
    return True


def _unlike(rows: tuple[Rows, Rows], inside: Place) -> tuple[list[Place], bytes, bytes] | None:
    """The members of two lists of objects whose texts differ, each with its place; None where a key is there on one side only."""
    children = inside.children
    places: list[Place] = []
    olds: list[Raw] = []
    news: list[Raw] = []
    try:
        for old, new in zip(*rows, strict=True):
            if len(old) != len(new):
                return None
            for key, value in old.items():
                other = new[key]
                if value != other:
                    places.append(children.get(key) or inside.child(key))
                    olds.append(value)
                    news.append(other)
    except KeyError:
        return None
    return places, b",".join(olds), b",".join(news)


def _keyed(items: Rows, others: Rows) -> list[Raw] | None:
    """The keys of objects, which are the same on both sides; None where they are not, or there are none."""
    for name in KEYS:
        if name not in items[0]:
            continue
        try:
            key_of = itemgetter(name)
            keys, other_keys = list(map(key_of, items)), list(map(key_of, others))
        except KeyError:
            continue
        return keys if keys == other_keys else None
    return None


def _unique_raws(keys: list[Raw]) -> bool:
    texts = set(map(bytes, keys))
    return len(texts) == len(keys) and (b"".join(texts).isdigit() or all(map(_is_key, texts)))


def _is_key(text: bytes) -> bool:
    """Whether a text is a string that is written in one way only, or an integer."""
    if text[0] == _QUOTE:
        return b"\\" not in text
    return text[0] <= _NINE and _EXPONENTS.isdisjoint(text)
