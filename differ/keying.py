"""Keys of the elements of two arrays: members whose names say so, else members that turn out to be keys. Pure, bounded."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

KEYS = ("id", "_id", "uuid", "key", "name", "slug", "code", "href", "url", "path", "title")
"""Names under which elements carry their identity, in the order in which they are tried."""
TEXTS_LEAST, NUMBERS_LEAST = 3, 8
"""Elements on the shorter side from which on a text, or a number, is believed to be a key though its name does not say so: among
fewer, other members are all different by chance, and a best match looks at all of them anyway."""
COLUMNS_MAX = 16
"""Members that are looked at, most promising names first."""
CELLS_MAX = 150_000
"""Values of both arrays that are looked at for keys, some 50 ms with all that is tried."""
PARTS_MAX = 3
"""Members that may make up a key together."""
PROBED_MAX = 64
"""Pairs of elements by which keys are compared with each other."""
_IDENTITY = re.compile(r"(?:^|.*[_-])(?:id|key|uuid|guid|sku|email|login)|.*[a-z0-9](?:Id|ID|Key|Uuid|UUID|Guid)")
_KEY_TYPES: set[type[Any]] = {str, int}

Way = tuple[str, ...]
"""A member, or a member of a member."""
Keys = list[Any]


def unique(keys: list[Any]) -> bool:
    """Whether these are keys, no two of them equal."""
    return set(map(type, keys)) <= _KEY_TYPES and len(set(keys)) == len(keys)


class _Column(NamedTuple):
    """What all elements have under one member."""

    named: bool
    """Whether the member's name ends like that of a key."""
    old: Keys
    new: Keys

    @property
    def distinct(self) -> int:
        return len(set(self.old)) + len(set(self.new))


def learned(old: list[Any], new: list[Any]) -> tuple[Keys, Keys] | None:
    """Keys of both arrays that no name promised: a member of objects (or of an object in each) that all of them have, unique in both.

    At least half of the shorter side's keys are shared. Of several such members, one whose name ends like a key's goes first, then
    the one under which most other members agree. Where none is unique alone, up to PARTS_MAX members together may be. None when
    there is no key.
    """
    least = min(len(old), len(new))
    if not least or not all(item.__class__ is dict for side in (old, new) for item in side):
        return None
    columns = _columns(old, new)
    keys = [column for column in columns if _is_key(column.old, column.new) and _trusted(column, least)]
    if keys:
        best = max(keys, key=lambda column: (column.named, _agreeing(old, new, column)))
        return best.old, best.new
    return _composite(columns) if least >= TEXTS_LEAST else None


def _columns(old: list[Any], new: list[Any]) -> list[_Column]:
    """Members that all elements of both arrays have, with values of a key's types."""
    room = min(COLUMNS_MAX, CELLS_MAX // (len(old) + len(new)))
    ways = sorted((not _named(way), way) for way in _ways(old[0]) & _ways(new[0]))
    columns: list[_Column] = []
    for unnamed, way in ways[:room]:
        try:
            one, two = _values(old, way), _values(new, way)
        except (KeyError, TypeError):  # not all of them have it
            continue
        if set(map(type, one)) | set(map(type, two)) <= _KEY_TYPES:
            columns.append(_Column(not unnamed, one, two))
    return columns


def _ways(first: dict[str, Any]) -> set[Way]:
    """Texts and whole numbers in an element and in the objects right under it."""
    ways: set[Way] = set()
    for name, value in first.items():
        if value.__class__ is dict:
            ways |= {(name, inner) for inner, item in value.items() if item.__class__ in _KEY_TYPES}
        elif value.__class__ in _KEY_TYPES:
            ways.add((name,))
    return ways


def _named(way: Way) -> bool:
    return way[-1] in KEYS or _IDENTITY.fullmatch(way[-1]) is not None


def _values(items: list[Any], way: Way) -> Keys:
    if len(way) == 1:
        return [item[way[0]] for item in items]
    outer, inner = way
    return [item[outer][inner] for item in items]


def _is_key(old: Keys, new: Keys) -> bool:
    """Whether no value comes twice, and at least half of the shorter side's are on the other side."""
    return len(set(old)) == len(old) and len(set(new)) == len(new) and _overlapping(old, new)


def _trusted(column: _Column, least: int) -> bool:
    """Whether a unique member is more than a coincidence, and more than the number of its place."""
    if column.named:
        return True
    if str in map(type, column.old + column.new):
        return least >= TEXTS_LEAST
    return least >= NUMBERS_LEAST and not (_counts(column.old) or _counts(column.new))


def _counts(keys: Keys) -> bool:
    """Whether whole numbers count the elements: they say where one stands, not which it is."""
    return max(keys) - min(keys) == len(keys) - 1


def _agreeing(old: list[Any], new: list[Any], column: _Column) -> int:
    """How many members agree in elements of one key, among PROBED_MAX of them."""
    news = dict(zip(column.new, new, strict=True))
    shared = [(item, news[key]) for key, item in zip(column.old, old, strict=True) if key in news]
    step = max(1, len(shared) // PROBED_MAX)
    return sum(value == other.get(name) for item, other in shared[::step][:PROBED_MAX] for name, value in item.items())


def _composite(columns: list[_Column]) -> tuple[Keys, Keys] | None:
    """Members that are unique together: the one with most values first, then each that tells most of them apart."""
    left = [column for column in columns if _overlapping(column.old, column.new)]
    if not left:
        return None
    best = left.pop(max(range(len(left)), key=lambda n: left[n].distinct))
    for _ in range(PARTS_MAX - 1):
        grown = [_together(best, column) for column in left]
        if not grown:
            return None
        number = max(range(len(grown)), key=lambda n: grown[n].distinct)
        best = grown[number]
        del left[number]
        if _is_key(best.old, best.new):
            return best.old, best.new
    return None


def _overlapping(old: Keys, new: Keys) -> bool:
    """Whether at least half of the values of the side with fewer are on the other side."""
    ones, twos = set(old), set(new)
    return 2 * len(ones & twos) >= min(len(ones), len(twos))


def _together(one: _Column, two: _Column) -> _Column:
    return _Column(False, list(zip(one.old, two.old, strict=True)), list(zip(one.new, two.new, strict=True)))
