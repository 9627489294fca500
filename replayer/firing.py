"""Fires flights: at every target at the same instant, in random order, no task and no timer per request.

One flight goes through these steps, each a plain call: ``pump`` finds it ready → ``_launch`` takes a place at every target (and,
when it is unsafe, its intent) → ``_connect`` → ``_shoot`` writes all requests → ``_settled`` once per target → ``_landed`` hands it
to the observer and lets its followers go. :mod:`replayer.fire` is the run around it.
"""

from __future__ import annotations

import itertools
import random
import time
from array import array
from collections.abc import Callable, Sequence

from replayer.answer import headers_of
from replayer.carrying import Carriers
from replayer.connecting import connect
from replayer.connection import Kin
from replayer.dryrun import UNPROVEN, DryRun
from replayer.flight import PLACES, Flight, FlightShot, flight_of, is_late, recorded_status
from replayer.health import Health
from replayer.limits import Places
from replayer.observing import in_doubt, observe
from replayer.parts import Parts
from replayer.restraint import AGAIN_MAX, BUSY
from replayer.sparing import Sparing
from replayer.timer import Timer

LATENESS_SAMPLES = 100_000
"""Lateness of the first so many shots; percentiles of more would say the same and cost memory."""
LOOKED_PAST = 32
"""Flights looked at behind one whose target has no place; each look costs a microsecond."""
_time_ns, _mono_ns = time.time_ns, time.monotonic_ns


