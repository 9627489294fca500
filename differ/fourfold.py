"""What only one version shows inside noise, told from all four answers of an exchange at once. Pure.

Swapping the two versions, each with its control, changes nothing while they are alike; so an exchange in which both answers of one
version show what neither of the other does is a fair coin, and evidence as soon as one side has nearly all of them. Asked of three things:

- **only**: one value. A clock that stands still, a list that is always empty, a new state among old ones. It is one of the few that come most
  often, and pays for the choice; so is what one version gives more often than the other, where no instance gives it more often than its twin.
- **beyond**: numbers. From the outermost inwards, how many exchanges are one version's before the first of the other (Rosenbaum 1954).
- rates of what is null or absent, by how many more of branch's two answers are than of base's (all signs of these numbers as likely).

Answers that follow one another may be one draw seen many times: what a process remembers for a while, or gives to one request for life.
A coin is therefore counted again only when the other version's two values have changed, since the exchange before and since the same request
came last; numbers that keep near the one before count by their runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from statistics import median
from typing import NamedTuple

from differ.chances import at_least

VARIED_MIN = 8
"""Times that a version must differ from itself before its values are taken for drawn anew: eight coins lean all one way in less than one of a
hundred."""
FOURS_MAX = 256
"""Exchanges remembered per place: ten decide, and a change in one of twenty shows in a dozen of these."""
TEXT_MAX = 48
"""Characters of a value that is kept; of a longer one its digest."""
CHOICES = 4
"""Values that are looked at, those with the most exchanges of their own."""
ENDS = 2
"""Of numbers."""
COINS_MIN = 7
"""Exchanges of its own that a value must have to be looked at; fewer could not decide."""
RUNS_MIN = 20
"""Numbers of which it can be said whether each keeps near the one before."""
RUNS_Z = -1.64
"""Fewer runs above and below the median than in all but one of twenty random orders."""
BASE, CONTROL, BRANCH, AGAIN = range(1, 5)
"""Where the values stand."""
EXACT_MAX = 2000
"""Exchanges up to which the chance of a sum is exact; beyond it is bounded from above (Hoeffding 1963)."""


class Four(NamedTuple):
    """The values of one place in one exchange, as short texts; empty where it is missing."""

    target: str
    base: str
    control: str
    branch: str
    again: str


def four_of(
    target: str, x: tuple[str, str] | None, a: tuple[str, str] | None, b: tuple[str, str] | None
) -> Four | None:
    """The four values from what was seen in three comparisons; None where these speak of different parts of an answer."""
    base = x[0] if x else a[0] if a else b[0] if b else ""
    branch = x[1] if x else base
    if (a and a[0] != base) or (b and b[0] != branch):
        return None
    return Four(target, *map(short, (base, a[1] if a else base, branch, b[1] if b else branch)))


def short(text: str) -> str:
    """A value that takes little room: itself, or its digest where it is long."""
    return text if len(text) <= TEXT_MAX else "#" + blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


class Sides(NamedTuple):
    """Coins of one question, and how often each version's control gives what its twin does not, and the other way round."""

    branch: int
    """Coins that fell on branch's side."""
    base: int
    able: int
    """Coins that there were."""
    controls: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))


def only(fours: Sequence[Four]) -> list[Sides]:
    """What may be one version's own: of the commonest values, where both its answers give it and the other's do not, and where more do."""
    if sum(four.base != four.control for four in fours) < VARIED_MIN:
        return []  # what only branch draws anew is noise of its own, which its control shows
    often = Counter[str]()
    for four in fours:
        often.update({value for value in four[1:] if step(four, value)})
    found: list[Sides] = []
    # What is missing is no value: that one version has something oftener is measured as presence.
    asked = [value for value, count in often.items() if value and count >= COINS_MIN]
    for value in sorted(asked, key=lambda value: (-often[value], value))[:CHOICES]:
        controls = tuple(
            (
                sum(value == four[twin] != four[own] for four in fours),
                sum(value == four[own] != four[twin] for four in fours),
            )
            for own, twin in ((BASE, CONTROL), (BRANCH, AGAIN))
        )
        for size in (2, 1):  # where all four speak; where one of them may be the same by luck
            up = [(f.target, f.base, f.control) for f in fours if step(f, value) >= size]
            down = [(f.target, f.branch, f.again) for f in fours if step(f, value) <= -size]
            if len(up) + len(down) >= COINS_MIN:
                found.append(Sides(coins(up), coins(down), len(up) + len(down), (controls[0], controls[1])))
    return found


