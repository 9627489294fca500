"""Fields that got another name: one finding where all evidence of a run says so, two where anything speaks against it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from differ.evidence import REGRESSION, Observed
from differ.gathering import gather
from differ.judging import Judgement, judge
from differ.relating import related
from differ.result import Sample, Wanted, finding_json, wanted_of
from tests.differ.test_renaming import Document, answer, fresh
from tests.differ.test_renaming_judged import row
from tests.differ.test_spread import answer as in_json, closed

SEEN = {f"GET /{name}": Observed(100, 100, 100) for name in "xyz"}
Exchange = tuple[str, Document, Document]
"""Endpoint, and what both versions answer."""


def judged(exchanges: list[Exchange]) -> Judgement:
    """The judgement of a run whose versions never differ from themselves."""
    rows: list[dict[str, Any]] = []
    for number, (endpoint, old, new) in enumerate(exchanges):
        four = [answer(one) for one in (old, old, new, new)]
        rows.append(row(number, four) | {"endpoint": f"GET /{endpoint}"})
    return judge("shop", gather(related(rows)), SEEN)


def shown(judgement: Judgement, samples: dict[Wanted, Sample] | None = None) -> list[dict[str, Any]]:
    """Its regressions as the result shows them."""
    return [finding_json(one, REGRESSION, judgement, SEEN, samples or {}) for one in judgement.regressions]


def told(exchanges: list[Exchange]) -> dict[tuple[str, str], list[str]]:
    """Where and kind of each regression, with what it covers."""
    return {(one["where"], one["kind"]): one["places"] for one in shown(judged(exchanges))}


def priced(old: str, new: str, *values: Any, endpoint: str = "x") -> list[Exchange]:
    """An exchange for each value of a field that has these names."""
    return [(endpoint, {"id": 7, old: value}, {"id": 7, new: value}) for value in values]


APART = {("body:$.price", "missing"): ["body:$.price"], ("body:$.amount", "added"): ["body:$.amount"]}
ONE = {("body:$.price", "renamed"): ["body:$.amount", "body:$.price"]}


def test_a_field_with_another_name_is_one_finding() -> None:
    """It covers both places, names both, breaks a consumer as one that is gone does, and says in how many exchanges it shows."""
    (found,) = shown(judged(priced("price", "amount", 10.5, 11, "12")))

    assert (found["where"], found["kind"], found["severity"]) == ("body:$.price", "renamed", "breaking")
    assert found["places"] == ["body:$.amount", "body:$.price"]
    assert (found["renamed"], found["renamed_count"]) == ([["body:$.price", "body:$.amount"]], 1)
    assert (found["differing"], found["endpoints"], found["basis"]) == (3, 1, "deterministic")
    assert ".price went and .amount came" in found["explanation"]


def test_its_samples_show_each_version_s_value_under_its_own_name() -> None:
    """What stood at the old name in base, and what stands at the new one in branch."""
    judgement = judged(priced("price", "amount", 10.5))
    went, came = wanted_of(judgement.regressions[0], judgement)
    samples = {
        went: {"exchange": went[0], "base": "10.5", "control": "10.5", "branch": None},
        came: {"exchange": came[0], "base": None, "branch": "10.5", "branch_control": "10.5"},
    }
    (found,) = shown(judgement, samples)

    assert [one[2:] for one in (went, came)] == [("body:$.price", "missing"), ("body:$.amount", "added")]
    assert found["samples"] == [samples[went] | {"branch": "10.5", "branch_control": "10.5"}]


COUNTER_EXAMPLES: dict[str, list[Exchange]] = {
    "another value": [("x", {"price": 10}, {"amount": 11})],
    "another type": [("x", {"price": 10}, {"amount": "10"})],
    "gone alone": [("x", {"price": 10}, {})],
    "came alone": [("x", {}, {"amount": 10})],
    "gone alone elsewhere": [("y", {"price": 10}, {})],
    "came alone elsewhere": [("y", {}, {"amount": 10})],
    "both names kept": [("x", {"price": 10}, {"price": 12, "amount": 10})],
    "the old name kept": [("x", {"price": 10}, {"price": 12})],
    "the new name there before": [("x", {"amount": 9}, {"amount": 10})],
    "inside the old name": [("x", {"price": {"a": 1}}, {"price": {"a": 2}})],
    "the other way round": [("x", {"amount": 10}, {"price": 10})],
}


@pytest.mark.parametrize("name", COUNTER_EXAMPLES)
@pytest.mark.parametrize("first", [False, True])
def test_one_counter_example_anywhere_keeps_two_findings(name: str, first: bool) -> None:
    """Whether it comes first or last, and however many exchanges say otherwise."""
    many = priced("price", "amount", *range(20, 40))
    exchanges = COUNTER_EXAMPLES[name] + many if first else many + COUNTER_EXAMPLES[name]

    assert not any(kind == "renamed" for _, kind in told(exchanges))
    assert told(many) == ONE


def test_at_several_endpoints_it_is_one_finding_where_it_holds_at_each() -> None:
    """And at as many as it was seen at."""
    (found,) = shown(judged(priced("price", "amount", 10) + priced("price", "amount", 12, endpoint="y")))

    assert (found["kind"], found["endpoints"], found["differing"]) == ("renamed", 2, 2)


def test_values_that_many_fields_have_are_no_evidence() -> None:
    """``false`` here and there may be a coincidence; lists of such values that agree each time are none."""
    flags = [True, False, True, True]
    assert told(priced("price", "amount", *flags)) == APART
    items = [[{"id": n, "price": flag} for n, flag in enumerate(flags[:k])] for k in (2, 3, 4)]
    renamed = [[{"id": one["id"], "amount": one["price"]} for one in each] for each in items]
    exchanges = [("x", {"items": old}, {"items": new}) for old, new in zip(items, renamed, strict=True)]

    assert [kind for _, kind in told(exchanges)] == ["renamed"]
    assert not any(kind == "renamed" for _, kind in told(exchanges[:2]))


def test_three_values_that_many_fields_have_are_evidence_together() -> None:
    """One of them says nothing; that each of three is found under the other name again is no luck."""
    assert [kind for _, kind in told(priced("price", "amount", None, 0, 1))] == ["renamed"]
    assert told(priced("price", "amount", None, 0, None, 0)) == APART


@pytest.mark.parametrize("flag", [False, None, 0, []])
def test_lists_of_one_value_are_no_evidence_however_long(flag: object) -> None:
    """That all are ``false`` is said once, and not once for each number of elements."""
    exchanges = [
        (
            "x",
            {"items": [{"id": k, "old": flag} for k in range(n)]},
            {"items": [{"id": k, "new": flag} for k in range(n)]},
        )
        for n in range(1, 80)
    ]

    assert not any(kind == "renamed" for _, kind in told(exchanges))


def test_a_document_of_renamed_fields_is_led_by_what_went() -> None:
    """So that its samples show each version's value at its own name."""
    exchanges = [("x", {"price": n, "tax": n + 1}, {"amount": n, "vat": n + 1}) for n in (10, 20, 30)]
    judgement = judged(exchanges)
    (finding,) = judgement.regressions

    assert (finding.where, finding.kind, shown(judgement)[0]["renamed_count"]) == ("body:$", "renamed", 2)
    assert judgement.places[finding.lead].kind == "missing"
    assert finding.lead in judgement.successors


