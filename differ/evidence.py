"""Evidence: whether a place differs between the versions more than each version differs from itself. Pure.

The unit is an exchange with all its answers. At a place and a facet, x says that branch differs from base, a that base differs from its
control, b that branch differs from its own. p is the larger of two exact one-sided McNemar tests (McNemar 1947: discordant pairs
are binomial with one half under the null), x against a and x against b; q comes from Benjamini and Hochberg (1995) over the tests of
a run. :mod:`differ.gathering` counts, :mod:`differ.judging` asks for places and for their kin at other endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from differ.difference import CLOCK, DERIVED, PERMUTATION

Q_MAX = 0.01
"""A finding on basis ``tested`` is a regression up to this share of expected false discoveries."""
P_NOISE = 0.05
"""A place that its own version shows differing is noise unless the excess is at least this unlikely; between, it is undecided."""
MISSING_MAX = 64
"""The most samples that are named as missing: beyond it, ``more`` is all that can be said."""
NO_DIFFERENCE = 4
"""The facet behind the last: the two answers agree at the place."""
REGRESSION, NOISE, UNDECIDED = "regression", "noise", "undecided"
DETERMINISTIC, TESTED, EXPLAINED = "deterministic", "tested", "explained"

Pattern = tuple[int, int, int]
"""One exchange at one place: the coarsest facet at which x, a and b differ."""
Pairs = tuple[int, int, int, int, int, int]
"""A pattern, and the digests of the pairs of values of x, a and b."""


@lru_cache(maxsize=4096)
def mcnemar(only_x: int, only_control: int) -> float:
    """One-sided exact p: how likely at least ``only_x`` of the discordant exchanges fall on x's side by chance."""
    n = only_x + only_control
    if only_x <= 0:
        return 1.0
    if only_control == 0:
        return 0.5**n
    if only_x > n / 2:
        return min(1.0, _tail(n, only_x, 1))
    return max(0.0, 1.0 - _tail(n, only_x - 1, -1))


def _tail(n: int, start: int, step: int) -> float:
    """The sum of Bin(n, 1/2) from ``start`` away from the middle: terms shrink, so it ends when they no longer count."""
    term = math.exp(math.lgamma(n + 1) - math.lgamma(start + 1) - math.lgamma(n - start + 1) - n * math.log(2))
    total, k = 0.0, start
    while 0 <= k <= n and term > total * 1e-18:
        total += term
        term *= (n - k) / (k + 1) if step > 0 else k / (n - k + 1)
        k += step
    return total


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values in the order of the p-values (the step-up procedure, made monotone)."""
    count = len(p_values)
    q_values = [1.0] * count
    smallest = 1.0
    ranked = sorted(range(count), key=lambda i: p_values[i])
    for rank in range(count, 0, -1):
        smallest = min(smallest, p_values[ranked[rank - 1]] * count / rank)
        q_values[ranked[rank - 1]] = smallest
    return q_values


@dataclass(slots=True)
class Tally:
    """How often a place differs at a facet or a coarser one, over exchanges with all their answers."""

    x: int = 0
    a: int = 0
    b: int = 0
    x_not_a: int = 0
    a_not_x: int = 0
    x_not_b: int = 0
    b_not_x: int = 0
    b_not_a: int = 0
    a_not_b: int = 0
    all_three: int = 0
    """All four answers are at odds: noise with so many values that two of them do not agree by luck."""
    mirrored: int = 0
    """a and b differ, x does not. What is random alike in four answers does this as often as it shows x alone."""
    x_alone: int = 0
    coins: float = 0.0
    """Of orders that no version disagrees about with itself: how many fair coins their agreeing by luck is worth."""

    def add(self, differs: tuple[bool, bool, bool], count: int = 1) -> None:
        """Exchanges of one pattern."""
        x, a, b = differs
        self.x += count * x
        self.a += count * a
        self.b += count * b
        self.x_not_a += count * (x and not a)
        self.a_not_x += count * (a and not x)
        self.x_not_b += count * (x and not b)
        self.b_not_x += count * (b and not x)
        self.b_not_a += count * (b and not a)
        self.a_not_b += count * (a and not b)
        self.all_three += count * (x and a and b)
        self.mirrored += count * (a and b and not x)
        self.x_alone += count * (x and not a and not b)

    @property
    def p_value(self) -> float:
        """The larger of the two tests' p-values."""
        if self.coins:
            return 0.5**self.coins
        return max(mcnemar(self.x_not_a, self.a_not_x), mcnemar(self.x_not_b, self.b_not_x))

    @property
    def p_flaky(self) -> float:
        """How likely branch differs from itself that much more often than base does, by chance."""
        return mcnemar(self.b_not_a, self.a_not_b)

    @property
    def p_least(self) -> float:
        """The smallest p that this many discordant exchanges could have given, however they fell."""
        if self.coins:
            return 0.5**self.coins
        return max(0.5 ** (self.x_not_a + self.a_not_x), 0.5 ** (self.x_not_b + self.b_not_x))

    @property
    def lucky(self) -> bool:
        """Whether the noise here is of a kind that may agree by luck: some noisy exchange had two equal answers."""
        return not self.a == self.b == self.all_three


