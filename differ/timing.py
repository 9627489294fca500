"""How long answers took, and how late requests were: counted by the store from the run's rows, so also after a kill and over many workers.

Two latencies stand beside each other for every target. **Service time** runs from the sending of the request to the last byte of its answer.
**Response time** runs from the instant at which the request was due: it has the waits in it that a closed loop would leave out
(coordinated omission), because a user would have had them. Without a pace nothing is ever due, so there is no response time.

Values are folded into buckets of 1/64 of an octave, so that memory does not grow with the run: percentiles are exact to 1.1 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from echolane.observation import TARGETS
from echolane.runspec import RunSpec
from echolane.store import Store

STEPS = 64
"""Buckets of an octave."""
PERCENTILES = {"p50_us": 0.5, "p90_us": 0.9, "p99_us": 0.99, "p999_us": 0.999}
TIMES = f"""
SELECT s.1 AS series, toInt32(floor(log2(greatest(s.2, 1)) * {STEPS})) AS bucket, count() AS n, max(s.2) AS top, sum(s.2) AS total
FROM (
  SELECT arrayJoin(arrayConcat(
    [('lateness', lateness_us)], if(session_wait_us > 0, [('session_wait', session_wait_us)], []),
    arrayMap(i -> (concat('service:', toString(i)), toUInt64(durations_us[i])), answered),
    arrayMap(i -> (concat('response:', toString(i)), durations_us[i] + lateness_us + session_wait_us), answered))) AS s
  FROM (
    SELECT lateness_us, session_wait_us, durations_us,
      arrayFilter(i -> outcomes[i] = 'answered', arrayEnumerate(outcomes)) AS answered
    FROM results_v WHERE run = {{run:String}} AND notEmpty(outcomes) AND toUnixTimestamp64Nano(fired_at) > 0))
GROUP BY series, bucket ORDER BY series, bucket"""  # noqa: S608 - constants
Row = Mapping[str, Any]


def timing(store: Store, spec: RunSpec) -> dict[str, Any]:
    """The times of a run, as its result shows them."""
    return timing_json(store.query(TIMES, {"run": spec.run}), spec.pace)


def timing_json(rows: Iterable[Row], pace: str) -> dict[str, Any]:
    """Of buckets the result's ``timing``. Pure."""
    series: dict[str, list[Row]] = {}
    for row in rows:
        series.setdefault(row["series"], []).append(row)
    paced = pace != "max"
    return {
        "pace": pace,
        "retry_after": None,
        "concurrency": None,
        "lateness": folded(series.get("lateness", [])) if paced else None,
        "session_wait": folded(series.get("session_wait", [])) if paced else None,
        "targets": {
            name: {
                "service": folded(series.get(f"service:{place}", [])),
                "response": folded(series.get(f"response:{place}", [])) if paced else None,
            }
            for place, name in enumerate(TARGETS, 1)
        },
    }


def folded(rows: list[Row]) -> dict[str, Any] | None:
    """Count, mean, percentiles, greatest, and a histogram by octaves of one series; None where it is empty."""
    count = sum(row["n"] for row in rows)
    if not count:
        return None
    top = max(row["top"] for row in rows)
    octaves: dict[int, int] = {}
    found: dict[str, int] = {}
    seen = 0
    for row in sorted(rows, key=lambda row: row["bucket"]):
        octave = row["bucket"] // STEPS + 1
        octaves[octave] = octaves.get(octave, 0) + row["n"]
        seen += row["n"]
        for name, share in PERCENTILES.items():
            if name not in found and seen >= math.ceil(share * count):
                # The middle of the bucket; a bucket of one microsecond has none.
                found[name] = min(top, max(1, round(2 ** ((row["bucket"] + 0.5) / STEPS))))
    return {
        "count": count,
        "mean_us": round(sum(row["total"] for row in rows) / count),
        **found,
        "max_us": top,
        "histogram": [[2**octave, number] for octave, number in sorted(octaves.items())],
    }
