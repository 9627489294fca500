"""What base shows against itself in one run serves the next: laws of learning, of weighing with it, and what it may never do."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from math import comb
from typing import Any

import pytest
from hypothesis import given, strategies as st

from differ.chances import drawn
from differ.difference import FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE, Difference
from differ.evidence import DETERMINISTIC, NOISE, REGRESSION, TESTED, UNDECIDED, Observed, Weighed
from differ.gathering import gather
from differ.judging import judge
from differ.profiles import CUT, LEARNED_MAX, Learning, Profile
from differ.sequential import Live
from differ.unpaired import MISSING_MAX, Unpaired
from tests.differ.test_verdicts import row

ENDPOINT, WHERE = "GET /items/{id}", "body:$.a"
Verdict = dict[tuple[str, str, int], Weighed]


def learned(rows: list[dict[str, Any]]) -> Learning:
    """What is learned of these rows."""
    learning = Learning()
    for one in rows:
        learning.add(one)
    return learning


def told(
    endpoint: str, where: str, facet: int, seen: int, differed: int, kinds: tuple[str, ...] = ("value",), own: int = 1
) -> dict[str, Any]:
    """One row of the store."""
    return {
        "endpoint": endpoint, "where": where, "facet": facet, "own": own, "seen": seen, "differed": differed,
        "kinds_seen": list(kinds), "klass_seen": "", "first_ns": 1, "last_ns": 2,
    }  # fmt: skip


def profile(*rows: dict[str, Any], observed: int = 200, named: bool = True, own: int = 1) -> Profile:
    """A profile of one endpoint."""
    found = Profile("v1", named, 1)
    for one in (told(ENDPOINT, "", 0, observed, 0, (), own), *rows):
        found.note(one)
    return found


def noisy(differed: int, facet: int = VALUE, kind: str = "value", **how: Any) -> Profile:
    """A profile that knows one place as noisy."""
    return profile(told(ENDPOINT, WHERE, facet, 0, differed, (kind,), how.get("own", 1)), **how)


def spared(number: int, differences: list[Any], *, control: bool = False, branch: bool = True) -> dict[str, Any]:
    """An exchange of which a control gave no answer."""
    return row(number, differences) | {"has_control": control, "has_branch_control": branch}


def weighed(rows: list[dict[str, Any]], observed: Observed, known: Profile | None) -> Verdict:
    """The verdict on each place."""
    found = judge("shop", gather(rows), {ENDPOINT: observed}, known)
    return {(p.where, p.kind, p.facet): w for p, w in zip(found.places, found.weighed, strict=True)}


def only(rows: list[dict[str, Any]], observed: Observed, known: Profile | None) -> Weighed:
    """The verdict on the only place."""
    (found,) = weighed(rows, observed, known).values()
    return found


X: list[Any] = [(0, WHERE, "value", VALUE, 7)]
ALONE = Observed(50, 0, 50, lone=50)
"""Fifty exchanges, and base's control answered in none."""


@given(st.integers(0, 30), st.integers(0, 30), st.data())
def test_the_unpaired_test_is_exact(m: int, n: int, data: st.DataObject) -> None:
    """It is the tail of the hypergeometric distribution, summed the long way."""
    x, a = data.draw(st.integers(0, m)), data.draw(st.integers(0, n))
    total = x + a
    ways = sum(comb(m, k) * comb(n, total - k) for k in range(x, min(m, total) + 1))

    assert drawn(x, m, a, n) == pytest.approx(ways / comb(m + n, total), rel=1e-9, abs=1e-12)


def test_so_many_more_exchanges_decide_as_are_named() -> None:
    """With them the test is below its level, with one less it is not; what needs more than the bound says the bound."""
    few = Unpaired(1, 1, 0, 10, 0, 10)

    assert 1 < few.missing < MISSING_MAX
    for more, enough in ((few.missing, True), (few.missing - 1, False)):
        assert (Unpaired(1 + more, 1 + more, 0, 10, 0, 10).p_value <= 0.01) is enough
    assert Unpaired(1, 1, 5, 5, 0, 10).missing == MISSING_MAX


