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
from differ.profiles import NOTHING_KNOWN, Known
from differ.tallies import Tally, coins_for
from differ.unpaired import MISSING_MAX, Unpaired, luck

P_NOISE = 0.05
"""A place that its own version shows differing is noise unless the excess is at least this unlikely; between, it is undecided."""
VALUES_MAX = 100
"""Values among which agreement by luck is looked for: of more it is rarer than once in ten thousand draws."""
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
    form: str = ""
    """Of a whole body: its media type, where that says what it is. Places that only this parts share their evidence."""
    klass: str = ""
    digest: bool = True
    """Whether all its values are hashes so long that two instances never agree on one by luck: what they agree on is made of something."""
    flags: int = CLOCK | DERIVED | PERMUTATION
    """Flags that every difference here has."""
    count: int = 0
    """Exchanges in which this very kind was seen between base and branch."""
    clear: int = 0
    """Those of them in which no version differs from itself there."""
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
    lone: int = 0
    """Exchanges that were fired and of which a control gave no answer, or a comparison had to be given up."""
    recorded: int = 0
    """Exchanges that the run selected, whether or not they were fired and compared."""

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
    drawn: Tally
    """At its endpoint, each exchange that is a draw of its own: what a process keeps for a request counts once."""
    pool_drawn: Tally
    """The same of all endpoints."""
    twin_noisy: bool = False
    """Whether the same place is noisy in the answers to GET, for an endpoint of HEAD."""
    named: Tally = field(default_factory=Tally)
    """At all places of that name, wherever they stand, each exchange."""
    named_fired: int = 0
    """Exchanges of the endpoints at which one of them was seen to differ."""
    fired: int = 0
    """Exchanges of the endpoint."""
    alone: int = 0
    flapped: int = 0
    unlike_flaps: bool = False
    """Of statuses: whether versions flap elsewhere, and with none of these."""
    as_recorded: bool = False
    """Whether base says here what was recorded, though the place is of a kind that is drawn anew."""
    q_own: float = 1.0
    q_pool: float = 1.0
    q_flaky: float = 1.0
    known: Known = NOTHING_KNOWN
    """What the profile of base's version knows of the place."""
    whole: int = 0
    """Exchanges of the endpoint with all their answers."""
    unpaired: Unpaired | None = None
    """Those without, where the profile has a say in them."""
    stood_in: bool = False
    """Whether base's control never answered at the endpoint, and the profile stands in for it."""
    q_unpaired: float = 1.0

    @property
    def p_own(self) -> float:
        """Of the endpoint: values that are drawn anew from a few come again by luck, so distinct pairs must not say more than exchanges do."""
        return self.own.p_value if self.own.coins else max(self.own.p_value, self.drawn.p_value)

    @property
    def p_pool(self) -> float:
        """The same of all endpoints."""
        return self.pool.p_value if self.pool.coins else max(self.pool.p_value, self.pool_drawn.p_value)


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
    by_profile: bool = False
    """Whether it rests on the profile of base's version."""


def weigh(place: Place, evidence: Evidence, observed: Observed) -> Weighed:
    """The verdict on one place (design §5.6)."""
    if place.flags & CLOCK:
        return Weighed(NOISE, EXPLAINED, why="both values are the time at which they were given")
    if place.flags & DERIVED:
        return Weighed(NOISE, EXPLAINED, why="follows from the body, which is judged itself")
    if not observed.controlled and not evidence.stood_in:
        return _undecided(evidence.own, "no control answered at this endpoint")
    if place.nature and not (observed.own or (evidence.stood_in and observed.own_branch_control)):
        why = "a random or unordered value, and a control is the same process as its twin; give --control and --branch-control"
        return _undecided(evidence.own, why)
    if evidence.stood_in and evidence.unpaired is not None:
        return _stood_in(place, evidence, evidence.unpaired)
    if evidence.as_recorded and evidence.all.x_alone and not (evidence.all.a or evidence.all.b):
        return Weighed(REGRESSION, DETERMINISTIC, why="base says what was recorded, so its value is not drawn anew")
    return _deterministic(place, evidence) or _tested(place, evidence)


