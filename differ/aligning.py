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
    """Elements that belong together, and whether members that both have stand in another order."""

    olds: list[Any]
    news: list[Any]
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
    if len(olds) == len(news) and Counter(olds) == Counter(news):
        return None
    return by_equality(old, new, olds, news)


def by_key(old: list[Any], new: list[Any]) -> Aligned | None:
    """Pairs by a key that is unique in both and shared by at least half of the shorter; None when there is none such."""
    if not old or not new or old[0].__class__ is not dict or new[0].__class__ is not dict:
        return None
    first = old[0]
    for name in KEYS:
        if name not in first:
            continue
        try:
            old_keys, new_keys = [item[name] for item in old], [item[name] for item in new]
        except KeyError:
            continue
        except TypeError:  # not all of them are objects
            return None
        if old_keys == new_keys:
            if unique(old_keys) and unique(new_keys):
                return Aligned(old, new, moved=False, in_place=True)
            continue
        if unique(old_keys) and unique(new_keys) and (fit := by_keys(old, new, old_keys, new_keys)) is not None:
            return fit
    return None


def by_keys(old: list[Any], new: list[Any], old_keys: list[Any], new_keys: list[Any]) -> Aligned | None:
    """Elements by their keys, of which no two are equal; None when too few are shared."""
    news = dict(zip(new_keys, new, strict=True))
    if len(old) == len(new):
        try:
            return Aligned(old, [news[key] for key in old_keys], moved=True)
        except KeyError:
            pass
    places = dict(zip(new_keys, count(), strict=False))
    kept = [place for key in old_keys if (place := places.get(key, -1)) >= 0]
    if 2 * len(kept) < min(len(old), len(new)):
        return None
    olds = dict(zip(old_keys, old, strict=True))
    shared = [key for key in old_keys if key in news]
    rest_old = [item for key, item in olds.items() if key not in news]
    rest_new = [item for key, item in news.items() if key not in olds]
    both = min(len(rest_old), len(rest_new))
    return Aligned(
        [olds[key] for key in shared] + rest_old[:both],
        [news[key] for key in shared] + rest_new[:both],
        kept != sorted(kept),
    )


_KEY_TYPES: set[type[Any]] = {str, int}


def unique(keys: list[Any]) -> bool:
    """Whether these are keys, no two of them equal."""
    return set(map(type, keys)) <= _KEY_TYPES and len(set(keys)) == len(keys)


def by_equality(old: list[Any], new: list[Any], olds: list[bytes], news: list[bytes]) -> Aligned:
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
    both = min(len(kept_old), len(kept_new))
    return Aligned([old[i] for i in kept_old[:both]], [new[j] for j in kept_new[:both]], shared_old != shared_new)


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
