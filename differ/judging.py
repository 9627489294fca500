"""From gathered places to judged findings: test, control the false discoveries, decide, fold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from differ.bundles import Shows
from differ.chances import Q_MAX, family
from differ.difference import BROKEN, TYPE, VALUE
from differ.evidence import (
    DETERMINISTIC,
    EXPLAINED,
    NOISE,
    REGRESSION,
    TESTED,
    UNDECIDED,
    Evidence,
    Observed,
    Place,
    Weighed,
    by_luck,
    rare_elsewhere,
    weigh,
)
from differ.flaps import flapping, unlike
from differ.folding import Finding, fold
from differ.gathering import EXPLAINED_BY_RULE, OVERFLOW, Combination, Gathering
from differ.paths import leaf_of
from differ.profiles import Profile
from differ.shifts import DRAWN, KINDS, PARTIAL, Q_PARTIAL, WORDS, Leaning
from differ.tallies import Spot, Tally
from differ.unpaired import Unpaired

NOBODY = Observed()
NEVER = Spot()
Spots = frozenset[tuple[str, str]]
"""Places of endpoints, by endpoint and where."""

Test = tuple[str, str, str, int, bool]
"""Which test (``own``, ``pool``, ``flaky``, ``unpaired`` or a measure of :mod:`differ.shifts`), endpoint, where, facet, whether by distinct
pairs."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at some answers of the run has shown."""

    both_ways: Spots = frozenset()
    """Orders that an instance itself gives both ways (:mod:`differ.orders`)."""
    as_recorded: Spots = frozenset()
    """Places at which base says what was recorded (:mod:`differ.recorded`)."""


NOT_LOOKED = Looked()


@dataclass(slots=True)
class Judgement:
    """All places of a run with their verdicts, and the findings they fold into."""

    places: list[Place]
    weighed: list[Weighed]
    tallies: list[Tally]
    """What each place's endpoint shows there, each exchange counted."""
    regressions: list[Finding] = field(default_factory=list[Finding])
    noise: list[Finding] = field(default_factory=list[Finding])
    undecided: list[Finding] = field(default_factory=list[Finding])
    successors: Mapping[int, int] = field(default_factory=dict[int, int])
    """By the number of each place whose field has another name in branch, that of the place with this name."""
    uncontrolled: int = 0
    """Endpoints with differences at which a control never answered."""
    overflow: int = 0
    """Differences at places beyond the bound: they are undecided."""
    stood_in: int = 0
    """Endpoints with differences at which the profile stands in for base's control."""


