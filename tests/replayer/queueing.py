"""A target with a limit that is known, on a clock of its own: so many workers before one queue, asked by an open loop on a machine that may stall.

What the evaluation sees is what it sees of a real one: latency from the instant each request was due, its rise, and our own lateness.
An interval of some hundred requests takes less than a millisecond, so that hundreds of whole searches take seconds.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from replayer.capacity.meter import latency_facts
from replayer.capacity.rules import Interval

AGAIN_S = 0.5
"""Between two intervals: rest, and what was in the queue is answered."""


@dataclass(slots=True)
class Machine:
    """What makes a measurement noisy."""

    spread: float = 0.0
    """Standard deviation of a service time, as a share of its mean; 1 is exponential."""
    stalls_per_s: float = 0.0
    """How often everything on this machine stands still."""
    stall_s: float = 0.1
    """For how long at most."""


@dataclass(slots=True)
class Queue:
    """A lever over a simulated target: ``limit`` requests a second and not one more."""

    seed: int
    machine: Machine
    quantile: float = 0.99
    latency_ms: float = 500.0
    unit: str = "requests/s"
    workers: int = 0
    service_s: float = 0.0
    now_s: float = 0.0
    _draw: random.Random = field(init=False)
    _free: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self.workers = self._draw.randint(2, 4)
        self.service_s = self._draw.uniform(0.02, 0.06)
        self._free = [0.0] * self.workers

    @property
    def limit(self) -> float:
        """What it bears."""
        return self.workers / self.service_s

    async def hold(self, level: float, seconds: float) -> Interval:
        """Ask evenly for so long, or until the latency rule is broken for certain."""
        count = max(1, round(level * seconds))
        allowed = (1 - self.quantile) * count + 1
        stalls = list(self._stalls(seconds + self.latency_ms / 1e3))
        samples: list[tuple[int, int]] = []
        slow, late_s, ended_s = 0, 0.0, seconds
        for number in range(count):
            due_s = number / level
            sent_s = _awake(due_s, stalls)
            late_s = max(late_s, sent_s - due_s)
            begin_s = max(self.now_s + sent_s, self._free[0])
            done_s = begin_s + self._service()
            heapq.heapreplace(self._free, done_s)
            seen_s = _awake(done_s - self.now_s, stalls)
            samples.append((int(due_s * 1e9), int((seen_s - due_s) * 1e9)))
            slow += seen_s - due_s > self.latency_ms / 1e3
            if slow > allowed:
                ended_s = due_s + self.latency_ms / 1e3
                break
        signals, facts = latency_facts(samples, self.quantile)
        late_s = max([late_s, *(end - begin for begin, end in stalls if begin < ended_s)])
        self.now_s += ended_s
        return Interval(level, seconds, {"errors": 0.0, **signals}, late_ms=late_s * 1e3, facts=facts)

    async def rest(self) -> str:
        """Until all is answered."""
        self.now_s = max(self.now_s, *self._free) + AGAIN_S
        return ""

    def release(self) -> None:
        """Nothing is in the air."""

    def _service(self) -> float:
        spread = self.machine.spread
        if not spread:
            return self.service_s
        shape = 1 / spread**2
        return self.service_s * self._draw.gammavariate(shape, 1 / shape)

    def _stalls(self, seconds: float) -> Iterator[tuple[float, float]]:
        at_s = 0.0
        while (
            self.machine.stalls_per_s and (at_s := at_s + self._draw.expovariate(self.machine.stalls_per_s)) < seconds
        ):
            yield at_s, at_s + self._draw.uniform(0.005, self.machine.stall_s)


def _awake(at_s: float, stalls: list[tuple[float, float]]) -> float:
    """When what comes at this instant is noticed."""
    for begin, end in stalls:
        if begin <= at_s < end:
            at_s = end
    return at_s
