"""An evaluated capacity in words: a line an interval while it runs, then the answer and the curve; and the files it is written to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from console.capacity_page import render_capacity
from console.escapes import terminal
from console.output import table
from console.outputs import Writers, as_json
from replayer.capacity.evaluate import Told
from replayer.capacity.rules import BROKEN, VOID

BAR = 30
"""Characters of the longest bar."""
HEADS = ("rate", "requests", "errors", "p50 ms", "p90 ms", "p99 ms", "", "p99")


def interval_line(told: Told) -> str:
    """One interval while it runs."""
    interval, judgement, facts = told.interval, told.judgement, told.interval.facts
    said = f"{told.step.phase:<8}{told.step.level:>10,.1f}/s  p50 {facts.get('p50_ms', 0):,.1f} ms  p99 {facts.get('p99_ms', 0):,.1f} ms"
    if errors := facts.get("errors"):
        said += f"  {errors:,.0f} errors"
    if judgement.state == BROKEN:
        return f"{said}  broken: {amount(judgement.signal, judgement.value)} against {amount(judgement.signal, judgement.bound)}"
    if judgement.state == VOID:
        why = terminal(interval.missing) if interval.missing else f"we were {interval.late_ms:,.0f} ms late"
        return f"{said}  void: {judgement.signal}" + ("" if judgement.signal == "session-order" else f", {why}")
    return f"{said}  healthy"


def amount(signal: str, value: float) -> str:
    """A value with its unit."""
    if signal == "latency":
        return f"latency {value:,.0f} ms"
    if signal in {"errors", "backlog"}:
        return f"{signal} {value:.1%}"
    return f"{signal} {value:,.4g}"


def headline(result: dict[str, Any]) -> str:
    """The answer in one sentence."""
    rate, sure, limit = result["safe_rate_per_s"], result["confidence"], result["limit"]
    if not rate:
        return f"No safe rate was found: {result['reason']}"
    said = f"{'At least ' if result['state'] == 'at-least' else ''}{rate:,.1f} requests/s are safe"
    if sure and sure["high_per_s"] is not None:
        said += f"; the limit lies between {sure['low_per_s']:,.1f} and {sure['high_per_s']:,.1f} ({sure['level']:.0%})"
    if limit:
        said += f"; first limit: {amount(limit['signal'], limit['value'])} at {limit['rate_per_s']:,.1f}/s"
    if result["state"] not in {"found", "at-least"}:
        said += f". It is no final answer: {result['reason']}"
    return said


def print_capacity(result: dict[str, Any]) -> None:
    """The answer and the curve, on stdout."""
    print(terminal(headline(result)))  # noqa: T201
    curve = result["curve"]
    if curve:
        table(HEADS, [_row(point, curve) for point in curve])


def _row(point: dict[str, Any], curve: Sequence[dict[str, Any]]) -> list[str]:
    numbers = [f"{point[key]:,.1f}" for key in ("p50_ms", "p90_ms", "p99_ms")]
    return [
        f"{point['rate_per_s']:,.1f}/s",
        f"{point['requests']:,}",
        f"{point['errors']:,}",
        *numbers,
        "healthy" if point["healthy"] else "broken",
        "▇" * _length(point["p99_ms"], [one["p99_ms"] for one in curve]),
    ]


def _length(value: float, values: Sequence[float]) -> int:
    """Of a bar on a logarithmic scale: a queue grows by decades."""
    least, most = max(min(values), 0.01) / 2, max(*values, 0.02)
    return max(1, round(BAR * math.log(max(value, least) / least) / math.log(most / least)))


def _as_page(result: dict[str, Any]) -> str:
    return render_capacity(result, headline(result))


WRITERS: Writers = {"json": as_json, "html": _as_page}
