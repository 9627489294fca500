"""Two runs beside each other, over the API and as a page; and which run comes before one."""

from __future__ import annotations

from typing import Any, cast

from console import words
from console.api import reading
from console.api.context import Call, Site
from console.api.messages import Weighed
from console.api.messages_compare import Compared, CompareQuery, FindingPair, FindingSide, RunSide
from console.api.problems import Problem
from console.two_runs import Pair, compare, counts

BEFORE = """
SELECT run FROM runs_v
WHERE service = {service:String} AND result != '' AND (toUnixTimestamp64Nano(started_at), run) < ({started:Int64}, {run:String})
ORDER BY started_at DESC, run DESC LIMIT 1"""


async def compare_runs(call: Call) -> Compared:
    """What another run found otherwise."""
    before, after = await results_of(call)
    return await call.site.read(_told, before, after, cast("CompareQuery", call.query))


async def results_of(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """The results of the two runs that a path names; Problem where the caller does not see one, or they are of two services."""
    before, after = [await _result(call, name) for name in ("run", "other")]
    if before["service"] != after["service"]:
        raise Problem("conflict", "the runs are of two services, so no finding of one can be in the other")
    return before, after


async def _result(call: Call, name: str) -> dict[str, Any]:
    run = await call.site.read(reading.run_of, call.site, call.token, call.path(name))
    return reading.result_of(run)


def run_before(site: Site, run: reading.Run) -> str:
    """The run before this one of its service that has a result; empty where there is none. Waits for the store."""
    params = {"service": run.service, "started": int(run.row["started"]), "run": run.id}
    rows = site.store.query(BEFORE, params)
    return str(rows[0]["run"]) if rows else ""


def _told(before: dict[str, Any], after: dict[str, Any], query: CompareQuery) -> Compared:
    pairs = compare(before, after)
    fit = [pair for pair in pairs if not isinstance(query.change, str) or pair.change == query.change]
    page = fit[query.cursor : query.cursor + query.limit]
    more = query.cursor + len(page) < len(fit)
    return Compared(
        service=words.text(after, "service"),
        before=_side(before),
        after=_side(after),
        counts={str(change): number for change, number in counts(pairs).items()},
        total=len(fit),
        findings=[_pair(pair) for pair in page],
        next=query.cursor + len(page) if more else None,
    )


def _side(result: dict[str, Any]) -> RunSide:
    return RunSide(
        run=result["run"],
        verdict=result["verdict"],
        reason_code=result["reason_code"],
        reason=result["reason"],
        fidelity=result["fidelity"],
        ledger=result["ledger"],
        started_at=result["started_at"],
        finished_at=result["finished_at"],
    )


def _pair(pair: Pair) -> FindingPair:
    endpoint, where, kind = (words.text(pair.shown, name) for name in ("endpoint", "where", "kind"))
    return FindingPair(pair.id, pair.change, endpoint, where, kind, _finding(pair.before), _finding(pair.after))


def _finding(finding: words.Finding | None) -> FindingSide | None:
    if finding is None:
        return None
    endpoints, differing, observed = (int(finding.get(name) or 0) for name in ("endpoints", "differing", "observed"))
    verdict = cast("Weighed", words.text(finding, "verdict"))
    return FindingSide(verdict, words.severity(finding), endpoints, differing, observed)