def _deterministic(place: Place, evidence: Evidence) -> Weighed | None:
    """One exchange is enough where the controls never differed, or only by noise that cannot agree by luck."""
    tally = evidence.all
    if (
        (place.nature and not place.digest)
        or tally.lucky
        or evidence.twin_noisy
        or not (tally.x_alone or evidence.alone)
    ):
        return None
    if copies(evidence) > Q_MAX:
        return None
    # What base is known to do by itself, exchanges without its control do not show to be branch's doing: luck explains any number of them.
    if by_luck(evidence) or rare_elsewhere(evidence) or luck_known(evidence) > Q_MAX:
        return None
    return Weighed(REGRESSION, DETERMINISTIC)


def copies(evidence: Evidence) -> float:
    """How likely so few draws look as if their noise could not agree by luck; none where it was drawn for each answer, or there is none.

    Values that a process keeps for a request are few draws seen often. Of four equally often drawn from m values all are at odds in
    (1-v)³ and two pairs agree in v²(1-v) of the cases, v = 1/m; the m under which what was seen is likeliest counts.
    """
    noise, alone = evidence.drawn.all_three, evidence.drawn.x_alone
    if not noise or noise == evidence.all.all_three:
        return 0.0
    ways = math.lgamma(noise + alone + 1) - math.lgamma(noise + 1) - math.lgamma(alone + 1)
    logs = (ways + (3 * noise + alone) * math.log1p(-1 / m) - 2 * alone * math.log(m) for m in range(2, VALUES_MAX))
    return math.exp(min(0.0, max(logs)))


def luck_known(evidence: Evidence) -> float:
    """How likely x is alone this often by the noise that base's profile knows at the place; none where it knows of no noise."""
    known = evidence.known
    if not known.differing:
        return 0.0
    return luck(evidence.all.x_alone, evidence.whole, known.differing, known.observed, at_most_seen(known.differing))


def _stood_in(place: Place, evidence: Evidence, test: Unpaired) -> Weighed:
    """The verdict where base's control never answered at the endpoint: its profile stands in for it."""
    observed = f"{evidence.known.observed} exchange{'' if evidence.known.observed == 1 else 's'} of its profile"
    if test.x and not place.nature and evidence.q_unpaired <= Q_MAX:
        if test.quiet and not evidence.twin_noisy:
            why = f"base's control did not answer here; base never differs from itself in {observed}"
            return Weighed(REGRESSION, DETERMINISTIC, why=why, by_profile=True)
        why = f"base's control did not answer here; base differs from itself in {test.a} of {observed}"
        return Weighed(REGRESSION, TESTED, test.p_value, evidence.q_unpaired, why, by_profile=True)
    if why := _why_known(place, evidence):
        return Weighed(NOISE, TESTED, test.p_value, evidence.q_unpaired, why, by_profile=True)
    if test.b and test.p_value > P_NOISE and (place.where != "status" or test.a):
        return Weighed(NOISE, TESTED, test.p_value, evidence.q_unpaired, "branch differs from itself here too")
    why = f"base's control did not answer here, and {observed} are too few to tell this from luck"
    return Weighed(UNDECIDED, TESTED, test.p_value, evidence.q_unpaired, why, test.missing, by_profile=True)


def _why_known(place: Place, evidence: Evidence) -> str:
    """The noise that base's profile knows, where this very kind of difference is no more than that; empty where it is."""
    known, test = evidence.known, evidence.unpaired
    if not known.shows(place.kind) or (test is not None and test.p_base <= P_NOISE):
        return ""
    if place.nature != "permutation" and evidence.all.x_alone and luck_known(evidence) <= P_NOISE:
        return ""
    return f"base differs from itself here in {known.differing} of {known.observed} exchanges of its profile"


