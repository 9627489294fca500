"""How many requests a target may have in flight: fixed, or adapted to how it answers. Pure.

The adaptive limit is TCP Vegas' (Brakmo, O'Malley, Peterson, SIGCOMM 1994) with the multiplicative decrease of AIMD (Chiu, Jain, 1989). Were
nothing queued, ``limit * base / now`` requests would be in flight, where ``base`` is the least mean latency seen and ``now`` the present one;
what is above that waits at the target. A short queue lets the limit grow by one a round, a long one takes one away, and a sign of
overload (a failure, 429, 503) a third. Latencies are compared endpoint by endpoint, so that a recording which comes to its slow pages is not
taken for a target that slows down. As with Vegas, the least latency is remembered for the whole run: a target that becomes slower for good
gets fewer places from then on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from echolane.observation import TARGETS

START = 1.0
"""One after another at first, so that the least latency is that of a target which is not busy with us."""
ROUND_MIN = 16
"""Answers of a round at least: fewer say little of a mean."""
SHORT, LONG = 3.0, 6.0
"""Requests queued below which the limit grows and above which it shrinks; a tenth and a fifth of the limit come on top."""
BACK_OFF = 2 / 3
SMOOTH = 0.1
"""Weight of an answer in its endpoint's mean."""
KNOWN_AFTER = 5
"""Answers of an endpoint before its mean counts."""
ENDPOINTS_MAX = 512
"""Endpoints that are remembered, the least recently answered forgotten first."""


@dataclass(slots=True)
class _Endpoint:
    mean: float
    base: float
    count: int = 1


@dataclass(slots=True)
class Limit:
    """The places at one target."""

    most: int
    adaptive: bool = False
    now: float = 0.0
    """Places now; not more than ``most``, not less than one."""
    least: float = 0.0
    """The fewest that there were."""
    _endpoints: OrderedDict[str, _Endpoint] = field(default_factory=OrderedDict[str, _Endpoint])
    _starting: bool = True
    """Until the first queue is seen the limit doubles."""
    _count: int = 0
    _troubled: bool = False
    _busiest: int = 0
    _base: float = 0.0
    _mean: float = 0.0

    def __post_init__(self) -> None:
        self.now = self.least = min(START, self.most) if self.adaptive else float(self.most)

    def note(self, endpoint: str, us: float, *, overload: bool, in_flight: int) -> None:
        """One request was answered or failed, with so many in flight beside it."""
        self._count += 1
        self._busiest = max(self._busiest, in_flight)
        if overload:
            self._troubled = True
        else:
            known = self._known(endpoint, us)
            if known.count >= KNOWN_AFTER:
                self._base += known.base
                self._mean += known.mean
        if self._count >= max(ROUND_MIN, self.now):
            self._end_round()

    def _known(self, endpoint: str, us: float) -> _Endpoint:
        known = self._endpoints.get(endpoint)
        if known is None:
            known = self._endpoints[endpoint] = _Endpoint(us, us)
            if len(self._endpoints) > ENDPOINTS_MAX:
                self._endpoints.popitem(last=False)
            return known
        self._endpoints.move_to_end(endpoint)
        known.count += 1
        # Until it is known the plain mean: the first answer of a process is often its slowest.
        known.mean += (us - known.mean) * max(SMOOTH, 1 / known.count)
        known.base = known.mean if known.count <= KNOWN_AFTER else min(known.base, known.mean)
        return known

    def _end_round(self) -> None:
        now, used = self.now, self._busiest + 1 >= self.now
        if self._troubled:
            now, self._starting = now * BACK_OFF, False
        elif not self._mean:
            now += used and not self._starting  # endpoints that nobody knows yet say nothing of a queue
            self._starting = False
        else:
            queued = now * max(0.0, 1 - self._base / self._mean)
            if queued > LONG + now / 5:
                now, self._starting = now - 1, False
            elif queued >= SHORT + now / 10:
                self._starting = False
            elif used:  # more places for who does not fill those that there are would be no measurement
                now = now * 2 if self._starting else now + 1
        self.now = min(float(self.most), max(1.0, now))
        self.least = min(self.least, self.now)
        self._count, self._busiest, self._troubled, self._base, self._mean = 0, 0, False, 0.0, 0.0


class Places:
    """What is in flight at each target, and how much may be: a slow target fills its own places, never another's."""

    def __init__(self, most: int, *, adaptive: bool) -> None:
        self._limits = [Limit(most, adaptive) for _ in TARGETS]
        self._now = [int(limit.now) for limit in self._limits]
        """Whole places of each; asked once and twice a shot."""
        self._in_flight = [0] * len(TARGETS)
        self._adaptive = adaptive

    def __repr__(self) -> str:
        return f"<Places {self._in_flight} of {[int(limit.now) for limit in self._limits]}>"

    def has(self, indexes: Sequence[int]) -> bool:
        """Whether there is one at each of these targets."""
        in_flight, now = self._in_flight, self._now
        for index in indexes:  # noqa: SIM110 - once a flight, and all() costs twice as much
            if in_flight[index] >= now[index]:
                return False
        return True

    def take(self, indexes: Sequence[int]) -> None:
        """One at each of these."""
        for index in indexes:
            self._in_flight[index] += 1

    def leave(self, index: int) -> bool:
        """One is free again; whether there was none before."""
        before = self._in_flight[index]
        self._in_flight[index] = before - 1
        return before >= self._now[index]

    def measure(self, index: int, endpoint: str, us: float, *, overload: bool) -> None:
        """What a target answered, after it left its place."""
        if self._adaptive:
            limit = self._limits[index]
            limit.note(endpoint, us, overload=overload, in_flight=self._in_flight[index] + 1)
            self._now[index] = int(limit.now)

    def told(self) -> dict[str, dict[str, int]]:
        """By target, the fewest places that it had and those that it has; empty where they are fixed."""
        if not self._adaptive:
            return {}
        return {
            name: {"least": int(one.least), "last": int(one.now)}
            for name, one in zip(TARGETS, self._limits, strict=True)
        }
