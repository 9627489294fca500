"""What would decide an undecided finding, in the words of every face of a result. Pure."""

from __future__ import annotations

from console.words import Finding, count, explanation, missing, text
from differ.unpaired import MISSING_MAX


def deciding(finding: Finding) -> str:
    """How many more samples of which endpoint would decide it; where no number would, why it is undecided."""
    number = missing(finding)
    # Without a q-value nothing was tested: no control answered, or a control is no instance of its own.
    if not number or finding.get("q_value") is None:
        return explanation(finding)
    endpoints = int(finding.get("endpoints") or 1)
    where = text(finding, "endpoint") if endpoints == 1 else f"one of its {count(endpoints, 'endpoint')}"
    samples = count(number, "more sample") if number < MISSING_MAX else f"{number} or more samples"
    return f"{samples} of {where} like these would decide it"
