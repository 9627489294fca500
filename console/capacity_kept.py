"""Evaluated capacities in the store: a row each, and one for each interval of load, for ``echolane runs --capacity`` and for panels.

They are written when an evaluation is over, so that the store takes nothing of the machine while a rate is held.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from echolane.store import Row, Store

AMOUNTS = ("late_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms")
COUNTS = ("requests", "answered", "errors")
LISTED = """
SELECT run, service, target, state, safe_per_s, low_per_s, high_per_s, limiting, toString(started_at) AS started_at, reason
FROM capacities_v ORDER BY capacities_v.started_at DESC"""
HEADS = ("run", "service", "target", "state", "safe/s", "limit between", "first limit", "started_at")


def keep(store: Store, result: Mapping[str, Any]) -> None:
    """Write an evaluation's rows; written again they replace themselves. The steps first: who sees the outcome has all of them."""
    steps, version = result["intervals"], time.time_ns()
    if steps:
        count = len(steps)
        store.insert(
            "capacity_steps",
            {
                "run": [result["run"]] * count,
                "number": list(range(1, count + 1)),
                "phase": [step["phase"] for step in steps],
                "rate_per_s": [float(step["rate_per_s"]) for step in steps],
                "seconds": [float(step["seconds"]) for step in steps],
                "at": [_ns(step["at"]) for step in steps],
                "state": [step["state"] for step in steps],
                "signal": [step["signal"] or "" for step in steps],
                **{name: [float(step.get(name) or 0) for step in steps] for name in AMOUNTS},
                **{name: [int(step.get(name) or 0) for step in steps] for name in COUNTS},
                "version": [version] * count,
            },
        )
    sure: Mapping[str, Any] = result["confidence"] or {}
    limit: Mapping[str, Any] = result["limit"] or {}
    store.insert(
        "capacities",
        {
            "run": [result["run"]],
            "service": [result["service"]],
            "target": [result["target"]],
            "state": [result["state"]],
            "reason": [result["reason"]],
            "safe_per_s": [float(result["safe_rate_per_s"])],
            "low_per_s": [float(sure.get("low_per_s") or 0)],
            "high_per_s": [float(sure.get("high_per_s") or 0)],
            "limiting": [limit.get("signal") or ""],
            "started_at": [_ns(result["started_at"])],
            "finished_at": [_ns(result["finished_at"])],
            "result": [orjson.dumps(result).decode()],
            "version": [version],
        },
    )


def listed(store: Store, service: str | None) -> list[Row]:
    """What was evaluated, the newest first."""
    where = "WHERE service = {service:String} ORDER BY"
    return store.query(
        LISTED.replace("ORDER BY", where) if service else LISTED, {"service": service} if service else {}
    )


def line(row: Row) -> list[str]:
    """One evaluation in a table."""
    between = f"{row['low_per_s']:,.1f} and {row['high_per_s']:,.1f}" if row["high_per_s"] else ""
    safe = f"{row['safe_per_s']:,.1f}" if row["safe_per_s"] else "none"
    return [row["run"], row["service"], row["target"], row["state"], safe, between, row["limiting"], row["started_at"]]


def _ns(iso: str | None) -> int:
    """Nanoseconds since the epoch; 0 where nothing was fired."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000) * 1_000_000 if iso else 0