DIFFERENCES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([WHERE, "body:$.b", "status", ""]), st.sampled_from([("value", VALUE), ("value", FORMAT), ("type", TYPE), ("missing", PRESENCE), ("added", PRESENCE)]), st.integers(1, 3)),
    max_size=5, unique_by=lambda one: (one[0], one[1], one[2][0]),
)  # fmt: skip
ROWS = st.lists(st.tuples(DIFFERENCES, st.booleans(), st.booleans()), max_size=20)


def rows_of(exchanges: list[Any]) -> list[dict[str, Any]]:
    """Rows of what hypothesis drew."""
    return [
        spared(n, [(pair, where, *kind, value) for pair, where, kind, value in found], control=a, branch=b)
        | {"fired_at": 10 + n}
        for n, (found, a, b) in enumerate(exchanges)
    ]


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_exchanges_changes_nothing_that_is_learned(exchanges: list[Any], chance: random.Random) -> None:
    """Workers finish in any order."""
    rows = rows_of(exchanges)
    shuffled = list(rows)
    chance.shuffle(shuffled)

    assert learned(rows) == learned(shuffled)


@given(ROWS)
def test_only_base_against_its_control_is_learned(exchanges: list[Any]) -> None:
    """What branch shows, against base or itself, changes nothing; nor do exchanges of which the control gave no answer."""
    rows = rows_of(exchanges)
    bare = [
        row(n, [(1, w, k, f, 1) for p, w, (k, f), _ in found if p == 1]) | {"fired_at": 10 + n}
        for n, (found, a, _) in enumerate(exchanges)
        if a
    ]

    assert learned(rows) == learned(bare)


def test_beside_two_statuses_of_base_nothing_else_is_learned() -> None:
    """They are two documents; a comparison that was given up was not observed; a row that may be cut says nothing of its endpoint."""
    flaps = row(1, [(1, "status", "status", TYPE, 1), (1, WHERE, "missing", PRESENCE, 1)])
    gone = row(2, [(1, "", "too-deep", PRESENCE, 0), (1, WHERE, "value", VALUE, 1)])
    full = row(3, [(1, f"body:$.a{n}", "value", VALUE, 1) for n in range(CUT)], "GET /all")
    found = learned([flaps, gone, full])

    assert list(found.places) == [(ENDPOINT, "status")]
    assert found.given_up == {ENDPOINT: 1}
    assert found.left_out == {"GET /all"}


def test_an_endpoint_with_more_places_than_there_is_room_for_is_left_out_whole() -> None:
    """A place without a row is one that never differed, so silence must be true."""
    rows = [row(n, [(1, f"body:$.a{n}-{i}", "value", VALUE, 1) for i in range(500)], f"GET /{n}") for n in range(42)]
    found = learned(rows)

    assert len(found.places) == LEARNED_MAX
    assert found.left_out == {"GET /40", "GET /41"}


NOTES = st.lists(
    st.builds(told, st.sampled_from(["GET /a", "GET /b"]), st.sampled_from(["", WHERE, "status"]), st.integers(0, 3), st.integers(0, 50), st.integers(0, 9), st.sampled_from([("value",), ("type", "value")]), st.integers(0, 1)),
    max_size=12,
)  # fmt: skip


@given(NOTES, st.randoms(use_true_random=False))
def test_the_order_of_runs_changes_nothing_that_is_known(notes: list[Any], chance: random.Random) -> None:
    """Sums over runs, in whatever order they are read."""
    shuffled = list(notes)
    chance.shuffle(shuffled)
    one, two = Profile("v1"), Profile("v1")
    for note in notes:
        one.note(note)
    for note in shuffled:
        two.note(note)

    assert one == two
    assert one.known("GET /a", WHERE, FORMAT) == two.known("GET /a", WHERE, FORMAT)


