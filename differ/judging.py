"""From gathered places to judged findings: test, control the false discoveries, decide, fold. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed, Place, Weighed, benjamini_hochberg, weigh
from differ.folding import Finding, Judged, fold
from differ.gathering import Gathering

NOBODY = Observed()


@dataclass(slots=True)
class Judgement:
    """All places of a run with their verdicts, and the findings they fold into."""

    weighed: dict[tuple[str, str, str, int, str], Weighed] = field(
        default_factory=dict[tuple[str, str, str, int, str], Weighed]
    )
    regressions: list[Finding] = field(default_factory=list[Finding])
    noise: list[Finding] = field(default_factory=list[Finding])
    undecided: list[Finding] = field(default_factory=list[Finding])
    uncontrolled: int = 0


def judge(service: str, gathering: Gathering, observed: Mapping[str, Observed]) -> Judgement:
    """Judge every place of a run."""
    keys = list(gathering.places)
    places = [gathering.places[key] for key in keys]
    tested = [
        i for i, place in enumerate(places) if weigh(place, observed.get(place.endpoint, NOBODY), 1.0).basis == "tested"
    ]
    q_values = [1.0] * len(places)
    # Only what is decided by a test belongs to the family whose false discoveries are controlled.
    for index, q_value in zip(tested, benjamini_hochberg([places[i].tally.p_value for i in tested]), strict=True):
        q_values[index] = q_value
    result = Judgement()
    by_verdict: dict[str, list[Judged]] = {REGRESSION: [], NOISE: [], UNDECIDED: []}
    for key, place, q_value in zip(keys, places, q_values, strict=True):
        found = weigh(place, observed.get(place.endpoint, NOBODY), q_value)
        result.weighed[key] = found
        by_verdict[found.verdict].append((place, found, q_value))
    result.regressions = fold(service, by_verdict[REGRESSION])
    result.noise = fold(service, by_verdict[NOISE])
    result.undecided = fold(service, by_verdict[UNDECIDED])
    result.uncontrolled = len({p.endpoint for p in places if not controlled(p, observed)})
    return result


def controlled(place: Place, observed: Mapping[str, Observed]) -> bool:
    """Whether both controls answered at a place's endpoint."""
    seen = observed.get(place.endpoint, NOBODY)
    return seen.control > 0 and seen.branch_control > 0


def exchange_verdict(verdicts: list[str]) -> str:
    """One word for an exchange from those of its differences (design §5.8)."""
    if REGRESSION in verdicts:
        return "different"
    if UNDECIDED in verdicts:
        return UNDECIDED
    return "noise" if verdicts else "same"
