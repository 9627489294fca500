"""The rules of a service over the API: those that hold in a run and no others, each with its origin, reason, owner and end."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from console import triage_kept
from console.api import rules_told
from console.api.context import Site
from console.api.messages_rules import RulesHeld, RulesQuery
from console.api.problems import Problem
from echolane.triage import Decision, Scope

FILE = """
[[rules]]
name = "clock"
endpoint = "/items/*"
where = "body:$.at"
matcher = "ignore"
reason = "it is <the> time"
owner = "team-shop"
permanent = true

[[rules]]
name = "price"
service = "shop"
endpoint = "/items/*"
where = "body:$.price"
matcher = "tolerance"
absolute = 0.01
reason = "rounded"
owner = "ann"
expires = 2099-01-01
branch = "feat/*"

[[rules]]
name = "another's"
service = "depot"
where = "body:$.secret"
matcher = "ignore"
reason = "of others"
owner = "team-depot"
permanent = true

[[rules]]
name = "past"
service = "shop"
where = "body:$.past"
matcher = "ignore"
reason = "long ago"
owner = "ann"
expires = 2001-01-01
"""


def said(
    finding: str, decision: str, branch: str = "", expires: str = "2099-01-01", where: str = "body:$.x"
) -> Decision:
    """What somebody said of a finding of one place."""
    scope = [Scope(where, "value", ["GET /items/{id}"], ["value:x"])]
    words = {"owner": "ann", "note": "as agreed", "by": "0" * 12, "who": "ann", "run": "r1", "kind": "value"}
    return Decision(
        "shop",
        finding,
        decision,
        at_ns=int(finding, 16),
        where=where,
        expires=expires,
        branch=branch,
        scope=scope,
        **words,
    )


KEPT = [
    said("a1", "noise", where="body:$.a"),
    said("a2", "intended", "feat/a", where="body:$.b"),
    said("a3", "intended", "feat/b", where="body:$.c"),
    said("a4", "noise", expires="2001-01-01", where="body:$.d"),
    said("a5", "bug", where="body:$.e"),
    said("a6", "open", where="body:$.f"),
]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The operation, over a file and words that are kept."""
    (tmp_path / "echolane.toml").write_text(FILE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECHOLANE_CONFIG", raising=False)
    monkeypatch.setattr(triage_kept, "newest", lambda _, service: KEPT if service == "shop" else [])

    def asked(service: str = "shop", **query: Any) -> RulesHeld:
        site = cast("Site", type("Bare", (), {"store": None}))
        return rules_told.rules(site, service, msgspec.convert(query, RulesQuery))

    return asked


def names(told: RulesHeld) -> list[str]:
    """The rules of a page."""
    return [one.rule for one in told.rules]


def test_all_that_holds_is_told_with_where_it_is_from(ask: Any) -> None:
    """Of every branch: of files this service's and everybody's, of words those that rule; a word whose day has passed is refused, with why."""
    told = ask()
    assert names(told) == ["clock", "price", "triage a1", "triage a2", "triage a3"]
    clock, price, noise, intended, _ = told.rules
    assert (clock.reason, clock.owner, clock.expires, clock.every_service) == (
        "it is <the> time",
        "team-shop",
        None,
        True,
    )
    assert (clock.source, clock.finding, clock.decision) == ("echolane.toml:2", None, None)
    assert (price.endpoints, price.branch, price.expires) == (["/items/*"], "feat/*", "2099-01-01")
    assert (noise.source, noise.finding, noise.decision, noise.reason) == ("run r1", "a1", "noise", "as agreed")
    assert (intended.branch, intended.decision, intended.endpoints) == ("feat/a", "intended", ["GET /items/{id}"])
    assert [(one.rule, one.code) for one in told.refused] == [("triage a4", "EXPIRED")]


@pytest.mark.parametrize(
    ("branch", "holding"),
    [
        ("feat/a", ["clock", "price", "triage a2", "triage a1"]),
        ("feat/z", ["clock", "price", "triage a1"]),
        ("main", ["clock", "triage a1"]),
    ],
)
def test_of_a_branch_come_the_rules_of_its_runs(ask: Any, branch: str, holding: list[str]) -> None:
    """Those bound to another branch are left out, of files and of words."""
    assert names(ask(branch=branch)) == holding


def test_a_service_is_told_no_rule_of_another(ask: Any) -> None:
    """Nor the words of its findings."""
    assert "another's" not in names(ask())
    assert names(ask("depot")) == ["clock", "another's"]


def test_pages_have_each_rule_once(ask: Any) -> None:
    """Two at a time, to the end."""
    found: list[str] = []
    page = ask(limit=2)
    found += names(page)
    while page.next is not None:
        page = ask(limit=2, cursor=page.next)
        found += names(page)
    assert found == names(ask())


def test_a_file_that_is_none_is_said(ask: Any, tmp_path: Path) -> None:
    """With its name and what is wrong; no fault."""
    (tmp_path / "echolane.toml").write_text("[[rules\n", "utf-8")
    with pytest.raises(Problem, match=r"the rules of files cannot be read: echolane.toml is not TOML"):
        ask()
