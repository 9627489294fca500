"""Exchanges of which a control gave no answer, weighed against what is known of each version's own noise. Pure.

Where all four answers are there, an exchange is its own control group (:mod:`differ.tallies`). Where base's control was spared or
failed, what stands in for it is how often base differs from itself in other exchanges: those of the run whose control answered, and those
of its version's profile. If branch is like base, the exchanges that differ are spread over both by chance (Fisher 1935, exact). Where a
version was ever seen to differ from itself, the same is asked of branch against its own control in this run, and the larger of the two
p-values counts; where neither was, it is enough that branch's control answered, as it is where all answers are there.
"""

from __future__ import annotations

from dataclasses import dataclass

from differ.chances import Q_MAX, at_least, drawn

MISSING_MAX = 64
"""The most samples that are named as missing: beyond it, ``more`` is all that can be said."""


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Counts at one place and facet."""

    x: int
    """Of ``fired``: branch differs from base."""
    fired: int
    """Exchanges of which a control gave no answer."""
    a: int
    """Of ``base``: base differs from its control."""
    base: int
    b: int
    """Of ``branch``: branch differs from its control."""
    branch: int

    @property
    def p_base(self) -> float:
        """How likely branch differs from base this much oftener than base from itself, by chance."""
        return drawn(self.x, self.fired, self.a, self.base)

    @property
    def quiet(self) -> bool:
        """Whether no version was ever seen to differ from itself."""
        return not (self.a or self.b)

    @property
    def p_value(self) -> float:
        """The larger of the p-values against both versions; where both are quiet, that against base."""
        return self.p_base if self.quiet else max(self.p_base, drawn(self.x, self.fired, self.b, self.branch))

    @property
    def p_least(self) -> float:
        """The smallest p that so many differing exchanges could have given."""
        if self.quiet:
            return self.p_base
        return max(_least(self.x + self.a, self.fired, self.base), _least(self.x + self.b, self.fired, self.branch))

    @property
    def missing(self) -> int:
        """How many more exchanges that differ like these would decide it."""
        for more in range(1, MISSING_MAX):
            if Unpaired(self.x + more, self.fired + more, self.a, self.base, self.b, self.branch).p_value <= Q_MAX:
                return more
        return MISSING_MAX


def _least(total: int, fired: int, others: int) -> float:
    most = min(total, fired)
    return drawn(most, fired, total - most, others)


def luck(x_alone: int, exchanges: int, differing: int, observed: int, at_most: float) -> float:
    """How likely branch alone is at odds in so many exchanges with all their answers, by noise that base has shown ``differing`` times.

    Four answers that are random alike show x alone in v²/2 of all exchanges where two of them differ in v; rare noise may be as frequent
    as ``at_most`` of the observed. Above one half the chance is taken as highest: a rate of another run is no exact one.
    """
    v = min(max(differing, at_most) / max(1, observed), 0.5)
    return at_least(x_alone, exchanges, v * v / 2)
