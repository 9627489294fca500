"""Close a run: evidence as a query over the folded rows, findings, verdict, ledger.

Nothing here trusts a counter of a process that may have died: every number is counted from the results' rows, of which each
exchange has one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import orjson

from differ.counting import Counting
from differ.evidence import Observed
from differ.gathering import Row, gather
from differ.judging import Judgement, judge
from differ.result import SHOWN, line, places_json, result_json
from echolane.errors import EcholaneError
from echolane.observation import TARGETS
from echolane.runspec import RunSpec
from echolane.store import Store

DIFFERING = """
SELECT exchange, seq, endpoint, verdict, reason, method, target, d_pair, d_where, d_kind, d_facet, d_klass, d_flags,
  d_old, d_new, d_values, d_signature
FROM results_v WHERE run = {run:String} AND notEmpty(d_pair) ORDER BY seq, exchange"""
PER_ENDPOINT = """
SELECT endpoint, count() AS fired,
  countIf(startsWith(outcomes[2], 'answered') OR startsWith(outcomes[2], 'failed')) AS control,
  countIf(startsWith(outcomes[4], 'answered') OR startsWith(outcomes[4], 'failed')) AS branch_control
FROM results_v WHERE run = {run:String} AND notEmpty(outcomes) GROUP BY endpoint"""
ACCOUNT = "SELECT verdict, reason, count() AS n FROM results_v WHERE run = {run:String} GROUP BY verdict, reason"
OUTCOMES = """
SELECT arrayJoin(arrayZip(arrayEnumerate(outcomes), outcomes)) AS o, count() AS n
FROM results_v WHERE run = {run:String} GROUP BY o"""
FIDELITY = """
SELECT countIf(recorded_status > 0 AND statuses[1] > 0) AS both,
  countIf(recorded_status > 0 AND statuses[1] > 0 AND intDiv(recorded_status, 100) = intDiv(statuses[1], 100)) AS alike,
  countIf(statuses[1] IN (401, 403) AND recorded_status NOT IN (0, 401, 403)) AS unauthorised
FROM results_v WHERE run = {run:String} AND notEmpty(statuses)"""


def close_run(
    store: Store, spec: RunSpec, *, state: str, reason: str, selected: int, fired_per_s: float
) -> dict[str, Any]:
    """Weigh what was compared and say it: the ■ result. Writes the findings' rows; the run's own row is the conductor's."""
    run = {"run": spec.run}
    observed = {
        row["endpoint"]: Observed(
            row["fired"],
            row["control"],
            row["branch_control"],
            spec.targets[1].own_instance,
            spec.targets[3].own_instance,
        )
        for row in store.query(PER_ENDPOINT, run)
    }
    gathering = gather(differing(store, spec.run), differing(store, spec.run))
    judgement = judge(spec.service, gathering, observed)
    counting = Counting([*judgement.regressions, *judgement.noise, *judgement.undecided])
    ledger = account(store, spec, judgement, counting, selected)
    (fidelity,) = store.query(FIDELITY, run)
    facts = {
        "ledger": ledger,
        "state": state,
        "reason": reason,
        "fidelity": round(fidelity["alike"] / fidelity["both"], 4) if fidelity["both"] else None,
        "unauthorised": fidelity["unauthorised"] / fidelity["both"] if fidelity["both"] else 0.0,
        "finished_at_ns": time.time_ns(),
        "fired_per_s": fired_per_s,
    }
    result = result_json(spec, judgement, observed, counting, facts)
    save_findings(store, spec, result, judgement)
    return result


def differing(store: Store, run: str) -> Iterator[Row]:
    """Rows in which any comparison found something."""
    for page in store.stream(DIFFERING, {"run": run}):
        yield from page


def account(store: Store, spec: RunSpec, judgement: Judgement, counting: Counting, selected: int) -> dict[str, Any]:
    """The ledger of the run, counted from its rows; counts the exchanges of each finding on the way."""
    run = {"run": spec.run}
    counts: dict[str, dict[str, int]] = {"skipped": {}, "not_compared": {}, "uncomparable": {}}
    same = found = 0
    for row in store.query(ACCOUNT, run):
        found += row["n"]
        if row["verdict"] in counts:
            counts[row["verdict"]][row["reason"] or "unknown"] = row["n"]
        elif row["verdict"] == "same":
            same += row["n"]
    verdicts = {"noise": 0, "undecided": 0, "different": 0}
    names = {key: weighed.verdict for key, weighed in judgement.weighed.items()}
    by_name = {"\n".join((*key[:3], str(key[3]), key[4])): verdict for key, verdict in names.items()}
    for row in differing(store, spec.run):
        counting.count(row)
        if row["verdict"] not in SHOWN:
            verdicts[line(row, by_name)["verdict"]] += 1
    compared = same + sum(verdicts.values()) + sum(counts["uncomparable"].values())
    fired = compared + sum(counts["not_compared"].values())
    targets = outcomes(store, spec.run)
    return {
        "selected": selected,
        "skipped": counts["skipped"],
        "fired": fired,
        **targets,
        "not_compared": counts["not_compared"],
        "compared": compared,
        "same": same,
        "noise_only": verdicts["noise"],
        "undecided": verdicts["undecided"],
        "different": verdicts["different"],
        "uncomparable": counts["uncomparable"],
        "unaccounted": selected - found,
    }


def outcomes(store: Store, run: str) -> dict[str, dict[str, Any]]:
    """answered, failed, spared and in_doubt by target."""
    table: dict[str, dict[str, Any]] = {
        "answered": dict.fromkeys(TARGETS, 0),
        "failed": {},
        "spared": {},
        "in_doubt": {},
    }
    for row in store.query(OUTCOMES, {"run": run}):
        index, text = cast("tuple[int, str]", row["o"])
        outcome, _, reason = text.partition(":")
        target = TARGETS[index - 1]
        if outcome in {"failed", "spared"}:
            table[outcome].setdefault(target, {})[reason or "unknown"] = row["n"]
        else:
            table[outcome][target] = table[outcome].get(target, 0) + row["n"]
    return table


def save_findings(store: Store, spec: RunSpec, result: dict[str, Any], judgement: Judgement) -> None:
    """One row a finding, and one with the verdict of every place, for ``show --exchanges``."""
    found = [finding for name in ("groups", "noise", "undecided") for finding in result[name]]
    try:
        store.insert(
            "findings",
            {
                "run": [spec.run] * (len(found) + 1),
                "id": [*(f["id"] for f in found), "places"],
                "endpoint": [*(f["endpoint"] for f in found), ""],
                "where": [*(f["where"] for f in found), ""],
                "kind": [*(f["kind"] for f in found), ""],
                "verdict": [*(f["verdict"] for f in found), "index"],
                "json": [*(orjson.dumps(f).decode() for f in found), places_json(judgement)],
                "version": [time.time_ns()] * (len(found) + 1),
            },
        )
    except ValueError as error:
        raise EcholaneError(f"the findings of run {spec.run} could not be stored: {error}") from error
