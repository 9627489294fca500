"""One partition of a shared run as one worker fires it: as a run of its own, for as long as the worker holds it.

What :mod:`replayer.fire` does with a whole run, a :class:`Slice` does with a partition, under three conditions more. It fires and writes
only while the partition is held in the epoch in which it was taken (asked before each volley and each append). It commits
the beginning of its work whose observations are durable. And its worker's places at the targets are shared with the other slices
(:class:`Crowd`). Sessions are whole within a partition, so their order holds whoever fires it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from echolane.clock import SYSTEM, Clock
from echolane.errors import Fenced
from echolane.exchange import WorkItem
from echolane.frame import FrameDamaged, decode_frame
from echolane.journal import Journal
from echolane.journal.sharing import Prefix
from echolane.observation import Observation
from echolane.runlog import INTERRUPTED, Shared
from replayer.feeding import Work
from replayer.fire import Replay
from replayer.flight import Flight
from replayer.options import Part, ReplayOptions
from replayer.plan import work_topic
from replayer.stopping import Watch
from replayer.targets import Target

COMMIT_S = 0.5
"""How often it is committed how far it is: what a crash repeats of it is known from the observations, so this only saves reading."""


class Window:
    """Which entries of the work are finished: all their exchanges have a durable observation, or had one before.

    Entries are begun in the thread that reads, and finished in the loop.
    """

    def __init__(self, start: int) -> None:
        self._prefix = Prefix(start)
        self._entry_of: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"<Window {self._prefix!r}, {len(self._entry_of)} exchanges open>"

    @property
    def reach(self) -> int:
        """Everything before this position is finished."""
        return self._prefix.reach

    def begin(self, position: int, seqs: Sequence[int]) -> None:
        """An entry was read, with these exchanges; called before any of them is finished, in the thread that reads."""
        with self._guard:
            for seq in seqs:
                self._entry_of[seq] = position
            self._left[position] = len(seqs)
            self._prefix.begin(position)
            if not seqs:
                self._finish(position)

    def done(self, seq: int) -> None:
        """An exchange is finished; saying it again changes nothing."""
        with self._guard:
            position = self._entry_of.pop(seq, None)
            if position is None:
                return
            self._left[position] -= 1
            if not self._left[position]:
                self._finish(position)

    def _finish(self, position: int) -> None:
        del self._left[position]
        self._prefix.finish(position)


@dataclass(slots=True)
class Crowd:
    """The slices of one worker and run, which share its places at the targets."""

    limit: int
    slices: list[Slice] = field(default_factory=list["Slice"])
    landed: int = 0
    """Exchanges fired by slices that have ended."""
    watch: Watch = field(default_factory=lambda: Watch(()))
    """The last shots of all of them."""
    broken: str = ""
    """The condition that does not let the run go on. They hold their fire until all workers have heard of it, so that what is left is
    still anybody's should this worker die before it has said so."""
    clock: Clock = SYSTEM
    _begins: tuple[int, int] | None = None
    """A beginning of the run by the wall clock, and the instant of the monotonic one at which that was."""

    def begins_ns(self, shared: Shared) -> int:
        """The run's beginning on this machine's monotonic clock; far ahead while it has none.

        Read off the wall clock once: set by an hour while the run goes on, it would make the rest due at once, or an hour late.
        A pause moves the beginning by as much as it lasted.
        """
        now_ns = self.clock.mono_ns()
        if not shared.began_ns:
            return now_ns + 3_600_000_000_000
        if self._begins is None:
            self._begins = shared.began_ns, now_ns + shared.began_ns - self.clock.wall_ns()
        wall_ns, mono_ns = self._begins
        return mono_ns + shared.began_ns - wall_ns

    def has_room(self) -> bool:
        """Whether one flight more may be in the air."""
        return sum(one.flying for one in self.slices) < self.limit

    def look(self) -> str:
        """Why the run may not go on, once it is so."""
        self.broken = self.broken or self.watch.holds()
        return self.broken

    def pump(self) -> None:
        """Let all fire, the one with least in the air first."""
        for one in sorted(self.slices, key=_flying):
            one.pump()

    def fired(self) -> int:
        """Exchanges fired so far."""
        return self.landed + sum(one.fired for one in self.slices)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a worker has of a partition: the partition, how it knows that it still holds it, and how it commits."""

    partition: int
    partitions: int
    start: int
    """The position from which the work is not finished."""
    holds: Callable[[], bool]
    commit: Callable[[int], None]
    """Commits in the epoch of the hold; blocks; Fenced where that is over."""
    thread: Executor
    """The journal's thread, shared by all slices of the worker."""
    commit_thread: Executor
    """Its own: while a group changes, a commit waits for what comes of it, and firing does not."""


