"""Conditions that end a run early: ``errors>5%``, ``branch:p99>2s``. Pure.

:mod:`replayer.fire` asks ten times a second; of a run that workers share each of them (:mod:`replayer.worker`) asks five times a second
of what it fires itself.

Each is judged over the last shots of each target, so a run that was well for an hour and breaks is ended as soon as one that breaks at
once. An error is a failure, or an answer of 5xx or 429 where the recording was not answered so.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from echolane.errors import UsageError
from echolane.observation import TARGETS

WINDOW = 200
"""Shots of a target that are looked at."""
WINDOW_MIN = 50
"""Before so many of a target nothing is said of it: two errors of the first ten are no five percent."""
_UNIT_US = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000}
_FORM = re.compile(
    rf"(?:({'|'.join(sorted(TARGETS, reverse=True))}):)?(?:errors\s*>\s*(\d+(?:\.\d+)?)%|p(\d\d(?:\.\d)?)\s*>\s*(\d+(?:\.\d+)?)(us|ms|s|m))"
)
FORMS = "errors>5%, p99>2s, or with a target before it, branch:errors>5%"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition."""

    text: str
    target: int | None
    share: float = 0.0
    """Of errors, above which it holds."""
    percentile: float = 0.0
    """Of service times; 0 for a condition on errors."""
    us: float = 0.0


def parse_condition(text: str) -> Condition:
    """The condition that ``--stop-on`` gives; UsageError when it is none."""
    found = _FORM.fullmatch(text.strip().lower())
    if not found or (found[2] and not float(found[2]) < 100):
        raise UsageError(f"--stop-on `{text}` is no condition; use {FORMS}")
    target = TARGETS.index(found[1]) if found[1] else None
    if found[2]:
        return Condition(text, target, share=float(found[2]) / 100)
    return Condition(text, target, percentile=float(found[3]) / 100, us=float(found[4]) * _UNIT_US[found[5]])


class Watch:
    """The last shots of each target, and whether a condition holds of them."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self.any = bool(conditions)
        self._shots: list[deque[tuple[bool, float]]] = [deque(maxlen=WINDOW) for _ in TARGETS]

    def __repr__(self) -> str:
        return f"<Watch of {len(self._conditions)} conditions>"

    def note(self, index: int, status: int, recorded: int, us: float) -> None:
        """One shot was answered, or failed (0), where this status was recorded (0: none)."""
        self._shots[index].append((not status or (is_error(status) and not is_error(recorded)), us))

    def holds(self) -> str:
        """The first condition that holds, with what was seen; empty where none does."""
        for condition in self._conditions:
            for index, shots in enumerate(self._shots):
                if condition.target in {None, index} and len(shots) >= WINDOW_MIN and (seen := _seen(condition, shots)):
                    return f"--stop-on {condition.text}: {TARGETS[index]} {seen} of its last {len(shots)} requests"
        return ""


def is_error(status: int) -> bool:
    """Whether a status says that the service could not do it."""
    return status >= 500 or status == 429


def _seen(condition: Condition, shots: deque[tuple[bool, float]]) -> str:
    """What breaks a condition; empty where it is kept."""
    if not condition.percentile:
        errors = sum(error for error, _ in shots)
        return f"failed {errors}" if errors > condition.share * len(shots) else ""
    times = sorted(us for _, us in shots)
    reached = times[min(len(times) - 1, int(condition.percentile * len(times)))]
    return f"took {reached / 1e6:.3g} s or more for {1 - condition.percentile:.3g}" if reached > condition.us else ""