class Pools:
    """Tallies of places at their own endpoint and at all endpoints together, each made once."""

    def __init__(
        self,
        gathering: Gathering,
        observed: Mapping[str, Observed],
        profile: Profile | None = None,
        looked: Looked = NOT_LOOKED,
    ) -> None:
        self._spots, self.profile, self._looked = gathering.spots, profile, looked
        self._flaps, self._numbers, self._places = flapping(gathering.flaps), gathering.numbers, gathering.places
        self._joined: dict[str, Spot] = {}
        self._named: dict[tuple[str, int], tuple[Tally, int]] = {}
        self._leaves: dict[str, list[tuple[str, str]]] = {}
        self._observed = observed
        self._tallies: dict[tuple[str, str, int, bool], Tally] = {}
        # Statuses first: what else is seen beside another status stands and falls with it.
        for status in (True, False):
            for (endpoint, where), spot in gathering.spots.items():
                if (where == "status") is not status:
                    continue
                if not status and spot.beside:
                    spot.settle(flaps=self._spots[endpoint, "status"].noisy, unsure=self._by_luck(endpoint))
                self._joined.setdefault(where, Spot()).join(spot)
                self._leaves.setdefault(leaf_of(where), []).append((endpoint, where))

    def _by_luck(self, endpoint: str) -> bool:
        """Whether the statuses of an endpoint may differ as they flap at others."""
        number = self._numbers.get((endpoint, "status", "status", TYPE, "", ""))
        place = Place(endpoint, "status", "status", TYPE) if number is None else self._places[number]
        evidence = self.evidence(place)
        return by_luck(evidence) or rare_elsewhere(evidence)

    def tally(self, endpoint: str, where: str, facet: int, *, distinct: bool) -> Tally:
        """The tally at an endpoint; at all of them when it is empty."""
        key = (endpoint, where, facet, distinct)
        if key not in self._tallies:
            spot = self._spots.get((endpoint, where), NEVER) if endpoint else self._joined[where]
            self._tallies[key] = spot.distinct(facet) if distinct else spot.tally(facet)
        return self._tallies[key]

    def named(self, where: str, facet: int) -> tuple[Tally, int]:
        """The tally of all places whose last step is the same, at any depth of any endpoint, and their exchanges."""
        leaf = leaf_of(where)
        if (leaf, facet) not in self._named:
            spot, fired = Spot(), 0
            for endpoint, one in self._leaves[leaf]:
                spot.join(self._spots[endpoint, one])
                fired += self._observed.get(endpoint, NOBODY).fired
            self._named[leaf, facet] = spot.tally(facet), fired
        return self._named[leaf, facet]

    def evidence(self, place: Place) -> Evidence:
        """What is known of a place, before false discoveries are controlled."""
        found = self.of_run(place)
        return found if self.profile is None else self._beside(place, found, self.profile)

    def stands_in(self, endpoint: str) -> bool:
        """Whether base's control never answered, branch's did, and the profile of the very version knows the endpoint."""
        seen, profile = self._observed.get(endpoint, NOBODY), self.profile
        known = profile is not None and profile.named and profile.endpoints.get(endpoint, (0, 0))[0] > 0
        return known and not seen.control and seen.branch_control > 0

    def _beside(self, place: Place, found: Evidence, profile: Profile) -> Evidence:
        """The evidence of the run beside what the profile knows; it is asked of base's own noise alone."""
        endpoint, where, facet = place.endpoint, place.where, place.facet
        known = profile.known(endpoint, where, facet, own=bool(place.nature))
        seen, spot, stood_in = (
            self._observed.get(endpoint, NOBODY),
            self._spots[endpoint, where],
            self.stands_in(endpoint),
        )
        if not stood_in and not known.shows(place.kind):
            return found  # a profile has no say about other kinds than those it has seen
        status = self._spots.get((endpoint, "status"), NEVER)
        flaps = status.noisy or profile.known(endpoint, "status", VALUE).differing > 0
        lone = spot.tally_lone(facet, flaps=flaps)
        a, b = found.all.a + lone.a + known.differing, found.all.b + lone.b
        unpaired = Unpaired(
            x=lone.x,
            fired=max(seen.lone, lone.x),
            a=a,
            base=max(seen.control + known.observed, a),
            b=b,
            branch=max(seen.branch_control, b),
        )
        return replace(
            found,
            known=known,
            whole=max(0, seen.fired - seen.lone),
            unpaired=unpaired if stood_in or lone.x else None,
            stood_in=stood_in,
        )

    def of_run(self, place: Place) -> Evidence:
        """What the run itself says of a place."""
        distinct = bool(place.nature)
        twin = Tally()
        if place.endpoint.startswith("HEAD "):
            twin = self.tally("GET " + place.endpoint[5:], place.where, place.facet, distinct=False)
        named, fired = self.named(place.where, place.facet)
        drawn = self._spots[place.endpoint, place.where].drawn(place.facet)
        own = self.tally(place.endpoint, place.where, place.facet, distinct=True) if distinct else drawn
        if place.nature == "permutation" and (place.endpoint, place.where) in self._looked.both_ways:
            # No instance has one order for life here, so each exchange is a draw of its own.
            own, distinct = replace(drawn, members=own.members), False
        return Evidence(
            named=named,
            named_fired=fired,
            fired=self._observed.get(place.endpoint, NOBODY).fired,
            all=self.tally(place.endpoint, place.where, place.facet, distinct=False),
            own=own,
            drawn=drawn,
            pool_all=self.tally("", place.where, place.facet, distinct=False),
            pool_drawn=self._joined[place.where].drawn(place.facet),
            # Other endpoints speak for this one only where values are drawn anew: there a pair of values is the evidence.
            pool=self.tally("", place.where, place.facet, distinct=True) if distinct else Tally(),
            twin_noisy=bool(twin.a or twin.b),
            alone=self._spots[place.endpoint, place.where].alone,
            flapped=self._spots[place.endpoint, place.where].flapped,
            unlike_flaps=place.where == "status" and unlike(place.signatures, self._flaps),
            as_recorded=(place.endpoint, place.where) in self._looked.as_recorded,
        )


