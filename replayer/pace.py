"""Pace: when each exchange of a run is due. Pure; :mod:`replayer.plan` asks, :mod:`replayer.schedule` obeys.

========================= ====================================================================
recorded                  at the distance from the first exchange at which it was recorded
``2x``                    the same, that many times faster (``0.5x`` is half as fast)
``200/s``                 evenly, that many a second, whatever the recording did
``10/s..500/s over 5m``   evenly, at a rate that grows (or falls) steadily and then stays
``1x..4x over 10m``       as recorded, at a speed that grows steadily and then stays
max                       as soon as the one before it in its session has been answered
========================= ====================================================================

Every due time is computed from the beginning of the run, never from the one before it, so nothing adds up. Where pauses of the
recording are cut (:class:`Pauses`), each is cut in recorded time, before any speed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from echolane.errors import UsageError

FACTOR_MAX = 1_000_000.0
"""A million times faster or per second is beyond what any machine sends; a larger number is a slip of the finger."""
RAMP_MAX_S = 7 * 86_400.0
"""A ramp of more than a week outlives every recording: the default retention is a week."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_FACTOR = re.compile(rf"{_NUMBER}(x|/s)")
_RAMP = re.compile(rf"{_NUMBER}(x|/s)\s*\.\.\s*{_NUMBER}(x|/s)\s+over\s+{_NUMBER}(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Pace:
    """How due times follow from the recording."""

    kind: str
    """``recorded`` (also sped up), ``rate`` or ``max``."""
    factor: float = 1.0
    """Times faster than recorded, or exchanges a second; of a ramp at its end."""
    first: float = 0.0
    """The same at a ramp's beginning."""
    over_s: float = 0.0
    """How long a ramp takes; 0 for a steady pace."""

    def due_ns(self, rank: int, recorded_ns: int) -> int:
        """Nanoseconds after the start of the run at which the ``rank``-th fired exchange (from 0) is due.

        ``recorded_ns`` is its distance from the first exchange of the recording.
        """
        if self.kind == "max":
            return 0
        if self.kind == "rate":
            return int(rank * 1e9 / self.factor) if not self.over_s else int(self._reached_s(rank) * 1e9)
        if self.over_s:
            return int(self._reached_s(max(0, recorded_ns) / 1e9) * 1e9)
        return max(0, int(recorded_ns / self.factor))

    def _reached_s(self, amount: float) -> float:
        """When a ramp has brought this much (exchanges, or recorded seconds): the area under a line that rises, then is level.

        Within the ramp ``first * t + (factor - first) * t² / (2 * over)`` is the amount; of its two solutions the one that
        subtracts nothing of like size, so that a ramp that hardly rises loses no digits.
        """
        within = (self.first + self.factor) / 2 * self.over_s
        if amount >= within:
            return self.over_s + (amount - within) / self.factor
        slope = (self.factor - self.first) / self.over_s
        root = math.sqrt(max(0.0, self.first * self.first + 2 * slope * amount))
        return 2 * amount / (self.first + root) if amount else 0.0


def parse_pace(text: str) -> Pace:
    """The pace that ``--pace`` asks for; UsageError when it is none."""
    word = text.strip().lower()
    if word in {"recorded", "max"}:
        return Pace(word)
    if found := _FACTOR.fullmatch(word):
        factor = float(found[1])
        if 0 < factor <= FACTOR_MAX:
            return Pace("recorded" if found[2] == "x" else "rate", factor)
    elif found := _RAMP.fullmatch(word):
        first, last, over_s = float(found[1]), float(found[3]), float(found[5]) * _UNIT_S[found[6]]
        if found[2] != found[4]:
            raise UsageError(f"--pace `{text}` goes from one kind to another; use 10/s..500/s or 1x..4x")
        if not 0 < last <= FACTOR_MAX or first > FACTOR_MAX:
            raise UsageError(f"--pace `{text}` must end above 0, and have no number above {FACTOR_MAX:,.0f}")
        if not 0 < over_s <= RAMP_MAX_S:
            raise UsageError(f"--pace `{text}` must take longer than no time and at most a week")
        return Pace("recorded" if found[2] == "x" else "rate", last, first, over_s)
    raise UsageError(
        f"--pace `{text}` is no pace; use recorded, max, a speed such as 2x, a rate such as 200/s, "
        "or a ramp such as `10/s..500/s over 5m`"
    )


class Pauses:
    """Think times of a recording, cut: a gap between two fired exchanges counts as ``max_ns`` at most. Given in recorded order."""

    def __init__(self, max_ns: int) -> None:
        self._max_ns = max_ns
        self._last_ns = self._cut_ns = 0

    def __repr__(self) -> str:
        return f"<Pauses of at most {self._max_ns / 1e9:g} s, {self._cut_ns / 1e9:g} s cut>"

    def shortened(self, recorded_ns: int) -> int:
        """The distance from the first exchange with what was cut before it taken off; as it is where nothing is cut (0)."""
        if self._max_ns:
            self._cut_ns += max(0, recorded_ns - self._last_ns - self._max_ns)
            self._last_ns = max(self._last_ns, recorded_ns)
        return recorded_ns - self._cut_ns


__all__ = ["Pace", "Pauses", "parse_pace"]
