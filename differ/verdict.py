"""The verdict of a run: from findings, fidelity and the ledger to one word, a reason code and a sentence (design §5.2, §5.8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from differ.difference import BROKEN
from echolane.ledger import run_identities

FIDELITY_MIN = 0.9
UNAUTHORISED_MAX = 0.02
"""Share of exchanges at which base answers 401 or 403 where the recording did not, above which the replay is not faithful."""
UNCOMPARABLE_MAX = 0.1
"""Share of the compared exchanges that may be uncomparable in a run that passes: as many as base may answer unlike the recording."""
GRAVE = frozenset({"status", "failure", "missing", "type"})
"""Kinds that may not stay undecided in a run that passes."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verdict of a run depends on."""

    state: str
    """finished, interrupted, stopped, unavailable or refused."""
    reason: str
    ledger: Mapping[str, Any]
    regressions: Sequence[Mapping[str, Any]]
    undecided: Sequence[Mapping[str, Any]]
    fidelity: float | None
    unauthorised: float
    uncontrolled: int
    """Endpoints with differences at which a control never answered."""
    unfaithful: str = ""
    """The endpoint at which base answers unlike the recording most often."""
    endpoints: int = 0
    """Endpoints with regressions."""
    lost: str = ""
    """What of the recording could not be read, and what to do; empty where all was."""


def decide(facts: Facts) -> tuple[str, str, str]:
    """(verdict, reason_code, reason)."""
    early = {
        "interrupted": (
            "interrupted",
            f"{facts.reason or 'the run was interrupted'}; `echolane run --resume` goes on with it",
        ),
        "unavailable": ("target-unavailable", facts.reason or "a target stopped answering"),
        "refused": ("refused", facts.reason),
    }
    if facts.state in early:
        return ("inconclusive", *early[facts.state])
    if facts.ledger.get("compared", 0) == 0:
        return "inconclusive", "nothing-compared", nothing(facts.ledger)
    if broken := run_identities(facts.ledger):
        return "inconclusive", "ledger", f"the account does not balance: {broken[0]}"
    if unfaithful := _unfaithful(facts):
        return "inconclusive", "fidelity", unfaithful
    if facts.regressions:
        return (
            "fail",
            "regressions",
            f"{count(len(facts.regressions), 'regression')} in {count(facts.endpoints, 'endpoint')}",
        )
    if facts.state == "stopped":
        return "inconclusive", "interrupted", f"{facts.reason}; `echolane run --resume` goes on with the rest"
    if facts.uncontrolled:
        return (
            "inconclusive",
            "controls-missing",
            f"no control answered at {count(facts.uncontrolled, 'endpoint')} with differences",
        )
    if unsure := _unsure(facts):
        return "inconclusive", "undecided", unsure
    if facts.lost:
        return "inconclusive", "ledger", facts.lost
    unread = uncomparable(facts.ledger)
    but = f", of which {unread} could not be compared" if unread else ""
    return "pass", "passed", f"no regression in {count(facts.ledger['compared'], 'compared exchange')}{but}"


def _unsure(facts: Facts) -> str:
    """What the run looked at and cannot say; empty where nothing of it keeps the run from passing."""
    if unread := _unread(facts.ledger):
        return unread
    if grave := [finding for finding in facts.undecided if finding["kind"] in GRAVE]:
        return f"{count(len(grave), 'difference')} of a grave kind could not be decided"
    if skipped := facts.ledger["skipped"].get("decided"):
        why = "what was sure while the run went on is no regression by all of its evidence"
        return f"{why}, and {count(skipped, 'exchange')} were not fired; run without --stop-early"
    return ""


def _unread(ledger: Mapping[str, Any]) -> str:
    """Why too much is uncomparable for a run to pass; empty where it is not. What was not looked at is no evidence of sameness."""
    number, compared = uncomparable(ledger), ledger["compared"]
    if number <= UNCOMPARABLE_MAX * compared:
        return ""
    reasons = ", ".join(f"{one} {reason}" for reason, one in ledger["uncomparable"].items())
    return f"{number} of {count(compared, 'exchange')} could not be compared ({reasons})"


def uncomparable(ledger: Mapping[str, Any]) -> int:
    """Exchanges of which nothing can be said: answers that are too large, too deep, or that broke their reader."""
    reasons: Mapping[str, int] = ledger.get("uncomparable") or {}
    return sum(reasons.values())


def _unfaithful(facts: Facts) -> str:
    """Why base did not do what was recorded; empty where it did."""
    if facts.unauthorised > UNAUTHORISED_MAX:
        share = f"{facts.unauthorised:.0%}"
        recorded = " that were answered otherwise when recorded" if facts.fidelity is not None else ""
        why = f"base answered 401 or 403 to {share} of the requests{recorded}"
        how = "give the targets credentials they accept (targets.NAME.credentials in echolane.toml), or record again with seals"
        return f"{why}; {how}"
    if facts.fidelity is not None and facts.fidelity < FIDELITY_MIN:
        why = f"only {facts.fidelity:.1%} of base's answers have the recorded status class"
        worst = f" (the fewest at {facts.unfaithful})" if facts.unfaithful else ""
        return f"{why}{worst}; start base in the state in which it was recorded"
    return ""


def nothing(ledger: Mapping[str, Any]) -> str:
    """Why nothing was compared, and what to do."""
    skipped: Mapping[str, int] = ledger.get("skipped") or {}
    if ledger.get("selected") and sum(skipped.values()) == ledger["selected"]:
        reasons = ", ".join(f"{number} {reason}" for reason, number in skipped.items())
        hint = "; include them with --methods all" if "unsafe-method" in skipped else ""
        return f"every exchange was skipped ({reasons}){hint}"
    return "no exchange was compared"


def count(number: int, noun: str) -> str:
    """``1 endpoint``, ``2 endpoints``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


SEVERITIES = ("breaking", "visible", "cosmetic")
"""From what breaks a consumer to what nobody sees."""
BREAKING = frozenset({"status", "failure", "missing", "type", "truncated"})
COSMETIC_HEADERS = frozenset({"server", "x-powered-by", "date", "via", "content-length", "vary", "x-runtime"})


def severity(where: str, kind: str, signatures: Iterable[str] = ()) -> str:
    """``breaking`` for a consumer, ``visible``, or ``cosmetic``; an id that points elsewhere breaks one wherever it stands."""
    if any(f":{BROKEN}" in signature for signature in signatures):
        return "breaking"
    if where.startswith(("header:", "trailer:")):
        name = where.partition(":")[2]
        if name in COSMETIC_HEADERS:
            return "cosmetic"
        return (
            "breaking" if kind == "missing" and name in {"location", "content-type", "www-authenticate"} else "visible"
        )
    if kind in BREAKING or (where == "body" and kind == "format"):
        return "breaking"
    return "cosmetic" if kind == "order" else "visible"
