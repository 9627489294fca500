"""Which elements of two arrays belong together: by an id-like key, else by what is equal, the rest in order. Pure, linear in time."""

from __future__ import annotations

import json
from collections import Counter
from itertools import count
from typing import Any, NamedTuple

import orjson

from differ.jsons import Exact

KEYS = ("id", "_id", "uuid", "key", "name", "slug", "code", "href", "url", "path", "title")
"""Names under which elements carry their identity, in the order in which they are tried."""


class Aligned(NamedTuple):
    """Pairs of indexes to compare, and whether members that both have stand in another order."""

    pairs: list[tuple[int, int]]
    moved: bool
    in_place: bool = False
    """Whether every element belongs to that at its own place."""


def canonical(value: Any) -> bytes:
    """One text for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(value, _plain, _SORTED)
    except TypeError:  # orjson writes 254 levels and 64-bit integers
        return json.dumps(value, default=_plain, sort_keys=True).encode()


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def _plain(value: Any) -> str:
    return value.key() if isinstance(value, Exact) else repr(value)


def exactly_equal(old: Any, new: Any) -> bool:
    """Equal in value and in type, which ``==`` does not say of 1, 1.0 and true."""
    try:
        if orjson.dumps(old, _plain) == orjson.dumps(new, _plain):  # most often the keys have one order
            return True
    except TypeError:
        pass
    return canonical(old) == canonical(new)


def aligned(old: list[Any], new: list[Any]) -> Aligned | None:
    """How two different arrays fit; None when one is only another order of the other."""
    keyed = by_key(old, new)
    if keyed is not None:
        return keyed
    olds, news = [canonical(value) for value in old], [canonical(value) for value in new]
    if Counter(olds) == Counter(news):
        return None
    return by_equality(olds, news)


def by_key(old: list[Any], new: list[Any]) -> Aligned | None:
    """Pairs by a key that is unique in both and shared by at least half of the shorter; None when there is none such."""
    if set(map(type, old)) != _OBJECTS or set(map(type, new)) != _OBJECTS:
        return None
    for name in KEYS:
        if name not in old[0]:
            continue
        old_keys, new_keys = unique(old, name), unique(new, name)
        if old_keys is None or new_keys is None:
            continue
        if old_keys == new_keys:
            return Aligned([(index, index) for index in range(len(old))], moved=False, in_place=True)
        olds, news = dict(zip(old_keys, count(), strict=False)), dict(zip(new_keys, count(), strict=False))
        pairs = [(index, news[key]) for key, index in olds.items() if key in news]
        if 2 * len(pairs) < min(len(olds), len(news)):
            continue
        others = [pair[1] for pair in pairs]
        rest_old = [index for key, index in olds.items() if key not in news]
        rest_new = [index for key, index in news.items() if key not in olds]
        return Aligned(pairs + list(zip(rest_old, rest_new, strict=False)), others != sorted(others))
    return None


_OBJECTS: set[type[Any]] = {dict}
_KEY_TYPES: set[type[Any]] = {str, int}


def unique(items: list[Any], name: str) -> list[Any] | None:
    """The key values, when every element has one and no two are equal."""
    found = [item.get(name) for item in items]
    return found if set(map(type, found)) <= _KEY_TYPES and len(set(found)) == len(found) else None


def by_equality(olds: list[bytes], news: list[bytes]) -> Aligned:
    """Take away what both have (common ends first, then as a multiset); pair the rest in order."""
    begin, end, least = 0, 0, min(len(olds), len(news))
    while begin < least and olds[begin] == news[begin]:
        begin += 1
    while end < least - begin and olds[-1 - end] == news[-1 - end]:
        end += 1
    rest_old, rest_new = range(begin, len(olds) - end), range(begin, len(news) - end)
    common = Counter(olds[i] for i in rest_old) & Counter(news[j] for j in rest_new)
    kept_old, shared_old = parted(rest_old, olds, common)
    kept_new, shared_new = parted(rest_new, news, common)
    return Aligned(list(zip(kept_old, kept_new, strict=False)), shared_old != shared_new)


def parted(indexes: range, texts: list[bytes], common: Counter[bytes]) -> tuple[list[int], list[bytes]]:
    """Indexes of what is not common, and the common texts in their order."""
    left = Counter(common)
    kept: list[int] = []
    shared: list[bytes] = []
    for index in indexes:
        text = texts[index]
        if left[text] > 0:
            left[text] -= 1
            shared.append(text)
        else:
            kept.append(index)
    return kept, shared