@given(NOTES, st.integers(0, 2))
def test_what_is_known_grows_with_the_facet(notes: list[Any], facet: int) -> None:
    """What differs at a facet differs at each finer one too, and kinds with it; own controls are some of all."""
    found = Profile("v1")
    for note in notes:
        found.note(note)
    one, two = found.known("GET /a", WHERE, facet), found.known("GET /a", WHERE, facet + 1)
    own = found.known("GET /a", WHERE, facet, own=True)

    assert one.differing <= two.differing
    assert one.kinds <= two.kinds
    assert (own.differing <= one.differing, own.kinds <= one.kinds) == (True, True)


OBSERVED = st.builds(
    lambda whole, more, lone, own: Observed(whole + lone, whole + more, whole + lone, own, own, lone=lone),
    st.integers(20, 60), st.integers(0, 5), st.integers(0, 60), st.booleans(),
)  # fmt: skip
PLACES = st.sampled_from([WHERE, "body:$.b", "status"])
KINDS = st.sampled_from([("value", VALUE), ("value", FORMAT), ("type", TYPE), ("missing", PRESENCE)])
KNOWN = st.lists(st.tuples(PLACES, KINDS, st.integers(1, 40)), max_size=5)


@given(ROWS, OBSERVED, KNOWN, st.booleans())
def test_a_profile_speaks_of_what_it_has_seen_and_raises_no_alarm(
    exchanges: list[Any], observed: Observed, known: list[Any], named: bool
) -> None:
    """Where the run's own controls answered: other kinds and coarser facets keep their verdicts, and what was no regression is none."""
    rows = rows_of(exchanges)
    found = profile(*(told(ENDPOINT, where, facet, 0, n, (kind,)) for where, (kind, facet), n in known), named=named)
    without, beside = weighed(rows, observed, None), weighed(rows, observed, found)

    for place, before in without.items():
        where, kind, facet = place
        if not found.known(ENDPOINT, where, facet).shows(kind):
            assert beside[place] == before
        if before.verdict != REGRESSION:
            assert beside[place].verdict in {before.verdict, NOISE}


@given(ROWS, OBSERVED)
def test_without_noise_that_is_known_all_is_as_without_a_profile(exchanges: list[Any], observed: Observed) -> None:
    """A profile that has seen nothing but quiet, and one of other endpoints, change no verdict where the run's own controls answered."""
    rows, other = rows_of(exchanges), Profile("v1", named=True, runs=1)
    other.note(told("GET /other", "", 0, 500, 0))
    other.note(told("GET /other", WHERE, VALUE, 0, 400))
    bare = weighed(rows, observed, None)

    assert weighed(rows, observed, profile()) == bare
    assert weighed(rows, observed, other) == bare


def test_a_profile_stands_in_for_a_control_that_never_answered() -> None:
    """From one exchange on where it has seen enough of the endpoint; without it, and with one that has no name, nothing is claimed."""
    once, one = [spared(1, X)], Observed(1, 0, 1, lone=1)
    found = only(once, one, profile(observed=200))

    assert (found.verdict, found.basis, found.p_value) == (REGRESSION, DETERMINISTIC, None)
    assert "base never differs from itself in 200 exchanges of its profile" in found.why
    for unknown in (None, profile(observed=200, named=False), Profile("v1", named=True)):
        assert only(once, one, unknown).why == "no control answered at this endpoint"
    few = only(once, one, profile(observed=20))
    assert (few.verdict, few.missing_samples > 0) == (UNDECIDED, True)
    every = [spared(n, X) for n in range(50)]
    assert only(every, ALONE, profile(observed=20)).verdict == REGRESSION


def test_a_branch_without_a_control_of_its_own_is_not_judged() -> None:
    """Base's profile says nothing of what branch does by itself."""
    rows = [spared(n, X, branch=False) for n in range(50)]
    found = judge("shop", gather(rows), {ENDPOINT: Observed(50, 0, 0, lone=50)}, profile(observed=500))

    assert [(w.verdict, w.why) for w in found.weighed] == [(UNDECIDED, "no control answered at this endpoint")]
    assert (found.uncontrolled, found.stood_in) == (1, 0)


