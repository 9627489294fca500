"""Which elements of two arrays belong together. Pure, bounded.

By a key that a member's name promises; else by one that is learned (:mod:`differ.keying`); else what is equal belongs together, and
of the rest what shares most (:mod:`differ.matching`).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import accumulate, count, pairwise
from typing import Any, NamedTuple, TypeVar

import orjson

from differ.jsons import Exact
from differ.keying import KEYS, learned, unique
from differ.longest import longest
from differ.matching import LEAVES_ALL_MAX, TRIED_EACH, Effort, Matched, Pair, by_kind, evident, matched

LONGEST_MAX = 4096
"""Elements of one side among which moves are looked for: 4,096 integers of as many bits take some 10 ms."""
Item = TypeVar("Item", bound=Hashable)
_SCALARS = frozenset((int, str))


class Aligned(NamedTuple):
    """Elements that belong together, and whether those that both have stand in another order."""

    olds: list[Any]
    news: list[Any]
    moved: bool
    in_place: bool = False
    """Whether every element belongs to that at its own place."""
    greedy: bool = False
    """Whether there were so many that the pairs may not be the best."""
    changed: tuple[tuple[Any, Any], ...] = ()
    """Elements that changed and stand elsewhere, before and after."""


def canonical(value: Any) -> bytes:
    """One text for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(value, _plain, _SORTED)
    except TypeError:  # orjson writes 254 levels and 64-bit integers
        return json.dumps(value, default=_text, sort_keys=True).encode()


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def _plain(value: Any) -> Any:
    """What stands for a number that is kept as it was written; without quotes, so that no text of an answer is the same."""
    return orjson.Fragment(value.key()) if isinstance(value, Exact) else repr(value)


def _text(value: Any) -> str:
    return value.key() if isinstance(value, Exact) else repr(value)


def exactly_equal(old: Any, new: Any) -> bool:
    """Equal in value and in type, which ``==`` does not say of 1, 1.0 and true."""
    try:
        if orjson.dumps(old, _plain) == orjson.dumps(new, _plain):  # most often the keys have one order
            return True
    except TypeError:
        pass
    return canonical(old) == canonical(new)


def aligned(old: list[Any], new: list[Any], effort: Effort) -> Aligned | None:
    """How two different arrays fit; None when one is only another order of the other."""
    named = by_key(old, new, effort)
    if named is not None:
        return named
    if old and new and old[0].__class__ is new[0].__class__ is list and (rows := by_members(old, new)) is not None:
        return None if rows.olds == rows.news else rows
    olds, news = _texts(old, new)
    if len(olds) == len(news) and sorted(olds) == sorted(news):
        return None
    if effort.tried <= 0:
        return in_order(old, new, olds, news)
    effort.tried -= len(old) + len(new) + TRIED_EACH
    keys = learned(old, new)
    if keys is None:
        return by_equality(old, new, olds, news, effort)
    if keys[0] == keys[1]:
        return Aligned(old, new, moved=False, in_place=True)
    return by_keys(old, new, *keys, effort) or by_equality(old, new, olds, news, effort)


