"""Evidence: whether a place differs between the versions more than each version differs from itself. Pure.

The unit is an exchange with all its answers. At a place and a facet, x says that branch differs from base, a that base differs from its
control, b that branch differs from its own. p is the larger of two exact one-sided McNemar tests (McNemar 1947: discordant pairs
are binomial with one half under the null), x against a and x against b; q comes from Benjamini and Hochberg (1995) over the tests of
a run. :mod:`differ.gathering` counts, :mod:`differ.judging` asks for places and for their kin at other endpoints.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from differ.chances import Q_MAX, at_least, mcnemar
from differ.difference import CLOCK, DERIVED, PERMUTATION
from differ.tallies import Tally, coins_for

P_NOISE = 0.05
"""A place that its own version shows differing is noise unless the excess is at least this unlikely; between, it is undecided."""
MISSING_MAX = 64
"""The most samples that are named as missing: beyond it, ``more`` is all that can be said."""
REGRESSION, NOISE, UNDECIDED = "regression", "noise", "undecided"
DETERMINISTIC, TESTED, EXPLAINED = "deterministic", "tested", "explained"


@dataclass(slots=True)
class Place:
    """One kind of difference at one place of one endpoint."""

    endpoint: str
    where: str
    kind: str
    facet: int
    nature: str = ""
    """``generative`` or ``permutation``: each distinct pair of values counts once. Empty: each exchange counts."""
    klass: str = ""
    flags: int = CLOCK | DERIVED | PERMUTATION
    """Flags that every difference here has."""
    count: int = 0
    """Exchanges in which this very kind was seen between base and branch."""
    greedy: int = 0
    """Those of them in which it was seen in an array whose elements were paired greedily."""
    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The first exchanges that show it: rank and id."""
    signatures: set[str] = field(default_factory=set[str])

    @property
    def signature(self) -> str:
        """The change, when it is one; empty when it was seen in many forms."""
        return next(iter(self.signatures)) if len(self.signatures) == 1 else ""


@dataclass(frozen=True, slots=True)
class Observed:
    """How often each target answered at an endpoint, and whether its controls are instances of their own."""

    fired: int = 0
    control: int = 0
    branch_control: int = 0
    own_control: bool = True
    own_branch_control: bool = True

    @property
    def controlled(self) -> bool:
        """Whether both controls answered at least once."""
        return self.control > 0 and self.branch_control > 0

    @property
    def own(self) -> bool:
        """Whether both controls are instances of their own."""
        return self.own_control and self.own_branch_control


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known when a place is weighed."""

    all: Tally
    """At its endpoint, each exchange."""
    own: Tally
    """At its endpoint, what the test counts."""
    pool_all: Tally
    """At the same place of all endpoints, each exchange."""
    pool: Tally
    """At the same place of all endpoints, what the test counts."""
    twin_noisy: bool = False
    """Whether the same place is noisy in the answers to GET, for an endpoint of HEAD."""
    named: Tally = field(default_factory=Tally)
    """At all places of that name, wherever they stand, each exchange."""
    named_fired: int = 0
    """Exchanges of the endpoints at which one of them was seen to differ."""
    alone: int = 0
    flapped: int = 0
    q_own: float = 1.0
    q_pool: float = 1.0
    q_flaky: float = 1.0


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the evidence says of a place."""

    verdict: str
    basis: str
    p_value: float | None = None
    q_value: float | None = None
    why: str = ""
    missing_samples: int = 0
    firm: bool = False
    """Whether an exchange counts although a version differs from itself in it: the flapping is the finding."""
    drawn: bool = False
    """Whether the finding is how its values are distributed, and not that they differ."""


def weigh(place: Place, evidence: Evidence, observed: Observed) -> Weighed:
    """The verdict on one place (design §5.6)."""
    if place.flags & CLOCK:
        return Weighed(NOISE, EXPLAINED, why="both values are the time at which they were given")
    if place.flags & DERIVED:
        return Weighed(NOISE, EXPLAINED, why="follows from the body, which is judged itself")
    if not observed.controlled:
        return _undecided(evidence.own, "no control answered at this endpoint")
    if place.nature and not observed.own:
        why = "a random or unordered value, and a control is the same process as its twin; give --control and --branch-control"
        return _undecided(evidence.own, why)
    return _deterministic(place, evidence) or _tested(place, evidence)


def _deterministic(place: Place, evidence: Evidence) -> Weighed | None:
    """One exchange is enough where the controls never differed, or only by noise that cannot agree by luck."""
    tally = evidence.all
    if place.nature or tally.lucky or evidence.twin_noisy or not (tally.x_alone or evidence.alone):
        return None
    if by_luck(evidence) or rare_elsewhere(evidence):
        return None
    return Weighed(REGRESSION, DETERMINISTIC)


