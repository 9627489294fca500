"""What an evaluation came to, as data: the object that ``--json`` writes, and the curve of latency over load. Pure."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from replayer.capacity.evaluate import SHORTER, Evaluation, Told
from replayer.capacity.meter import Account
from replayer.capacity.rules import BROKEN, VOID, Rule
from replayer.capacity.search import RECOVER

SCHEMA = "echolane/capacity/1"
METHOD = "Bayes over noisy bisection (Horstein 1963; Waeber, Frazier, Henderson 2013), with the closed bracket"


def result_of(
    found: Evaluation, account: Account, skipped: Mapping[str, int], named: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """The whole result; ``named`` says of what and where it is."""
    sure, limiting = found.confidence, found.limiting
    ended_ns = found.told[-1].at_ns + int(_length(found.told[-1], seconds) * 1e9) if found.told else 0
    return {
        "schema": SCHEMA,
        **named,
        "state": found.state,
        "reason": found.reason,
        "safe_rate_per_s": round(found.safe, 3),
        "confidence": None
        if sure is None or not found.safe
        else {
            "level": sure.level,
            "low_per_s": round(sure.low, 3),
            "high_per_s": None if sure.open else round(sure.high, 3),
            "method": METHOD,
        },
        "limit": None
        if limiting is None
        else {
            "signal": limiting.judgement.signal,
            "rate_per_s": round(limiting.level, 3),
            "value": round(limiting.judgement.value, 6),
            "bound": limiting.judgement.bound,
        },
        "rules": [rule_told(rule) for rule in found.rules],
        "curve": curve_of(found.told, seconds),
        "intervals": [interval_told(told, seconds) for told in found.told],
        "ledger": {**account.told(), "unaccounted": account.imbalance()},
        "recording_skipped": dict(sorted(skipped.items())),
        "started_at": _iso(found.told[0].at_ns) if found.told else None,
        "finished_at": _iso(ended_ns) if found.told else None,
    }


def rule_told(rule: Rule) -> dict[str, Any]:
    """A health rule."""
    return {"signal": rule.signal, "at_least": rule.at_least, "bound": rule.bound, "unit": rule.unit or None}


def interval_told(told: Told, seconds: float) -> dict[str, Any]:
    """One interval, in the order in which they were."""
    interval, judgement = told.interval, told.judgement
    return {
        "phase": told.step.phase,
        "rate_per_s": round(told.step.level, 3),
        "seconds": _length(told, seconds),
        "at": _iso(told.at_ns),
        "state": judgement.state,
        "signal": judgement.signal or None,
        "late_ms": round(interval.late_ms, 3),
        "signals": {name: None if value is None else round(value, 6) for name, value in interval.signals.items()},
        "missing": interval.missing or None,
        **{name: round(value, 3) for name, value in interval.facts.items()},
    }


def curve_of(told: Sequence[Told], seconds: float) -> list[dict[str, Any]]:
    """Latency over load: one point a rate, of what was judged there, recoveries and voided intervals left out."""
    by_level: dict[float, list[Told]] = defaultdict(list)
    for one in told:
        if one.step.phase != RECOVER and one.judgement.state != VOID:
            by_level[one.step.level].append(one)
    return [_point(level, by_level[level], seconds) for level in sorted(by_level)]


def _point(level: float, intervals: Sequence[Told], seconds: float) -> dict[str, Any]:
    facts = [one.interval.facts for one in intervals]
    broken = sum(one.judgement.state == BROKEN for one in intervals)

    def middle(name: str) -> float:
        return round(statistics.median(fact.get(name, 0.0) for fact in facts), 3)

    requests = sum(fact.get("requests", 0.0) for fact in facts)
    return {
        "rate_per_s": round(level, 3),
        "intervals": len(intervals),
        "seconds": len(intervals) * seconds,
        "broken": broken,
        "healthy": broken * 2 < len(intervals),
        "requests": int(requests),
        "errors": int(sum(fact.get("errors", 0.0) for fact in facts)),
        "p50_ms": middle("p50_ms"),
        "p90_ms": middle("p90_ms"),
        "p99_ms": middle("p99_ms"),
        "max_ms": round(max(fact.get("max_ms", 0.0) for fact in facts), 3),
    }


def _length(told: Told, seconds: float) -> float:
    return seconds * (SHORTER if told.step.phase == RECOVER else 1.0)


def _iso(ns: int) -> str:
    return dt.datetime.fromtimestamp(ns / 1e9, dt.UTC).isoformat(timespec="milliseconds")
