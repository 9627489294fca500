"""What the store, the journal and the home know, as the API's types. Everything here waits, so handlers call it beside the loop.

Pages go on after a key (a run's start and id), so that a page costs the same however far back it is, and one that is read while runs
are added shows none twice. Exchanges are found by :mod:`console.api.searching`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from msgspec import UNSET, UnsetType

from console.api import paging
from console.api.access import Token
from console.api.context import Site
from console.api.launching import QUEUED, Asked
from console.api.messages import (
    Finding,
    Findings,
    FindingsQuery,
    RunRow,
    Runs,
    RunsQuery,
    RunState,
    ServiceTold,
    State,
    TargetTold,
    Verdict,
)
from console.api.problems import Problem
from console.runs import state_of
from console.words import severity
from differ.result import iso
from echolane import recordings
from echolane.store import Row

PARTS = ("groups", "undecided", "noise", "expected")
"""Lists of findings, in the order in which pages of them go."""
SCANNED_MAX = 2_000
"""Runs looked at for one page: the state of each that goes on is asked of its lease. A page that finds fewer says where to go on."""
BATCH = 200
AT_ONCE = 50
"""Runs whose states are looked at together: as many as a page has, where nobody asks for another length."""
STATES: dict[str, list[str]] = {
    "queued": ["queued", "running", "interrupted", "shared"],
    "running": ["running", "shared", "queued"],
    "paused": ["shared"],
    "interrupted": ["running", "interrupted"],
    "finished": ["finished"],
    "failed": ["failed"],
}
"""Which states in the store may be the one that is asked for: what goes on is told by its lease, and by who has it."""
ROW = "run, service, state, verdict, reason_code, toUnixTimestamp64Nano(started_at) AS started, toUnixTimestamp64Nano(finished_at) AS finished"
ONE = f"SELECT {ROW}, spec != '' AS began, result FROM runs_v WHERE run IN {{runs:Array(String)}}"  # noqa: S608 - constants
SOME = f"SELECT {ROW} FROM runs_v WHERE run IN {{runs:Array(String)}}"  # noqa: S608 - constants
PAGE = f"""
SELECT {ROW} FROM runs_v
WHERE (toUnixTimestamp64Nano(started_at), run) < ({{started:Int64}}, {{after:String}})
  AND ({{every:UInt8}} OR service IN {{services:Array(String)}})
  AND (empty({{states:Array(String)}}) OR state IN {{states:Array(String)}})
  AND ({{verdict:String}} = '' OR verdict = {{verdict:String}})
ORDER BY started_at DESC, run DESC LIMIT {{limit:UInt32}}"""  # noqa: S608 - constants
COUNTS = "SELECT service, count() AS runs FROM runs_v GROUP BY service"
LATEST = f"SELECT {ROW} FROM runs_v ORDER BY started_at DESC, run DESC LIMIT 1 BY service"  # noqa: S608 - constants
DONE = "SELECT count() AS n FROM results_v WHERE run = {run:String}"
FIRST = 9_223_372_036_854_775_807


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the store has it, and whether it goes on."""

    row: Row
    state: State

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.row["run"])

    @property
    def service(self) -> str:
        """Whose it is."""
        return str(self.row["service"])

    @property
    def goes_on(self) -> bool:
        """Whether it may still come to something by itself."""
        return self.state in {"queued", "running", "paused"}

    @property
    def result(self) -> dict[str, Any] | None:
        """What it came to."""
        return orjson.loads(self.row["result"]) if self.row["result"] else None


def run_of(site: Site, token: Token, run: str) -> Run:
    """A run that the token sees; Problem where there is none."""
    rows = site.store.query(ONE, {"runs": [run]})
    if not rows or not token.sees(str(rows[0]["service"])):
        raise Problem("not-found", f"there is no run `{run[:64]}`, or this token is not for its service")
    (found,) = _settled(site, rows[:1], ONE)
    return found


