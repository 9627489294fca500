"""What is said of findings, asked of the store and checked. Everything here waits, so handlers call it beside the loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import msgspec

from console import triage_kept
from console.api import reading
from console.api.access import Token
from console.api.context import Site
from console.api.messages_triage import DecisionTold, Elsewhere, Preview, PreviewQuery, TriageRequest
from console.api.problems import Problem
from console.rules import PROPOSED_DAYS
from console.rules_impact import impacts
from console.rules_in_force import rules_now
from console.triage_rules import over, rules_of
from differ.members import members_of, merged
from differ.result import iso
from differ.rules_reading import INVALID, Refusal
from differ.rules_refusing import OVER_BROAD
from echolane.rules import Rule
from echolane.runspec import RunSpec
from echolane.triage import OPEN, RULING, Decision, Scope

SHOWN = 50
PLACE = ("endpoint", "where", "kind")
NAMED = """
SELECT run, id, endpoint, `where`, kind FROM findings_v WHERE run IN {runs:Array(String)} AND id IN {ids:Array(String)}"""
SPEC = "SELECT spec FROM runs_v WHERE run = {run:String}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding as somebody sees it who says something of it."""

    run: reading.Run
    finding: Mapping[str, Any]
    branch: str
    """What the run's branch is called; empty where nobody said so."""
    kept: list[Decision]
    """What was said of this finding, of each branch and of all."""


def seen(site: Site, token: Token, run_id: str, finding_id: str) -> Seen:
    """A finding that the token sees; Problem where there is none."""
    run = reading.run_of(site, token, run_id)
    finding = reading.finding_of(reading.result_of(run), finding_id)
    kept = [one for one in triage_kept.newest(site.store, run.service) if one.finding == finding_id]
    return Seen(run, finding, branch_of_run(site, run.id), kept)


def branch_of_run(site: Site, run: str) -> str:
    """What the branch of a run is called; empty where its spec does not say."""
    rows = site.store.query(SPEC, {"run": run})
    text = str(rows[0]["spec"]) if rows else ""
    return msgspec.json.decode(text, type=RunSpec).branch_name if text else ""


def proposed(site: Site, token: Token, at: Seen, wanted: TriageRequest, now_ns: int) -> Decision:
    """What would be kept; Problem where a rule in git decides already."""
    finding, word = at.finding, wanted.decision
    if finding.get("rule") and not finding.get("triage"):
        raise Problem("conflict", f"rule `{finding['rule']}` of the repository explains this finding; change that rule")
    branch = (wanted.branch if isinstance(wanted.branch, str) else at.branch) if word == "intended" else ""
    expires = wanted.expires if isinstance(wanted.expires, str) else ""
    if expires:
        try:
            date.fromisoformat(expires)
        except ValueError as error:
            raise refused(INVALID, f"`expires` needs a day such as 2027-03-31, not {expires}") from error
    if word in RULING and not expires:
        expires = (date.fromisoformat(triage_kept.today()) + timedelta(days=PROPOSED_DAYS)).isoformat()
    return Decision(
        service=at.run.service,
        finding=str(finding["id"]),
        decision=word,
        owner=wanted.owner.strip() if isinstance(wanted.owner, str) else token.name,
        note=wanted.note.strip(),
        by=token.id,
        who=token.name,
        at_ns=now_ns,
        run=at.run.id,
        where=str(finding["where"]),
        kind=str(finding["kind"]),
        expires="" if word == OPEN else expires,
        branch=branch,
        scope=[] if word == OPEN else scope_of(site, at, word, branch),
    )


def scope_of(site: Site, at: Seen, word: str, branch: str) -> list[Scope]:
    """What the finding covers in this run, and what the same word was said of before; Problem where that is too much."""
    found = members_of(site.store, at.run.id, str(at.finding["id"]))
    same = next((one for one in at.kept if one.branch == branch and one.decision == word), None)
    if same is None and not found:  # rules of another word explain it here: it is said of what that was said of
        same = next((one for one in at.kept if one.scope and one.branch in {"", at.branch}), None)
    whole = None if found is None else merged([*found, *(same.scope if same else ())])
    if word in RULING and not whole:
        raise refused(
            OVER_BROAD,
            "it covers more places or endpoints than are kept of a finding, or none; write a rule that names them",
        )
    return whole or []


def refused(code: str, text: str) -> Problem:
    """A decision that could hide more than was meant, or does not hold."""
    return Problem("refused-rule", f"{code}: {text}")