def _texts(old: list[Any], new: list[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """What stands for the elements: equal where they are, and only there."""
    kinds = {*map(type, old), *map(type, new)}
    if len(kinds) == 1 and kinds <= _SCALARS:
        return old, new
    return [canonical(value) for value in old], [canonical(value) for value in new]


def by_members(old: list[Any], new: list[Any]) -> Aligned | None:
    """Rows of numbers or texts, each with the one of the same members in any order; None where not every row has exactly one.

    A best match finds the same pairs, as they differ in nothing but an order, and has to look at every member for it.
    """
    olds = _sorted_rows(old) if len(old) == len(new) else None
    news = _sorted_rows(new) if olds is not None else None
    if olds is None or news is None:
        return None
    places = dict(zip(news, count(), strict=False))
    at = [places.get(row, -1) for row in olds]
    ordered = sorted(at)
    if ordered != list(range(len(at))):
        return None
    return Aligned(old, [new[place] for place in at], moved=at != ordered)


def _sorted_rows(rows: list[Any]) -> list[tuple[Any, ...]] | None:
    """The members of each row in order; None where one is no list of numbers or of texts, or there are too many."""
    found: list[tuple[Any, ...]] = []
    room = LEAVES_ALL_MAX
    for row in rows:
        if row.__class__ is not list or len(kinds := set(map(type, row))) != 1 or not kinds <= _SCALARS:
            return None
        room -= len(row)
        if room < 0:
            return None
        found.append(tuple(sorted(row)))
    return found


def by_key(old: list[Any], new: list[Any], effort: Effort) -> Aligned | None:
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
        if unique(old_keys) and unique(new_keys) and (fit := by_keys(old, new, old_keys, new_keys, effort)) is not None:
            return fit
    return None


def by_keys(old: list[Any], new: list[Any], old_keys: list[Any], new_keys: list[Any], effort: Effort) -> Aligned | None:
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
    rest = best(rest_old, rest_new, effort)
    return Aligned(
        [olds[key] for key in shared] + [rest_old[i] for i, _ in rest.pairs],
        [news[key] for key in shared] + [rest_new[j] for _, j in rest.pairs],
        kept != sorted(kept),
        greedy=rest.greedy,
    )


def best(old: Sequence[Any], new: Sequence[Any], effort: Effort) -> Matched:
    """The best match of elements of which no two are equal, the same whichever side is given first."""
    if not old or not new:
        return Matched([], [])
    flip = len(old) == len(new) and _plainly(old[0]) > _plainly(new[0])
    return matched(old, new, effort, flip=flip)


def _plainly(value: Any) -> bytes:
    """The same text whether or not the numbers of the document are exact ones."""
    try:
        return orjson.dumps(value, _rounded, _SORTED)
    except (TypeError, OverflowError):
        return canonical(value)


def _rounded(value: Any) -> Any:
    return (float(value.text) if value.decimal else int(value.text)) if isinstance(value, Exact) else repr(value)


def by_equality(
    old: list[Any], new: list[Any], olds: Sequence[Hashable], news: Sequence[Hashable], effort: Effort
) -> Aligned:
    """Take away what both have (common ends first, then as a multiset); match the rest."""
    begin, end = common_ends(olds, news)
    mid_old, mid_new = range(begin, len(olds) - end), range(begin, len(news) - end)
    both: Counter[Hashable] = Counter()
    if not set(olds).isdisjoint(news):
        both = Counter(olds[i] for i in mid_old) & Counter(news[j] for j in mid_new)
    rest_old, shared_old = parted(mid_old, olds, both)
    rest_new, shared_new = parted(mid_new, news, both)
    found = best([old[i] for i in rest_old], [new[j] for j in rest_new], effort)
    pairs, same = ([(rest_old[i], rest_new[j]) for i, j in pairs] for pairs in (found.pairs, found.same))
    moved = [olds[i] for i in shared_old] != [news[j] for j in shared_new]
    if moved:
        # Which of several equal elements are left over is a choice; perhaps there is one by which nothing moved.
        middles = [olds[i] for i in mid_old], [news[j] for j in mid_new]
        moved = max(map(len, middles)) > LONGEST_MAX or longest(*middles) < both.total()
    else:
        same += zip(shared_old, shared_new, strict=True)
    moved = moved or _crossing(same)
    changed: list[Pair] = []
    if effort.leaves > 0 and 0 < len(pairs) <= LONGEST_MAX and _crossing([*same, *pairs]):
        known = set(same)
        sure = evident(old, new, [pair for pair in pairs if pair not in known], effort)
        crossed = _crossed([*same, *sure])
        met = [pair for pair in sure if pair in crossed]
        standing = _standing([*same, *sure]) if met else set[Pair]()
        # Which of two elements passed the other is a choice; that one did is not.
        changed = [pair for pair in met if pair not in standing] or met[:1]
    return Aligned(
        [old[i] for i, _ in pairs],
        [new[j] for _, j in pairs],
        moved,
        greedy=found.greedy,
        changed=tuple((old[i], new[j]) for i, j in changed),
    )


def in_order(old: list[Any], new: list[Any], olds: Sequence[Hashable], news: Sequence[Hashable]) -> Aligned:
    """What lies between the common ends, pairs of one type as they come: for the arrays of a document that has too many."""
    begin, end = common_ends(olds, news)
    pairs = by_kind(old, new, range(begin, len(old) - end), range(begin, len(new) - end))
    return Aligned([old[i] for i, _ in pairs], [new[j] for _, j in pairs], moved=False, greedy=True)


def _crossing(pairs: list[Pair]) -> bool:
    """Whether two pairs stand in one order on one side and in another on the other."""
    return any(one > two for (_, one), (_, two) in pairwise(sorted(pairs)))


def _crossed(pairs: list[Pair]) -> set[Pair]:
    """Pairs that cross another one."""
    ordered = sorted(pairs)
    most = accumulate((j for _, j in ordered), max)
    least = [*accumulate((j for _, j in reversed(ordered)), min)][::-1]
    return {pair for pair, high, low in zip(ordered, most, least, strict=True) if not low == pair[1] == high}


def _standing(pairs: list[Pair]) -> set[Pair]:
    """The most pairs that stand in one order on both sides: a longest rising subsequence, by the ends of the shorter ones."""
    ends: list[int] = []
    tails: list[Pair] = []
    before: dict[Pair, Pair | None] = {}
    for pair in sorted(pairs):
        length = bisect_left(ends, pair[1])
        before[pair] = tails[length - 1] if length else None
        ends[length : length + 1] = [pair[1]]
        tails[length : length + 1] = [pair]
    found: set[Pair] = set()
    last = tails[-1] if tails else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def common_ends(olds: Sequence[Hashable], news: Sequence[Hashable]) -> tuple[int, int]:
    """How many both begin with, and how many of the rest both end with."""
    begin, end, least = 0, 0, min(len(olds), len(news))
    while begin < least and olds[begin] == news[begin]:
        begin += 1
    while end < least - begin and olds[-1 - end] == news[-1 - end]:
        end += 1
    return begin, end


def parted(indexes: Sequence[int], texts: Sequence[Item], common: Counter[Item]) -> tuple[list[int], list[int]]:
    """Indexes of what is not common, and of what is."""
    if not common:
        return list(indexes), []
    left = Counter(common)
    kept: list[int] = []
    shared: list[int] = []
    for index in indexes:
        text = texts[index]
        if left[text] > 0:
            left[text] -= 1
            shared.append(index)
        else:
            kept.append(index)
    return kept, shared