def _settled(site: Site, rows: Sequence[Row], again: str) -> list[Run]:
    """Runs, and their states. Those that seem to have lost their driver may have ended since they were read: they are read again."""
    found = [Run(row, _state(site, row)) for row in rows]
    lost = [one.id for one in found if one.state == "interrupted" and one.row["state"] == "running"]
    if not lost:
        return found
    rows = site.store.query(again, {"runs": lost})
    now = {str(row["run"]): Run(row, _state(site, row)) for row in rows}
    return [now.get(one.id, one) for one in found]


def _state(site: Site, row: Row) -> State:
    run, state = str(row["run"]), str(row["state"])
    if state in {"finished", "failed"}:
        return cast("State", state)
    asked = site.launcher.find(run)
    if asked is not None and asked.state == QUEUED:
        return "queued"
    if state == QUEUED:
        return "running" if asked is not None and asked.state == "running" else "interrupted"
    found = state_of(site.home, run, state)
    if found == "interrupted" and site.launcher.sees_through(run):
        return "running"  # its process has no lease yet, or none any more, and it has not come to its end
    return "paused" if found == "running" and state == "shared" and site.shared.is_paused(run) else cast("State", found)


def told_row(row: Row, state: State) -> RunRow:
    """A run's line in a list."""
    return RunRow(
        run=str(row["run"]),
        service=str(row["service"]),
        state=state,
        verdict=cast("Verdict | None", row["verdict"] or None),
        reason_code=row["reason_code"] or None,
        started_at=iso(int(row["started"])),
        finished_at=iso(int(row["finished"])) if row["finished"] else None,
    )


def runs(site: Site, token: Token, query: RunsQuery) -> Runs:
    """A page of runs that the token sees."""
    started, after = FIRST, ""
    if isinstance(query.cursor, str):
        text, _, after = query.cursor.partition("_")
        started = int(text)
    wanted = query.state if isinstance(query.state, str) else ""
    service = query.service if isinstance(query.service, str) else ""
    if service and not token.sees(service):
        raise Problem("not-found", f"there is no service `{service}`, or this token is not for it")
    params: dict[str, object] = {
        "every": int(token.sees_all and not service),
        "services": [service] if service else token.services,
        "states": STATES.get(wanted, []),
        "verdict": query.verdict if isinstance(query.verdict, str) else "",
        "limit": BATCH,
    }
    found: list[RunRow] = []
    scanned = 0
    while scanned < SCANNED_MAX:
        rows = site.store.query(PAGE, {**params, "started": started, "after": after})
        for now in _each_settled(site, rows):
            scanned, started, after = scanned + 1, int(now.row["started"]), now.id
            if not wanted or now.state == wanted:
                found.append(told_row(now.row, now.state))
            if len(found) == query.limit:
                return Runs(found, f"{started}_{after}")
        if len(rows) < BATCH:
            return Runs(found, None)
    return Runs(found, f"{started}_{after}")


def _each_settled(site: Site, rows: Sequence[Row]) -> Iterator[Run]:
    for start in range(0, len(rows), AT_ONCE):
        yield from _settled(site, rows[start : start + AT_ONCE], SOME)


def state_told(site: Site, run: Run) -> RunState:
    """How far a run is."""
    asked, progress = site.launcher.find(run.id), site.launcher.progress(run.id)
    result = run.result
    if result:  # the ledger counted them when the run was closed; counting them again would read the whole run
        done = int(result["ledger"]["selected"]) - int(result["ledger"]["unaccounted"])
    else:
        done = int(site.store.query(DONE, {"run": run.id})[0]["n"]) if run.row["began"] else 0
    total = int(result["ledger"]["selected"]) if result else progress.total
    row = told_row(run.row, run.state)
    return RunState(
        schema="echolane/run-state/1",
        run=run.id,
        service=run.service,
        state=run.state,
        verdict=None if run.goes_on else row.verdict,
        reason_code=None if run.goes_on else row.reason_code,
        said=_said(site, run, asked),
        started_at=row.started_at,
        finished_at=None if run.goes_on else row.finished_at,
        done=done if result else max(done, progress.done),
        total=total,
    )


