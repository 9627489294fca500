"""Profiles in the store: what a run learned of base goes in at its close, what earlier runs learned of the same version comes out.

Rows are of the table ``noise``, one per run and place, so that a run which is closed again replaces what it said. Which version a run was
fired at is :func:`version_of_base`; what the numbers mean is :mod:`differ.profiles`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from differ.judging import Judgement
from differ.profiles import FACETS, Learning, Profile
from differ.result import iso
from echolane.errors import EcholaneError, UsageError
from echolane.observation import BASE, CONTROL
from echolane.retention import DAY_NS
from echolane.runspec import RunSpec
from echolane.store import QueryError, Store

RUNS_MAX = 50
"""The latest runs whose evidence is taken: more would say what these say, and a place that is noisy now would take longer to show it."""
ROWS_MAX = 20_000
"""Rows that one run writes; endpoints that find no room are left out whole."""
UNNAMED = "?"
"""How the key of a version begins that has no name."""
UNTAUGHT = frozenset({"fidelity", "ledger"})
"""Runs that are no replay of what was recorded teach nothing: a base that answers 401 to all is quiet."""
RUNS = """
SELECT service, target, run, observed, first_seen, last_seen FROM noise_runs_v
WHERE endpoint = '' AND observed > 0 AND service IN {services:Array(String)} ORDER BY last_seen DESC, run"""
SERVICES = "SELECT DISTINCT service FROM noise_runs_v WHERE endpoint = '' AND observed > 0 ORDER BY service"
ROWS = """
SELECT n.endpoint AS endpoint, n.`where` AS `where`, n.facet AS facet, n.own AS own, sum(n.observed) AS seen, sum(n.differing) AS differed,
  arraySort(groupUniqArrayArray(n.kinds)) AS kinds_seen, max(n.klass) AS klass_seen, min(n.first_seen) AS first_ns, max(n.last_seen) AS last_ns
FROM noise_runs_v AS n
WHERE n.service = {service:String} AND n.target = {target:String} AND n.endpoint != '' AND n.run IN {runs:Array(String)}
GROUP BY endpoint, `where`, facet, own ORDER BY endpoint, `where`, facet, own"""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How often base's control answered at an endpoint, and when first and last."""

    endpoint: str
    control: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The profile that a run may use; where there is none, why the kept ones are not used (empty: none is kept)."""

    profile: Profile | None = None
    unused: str = ""


def version_of_base(spec: RunSpec) -> str:
    """The key of the version that base is: its name, else how it is reached or started, which may be another version tomorrow."""
    if spec.base_version:
        return spec.base_version
    return f"{UNNAMED} {spec.folder}$ {spec.base_cmd}" if spec.base_cmd else f"{UNNAMED} {spec.targets[BASE].url}"


def is_named(version: str) -> bool:
    """Whether a key is a name, and not how base is reached."""
    return not version.startswith(UNNAMED)


def said(version: str) -> str:
    """A version for a person."""
    return version if is_named(version) else f"no name ({version[len(UNNAMED) :].strip()})"


def profile_of(store: Store, spec: RunSpec) -> Kept:
    """What other runs have learned of base's version, not older than the settings say when this run began."""
    if not spec.differ.profile_days:
        return Kept()
    version, before = version_of_base(spec), spec.started_at_ns
    rows = [
        r for r in store.query(RUNS, {"services": [spec.service]}) if r["run"] != spec.run and r["last_seen"] <= before
    ]
    ours = [row for row in rows if row["target"] == version]
    after = before - int(spec.differ.profile_days * DAY_NS)
    used = [row for row in ours if row["last_seen"] >= after][:RUNS_MAX]
    if used:
        return Kept(read(store, spec.service, version, used))
    if ours:
        age = days(before - ours[0]["last_seen"])
        return Kept(
            unused=f"that of base {said(version)} is {age} old, and `differ.profile_days` is {spec.differ.profile_days:g}"
        )
    if rows:
        return Kept(unused=f"base is of version {said(version)}, and the newest is of {said(rows[0]['target'])}")
    return Kept()


def newest(store: Store, service: str = "", version: str = "") -> tuple[str, Profile]:
    """The service and the profile that was learned last, of a version where one is named, from all runs that are kept of it."""
    services = [str(row["service"]) for row in store.query(SERVICES)]
    if service and service not in services:
        raise UsageError(f"no profile of service `{service}` is kept; a run whose control answers makes one")
    if not services:
        raise UsageError("no profile is kept; a run whose control answers makes one")
    if not service and len(services) > 1:
        raise UsageError(
            f"profiles of {len(services)} services are kept; say which with --service: {', '.join(services)[:500]}"
        )
    chosen = service or services[0]
    rows = store.query(RUNS, {"services": [chosen]})
    wanted = version or rows[0]["target"]
    if not (runs := [row for row in rows if row["target"] == wanted][:RUNS_MAX]):
        known = ", ".join(dict.fromkeys(said(row["target"]) for row in rows))
        raise UsageError(f"no profile of version {version} of `{chosen}` is kept; known are {known[:500]}")
    return chosen, read(store, chosen, wanted, runs)


