"""The lever of this room: fires a recording at one target, at a rate, over and over, with the replayer's own pools, wires and masks.

An open loop: requests go out when they are due, evenly spaced, whatever became of the others. Recorded order is kept where a request
takes what an earlier answer gave, or where writes are fired; each time the recording is through it begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol

from msgspec.structs import replace as with_fields

from echolane.errors import Inconclusive
from echolane.exchange import WorkItem
from replayer.capacity.meter import DEAD_RUN, Account, Meter
from replayer.capacity.rhythm import Rhythm
from replayer.capacity.rules import Interval
from replayer.carrying import Carriers
from replayer.connection import Pool
from replayer.firing import Parts, Volleys
from replayer.flight import PLACES, Flight, flight_of
from replayer.keeper import NO_IDENTITY, Keeper
from replayer.options import ReplayOptions
from replayer.quiet import first_of, undisturbed
from replayer.targets import Target
from replayer.timer import Timer
from replayer.wire import Unsendable, Wires

BEAT_S = 0.01
"""Between two looks: how soon a broken rule, a dead target and our own standing still are noticed."""
SWEEP_TURNS = 10
DRAIN_S = 10.0
"""A target gets so long to be done with what it had; then it is given up."""
SILENT_S = 5.0
"""Asked and not answered at all for so long, a target hangs; ten times the latency rule where that is more."""
AWAKE_S = 0.05
"""What one look counts of that at most: while we stood still ourselves, nobody could tell us anything."""
PROBE_S = 1.0
AHEAD_S, AHEAD_LEAST = 0.5, 64
"""Requests made ready ahead: half a second of the rate, so that reading the journal never makes one late."""
AHEAD_MOST = 8_192
AHEAD_BYTES = 16 * 1024 * 1024
WARMING_MOST = 16
"""Credentials asked for at once before they are needed: a provider may be a command, and a run has as many in flight by default."""
LEAD_NS = 2_000_000
"""Between the decision and the first due instant: the timer is set by then."""
WAITING_SHARE = 0.05
"""Of an interval's requests that still wait for their session: more, and the rate was never reached."""

Work = Callable[[], Iterator[list[WorkItem]]]
"""The recording as work, from its beginning."""


class Watched(Protocol):
    """What of the health rules the lever itself looks at, to end an interval that is lost."""

    @property
    def quantile(self) -> float:
        """Of the latencies, between 0 and 1."""
        ...

    @property
    def latency_ms(self) -> float:
        """What it must not be beyond."""
        ...

    @property
    def errors(self) -> float:
        """The share of errors that is borne."""
        ...


@dataclass(frozen=True, slots=True)
class Ammunition:
    """What there is to fire."""

    work: Work
    ordered: bool
    """Whether the recorded order of sessions is kept."""
    least_passes_apart: int
    """More than any rank of the recording: what the ranks of two passes are apart."""
    skipped: Counter[str] = field(default_factory=Counter[str])
    keeper: Keeper | None = None
    """Who keeps the credentials it is fired with, where those are not the recorded ones."""


def survey(work: Work, *, writes: bool) -> Ammunition:
    """Look through a recording's work; Inconclusive where nothing of it can be fired."""
    ranks, fired, ordered = 0, 0, writes
    skipped: Counter[str] = Counter()
    for frame in work():
        for item in frame:
            ranks = max(ranks, item.seq + 1)
            if item.skip:
                skipped[item.skip] += 1
            else:
                fired += 1
                ordered = ordered or bool(item.takes)
    if not fired:
        why = ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "it is empty"
        raise Inconclusive(f"nothing of this recording can be fired: {why}")
    return Ammunition(work, ordered, ranks, skipped)


class Granting:
    """Asks nobody: the recording is fired again and again, and who allows writes here allows that."""

    def ask(self, exchange: str, indexes: Sequence[int], attempt: int, granted: Callable[[bool], None]) -> None:  # noqa: ARG002
        """It may be fired."""
        granted(True)


