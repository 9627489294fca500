"""Which elements of two arrays belong together when no key says so: those that share most of what they hold. Pure, bounded.

The distance of two elements is how many leaves (a place inside the element and its value) one has and the other has not. It is a
metric, so elements of distance 0 may be taken away first without losing the optimum. Of what is left, up to SQUARE_MAX elements
on each side, the pairs of the least sum of distances are found exactly (:mod:`differ.assigning`); among equal sums those that share
more types and words, then those nearest to their own place. Beyond that, elements are paired greedily: rare leaves say who may
belong to whom, and the nearest of those go first.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from differ.assigning import assigned
from differ.jsons import Exact

SQUARE_MAX = 64
"""Elements of one side that are assigned exactly: 64 x 64 distances and at most 64³ steps are some 20 ms."""
STEPS_MAX = 300_000
"""Steps that the assignments of one comparison may take together, some 25 ms: a document may have a thousand arrays."""
LEAVES_MAX = 64
"""Leaves of one element that are looked at, outermost first: more seldom change which elements are nearest."""
LEAVES_ALL_MAX = 30_000
"""Leaves of one comparison that are looked at, some 50 ms with all that is done with them."""
LEAVES_LEAST = 4
"""Where there is no room for so many leaves of each element, elements are paired in order."""
LEVELS_MAX = 8
"""Levels of one element that are looked at."""
TRIED_ALL_MAX = 10_000
"""Elements of arrays without a key that one comparison tries to match, TRIED_EACH more for each array and one for TRIED_CELLS distances:
some 60 ms. Arrays after that are paired in order, so that what is left of the time is there to look into the pairs."""
TRIED_EACH, TRIED_CELLS = 8, 6
RARE_MAX = 16
"""A leaf that would vote for more pairs of elements than this tells none of them from the others."""
EVIDENT = 3
"""Leaves: noise in one value makes any element look like another one now and then, seldom in three at once."""
ELECTED_MAX = 20_000
"""Pairs with most votes whose distance is looked at, some 30 ms."""
WORDS_LEAST, WORDS_MAX = 3, 32
"""A text of so many words is compared by words; how many of them."""
HINTS_MAX, HINT, LEAF = 255, 1 << 19, 1 << 33
"""Weights. Places of up to SQUARE_MAX elements sum up to less than one HINT, and HINTS_MAX of each to less than one LEAF."""

Pair = tuple[int, int]
Leaf = tuple[str, type[Any], Hashable]
_HOLDERS = frozenset((dict, list))
_NUMBERS = frozenset((int, float, Exact))
_PLAIN = frozenset((int, str))
_WORD = re.compile(r"\S+")


class Effort:
    """What one comparison may still spend on matching."""

    __slots__ = ("leaves", "steps", "tried")

    def __init__(self) -> None:
        self.leaves, self.steps, self.tried = LEAVES_ALL_MAX, STEPS_MAX, TRIED_ALL_MAX


class Matched(NamedTuple):
    """Indexes of elements that belong together, by the first index."""

    pairs: list[Pair]
    same: list[Pair]
    """Those of the pairs that differ in nothing but the order of arrays inside them."""
    greedy: bool = False
    """Whether the pairs may not be the best."""


def matched(old: Sequence[Any], new: Sequence[Any], effort: Effort, *, flip: bool) -> Matched:
    """Pairs of elements until one side has none left, whichever side is given first.

    ``flip`` says which way to look at arrays of one length, so that the same pairs are chosen among equally good ones both ways.
    """
    if len(old) > len(new) or (flip and len(old) == len(new)):
        found = _matched(new, old, effort)
        return Matched(_mirrored(found.pairs), _mirrored(found.same), found.greedy)
    return _matched(old, new, effort)


def _mirrored(pairs: Iterable[Pair]) -> list[Pair]:
    return sorted((j, i) for i, j in pairs)


def _matched(old: Sequence[Any], new: Sequence[Any], effort: Effort) -> Matched:
    """The same with no more old elements than new ones."""
    if not old:
        return Matched([], [])
    if _indifferent(old, new):
        return Matched([(i, i) for i in range(len(old))], [])
    room = min(LEAVES_MAX, effort.leaves // (len(old) + len(new)))
    if room < LEAVES_LEAST:
        return Matched(by_kind(old, new, range(len(old)), range(len(new))), [], greedy=True)
    ones, twos = [leaves(item, room) for item in old], [leaves(item, room) for item in new]
    effort.leaves -= sum(map(len, ones)) + sum(map(len, twos))
    same, greedy = _same_leaves(ones, twos), False
    pairs = list(same)
    rest_old, rest_new = _left(len(old), len(new), pairs)
    if len(rest_new) > SQUARE_MAX and rest_old:
        greedy = True
        pairs += by_votes(ones, twos, rest_old, rest_new)
        rest_old, rest_new = _left(len(old), len(new), pairs)
    if rest_old and _affordable(len(rest_old), len(rest_new), effort):
        pairs += _nearest(ones, twos, rest_old, rest_new)
    elif rest_old:
        greedy = True
        pairs += by_kind(old, new, rest_old, rest_new)
    return Matched(sorted(pairs), sorted(same), greedy)


def _indifferent(old: Sequence[Any], new: Sequence[Any]) -> bool:
    """Whether any two elements are as far apart as any others: numbers, or short texts, that are all different."""
    kinds = {*map(type, old), *map(type, new)}
    if len(kinds) > 1 or not kinds <= _PLAIN:
        return False
    return kinds == {int} or not any(text.count(" ") + 1 >= WORDS_LEAST for side in (old, new) for text in side)


def _left(olds: int, news: int, pairs: Iterable[Pair]) -> tuple[list[int], list[int]]:
    """What has no partner yet."""
    took = {i for i, _ in pairs}, {j for _, j in pairs}
    return [i for i in range(olds) if i not in took[0]], [j for j in range(news) if j not in took[1]]


def _affordable(rows: int, columns: int, effort: Effort) -> bool:
    steps = rows * rows * columns
    if columns > SQUARE_MAX or steps > effort.steps:
        return False
    effort.steps -= steps
    effort.tried -= rows * columns // TRIED_CELLS
    return True


def leaves(value: Any, room: int = LEAVES_MAX) -> list[Leaf]:
    """What an element holds, outermost first: places in it, types and values; elements of arrays in it share a place.

    What Python takes for something else goes by its text: -0.0 is equal to 0.0, and -1 has the hash of -2.
    """
    kind = value.__class__
    if kind not in _HOLDERS or not value:
        return [("", kind, value.key() if kind is Exact else value if kind is str else repr(value))]
    if kind is list and len(kinds := set(map(type, value))) == 1 and kinds <= _PLAIN:
        (only,) = kinds
        return [("\0[]", only, item if item != -1 else "-1") for item in value[:room]]
    found: list[Leaf] = []
    level: list[tuple[str, Any]] = [("", value)]
    for _ in range(LEVELS_MAX):
        below: list[tuple[str, Any]] = []
        for place, holder in level:
            _look(place, holder, found, below)
            if len(found) >= room:
                return found[:room]
        level = below[:room]
    return found


def _look(place: str, holder: Any, found: list[Leaf], below: list[tuple[str, Any]]) -> None:
    """Take the leaves of one object or array, and leave what it holds in turn for later."""
    items = holder.items() if holder.__class__ is dict else (("[]", item) for item in holder[:LEAVES_MAX])
    for key, value in items:
        kind = value.__class__
        where = f"{place}\0{key}"
        if kind in _HOLDERS and value:
            below.append((where, value))
        elif kind is Exact:
            found.append((where, kind, value.key()))
        else:
            found.append((where, kind, value if value != -1 and (value or kind in _PLAIN) else repr(value)))


def _same_leaves(ones: Sequence[list[Leaf]], twos: Sequence[list[Leaf]]) -> list[Pair]:
    """Pairs that differ in nothing but the order of arrays inside them."""
    names = [[tuple(sorted(map(hash, item))) for item in side] for side in (ones, twos)]
    both = set(names[0]) & set(names[1])
    if not both:
        return []
    there: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for j in range(len(twos) - 1, -1, -1):
        if names[1][j] in both:
            there[names[1][j]].append(j)
    return [(i, there[name].pop()) for i, name in enumerate(names[0]) if there.get(name)]


def by_votes(ones: Sequence[list[Leaf]], twos: Sequence[list[Leaf]], olds: list[int], news: list[int]) -> list[Pair]:
    """Pairs that share a rare leaf, the nearest first."""
    sides = {i: set(ones[i]) for i in olds}, {j: set(twos[j]) for j in news}
    where: defaultdict[Leaf, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, items in enumerate(sides):
        for index, item in items.items():
            for leaf in item:
                where[leaf][side].append(index)
    votes: Counter[Pair] = Counter()
    for here, there in where.values():
        count = len(here) * len(there)
        if 0 < count <= RARE_MAX:
            for i in here:
                for j in there:
                    votes[i, j] += RARE_MAX // count
    elected = sorted(votes, key=lambda pair: (-votes[pair], abs(pair[0] - pair[1]), pair))[:ELECTED_MAX]
    ranked = sorted((len(sides[0][i] ^ sides[1][j]), abs(i - j), i, j) for i, j in elected)
    pairs: list[Pair] = []
    took: tuple[set[int], set[int]] = set(), set()
    for *_, i, j in ranked:
        if i not in took[0] and j not in took[1]:
            pairs.append((i, j))
            took[0].add(i)
            took[1].add(j)
    return pairs


def by_kind(old: Sequence[Any], new: Sequence[Any], olds: Sequence[int], news: Sequence[int]) -> list[Pair]:
    """Pairs in order: those of one type, then whatever is left."""
    if all(old[i].__class__ is new[j].__class__ for i, j in zip(olds, news, strict=False)):
        return list(zip(olds, news, strict=False))
    there: defaultdict[object, list[int]] = defaultdict(list)
    for j in news:
        there[_kind(new[j].__class__)].append(j)
    for waiting in there.values():
        waiting.reverse()
    pairs: list[Pair] = []
    late: list[int] = []
    for i in olds:
        waiting = there.get(_kind(old[i].__class__))
        if waiting:
            pairs.append((i, waiting.pop()))
        else:
            late.append(i)
    return sorted(pairs + list(zip(late, sorted(j for waiting in there.values() for j in waiting), strict=False)))


def _kind(kind: type[Any]) -> type[Any]:
    return int if kind in _NUMBERS else kind


class _Bits:
    """Multisets as integers: a bit for each thing, and for each time that it is there once more."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Hashable, int], int] = {}

    def of(self, things: Iterable[Hashable]) -> int:
        """The multiset of these things."""
        found, numbers = 0, self._numbers
        for thing, count in Counter(things).items():
            for again in range(count):
                found |= 1 << numbers.setdefault((thing, again), len(numbers))
        return found


