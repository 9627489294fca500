"""The rules that hold for a service now: those of files, and those of what was said of findings (see :mod:`console.api.calls_state`)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from console import triage_kept
from console.api import paging
from console.api.context import Site
from console.api.messages_rules import RuleRefused, RulesHeld, RulesQuery, RuleTold
from console.api.problems import Problem
from console.rules_in_force import rules_now
from console.triage_rules import InForce, in_force as said_in_force
from differ.rules_refusing import in_force
from echolane.errors import UsageError
from echolane.rules import Rule
from echolane.triage import OPEN, Decision


def rules(site: Site, service: str, query: RulesQuery) -> RulesHeld:
    """A page of them, those of files first; Problem where the files cannot be read."""
    try:
        files, _ = rules_now()
    except UsageError as error:
        raise Problem("conflict", f"the rules of files cannot be read: {error}") from error
    kept, today = triage_kept.newest(site.store, service), triage_kept.today()
    if isinstance(query.branch, str):
        files = in_force(files, service, query.branch)
        said = said_in_force(kept, query.branch, files, today)
    else:
        files = [rule for rule in files if rule.service in {"", service}]
        said = of_every_branch(kept, service, files, today)
    return told(files, said, service, query)


def of_every_branch(kept: Sequence[Decision], service: str, files: Sequence[Rule], today: str) -> InForce:
    """What was said and holds on some branch, against the rules of files that hold there. Pure."""
    found = InForce([], [], [])
    for branch in sorted({one.branch for one in kept if one.decision != OPEN}):
        own = [one for one in kept if one.branch == branch]
        some = said_in_force(own, branch, in_force(files, service, branch), today)
        found.decisions.extend(some.decisions)
        found.rules.extend(some.rules)
        found.refused.extend(some.refused)
    return found


def told(files: Sequence[Rule], said: InForce, service: str, query: RulesQuery) -> RulesHeld:
    """A page of them. Pure."""
    words = {(one.finding, one.branch): one.decision for one in said.decisions}
    page, more = paging.in_order([*files, *said.rules], _name, query.cursor, query.limit)
    refused = [RuleRefused(one.rule, one.code, one.source, one.text) for one in said.refused]
    return RulesHeld(service, [_told(rule, words.get((rule.finding, rule.branch))) for rule in page], refused, more)


def _name(rule: Rule) -> str:
    """What tells a rule from the others of its service."""
    return blake2b(f"{rule.name}\0{rule.branch}\0{rule.source}".encode(), digest_size=8).hexdigest()


def _told(rule: Rule, word: str | None) -> RuleTold:
    return RuleTold(
        rule=rule.name,
        where=rule.where,
        kinds=rule.kinds,
        methods=rule.methods,
        endpoints=[*([rule.endpoint] if rule.endpoint else []), *rule.endpoints],
        status=rule.status,
        matcher=rule.matcher,
        every_service=not rule.service,
        branch=rule.branch or None,
        reason=rule.reason,
        owner=rule.owner,
        expires=rule.expires or None,
        source=rule.source,
        finding=rule.finding or None,
        decision=word,
    )
