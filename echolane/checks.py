"""What ``echolane doctor`` finds: one line each, with what is there, and what to do where something is wrong.

The doors examine their own systems (:mod:`echolane.journal.kafka_examining`, :mod:`echolane.store.examining`,
:mod:`echolane.journal.examining`); :mod:`console.doctor` asks them and prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

OK, WARN, BAD = "ok", "warn", "bad"
NAMED_MAX = 3
"""Things of one kind that a line names; a cluster may have hundreds of topics with one fault."""
SKEW_S = 2.0
"""How far clocks may be apart before it is said: `--last 30m` then misses seconds, and workers of one run fire as many seconds apart."""


class Check(NamedTuple):
    """One thing that was looked at."""

    check: str
    state: str
    """``ok``, ``warn`` (it works, and somebody should know), ``bad`` (something will fail)."""
    what: str
    do: str = ""
    """What to do about it; empty where nothing is wrong."""


def named(things: Iterable[str]) -> str:
    """The first few of many, and how many more there are."""
    listed = list(things)
    more = len(listed) - NAMED_MAX
    shown = ", ".join(f"`{thing}`" for thing in listed[:NAMED_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def clock(check: str, who: str, ahead_s: float, doubt_s: float) -> Check:
    """A clock beside ours. ``doubt_s`` is what the way there and back leaves open; so much is never called skew."""
    if abs(ahead_s) - doubt_s <= SKEW_S:
        return Check(check, OK, f"{who} is within {SKEW_S:g} s of this machine's clock")
    where = "ahead of" if ahead_s > 0 else "behind"
    return Check(
        check,
        WARN,
        f"{who} is {span(abs(ahead_s))} {where} this machine's clock; more than {SKEW_S:g} s are said",
        "let both machines keep time by NTP (chrony, systemd-timesyncd)",
    )


def span(seconds: float) -> str:
    """A span of time for a person."""
    for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
