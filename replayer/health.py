"""Watches the targets' health: pauses the firing when one fails, probes it, and says what is withdrawn (design §5.3).

The decision is :mod:`replayer.breaker`'s. This rim connects, fires the last safe request that the target answered, waits a
second, and remembers what failed lately so that it can be fired again once the target is back.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from replayer.breaker import COUNTED, DOWN, PROBE_GAP_S, WITHDRAWN_MAX, Breaker
from replayer.connection import Patience
from replayer.flight import Flight, FlightShot
from replayer.probing import probe
from replayer.targets import Target

PROBE_PATIENCE = Patience(connect_s=3.0, first_byte_s=5.0, total_s=5.0)
"""A target that is up answers what it has answered before in a fraction of this."""


class Firing(Protocol):
    """Who fires; :class:`replayer.firing.Volleys`."""

    def resume(self) -> None:
        """The target answers again."""
        ...

    def withdraw(self, flights: Sequence[Flight], index: int, *, again: bool) -> None:
        """These failures were the target's absence: fire them again, or count them as unavailable."""
        ...

    def give_up(self, index: int) -> None:
        """The target is down; the run ends."""
        ...


class Health:
    """The breakers of a run's targets."""

    def __init__(
        self,
        targets: Sequence[Target | None],
        firing: Firing,
        probe_wire: Callable[[int], bytes],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        gap_s: float = PROBE_GAP_S,
        patience: Patience = PROBE_PATIENCE,
    ) -> None:
        self.breakers = [Breaker() for _ in targets]
        self.last_safe: list[tuple[bytes, bool]] = [(b"", False) for _ in targets]
        """The last safe request each target answered, and whether it was a HEAD."""
        self.paused: set[int] = set()
        """Targets that are being probed; nothing is fired meanwhile."""
        self._targets = targets
        self._firing = firing
        self._probe_wire = probe_wire
        self._spawn = spawn
        self._gap_s = gap_s
        self._patience = patience
        self._failed_lately: OrderedDict[int, Flight] = OrderedDict()
        self._probing: dict[int, object] = {}
        self._halted = False

    def __repr__(self) -> str:
        return f"<Health {', '.join(breaker.state for breaker in self.breakers)}>"

    def note(self, flight: Flight, shot: FlightShot) -> None:
        """A shot was answered or failed."""
        index = shot.index
        breaker = self.breakers[index]
        if not shot.failure:
            breaker.answered(shot.done_ns)
            if shot.safe:
                self.last_safe[index] = (shot.wire, shot.head_only)
            return
        if shot.failure in COUNTED:
            self._remember(flight)
        down = breaker.failed(flight.seq, shot.failure, shot.sent_ns or shot.done_ns, shot.done_ns)
        if down and not self._halted:
            self.paused.add(index)
            self._probing[index] = self._spawn(self._probe(index))

    def halt(self) -> None:
        """Probe no more."""
        self._halted = True
        for task in self._probing.values():
            if isinstance(task, asyncio.Task):
                task.cancel()

    def _remember(self, flight: Flight) -> None:
        """Keep a flight for withdrawal. Its answers are let go as soon as they are observed; what is kept is its request."""
        self._failed_lately[flight.seq] = flight
        self._failed_lately.move_to_end(flight.seq)
        while len(self._failed_lately) > WITHDRAWN_MAX:
            self._failed_lately.popitem(last=False)

    async def _probe(self, index: int) -> None:
        breaker = self.breakers[index]
        while True:
            begun = time.monotonic()
            good = await self._ask(index)
            was_down = breaker.failed_probes > 0
            withdrawn = [
                self._failed_lately.pop(seq) for seq in breaker.probed(good=good) if seq in self._failed_lately
            ]
            if good:
                self.paused.discard(index)
                self._firing.withdraw(withdrawn, index, again=True) if was_down else None
                self._firing.resume()
                return
            if breaker.state == DOWN:
                self._firing.withdraw(withdrawn, index, again=False)
                self._firing.give_up(index)
                return
            await asyncio.sleep(max(0.0, self._gap_s - (time.monotonic() - begun)))

    async def _ask(self, index: int) -> bool:
        """One probe: whether the target connects and answers anything; an answer of any kind is a sign of life."""
        target = self._targets[index]
        if target is None:
            return True
        wire, head_only = self.last_safe[index]
        shot = await probe(
            target.address,
            self._spawn,
            wire or self._probe_wire(index),
            self._patience,
            head_only=head_only or not wire,
        )
        return not shot.failure or shot.failure not in COUNTED