def own_rules(decision: Decision) -> list[Rule]:
    """The rules of a decision; Problem where it is refused as a rule in git would be."""
    found = rules_of(decision, rules_now()[0], triage_kept.today())
    if isinstance(found, Refusal):
        raise refused(found.code, found.text)
    return found


def decide(site: Site, token: Token, at: Seen, wanted: TriageRequest, key: str, fingerprint: str) -> Decision:
    """Say it: it stands when this returns."""
    now = time.time_ns()
    one = proposed(site, token, at, wanted, now)
    own_rules(one)
    # What was said of this branch alone would stand before what is said of all.
    standing = {before.branch for before in at.kept if before.decision != OPEN and before.branch in {"", at.branch}}
    over_them = standing - {one.branch} if one.decision != "intended" else set[str]()
    also = [msgspec.structs.replace(one, decision=OPEN, branch=branch, scope=[]) for branch in sorted(over_them)]
    if len(at.kept) == 0 and len(triage_kept.newest(site.store, at.run.service)) >= triage_kept.KEPT_MAX:
        raise Problem("conflict", f"{triage_kept.KEPT_MAX:,} words are kept of this service; write rules instead")
    triage_kept.save(site.store, [one, *also], key, fingerprint)
    return one


def preview(site: Site, token: Token, at: Seen, query: PreviewQuery) -> Preview:
    """What a decision would hide in the last runs of the service."""
    wanted = TriageRequest(query.decision, "a preview", branch=query.branch)
    told: dict[str, Any] = {"run": at.run.id, "finding": str(at.finding["id"]), "decision": query.decision}
    try:
        rules = own_rules(proposed(site, token, at, wanted, time.time_ns()))
    except Problem as problem:
        if problem.code != "refused-rule":
            raise
        code, _, why = problem.detail.partition(": ")
        return Preview(
            **told,
            refused=code,
            why=why,
            rules=0,
            runs=[],
            differences=0,
            unsure=0,
            findings=0,
            regressions=0,
            others=[],
        )
    found, runs = impacts(site.store, rules, query.last, at.run.service)
    findings = set[tuple[str, str]]().union(*(one.findings for one in found))
    grave = set[tuple[str, str]]().union(*(one.regressions for one in found))
    others = sorted((run, name) for run, name in findings if name != at.finding["id"])[:SHOWN]
    asked = {"runs": [run for run, _ in others], "ids": [name for _, name in others]}
    rows = {(str(row["run"]), str(row["id"])): row for row in site.store.query(NAMED, asked)} if others else {}
    return Preview(
        **told,
        refused=None,
        why=None,
        rules=len(rules),
        runs=runs,
        differences=sum(one.differences for one in found),
        unsure=sum(one.unsure for one in found),
        findings=len(findings),
        regressions=len(grave),
        others=[
            Elsewhere(
                run,
                name,
                regression=(run, name) in grave,
                **{key: str(rows.get((run, name), {}).get(key, "")) for key in PLACE},
            )
            for run, name in others
        ],
    )


def told(one: Decision) -> DecisionTold:
    """A decision for a client."""
    return DecisionTold(
        **{
            name: getattr(one, name)
            for name in ("service", "finding", "owner", "note", "by", "who", "run", "where", "kind")
        },
        decision=one.decision,  # type: ignore[arg-type] - one of the words
        branch=one.branch or None,
        expires=one.expires or None,
        expired=over(one, triage_kept.today()),
        at=iso(one.at_ns),
        places=sorted({scope.where for scope in one.scope})[:SHOWN],
        endpoints=sorted({name for scope in one.scope for name in scope.endpoints})[:SHOWN],
    )


def of_run(site: Site, run: reading.Run) -> list[Decision]:
    """What stands of the findings of a run, the newest first."""
    result = run.result or {}
    there = {str(one["id"]) for part in reading.PARTS for one in result.get(part, [])}
    standing = triage_kept.standing(site.store, run.service, branch_of_run(site, run.id))
    return sorted((one for name, one in standing.items() if name in there), key=lambda one: -one.at_ns)


def holding(site: Site, run: reading.Run) -> dict[str, str]:
    """By finding the word that holds of it now, on the run's branch."""
    standing = triage_kept.standing(site.store, run.service, branch_of_run(site, run.id))
    return {name: triage_kept.holds(triage_kept.told_said(one)) for name, one in standing.items()}


def of_service(site: Site, service: str) -> list[Decision]:
    """All that stands of a service, of each branch, the newest first."""
    return [one for one in triage_kept.newest(site.store, service) if one.decision != OPEN]