@pytest.mark.parametrize("count", [3, 100])
def test_in_elements_of_lists_each_value_counts(count: int) -> None:
    """All of up to 64 values are compared in their order, and their number."""
    old = [{"id": n, "price": n + 0.5} for n in range(count)]
    new = [{"id": n, "amount": n + 0.5} for n in range(count)]
    assert [kind for _, kind in told([("x", {"items": old}, {"items": new})])] == ["renamed"]

    other = [*new[:-1], {"id": count - 1}]
    assert "renamed" not in [kind for _, kind in told([("x", {"items": old}, {"items": other})])]
    swapped = [{**new[0], "amount": new[1]["amount"]}, {**new[1], "amount": new[0]["amount"]}, *new[2:]]
    assert "renamed" not in [kind for _, kind in told([("x", {"items": old}, {"items": swapped})])]


def test_two_fields_of_one_value_stay_apart() -> None:
    """Nothing says which of them has which name now, until an exchange in which they differ."""
    alike = [("x", {"net": 10, "gross": 10}, {"sum": 10, "total": 10})]
    assert not any(kind == "renamed" for _, kind in told(alike))
    found = shown(judged([*alike, ("x", {"net": 8, "gross": 9}, {"sum": 8, "total": 9})]))
    pairs = sorted(pair for one in found for pair in one["renamed"])
    assert pairs == [["body:$.gross", "body:$.total"], ["body:$.net", "body:$.sum"]]


