"""Between which levels the limit lies, and how sure that is. Pure.

Each judgement is a noisy answer to "is the limit above this level?". Starting from a limit that may be anywhere on a logarithmic
scale, every answer moves weight to one side of its level by Bayes' rule, with the chance of a wrong answer taken from how often votes
about the same level contradicted each other (one wrong and nineteen right ones are assumed beforehand). The interval holds the central
95 % of that weight, and all of the bracket that the search has closed to, for within it nothing was asked.

Source: M. Horstein, "Sequential transmission using noiseless feedback", IEEE Trans. Inf. Theory 9 (1963); R. Waeber, P. I. Frazier,
S. G. Henderson, "Bisection search with noisy responses", SIAM J. Control Optim. 51 (2013). Theirs chooses the next question, too; ours is
chosen by :mod:`replayer.capacity.search`, which may not ask above a broken level as it likes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
BEYOND = 4.0
"""So many times below the lowest and above the highest level that was tried the limit may lie beforehand."""
WRONG_MOST = 0.4


@dataclass(frozen=True, slots=True)
class Confidence:
    """Where the limit is with probability ``level``."""

    low: float
    high: float
    level: float = LEVEL
    wrong: float = 0.0
    """The chance of a wrong judgement that was reckoned with."""
    open: bool = False
    """Whether no rule ever broke: then ``high`` says nothing."""


def confidence(
    votes: Sequence[tuple[float, bool]], bracket: tuple[float, float] = (math.inf, 0.0)
) -> Confidence | None:
    """From (level, whether a rule broke), and the bracket that was closed to; None without votes."""
    if not votes:
        return None
    wrong = _wrong(votes)
    levels = sorted({level for level, _ in votes})
    edges = [levels[0] / BEYOND, *levels, levels[-1] * BEYOND]
    right, other = math.log1p(-wrong), math.log(wrong)
    logs = [
        sum(right if (above <= level) == broke else other for level, broke in votes)
        for above in edges[1:]  # the limit lies below this edge and above the one before
    ]
    heaviest = max(logs)
    weights = [
        math.exp(log - heaviest) * math.log(above / below)
        for log, below, above in zip(logs, edges, edges[1:], strict=False)
    ]
    low, high = (_quantile(edges, weights, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    is_open = not any(broke for _, broke in votes)
    if not is_open and bracket[1] < math.inf:
        low, high = min(low, bracket[0]), max(high, bracket[1])
    return Confidence(low, high, wrong=wrong, open=is_open)


def _quantile(edges: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Below which level this share of the weight lies; within a segment it is even on the logarithmic scale."""
    wanted, gone = share * sum(weights), 0.0
    for weight, below, above in zip(weights, edges, edges[1:], strict=False):
        if gone + weight >= wanted and weight > 0:
            return below * (above / below) ** ((wanted - gone) / weight)
        gone += weight
    return edges[-1]


def _wrong(votes: Sequence[tuple[float, bool]]) -> float:
    """The chance that a judgement is wrong: minorities among the votes about one level."""
    by_level: dict[float, list[bool]] = defaultdict(list)
    for level, broke in votes:
        by_level[level].append(broke)
    repeated = [found for found in by_level.values() if len(found) > 1]
    minority = sum(min(found.count(True), found.count(False)) for found in repeated)
    return min(WRONG_MOST, (1 + minority) / (20 + sum(map(len, repeated))))
