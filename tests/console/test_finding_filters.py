"""Findings over the API by severity and by what holds of them: what is asked for is what comes, on every page, also where a word changes meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from console.api.messages import FindingsQuery
from console.api.reading import findings
from console.triage_kept import holds
from tests.console.results import RESULTS

SEVERITIES = ("breaking", "visible", "cosmetic", "unheard of")
WORDS = ("intended", "noise", "bug", "")


@pytest.fixture
def result() -> dict[str, Any]:
    """Sixty findings of each severity, some of them noise."""
    one = RESULTS["fail"]()["groups"][0]
    every = [
        {**one, "id": f"{n:016x}", "severity": SEVERITIES[n % 4], "verdict": "noise" if n > 40 else "regression"}
        for n in range(60)
    ]
    return {"run": "r", "groups": every[:41], "noise": every[41:]}


HOLDING = {f"{n:016x}": WORDS[n // 4 % 4] for n in range(0, 60, 2)}


def walk(result: dict[str, Any], holding: dict[str, str] | None = None, **asked: Any) -> list[dict[str, Any]]:
    """All pages of what is asked for."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        cursor = {"cursor": after} if after else {}
        query = msgspec.convert({"limit": 3, **asked, **cursor}, FindingsQuery)
        page = findings(result, query, HOLDING if holding is None else holding)
        found += page.findings  # type: ignore[arg-type]
        if (after := page.next) is None:
            assert page.total == len(found)
            return found


@pytest.mark.parametrize("severity", ["breaking", "visible", "cosmetic"])
def test_by_severity_come_those_that_pages_show_so(result: dict[str, Any], severity: str) -> None:
    """Each of the severity and no other; one that is unheard of is visible, as on pages."""
    words = {severity, "unheard of"} if severity == "visible" else {severity}
    every = [*result["groups"], *result["noise"]]
    assert walk(result, severity=severity) == [one for one in every if one["severity"] in words]


@pytest.mark.parametrize("word", ["intended", "noise", "bug", "none"])
def test_by_decision_come_those_of_which_it_holds(result: dict[str, Any], word: str) -> None:
    """Each of which the word holds, `none` those of which none does; with other filters all must hold."""
    every = [*result["groups"], *result["noise"]]
    fit = [one for one in every if (HOLDING.get(one["id"]) or "none") == word]
    assert fit
    assert walk(result, decision=word) == fit
    assert walk(result, decision=word, severity="breaking", verdict="noise") == [
        one for one in fit if one["severity"] == "breaking" and one["verdict"] == "noise"
    ]


def test_a_word_that_is_said_between_two_pages_ends_no_list(result: dict[str, Any]) -> None:
    """The cursor names a finding that fits no longer, and leads on to the next that does."""
    query = msgspec.convert({"limit": 2, "decision": "none"}, FindingsQuery)
    first = findings(result, query, {})
    again = msgspec.structs.replace(query, cursor=first.next)
    second = findings(result, again, {str(first.next): "bug"})
    ids = [one["id"] for one in result["groups"]]  # type: ignore[index]
    assert [one["id"] for one in first.findings + second.findings] == ids[:4]  # type: ignore[index]


def test_what_holds_is_neither_past_nor_open() -> None:
    """A word whose day has passed and one that was taken back hold nothing."""
    told = [None, {}, {"decision": "bug", "expired": True}, {"decision": "open"}, {"decision": "bug", "expired": False}]
    assert [holds(one) for one in told] == ["", "", "", "", "bug"]
