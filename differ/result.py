"""The ■ result of a run (design §7), and the lines of ``show --exchanges``. Every number that anything prints comes from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from differ.counting import Counting
from differ.evidence import Observed
from differ.folding import Finding
from differ.gathering import A, B, Row, X, signature_class, text
from differ.judging import Judgement, exchange_verdict
from differ.verdict import Facts, decide, severity
from echolane.errors import HomeError
from echolane.observation import TARGETS
from echolane.runspec import RunSpec
from echolane.store import Store

PLACES_SHOWN = 50
ENDPOINTS_SHOWN = 50
SHOWN = {"same": "same", "skipped": "skipped", "uncomparable": "uncomparable", "not_compared": "uncomparable"}


def finding_json(
    finding: Finding, verdict: str, observed: Mapping[str, Observed], counts: Mapping[int, int]
) -> dict[str, Any]:
    """One finding as the result shows it."""
    endpoints = finding.endpoints
    place, weighed, q_value = finding.lead
    seen = [observed.get(name, Observed()) for name in endpoints]
    return {
        "id": finding.id,
        "endpoint": endpoints[0] if len(endpoints) == 1 else "*",
        "endpoints": len(endpoints),
        "endpoint_names": endpoints[:ENDPOINTS_SHOWN],
        "where": finding.where,
        "kind": finding.kind,
        "verdict": verdict,
        "basis": weighed.basis,
        "severity": severity(finding.where, finding.kind),
        "differing": counts.get(X, 0),
        "observed": sum(o.fired for o in seen),
        "control_differing": counts.get(A, 0),
        "control_observed": sum(o.control for o in seen),
        "branch_control_differing": counts.get(B, 0),
        "branch_control_observed": sum(o.branch_control for o in seen),
        "p_value": None if weighed.basis != "tested" else weighed.p_value,
        "q_value": None if weighed.basis != "tested" else q_value,
        "places": finding.places[:PLACES_SHOWN],
        "places_count": len(finding.places),
        "explanation": weighed.why,
        "missing_samples": weighed.missing_samples,
        "samples": [{"exchange": s.exchange, "seq": s.seq, "base": s.base, "branch": s.branch} for s in place.samples],
    }


def result_json(
    spec: RunSpec,
    judgement: Judgement,
    observed: Mapping[str, Observed],
    counting: Counting,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole result."""
    ledger: dict[str, Any] = facts["ledger"]
    groups = [finding_json(f, "regression", observed, counting.of(f.id)) for f in judgement.regressions]
    noise = [finding_json(f, "noise", observed, counting.of(f.id)) for f in judgement.noise]
    undecided = [finding_json(f, "undecided", observed, counting.of(f.id)) for f in judgement.undecided]
    verdict, code, reason = decide(
        Facts(
            state=facts["state"],
            reason=facts["reason"],
            ledger=ledger,
            regressions=groups,
            undecided=undecided,
            fidelity=facts["fidelity"],
            unauthorised=facts["unauthorised"],
            uncontrolled=judgement.uncontrolled,
        )
    )
    return {
        "schema": "echolane/run/1",
        "run": spec.run,
        "service": spec.service,
        "verdict": verdict,
        "reason_code": code,
        "reason": reason,
        "targets": {name: {"url": t.url, "lane": t.lane} for name, t in zip(TARGETS, spec.targets, strict=True)},
        "fidelity": facts["fidelity"],
        "ledger": ledger,
        "groups": groups,
        "noise": noise,
        "expected": [],
        "undecided": undecided,
        "started_at": iso(spec.started_at_ns),
        "finished_at": iso(facts["finished_at_ns"]),
        "rates": {"fired_per_s": round(facts["fired_per_s"], 1)},
    }


def iso(ns: int) -> str:
    """A wall time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")


def place_verdicts(rows: Sequence[Row]) -> dict[str, str]:
    """The verdict of every place of a run, as :func:`places_json` wrote them."""
    return orjson.loads(rows[0]["json"]) if rows else {}


def place_name(endpoint: str, where: str, kind: str, facet: int, signature: str) -> str:
    """The key of a place's verdict."""
    return "\n".join((endpoint, where, kind, str(facet), signature))


def places_json(judgement: Judgement) -> str:
    """Verdicts of all places, kept beside the result so that exchanges can be shown with them."""
    return orjson.dumps({place_name(*key): weighed.verdict for key, weighed in judgement.weighed.items()}).decode()


def line(row: Row, verdicts: Mapping[str, str]) -> dict[str, Any]:
    """One exchange as ``show --exchanges --json`` prints it."""
    differences: list[dict[str, Any]] = []
    for index, pair in enumerate(row["d_pair"]):
        if pair == X:
            key = (
                row["endpoint"],
                row["d_where"][index],
                row["d_kind"][index],
                row["d_facet"][index],
                signature_class(row, index),
            )
            differences.append(
                {
                    "where": row["d_where"][index],
                    "kind": row["d_kind"][index],
                    "verdict": verdicts.get(place_name(*key), "undecided"),
                    "base": text(row["d_old"][index]),
                    "branch": text(row["d_new"][index]),
                }
            )
    streamed = str(row["verdict"])
    return {
        "exchange": row["exchange"],
        "seq": row["seq"],
        "method": row["method"],
        "target": row["target"],
        "endpoint": row["endpoint"],
        "verdict": SHOWN.get(streamed) or exchange_verdict([d["verdict"] for d in differences]),
        "reason": row["reason"] or None,
        "differences": differences,
    }


LINE_COLUMNS = "exchange, seq, method, target, endpoint, verdict, reason, d_pair, d_where, d_kind, d_facet, d_klass, d_flags, d_old, d_new"


def exchange_lines(store: Store, run: str) -> Iterator[dict[str, Any]]:
    """Every exchange of a run in recorded order; HomeError when the run has not been closed."""
    places = store.query("SELECT json FROM findings_v WHERE run = {run:String} AND id = 'places'", {"run": run})
    if not places:
        raise HomeError(f"run {run} has not been closed; `echolane run --resume {run}` goes on with it")
    verdicts = place_verdicts(places)
    sql = f"SELECT {LINE_COLUMNS} FROM results_v WHERE run = {{run:String}} ORDER BY seq, exchange"  # noqa: S608 - constant text
    for page in store.stream(sql, {"run": run}):
        for row in page:
            yield line(row, verdicts)