def judge(
    service: str,
    gathering: Gathering,
    observed: Mapping[str, Observed],
    profile: Profile | None = None,
    looked: Looked = NOT_LOOKED,
) -> Judgement:
    """Judge every place of a run; ``profile``: what earlier runs have learned of base's version, ``looked``: see :mod:`differ.looking`."""
    pools = Pools(gathering, observed, profile, looked)
    places = gathering.places
    evidence, told = [pools.evidence(place) for place in places], whole_places(places)
    by_itself = [weigh(p, e, observed.get(p.endpoint, NOBODY)) for p, e in zip(told, evidence, strict=True)]
    undecided = [n for n, w in enumerate(by_itself) if w.basis not in {DETERMINISTIC, EXPLAINED}]
    q_values, leanings = _families(gathering, pools, told, undecided, evidence, observed)
    weighed = list(by_itself)
    for n in undecided:
        place = told[n]
        own, pool, flaky, unpaired = (q_values.get(test, 1.0) for test in names_of(place))
        one = replace(evidence[n], q_own=own, q_pool=pool, q_flaky=flaky, q_unpaired=unpaired)
        weighed[n] = weigh(place, one, observed.get(place.endpoint, NOBODY))
        if weighed[n].verdict != REGRESSION and observed.get(place.endpoint, NOBODY).own:
            weighed[n] = shifted(place, leanings, q_values) or weighed[n]
    for n, place in enumerate(places):
        # An id that points elsewhere is another value, too: where all other values are a regression, it is none the less.
        finer = gathering.numbers.get((place.endpoint, place.where, place.kind, VALUE, place.nature, place.form), n)
        if any(f":{BROKEN}" in text for text in place.signatures) and weighed[finer].verdict == REGRESSION:
            weighed[n] = weighed[n] if weighed[n].verdict == REGRESSION else weighed[finer]
        if told[n] is not place and not (place.clear or weighed[n].firm) and weighed[n].verdict == REGRESSION:
            # The place is a regression by documents of another form; wherever this one changes, a version varies it.
            weighed[n] = replace(
                weighed[n], verdict=NOISE, why="a version differs from itself wherever this form differs"
            )
    found = Judgement(places, weighed, [one.all for one in evidence], overflow=gathering.overflow)
    found.successors = gathering.successors.pairs(places)
    shows = Shows(gathering.combinations, weighed)
    for verdict, findings in ((REGRESSION, found.regressions), (NOISE, found.noise), (UNDECIDED, found.undecided)):
        # A place of which rules explain everything is weighed, since it is evidence, and told by its rules.
        members = [number for number, one in enumerate(weighed) if one.verdict == verdict and places[number].count]
        # What is undecided or noise is not yet known to be gone, so nothing is said to have taken its place.
        pairs = found.successors if verdict == REGRESSION else {}
        findings.extend(fold(service, places, [n for n in members if not weighed[n].drawn], shows, pairs=pairs))
        findings.extend(fold(service, places, [n for n in members if weighed[n].drawn], shows, kind="distribution"))
    uncontrolled = {p.endpoint for p in places if p.count and not observed.get(p.endpoint, NOBODY).controlled}
    found.stood_in = sum(map(pools.stands_in, uncontrolled))
    found.uncontrolled = len(uncontrolled) - found.stood_in
    return found


def whole_places(places: Sequence[Place]) -> list[Place]:
    """What all forms of a place have in common, in the stead of each: what parts a report must not part what is weighed."""
    parts: dict[tuple[object, ...], list[int]] = {}
    for n, place in enumerate(places):
        if place.where == "body":
            key = place.endpoint, place.kind, place.facet, place.nature
            parts.setdefault(key, []).append(n)
    found = list(places)
    for numbers in parts.values():
        if len(numbers) > 1:
            flags, digest = -1, True
            for n in numbers:
                flags, digest = flags & places[n].flags, digest and places[n].digest
            for n in numbers:
                found[n] = replace(places[n], flags=flags, digest=digest)
    return found


def _families(
    gathering: Gathering,
    pools: Pools,
    places: Sequence[Place],
    undecided: Sequence[int],
    evidence: Sequence[Evidence],
    observed: Mapping[str, Observed],
) -> tuple[dict[object, float], dict[Test, Leaning]]:
    """The q-values of all tests, and what leans: only what is decided by a test belongs to the family whose false discoveries are controlled.

    What is tested only because of a profile is a family of its own, so that a profile changes the verdict of no other place. Exchanges
    without all their answers are tested only where they counted without a profile too, or where it stands in: no new alarm comes of it.
    """
    before, after = undecided, list[int]()
    if pools.profile is not None:
        alone = {
            n: weigh(places[n], pools.of_run(places[n]), observed.get(places[n].endpoint, NOBODY)) for n in undecided
        }
        before = [n for n in undecided if alone[n].basis not in {DETERMINISTIC, EXPLAINED}]
        after = [n for n in undecided if alone[n].basis == DETERMINISTIC]
    q_values, leanings = dict[object, float](), dict[Test, Leaning]()
    # Orders are a family of their own, too: how much varies elsewhere says nothing of how seldom four processes agree on one. So are
    # statuses: that seven failures are all branch's is as rare among a hundred clocks as beside none.
    orders = [n for n in before if places[n].nature == "permutation"]
    statuses = [n for n in before if places[n].where == "status"]
    others = [n for n in before if places[n].nature != "permutation" and places[n].where != "status"]
    for members in (orders, statuses, others, after):
        tests: dict[object, tuple[float, float]] = {
            test: p for n in members for test, p in tests_of(places[n], evidence[n])
        }
        measured = members if members is not orders else []
        found = leanings_of(gathering, {(places[n].endpoint, places[n].where) for n in measured})
        tests |= {test: (leaning.p_value(0), leaning.p_least) for test, leaning in found.items()}
        if members is after and pools.profile is not None and pools.profile.named:
            asked = {n for n in undecided if evidence[n].stood_in} | set(after)
            tests |= {test: p for n in sorted(asked) for test, p in unpaired_of(places[n], evidence[n])}
        q_values = family(tests) | q_values
        leanings = found | leanings
    return q_values, leanings