def read(store: Store, service: str, version: str, runs: Sequence[Row]) -> Profile:
    """The profile of a version from these runs."""
    profile = Profile(version, is_named(version), len(runs))
    profile.first_ns, profile.last_ns = min(r["first_seen"] for r in runs), max(r["last_seen"] for r in runs)
    asked = {"service": service, "target": version, "runs": [row["run"] for row in runs]}
    for page in store.stream(ROWS, asked, rows=5000):
        for row in page:
            profile.note(row)
    return profile


def save_profile(store: Store, spec: RunSpec, learning: Learning, ended: Sequence[Ended], reason_code: str) -> None:
    """What this run learned, in place of what an earlier closing of it said."""
    endpoints = [] if reason_code in UNTAUGHT else taught(learning, ended)
    now, own = time.time_ns(), int(spec.targets[CONTROL].own_instance)
    rows = list(rows_of(learning, endpoints))
    first = min((one.first_ns for one in endpoints), default=spec.started_at_ns)
    last = max((one.last_ns for one in endpoints), default=spec.started_at_ns)
    rows.append(("", "", 0, sum(one.control for one in endpoints), 0, "", [], first, last))
    names = ("endpoint", "where", "facet", "observed", "differing", "klass", "kinds", "first_seen", "last_seen")
    constant = {
        "service": spec.service,
        "target": version_of_base(spec),
        "run": spec.run,
        "own": own,
        "updated_at": now,
    }
    columns = {name: [value] * len(rows) for name, value in constant.items()}
    try:
        store.insert("noise", columns | dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    except QueryError as error:
        raise EcholaneError(f"the profile of run {spec.run} could not be stored: {error}") from error


def taught(learning: Learning, ended: Sequence[Ended]) -> list[Ended]:
    """The endpoints that a run may speak of: those it has observed whole, as many as there is room for."""
    sizes: dict[str, int] = {}
    for endpoint, _ in learning.places:
        sizes[endpoint] = sizes.get(endpoint, 0) + FACETS
    found, room = list[Ended](), ROWS_MAX
    for one in sorted(ended, key=lambda e: e.endpoint):
        control = one.control - learning.given_up.get(one.endpoint, 0)
        size = 1 + sizes.get(one.endpoint, 0)
        if control > 0 and one.endpoint not in learning.left_out and size <= room:
            room -= size
            found.append(Ended(one.endpoint, control, one.first_ns, one.last_ns))
    return found


def rows_of(learning: Learning, endpoints: Sequence[Ended]) -> Iterator[tuple[Any, ...]]:
    """The endpoints' rows, and those of the places at which base differed from itself."""
    control = {one.endpoint: one.control for one in endpoints}
    for one in endpoints:
        yield (one.endpoint, "", 0, one.control, 0, "", [], one.first_ns, one.last_ns)
    for (endpoint, where), seen in learning.places.items():
        for facet in range(FACETS):
            if endpoint in control and (seen.counts[facet] or seen.kinds[facet]):
                told = seen.counts[facet], seen.klass, sorted(seen.kinds[facet]), seen.first_ns, seen.last_ns
                yield (endpoint, where, facet, control[endpoint], *told)


def profile_json(kept: Kept, spec: RunSpec, judgement: Judgement) -> dict[str, Any] | None:
    """The result's ``profile``: what was used of it; None where none is kept."""
    profile = kept.profile
    if profile is None and not kept.unused:
        return None
    found = profile or Profile(version_of_base(spec), is_named(version_of_base(spec)))
    return {
        "version": found.version if found.named else None,
        "runs": found.runs,
        "exchanges": found.exchanges,
        "endpoints": len(found.endpoints),
        "places": len(found.places),
        "first_seen": iso(found.first_ns) if found.runs else None,
        "last_seen": iso(found.last_ns) if found.runs else None,
        "age_days": round((spec.started_at_ns - found.last_ns) / DAY_NS, 2) if found.runs else None,
        "stood_in": judgement.stood_in,
        "weighed": sum(w.by_profile and p.count > 0 for p, w in zip(judgement.places, judgement.weighed, strict=True)),
        "unused": kept.unused or None,
    }


def days(ns: int) -> str:
    """``1 day``, ``20 days``."""
    count = ns // DAY_NS
    return f"{count} day{'' if count == 1 else 's'}"
