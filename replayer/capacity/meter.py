"""What the answers of an interval came to: latencies from the instant a request was due, errors, and whether the target keeps up.

Latency counts from the due instant and not from the write, so that a target which makes us wait is charged for it (no coordinated
omission); only the wait for an earlier answer of the same session is not, for its user would have waited, too. What has not been
answered when the interval is summed up counts with the time it has taken so far.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from echolane.observation import Observation
from replayer.capacity.rules import BACKLOG, ERRORS, LATENCY, Interval
from replayer.flight import Flight

RISE_MS = 10.0
"""Of the median latency within an interval: less is what any busy machine does."""
SURE = 1.0
"""So many standard deviations of what chance may do to the rise of latency are taken off it. With none, a queue that wanders is told as
overload at 0.9 of the limit, with two none at 1.05 of it (200 simulated targets whose service times spread by a third)."""
BLOCKS = 9
"""Of an interval, between whose medians the steps are taken: three a third."""
MEDIAN_SPREAD = 1.2533
"""Of a median, as of a mean of so many: the root of pi / 2."""
DEAD_RUN = 10
"""Failures in a row, without any answer between: then it is looked whether anybody is there."""
_TOO_MANY, _SERVER_ERROR = 429, 500
REFUSALS = frozenset((401, 403))


@dataclass(slots=True)
class Account:
    """Every request that was due: ``due = fired + Σ skipped{reason}``, ``fired = answered + Σ failed{reason}``."""

    due: int = 0
    fired: int = 0
    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])

    def imbalance(self) -> list[str]:
        """What does not balance; empty when all does."""
        found: list[str] = []
        if self.due != self.fired + self.skipped.total():
            found.append(f"due {self.due} != fired {self.fired} + skipped {self.skipped.total()}")
        if self.fired != self.answered + self.failed.total():
            found.append(f"fired {self.fired} != answered {self.answered} + failed {self.failed.total()}")
        return found

    def told(self) -> dict[str, Any]:
        """As the result has it."""
        return {
            "due": self.due,
            "skipped": dict(sorted(self.skipped.items())),
            "fired": self.fired,
            "answered": self.answered,
            "failed": dict(sorted(self.failed.items())),
        }


class Meter:
    """Takes flights instead of an observer: their answers are counted and let go."""

    full = False

    def __init__(self, quantile: float, latency_ms: float, errors: float) -> None:
        self.account = Account()
        self.run = 0
        """Failures in a row."""
        self.answered = 0
        """Of this interval."""
        self.errors = 0
        self._refused = [0, 0]
        """Answers of 401 and 403: where the recording was answered otherwise, and where it has no answer."""
        self._known = 0
        """Answers to what was answered otherwise than so when it was recorded."""
        self._quantile, self._latency_ms, self._errors_bound = quantile, latency_ms, errors
        self._open: dict[int, Flight] = {}
        """Due in this interval and not landed, in the order in which they became due."""
        self._begin_ns, self._planned = 0, 1
        self._samples: list[tuple[int, int]] = []
        """(due, latency) in nanoseconds."""
        self._slow = 0

    def __repr__(self) -> str:
        return f"<Meter {len(self._samples)} landed, {len(self._open)} open, {self.errors} errors>"

    @property
    def open(self) -> int:
        """Requests of this interval without an answer."""
        return len(self._open)

    def begin(self, begin_ns: int, planned: int) -> None:
        """A new interval; what is still in the air belongs to none."""
        self._open, self._samples = {}, []
        self._begin_ns, self._planned = begin_ns, planned
        self.run = self.answered = self.errors = self._slow = self._known = 0
        self._refused = [0, 0]

    def became_due(self, flight: Flight) -> None:
        """Its instant has come."""
        self.account.due += 1
        self._open[flight.seq] = flight

    def called_off(self, flight: Flight, reason: str = "called-off") -> None:
        """It was due and is not fired after all."""
        self.account.skipped[reason] += 1
        self._open.pop(flight.seq, None)

    def take(self, flight: Flight) -> None:
        """It has landed."""
        account, shot = self.account, flight.shots[0]
        account.fired += 1
        failure = "not-fired" if shot is None else shot.failure
        status = shot.answer.status if shot is not None and shot.answer is not None else 0
        if failure or not status:
            account.failed[failure or "no-answer"] += 1
            self.run += 1
        else:
            account.answered += 1
            self.run = 0
        done_ns = shot.done_ns if shot is not None else 0
        recorded = flight.item.exchange.response
        if self._open.pop(flight.seq, None) is not None:
            since_ns = self._begin_ns + max(flight.due_ns, flight.free_ns)
            self._samples.append((flight.due_ns, max(0, done_ns - since_ns)))
            self._slow += done_ns - since_ns > self._latency_ms * 1e6
            self.answered += bool(status)
            self._judge(status, recorded.status if recorded else 0)
        flight.release()

    def _judge(self, status: int, recorded: int) -> None:
        self.errors += is_error(status, recorded)
        if status and recorded not in REFUSALS:
            self._known += recorded > 0
            self._refused[recorded == 0] += status in REFUSALS

    def _share_refused(self) -> float:
        """Where nothing is known of what was recorded, only a target that refuses most of it says something."""
        known, unknown = self._refused
        blind = self.answered - self._known
        return max(known / max(1, self._known), unknown / blind if unknown * 2 > blind else 0.0)

    def add(self, observation: Observation, size: int = 0) -> None:
        """Nothing is ever in doubt here: no intents are written."""

    def certain(self, now_ns: int) -> bool:
        """Whether a rule is broken whatever the rest of the interval brings."""
        slow, oldest_ns = self._slow, now_ns - self._begin_ns - int(self._latency_ms * 1e6)
        for flight in self._open.values():  # the longest due stand first
            if max(flight.due_ns, flight.free_ns) > oldest_ns:
                break
            slow += flight.launched or not flight.blockers
        allowed = (1 - self._quantile) * self._planned
        return slow > allowed + 1 or self.errors > self._errors_bound * self._planned + 1

    def sum_up(self, now_ns: int, level: float, seconds: float) -> Interval:
        """What the interval came to."""
        samples = list(self._samples)
        for flight in self._open.values():
            if flight.launched or not flight.blockers:
                since_ns = self._begin_ns + max(flight.due_ns, flight.free_ns)
                samples.append((flight.due_ns, max(0, now_ns - since_ns)))
        count = len(samples)
        measured, facts = latency_facts(samples, self._quantile)
        counted = {
            "answered": float(self.answered),
            "errors": float(self.errors),
            "unanswered": float(len(self._open)),
        }
        signals: dict[str, float | None] = {ERRORS: self.errors / count if count else 0.0, **measured}
        facts = {"requests": float(count), **counted, **facts}
        return Interval(level, seconds, signals, facts=facts, refused=self._share_refused())


def latency_facts(samples: list[tuple[int, int]], quantile: float) -> tuple[dict[str, float], dict[str, float]]:
    """Signals and facts of (due, latency) in nanoseconds."""
    samples.sort()
    latencies = sorted(latency for _, latency in samples)
    rise_ms, raw, slope = _rise(samples)
    facts = {
        "p50_ms": _quantile(latencies, 0.5),
        "p90_ms": _quantile(latencies, 0.9),
        "p99_ms": _quantile(latencies, 0.99),
        "max_ms": _quantile(latencies, 1.0),
        "rise_ms": rise_ms,
        "slope": raw,
    }
    return {LATENCY: _quantile(latencies, quantile), BACKLOG: slope}, facts


def is_error(status: int, recorded: int) -> bool:
    """Whether an answer speaks of a target in need: none at all, 5xx or 429, unless the recording has the same there.

    So does 401 or 403 where the recording has something else: some shed load in that way.
    """
    if status in REFUSALS:
        return recorded > 0 and recorded not in REFUSALS
    return not status or ((status >= _SERVER_ERROR or status == _TOO_MANY) and status != recorded)


def _quantile(ordered: list[int], share: float) -> float:
    """In milliseconds, the smallest that at least this share does not exceed; 0 of nothing."""
    if not ordered:
        return 0.0
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[min(len(ordered), max(1, rank)) - 1] / 1e6


def _rise(samples: list[tuple[int, int]]) -> tuple[float, float, float]:
    """By how many milliseconds latency rose within the interval, seconds a second, and the same less what chance may explain of it.

    Medians of the first and the last third, so that one slow answer makes no trend. A target that answers a share less than it is
    asked lets its queue grow by that share of the time, and latency with it: the slope is the overload.
    """
    third = len(samples) // 3
    if third < 3:
        return 0.0, 0.0, 0.0
    first, last = samples[:third], samples[-third:]
    rise_ns = _median([latency for _, latency in last]) - _median([latency for _, latency in first])
    apart_ns = _median([due for due, _ in last]) - _median([due for due, _ in first])
    if rise_ns < RISE_MS * 1e6 or apart_ns <= 0:
        return max(0.0, rise_ns / 1e6), 0.0, 0.0
    sure_ns = rise_ns - SURE * _unrest(samples)
    return rise_ns / 1e6, rise_ns / apart_ns, sure_ns / apart_ns if sure_ns >= RISE_MS * 1e6 else 0.0


def _unrest(samples: list[tuple[int, int]]) -> float:
    """By how many nanoseconds the rise may be off by chance: a queue before workers whose times differ wanders.

    A walk's steps tell how far it goes: the standard deviation of the steps between medians of blocks, times the root of the steps
    between first and last third. And the medians of few answers that differ are inexact themselves. Where latency rises evenly, however
    fast, both are nothing.
    """
    changes = [after - before for (_, before), (_, after) in itertools.pairwise(samples)]
    single_ns = statistics.stdev(changes) / math.sqrt(2)
    inexact_ns = MEDIAN_SPREAD * single_ns * math.sqrt(2 / (len(samples) // 3))
    size = len(samples) // BLOCKS
    if size < 3:
        return inexact_ns
    medians = [_median([latency for _, latency in samples[at * size : (at + 1) * size]]) for at in range(BLOCKS)]
    steps = [after - before for before, after in itertools.pairwise(medians)]
    return math.hypot(inexact_ns, statistics.stdev(steps) * math.sqrt(BLOCKS * 2 / 3))


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]
