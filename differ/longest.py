"""The longest common subsequence of two sequences, many cells at once. Pure; callers bound the lengths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence


def longest(one: Sequence[Hashable], two: Sequence[Hashable]) -> int:
    """How long the longest common subsequence is."""
    return len(one) - _rows(one, two)[-1].bit_count()


def common(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Indexes of a longest common subsequence in both, rising.

    A row of the usual table is one integer, a bit where the length does not grow: Crochemore, Iliopoulos, Pinzon and Reid (2001),
    Hyyrö (2004). All rows are kept, len(one) x len(two) bits.
    """
    rows = _rows(one, two)
    i, j = len(one), len(two)
    pairs: list[tuple[int, int]] = []
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1
        elif not rows[j - 1] >> (i - 1) & 1:  # the length grew here before this row: nothing of this row is needed
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def _rows(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[int]:
    at: defaultdict[Hashable, int] = defaultdict(int)
    for index, item in enumerate(one):
        at[item] |= 1 << index
    full = (1 << len(one)) - 1
    row = full
    rows = [row]
    for item in two:
        met = row & at.get(item, 0)
        row = (row + met | row - met) & full
        rows.append(row)
    return rows
