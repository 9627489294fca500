"""Is a target down, or does it answer badly? Pure; :mod:`replayer.fire` feeds it and acts on what it says (design §5.3).

::

    open ──half of 20 shots, or of those of 10 s, failed──▶ paused ──a probe was answered──▶ open
      └────the first of a target that never answered failed────┘
                                                              │ └─ what failed since the last good probe is
                                                              │    withdrawn if a probe had failed before it
                                                              └──3 probes failed──▶ down: the run ends

Only failures of the connection count: an answer that is garbage or too large comes from a target that lives.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SHOTS = 20
WINDOW_NS = 10_000_000_000
PROBES = 3
PROBE_GAP_S = 1.0
WITHDRAWN_MAX = 1_000
"""Failures remembered for withdrawal. A target is paused after ten in a row; more only gather where half of all fail for long."""
COUNTED = frozenset({"refused", "reset", "closed", "timeout", "connect-timeout", "first-byte-timeout"})

OPEN, PAUSED, DOWN = "open", "paused", "down"


@dataclass(slots=True)
class Breaker:
    """The health of one target."""

    state: str = OPEN
    failed_probes: int = 0
    alive: bool = False
    """Whether it has ever answered: a short recording never fills the window, and a target may hang from the start."""
    _shots: deque[tuple[int, bool]] = field(default_factory=lambda: deque(maxlen=SHOTS))
    _failures: int = 0
    _since_good: deque[int] = field(default_factory=lambda: deque(maxlen=WITHDRAWN_MAX))

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._failures} of {len(self._shots)} failed>"

    def answered(self, now_ns: int) -> None:
        """A shot was answered."""
        self.alive = True
        if self._failures or len(self._shots) < SHOTS:
            self._count(now_ns, failed=False)

    def failed(self, seq: int, reason: str, sent_ns: int, now_ns: int) -> bool:
        """A shot failed; True when the target must be paused and probed now."""
        if reason not in COUNTED:
            self.answered(now_ns)
            return False
        self._since_good.append(seq)
        self._count(sent_ns, failed=True)
        if self.state != OPEN or self._failures * 2 < len(self._shots):
            return False
        full = len(self._shots) == SHOTS
        if full or not self.alive or now_ns - self._shots[0][0] >= WINDOW_NS:
            self.state, self.failed_probes = PAUSED, 0
            return True
        return False

    def probed(self, *, good: bool) -> list[int]:
        """A probe of a paused target ended; the exchanges (by rank) whose failures are withdrawn."""
        if not good:
            self.failed_probes += 1
            if self.failed_probes < PROBES:
                return []
            self.state = DOWN
            return self._take()
        was_down = self.failed_probes > 0
        self.state, self.failed_probes, self._failures, self.alive = OPEN, 0, 0, True
        self._shots.clear()
        seqs = self._take()
        return seqs if was_down else []

    def _take(self) -> list[int]:
        seqs = sorted(set(self._since_good))
        self._since_good.clear()
        return seqs

    def _count(self, at_ns: int, *, failed: bool) -> None:
        shots = self._shots
        if len(shots) == SHOTS and shots[0][1]:
            self._failures -= 1
        shots.append((at_ns, failed))
        self._failures += failed
