"""From rows to verdicts: exact tests, calibration under pure noise, nothing hidden by it, nothing lost in folding."""

from __future__ import annotations

import json
import math
import random
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, strategies as st

from differ.chances import at_least, benjamini_hochberg, mcnemar
from differ.difference import FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE
from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed, at_most_seen
from differ.gathering import begun, gather
from differ.judging import Judgement, judge
from differ.result import worst
from differ.rows import cut
from differ.tallies import coins_of

Difference = tuple[int, str, str, int, int]
"""Which comparison (0 x, 1 base/control, 2 branch/branch_control), where, kind, facet, digest of the values."""


def row(number: int, differences: list[Difference], endpoint: str = "GET /items/{id}") -> dict[str, Any]:
    """One exchange as the store gives it."""
    return {
        "exchange": f"{number:08d}", "seq": number, "method": "GET", "target": f"/items/{number}", "endpoint": endpoint,
        "verdict": "differs" if any(pair == 0 for pair, *_ in differences) else "same", "reason": "",
        "has_control": True, "has_branch_control": True,
        "d_pair": [one[0] for one in differences], "d_where": [one[1] for one in differences], "d_kind": [one[2] for one in differences],
        "d_facet": [one[3] for one in differences], "d_klass": [""] * len(differences), "d_flags": [0] * len(differences),
        "d_old": ['"a"'] * len(differences), "d_new": ['"b"'] * len(differences), "d_values": [one[4] for one in differences],
        "d_count": [1] * len(differences),
        "d_signature": [f"{one[2]}:x" for one in differences],
    }  # fmt: skip


def judged(rows: list[dict[str, Any]], *, own: bool = True, controlled: int = 1000) -> Judgement:
    """The judgement of a run with a hundred exchanges an endpoint."""
    seen = {one["endpoint"]: Observed(1000, controlled, controlled, own, own) for one in rows}
    return judge("shop", gather(rows), seen)


def verdicts(judgement: Judgement) -> dict[tuple[str, str], str]:
    """The verdict of each place, by where and kind; a regression at any endpoint counts."""
    order = (NOISE, UNDECIDED, REGRESSION)
    found: dict[tuple[str, str], str] = {}
    for place, weighed in zip(judgement.places, judgement.weighed, strict=True):
        key = (place.where, place.kind)
        found[key] = max(found.get(key, NOISE), weighed.verdict, key=order.index)
    return found


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_exact_test_is_exact(only_x: int, only_control: int) -> None:
    """It is the tail of a fair coin, summed the long way."""
    n = only_x + only_control
    wanted = sum(math.comb(n, k) for k in range(only_x, n + 1)) / 2**n if only_x else 1.0

    assert mcnemar(only_x, only_control) == pytest.approx(wanted, rel=1e-9)


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.0, 0.001, 0.1, 0.125, 0.5]))
def test_so_many_draws_succeed_as_often_as_counted(count: int, n: int, chance: float) -> None:
    """It is the tail of a binomial variable, summed the long way."""
    wanted = sum(math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(count, n + 1))

    assert at_least(count, n, chance) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_false_discoveries_are_controlled_by_the_step_up_procedure(p_values: list[float]) -> None:
    """No q is below its p, their order is that of the p-values, and the largest p is its own q."""
    found = benjamini_hochberg(p_values)
    pairs = sorted(zip(p_values, found, strict=True))

    assert all(q >= p - 1e-12 for p, q in pairs)
    assert [q for _, q in pairs] == sorted(found)
    if pairs:
        assert pairs[-1][1] == pytest.approx(pairs[-1][0])


def test_a_change_in_one_exchange_is_found_where_the_versions_agree_with_themselves() -> None:
    """Deterministic: no statistics are needed where nothing varies."""
    found = judged([row(1, [(0, "body:$.price", "value", VALUE, 7)])])

    assert verdicts(found) == {("body:$.price", "value"): REGRESSION}