def coins(others: Sequence[tuple[str, str, str]]) -> int:
    """How many coins exchanges are worth, each a request and two other values: as often as these change, in all and of one request."""
    last: dict[str, tuple[str, str]] = {}
    changes = anew = 0
    before: tuple[str, str] | None = None
    for request, *two in others:
        now = (two[0], two[1])
        changes += now != before
        anew += now != last.get(request)
        before = last[request] = now
    return min(changes, anew)


def lively(fours: Sequence[Four]) -> bool:
    """Whether most exchanges are draws of their own; true of none, where nothing is known."""
    return 2 * coins([(f.target, f"{f.base}\0{f.control}", f"{f.branch}\0{f.again}") for f in fours]) >= len(fours)


def beyond(fours: Sequence[Four], numbers: Mapping[str, float]) -> Sides | None:
    """How many of the outermost numbers are one version's before the first of the other; of the two ends the one that says more."""
    fours = [four for four in fours if all(text in numbers for text in four[1:])]
    values = [[numbers[text] for text in four[1:]] for four in fours]
    steady = all(drawn_anew([four[index] for four in values]) for index in (0, 2))
    best: Sides | None = None
    for end in (1, -1):
        apart: list[tuple[float, int, bool]] = []
        for number, (base, control, branch, again) in enumerate(values):
            low, high = sorted(((end * base, end * control), (end * branch, end * again)), key=min)
            if min(high) > max(low):
                apart.append((min(high), number, high == (end * branch, end * again)))
        apart.sort(reverse=True)
        lead = next((n for n, one in enumerate(apart) if one[2] is not apart[0][2]), len(apart))
        found = sorted(number for _, number, _ in apart[:lead])
        count = lead if steady else sum(two - one > 1 for one, two in zip(found, found[1:], strict=False)) + bool(found)
        if apart and (best is None or count > max(best.branch, best.base)):
            best = Sides(count if apart[0][2] else 0, 0 if apart[0][2] else count, len(apart))
    return best


def drawn_anew(values: Sequence[float]) -> bool:
    """Whether numbers do not keep near the one before: they cross their median as often as in a random order (Wald and Wolfowitz 1940)."""
    middle = median(values) if values else 0.0
    above = [value > middle for value in values if value != middle]
    n, high = len(above), sum(above)
    low = n - high
    if n < RUNS_MIN or not high or not low:
        return False
    runs = 1 + sum(one != two for one, two in zip(above, above[1:], strict=False))
    mean = 1 + 2 * high * low / n
    deviation = math.sqrt((mean - 1) * (mean - 2) / (n - 1))
    return runs >= mean + RUNS_Z * deviation


def step(four: Four, value: str) -> int:
    """How many more of branch's two answers give a value than of base's two."""
    return (four.branch == value) + (four.again == value) - (four.base == value) - (four.control == value)


def flipped(steps: Mapping[int, int]) -> float:
    """How likely steps of 1 and 2 with random signs add up to as much, either way; exact for as many as a run usually has."""
    ones, twos = steps.get(1, 0) + steps.get(-1, 0), steps.get(2, 0) + steps.get(-2, 0)
    total = abs(sum(size * count for size, count in steps.items()))
    if not total:
        return 1.0
    if ones + twos > EXACT_MAX:
        return min(1.0, 2 * math.exp(-total * total / (2 * (ones + 4 * twos))))
    chance = 0.0
    for up in range(twos + 1):
        needed = math.ceil((total + ones - 2 * (2 * up - twos)) / 2)
        chance += math.comb(twos, up) / 2**twos * at_least(needed, ones, 0.5)
    return min(1.0, 2 * chance)


def least(steps: Mapping[int, int]) -> float:
    """The smallest chance that these steps could have had."""
    return flipped({size: steps.get(size, 0) + steps.get(-size, 0) for size in (1, 2)})
