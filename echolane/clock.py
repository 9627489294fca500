"""Time as an argument: what decides takes a :class:`Clock`, what does passes :data:`SYSTEM`.

Two readings: ``wall_ns`` for display and for the order of a recording, ``mono_ns`` for durations and schedules, so that a
jump of the wall clock never reorders or stalls anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Both readings are integers of nanoseconds."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def mono_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC."""
        ...


class SystemClock:
    """The machine's own clocks."""

    wall_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)


@dataclass
class ManualClock:
    """A clock that stands still until a test moves it."""

    now_ns: int = 1_700_000_000_000_000_000
    started_ns: int = 0

    def wall_ns(self) -> int:
        """The time the test has set."""
        return self.now_ns

    def mono_ns(self) -> int:
        """Time since the start of the test."""
        return self.now_ns - self.started_ns

    def advance_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * 1e9)


SYSTEM: Clock = SystemClock()