def test_without_controls_nothing_is_claimed() -> None:
    """No control answered: undecided, and the run says so."""
    found = judged([row(1, [(0, "body:$.price", "value", VALUE, 7)])], controlled=0)

    assert verdicts(found) == {("body:$.price", "value"): UNDECIDED}
    assert found.uncontrolled == 1


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_pure_noise_is_no_regression(rate: float) -> None:
    """Where branch differs from base as often as each from itself, a regression is as rare as the level says; seeds are fixed."""
    false = 0
    for seed in range(60):
        chance = random.Random(seed)
        rows: list[dict[str, Any]] = []
        for n in range(80):
            noisy = [pair for pair in range(3) if chance.random() < rate]
            rows.append(row(n, [(pair, "body:$.at", "value", VALUE, chance.getrandbits(60)) for pair in noisy]))
        false += verdicts(judged(rows)).get(("body:$.at", "value")) == REGRESSION
    assert false <= 3


@pytest.mark.parametrize(("kind", "facet"), [("missing", PRESENCE), ("type", TYPE), ("length", FORMAT)])
def test_noise_hides_no_change_of_another_kind(kind: str, facet: int) -> None:
    """A value that always varies, and in the branch is sometimes gone, of another type, or longer."""
    chance = random.Random(7)
    rows = []
    for n in range(60):
        noise: list[Difference] = [(pair, "body:$.at", "value", VALUE, chance.getrandbits(60)) for pair in (1, 2)]
        changed: Difference = (
            (0, "body:$.at", kind, facet, 5) if n % 3 == 0 else (0, "body:$.at", "value", VALUE, chance.getrandbits(60))
        )
        rows.append(row(n, [*noise, changed]))
    found = verdicts(judged(rows))

    assert found["body:$.at", kind] == REGRESSION
    assert found["body:$.at", "value"] == NOISE


PLACES = st.sampled_from(["body:$.a", "body:$.b", "body:$.c.d", "body:$.items[*].e", "header:x-a", "status", "body"])
KINDS = st.sampled_from(
    [("value", VALUE), ("missing", PRESENCE), ("type", TYPE), ("length", FORMAT), ("added", PRESENCE)]
)
ROWS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), PLACES, KINDS, st.integers(1, 3)), max_size=6, unique_by=lambda one: (one[0], one[1], one[2][0])),
        st.sampled_from(["GET /a", "GET /b/{id}", "GET /c"]),
    ),
    max_size=25,
)  # fmt: skip


def made(drawn: list[Any]) -> list[dict[str, Any]]:
    """Rows of what hypothesis drew."""
    return [
        row(n, [(pair, where, kind, facet, value) for pair, where, (kind, facet), value in found], endpoint)
        for n, (found, endpoint) in enumerate(drawn)
    ]


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(drawn: list[Any], chance: random.Random) -> None:
    """Workers finish in any order."""
    rows = made(drawn)
    shuffled = list(rows)
    chance.shuffle(shuffled)

    assert verdicts(judged(rows)) == verdicts(judged(shuffled))


@given(ROWS)
def test_folding_loses_no_place_and_doubles_none(drawn: list[Any]) -> None:
    """Each place whose verdict is regression is in exactly one finding, and no other place is in one."""
    found = judged(made(drawn))
    members = [number for finding in found.regressions for number in finding.members]

    assert sorted(members) == [n for n, weighed in enumerate(found.weighed) if weighed.verdict == REGRESSION]


def test_orders_are_worth_what_two_hash_seeds_agree_on_by_luck() -> None:
    """Five members of one list are 120 to one, twice; the same members again, in parts or in many lists, are worth nothing more."""
    five, pair = frozenset(range(5)), frozenset({7, 8})
    alone = 120**2 + 120 + 1

    assert 2 ** coins_of([five]) == pytest.approx(alone)
    assert 2 ** coins_of([five, frozenset({0, 1}), frozenset({3, 4, 9})]) == pytest.approx(alone)
    assert 2 ** coins_of([pair, five]) == pytest.approx(7 * alone)
    assert 2 ** coins_of([five, frozenset({4, 7, 8})]) == pytest.approx(4 * alone)
    assert coins_of([]) == 0


