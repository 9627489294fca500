"""Replay a planned run: read its work, fire it at the targets, write what they answered. The room's front door.

:func:`replay` assembles the parts and returns when every exchange has its observation, or when the run was stopped or a target
went down: then what was not fired is observed as skipped (``interrupted``, ``target-unavailable``), so that the ledger balances and
``--resume`` knows what is left. :mod:`replayer.firing` does the firing.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from echolane import ids
from echolane.exchange import WorkItem
from echolane.home import Home
from echolane.journal import Journal
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.carrying import Carriers
from replayer.connection import SWEEP_S
from replayer.dryrun import DryRun
from replayer.feeding import Past, Work, count_work, learn_again, read_past, recalled, work_items
from replayer.firing import Volleys
from replayer.flight import PLACES, Flight, flight_of
from replayer.health import Health
from replayer.identities import keeper_of
from replayer.intents import Intents, intents_topic
from replayer.observing import Observer, Outlet, in_doubt, observations_topic, skipped
from replayer.options import WHOLE, Part, ReplayOptions, ReplaySummary, never
from replayer.parts import Parts, pools_of
from replayer.plan import work_topic
from replayer.preparing import prepared
from replayer.quiet import first_of, undisturbed
from replayer.restraint import Restraint
from replayer.schedule import Schedule
from replayer.stopping import Watch
from replayer.targets import Target
from replayer.timer import Timer
from replayer.wire import SAFE_METHODS, Unsendable, Wires

AHEAD_ITEMS = 512
"""Exchanges made ready ahead of their instant: enough for 16 sessions to be busy while one is slow."""
AHEAD_BYTES = 16 * 1024 * 1024
"""And what their bodies may weigh."""
PREPARE_SLICE = 16
"""Prepared between two turns of the loop with pace ``max``; one at a time where instants count."""
COLLECT_TURNS = 50
"""Sweeps between two looks of the cyclic collector: 5 s, so that its milliseconds stay below a thousandth of all."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
OnProgress = Callable[[int, int], None]


async def replay(
    journal: Journal,
    home: Home,
    spec: RunSpec,
    settings: Settings,
    stop: asyncio.Event,
    on_progress: OnProgress,
    decided: Callable[[], bool] = never,
) -> ReplaySummary:
    """Fire the plan of ``spec`` (or what is left of it) at its targets; observations are durable when this returns."""
    targets, options = await prepared(home, spec, settings, decided)
    return await Replay(journal, spec.run, targets, options).run(stop, on_progress)