class RateLever:
    """Turns the rate at which a recording is fired at a target."""

    unit = "requests/s"

    def __init__(
        self,
        run: str,
        target: Target,
        options: ReplayOptions,
        ammunition: Ammunition,
        watched: Watched,
        stop: asyncio.Event,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._target, self._ammunition, self._stop = target, ammunition, stop
        self._keeper, self._warming = ammunition.keeper, 0
        self._latency_s = watched.latency_ms / 1e3
        self._silent_s = max(SILENT_S, 10 * self._latency_s)
        targets: list[Target | None] = [target, *[None] * (PLACES - 1)]
        self._wires = Wires(run, targets, options.mark_key, options.open_seal)
        self._meter = Meter(watched.quantile, watched.latency_ms, watched.errors)
        self._rhythm = Rhythm(self._meter.became_due)
        self._pool = Pool(target.address, tasks.create_task, patience=options.patience, idle_max=options.concurrency)
        parts = Parts(
            targets=targets,
            pools=[self._pool, *[None] * (PLACES - 1)],
            schedule=self._rhythm,
            observer=self._meter,
            intents=Granting(),
            hiding=options.hiding,
            concurrency=options.concurrency,
            carriers=Carriers(targets, options.hiding, options.keys, self._keeper, ammunition.least_passes_apart),
            keeper=self._keeper,
            skip=self._meter.called_off,
        )
        self._timer = Timer(asyncio.get_running_loop(), self._ring)
        self._volleys = Volleys(parts, self._timer, self._changed)
        self._changes = asyncio.Event()
        self._room = asyncio.Event()
        self._ahead = AHEAD_LEAST
        self._thread = ThreadPoolExecutor(1, "journal")
        self._feeder = tasks.create_task(self._feed())

    def __repr__(self) -> str:
        return f"<RateLever {self._meter} {self._volleys}>"

    @property
    def account(self) -> Account:
        """Every request that was due."""
        return self._meter.account

    async def hold(self, level: float, seconds: float) -> Interval:
        """Fire at this rate for so long, or until a rule is broken for certain, the target is dead or the evaluation is to end."""
        meter, rhythm, volleys = self._meter, self._rhythm, self._volleys
        self._ahead = min(AHEAD_MOST, max(AHEAD_LEAST, int(level * AHEAD_S)))
        await self._loaded()
        begin_ns = time.monotonic_ns()
        meter.begin(volleys.start_ns, max(1, round(level * seconds)))
        rhythm.begin(level, seconds, begin_ns + LEAD_NS - volleys.start_ns)
        volleys.pump()
        beat_late_ns, dead = await self._watch(begin_ns + int((seconds + self._latency_s) * 1e9))
        now_ns = time.monotonic_ns()
        waiting = self._call_off()
        found = meter.sum_up(now_ns, level, seconds)
        late_ms = max(rhythm.late_ns, beat_late_ns) / 1e6
        ours = "session-order" if waiting > WAITING_SHARE * max(1, rhythm.given) else ""
        return replace(found, late_ms=late_ms, dead=dead, ours=ours, stopped=self._stop.is_set())

    async def _watch(self, until_ns: int) -> tuple[int, str]:
        """Until the interval is over or need not go on: how late our loop was, and why the target is taken for dead."""
        meter, late_ns = self._meter, 0
        turn, silent_s, answered = 0, 0.0, -1
        while not self._stop.is_set():
            asleep_ns = time.monotonic_ns()
            await _within(BEAT_S, self._stop)
            now_ns = time.monotonic_ns()
            late_ns = max(late_ns, now_ns - asleep_ns - int(BEAT_S * 1e9))
            turn += 1
            if turn % SWEEP_TURNS == 0:
                self._pool.sweep(now_ns)
            if why := self._locked_out():
                self._call_off()
                return late_ns, why
            if meter.run >= DEAD_RUN:
                self._call_off()
                return late_ns, await self._why_dead()
            if meter.account.answered != answered or not meter.open:
                silent_s, answered = 0.0, meter.account.answered
            silent_s += min(AWAKE_S, (now_ns - asleep_ns) / 1e9)
            if silent_s > self._silent_s:
                return late_ns, f"has answered nothing for {self._silent_s:.0f} s"
            if meter.certain(now_ns) or (self._rhythm.over and (not meter.open or now_ns > until_ns)):
                break
        return late_ns, ""

    async def rest(self) -> str:
        """Fire nothing, and wait until the target is done with what it had."""
        self._call_off()
        account, turns = self._meter.account, 0
        answered = account.answered
        while not self._volleys.idle():
            self._changes.clear()
            if await _within(BEAT_S * SWEEP_TURNS, self._changes):
                continue
            turns += 1  # in which nothing landed, and in which we were awake
            waited_s = turns * BEAT_S * SWEEP_TURNS
            self._pool.sweep(time.monotonic_ns())
            if account.answered == answered and waited_s > self._silent_s:
                return f"answered nothing for {waited_s:.0f} s after the load was taken away"
            if waited_s > DRAIN_S or self._stop.is_set():
                self._pool.abort("given-up")
                turns = 0
        return ""

    def release(self) -> None:
        """Fire nothing from now on, and give up what is in the air."""
        self._call_off()
        self._volleys.stopping = True
        self._volleys.cancel()

    async def close(self) -> None:
        """Rest, then let go of everything."""
        self.release()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):  # connections that are being opened end by their own patience
                while not self._volleys.idle():
                    self._changes.clear()
                    await self._changes.wait()
        self._feeder.cancel()
        await asyncio.gather(self._feeder, return_exceptions=True)
        self._pool.close()
        self._timer.close()
        self._thread.shutdown(wait=True)

    def _call_off(self) -> int:
        """Nothing more goes out; how many were due and had not gone."""
        called_off = self._rhythm.call_off(time.monotonic_ns() - self._volleys.start_ns)
        for flight in called_off:
            self._volleys.loaded_bytes -= flight.weight
            self._meter.called_off(flight)
        return len(called_off)

    def _locked_out(self) -> str:
        """Why a part of the recording cannot be fired any more: what is left is other traffic, and its limit another."""
        if self._keeper is None or not self._keeper.paused:
            return ""
        return f"cannot be evaluated without its credentials: {self._keeper.paused[0]}"

    async def _why_dead(self) -> str:
        """Nobody answered for a while: whether anybody is there at all."""
        try:
            async with asyncio.timeout(PROBE_S):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, *self._target.address
                )
        except TimeoutError:
            return f"does not accept a connection within {PROBE_S:.0f} s"
        except OSError:
            return "refuses connections"
        transport.close()
        return ""

    def _ring(self) -> None:
        self._volleys.pump()

    def _changed(self) -> None:
        self._changes.set()
        if self._rhythm.loaded < self._ahead:
            self._room.set()

    async def _loaded(self) -> None:
        """Wait until the beginning of the interval is ready to be fired, with its credentials: to get them is no load."""
        self._room.set()
        while self._warming or (self._rhythm.loaded < self._ahead // 2 and not self._full()):
            if self._stop.is_set() or self._locked_out():
                return
            if self._feeder.done():
                await self._feeder
            await asyncio.sleep(BEAT_S)

    def _full(self) -> bool:
        return self._rhythm.loaded >= self._ahead or self._volleys.loaded_bytes > AHEAD_BYTES

    async def _feed(self) -> None:
        """Make flights of the recording, a little ahead of the firing, from its beginning each time it is through."""
        offset, loop = 0, asyncio.get_running_loop()
        while not self._volleys.stopping:
            frames, made = self._ammunition.work(), 0
            while (frame := await loop.run_in_executor(self._thread, next, frames, None)) is not None:
                for item in frame:
                    while self._full() or self._warming >= WARMING_MOST:
                        self._room.clear()
                        await _within(BEAT_S, self._room)  # due instants pass without anybody landing
                    made += self._load(item, offset)
                    await asyncio.sleep(0)
            if not made:
                raise Inconclusive("nothing of this recording can be sent")
            offset += self._ammunition.least_passes_apart

    def _load(self, item: WorkItem, offset: int) -> bool:
        follows = [seq + offset for seq in item.follows] if self._ammunition.ordered else []
        seq = item.seq + offset
        flight = None if item.skip else self._flight_of(item, seq)
        if flight is None:
            self._rhythm.pass_over(seq, follows)
            return False
        self._volleys.loaded_bytes += flight.weight
        self._rhythm.add(flight, follows)
        self._warm(flight)
        return True

    def _warm(self, flight: Flight) -> None:
        """Have its credential ready when it is due."""
        if self._keeper is None:
            return
        self._warming += 1

        def there(_: str) -> None:
            self._warming -= 1
            self._changed()

        self._keeper.equip(flight, [0], there)

    def _flight_of(self, item: WorkItem, seq: int) -> Flight | None:
        if self._keeper is not None and self._keeper.lacks(item.exchange, 0):
            if seq == item.seq:
                self._ammunition.skipped[NO_IDENTITY] += 1
            return None
        try:
            prepared = self._wires.prepare(item.exchange)
            prepared.write_ahead([0])
        except Unsendable as unsendable:
            if seq == item.seq:
                self._ammunition.skipped[str(unsendable)] += 1
            return None
        return flight_of(with_fields(item, seq=seq), prepared, 1)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it came in this time."""
    # Not wait_for: that of Python 3.11 may swallow that it is cancelled at the moment at which the event comes.
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


@contextlib.asynccontextmanager
async def rate_lever(
    run: str, target: Target, options: ReplayOptions, ammunition: Ammunition, watched: Watched, stop: asyncio.Event
) -> AsyncGenerator[RateLever]:
    """A lever for the time of a block; the target is at rest when it ends, however it ends."""
    try:
        async with asyncio.TaskGroup() as tasks:
            lever = RateLever(run, target, options, ammunition, watched, stop, tasks)
            try:
                with undisturbed():
                    yield lever
            finally:
                await lever.close()
    except BaseExceptionGroup as group:
        raise first_of(group) from group
