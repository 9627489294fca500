"""From what somebody said of a finding to rules: written, read and refused like those of files (:mod:`differ.rules_refusing`). Pure.

A decision is as wide as its finding: each place and kind at the endpoints at which it was seen and, where it is no value inside a body, the
very change. Where a rule in git asks another thing of the same place, git is right, and the decision is left out, aloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from differ.rules_reading import INVALID, Refusal, Written, read
from differ.rules_refusing import CONTRADICTION, EXPIRED, OVER_BROAD, STRUCTURAL, clash, faults
from echolane.rules import IGNORE, Rule
from echolane.triage import BUG, INTENDED, OPEN, RULING, Decision

RULES_MAX = 2_000
"""Rules of all that was said of a service: each is looked at against those of files, and rows number rules by 16 bits."""
WILD = frozenset("*?[]")


class InForce(NamedTuple):
    """What was said and holds in a run, its rules, and what does not hold and why."""

    decisions: list[Decision]
    rules: list[Rule]
    refused: list[Refusal]


def called(decision: Decision) -> str:
    """What a decision's rules are called; a number follows where there are several."""
    return f"triage {decision.finding[:12]}"


def written_of(decision: Decision) -> Iterator[Written]:
    """The rules that a decision is, as a file would have them."""
    for number, one in enumerate(decision.scope, 1):
        fields: dict[str, Any] = {
            "name": called(decision) + (f" {number}" if len(decision.scope) > 1 else ""),
            "service": decision.service,
            "endpoints": list(one.endpoints),
            "where": one.where,
            "kinds": [one.kind],
            "change": list(one.changes),
            "beside": list(one.beside),
            "matcher": IGNORE,
            "reason": decision.note,
            "owner": decision.owner,
            "expires": decision.expires,
            "branch": decision.branch,
        }
        yield Written({name: value for name, value in fields.items() if value}, called(decision), number)


def rules_of(decision: Decision, others: Sequence[Rule], today: str) -> list[Rule] | Refusal:
    """The rules of a decision, or why it is refused; ``others``: those of files. None for one that is no rule."""

    def refuse(code: str, text: str) -> Refusal:
        return Refusal(code, called(decision), f"run {decision.run}", text)

    if decision.decision == INTENDED and not decision.branch:
        return refuse(
            INVALID, "what is intended is so on a branch, and nothing says what the run's is called; give `branch`"
        )
    if WILD & set(decision.branch):
        return refuse(OVER_BROAD, "`branch` is the name of one branch; for a pattern write a rule")
    if decision.decision not in RULING:
        return refuse(EXPIRED, f"it ended on {decision.expires}") if over(decision, today) else []
    if any(one.coarse for one in decision.scope):
        return refuse(
            STRUCTURAL, "a body that becomes another kind of document is explained by no rule; say `bug`, or change it"
        )
    found: list[Rule] = []
    for written in written_of(decision):
        rule = read(written)
        if isinstance(rule, Rule):
            rule = next(faults(rule, today, ()), rule)
        if isinstance(rule, Rule) and (other := next((one for one in others if clash(rule, one)), None)):
            rule = refuse(
                CONTRADICTION, f"rule `{other.name}` ({other.source}) asks another thing of the same place; change that"
            )
        if isinstance(rule, Refusal):
            return rule
        found.append(msgspec.structs.replace(rule, finding=decision.finding, source=f"run {decision.run}"))
    return found


def over(decision: Decision, today: str) -> bool:
    """Whether its last day has passed."""
    return bool(decision.expires) and decision.expires < today


def chosen(decisions: Iterable[Decision], branch: str) -> dict[str, Decision]:
    """The word that stands of each finding for a branch: its own, else that for all branches."""
    found: dict[str, Decision] = {}
    for one in decisions:
        before = found.get(one.finding)
        if one.decision != OPEN and one.branch in {"", branch} and (before is None or one.branch):
            found[one.finding] = one
    return found


def in_force(decisions: Iterable[Decision], branch: str, others: Sequence[Rule], today: str) -> InForce:
    """What holds in a run of a branch, the newest first as far as there is room, with its rules."""
    held, rules, refused = list[Decision](), list[Rule](), list[Refusal]()
    for one in sorted(chosen(decisions, branch).values(), key=lambda d: -d.at_ns):
        own = rules_of(one, others, today)
        if isinstance(own, list) and len(rules) + len(own) > RULES_MAX:
            own = Refusal(
                INVALID, called(one), f"run {one.run}", f"what was said of this service are more than {RULES_MAX} rules"
            )
        if isinstance(own, Refusal):
            refused.append(own)
            continue
        held.append(one)
        rules += own
    return InForce(held, rules, refused)


def toml_fields(decision: Decision) -> Iterator[Mapping[str, Any]]:
    """Its rules as fields for a file; nothing of a bug."""
    if decision.decision in RULING:
        yield from (one.fields for one in written_of(decision))


__all__ = ["BUG", "InForce", "called", "chosen", "in_force", "over", "rules_of", "toml_fields", "written_of"]