@pytest.mark.parametrize("count", [2, 3])
def test_of_the_lists_that_are_seen_as_few_agree_within_both_versions_as_coins_say(count: int) -> None:
    """All orders that four instances may give: those in two unlike pairs, among those that are not four times the same."""
    orders = list(permutations(range(count)))
    seen = [four for four in product(orders, repeat=4) if len(set(four)) > 1]
    pairs = [four for four in seen if four[0] == four[1] and four[2] == four[3]]

    assert 2 ** coins_of([frozenset(range(count))]) == pytest.approx(len(seen) / len(pairs))


def test_a_list_that_is_too_long_for_a_row_is_known_by_the_members_that_are_whole() -> None:
    """Large members in another order: the excerpt still tells which ones changed places, and never takes half of one for a member."""
    wide = [{"n": n, "text": "x" * 300} for n in range(8)]
    long, turned = (json.dumps(side, separators=(",", ":")) for side in (wide, wide[1:] + wide[:1]))
    found = row(1, [(0, "body:$.a", "order", VALUE, 7)])
    found |= {"d_flags": [PERMUTATION], "d_old": [cut(long)], "d_new": [cut(turned)]}

    assert verdicts(judged([found])) == {("body:$.a", "order"): REGRESSION}
    assert len(begun(cut(long))) == 6
    assert begun("[12,34") == [12]
    assert begun("[" * 10_000) == begun("[tru…") == begun('"a…') == begun("…") == []


@pytest.mark.parametrize(("lists", "wanted"), [(1, NOISE), (2, UNDECIDED), (3, REGRESSION)])
def test_pairs_in_three_lists_that_share_nothing_decide(lists: int, wanted: str) -> None:
    """One pair that changed places is what hash seeds do in one of seven; three different ones are one in 343."""
    rows = [row(n, [(0, "body:$.a", "order", VALUE, n)]) for n in range(lists)]
    for n, one in enumerate(rows):
        two = [f"x{n}", f"y{n}"]
        one |= {"d_flags": [PERMUTATION], "d_old": [json.dumps(two)], "d_new": [json.dumps(two[::-1])]}

    assert verdicts(judged(rows)) == {("body:$.a", "order"): wanted}


@pytest.mark.parametrize(("count", "wanted"), [(2, NOISE), (3, UNDECIDED), (4, REGRESSION)])
def test_a_long_list_in_another_order_is_decided_by_one_answer(count: int, wanted: str) -> None:
    """Versions whose instances agree on the order of four members have an order; on that of two, half of all hash seeds agree."""
    listed = [f"m{n}" for n in range(count)]
    found = row(1, [(0, "body:$.a", "order", VALUE, 7)])
    found |= {"d_flags": [PERMUTATION], "d_old": [json.dumps(listed)], "d_new": [json.dumps([*listed[1:], listed[0]])]}

    assert verdicts(judged([found])) == {("body:$.a", "order"): wanted}


def test_two_members_that_changed_places_in_a_long_list_are_no_noise_of_a_set() -> None:
    """A hash seed would have moved the others too; whether they may tie is not known, so it is undecided."""
    found = row(1, [(0, "body:$.a", "order", VALUE, 7)])
    found |= {
        "d_flags": [PERMUTATION],
        "d_old": ['["a","b"]'],
        "d_new": ['["b","a"]'],
        "d_signature": ["order:order of 8"],
    }

    assert verdicts(judged([found])) == {("body:$.a", "order"): UNDECIDED}