def _said(site: Site, run: Run, asked: Asked | None) -> str | None:
    """Of a run that waits, for whom; of one that is over, why it came to nothing."""
    if run.state == "queued":
        wait = site.launcher.wait_of(run.id)
        other = site.launcher.find(wait.run) if wait else None
        # Who sees this run need not see those of another service.
        who = f"run {other.run}" if other and other.service == run.service else "a run of another service"
        return f"waits for {who}: both fire at {wait.place}, and at least one of them writes" if wait else None
    return (asked.said or None) if asked and not run.goes_on else None


def result_of(run: Run) -> dict[str, Any]:
    """The ■ result of a run; Problem where it has none."""
    result = run.result
    if result is None:
        raise Problem("no-result", f"run {run.id} is {run.state} and has no result; its state says why")
    return result


def findings(result: Mapping[str, Any], query: FindingsQuery, holding: Mapping[str, str]) -> Findings:
    """A page of the findings of a result; ``holding``: by finding the word that holds of it. Pure."""
    every = [one for part in PARTS for one in cast("Sequence[dict[str, Any]]", result.get(part, []))]

    def fits(one: dict[str, Any]) -> bool:
        return _fits(one, query, holding.get(str(one["id"])) or "none")

    page, more = paging.in_order(every, lambda one: str(one["id"]), query.cursor, query.limit, fits)
    return Findings(str(result["run"]), sum(map(fits, every)), cast("list[Finding]", page), more)


def _fits(finding: Mapping[str, Any], query: FindingsQuery, word: str) -> bool:
    places = {finding["where"], *finding.get("places", [])}
    endpoints = {finding["endpoint"], *finding.get("endpoint_names", [])}
    return (
        (not isinstance(query.verdict, str) or finding["verdict"] == query.verdict)
        and query.severity in {UNSET, severity(finding)}
        and query.decision in {UNSET, word}
        and (not isinstance(query.kind, str) or finding["kind"] == query.kind)
        and (not isinstance(query.where, str) or query.where in places)
        and (not isinstance(query.endpoint, str) or query.endpoint in endpoints)
    )


def finding_of(result: Mapping[str, Any], id: str) -> dict[str, Any]:  # noqa: A002
    """One finding; Problem where there is none."""
    for part in PARTS:
        for one in result.get(part, []):
            if one["id"] == id:
                return one
    raise Problem("not-found", f"there is no finding `{id[:64]}` in run {result['run']}")


def finding_asked(run: Run, id: str | UnsetType) -> dict[str, Any] | None:  # noqa: A002
    """The finding that is asked for, None where none is; Problem where it is not there."""
    return finding_of(result_of(run), id) if isinstance(id, str) else None


def services(site: Site, token: Token) -> list[ServiceTold]:
    """Every service that the token sees: recorded, run, or with targets."""
    recorded = recorded_services(site)
    counts = {str(row["service"]): int(row["runs"]) for row in site.store.query(COUNTS)}
    latest = {str(row["service"]): row for row in site.store.query(LATEST)}
    names = sorted(recorded | set(counts) | site.targets.services())
    return [
        ServiceTold(
            service=name,
            recorded=name in recorded,
            runs=counts.get(name, 0),
            latest=told_row(latest[name], _state(site, latest[name])) if name in latest else None,
            targets=[
                TargetTold(t.name, t.url, t.lane or None, t.control or None, t.writes) for t in site.targets.of(name)
            ],
        )
        for name in names
        if token.sees(name)
    ]


def recorded_services(site: Site) -> set[str]:
    """Services that something was recorded of."""
    prefix = recordings.topic_of("")
    return {name.removeprefix(prefix) for name in site.journal.topics() if name.startswith(prefix)}
