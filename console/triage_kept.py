"""What was said of findings, in the store: one row for each word, of which the newest stands (table ``triage``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from console.escapes import terminal
from console.output import say
from console.rules_in_force import branch_of, told
from console.triage_rules import InForce, chosen, in_force, over
from differ.ruled import said_json
from echolane.errors import EcholaneError
from echolane.rules import Rule
from echolane.store import QueryError, Row, Store
from echolane.triage import OPEN, Decision, Scope

KEPT_MAX = 10_000
"""Words of one service that are looked at, the newest: people say some a day."""
NEWEST = """
SELECT * FROM triage_v WHERE service = {service:String} ORDER BY version DESC, finding, branch LIMIT {limit:UInt32}"""
BY_KEY = "SELECT * FROM triage FINAL WHERE idempotency = {key:String} ORDER BY version DESC LIMIT 1"
SERVICES = "SELECT DISTINCT service FROM triage_v WHERE decision != 'open' ORDER BY service"


def today() -> str:
    """The day as rules end by it."""
    return datetime.now(UTC).date().isoformat()


def newest(store: Store, service: str) -> list[Decision]:
    """The newest word of each finding of a service and branch, also where it is open again; the newest first."""
    return [decision_of(row) for row in store.query(NEWEST, {"service": service, "limit": KEPT_MAX})]


def standing(store: Store, service: str, branch: str) -> dict[str, Decision]:
    """By finding what stands of it for a branch, also where its day has passed."""
    return chosen(newest(store, service), branch)


def by_key(store: Store, key: str) -> tuple[Decision, str] | None:
    """What was said with an Idempotency-Key, and the fingerprint of that call."""
    rows = store.query(BY_KEY, {"key": key})
    return (decision_of(rows[0]), str(rows[0]["fingerprint"])) if rows else None


def services(store: Store) -> list[str]:
    """Services of which something stands."""
    return [str(row["service"]) for row in store.query(SERVICES)]


def decision_of(row: Row) -> Decision:
    """A row as what it says."""
    same = ("service", "finding", "decision", "owner", "note", "who", "run", "where", "kind", "expires", "branch")
    scope = msgspec.json.decode(str(row["scope"] or "[]"), type=list[Scope])
    return Decision(
        **{name: str(row[name]) for name in same}, by=str(row["said_by"]), at_ns=int(row["version"]), scope=scope
    )


def save(store: Store, decisions: Sequence[Decision], key: str = "", fingerprint: str = "") -> None:
    """Keep words, all or none; they stand when this returns. The first is the one that its key is remembered with."""
    same = ("service", "finding", "decision", "owner", "note", "who", "run", "where", "kind", "expires", "branch")
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in decisions] for name in same}
    columns |= {
        "said_by": [one.by for one in decisions],
        "version": [one.at_ns for one in decisions],
        "scope": [msgspec.json.encode(one.scope).decode() for one in decisions],
        "idempotency": [key, *[""] * (len(decisions) - 1)],
        "fingerprint": [fingerprint, *[""] * (len(decisions) - 1)],
    }
    try:
        store.insert("triage", columns)
    except QueryError as error:
        raise EcholaneError(f"what was said of finding {decisions[0].finding} could not be stored: {error}") from error


def of_run(
    store: Store, service: str, branch: str, rules: Sequence[Rule], environ: Mapping[str, str]
) -> tuple[InForce, str]:
    """What holds in a new run beside its rules, and the branch's name; what is refused is left out, aloud."""
    kept = newest(store, service)
    if not branch and any(one.branch and one.decision != OPEN for one in kept):
        branch = branch_of(environ)
    found = in_force(kept, branch, rules, today())
    for refusal in found.refused:
        say(terminal(f"{told(refusal)}; it is not applied"))
    return found, branch


def holds(said: Mapping[str, Any] | None) -> str:
    """The word that holds of a finding, of what :func:`told_said` tells; empty where there is none, or its day has passed."""
    word = str(said.get("decision") or "") if said and not said.get("expired") else ""
    return "" if word == OPEN else word


def told_said(one: Decision) -> dict[str, Any]:
    """What stands, as pages tell it."""
    return {**said_json(one), "expired": over(one, today())}
