"""Long texts by words: what differs, and a little of what is around it. Pure, bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from differ.longest import common

LONG = 1024
"""Characters from which on a text is shown by what differs in it; shorter ones are shown whole."""
WORDS_MAX = 4096
"""Words between what both begin and what both end with, of which the longest common order is found: some 10 ms. More are one change."""
MIDDLE_MAX = 256 * 1024
"""Characters between the common ends that are cut into words at all."""
AROUND = 48
"""Characters before and after a change that are shown with it."""
_WORD = re.compile(r"\S+\s*|\s+")
_GAP = " … "


def shown(old: str, new: str) -> tuple[str, str]:
    """Both texts by the words that differ, each with some of what is around it; ``…`` stands for the rest."""
    begin, end = ends(old, new)
    one = two = old[max(0, begin - AROUND) : begin] if begin <= AROUND else "… " + old[begin - AROUND : begin]
    for gone, came, between in _runs(old, new, begin, end):
        kept = between if len(between) <= 2 * AROUND else between[:AROUND] + _GAP + between[-AROUND:]
        one, two = one + gone + kept, two + came + kept
    after = old[len(old) - end :]
    closing = after if end <= AROUND else after[:AROUND] + " …"
    return one + closing, two + closing


def changed(old: str, new: str) -> tuple[str, str]:
    """Only the words that differ."""
    runs = list(_runs(old, new, *ends(old, new)))
    sides = [gone for gone, _, _ in runs], [came for _, came, _ in runs]
    return _joined(sides[0]), _joined(sides[1])


def _joined(runs: list[str]) -> str:
    return _GAP.join(run.strip() for run in runs if run.strip())


def ends(old: str, new: str) -> tuple[int, int]:
    """How many characters both begin with, and end with, in whole words."""
    least = min(len(old), len(new))
    begin = _reach(least, lambda size: old.startswith(new[:size]))
    while begin and not old[begin - 1].isspace():
        begin -= 1
    end = _reach(least - begin, lambda size: old.endswith(new[len(new) - size :]))
    while end and not old[-end].isspace():
        end -= 1
    return begin, end


def _reach(most: int, holds: Callable[[int], bool]) -> int:
    """The largest size that holds, when all smaller ones do."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _runs(old: str, new: str, begin: int, end: int) -> Iterator[tuple[str, str, str]]:
    """What differs between the common ends, piece by piece: before, after, and what both have behind it."""
    middles = old[begin : len(old) - end], new[begin : len(new) - end]
    one, two = _WORD.findall(middles[0][:MIDDLE_MAX]), _WORD.findall(middles[1][:MIDDLE_MAX])
    if max(map(len, middles)) > MIDDLE_MAX or max(len(one), len(two)) > WORDS_MAX:
        yield (*middles, "")
        return
    gone = came = between = ""
    i = j = 0
    for here, there in [*common(one, two), (len(one), len(two))]:
        if here > i or there > j:
            if gone or came or between:
                yield gone, came, between
            gone, came, between = "".join(one[i:here]), "".join(two[j:there]), ""
        between += "".join(one[here : here + 1])
        i, j = here + 1, there + 1
    yield gone, came, between