def test_what_branch_does_by_itself_is_its_own_noise_beside_a_profile() -> None:
    """It differs from its control as often as from base."""
    rows = [spared(n, [*X, (2, WHERE, "value", VALUE, n)] if n % 2 else []) for n in range(50)]

    assert only(rows, ALONE, profile(observed=500)).verdict == NOISE


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (noisy(100), (NOISE, TESTED)),
        (noisy(2), (REGRESSION, TESTED)),
        (noisy(100, kind="order"), (UNDECIDED, TESTED)),
        (noisy(100, facet=PRESENCE, kind="missing"), (UNDECIDED, TESTED)),
    ],
)
def test_known_noise_is_noise_where_no_control_answered(known: Profile, wanted: tuple[str, str]) -> None:
    """Of this kind, and as often as branch differs: oftener is a regression, and another kind's noise excuses nothing."""
    found = only([spared(n, X) for n in range(25)], ALONE, known)

    assert (found.verdict, found.basis) == wanted
    assert found.by_profile


@pytest.mark.parametrize(("kind", "facet"), [("missing", PRESENCE), ("type", TYPE), ("value", FORMAT)])
def test_noise_of_a_value_hides_no_coarser_change(kind: str, facet: int) -> None:
    """All that is known of the place is that its value varies, in every exchange."""
    rows = [spared(n, [(0, WHERE, kind, facet, 7)] if n < 5 else X) for n in range(50)]

    assert weighed(rows, ALONE, noisy(200))[WHERE, kind, facet].verdict == REGRESSION
    assert weighed(rows, ALONE, noisy(200))[WHERE, "value", VALUE].verdict == NOISE


def test_what_is_random_is_never_a_regression_by_a_profile() -> None:
    """Values that are drawn anew are noise where that is known of instances of their own, else undecided."""
    rows = [spared(n, X) | {"d_klass": ["uuid"]} for n in range(50)]

    assert only(rows, ALONE, noisy(200)).verdict == NOISE
    assert only(rows, ALONE, noisy(20)).verdict == UNDECIDED
    assert only(rows, ALONE, profile(observed=5000)).verdict == UNDECIDED
    assert only(rows, ALONE, noisy(200, own=0)).verdict == UNDECIDED


def test_an_order_that_base_has_varied_is_none() -> None:
    """Four instances that agree in two pairs by luck: six members would be a regression, if the version had not shown otherwise."""
    six = '["a","b","c","d","e","f"]'
    one = row(1, [(0, WHERE, "order", VALUE, 7)]) | {
        "d_flags": [PERMUTATION],
        "d_old": [six],
        "d_new": ['["f","e","d","c","b","a"]'],
    }
    seen = Observed(10, 10, 10)

    assert only([one], seen, None).verdict == REGRESSION
    assert only([one], seen, noisy(3, kind="order")).verdict == NOISE
    assert only([one], seen, noisy(3)).verdict == REGRESSION


def test_rare_noise_that_an_earlier_run_saw_makes_one_odd_answer_no_regression() -> None:
    """Five of a hundred: once in ten is luck; in each of ten it is none, whatever is known."""
    ten, once, often = Observed(10, 10, 10), [row(1, X)], [row(n, X) for n in range(10)]

    assert only(once, ten, None).verdict == REGRESSION
    assert only(once, ten, noisy(10)).verdict in {NOISE, UNDECIDED}
    assert only(often, ten, noisy(10)).verdict == REGRESSION
    assert only([row(1, [(0, WHERE, "type", TYPE, 7)])], ten, noisy(10)).verdict == REGRESSION


def test_known_noise_in_exchanges_whose_controls_were_spared_is_no_regression() -> None:
    """A tenth of all differ, and of the few controls that were fired none did, by luck."""
    sampled = Observed(100, 20, 20, lone=80)
    rows = [spared(n, X, branch=False) for n in range(8)]

    assert only(rows, sampled, None).verdict == REGRESSION
    assert only(rows, sampled, noisy(20)).verdict == NOISE
    every = [spared(n, X, branch=False) for n in range(80)]
    assert only(every, sampled, noisy(20)).verdict == REGRESSION
    assert only(every, sampled, replace(noisy(20), named=False)).verdict != REGRESSION