def by_luck(evidence: Evidence) -> bool:
    """Whether x alone is what the noise of this place at other endpoints gives anyway.

    Four answers that are random alike fall into two equal pairs in three ways, equally often: x alone is one of them, ``mirrored``
    another. Where many endpoints have few exchanges each, some would look clean by luck.
    """
    pool = evidence.pool_all
    return (
        pool.mirrored > 0
        and mcnemar(pool.x_alone, pool.mirrored) > Q_MAX
        and mcnemar(evidence.all.x_alone, evidence.all.mirrored) > Q_MAX
    )


def rare_elsewhere(evidence: Evidence) -> bool:
    """Whether noise at places of this name is rare, and frequent enough to give x alone this often."""
    named = evidence.named
    return named.a + named.b > 0 and at_least(named.x_alone, evidence.named_fired, chance_alone(evidence)) > Q_MAX


def chance_alone(evidence: Evidence) -> float:
    """How likely one exchange shows x alone, where four answers are random alike and two of them differ as often as controls do here.

    Exact for a value that is one of two, and for one that is each of many equally often: v²/2 and v(1-v)², which meet at one half and
    are highest near it. What was seen now and then may be more frequent than it was seen, so v is at the upper end of what goes with it.
    """
    seen, both = evidence.named.a + evidence.named.b, 2 * max(1, evidence.named_fired)
    v = max(min(1.0, seen / both), min(at_most_seen(seen) / both, 0.5))
    return v * v / 2 if v <= 0.5 else v * (1 - v) ** 2


def at_most_seen(count: int) -> float:
    """The expectation under which so few are seen in one of twenty cases (Poisson, by the square root; within 0.3 of the exact value)."""
    return (math.sqrt(count + 1) + 0.82) ** 2


def _tested(place: Place, evidence: Evidence) -> Weighed:
    """Whether branch differs from base more often than each from its control."""
    own, pool = evidence.own, evidence.pool
    if place.nature == "permutation" and (evidence.all.a or evidence.all.b):
        # A version that varies the order has none; its lists share members, so that many of them are no more evidence than one.
        return Weighed(NOISE, TESTED, own.p_value, evidence.q_own, _why_noise(place, evidence))
    contrary = evidence.all.a_not_x or evidence.all.b_not_x
    p_value, q_value, tally = own.p_value, evidence.q_own, own
    if not contrary and pool.p_value < p_value:
        p_value, q_value, tally = pool.p_value, evidence.q_pool, pool
    if q_value <= Q_MAX and own.x_alone:
        return Weighed(REGRESSION, TESTED, p_value, q_value)
    if place.where == "status" and evidence.q_flaky <= Q_MAX:
        why = "branch answers now this, now that, where base does not"
        return Weighed(REGRESSION, TESTED, evidence.all.p_flaky, evidence.q_flaky, why, firm=True)
    if p_value > P_NOISE and (why := _why_noise(place, evidence)):
        return Weighed(NOISE, TESTED, p_value, q_value, why)
    return _undecided(tally, "differs more often than the controls, but not often enough to be sure", q_value)


def _why_noise(place: Place, evidence: Evidence) -> str:
    """Which version shows it against itself; empty when none does."""
    if who := [name for name, count in (("base", evidence.all.a), ("branch", evidence.all.b)) if count]:
        return f"{' and '.join(who)} differ{'s' if len(who) == 1 else ''} from {'itself' if len(who) == 1 else 'themselves'} here too"
    if evidence.flapped and not evidence.all.x:
        return "a version has two statuses wherever this was seen"
    if evidence.twin_noisy:
        return "a version differs from itself here in its answers to GET"
    if by_luck(evidence):
        return "the versions differ from themselves at this place of other endpoints"
    if place.nature == "permutation" and 0.5 ** coins_for(evidence.own.members) > P_NOISE:
        # A set's order is fixed by the instance's hash seed, of all its members: on few of them instances agree by luck.
        return "the same members in another order, in too few different lists to tell a new order from a set's"
    return ""


def _undecided(tally: Tally, why: str, q_value: float | None = None) -> Weighed:
    return Weighed(UNDECIDED, TESTED, tally.p_value, q_value, why, missing_samples(tally))


def missing_samples(tally: Tally) -> int:
    """How many more exchanges that differ like these would decide it (an estimate: the controls stay as they are)."""
    for more in range(1, MISSING_MAX):
        p = max(mcnemar(tally.x_not_a + more, tally.a_not_x), mcnemar(tally.x_not_b + more, tally.b_not_x))
        if p <= Q_MAX:
            return more
    return MISSING_MAX
