"""What rules explained in a run: gathered while rows stream by, told as findings that name their rule. Pure, bounded.

:mod:`differ.gathering` hands over every difference that carries a rule. Nothing of it is judged and nothing is lost: a rule's findings, and
its counts in the result's ``rules``, say what was hidden and why.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from differ.evidence import NOISE, Observed
from differ.reach import reach_json
from differ.rules import EXPECTED
from differ.tallies import Spot
from differ.verdict import SEVERITIES, severity
from echolane.ids import finding_id
from echolane.rules import Rule, version_of
from echolane.runspec import RunSpec
from echolane.triage import BUG, Decision

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
    """Findings by verdict, ``noise`` and ``expected``, those that hide most first; what was said of one finding is one."""
    found: dict[str, list[dict[str, Any]]] = {NOISE: [], EXPECTED_VERDICT: []}
    said = {one.finding: one for one in spec.triage}
    whole: dict[tuple[object, ...], list[Key]] = {}
    for key in gathering.ruled.places:
        rule = spec.rules[key[0] - 1]
        whole.setdefault((rule.finding,) if rule.finding in said else key, []).append(key)
    for keys in whole.values():
        rule = spec.rules[keys[0][0] - 1]
        one = _finding(spec.service, rule, {key: gathering.ruled.places[key] for key in keys}, observed)
        counts = [_controls(key, gathering.ruled.places[key], gathering.spots) for key in keys]
        one |= {"control_differing": max(a for a, _ in counts), "branch_control_differing": max(b for _, b in counts)}
        if rule.finding in said:
            tell_of(one, said[rule.finding])
        first = min(
            keys, key=lambda key: (key[1:] != (one["where"], one["kind"]), -_shown(gathering.ruled.places[key]))
        )
        wanted = wanted_of(first, gathering.ruled.places[first])
        one["samples"] = [samples[name] for name in wanted if name in samples]
        found[one["verdict"]].append(one)
    for rows in found.values():
        rows.sort(key=lambda one: (-one["differing"], one["rule"], one["where"], one["kind"]))
    return found


def _shown(endpoints: Mapping[str, Hidden]) -> int:
    return sum(hidden.count for hidden in endpoints.values())


def _finding(
    service: str, rule: Rule, keys: Mapping[Key, Mapping[str, Hidden]], observed: Mapping[str, Observed]
) -> dict[str, Any]:
    _, where, kind = next(iter(keys))
    most: dict[str, int] = {}
    for endpoints in keys.values():
        for name, hidden in endpoints.items():
            most[name] = max(most.get(name, 0), hidden.count)
    names, places = sorted(most), sorted({place for _, place, _ in keys})
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
        "triage": None,
        "profile": False,
        "severity": min((severity(place, sort) for _, place, sort in keys), key=SEVERITIES.index),
        "differing": sum(most.values()),
        "observed": sum(o.fired for o in seen),
        **reach_json(names, observed),
        "control_observed": sum(o.control for o in seen),
        "branch_control_observed": sum(o.branch_control for o in seen),
        "p_value": None,
        "q_value": None,
        "places": places[:SHOWN],
        "places_count": len(places),
        "explanation": f"rule `{rule.name}` of {rule.owner}: {rule.reason}",
        "missing_samples": 0,
        "greedy": 0,
    }


def tell_of(finding: dict[str, Any], said: Decision) -> None:
    """Put what was said of a finding into what explains it: it is that finding, by its own id, place and kind."""
    finding |= {
        "id": said.finding,
        "where": said.where,
        "kind": said.kind,
        "triage": said_json(said),
        "explanation": told_in_words(said),
    }


def told_in_words(said: Decision) -> str:
    """``known bug (owner team-shop, said by ann): see SHOP-17``."""
    word = "known bug" if said.decision == BUG else said.decision
    branch = f" on {said.branch}" if said.branch else ""
    return f"{word}{branch} (owner {said.owner}, said by {said.who}): {said.note}"


def said_json(said: Decision) -> dict[str, Any]:
    """What was said, as a finding tells it."""
    return {
        **{name: getattr(said, name) for name in ("decision", "owner", "note", "by", "who", "run")},
        "at": datetime.fromtimestamp(said.at_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "branch": said.branch or None,
        "expires": said.expires or None,
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
                "triage": rule.finding or None,
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
    """Put what rules explained into a result: findings in ``noise`` and ``expected``, the account of the rules, and which bugs are known."""
    for verdict, found in findings(spec, gathering, observed, samples).items():
        result[verdict] += found
    known = {one.finding: one for one in spec.triage if one.decision == BUG}
    for part in ("groups", "undecided", "noise"):
        for finding in result[part]:
            if finding["id"] in known and finding["triage"] is None:
                bug = known[finding["id"]]
                why = "; ".join(filter(None, (told_in_words(bug), finding["explanation"])))
                finding |= {"triage": said_json(bug), "explanation": why}
    result["rules"] = rules_json(spec, gathering.ruled)
