"""Pact's own cases: expected and actual messages that match or do not, as truth for a comparison, each disagreement explained."""

from __future__ import annotations

import json
from collections import defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from differ.compare import Compared, compare
from differ.context import Context
from echolane.exchange import Response
from tests.differ.foreign import FORM, JSON, answer, figures

REASONS: dict[str, tuple[str, ...]] = {
    "a consumer reads only what it expects; what a version adds is still its change": (
        "v?/*/headers/unexpected header found.json",
        "v?/response/body/deeply nested objects*.json",
        "v?/response/body/unexpected key with *.json",
        "v2/response/body/unexpected index with * xml.json",
    ),
    "an expectation that names no body, or no content type, asks for nothing there": (
        "v2/*/body/missing body*.json",
        "v2/*/body/no body*.json",
        "v2/*/body/empty body no content type.json",
    ),
    "media types in Accept have no case (RFC 9110 §8.3.1)": ("v?/*/headers/header value is different case.json",),
    "pact v1 compares a query as text; its order between names and a last ampersand mean nothing, as v2 says itself": (
        "v1/request/query/different param order.json",
        "v1/request/query/trailing amperand.json",
    ),
    "a rule of the consumer asks for more elements than its own example has": (
        "v2/request/body/array size less than required*.json",
    ),
    "a rule of the consumer forgives another value, length or member; no rule is given here": (
        "v2/*/body/array at top level with matchers*.json",
        "v2/*/body/array with at least one element matching by example*.json",
        "v2/*/body/array with nested array that matches.json",
        "v2/*/body/array with regular expression in element*.json",
        "v2/*/body/array with regex matcher*.json",
        "v2/*/body/array with type matcher.json",
        "v2/*/body/array with type matcher xml.json",
        "v2/*/body/additional property with type matcher.json",
        "v2/*/body/matches with regex*.json",
        "v2/*/body/matches with type.json",
        "v2/*/body/objects in array type matching*.json",
        "v2/*/headers/matches with regex.json",
    ),
}
"""Why we say otherwise than pact, and of which cases."""


def message(side: dict[str, Any]) -> Response:
    """One side of a case as an answer: a tree stands for JSON, where no header says otherwise."""
    headers = [(name.encode(), value.encode()) for name, value in (side.get("headers") or {}).items()]
    body = side.get("body", "")
    if isinstance(body, str):
        return answer(body, headers, side.get("status", 200))
    named = any(name.lower() == b"content-type" for name, _ in headers)
    return answer(json.dumps(body), headers if named else [*headers, *JSON], side.get("status", 200))


def found_between(name: str, case: dict[str, Any]) -> Compared:
    """What is found between the sides of a case; a query is read as the form it is."""
    old, new = case["expected"], case["actual"]
    if "/query/" in name:
        return compare(answer(old["query"], FORM), answer(new["query"], FORM), Context())
    return compare(message(old), message(new), Context())


@pytest.fixture(scope="module")
def cases(inputs: Path) -> dict[str, dict[str, Any]]:
    """The cases by their path; methods and paths are of requests only and have no likeness in answers."""
    root = inputs / "suites" / "pact"
    return {
        path.relative_to(root).as_posix(): json.loads(path.read_text("utf-8-sig"))
        for path in sorted(root.rglob("*.json"))
        if path.parent.name not in {"method", "path"}
    }


@pytest.mark.inputs
def test_each_disagreement_with_pact_has_one_reason(inputs: Path, cases: dict[str, dict[str, Any]]) -> None:
    """Unmatched is different and matched is the same, or the table says why not; no reason outlives its disagreement."""
    apart: dict[str, str] = {}
    for name, case in cases.items():
        found = found_between(name, case)
        assert not found.uncomparable, name
        if bool(found.differences) is case["match"]:
            apart[name] = str([(one.where, one.kind) for one in found.differences])
    explained: dict[str, list[str]] = defaultdict(list)
    for reason, patterns in REASONS.items():
        for pattern in patterns:
            named = [name for name in cases if fnmatchcase(name, pattern)]
            assert named, f"{pattern} names no case"
            for name in named:
                explained[name].append(reason)

    assert {name: what for name, what in apart.items() if name not in explained} == {}
    assert [name for name in explained if name not in apart] == []
    assert [name for name, reasons in explained.items() if len(reasons) > 1] == []
    for reason in REASONS:
        assert figures(reason) == (sum(reasons == [reason] for reasons in explained.values()),), reason
    every = sum(1 for _ in (inputs / "suites" / "pact").rglob("*.json"))
    assert figures("pact v1 and v2") == (every, len(cases) - len(apart), len(apart), every - len(cases))


@pytest.mark.inputs
def test_only_a_rule_forgives_what_is_not_equal(cases: dict[str, dict[str, Any]]) -> None:
    """Where pact matches by the consumer's rules, we find nothing exactly where the sides are equal without them."""
    seen = 0
    for name, case in cases.items():
        rules = case["expected"].get("matchingRules")
        if rules is None or not case["match"]:
            continue
        bare = {key: value for key, value in case["expected"].items() if key != "matchingRules"}
        seen += 1
        assert (found_between(name, case).differences == []) is (bare == case["actual"]), name
    assert seen >= 25


@pytest.mark.inputs
def test_a_header_without_a_grammar_keeps_its_case(cases: dict[str, dict[str, Any]]) -> None:
    """What pact says of a header's case holds wherever the header's grammar does not say otherwise."""
    for name, case in cases.items():
        if not name.endswith("header value is different case.json"):
            continue
        old, new = (
            answer("{}", [*JSON, *((b"X-Pet", value.encode()) for value in case[side]["headers"].values())])
            for side in ("expected", "actual")
        )
        assert [(one.where, one.kind) for one in compare(old, new, Context()).differences] == [
            ("header:x-pet", "value")
        ]


@pytest.mark.inputs
def test_a_verdict_on_a_case_is_the_same_backwards(cases: dict[str, dict[str, Any]]) -> None:
    """Which side is the base decides added or missing, never whether there is a difference."""
    for name, case in cases.items():
        forth = found_between(name, case)
        back = found_between(name, {"expected": case["actual"], "actual": case["expected"]})
        assert bool(forth.differences) is bool(back.differences), name
