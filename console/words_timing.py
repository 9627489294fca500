"""What a result says of times, a line each for :mod:`console.terminal`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from console import words

SHOWN = ("base", "branch")


def timing_lines(result: words.Result) -> Iterator[str]:
    """How long base and branch took, and how well the pace was kept; nothing for a result of before it was told."""
    found = words.section(result, "timing")
    targets = words.section(found, "targets")
    for key, what in (("service", "answered in"), ("response", "answered, from the instant due, in")):
        told = [
            f"{name} {_percentiles(one)}" for name in SHOWN if (one := words.section(words.section(targets, name), key))
        ]
        if told:
            yield f"{what} {' · '.join(told)}"
    if late := words.section(found, "lateness"):
        waits = words.section(found, "session_wait")
        waited = f" · {int(waits['count']):,} waited for their session, {_percentiles(waits)}" if waits else ""
        yield f"sent late by {_percentiles(late)}{waited}"
    yield from retry_lines(result)


def retry_lines(result: words.Result) -> Iterator[str]:
    """Which targets asked for time, and what became of it."""
    found = words.section(result, "timing")
    for name, one in words.section(found, "retry_after").items():
        yield (
            f"{name} asked for time {words.count(int(one['times']), 'time')} (Retry-After, up to {one['longest_s']:,.0f} s): "
            f"waited {one['waited_s']:,.0f} s in all, {words.count(int(one['fired_again']), 'request')} fired again"
        )


def _percentiles(one: Mapping[str, Any]) -> str:
    found = ((name, one.get(f"{name}_us")) for name in ("p50", "p99"))
    return ", ".join(f"{name} {duration(us)}" for name, us in found if isinstance(us, int | float))


def duration(us: float) -> str:
    """Microseconds in the unit in which they are read: three digits."""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.3g} {unit}" if us < 1000 * size else f"{us / size:,.0f} {unit}"
    return f"{us:.0f} µs"