@dataclass(slots=True)
class Spot:
    """What was seen at one place of one endpoint, at every facet at once."""

    patterns: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """How many exchanges showed each pattern."""
    pairs: set[Pairs] = field(default_factory=set[Pairs])
    """Of generative values and permutations: each distinct pair once, where x, a and b are not all alike."""
    orders: dict[int, frozenset[int]] = field(default_factory=dict[int, frozenset[int]])
    """Of permutations of x: the members that moved, by what was swapped first."""
    alone: int = 0
    """Exchanges in which x differs and a control gave no answer: they are no evidence."""
    flapped: int = 0
    """Exchanges in which a version has two statuses: they are no evidence of anything else."""
    beside: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """Patterns of exchanges in which the versions have two statuses: as good as others, if the status does not flap."""

    def settle(self, *, flaps: bool, unsure: bool) -> None:
        """Take what was seen beside another status for evidence, or for none where the status flaps, or may do so."""
        for pattern, count in self.beside.items():
            if flaps:
                self.flapped += count
            elif not unsure:
                self.patterns[pattern] = self.patterns.get(pattern, 0) + count
        self.beside.clear()

    @property
    def noisy(self) -> bool:
        """Whether a version ever differs from itself here."""
        return any(min(a, b) != NO_DIFFERENCE for _, a, b in self.patterns)

    def tally(self, facet: int) -> Tally:
        """Exchanges that differ at a facet or a coarser one."""
        found = Tally()
        for (x, a, b), count in self.patterns.items():
            found.add((x <= facet, a <= facet, b <= facet), count)
        return found

    def distinct(self, facet: int) -> Tally:
        """The same, with each distinct pair of values counted once."""
        found = tally_distinct(self.pairs, facet)
        if not any(a <= facet or b <= facet for _, a, b in self.patterns):
            found.coins = coins_of(self.orders.values())
        return found

    def join(self, other: Spot) -> None:
        """Take what another endpoint showed at the same place."""
        for pattern, count in other.patterns.items():
            self.patterns[pattern] = self.patterns.get(pattern, 0) + count
        self.pairs |= other.pairs
        self.orders = other.orders | self.orders
        self.alone += other.alone
        self.flapped += other.flapped


def coins_of(orders: Iterable[frozenset[int]]) -> float:
    """How many fair coins it is worth that two instances agree on these lists, if each keeps its members in hash order.

    On m members they agree once in m! times. Lists with a member in common are not independent of each other, so each member
    counts once: the longest lists first, of every later one only what is new in it.
    """
    used, coins = set[int](), 0.0
    for members in sorted(orders, key=lambda one: (-len(one), sorted(one))):
        fresh = members - used
        coins += math.lgamma(len(fresh) + 1) / math.log(2)
        used |= fresh
    return coins


def tally_distinct(pairs: Iterable[Pairs], facet: int) -> Tally:
    """Count distinct pairs of values instead of exchanges."""
    seen: dict[str, set[int]] = {}
    for fx, fa, fb, vx, va, vb in pairs:
        x, a, b = fx <= facet, fa <= facet, fb <= facet
        for name, holds, value in (
            ("x", x, vx),
            ("a", a, va),
            ("b", b, vb),
            ("x_not_a", x and not a, vx),
            ("a_not_x", a and not x, va),
            ("x_not_b", x and not b, vx),
            ("b_not_x", b and not x, vb),
            ("x_alone", x and not a and not b, vx),
        ):
            if holds:
                seen.setdefault(name, set()).add(value)
    return Tally(**{name: len(values) for name, values in seen.items()})


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
        and mcnemar(pool.x_alone, pool.mirrored) > P_NOISE
        and mcnemar(evidence.all.x_alone, evidence.all.mirrored) > P_NOISE
    )


def rare_elsewhere(evidence: Evidence) -> bool:
    """Whether noise at places of this name is rare, and frequent enough to give x alone this often."""
    named = evidence.named
    return named.a + named.b > 0 and at_least(named.x_alone, evidence.named_fired, chance_alone(evidence)) > P_NOISE


def chance_alone(evidence: Evidence) -> float:
    """How likely one exchange shows x alone, where four answers are random alike and two of them differ as often as controls do here.

    Exact for a value that is one of two, and for one that is each of many equally often: v²/2 and v(1-v)², which meet at one half.
    """
    v = min(1.0, (evidence.named.a + evidence.named.b) / (2 * max(1, evidence.named_fired)))
    return v * v / 2 if v <= 0.5 else v * (1 - v) ** 2


def at_least(count: int, n: int, chance: float) -> float:
    """How likely a binomial variable is at least ``count``; 1 where it has to be."""
    if count <= 0 or n < count:
        return 1.0
    if chance <= 0:
        return 0.0
    below = 0.0
    for k in range(count):
        below += math.exp(
            math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
            + k * math.log(chance) + (n - k) * math.log1p(-chance)
        )  # fmt: skip
    return max(0.0, 1.0 - below)


def _tested(place: Place, evidence: Evidence) -> Weighed:
    """Whether branch differs from base more often than each from its control."""
    own, pool = evidence.own, evidence.pool
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
    if place.nature == "permutation":
        # A set's order is fixed by the instance's hash seed: two instances of a version agree by luck as often as not.
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


def family(p_values: Mapping[object, tuple[float, float]]) -> dict[object, float]:
    """q-values of tests given as (p, smallest p they could have had).

    A test that could not reject however its exchanges fell is no chance of a false discovery and stays outside of the family
    (Tarone 1990; Gilbert 2005 for the false discovery rate of discrete tests): much noise must not drown a real change.
    """
    able = [name for name, (_, least) in p_values.items() if least <= Q_MAX]
    found = dict(zip(able, benjamini_hochberg([p_values[name][0] for name in able]), strict=True))
    return {name: found.get(name, 1.0) for name in p_values}