def _nearest(ones: Sequence[list[Leaf]], twos: Sequence[list[Leaf]], olds: list[int], news: list[int]) -> list[Pair]:
    """The pairs of these elements whose distances have the least sum."""
    bits, hints = _Bits(), _Bits()
    rows = [(bits.of(ones[i]), hints.of(hints_of(ones[i]))) for i in olds]
    columns = [(bits.of(twos[j]), hints.of(hints_of(twos[j]))) for j in news]
    costs = [
        [
            (leaf ^ other).bit_count() * LEAF
            + min((hint ^ other_hint).bit_count(), HINTS_MAX) * HINT
            + (row - column) * (row - column)
            for column, (other, other_hint) in enumerate(columns)
        ]
        for row, (leaf, hint) in enumerate(rows)
    ]
    return [(olds[row], news[column]) for row, column in enumerate(assigned(costs))]


def hints_of(found: list[Leaf]) -> list[Hashable]:
    """Types at their places, and the words of longer texts."""
    hints: list[Hashable] = [(place, _kind(kind)) for place, kind, _ in found]
    for place, kind, value in found:
        if kind is str:
            words = _WORD.findall(str(value))
            if len(words) >= WORDS_LEAST:
                hints += [(place, word) for word in words[:WORDS_MAX]]
    return hints