class Replay:
    """One replay of one run, from the journal's work to the journal's observations."""

    def __init__(
        self, journal: Journal, run: str, targets: Sequence[Target], options: ReplayOptions, part: Part = WHOLE
    ) -> None:
        self.summary = ReplaySummary()
        self._journal, self._run, self._part = journal, run, part
        self._targets: list[Target | None] = [None] * PLACES
        for target in targets:
            self._targets[target.index] = target
        self._options = options
        self._indexes = [target.index for target in targets]
        header = options.dry_run_header
        self._wires = Wires(run, self._targets, options.mark_key, options.open_seal, header)
        self._dry_run = DryRun(header, options.dry_run_silent) if header else None
        self._schedule = Schedule()
        self._watch = Watch(options.stop_on)
        self._stopped = ""
        self._past = Past()
        self._fed = False
        self._ahead_items, self._ahead_bytes = max(1, AHEAD_ITEMS // part.partitions), AHEAD_BYTES // part.partitions
        self._early = False
        """Whether it stops because what was to be known is known."""
        self._halted = ""
        """Why the kill switch was thrown."""
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._items: Work = (frame for frame in list[list[WorkItem]]())
        self._rest: list[WorkItem] = []
        """Of the frame that is being fed, what was not."""

    async def run(self, stop: asyncio.Event, on_progress: OnProgress) -> ReplaySummary:
        """Fire until all is done, ``stop`` is set or a target is down."""
        thread = self._thread = self._part.thread or ThreadPoolExecutor(1, "journal")
        timer = Timer(asyncio.get_running_loop(), self._ring)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._assemble(thread, timer, tasks)
                with undisturbed():
                    await self._fire(tasks, stop, on_progress)
                await self._account()
                on_progress(self._done(), self.summary.selected)
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        finally:
            timer.close()
            # Where it was read: the collector would end it later, in another's thread and under another's locks.
            thread.submit(self._items.close)
            if thread is not self._part.thread:
                thread.shutdown(wait=True)
        return self.summary

    async def _assemble(self, thread: Executor, timer: Timer, tasks: asyncio.TaskGroup) -> None:
        """Make the parts and read what earlier attempts have done."""
        journal, options = self._journal, self._options
        part, gate = self._part, self._part.gate
        observations, intents_of_run = observations_topic(self._run), intents_topic(self._run)
        for topic in (observations, intents_of_run):
            journal.create(topic, part.partitions)
        self._past = await self._in_thread(read_past, journal, observations, part.partition)
        work = work_topic(self._run)
        keeper = await self._in_thread(keeper_of, journal, work, self._targets, options.sources, options.original)
        carriers = Carriers(self._targets, options.hiding, options.keys, keeper)
        if self._past.done:
            again, recall = carriers.learn_again, recalled(carriers, options.keeping) if self._past.sealed else None
            await self._in_thread(learn_again, journal, work, observations, part.partition, again, recall)
        self.summary.selected = await self._in_thread(self._count)
        spawn = tasks.create_task
        self._pools = pools_of(self._targets, spawn, options.patience, options.concurrency)
        self._observer = Observer(
            journal,
            observations,
            options.mask,
            thread,
            paced=options.paced,
            emptied=self._emptied,
            outlet=Outlet(part.partition, gate.may_write if gate else None, part.durable, options.keeping),
        )
        worker = ids.uuid7(time.time_ns())
        self._intents = Intents(journal, intents_of_run, worker, thread, spawn, part.partition)
        await self._intents.load()
        parts = Parts(
            targets=self._targets,
            pools=self._pools,
            schedule=self._schedule,
            observer=self._observer,
            intents=self._intents,
            hiding=options.hiding,
            concurrency=options.concurrency,
            adaptive=options.adaptive,
            seed=options.seed,
            sampling=options.sampling,
            paced=options.paced,
            restraint=Restraint(options.retry_after_max_s),
            watch=self._watch,
            dry_run=self._dry_run,
            late_ns=options.late_ns,
            skip=self._pass_over,
            gate=gate,
            carriers=carriers,
            keeper=keeper,
        )
        self._volleys = Volleys(parts, timer, self._changed)
        self._volleys.health = Health(
            self._targets,
            self._volleys,
            self._wires.probe,
            spawn,
            gap_s=options.probe_gap_s,
            patience=options.probe_patience,
        )

    async def _fire(self, tasks: asyncio.TaskGroup, stop: asyncio.Event, on_progress: OnProgress) -> None:
        begun = time.monotonic()
        self._items = self._work()
        self._is_halted()
        self._start()
        helpers = [
            tasks.create_task(self._feed()),
            tasks.create_task(self._tick(on_progress)),
            tasks.create_task(self._heed(stop)),
        ]
        try:
            await self._over.wait()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for pool in self._pools:
                if pool:
                    pool.close()
            if keeper := self._volleys.parts.keeper:
                keeper.abort()
        self.summary.seconds = time.monotonic() - begun

    def _start(self) -> None:
        self._volleys.start()

    def _count(self) -> int:
        return count_work(self._journal, work_topic(self._run))

    def _work(self) -> Work:
        return work_items(self._journal, work_topic(self._run))

    def _look(self) -> None:
        """Ten times a second: whether anything else has changed."""

    async def _feed(self) -> None:
        """Make flights of work, a little ahead of the firing."""
        slice_ = 1 if self._options.paced else PREPARE_SLICE
        count = 0
        while not self._volleys.stopping:
            frame = await self._in_thread(self._next_frame)
            if frame is None:
                break
            for index, item in enumerate(frame):
                while len(self._schedule) >= self._ahead_items or self._volleys.loaded_bytes > self._ahead_bytes:
                    self._volleys.pump()
                    self._room.clear()
                    await self._room.wait()
                if self._volleys.stopping:
                    return
                self._rest = frame[index + 1 :]
                self._load(item)
                count += 1
                if count % slice_ == 0:
                    self._volleys.pump()
                    await asyncio.sleep(0)
            await self._observer.wait_room()
            self._volleys.pump()
        self._fed = True
        self._changed()

    def _next_frame(self) -> list[WorkItem] | None:
        # Kept here and not by who asked: one that is cancelled meanwhile never gets it, and its items would be lost to the account.
        frame = next(self._items, None)
        self._rest = frame or []
        return frame

    def _load(self, item: WorkItem) -> None:
        """One work item becomes a flight, or the observation that says why it does not."""
        flight = self._flight_of(item)
        if flight is None:
            self._schedule.pass_over(item.seq, item.follows)
        else:
            self._volleys.loaded_bytes += flight.weight
            self._schedule.add(flight, item.follows)

    def _flight_of(self, item: WorkItem) -> Flight | None:
        seq, past = item.seq, self._past
        if past.is_done(seq):
            return None
        attempt = past.attempt(seq)
        if item.skip:
            self._skip(item, item.skip, attempt)
            return None
        safe = item.exchange.request.method in SAFE_METHODS
        if not safe:
            targets = [target for target in self._targets if target is not None]
            if not all(target.allow_writes for target in targets):
                self._skip(item, "unsafe-method", attempt)
                return None
            if fired := self._intents.of_others(item.exchange.id):
                self._observer.add(in_doubt(item, sorted(fired), attempt))
                return None
        try:
            prepared = self._wires.prepare(item.exchange)
            prepared.write_ahead(self._indexes)
        except Unsendable as unsendable:
            self._skip(item, str(unsendable), attempt)
            return None
        return flight_of(item, prepared, attempt)

    def _skip(self, item: WorkItem, reason: str, attempt: int) -> None:
        self.summary.skipped[reason] += 1
        self._observer.add(skipped(item, reason, attempt))

    def _pass_over(self, flight: Flight, reason: str) -> None:
        self._skip(flight.item, reason, flight.attempt)

    async def _tick(self, on_progress: OnProgress) -> None:
        """Ten times a second: give up what waits too long, and say how far the run is."""
        for turn in itertools.count(1):
            await asyncio.sleep(SWEEP_S)
            if turn % COLLECT_TURNS == 0:
                gc.collect(0)
            if self._is_halted():
                continue
            now_ns = time.monotonic_ns()
            for pool in self._pools:
                if pool:
                    pool.sweep(now_ns)
            on_progress(self._done(), self.summary.selected)
            self._look()
            if not self._volleys.stopping and self._options.decided():
                self._early = self._volleys.stopping = True
                self._changed()
            if self._part.gate is None and not self._volleys.stopping and (why := self._watch.holds()):
                self._stopped, self._volleys.stopping = why, True
                self._changed()
            if self._observer.error is not None:
                raise self._observer.error

    def _is_halted(self) -> bool:
        """Whether the kill switch was thrown; then nothing is sent from here on."""
        if not self._halted and (why := self._options.halted()):
            self._halted = why
            self._volleys.halt()
        return bool(self._halted)

    async def _heed(self, stop: asyncio.Event) -> None:
        """Stop when asked to: no new shots; what is in the air has a few seconds."""
        await stop.wait()
        self._early, self._volleys.stopping = False, True
        self._changed()
        await asyncio.sleep(self._options.drain_s)
        self._volleys.cancel()
        self._changed()

    def _changed(self) -> None:
        """A flight has landed, or the state has changed."""
        volleys = self._volleys
        if not self._room.is_set() and len(self._schedule) <= self._ahead_items * 3 // 4:
            self._room.set()
        if volleys.idle() and (volleys.stopping or (self._fed and not self._schedule)):
            self._over.set()

    def _ring(self) -> None:
        self._volleys.pump()

    def _emptied(self) -> None:
        if self._observer.error is not None:
            self._over.set()
        self._volleys.pump()

    async def _account(self) -> None:
        """Write the rest: observations of what was fired, and why the others were not."""
        summary, volleys = self.summary, self._volleys
        if reason := self._why_early():
            await self._in_thread(lambda: None)  # a frame may still be on its way
            for flight in self._schedule.abandon():
                if isinstance(flight, Flight):
                    self._skip(flight.item, reason, flight.attempt)
            frame: list[WorkItem] | None = self._rest
            while frame is not None:
                for item in frame:
                    if not self._past.is_done(item.seq):
                        self._skip(item, item.skip or reason, self._past.attempt(item.seq))
                await self._observer.wait_room()
                frame = await self._in_thread(self._next_frame)
        await self._observer.wait_written()
        summary.paused = volleys.parts.keeper.paused if volleys.parts.keeper else []
        summary.fired, summary.shots = volleys.landed, volleys.shots
        summary.notes = self._dry_run.notes if self._dry_run else ()
        summary.concurrency, summary.retry_after = volleys.places.told(), volleys.parts.restraint.told()
        summary.was_late(sorted(volleys.lateness))

    def _why_early(self) -> str:
        """Why the rest is not fired; empty when all is."""
        summary, volleys = self.summary, self._volleys
        if volleys.down is not None:
            summary.state = "unavailable"
            if target := self._targets[volleys.down]:
                summary.down = target.name
                summary.reason = f"{target.name} {target.url} does not answer any more; start it and resume the run"
            return "target-unavailable"
        if self._early:
            return "decided"
        if self._stopped:
            summary.state, summary.reason = "stopped", self._stopped
            return "interrupted"
        if volleys.stopping:
            summary.state, summary.reason = "interrupted", self._halted or "the run was interrupted"
            return "interrupted"
        return ""

    async def _in_thread(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """The journal is only ever used by one thread of ours, in turn."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _done(self) -> int:
        return min(self.summary.selected, self._past.done + self._volleys.landed + self.summary.skipped.total())


__all__ = ["Replay", "ReplayOptions", "ReplaySummary", "replay"]
