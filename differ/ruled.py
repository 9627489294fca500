"""What rules explained in a run: gathered while rows stream by, told as findings that name their rule. Pure, bounded.

:mod:`differ.gathering` hands over every difference that carries a rule. Nothing of it is judged and nothing is lost: a rule's findings, and
its counts in the result's ``rules``, say what was hidden and why.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from differ.evidence import NOISE, Observed
from differ.rules import EXPECTED
from differ.tallies import Spot
from differ.verdict import severity
from echolane.ids import finding_id
from echolane.rules import Rule, version_of
from echolane.runspec import RunSpec

EXPECTED_VERDICT = "expected"
BASIS = "rule"
PLACES_MAX = 20_000
"""Places of explained differences that are told apart in a run; what goes beyond is counted with its rule."""
SAMPLES_MAX = 3
SHOWN = 50
Row = Mapping[str, Any]
Key = tuple[int, str, str]
"""Number of the rule, where, kind."""
Wanted = tuple[str, str, str, str]


@dataclass(slots=True)
class Hidden:
    """Explained differences of one rule, place and kind at one endpoint."""

    facet: int
    count: int = 0
    seen: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The first exchanges that show it: rank and id."""


@dataclass(slots=True)
class Ruled:
    """Everything that rules explained in a run."""

    places: dict[Key, dict[str, Hidden]] = field(default_factory=dict[Key, dict[str, Hidden]])
    """By endpoint."""
    counts: dict[int, int] = field(default_factory=dict[int, int])
    """Differences by number of rule."""
    _room: int = PLACES_MAX

    def add(self, row: Row, index: int) -> None:
        """One difference between base and branch that a rule explains."""
        number: int = row["d_rule"][index]
        self.counts[number] = self.counts.get(number, 0) + 1
        here = self.places.setdefault((number, row["d_where"][index], row["d_kind"][index]), {})
        found = here.get(row["endpoint"])
        if found is None:
            if self._room <= 0:
                return
            self._room -= 1
            found = here[row["endpoint"]] = Hidden(row["d_facet"][index])
        found.count += 1
        found.facet = min(found.facet, row["d_facet"][index])
        seen = (row["seq"], row["exchange"])
        if len(found.seen) < SAMPLES_MAX or seen < found.seen[-1]:
            insort(found.seen, seen)
            del found.seen[SAMPLES_MAX:]

    def wanted(self) -> Iterator[Wanted]:
        """The samples that these findings are shown with."""
        for key, endpoints in self.places.items():
            yield from wanted_of(key, endpoints)


def wanted_of(key: Key, endpoints: Mapping[str, Hidden]) -> list[Wanted]:
    """The samples of one finding: those of the endpoint with the most to show."""
    if not endpoints:
        return []
    endpoint = lead(endpoints)
    return [(exchange, endpoint, key[1], key[2]) for _, exchange in endpoints[endpoint].seen]


def lead(endpoints: Mapping[str, Hidden]) -> str:
    """The endpoint that shows most; of equals the first by name."""
    return min(endpoints, key=lambda name: (-endpoints[name].count, name))


def verdict_of(flags: int) -> str:
    """The verdict on an explained difference: ``expected`` where its rule is bound to a branch, else ``noise``."""
    return EXPECTED_VERDICT if flags & EXPECTED else NOISE


class Gathered(Protocol):
    """What is asked of :class:`differ.gathering.Gathering`, which knows this module."""

    spots: dict[tuple[str, str], Spot]
    ruled: Ruled


def findings(
    spec: RunSpec,
    gathering: Gathered,
    observed: Mapping[str, Observed],
    samples: Mapping[Wanted, dict[str, Any]],
) -> dict[str, list[dict[str, Any]]]:
    """Findings by verdict, ``noise`` and ``expected``, those that hide most first."""
    found: dict[str, list[dict[str, Any]]] = {NOISE: [], EXPECTED_VERDICT: []}
    ranked = sorted(gathering.ruled.places.items(), key=lambda item: (-sum(h.count for h in item[1].values()), item[0]))
    for key, endpoints in ranked:
        rule = spec.rules[key[0] - 1]
        one = _finding(spec.service, rule, key, endpoints, observed)
        a, b = _controls(key, endpoints, gathering.spots)
        one |= {"control_differing": a, "branch_control_differing": b}
        one["samples"] = [samples[wanted] for wanted in wanted_of(key, endpoints) if wanted in samples]
        found[one["verdict"]].append(one)
    return found


def _finding(
    service: str, rule: Rule, key: Key, endpoints: Mapping[str, Hidden], observed: Mapping[str, Observed]
) -> dict[str, Any]:
    _, where, kind = key
    names = sorted(endpoints)
    seen = [observed.get(name, Observed()) for name in names]
    return {
        "id": finding_id(service, where, kind, f"rule:{rule.name}"),
        "endpoint": names[0] if len(names) == 1 else "*",
        "endpoints": len(names),
        "endpoint_names": names[:SHOWN],
        "where": where,
        "kind": kind,
        "verdict": EXPECTED_VERDICT if rule.branch else NOISE,
        "basis": BASIS,
        "rule": rule.name,
        "profile": False,
        "severity": severity(where, kind),
        "differing": sum(hidden.count for hidden in endpoints.values()),
        "observed": sum(o.fired for o in seen),
        "control_observed": sum(o.control for o in seen),
        "branch_control_observed": sum(o.branch_control for o in seen),
        "p_value": None,
        "q_value": None,
        "places": [where],
        "places_count": 1,
        "explanation": f"rule `{rule.name}` of {rule.owner}: {rule.reason}",
        "missing_samples": 0,
        "greedy": 0,
    }


def _controls(key: Key, endpoints: Mapping[str, Hidden], spots: Mapping[tuple[str, str], Spot]) -> tuple[int, int]:
    """In how many exchanges base differs there from its control, and branch from its own."""
    a = b = 0
    for endpoint, hidden in endpoints.items():
        spot = spots.get((endpoint, key[1]))
        if spot is not None:
            tally = spot.tally(hidden.facet)
            a, b = a + tally.a, b + tally.b
    return a, b


def rules_json(spec: RunSpec, ruled: Ruled) -> dict[str, Any]:
    """The rules that a run was made with: their version, and how many differences each explained."""
    return {
        "version": version_of(spec.rules) or None,
        "branch": spec.branch_name or None,
        "hidden": sum(ruled.counts.values()),
        "applied": [
            {
                "name": rule.name,
                "hidden": ruled.counts.get(number, 0),
                "reason": rule.reason,
                "owner": rule.owner,
                "expires": rule.expires or None,
                "source": rule.source,
            }
            for number, rule in enumerate(spec.rules, 1)
        ],
    }


def tell_rules(
    result: dict[str, Any],
    spec: RunSpec,
    gathering: Gathered,
    observed: Mapping[str, Observed],
    samples: Mapping[Wanted, dict[str, Any]],
) -> None:
    """Put what rules explained into a result: findings in ``noise`` and ``expected``, and the account of the rules."""
    for verdict, found in findings(spec, gathering, observed, samples).items():
        result[verdict] += found
    result["rules"] = rules_json(spec, gathering.ruled)