def evident(old: Sequence[Any], new: Sequence[Any], pairs: Iterable[Pair], effort: Effort) -> list[Pair]:
    """Those of the pairs that are no coincidence.

    Such a pair shares more than half of what it holds, and EVIDENT leaves more than either element does with what stands at its own
    place on the other side, counted from the beginning or from the end. None of them are where there is no room to look at all, so
    that the same are found whichever side is first.
    """
    held: list[tuple[Pair, list[Leaf], list[Leaf]]] = []
    for i, j in pairs:
        one, two = leaves(old[i]), leaves(new[j])
        effort.leaves -= 3 * (len(one) + len(two))
        if effort.leaves <= 0:
            effort.leaves = 0
            return []
        held.append(((i, j), one, two))
    return [pair for pair, one, two in held if _is_evident(old, new, pair, one, two)]


def _is_evident(old: Sequence[Any], new: Sequence[Any], pair: Pair, one: list[Leaf], two: list[Leaf]) -> bool:
    i, j = pair
    longer = len(new) - len(old)
    shared = _shared(one, two)
    if 4 * shared <= len(one) + len(two):
        return False
    there = [new[place] for place in {i, i + longer} - {j} if 0 <= place < len(new)]
    here = [old[place] for place in {j, j - longer} - {i} if 0 <= place < len(old)]
    return all(_shared(one, leaves(item)) + EVIDENT <= shared for item in there) and all(
        _shared(leaves(item), two) + EVIDENT <= shared for item in here
    )


def _shared(one: list[Leaf], two: list[Leaf]) -> int:
    return (Counter(one) & Counter(two)).total()