def test_many_lists_in_hash_order_are_no_more_evidence_than_one() -> None:
    """Lists of one vocabulary come in the orders that four hash seeds give: where a version ever varies them, they have none."""
    rows = [row(n, [(0, "body:$.a", "order", VALUE, n)]) for n in range(12)]
    rows = [
        one | {"d_flags": [PERMUTATION], "d_old": [f'["x{n}","{n}"]'], "d_new": [f'["{n}","x{n}"]']}
        for n, one in enumerate(rows)
    ]
    varied = row(20, [(1, "body:$.a", "order", VALUE, 99)]) | {"d_flags": [PERMUTATION]}

    assert verdicts(judged(rows)) == {("body:$.a", "order"): REGRESSION}
    assert verdicts(judged([*rows, varied])) == {("body:$.a", "order"): NOISE}


def test_a_list_whose_controls_have_other_orders_too_has_no_order() -> None:
    """The same six members in four orders: noise, at its endpoint and for others with the same place."""
    listed = [f"m{n}" for n in range(6)]
    found = row(1, [(pair, "body:$.a", "order", VALUE, 7 + pair) for pair in range(3)])
    found |= {"d_flags": [PERMUTATION] * 3, "d_old": [json.dumps(listed)] * 3, "d_new": [json.dumps(listed[::-1])] * 3}

    assert verdicts(judged([found])) == {("body:$.a", "order"): NOISE}


def test_noise_at_other_endpoints_makes_a_single_change_undecided() -> None:
    """A flag that is random in a tenth of all answers looks like a change in one of forty endpoints that are asked once each."""
    noisy = [row(n, [(1 + n % 2, "body:$.eta", "type", TYPE, n)], f"GET /{n}") for n in range(6)]
    alone = [row(50, [(0, "body:$.eta", "type", TYPE, 7)], "GET /50")]
    quiet = {f"GET /{n}": Observed(6, 6, 6) for n in range(60)}

    (one,) = judge("shop", gather([*noisy, *alone]), quiet).undecided
    assert one.where == "body:$.eta"
    assert judge("shop", gather(alone), quiet).regressions


def test_noise_stays_noise_where_branch_drops_the_place_elsewhere() -> None:
    """An id drawn anew for each answer, gone from other endpoints and new at others, is no open question where both versions give it."""
    where = "header:x-request-id"
    drawn = [
        row(n, [(pair, where, "value", VALUE, 90 + 3 * n + pair) for pair in range(3)], "GET /kept") for n in range(9)
    ]
    elsewhere = [
        row(
            20 + n,
            [(0, where, "added" if n % 2 else "missing", PRESENCE, n), (1 + n % 2, where, "value", VALUE, 50 + n)],
            f"GET /{n}",
        )
        for n in range(12)
    ]

    found = judged([one | {"d_klass": ["token"] * len(one["d_klass"])} for one in (*drawn, *elsewhere)])

    assert verdicts(found) == {(where, "value"): NOISE, (where, "missing"): REGRESSION, (where, "added"): REGRESSION}
    assert not found.undecided


def test_one_look_at_rare_noise_does_not_say_how_rare_it_is() -> None:
    """Seen once among fifteen exchanges, a flapping status may well come in a pair; among two thousand it may not."""
    flap, both = (
        row(1, [(2, "status", "status", TYPE, 1)], "GET /a"),
        row(2, [(0, "status", "status", TYPE, 2)], "GET /b"),
    )

    def regressions(fired: int) -> int:
        observed = {f"GET /{name}": Observed(fired, fired, fired) for name in "ab"}
        return len(judge("shop", gather([flap, both]), observed).regressions)

    assert (regressions(7), regressions(1000)) == (0, 1)


@pytest.mark.parametrize("count", range(0, 40, 3))
def test_what_goes_with_so_few_is_the_upper_end_of_a_poisson_count(count: int) -> None:
    """So few, or fewer, come up in one of twenty cases."""

    def up_to(mean: float) -> float:
        return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))

    assert up_to(at_most_seen(count) + 0.3) < 0.05 < up_to(at_most_seen(count) - 0.4)