def test_many_fields_of_one_container_are_one_finding() -> None:
    """As those that went are one; it says of each what it is called now."""
    names = {"first_name": "firstName", "last_name": "lastName", "zip_code": "zipCode", "home_town": "homeTown"}
    old = {name: f"{name} of ann" for name in names}
    (found,) = shown(judged([("x", {"user": old}, {"user": {names[name]: value for name, value in old.items()}})]))

    assert (found["where"], found["kind"], found["places_count"]) == ("body:$.user", "renamed", 8)
    assert found["renamed"] == sorted([f"body:$.user.{old}", f"body:$.user.{new}"] for old, new in names.items())


def test_a_field_that_was_renamed_hides_no_other_change() -> None:
    """What went beside it is told, and the places of all findings together are all that differ."""
    exchanges = [("x", {"price": n, "stock": 3}, {"amount": n}) for n in (10, 11)] + [
        ("x", {"name": "a"}, {"name": "b"})
    ]
    found = told(exchanges)

    assert found == ONE | {("body:$.stock", "missing"): ["body:$.stock"], ("body:$.name", "value"): ["body:$.name"]}


def test_an_id_under_another_name_may_be_renamed_too() -> None:
    """Each version draws its own, and another place of the run has shown which is which; without that nothing is known."""
    chance = random.Random(7)
    ids = [(fresh(chance), fresh(chance)) for _ in range(12)]
    known = [("x", {"id": one, "order_id": one}, {"id": two, "orderId": two}) for one, two in ids]
    unknown = [("x", {"order_id": one}, {"orderId": two}) for one, two in ids]

    assert ("body:$.order_id", "renamed") in told(known)
    assert sorted(kind for _, kind in told(unknown)) == ["added", "missing"]


def test_the_order_in_which_rows_come_changes_nothing() -> None:
    """Workers write them as they get to them."""
    exchanges = priced("price", "amount", 10, 11, 12) + priced("price", "amount", 12, 13, endpoint="y")

    assert shown(judged(exchanges))[0]["id"] == shown(judged(exchanges[::-1]))[0]["id"]


def test_where_a_whole_document_changed_it_stays_one_finding() -> None:
    """Four places that always change together are their document, of which two may be one field; where all are fields, it is renamed."""
    old = {"price": 10, "tax": 2}
    mixed = [("x", {**old, "stock": 3, "name": "a"}, {"amount": 10, "vat": 2, "stock": 4, "name": "b"})]
    assert list(told(mixed)) == [("body:$", "value")]
    assert list(told([("x", old, {"amount": 10, "vat": 2})])) == [("body:$", "renamed")]


def test_a_close_reads_it_from_the_store(tmp_path: Path) -> None:
    """Digests come back from the store as they were written, samples say both values, and an endpoint that kept the old name is an exception."""
    both = in_json({"id": 7, "price": 10.5}), in_json({"id": 7, "amount": 10.5})
    result = closed(tmp_path, {"GET /x": both, "GET /y": both, "GET /kept": (both[0], both[0])})
    (found,) = result["groups"]

    assert (found["kind"], found["endpoints"], found["differing"]) == ("renamed", 2, 4)
    assert {(one["base"], one["branch"]) for one in found["samples"]} == {("10.5", "10.5")}
    assert found["exceptions"] == ["GET /kept"]
