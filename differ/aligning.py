"""Which elements of two arrays belong together: by an id-like key, else by what is equal, the rest in order. Pure, linear in time."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NamedTuple

import orjson

KEYS = ("id", "_id", "uuid", "key", "name", "slug", "code", "href", "url", "path", "title")
"""Names under which elements carry their identity, in the order in which they are tried."""


class Aligned(NamedTuple):
    """Pairs of indexes to compare, and whether members that both have stand in another order."""

    pairs: list[tuple[int, int]]
    moved: bool


def canonical(value: Any) -> bytes:
    """One text for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # orjson writes 254 levels and 64-bit integers
        return json.dumps(value, default=repr, sort_keys=True).encode()


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
    if not old or not new or not all(isinstance(v, dict) for v in old) or not all(isinstance(v, dict) for v in new):
        return None
    for name in KEYS:
        olds = unique(old, name)
        news = unique(new, name) if olds else None
        if not olds or not news:
            continue
        pairs = [(index, news[key]) for key, index in olds.items() if key in news]
        if 2 * len(pairs) < min(len(olds), len(news)):
            continue
        moved = any(later[1] < earlier[1] for earlier, later in zip(pairs, pairs[1:], strict=False))
        rest_old = [index for key, index in olds.items() if key not in news]
        rest_new = [index for key, index in news.items() if key not in olds]
        return Aligned(pairs + list(zip(rest_old, rest_new, strict=False)), moved)
    return None


def unique(items: list[Any], name: str) -> dict[Any, int] | None:
    """Key values to index, when every element has one and no two are equal."""
    found: dict[Any, int] = {}
    for index, item in enumerate(items):
        value = item.get(name)
        if not isinstance(value, str | int) or value in found:
            return None
        found[value] = index
    return found


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
