"""Renamings and broken relations of whole runs: what is noise, what a regression, and from how many exchanges on."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from differ.compare import compare
from differ.context import Context
from differ.difference import FORMAT, VALUE
from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed
from differ.gathering import gather
from differ.judging import Judgement, judge
from differ.relating import BROKEN_MAX, PAIRS_MAX, Relation, broken_json, broken_read, related, with_broken
from differ.result import finding_json
from differ.rows import DIFFERING, PAIRS, _cells
from echolane.exchange import Response
from tests.differ.test_renaming import (
    Document,
    answer,
    counter,
    fresh,
    shop,
    substituted,
)


def row(number: int, four: list[Response]) -> dict[str, Any]:
    """One exchange as the store gives it; answers in the order of the targets."""
    cells = [
        _cells(pair, one)
        for pair, (left, right) in enumerate(PAIRS)
        for one in compare(four[left], four[right], Context()).differences
    ]
    columns = zip(*cells, strict=False) if cells else [[] for _ in DIFFERING]
    return {
        "exchange": f"{number:08d}", "seq": number, "method": "GET", "target": f"/x/{number}", "endpoint": "GET /x/{id}",
        "verdict": "differs" if any(cell[0] == 0 for cell in cells) else "same", "reason": "",
        "has_control": True, "has_branch_control": True,
        **dict(zip(DIFFERING, map(list, columns), strict=False)),
    }  # fmt: skip


SEEN = {"GET /x/{id}": Observed(100, 100, 100)}


def judged(exchanges: list[list[Document]]) -> Judgement:
    """The judgement of a run."""
    rows = (row(n, [answer(one) for one in four]) for n, four in enumerate(exchanges))
    return judge("shop", gather(related(rows)), SEEN)


def shown(judgement: Judgement) -> list[dict[str, Any]]:
    """Its regressions as the result shows them."""
    return [finding_json(finding, REGRESSION, judgement, SEEN, {}) for finding in judgement.regressions]


def test_counters_that_depend_on_the_instance_are_noise() -> None:
    """Each instance counts from where it is; the same thing has its own number at each, everywhere."""
    exchanges = []
    for n in range(12):
        ids = [17 + n, 19 + n, 23 + n, 25 + n]
        exchanges.append(
            [{"order": {"id": one}, "lines": [{"order_id": one, "href": f"/orders/{one}"}]} for one in ids]
        )
    found = judged(exchanges)

    assert {weighed.verdict for weighed in found.weighed} == {NOISE}
    assert len(found.noise) == 1


def test_a_finding_says_in_how_many_exchanges_elements_were_paired_greedily() -> None:
    """Two answers with a long array without a key among four that differ at its elements, and at a place beside it."""

    def one(count: int, *, new: bool) -> Document:
        rows = [[[n * 7919 % 50], {"v": n * 104729 % 50}, 9 if new else n % 3] for n in range(count)]
        return {"rows": rows, "price": int(new)}

    counts = [300, 3, 300, 3]
    exchanges = [[one(count, new=number > 1) for number in range(4)] for count in counts]
    found = {finding["where"]: finding["greedy"] for finding in shown(judged(exchanges))}

    assert found == {"body:$.rows[*][*]": 2, "body:$.price": 0}


def everywhere(one: Any) -> Document:
    """One id at five places."""
    return {
        "id": one,
        "a": {"ref_id": one},
        "b": {"ref_id": one},
        "links": {"self": f"/x/{one}"},
        "trace": {"x": {"parent_id": one}},
    }


def test_random_ids_at_five_places_are_one_noise() -> None:
    """Drawn for each request."""
    chance = random.Random(3)
    found = judged([[everywhere(fresh(chance)) for _ in range(4)] for _ in range(4)])

    assert {weighed.verdict for weighed in found.weighed} == {NOISE}
    assert [(one.where, len(one.places)) for one in found.noise] == [("body:$.id", 5)]


@pytest.mark.parametrize("new", ["01ARZ3NDEKTSV4RRFFQ69G5FAV", 7_654_321])
def test_another_format_of_ids_is_one_regression(new: Any) -> None:
    """A renaming is no excuse: where the controls agree it is a change, and one."""
    old = "01BRZ3NDEKTSV4RRFFQ69G5FAX" if isinstance(new, str) else 1_234_567
    exchanges = [[everywhere(one) for one in (old, old, new, new)]]
    if isinstance(new, str):  # a value of a generative class: each distinct pair counts once
        chance = random.Random(3)
        exchanges = []
        for _ in range(12):
            one, two = fresh(chance), fresh(chance)
            exchanges.append([everywhere(value) for value in (one, one, two, two)])
    found = shown(judged(exchanges))

    assert [(one["where"], one["places_count"], one["severity"]) for one in found] == [("body:$.id", 5, "visible")]


def test_a_fixed_id_that_points_to_somebody_else_breaks_from_one_exchange_on() -> None:
    """UUIDs that all four agree about, save one reference."""
    old = shop(random.Random(4), 3, 1)
    new = substituted(old, {})
    new["posts"][0]["user_id"] = next(u["id"] for u in old["users"] if u["id"] != old["posts"][0]["user_id"])
    found = shown(judged([[old, old, new, new]]))

    assert [(one["where"], one["severity"], one["basis"]) for one in found] == [
        ("body:$.posts[*].user_id", "breaking", "deterministic")
    ]
    assert "no longer goes with" in found[0]["explanation"]


def test_a_fresh_id_that_no_longer_agrees_breaks_from_one_exchange_on() -> None:
    """Random at every request, equal within an answer: in the branch no more."""
    chance = random.Random(4)

    def one(*, same: bool) -> Document:
        first = fresh(chance)
        return {"user": {"id": first}, "owner_id": first if same else fresh(chance)}

    found = judged([[one(same=True), one(same=True), one(same=False), one(same=False)]])

    assert [(f["where"], f["severity"]) for f in shown(found)] == [("body:$.owner_id", "breaking")]


@pytest.mark.parametrize(("exchanges", "wanted"), [(1, UNDECIDED), (12, REGRESSION)])
def test_fresh_ids_swapped_between_elements_are_found_by_test(exchanges: int, wanted: str) -> None:
    """In a list the order of fresh ids may be chance, so one exchange does not decide; many do."""
    chance = random.Random(8)

    def one(*, swapped: bool) -> Document:
        ids = [fresh(chance), fresh(chance)]
        return {
            "users": [{"id": one, "name": name} for one, name in zip(ids, "xy", strict=True)],
            "posts": [{"user_id": one} for one in (reversed(ids) if swapped else ids)],
        }

    found = judged([[one(swapped=n > 1) for n in range(4)] for _ in range(exchanges)])
    verdicts = {(p.where, p.facet): w.verdict for p, w in zip(found.places, found.weighed, strict=True)}

    assert verdicts["body:$.posts[*].user_id", FORMAT] == wanted
    assert verdicts["body:$.users[*].id", VALUE] == NOISE


@pytest.mark.parametrize("make", [fresh, counter])
def test_a_leader_that_is_drawn_by_chance_is_no_regression(make: Callable[[random.Random], Any]) -> None:
    """Which of two fresh ids leads is random at every instance: x alone shows it now and then, and so do the controls."""
    chance = random.Random(9)

    def one() -> Document:
        ids = [make(chance), make(chance)]
        return {"nodes": [{"id": one} for one in ids], "leader": {"node_id": chance.choice(ids)}}

    false = 0
    for _ in range(40):
        found = judged([[one() for _ in range(4)] for _ in range(chance.choice([1, 3, 10]))])
        false += bool(found.regressions)

    assert not false


def of_place(judgement: Judgement, where: str) -> set[tuple[int, str]]:
    """Facets and verdicts of a place."""
    places = zip(judgement.places, judgement.weighed, strict=True)
    return {(place.facet, weighed.verdict) for place, weighed in places if place.where == where}


@pytest.mark.parametrize(
    ("base", "branch", "wanted"),
    [
        ("first", "first", {(VALUE, NOISE)}),
        ("first", "second", {(FORMAT, REGRESSION)}),
        ("chance", "chance", None),
    ],
)
def test_an_id_that_another_exchange_introduced_keeps_its_partner(base: str, branch: str, wanted: Any) -> None:
    """What was made in one exchange is shown in the next; a version that shows something else there is found by test."""
    chance = random.Random(11)

    def choose(ids: list[str], how: str) -> str:
        return chance.choice(ids) if how == "chance" else ids[how == "second"]

    exchanges = []
    for _ in range(14):
        made = [[fresh(chance), fresh(chance)] for _ in range(4)]
        exchanges.append([{"made": {"id": ids[0], "next_id": ids[1]}} for ids in made])
        versions = zip(made, (base, base, branch, branch), strict=True)
        exchanges.append([{"shown_id": choose(ids, how)} for ids, how in versions])
    found = of_place(judged(exchanges), "body:$.shown_id")

    assert found == wanted if wanted else REGRESSION not in {verdict for _, verdict in found}


def test_a_relation_is_one_to_one_and_bounded() -> None:
    """A second partner on either side is a contradiction; what has no room is not related."""
    relation = Relation()

    assert relation.contradicted("a", "1", "x") == ""
    assert relation.contradicted("a", "1", "y") == ""
    assert relation.contradicted("a", "2", "y") == "x"
    assert relation.contradicted("b", "1", "y") == "x"
    for n in range(PAIRS_MAX):
        relation.contradicted(f"old {n}", f"new {n}", "x")
    assert relation.contradicted("late", "c", "x") == ""
    assert relation.contradicted("late", "d", "x") == ""


def test_who_begins_in_the_middle_of_a_run_sees_what_the_beginning_says() -> None:
    """With what is kept of a run each row alone is as it is after all before it; too much to keep is kept not at all."""

    def rows() -> list[dict[str, Any]]:
        chance = random.Random(7)
        again = [fresh(chance) for _ in range(4)]
        made = []
        for n in range(8):
            one, other = again[n % 2], again[2 + (n in {3, 6})]
            made.append(
                row(n, [answer({"id": one}), answer({"id": one}), answer({"id": other}), answer({"id": other})])
            )
        return made

    fixed = rows()
    broken: dict[int, list[int]] = {}
    whole = list(related((copy.deepcopy(one) for one in fixed), broken))
    kept = broken_read(broken_json(broken))

    assert kept
    assert len(kept) < len(fixed)
    assert [with_broken(copy.deepcopy(one), kept)["d_facet"] for one in fixed] == [one["d_facet"] for one in whole]
    assert [one["d_facet"] for one in fixed] != [one["d_facet"] for one in whole]
    assert broken_json({n: [0] for n in range(BROKEN_MAX + 1)}) == ""


def test_one_more_contradiction_makes_no_regression_smaller() -> None:
    """Where other ids than base's are a regression, those of them that point elsewhere as well are no less of one."""
    chance = random.Random(12)
    exchanges = []
    for n in range(12):
        old, new = ({"users": [{"id": fresh(chance), "name": m} for m in "xy"]} for _ in range(2))
        old["posts"] = [{"user_id": old["users"][m]["id"], "title": str(m)} for m in (0, 1)]
        new["posts"] = [{"user_id": new["users"][1 - m if n == 0 else m]["id"], "title": str(m)} for m in (0, 1)]
        exchanges.append([old, old, new, new])

    assert of_place(judged(exchanges), "body:$.posts[*].user_id") == {(VALUE, REGRESSION), (FORMAT, REGRESSION)}