class Volleys:
    """The flights of one run in the air."""

    def __init__(self, parts: Parts, timer: Timer, changed: Callable[[], None]) -> None:
        self.parts = parts
        self.start_ns = _mono_ns()
        self.flying = 0
        self.landed = 0
        self.shots = 0
        self.loaded_bytes = 0
        """What the requests weigh that are loaded and have not landed."""
        self.stopping = False
        self.down: int | None = None
        """The target that is down."""
        self.lateness = array("q")
        self.health: Health | None = None
        """Set right after construction; the two know each other."""
        self.aborted = ""
        """Set when shots in flight are given up: ``cancelled`` or ``unavailable``."""
        self._timer = timer
        self._changed = changed
        self._gate = parts.gate
        self._schedule = parts.schedule
        self._pools = parts.pools
        self.places = Places(parts.concurrency, adaptive=parts.adaptive)
        self._watch, self._dry_run = parts.watch, parts.dry_run
        self._measures = parts.adaptive or parts.watch.any
        self._late_ns = parts.late_ns if parts.paced else 0
        self._sparing = Sparing(parts.targets, parts.sampling)
        self._carriers = parts.carriers or Carriers(parts.targets, parts.hiding)
        keeper = parts.keeper
        self._on_settled = keeper.watch(self._settled, self._fire_again) if keeper else self._settled
        self._random = random.Random(parts.seed).random  # noqa: S311 - a seed must replay it
        self._orders = {n: list(itertools.permutations(range(n))) for n in range(1, PLACES + 1)}
        self._pumping = False
        self._held: list[Flight] = []

    def __repr__(self) -> str:
        return f"<Volleys {self.flying} flying, {self.landed} landed{', stopping' if self.stopping else ''}>"

    def start(self) -> None:
        """Due times count from now."""
        self.start_ns = _mono_ns()

    def pump(self) -> None:
        """Fire what may be fired now, and set the timer for what comes next."""
        health, gate = self.health, self._gate
        if self._pumping or self.stopping or self.parts.observer.full or (health and health.paused):
            return
        if gate is not None and not gate.may_fire():
            return
        if (until_ns := self.parts.restraint.until_ns) > (now_ns := _mono_ns()):
            self._timer.set(until_ns)
            return
        self._pumping = True
        try:
            schedule = self._schedule
            due_ns = schedule.advance(now_ns - self.start_ns)
            while schedule.ready and (gate is None or gate.has_room()) and (flight := self._next()) is not None:
                if self._late_ns and is_late(flight, _mono_ns() - self.start_ns, self._late_ns):
                    self._pass(flight, "late")
                elif flight.safe or self._dry_run is None or self._may_write(flight, self._dry_run):
                    self._launch(flight)
            if due_ns is not None:
                self._timer.set(self.start_ns + due_ns)
        finally:
            self._pumping = False

    def _next(self) -> Flight | None:
        """The first that is ready and has a place at each target that it goes to.

        A target without a place holds up only what goes there: where flights leave targets out, others are looked at behind it.
        """
        ready = self._schedule.ready
        for place in range(min(len(ready), LOOKED_PAST if self._sparing.uneven else 1)):
            flight = ready[place]
            assert isinstance(flight, Flight)  # noqa: S101 - nothing else is ever added
            if self.places.has(self._sparing.whom(flight)):
                del ready[place]
                return flight
        return None

    def idle(self) -> bool:
        """Whether nothing is in the air or held back."""
        return not self.flying and not self._held

    def _may_write(self, flight: Flight, dry_run: DryRun) -> bool:
        """Whether a write goes out as a dry run now; else it is skipped, or waits for the first one of its endpoint."""
        if dry_run.refuses(flight.item.endpoint):
            self._pass(flight, UNPROVEN)
            return False
        return not dry_run.holds(flight)

    def _heard_dry(self, flight: Flight) -> None:
        """A write has landed: what waited for it may go, or may not."""
        if self._dry_run is not None and not flight.safe:
            self._schedule.ready.extendleft(reversed(self._dry_run.heard(flight)))

    def _pass(self, flight: Flight, reason: str) -> None:
        self.loaded_bytes -= flight.weight
        self._schedule.done(flight, _mono_ns() - self.start_ns)
        self.parts.skip(flight, reason)
        self._changed()

    def _launch(self, flight: Flight) -> None:
        flight.launched = True
        self.flying += 1
        indexes = self._sparing.whom(flight)
        flight.pending = len(indexes)
        self.places.take(indexes)
        if self.parts.keeper is None:
            self._equipped(flight, indexes, "")
        else:
            self.parts.keeper.equip(flight, indexes, lambda reason: self._equipped(flight, indexes, reason))

    def _equipped(self, flight: Flight, indexes: Sequence[int], reason: str) -> None:
        """Every target has its credential, or the flight is not fired for this reason."""
        if reason:
            self._vacate(flight, indexes)
            self.parts.skip(flight, reason)
            self._changed()
            self._go_on()
            return
        if flight.safe:
            self._connect(flight, indexes)
            return

        def granted(first: bool) -> None:
            if first:
                self._connect(flight, indexes)
            else:
                self._leave_in_doubt(flight, indexes)

        self.parts.intents.ask(flight.item.exchange.id, indexes, flight.attempt, granted)

    def _connect(self, flight: Flight, indexes: Sequence[int]) -> None:
        connect(self._pools, flight, indexes, self._shoot)

    def _shoot(self, flight: Flight, indexes: Sequence[int]) -> None:
        """Write to every target, in random order, as close together as one thread can."""
        if self._gate is not None and not self._gate.may_write():
            self._leave(flight, indexes)
            return
        if self.aborted:
            self._give_up_connecting(flight, indexes)
        orders, shots = self._orders[len(indexes)], list[FlightShot]()
        wires, head_only, safe, landed, kin = flight.wires, flight.head_only, flight.safe, self._on_settled, Kin()
        loads = self._carriers.any or not safe
        for place in orders[int(self._random() * len(orders))]:
            index = indexes[place]
            shot = FlightShot(wires[index], head_only, safe, kin=kin, flight=flight, index=index, landed=landed)
            flight.shots[index] = shot
            if loads:
                self._carriers.load(shot, flight)
            shots.append(shot)
        self.shots += len(shots)
        mono_ns = _mono_ns()
        flight.wall_ahead_ns, flight.launched_ns = _time_ns() - mono_ns, mono_ns - self.start_ns
        failed: list[FlightShot] = []
        for shot in shots:
            connection, failure = flight.connections[shot.index], flight.failures[shot.index]
            if failure or connection is None:
                shot.failure, shot.done_ns = failure or "refused", mono_ns
                failed.append(shot)
                if connection is not None:
                    connection.close()
            elif connection.lost:
                self._fire_fresh(shot)
            else:
                connection.fire(shot)
        if self.parts.paced and len(self.lateness) < LATENESS_SAMPLES:
            self.lateness.append(flight.launched_ns - max(flight.due_ns, flight.free_ns))
        for shot in failed:
            self._settled(shot)

    def _leave(self, flight: Flight, indexes: Sequence[int]) -> None:
        """Out of hand while its intent was written or it was connecting: who has it now may be behind it already.

        It stays in the air, for nothing that comes of it would be written; what fires it is about to be told.
        """
        for index in indexes:
            if (connection := flight.connections[index]) is not None:
                connection.close()

    def _give_up_connecting(self, flight: Flight, indexes: Sequence[int]) -> None:
        for index in indexes:
            flight.failures[index] = flight.failures[index] or ("unavailable" if self.down is not None else "closed")

    def _fire_again(self, shot: FlightShot, flight: Flight) -> None:
        """With another credential than was refused."""
        self._carriers.load(shot, flight)
        pool = self._pools[shot.index]
        connection = pool.take(safe=True) if pool else None
        if connection is not None:
            connection.fire(shot)
        else:
            self._fire_fresh(shot)

    def _fire_fresh(self, shot: FlightShot) -> None:
        if pool := self._pools[shot.index]:
            pool.fire_fresh(shot)

    def _settled(self, shot: FlightShot) -> None:
        """One target has answered or failed."""
        flight = shot.flight
        if flight is None:
            return
        was_full = self.places.leave(shot.index)
        if self.health is not None:
            self.health.note(flight, shot)
        answer = shot.answer
        if self._measures:
            us, overload = shot.took_us, answer is None or answer.status in BUSY
            self.places.measure(shot.index, flight.item.endpoint, us, overload=overload)
            self._watch.note(shot.index, answer.status if answer else 0, recorded_status(flight), us)
        if answer is not None and answer.status in BUSY:
            headers = headers_of(answer.head)[2]
            if self.parts.restraint.heard(shot.index, headers, recorded_status(flight), _mono_ns()):
                flight.busy = shot.index
        flight.pending -= 1
        if not flight.pending:
            self._landed(flight)
        elif was_full and self._schedule.ready:
            self.pump()

    def _ask_again(self, flight: Flight) -> None:
        """Fire once more what a busy target did not answer, before anything that follows it."""
        self.flying -= 1
        self.parts.restraint.asked[flight.busy].again += 1
        fresh = flight_of(flight.item, flight.prepared, flight.attempt)
        fresh.due_ns, fresh.free_ns, fresh.tries = flight.due_ns, flight.free_ns, flight.tries + 1
        fresh.followers = flight.followers
        self._schedule.again(fresh)
        self._changed()
        self._go_on()

    def _landed(self, flight: Flight) -> None:
        """Every target has answered or failed."""
        if flight.busy >= 0 and flight.safe and flight.tries < AGAIN_MAX and not self.stopping:
            self._ask_again(flight)
            return
        self.flying -= 1
        self.landed += 1
        self.loaded_bytes -= flight.weight
        item = flight.item
        if item.gives or item.exchange.response is not None:
            self._carriers.learn(flight)
        if self.aborted and any(shot and shot.failure for shot in flight.shots):
            flight.not_compared = self.aborted
        self._schedule.done(flight, _mono_ns() - self.start_ns if flight.followers else 0)
        self._heard_dry(flight)
        if flight.absent >= 0:
            self._take_back(flight)
        elif (
            not self.aborted
            and self.health is not None
            and self.health.paused
            and any(shot and shot.failure for shot in flight.shots)
        ):
            self._held.append(flight)
        else:
            self.parts.observer.take(flight)
        self._changed()
        self._go_on()

    def _go_on(self) -> None:
        """A place is free."""
        if self._gate is None:
            self.pump()
        else:
            self._gate.landed()

    def _vacate(self, flight: Flight, indexes: Sequence[int]) -> None:
        """It is not going to be fired."""
        for index in indexes:
            self.places.leave(index)
        self.flying -= 1
        self.loaded_bytes -= flight.weight
        self._schedule.done(flight, _mono_ns() - self.start_ns)
        self._heard_dry(flight)

    def _leave_in_doubt(self, flight: Flight, indexes: Sequence[int]) -> None:
        self._vacate(flight, indexes)
        self.landed += 1
        self.parts.observer.add(in_doubt(flight.item, indexes, flight.attempt))
        self._changed()
        self._go_on()

    # what health asks for

    def resume(self) -> None:
        """A target answers again: what was held back is observed as it is."""
        if self.health is not None and not self.health.paused:
            held, self._held = self._held, []
            for flight in held:
                self.parts.observer.take(flight)
        self._changed()
        self.pump()

    def withdraw(self, flights: Sequence[Flight], index: int, *, again: bool) -> None:
        """These failures were the target's absence, not its answer."""
        for flight in flights:
            flight.absent, flight.again = index, again
            if flight.pending:
                continue  # taken back when its other targets have answered
            if flight in self._held:
                self._held.remove(flight)
            else:
                flight.attempt += 1  # the observation that was made of it is replaced
            self._take_back(flight)
        self._changed()

    def give_up(self, index: int) -> None:
        """A target is down: nothing more is fired. The other targets may finish what they are at."""
        self.down = index
        self.stopping = True
        self.aborted = "unavailable"
        held, self._held = self._held, []
        for flight in held:
            self.parts.observer.take(flight)
        if pool := self._pools[index]:
            pool.abort("unavailable")
        self._changed()

    def cancel(self) -> None:
        """Give up what is in the air."""
        self.aborted = self.aborted or "cancelled"
        if self.parts.keeper is not None:
            self.parts.keeper.abort()
        for pool in self._pools:
            if pool:
                pool.abort("closed")

    def halt(self) -> None:
        """Send nothing any more: give up what is in the air, what is connecting, what is held back, and the probes."""
        self.stopping = True
        self.aborted = "cancelled"
        if self.health is not None:
            self.health.halt()
        if self.parts.keeper is not None:
            self.parts.keeper.abort()
        for pool in self._pools:
            if pool:
                pool.halt()
        held, self._held = self._held, []
        for flight in held:
            flight.not_compared = "cancelled"
            self.parts.observer.take(flight)
        self._changed()

    def _take_back(self, flight: Flight) -> None:
        """Fire it again, or count it as unavailable."""
        if flight.again and flight.safe:
            self.landed -= 1
            fresh = flight_of(flight.item, flight.prepared, flight.attempt)
            self.loaded_bytes += fresh.weight
            fresh.due_ns = _mono_ns() - self.start_ns
            self._schedule.add_now(fresh)
            return
        flight.not_compared = "unavailable"
        shot = flight.shots[flight.absent]
        if shot is not None:
            shot.failure = "unavailable"
        self.parts.observer.add(observe(flight, None, paced=self.parts.paced))