def by_luck(evidence: Evidence) -> bool:
    """Whether x alone is what the noise of this place at other endpoints gives anyway.

    Four answers that are random alike fall into two equal pairs in three ways, equally often: x alone is one of them, ``mirrored``
    another. Where many endpoints have few exchanges each, some would look clean by luck.
    """
    pool = evidence.pool_all
    return not evidence.unlike_flaps and (
        pool.mirrored > 0
        and mcnemar(pool.x_alone, pool.mirrored) > Q_MAX
        and mcnemar(evidence.all.x_alone, evidence.all.mirrored) > Q_MAX
    )


def rare_elsewhere(evidence: Evidence) -> bool:
    """Whether noise at places of this name is rare, and frequent enough to give x alone this often."""
    named = evidence.named
    if evidence.unlike_flaps:
        return False
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
    if place.nature == "permutation" and (why := _why_known(place, evidence)):
        return Weighed(NOISE, TESTED, own.p_value, evidence.q_own, why, by_profile=True)
    # Where each exchange shows noise, those elsewhere say nothing of it: what came or went there differs at this facet too.
    contrary = evidence.all.a_not_x or evidence.all.b_not_x or not own.x_alone
    p_value, q_value, tally = evidence.p_own, evidence.q_own, own
    if not contrary and pool.x and evidence.p_pool < p_value:
        p_value, q_value, tally = evidence.p_pool, evidence.q_pool, pool
    if q_value <= Q_MAX and own.x_alone:
        return Weighed(REGRESSION, TESTED, p_value, q_value)
    if place.where == "status" and evidence.q_flaky <= Q_MAX:
        why = "branch answers now this, now that, where base does not"
        return Weighed(REGRESSION, TESTED, evidence.drawn.p_flaky, evidence.q_flaky, why, firm=True)
    test = evidence.unpaired
    if test is not None and test.x and not place.nature and evidence.q_unpaired <= Q_MAX:
        why = f"differs oftener than base does in {evidence.known.observed} exchanges of its profile"
        return Weighed(REGRESSION, TESTED, test.p_value, evidence.q_unpaired, why, by_profile=True)
    if place.where == "status" and evidence.all.b and not flaps_alike(evidence) and not _why_known(place, evidence):
        return _flapping(evidence)
    if p_value > P_NOISE and (why := _why_noise(place, evidence)):
        return Weighed(NOISE, TESTED, p_value, q_value, why)
    if p_value > P_NOISE and (why := _why_known(place, evidence)):
        return Weighed(NOISE, TESTED, p_value, q_value, why, by_profile=True)
    return _undecided(tally, "differs more often than the controls, but not often enough to be sure", q_value)


def flaps_alike(evidence: Evidence) -> bool:
    """Whether base is seen to flap as branch does, here or wherever it flaps at all.

    Elsewhere what branch may be excused for is base's rate at the upper end of what goes with it, over the exchanges of every endpoint
    that flaps: a hundred flapping endpoints of a few exchanges each are one service, not a hundred questions.
    """
    here, named = evidence.all, evidence.named
    if here.a and evidence.drawn.p_flaky > P_NOISE:
        return True
    fired = max(1, evidence.named_fired)
    return (
        named.a > 0 and at_least(here.b, max(here.b, evidence.fired), min(at_most_seen(named.a) / fired, 0.5)) > P_NOISE
    )


def _flapping(evidence: Evidence) -> Weighed:
    """A status that only branch was seen to flap in, too seldom to be sure: it is no excuse for itself."""
    here, drawn = evidence.all, evidence.drawn
    more = next((n for n in range(1, MISSING_MAX) if mcnemar(drawn.b_not_a + n, drawn.a_not_b) <= Q_MAX), MISSING_MAX)
    base = f"base does in {here.a}" if here.a else "base never does"
    why = f"branch answers now this, now that in {here.b} of {max(here.b, evidence.fired)} exchanges, {base}; not often enough to be sure"
    return Weighed(UNDECIDED, TESTED, drawn.p_flaky, evidence.q_flaky, why, more, firm=True)


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