class Slice(Replay):
    """One partition, from where it was committed to its end."""

    def __init__(
        self,
        journal: Journal,
        shared: Shared,
        targets: Sequence[Target],
        options: ReplayOptions,
        hold: Hold,
        crowd: Crowd,
    ) -> None:
        part = Part(hold.partition, hold.partitions, hold.thread, self, self._durable)
        super().__init__(journal, shared.run, targets, options, part)
        self._shared, self._hold, self._crowd = shared, hold, crowd
        self._watch = crowd.watch
        self._window = Window(hold.start)
        self._closed = self._leaving = False
        self._committed = hold.start
        self._committed_at = time.monotonic()
        self._commit_task: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Slice {self._hold.partition} of {self._run}, {self._window!r}>"

    # the gate of its firing

    def may_fire(self) -> bool:
        """Whether it is this worker's, and the run goes on."""
        shared = self._shared
        holding = shared.paused_ns or self._halted or self._crowd.broken
        return bool(shared.began_ns) and not holding and self.may_write()

    def may_write(self) -> bool:
        """Whether it is this worker's. Once it was not, it never is again: another one may have had it meanwhile."""
        if not self._closed and not self._hold.holds():
            self._closed = True
        return not self._closed

    def has_room(self) -> bool:
        """Whether the worker has a place at the targets."""
        return self._crowd.has_room()

    def landed(self) -> None:
        """A place is free."""
        self._crowd.pump()

    # what the crowd sees

    @property
    def flying(self) -> int:
        """Flights in the air."""
        return self._volleys.flying

    @property
    def fired(self) -> int:
        """Exchanges fired and answered or failed."""
        return self._volleys.landed

    def pump(self) -> None:
        """Fire what may be fired."""
        self._volleys.pump()

    # one partition instead of all

    async def work_off(self, leaving: asyncio.Event) -> None:
        """Fire to the end of the partition, or until the worker leaves. Fenced once it is another's."""
        try:
            await self.run(leaving, _nothing)
            end = await self._in_thread(self._journal.end, work_topic(self._run), self._hold.partition)
            await self._commit(self._window.reach if self._leaving else max(end, self._window.reach))
        finally:
            self._closed = True
            if self._commit_task is not None:
                await asyncio.gather(self._commit_task, return_exceptions=True)
            if self in self._crowd.slices:
                self._volleys.stopping = True
                self._crowd.slices.remove(self)
                self._crowd.landed += self.fired
                self._crowd.pump()

    def _start(self) -> None:
        self._volleys.start_ns = self._crowd.begins_ns(self._shared)
        self._crowd.slices.append(self)

    def _count(self) -> int:
        return 0

    def _work(self) -> Work:
        hold = self._hold
        for entry in self._journal.read(work_topic(self._run), hold.partition, hold.start):
            try:
                items = decode_frame(entry.frame, WorkItem)
            except FrameDamaged:  # counted by the journal; the ledger shows what is missing
                items = []
            self._window.begin(entry.position, [item.seq for item in items])
            yield items

    def _flight_of(self, item: WorkItem) -> Flight | None:
        if self._past.is_done(item.seq):
            self._window.done(item.seq)
        return super()._flight_of(item)

    def _durable(self, batch: Sequence[Observation]) -> None:
        for observation in batch:
            self._window.done(observation.seq)

    def _is_halted(self) -> bool:
        """A worker holds its fire while it is told to, and goes on afterwards: the run is others', too."""
        self._halted = self._options.halted()
        return False

    def _look(self) -> None:
        if not self._hold.holds() or (self._closed and not self._leaving):
            self._closed = self._volleys.stopping = True
            raise Fenced(f"partition {self._hold.partition} of run {self._run} is another worker's now")
        self._volleys.start_ns = self._crowd.begins_ns(self._shared)
        if self._shared.cancelled and not self._volleys.stopping:
            self._volleys.stopping = True
            self._changed()
        self.pump()
        self._commit_now_and_then()

    def _commit_now_and_then(self) -> None:
        if self._commit_task is not None:
            if not self._commit_task.done():
                return
            self._commit_task.result()
            self._commit_task = None
        if self._window.reach > self._committed and time.monotonic() - self._committed_at > COMMIT_S:
            self._committed_at = time.monotonic()
            self._commit_task = asyncio.ensure_future(self._commit(self._window.reach))

    async def _commit(self, position: int) -> None:
        if position > self._committed:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._hold.commit_thread, self._hold.commit, position)
            self._committed = max(self._committed, position)

    async def _heed(self, stop: asyncio.Event) -> None:
        """The worker leaves: no new shots. What is in the air has a few seconds; the rest is for who takes the partition."""
        await stop.wait()
        self._leaving = self._volleys.stopping = True
        self._changed()
        await asyncio.sleep(self._options.drain_s)
        self._closed = True
        self._over.set()

    def _why_early(self) -> str:
        if self._volleys.down is not None:
            return super()._why_early()
        return INTERRUPTED if self._shared.cancelled else ""


def _flying(one: Slice) -> int:
    return one.flying


def _nothing(_done: int, _all: int) -> None:
    """Progress is told by the worker."""
