"""What one interval of load showed, the health rules, and what they say of it. Pure.

An interval in which our own firing was late says nothing of the target where that lateness can explain what was seen
(:func:`judge`): it is void and is repeated, so that a limit of ours is never told as the target's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ERRORS, LATENCY, BACKLOG = "errors", "latency", "backlog"
"""The signals that every lever measures; others are named by who gives them."""
OWN_FIRING = "own-firing"
"""The limit where it is ours."""
LATE_MS = 25.0
"""Our own lateness from which on it may explain what broke: five turns of a busy machine's scheduler."""
LATE_SHARE = 0.1
"""Of an interval: later than this and the target was not under the load that is to be judged, whatever it answered."""
DECISIVE = 3.0
"""So many times over its bound a signal needs no second look."""
HEALTHY, BROKEN, VOID = "healthy", "broken", "void"


@dataclass(frozen=True, slots=True)
class Rule:
    """One bound on one signal."""

    signal: str
    bound: float
    at_least: bool = False
    """Whether the signal must stay above the bound instead of below."""
    unit: str = ""

    def excess(self, value: float) -> float:
        """How many times the signal is beyond its bound; up to 1 it keeps it."""
        value, bound = (-value, -self.bound) if self.at_least else (value, self.bound)
        if value <= bound:
            return 1.0 if value == bound else min(1.0, value / bound) if bound > 0 else 0.0
        beyond = value / bound if bound > 0 else 1.0 + (value - bound) / (abs(bound) or 1.0)
        return max(beyond, math.nextafter(1.0, 2.0))

    def said(self) -> str:
        """``latency <= 500 ms``."""
        return f"{self.signal} {'>=' if self.at_least else '<='} {self.bound:g}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, slots=True)
class Interval:
    """What a lever measured while it held one level."""

    level: float
    seconds: float
    signals: Mapping[str, float | None]
    """By name; None where one could not be read."""
    late_ms: float = 0.0
    """The worst lateness of our own firing."""
    missing: str = ""
    """Why a signal could not be read, for a person."""
    facts: Mapping[str, float] = field(default_factory=dict[str, float])
    """What else is worth showing: requests, errors, percentiles in milliseconds."""
    ours: str = ""
    """What of ours kept the level from being reached; empty where it was."""
    refused: float = 0.0
    """The share of the answers that are 401 or 403 where the recording has something else."""
    dead: str = ""
    """Why the target is taken for dead; empty while it lives."""
    stopped: bool = False
    """Whether it was cut short because the evaluation is to end."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules say of an interval."""

    state: str
    """``healthy``, ``broken`` or ``void``."""
    signal: str = ""
    """The one that is furthest beyond its bound, or why it is void."""
    value: float = 0.0
    bound: float = 0.0
    excess: float = 0.0

    @property
    def decisive(self) -> bool:
        """Whether a broken rule needs no second look."""
        return self.state == BROKEN and self.excess >= DECISIVE


def judge(interval: Interval, rules: Sequence[Rule]) -> Judgement:
    """Whether the target was healthy; void where that cannot be told, with the excess that was seen nevertheless."""
    worst: Judgement | None = None
    excused, hidden, unread = 0.0, 0.0, ""
    for rule in rules:
        value = interval.signals.get(rule.signal)
        if value is None:
            unread = unread or rule.signal
            continue
        excess = rule.excess(value)
        if rule.signal == BACKLOG and excess <= 1.0 and interval.late_ms >= LATE_MS:
            # Some of what chance was taken off the rise for is our own unrest: where that hides much, it says nothing for the target.
            raw = rule.excess(interval.facts.get("slope", 0.0))
            hidden, excused = max(hidden, raw), max(excused, raw if raw > DECISIVE else 0.0)
        if excess > 1.0 and _explained(interval, rule, value):
            excused = max(excused, excess)
        elif excess > 1.0 and (worst is None or excess > worst.excess):
            worst = Judgement(BROKEN, rule.signal, value, rule.bound, excess)
    seen = max(excused, hidden, worst.excess if worst else 0.0)
    if interval.ours:
        return Judgement(VOID, interval.ours, excess=seen)
    if interval.late_ms > LATE_SHARE * interval.seconds * 1e3:
        return Judgement(VOID, OWN_FIRING, interval.late_ms, excess=seen)
    if worst is not None:
        return worst
    if unread:
        return Judgement(VOID, unread, excess=seen)
    return Judgement(VOID, OWN_FIRING, interval.late_ms, excess=seen) if excused else Judgement(HEALTHY)


def _explained(interval: Interval, rule: Rule, value: float) -> bool:
    """Whether our own lateness may have made this signal what it is.

    Who fires late makes up for it in a burst: the answers of that burst wait about as long as we were late, twice that where the
    target was stopped together with us (it is the same machine).
    """
    if interval.late_ms < LATE_MS or rule.signal not in {LATENCY, BACKLOG}:
        return False
    made_ms = 2 * interval.late_ms
    if rule.signal == LATENCY:
        return value - rule.bound <= made_ms
    return interval.facts.get("rise_ms", 0.0) <= made_ms
