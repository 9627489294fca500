"""Pace: when each exchange of a run is due. Pure; :mod:`replayer.plan` asks, :mod:`replayer.schedule` obeys.

======== =================================================================
recorded at the distance from the first exchange at which it was recorded
``2x``   the same, that many times faster (``0.5x`` is half as fast)
``200/s`` evenly, that many a second, whatever the recording did
max      as soon as the one before it in its session has been answered
======== =================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from echolane.errors import UsageError

FACTOR_MAX = 1_000_000.0
"""A million times faster or per second is beyond what any machine sends; a larger number is a slip of the finger."""
_FACTOR = re.compile(r"(\d+(?:\.\d+)?)(x|/s)")


@dataclass(frozen=True, slots=True)
class Pace:
    """How due times follow from the recording."""

    kind: str
    """``recorded`` (also sped up), ``rate`` or ``max``."""
    factor: float = 1.0
    """Times faster than recorded, or exchanges a second."""

    def due_ns(self, rank: int, recorded_ns: int) -> int:
        """Nanoseconds after the start of the run at which the ``rank``-th fired exchange (from 0) is due.

        ``recorded_ns`` is its distance from the first exchange of the recording.
        """
        if self.kind == "max":
            return 0
        if self.kind == "rate":
            return int(rank * 1e9 / self.factor)
        return max(0, int(recorded_ns / self.factor))


def parse_pace(text: str) -> Pace:
    """The pace that ``--pace`` asks for; UsageError when it is none."""
    word = text.strip().lower()
    if word in {"recorded", "max"}:
        return Pace(word)
    found = _FACTOR.fullmatch(word)
    if not found or not 0 < float(found[1]) <= FACTOR_MAX:
        raise UsageError(f"--pace `{text}` is no pace; use recorded, max, a speed such as 2x or a rate such as 200/s")
    return Pace("recorded" if found[2] == "x" else "rate", float(found[1]))
