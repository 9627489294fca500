"""Evidence: whether a place differs between the versions more than each version differs from itself. Pure.

The unit is an exchange with all its answers. For a place and a facet, x says that branch differs from base, a that base differs from its
control, b that branch differs from its own. p is the larger of two exact one-sided McNemar tests (McNemar 1947: discordant pairs
are binomial with one half under the null), x against a and x against b; q comes from Benjamini and Hochberg (1995) over the findings of
a run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from differ.difference import CLOCK, DERIVED, PERMUTATION

Q_MAX = 0.01
"""A finding on basis ``tested`` is a regression up to this share of expected false discoveries."""
P_NOISE = 0.05
"""A place that its own version shows differing is noise unless the excess is at least this unlikely; between, it is undecided."""
SAMPLES_MAX = 3
DISTINCT_MAX = 4096
"""Distinct pairs remembered per place: far more than a test needs to be sure either way, and it bounds a place's memory."""

REGRESSION, NOISE, UNDECIDED = "regression", "noise", "undecided"


def mcnemar(only_x: int, only_control: int) -> float:
    """One-sided exact p: how likely at least ``only_x`` of the discordant exchanges fall on x's side by chance."""
    n = only_x + only_control
    if n == 0 or only_x == 0:
        return 1.0
    if only_control == 0:
        return 0.5**n
    if n > 1000:  # the normal tail with continuity correction; at this size it agrees to three digits
        z = (only_x - 0.5 - n / 2) / math.sqrt(n / 4)
        return 0.5 * math.erfc(z / math.sqrt(2))
    return sum(math.comb(n, k) for k in range(only_x, n + 1)) / 2**n


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values in the order of the p-values (the step-up procedure, made monotone)."""
    count = len(p_values)
    q_values = [1.0] * count
    smallest = 1.0
    for rank, index in sorted(enumerate(sorted(range(count), key=lambda i: p_values[i]), 1), reverse=True):
        smallest = min(smallest, p_values[index] * count / rank)
        q_values[index] = smallest
    return q_values


@dataclass(slots=True)
class Tally:
    """How often a place differs at a facet or a coarser one."""

    x: int = 0
    a: int = 0
    b: int = 0
    x_not_a: int = 0
    a_not_x: int = 0
    x_not_b: int = 0
    b_not_x: int = 0

    def add(self, x: bool, a: bool, b: bool) -> None:
        """One exchange at which at least one of the three differs."""
        self.x += x
        self.a += a
        self.b += b
        self.x_not_a += x and not a
        self.a_not_x += a and not x
        self.x_not_b += x and not b
        self.b_not_x += b and not x

    @property
    def p_value(self) -> float:
        """The larger of the two tests' p-values."""
        return max(mcnemar(self.x_not_a, self.a_not_x), mcnemar(self.x_not_b, self.b_not_x))


@dataclass(slots=True)
class Sample:
    """One exchange that shows a difference."""

    exchange: str
    seq: int
    base: str | None
    branch: str | None


@dataclass(slots=True)
class Place:
    """The evidence at one place of one endpoint, for one kind of difference and its facet."""

    endpoint: str
    where: str
    kind: str
    facet: int
    signature: str
    generative: bool = False
    """A generative class or a permutation: each distinct pair of values counts once."""
    permutation: bool = False
    """Two orders of the same members; tallied apart from other changes at the same place."""
    klass: str = ""
    flags: int = CLOCK | DERIVED | PERMUTATION
    """Flags that every difference here has."""
    all: Tally = field(default_factory=Tally)
    distinct: Tally = field(default_factory=Tally)
    kind_x: int = 0
    """Exchanges in which this very kind was seen between base and branch."""
    samples: list[Sample] = field(default_factory=list[Sample])

    @property
    def tally(self) -> Tally:
        """What the test counts."""
        return self.distinct if self.generative else self.all


@dataclass(frozen=True, slots=True)
class Observed:
    """How often each target answered at an endpoint, and whether its controls are instances of their own."""

    fired: int = 0
    control: int = 0
    branch_control: int = 0
    own_control: bool = True
    own_branch_control: bool = True


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence says of a place."""

    verdict: str
    basis: str
    p_value: float | None
    why: str = ""
    missing_samples: int = 0


def weigh(place: Place, observed: Observed, q_value: float) -> Weighed:
    """The verdict on one place (design §5.6)."""
    if place.flags & CLOCK:
        return Weighed(NOISE, "clock", None, "both values are the time at which they were given")
    if place.flags & DERIVED:
        return Weighed(NOISE, "derived", None, "follows from the body, which is judged itself")
    tally = place.tally
    controlled = observed.control > 0 and observed.branch_control > 0
    own = observed.own_control and observed.own_branch_control
    if not place.generative and controlled and place.all.a == 0 and place.all.b == 0:
        return Weighed(REGRESSION, "deterministic", None)
    if controlled and (own or not place.generative):
        if q_value <= Q_MAX:
            return Weighed(REGRESSION, "tested", tally.p_value)
        if (place.all.a or place.all.b) and tally.p_value > P_NOISE:
            return Weighed(NOISE, "tested", tally.p_value, why_noise(place))
    return Weighed(UNDECIDED, "tested", tally.p_value, why_undecided(place, controlled, own), missing_samples(tally))


def why_noise(place: Place) -> str:
    """Which version shows it against itself."""
    who = [name for name, count in (("base", place.all.a), ("branch", place.all.b)) if count]
    return f"{' and '.join(who)} differ{'s' if len(who) == 1 else ''} from {'itself' if len(who) == 1 else 'themselves'} here too"


def why_undecided(place: Place, controlled: bool, own: bool) -> str:
    """What would decide it."""
    if not controlled:
        return "no control answered at this endpoint"
    if place.generative and not own:
        return "a random or unordered value, and the control is the same process; give --control and --branch-control"
    return "differs more often than the controls, but not often enough to be sure"


def missing_samples(tally: Tally) -> int:
    """How many more exchanges that differ like these would decide it (an estimate: the controls stay as they are)."""
    for more in range(1, 64):
        p = max(mcnemar(tally.x_not_a + more, tally.a_not_x), mcnemar(tally.x_not_b + more, tally.b_not_x))
        if p <= Q_MAX / 2:
            return more
    return 64