def leanings_of(gathering: Gathering, spots: set[tuple[str, str]]) -> dict[Test, Leaning]:
    """What says which way the values of these places differ."""
    return {
        (measure, endpoint, where, 0, False): leaning
        for endpoint, where in sorted(spots)
        if (shifts := gathering.shifts.get((endpoint, where))) is not None
        for measure, leaning in shifts.leanings()
    }


def shifted(place: Place, leanings: Mapping[Test, Leaning], q_values: Mapping[object, float]) -> Weighed | None:
    """The verdict on a place whose values vary in both versions, and more often one way; None where they do not."""
    found: list[tuple[bool, float, str]] = []
    for measure, kinds in KINDS.items():
        q_value = q_values.get((measure, place.endpoint, place.where, 0, False), 1.0)
        if place.kind in kinds and q_value <= (Q_PARTIAL if measure in PARTIAL else Q_MAX):
            # What speaks of all values says more to a reader than what speaks of one or of the outermost.
            found.append((measure in PARTIAL, q_value, measure))
    if not found:
        return None
    _, q_value, measure = min(found)
    leaning = leanings[measure, place.endpoint, place.where, 0, False]
    up, down = leaning.up[0], leaning.down[0]
    why = f"{WORDS[measure][not leaning.higher]} in branch: {max(up, down)} of {up + down}"
    drawn = measure in DRAWN
    return Weighed(REGRESSION, TESTED, leaning.p_value(0), q_value, why, firm=True, drawn=drawn)


def names_of(place: Place) -> tuple[Test, Test, Test, Test]:
    """The tests that a place may pass: kinds which share their counts share their test."""
    distinct = bool(place.nature)
    return (
        ("own", place.endpoint, place.where, place.facet, distinct),
        ("pool", "", place.where, place.facet, distinct),
        ("flaky", place.endpoint, place.where, place.facet, False),
        ("unpaired", place.endpoint, place.where, place.facet, False),
    )


def tests_of(place: Place, evidence: Evidence) -> Iterable[tuple[Test, tuple[float, float]]]:
    """Each test of what the run itself shows, with its p-value and the smallest it could have had."""
    own, pool, flaky, _ = names_of(place)
    yield own, (evidence.p_own, evidence.own.p_least)
    if evidence.pool != evidence.own:
        yield pool, (evidence.p_pool, evidence.pool.p_least)
    if place.where == "status":
        yield flaky, (evidence.drawn.p_flaky, 0.5 ** (evidence.drawn.b_not_a + evidence.drawn.a_not_b))


def unpaired_of(place: Place, evidence: Evidence) -> Iterable[tuple[Test, tuple[float, float]]]:
    """The test of exchanges without all their answers against what the profile of base's version knows."""
    if evidence.unpaired is not None and evidence.unpaired.x and not place.nature:
        yield names_of(place)[3], (evidence.unpaired.p_value, evidence.unpaired.p_least)


def difference_verdict(verdict: str, *, firm: bool, noisy: bool) -> str:
    """The verdict on a difference in one exchange: noise where a version differs from itself in this very exchange."""
    return NOISE if noisy and not firm else verdict


def exchange_verdict(verdicts: Iterable[str], reason: str = "") -> str:
    """One word for an exchange from those of its differences (design §5.8); ``reason`` says what could not be compared."""
    seen = set(verdicts)
    if REGRESSION in seen:
        return "different"
    if reason:
        return "uncomparable"
    if UNDECIDED in seen:
        return UNDECIDED
    return NOISE if seen else "same"


def verdict_of(combination: Combination, weighed: list[Weighed]) -> str:
    """The verdict of the exchanges that show a combination of differences."""
    reason, numbers = combination
    verdicts: set[str] = set()
    for number in numbers:
        if number == EXPLAINED_BY_RULE:
            verdicts.add(NOISE)
        elif number == OVERFLOW:
            verdicts.add(UNDECIDED)
        else:
            one = weighed[number // 2]
            verdicts.add(difference_verdict(one.verdict, firm=one.firm, noisy=bool(number % 2)))
    return exchange_verdict(verdicts, reason)