def test_exchanges_without_their_control_make_no_regression_of_noise_of_the_run() -> None:
    """Base was seen to differ from itself in this run: that is noise, however often branch differs where the control was spared."""
    sampled = Observed(100, 20, 20, lone=80)
    rows = [row(99, [(1, WHERE, "value", VALUE, 1)]), *[spared(n, X, branch=False) for n in range(60)]]

    assert only(rows, sampled, None).verdict == NOISE
    assert only(rows, sampled, noisy(5)).verdict == NOISE


def test_what_a_profile_asks_is_a_family_of_its_own() -> None:
    """One more small p would make the others' q smaller: a place that is undecided stays so, whatever is known of another."""
    a, b, both = "body:$.a", "body:$.b", "body:$.c"
    shown = [[(0, a, "value", VALUE, n)] if n < 8 else [] for n in range(40)]
    for n in range(30):
        shown[n].append((n // 10, both, "value", VALUE, n))
        shown[n] += [(int(n == 10), b, "value", VALUE, n)] if n < 11 else []
    rows, seen = [row(n, found) for n, found in enumerate(shown)], Observed(40, 40, 40)
    bare, beside = (weighed(rows, seen, known) for known in (None, noisy(100)))

    assert (bare[a, "value", VALUE].verdict, bare[a, "value", VALUE].basis) == (REGRESSION, DETERMINISTIC)
    assert beside[a, "value", VALUE].basis == TESTED
    assert bare[b, "value", VALUE].verdict == beside[b, "value", VALUE].verdict == UNDECIDED


def test_a_status_that_is_known_to_flap_takes_its_document_with_it() -> None:
    """Where base is known to fail now and then, what else differs beside another status says nothing."""
    fails = [(0, "status", "status", TYPE, 1), (0, WHERE, "missing", PRESENCE, 2)]
    rows = [spared(n, fails) for n in range(8)]
    flaps = profile(told(ENDPOINT, "status", TYPE, 0, 30, ("status",)), observed=200)

    assert {w.verdict for w in weighed(rows, ALONE, profile(observed=200)).values()} == {REGRESSION}
    assert REGRESSION not in {w.verdict for w in weighed(rows, ALONE, flaps).values()}


@pytest.mark.parametrize("rate", [0.005, 0.03, 0.2, 0.6])
@pytest.mark.parametrize("runs", [20, 200])
def test_noise_is_no_regression_by_a_profile_more_often_than_promised(rate: float, runs: int) -> None:
    """Branch is like base, base's control never answers: at most a few of four hundred places; seeds are fixed."""
    chance, found = random.Random(f"{rate} {runs}"), Counter[str]()
    for _ in range(400):
        known = sum(chance.random() < rate for _ in range(runs))
        odd = [pair for _ in range(30) if (pair := [p for p in (0, 2) if chance.random() < rate])]
        rows = [spared(n, [(p, WHERE, "value", VALUE, n) for p in pair]) for n, pair in enumerate(odd)]
        seen = noisy(known, observed=runs) if known else profile(observed=runs)
        found.update(w.verdict for w in weighed(rows, Observed(30, 0, 30, lone=30), seen).values())

    assert found[REGRESSION] <= 4


def test_what_is_known_as_noise_is_never_sure_while_a_run_goes_on() -> None:
    """From the first exchange on, at its facet and finer ones; a change of type there still is."""
    live, bare = (Live(noisy=known) for known in (noisy(3).noisy(), {}))
    for _ in range(60):
        for one in (live, bare):
            one.add(ENDPOINT, [(0, Difference(WHERE, "value", VALUE))])

    assert (live.sure, bare.sure) == (set(), {(ENDPOINT, WHERE)})
    for _ in range(60):
        live.add(ENDPOINT, [(0, Difference(WHERE, "type", TYPE))])
    assert live.sure == {(ENDPOINT, WHERE)}
