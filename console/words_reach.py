"""How far a finding reaches, in the words of every face of a result (:mod:`differ.reach`). Pure."""

from __future__ import annotations

from console.words import Finding, count, endpoint, percent

LEAST = 0.001
"""Shares below it are told as such: a figure that reads 0 % would be wrong of what was seen."""


def where_told(finding: Finding) -> tuple[str, str]:
    """Its endpoint, or ``12 of 40 endpoints``, and what follows it: how much of the traffic they get, empty where that says nothing."""
    compared, own = _number(finding, "endpoints_compared"), _number(finding, "endpoints")
    share = _share(finding)
    if not share:
        return endpoint(finding), ""
    if own > 1:
        return f"{own:,} of {count(compared, 'endpoint')}", f", which get {share} of the traffic"
    return endpoint(finding), f" · {share} of the traffic"


def reach(finding: Finding) -> str:
    """``in 12 of 40 endpoints, which get 63 % of the traffic``; empty where it is not known, or the run has one endpoint."""
    compared, own = _number(finding, "endpoints_compared"), _number(finding, "endpoints")
    share = _share(finding)
    get = "gets" if own == 1 else "get"
    return f"in {own:,} of {count(compared, 'endpoint')}, which {get} {share} of the traffic" if share else ""


def _share(finding: Finding) -> str:
    traffic, selected = _number(finding, "traffic"), _number(finding, "traffic_selected")
    if not 0 < traffic <= selected or (_number(finding, "endpoints_compared") <= 1 and traffic == selected):
        return ""
    share = traffic / selected
    return percent(share) if share >= LEAST else f"under {percent(LEAST)}"


def _number(finding: Finding, key: str) -> int:
    value = finding.get(key)
    return value if isinstance(value, int) else 0