def test_what_is_seen_beside_a_flapping_status_is_no_evidence() -> None:
    """Two statuses of one version are two documents; a key that is gone in one of them says nothing of the version."""
    beside: list[Difference] = [(0, "body:$.a", "missing", PRESENCE, 3)]
    flaps = [
        row(n, [(pair, "status", "status", TYPE, 1), (pair, "body:$.a", "missing", PRESENCE, 3)])
        for n, pair in enumerate((1, 2))
    ]
    both: list[Difference] = [(0, "status", "status", TYPE, 2), *beside]

    assert verdicts(judged([*flaps, row(9, both)]))["body:$.a", "missing"] == NOISE
    assert verdicts(judged([row(9, both)])) == {("body:$.a", "missing"): REGRESSION, ("status", "status"): REGRESSION}
    assert verdicts(judged([*flaps, row(9, beside)]))["body:$.a", "missing"] == REGRESSION


def test_a_counter_of_an_instance_has_no_spread() -> None:
    """Instances that began at other numbers lie at other distances from the middle of all, for life."""
    rows = []
    for n in range(40):
        base, control, branch, again = (start + n for start in (700, 400, 950, 420))
        found = row(
            n,
            [
                (0, "body:$.n", "value", VALUE, 2 * n),
                (1, "body:$.n", "value", VALUE, 3 * n),
                (2, "body:$.n", "value", VALUE, 5 * n),
            ],
        )
        rows.append(
            found | {"d_old": [f"{base}", f"{base}", f"{branch}"], "d_new": [f"{branch}", f"{control}", f"{again}"]}
        )

    assert judged(rows).regressions == []


def test_a_rewritten_template_is_one_finding_beside_the_noise_of_its_pages() -> None:
    """What changed only where the title did belongs to it; a footer that is noisy and a link that changed alone do not."""
    title: Difference = (0, "body:/html/head/title", "value", FORMAT, 1)
    head: Difference = (0, "body:/html/body/h1", "value", FORMAT, 2)
    foot: list[Difference] = [(pair, "body:/html/body/footer", "value", FORMAT, 3 + pair) for pair in range(3)]
    link: Difference = (0, "body:/html/body/a/@href", "value", FORMAT, 7)
    found = judged(
        [row(1, [title, head, *foot], "GET /a"), row(2, [title, *foot], "GET /b"), row(3, [link, *foot], "GET /c")]
    )

    assert {(one.where, len(one.places), len(one.endpoints)) for one in found.regressions} == {
        ("body", 2, 2),
        ("body:/html/body/a/@href", 1, 1),
    }
    assert [one.where for one in found.noise] == ["body:/html/body/footer"]


def test_a_member_that_became_another_container_is_one_finding() -> None:
    """Places that lie inside one member and always show together have one cause; those at the root do not have to."""
    inside: list[Difference] = [
        (0, "body:$.facets", "missing", PRESENCE, 1),
        (0, "body:$.facets.results", "added", PRESENCE, 2),
        (0, "body:$.facets.late", "added", PRESENCE, 3),
    ]
    apart: list[Difference] = [(0, "body:$.a", "value", VALUE, 1), (0, "body:$.b", "added", PRESENCE, 2)]

    (one,) = judged([row(1, inside)]).regressions
    assert (one.where, len(one.places)) == ("body:$.facets", 3)
    assert len(judged([row(1, apart)]).regressions) == 2


def test_a_finding_is_as_grave_as_the_gravest_that_it_covers() -> None:
    """A container shown by the value of one member still says that another is gone."""
    changes: list[Difference] = [
        (0, "body:$.a.x", "value", VALUE, 1),
        (0, "body:$.a.y", "missing", PRESENCE, 2),
    ]
    found = judged([row(1, changes)])
    (one,) = found.regressions

    assert (one.kind, worst(one, found)) == ("value", "breaking")
