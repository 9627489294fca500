"""Rules that could hide more than meant are refused, each with a stable code; the others are read as written."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, strategies as st

from differ.rules_reading import FIELDS, Refusal, Written, read
from differ.rules_refusing import CODES, decided, in_force
from echolane.rules import Rule, version_of

GOOD: dict[str, Any] = {
    "service": "shop", "where": "body:$.items[*].price", "matcher": "ignore", "reason": "rounded", "owner": "team-shop", "expires": date(2027, 3, 31),
}  # fmt: skip


def decide(*rules: dict[str, Any], today: str = "2027-01-01") -> tuple[list[Rule], list[Refusal]]:
    """What becomes of rules as a file has them; None takes a field away."""
    written = [
        Written(
            {k: v for k, v in {**GOOD, "name": f"r{n}", **rule}.items() if v is not None},
            "echolane.toml",
            10 * n,
            {"where": 10 * n + 1},
        )
        for n, rule in enumerate(rules)
    ]
    return decided(written, today=today, functions={"shop-money"})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"where": "**"}, "OVER_BROAD"),
    ({"where": "body:$.**"}, "OVER_BROAD"),
    ({"where": "header:*"}, "OVER_BROAD"),
    ({"where": "body:$.*"}, "OVER_BROAD"),
    ({"where": "body:$"}, "ROOT_VALUE"),
    ({"where": "body"}, "ROOT_VALUE"),
    ({"where": "body:$[*]"}, "ROOT_VALUE"),
    ({"where": "status"}, "STRUCTURAL"),
    ({"kinds": ["missing"], "where": "body:$.items[*].*.price"}, "STRUCTURAL"),
    ({"kinds": ["type"], "where": "body:$.items.**"}, "STRUCTURAL"),
    ({"kinds": ["missing"], "matcher": "tolerance", "absolute": 1}, "STRUCTURAL"),
    ({"kinds": ["value"], "matcher": "ignore-order"}, "STRUCTURAL"),
    ({"kinds": ["length"], "matcher": "tolerance", "absolute": 1}, "ARRAY_LENGTH"),
    ({"kinds": ["length"], "where": "body:$.items.**"}, "ARRAY_LENGTH"),
    ({"where": "body:$.items[0].price"}, "UNREPRESENTABLE"),
    ({"where": "price"}, "UNREPRESENTABLE"),
    ({"where": "body:$.items.**", "matcher": "ignore-order"}, "ORDER_AMBIGUOUS"),
    ({"kinds": ["order"], "matcher": "regex", "pattern": "a"}, "ORDER_AMBIGUOUS"),
    ({"matcher": "custom", "function": "not-there"}, "UNRESOLVED"),
    ({"service": None}, "UNSCOPED"),
    ({"service": "*", "endpoint": "/**", "method": "GET", "status": "2xx"}, "UNSCOPED"),
    ({"service": None, "endpoint": "/*/{id}"}, "UNSCOPED"),
    ({"matcher": "regex", "pattern": r"(a)\1"}, "UNSAFE_REGEX"),
    ({"matcher": "regex", "pattern": "(?=a)a"}, "UNSAFE_REGEX"),
    ({"matcher": "regex", "pattern": "a*"}, "OVER_BROAD"),
    ({"matcher": "regex", "pattern": "(?s).+"}, "OVER_BROAD"),
    ({"matcher": "regex", "pattern": "[^§]+"}, "OVER_BROAD"),
    ({"matcher": "tolerance", "relative": 1.0}, "OVER_BROAD"),
    ({"matcher": "tolerance", "within": "3d"}, "OVER_BROAD"),
    ({"expires": date(2026, 12, 31)}, "EXPIRED"),
    ({"reason": ""}, "INVALID"),
    ({"owner": None}, "INVALID"),
    ({"expires": None}, "INVALID"),
    ({"permanent": True}, "INVALID"),
    ({"expires": "soon"}, "INVALID"),
    ({"matcher": None}, "INVALID"),
    ({"matcher": "tolerance"}, "INVALID"),
    ({"matcher": "tolerance", "absolute": -1}, "INVALID"),
    ({"matcher": "tolerance", "absolute": float("nan")}, "INVALID"),
    ({"matcher": "regex", "pattern": "a", "absolute": 1}, "INVALID"),
    ({"matcher": "class", "class": "date"}, "INVALID"),
    ({"matchr": "ignore"}, "INVALID"),
    ({"kinds": ["values"]}, "INVALID"),
    ({"kinds": []}, "INVALID"),
    ({"status": "600"}, "INVALID"),
    ({"endpoint": "GET /items"}, "INVALID"),
    ({"method": "GRAB"}, "INVALID"),
    ({"where": 7}, "INVALID"),
]


@pytest.mark.parametrize(("rule", "code"), REFUSED)
def test_an_over_broad_rule_is_refused(rule: dict[str, Any], code: str) -> None:
    """With its code, its file and its line, and it is not among the rules that hold."""
    rules, refusals = decide(rule)

    assert rules == []
    assert [r.code for r in refusals] == [code], refusals
    assert refusals[0].source.startswith("echolane.toml:")
    assert refusals[0].text


def test_every_code_is_tested_and_known() -> None:
    """No code exists that no rule earns."""
    assert {code for _, code in REFUSED} | {"CONTRADICTION"} == set(CODES)


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"kinds": ["missing", "type"]}, {"where": "status", "kinds": ["status"], "status": "5xx"}, {"where": "body:$.items.**"},
        {"matcher": "ignore-order", "where": "body:$.tags"}, {"matcher": "ignore-order", "where": "body:$"}, {"kinds": "length", "where": "body:$.items"},
        {"matcher": "tolerance", "absolute": 0.01, "relative": 0.5, "within": "5s"}, {"matcher": "regex", "pattern": r"\d+ ms"},
        {"matcher": "class", "class": "uuid"}, {"matcher": "custom", "function": "shop-money"}, {"expires": None, "permanent": True},
        {"service": None, "endpoint": "/items/*"}, {"expires": "2027-01-01"}, {"branch": "feat/*"}, {"where": "header:date"},
        {"method": ["get", "head"], "status": [200, "3xx"]},
    ],
)  # fmt: skip
def test_a_narrow_rule_holds(rule: dict[str, Any]) -> None:
    """What names its place, its kind, its reason and its end is taken."""
    rules, refusals = decide(rule)

    assert refusals == []
    assert len(rules) == 1


def test_rules_that_contradict_are_both_refused() -> None:
    """Two matchers for one place: nobody knows which is meant. Other places, kinds and services do not contradict."""
    tolerance = {"matcher": "tolerance", "absolute": 0.01}
    rules, refusals = decide({}, tolerance, {"where": "body:$.other"})

    assert [rule.name for rule in rules] == ["r2"]
    assert {(r.code, r.rule) for r in refusals} == {("CONTRADICTION", "r0"), ("CONTRADICTION", "r1")}
    assert decide({"where": "body:$.items.**"}, tolerance)[0] == []
    assert len(decide({}, {**tolerance, "service": "till"})[0]) == 2
    assert len(decide({"kinds": ["missing"]}, tolerance)[0]) == 2
    assert len(decide({"endpoint": "/a/*"}, {**tolerance, "endpoint": "/b/*"})[0]) == 2
    assert len(decide({"status": "2xx"}, {**tolerance, "status": "404"})[0]) == 2
    assert len(decide({"branch": "feat/x"}, tolerance)[0]) == 2


def test_endpoints_by_name_are_a_scope() -> None:
    """They need no service, contradict nothing at other endpoints, and each is a method and a path."""
    tolerance = {"matcher": "tolerance", "absolute": 0.01}
    named = {"service": None, "endpoints": ["GET /a/{id}"]}

    assert [rule.name for rule in decide(named)[0]] == ["r0"]
    assert len(decide(named, {**tolerance, "endpoint": "/b/*"})[0]) == 2
    assert len(decide(named, {**tolerance, "service": None, "endpoints": ["GET /b/{id}", "HEAD /a/{id}"]})[0]) == 2
    assert decide(named, {**tolerance, "endpoint": "/a/*"})[0] == []
    assert [(r.code, "each is a method" in r.text) for r in decide({"endpoints": ["/a"]})[1]] == [("INVALID", True)]


def test_an_unknown_field_names_its_line_and_what_was_meant() -> None:
    """As a wrong setting does."""
    found = read(Written({**GOOD, "matchr": "ignore"}, "rules/shop.yaml", 3, {"matchr": 6}))

    assert isinstance(found, Refusal)
    assert (found.source, found.text) == ("rules/shop.yaml:6", "unknown field `matchr`; did you mean `matcher`?")


def test_rules_of_other_services_and_branches_are_not_in_force() -> None:
    """An expected change ends with its branch."""
    rules = decide({}, {"service": "till"}, {"branch": "feat/*"}, {"service": None, "endpoint": "/a"})[0]

    assert [r.name for r in in_force(rules, "shop", "feat/prices")] == ["r0", "r2", "r3"]
    assert [r.name for r in in_force(rules, "shop", "main")] == ["r0", "r3"]
    assert [r.name for r in in_force(rules, "shop", "")] == ["r0", "r3"]


def test_the_version_names_what_rules_say() -> None:
    """The same rules elsewhere in their files are the same version; another reason is another."""
    one, other = decide({})[0], decide({}, {"where": "body:$.x"})[0][:1]

    assert version_of(one) == version_of(other) != ""
    assert version_of(one) != version_of(decide({"reason": "another"})[0])
    assert version_of([]) == ""


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8))
def test_any_fields_are_a_rule_or_refused(fields: dict[str, Any]) -> None:
    """No fault of a file ever raises."""
    rules, refusals = decided([Written({**GOOD, **fields}, "f", 1)], today="2027-01-01", functions=())

    assert len(rules) + len(refusals) == 1
