"""The replay worker: takes up runs that were asked for, and fires the partitions of their work that it holds.

It hears of runs in the topic ``runs`` (:mod:`echolane.runlog`), joins the group of a run's work, and gives each partition that comes
into its hands to a :class:`~replayer.slices.Slice`. Nothing it knows is needed by anybody else: what it was at when it died is in
the journal, and is taken up by whoever gets its partitions.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

from echolane import log
from echolane.errors import EcholaneError, Fenced, HomeError
from echolane.home import Home
from echolane.journal import Journal, Member
from echolane.journal.sharing import BEATS
from echolane.keys import load_seal_keys
from echolane.runlog import BEGAN, CANCEL, RunLog, Shared, Told, tell_progress
from echolane.settings import Settings
from echolane.tracing import note, span
from replayer.options import ReplayOptions
from replayer.plan import work_topic
from replayer.preparing import prepared
from replayer.slices import Crowd, Hold, Slice
from replayer.stopping import Watch
from replayer.targets import Target, host_of, is_loopback

LISTEN_S = 0.2
"""How often a worker listens for runs and looks what it holds."""
TELL_S = 1.0
"""How often it says how far it is."""
BEGIN_S = 0.5
"""Between the word that a run begins and its beginning, beside a third of a lease: by then all workers that listen have come and have
their share, and no partition changes hands with requests in the air."""
GONE_S = 60.0
"""Until it is looked again whether a run has work: what retention has removed does not come back."""
AGAIN_S = 2.0
"""Until what failed is tried again: a target that is not there, a journal that does not answer."""
RUNS_MAX = 4
"""Runs that a worker fires at once; others wait their turn, so that many that were asked for together do not share its places."""
HELD_MAX = 16
"""And runs that it is at in all, with those that are paused: each costs a seat in a group and some MiB."""
WAITING_TOLD_MAX = 16
"""Runs that wait their turn and of which it is told that they do; who asks hears of a queue in the words of these."""
WAITING_TELL_S = 5.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def replay_group(turn: str) -> str:
    """The group of the workers that fire a run, by the turn in which it was asked for."""
    return f"replayer.{turn}"


class ReplayWorker:
    """One worker. Its places at the targets are its own: two workers fire twice as many at once as one."""

    def __init__(self, journal: Journal, home: Home, settings: Settings, name: str, machine: str) -> None:
        self.name = name
        self._journal, self._home, self._settings, self._machine = journal, home, settings, machine
        self._log = RunLog(journal, name)
        self._serving: dict[str, Shared] = {}
        """Runs it is at."""
        self.trouble = ""
        """Why it could not do its share of a run at last, for whoever started it: who asked for the run may not hear of it."""
        self._waiting_told_at = 0.0
        self._not_before: dict[str, float] = {}
        self._thread = ThreadPoolExecutor(1, "journal")
        self._commit_thread = ThreadPoolExecutor(1, "commit")
        self._words = ThreadPoolExecutor(1, "words")

    def __repr__(self) -> str:
        return f"<ReplayWorker {self.name}, at {len(self._serving)} runs>"

    async def run(self, stop: asyncio.Event) -> None:
        """Work until it is stopped; what it holds is let go of in good order."""
        await _in(self._words, self._log.prepare)
        gc.freeze()
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stop.is_set():
                    await self._listen()
                    waiting: list[Shared] = []
                    for shared in self._log.active():
                        if not self._may_serve(shared):
                            continue
                        if self._has_place():
                            self._serving[shared.run] = shared
                            tasks.create_task(self._serve(shared, stop))
                        else:
                            waiting.append(shared)
                    await self._tell_waiting(waiting)
                    await _pause(stop, LISTEN_S)
        finally:
            for thread in (self._thread, self._commit_thread, self._words):
                thread.shutdown(wait=True)

    async def _listen(self) -> None:
        try:
            await _in(self._words, self._log.hear)
        except EcholaneError as error:  # the door has tried for as long as it is told to; so do we
            log.event("worker.deaf", worker=self.name, error=str(error))

    def _has_place(self) -> bool:
        """Whether it may take up one run more. One that is paused fires nothing, so it keeps no other waiting."""
        firing = sum(not shared.paused_ns for shared in list(self._serving.values()))
        return firing < RUNS_MAX and len(self._serving) < HELD_MAX

    async def _tell_waiting(self, waiting: Sequence[Shared]) -> None:
        """Let those who asked know that somebody is there."""
        if waiting and time.monotonic() - self._waiting_told_at > WAITING_TELL_S:
            self._waiting_told_at = time.monotonic()
            for shared in waiting[:WAITING_TOLD_MAX]:
                await self.tell(shared.run, Told(self.name, "replay", time.time_ns()))

    def _may_serve(self, shared: Shared) -> bool:
        if shared.run in self._serving or time.monotonic() < self._not_before.get(shared.run, 0.0):
            return False
        try:
            local = any(is_loopback(host_of(target.url)) for target in shared.asked.spec.targets)
        except EcholaneError:  # an address that this version cannot fire at
            return False
        return not local or shared.asked.machine == self._machine

    async def _serve(self, shared: Shared, stop: asyncio.Event) -> None:
        """Be a member of a run's group until it ends or the worker is stopped."""
        run, again_s = shared.run, AGAIN_S
        try:
            if work_topic(run) not in await self.read(self._journal.topics):
                again_s = GONE_S
                raise HomeError(f"run {run} has no work any more: it was asked for too long ago")
            self._check_key(shared)
            targets, options = await prepared(self._home, shared.asked.spec, self._settings)
            member = await _in(
                self._words,
                self._journal.join,
                replay_group(shared.asked.turn),
                work_topic(run),
                self._settings.replay.lease_s,
            )
            try:
                await _Serving(self, shared, member, targets, options).until(stop)
            finally:
                with suppress(EcholaneError):  # then it is struck off when its lease is over
                    await _in(self._words, member.leave)
        except EcholaneError as error:
            log.event("worker.left-run", worker=self.name, run=run, error=str(error))
            self.trouble = str(error)
            await self.tell(run, Told(self.name, "replay", time.time_ns(), trouble=str(error)))
        finally:
            self._not_before[run] = time.monotonic() + again_s
            self._serving.pop(run, None)
            gc.collect()

    def _check_key(self, shared: Shared) -> None:
        """Answers that were masked with another key would differ from the others' in each masked value."""
        here, there = load_seal_keys(self._home.keys, os.environ).current.id.hex(), shared.asked.key
        if there and here != there:
            raise HomeError(
                f"a replay worker on {socket.gethostname()} has seal key {here}, and the run was asked for with {there}; "
                "give every worker the installation's ECHOLANE_SEAL_KEY and ECHOLANE_MARK_KEY"
            )

    # what a serving uses

    @property
    def journal(self) -> Journal:
        """Where the work is."""
        return self._journal

    def settled_ns(self) -> int:
        """How long until a group that is new has its members."""
        return int((self._settings.replay.lease_s / BEATS + BEGIN_S) * 1e9)

    async def say(self, run: str, what: str, at_ns: int = 0, body: bytes = b"") -> None:
        """Say a word about a run."""
        await _in(self._words, lambda: self._log.say(run, what, body, at_ns))

    async def tell(self, run: str, told: Told) -> None:
        """Say how far it is."""
        with suppress(EcholaneError):  # only a picture
            await _in(self._words, tell_progress, self._journal, run, told)

    async def read(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Ask the journal."""
        return await _in(self._thread, function, *args)

    def hold(self, shared: Shared, member: Member, partition: int, epoch: int, start: int, partitions: int) -> Hold:
        """A partition that came into hand."""
        return Hold(
            partition,
            partitions,
            start,
            lambda: _holds(member, partition, epoch) and not shared.ended,
            lambda position: member.commit(partition, position, epoch),
            self._thread,
            self._commit_thread,
        )


class _Serving:
    """One worker at one run."""

    def __init__(
        self, worker: ReplayWorker, shared: Shared, member: Member, targets: list[Target], options: ReplayOptions
    ) -> None:
        self._worker, self._shared, self._member = worker, shared, member
        self._targets, self._options = targets, options
        self._crowd = Crowd(options.concurrency, watch=Watch(options.stop_on))
        self._at: set[tuple[int, int]] = set()
        """Partitions that it is at or has finished, each in its epoch."""
        self._told_at = 0.0
        self._partitions = 0

    async def until(self, stop: asyncio.Event) -> None:
        """Fire what comes into hand, until the run has ended or the worker leaves."""
        worker, shared = self._worker, self._shared
        self._partitions = await worker.read(worker.journal.partitions, work_topic(shared.run))
        refused: EcholaneError | None = None
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set() and not shared.ended:
                try:
                    held = self._member.held()
                except EcholaneError as error:  # raised here it would come out as one of a group
                    refused = error
                    break
                for key in held.items():
                    if key not in self._at:
                        self._at.add(key)
                        tasks.create_task(self._slice(*key, stop))
                self._crowd.begins_ns(shared)  # also with no part in hand: one may come after the wall clock was set
                await self._tell(len(held))
                await self._heed_conditions()
                await _pause(stop, LISTEN_S)
        if refused is not None:
            raise refused
        await self._tell(0, now=True)

    async def _heed_conditions(self) -> None:
        """Say to all workers that the run may not go on, once a condition holds of what this one fires."""
        run = self._shared.run
        if self._shared.cancelled or not (why := self._crowd.look()):
            return
        try:
            await self._worker.say(run, CANCEL, body=f"{why}, as one worker saw it".encode())
        except EcholaneError as error:  # nothing is fired meanwhile; it is said again at the next turn
            log.event("worker.unheard", worker=self._worker.name, run=run, error=str(error))

    async def _tell(self, parts: int, *, now: bool = False) -> None:
        if now or time.monotonic() - self._told_at > TELL_S:
            self._told_at = time.monotonic()
            told = Told(self._worker.name, "replay", time.time_ns(), self._crowd.fired(), parts)
            await self._worker.tell(self._shared.run, told)

    async def _slice(self, partition: int, epoch: int, stop: asyncio.Event) -> None:
        """Fire one partition in one epoch; again after a failure that passes, or when it comes back to hand in the same epoch."""
        if not await self._fired(partition, epoch, stop):
            self._at.discard((partition, epoch))

    async def _fired(self, partition: int, epoch: int, stop: asyncio.Event) -> bool:
        """Whether the partition is finished; False once it is out of hand."""
        worker, shared = self._worker, self._shared
        group, topic = replay_group(shared.asked.turn), work_topic(shared.run)
        while not stop.is_set() and not shared.ended and _holds(self._member, partition, epoch):
            try:
                start = await worker.read(worker.journal.committed, group, topic, partition)
                if start >= await worker.read(worker.journal.end, topic, partition):
                    return True
                if not shared.began_ns:
                    await worker.say(shared.run, BEGAN, time.time_ns() + worker.settled_ns())
                hold = worker.hold(shared, self._member, partition, epoch, start, self._partitions)
                part = Slice(worker.journal, shared, self._targets, self._options, hold, self._crowd)
                # One for each partition in hand: a million exchanges would be a million spans, which nobody reads and firing would wait for.
                told = {"echolane.run": shared.run, "echolane.worker": worker.name, "echolane.partition": partition}
                with span("fire slice", told, parent=shared.asked.trace):
                    await part.work_off(stop)
                    note({"echolane.fired": part.fired})
                for line in part.summary.paused:
                    log.event("worker.paused-identity", worker=worker.name, run=shared.run, error=line)
                    await worker.tell(shared.run, Told(worker.name, "replay", time.time_ns(), trouble=line))
            except Fenced as error:
                log.event("worker.fenced", worker=worker.name, run=shared.run, partition=partition, error=str(error))
                return False
            except EcholaneError as error:
                log.event("worker.failed", worker=worker.name, run=shared.run, partition=partition, error=str(error))
                worker.trouble = str(error)
                await worker.tell(shared.run, Told(worker.name, "replay", time.time_ns(), trouble=str(error)))
                await _pause(stop, AGAIN_S)
        return False


def _holds(member: Member, partition: int, epoch: int) -> bool:
    """Whether it is in hand. One that may be in no group any more holds nothing; whoever serves the run says so."""
    try:  # asked for each exchange, where suppress() would cost more than the question
        return member.held().get(partition) == epoch
    except EcholaneError:
        return False


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not for longer than the worker lives."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _in(thread: ThreadPoolExecutor, function: Callable[[*Ts], T], *args: *Ts) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, function, *args)
