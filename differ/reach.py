"""How far a finding reaches: at how many of the endpoints, in what share of their exchanges, and what share of the traffic they get. Pure.

It decides in which order findings of one severity are told. What a finding does to a consumer whom it meets is its severity
(:func:`differ.verdict.severity`), which reach does not change. Endpoints that have its place and do not show it: :mod:`differ.spread`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from differ.evidence import Observed
from differ.verdict import SEVERITIES

PARTS = ("groups", "noise", "expected", "undecided")


def reach_json(endpoints: Iterable[str], observed: Mapping[str, Observed]) -> dict[str, int]:
    """Of how many endpoints at which the run compared something, and how many recorded exchanges those of a finding get."""
    traffic = sum(observed.get(name, Observed()).recorded for name in endpoints)
    return {"endpoints_compared": len(observed), "traffic": traffic}


def tell_reach(result: dict[str, Any]) -> None:
    """Put the whole traffic into the findings that say their part of it, and all findings into their order."""
    # Exchanges that have a row: what a run has not come to yet says nothing of where it goes.
    selected = result["ledger"]["selected"] - result["ledger"]["unaccounted"]
    for part in PARTS:
        for finding in result[part]:
            if "traffic" in finding:
                finding["traffic_selected"] = selected
        result[part].sort(key=order)


def order(finding: Mapping[str, Any]) -> tuple[int, Fraction, str, str, str, str]:
    """The gravest first, and of one severity what reaches farthest; what is equal by its names, so that there is one order."""
    endpoint, where, kind, one = (str(finding.get(key) or "") for key in ("endpoint", "where", "kind", "id"))
    return rank(finding), -weight(finding), endpoint, where, kind, one


def rank(finding: Mapping[str, Any]) -> int:
    """Its severity as a number, the gravest first."""
    severity = finding.get("severity")
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def weight(finding: Mapping[str, Any]) -> Fraction:
    """Endpoints times the recorded exchanges that show it: twice as many endpoints weigh what twice as much traffic does.

    Of endpoints whose exchanges were not all compared, those that were stand for the others. A result of before reach was told
    has only these.
    """
    endpoints, differing, observed = (_number(finding, key) for key in ("endpoints", "differing", "observed"))
    shown = Fraction(differing)
    if observed and (traffic := _number(finding, "traffic")):
        shown *= Fraction(traffic, observed)
    return max(endpoints, 1) * shown


def _number(finding: Mapping[str, Any], key: str) -> int:
    value = finding.get(key)
    return value if isinstance(value, int) else 0
