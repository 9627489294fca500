"""What a run is sure of while it goes on: evidence that may be looked at after every exchange. Pure, bounded.

A p-value is meant to be looked at once; who looks after each exchange and stops when it is small is wrong much more often. Here the
evidence is an e-value: the mean, over all chances above one half, of how much likelier the exchanges seen are under that chance than
under a fair coin. If branch differs from base no more than from its control, it is a test supermartingale, so by Ville's inequality it
ever exceeds 1/alpha with a probability of at most alpha (Robbins 1970; Ramdas, Grünwald, Vovk and Shafer 2023). The verdict of a run is
decided at its close by :mod:`differ.judging` all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from differ.chances import Q_MAX, at_least
from differ.difference import CLOCK, DERIVED, PERMUTATION, VALUE, Difference
from differ.rules import RULED
from differ.tallies import NO_DIFFERENCE

WATCHED_MAX = 20_000
"""Places and facets that are watched: some 200 bytes each. Later ones are judged at the close like all others."""
_UNWATCHED = CLOCK | DERIVED | PERMUTATION | RULED


def e_value(only_x: int, only_control: int) -> float:
    """The evidence of discordant exchanges against a fair coin: at most 1 in the mean while nothing changed, whenever one looks.

    The mixture with a uniform prior over (½, 1]: 2ⁿ⁺¹ · B(x+1, c+1) · P(Beta(x+1, c+1) > ½), the last by the binomial tail.
    """
    n = only_x + only_control
    above = at_least(n + 1 - only_x, n + 1, 0.5)
    if above <= 0.0:
        return 0.0
    logarithm = (
        (n + 1) * math.log(2)
        + math.lgamma(only_x + 1)
        + math.lgamma(only_control + 1)
        - math.lgamma(n + 2)
        + math.log(above)
    )
    return math.exp(min(logarithm, 700.0))


class Live:
    """The places of a run that changed for sure so far.

    The n-th place that is met may be wrong with alpha/n(n+1), which sum up to alpha: so all of them together are right with 1 - alpha.
    """

    def __init__(self, alpha: float = Q_MAX, noisy: Mapping[tuple[str, str], int] | None = None) -> None:
        """``noisy``: by endpoint and place the coarsest facet at which base is known to differ from itself; that is left to the close."""
        self._noisy = noisy or {}
        self.sure: set[tuple[str, str]] = set()
        """Endpoint and place."""
        self._alpha = alpha
        self._counts: dict[tuple[str, str, int], list[int]] = {}

    def add(self, endpoint: str, differences: Iterable[tuple[int, Difference]]) -> None:
        """One exchange of which both controls answered: its differences, each with its comparison (0 x, 1 a, 2 b)."""
        coarsest: dict[str, list[int]] = {}
        blind = set[str]()
        for pair, difference in differences:
            where = difference.where
            if not where:  # a comparison could not be made
                return
            if difference.flags & _UNWATCHED or (difference.facet == VALUE and difference.klass):
                blind.add(where)
                continue
            facets = coarsest.setdefault(where, [NO_DIFFERENCE] * 3)
            facets[pair] = min(facets[pair], difference.facet)
        status = coarsest.get("status")
        if status is not None:  # beside another status all else is another document
            coarsest = {"status": status}
        for where, facets in coarsest.items():
            if where not in blind:
                self._count(endpoint, where, facets)

    def _count(self, endpoint: str, where: str, facets: list[int]) -> None:
        for facet in range(min(facets), self._noisy.get((endpoint, where), NO_DIFFERENCE)):
            x, a, b = (one <= facet for one in facets)
            if x == a == b:
                continue
            key = endpoint, where, facet
            counts = self._counts.get(key)
            if counts is None:
                if len(self._counts) >= WATCHED_MAX:
                    return
                counts = self._counts[key] = [0, 0, 0, 0, len(self._counts) + 1]
            counts[0] += x and not a
            counts[1] += a and not x
            counts[2] += x and not b
            counts[3] += b and not x
            if x and (endpoint, where) not in self.sure:
                needed = counts[4] * (counts[4] + 1) / self._alpha
                if min(e_value(counts[0], counts[1]), e_value(counts[2], counts[3])) >= needed:
                    self.sure.add((endpoint, where))
