"""The diff worker: for each shared run a process that compares the partitions it holds, started again when it dies.

What a comparison costs its process is noted and set aside as in a run of one's own (:mod:`console.comparing`); the second look at it is
taken by one diff worker of a home. Runs that are accounted for and that nobody closes are closed here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

from console.closing import Closer
from console.comparing import WORKER, Process, second
from differ import worker
from differ.attempts import Attempts
from echolane import log
from echolane.errors import EcholaneError, HomeError
from echolane.home import Home
from echolane.journal import Journal
from echolane.lease import held
from echolane.runlog import RunLog, Shared, Told, tell_progress
from echolane.settings import Settings
from echolane.store import QueryError, Store
from echolane.tracing import span
from replayer.observing import observations_topic
from replayer.worker import GONE_S

LOOK_S = 0.05
"""How often processes are looked after."""
LISTEN_S = 0.3
TELL_S = 1.0
CLOSE_LOOK_S = 2.0
"""How often it is asked whether a run is accounted for; who asked for it looks more often, and mostly closes it."""
GRACE_S = 3.0
"""How long a run that is accounted for is left to who asked for it."""
AGAIN_S = 2.0
RUNS_MAX = 4
"""Runs that a worker is at once: a process each."""
HELD_MAX = 8
"""With those that are paused."""
WAITING_TOLD_MAX = 16
"""Runs that wait their turn and of which it is told that somebody is there."""
WAITING_TELL_S = 5.0
FORGIVEN = 50
"""Deaths of its process that were no comparison's, before a worker leaves a run to others: it may be killed, or its journal not answer."""
END_S = 10.0
"""How long a process of a run that has ended may take to end."""


def _nobody() -> None:
    pass


class DiffWorker:
    """One worker."""

    def __init__(self, journal: Journal, store: Store, home: Home, settings: Settings, name: str) -> None:
        self.name = name
        self._journal, self._store, self._home, self._settings = journal, store, home, settings
        self._words = RunLog(journal, name)
        self._at: dict[str, _AtRun] = {}
        self._not_before: dict[str, float] = {}
        self._waiting_told_at = 0.0
        self._at_length: Callable[[], None] = _nobody

    def __repr__(self) -> str:
        return f"<DiffWorker {self.name}, at {len(self._at)} runs>"

    def run(self, stop: threading.Event, at_length: Callable[[], None] = _nobody) -> None:
        """Work until it is stopped; what it holds is let go of in good order. ``at_length`` hears when what begins may take long."""
        self._at_length = at_length
        self._words.prepare()
        listened = 0.0
        try:
            while not stop.wait(LOOK_S):
                if time.monotonic() - listened > LISTEN_S:
                    listened = time.monotonic()
                    self._listen()
                for run, at in list(self._at.items()):
                    self._look(run, at)
        finally:
            for at in self._at.values():
                at.leave()

    def _listen(self) -> None:
        self._at_length()
        try:
            self._words.hear()
        except EcholaneError as error:  # the door has tried for as long as it is told to; so do we
            log.event("worker.deaf", worker=self.name, error=str(error))
        waiting: list[str] = []
        for shared in self._words.active():
            if shared.run in self._at or time.monotonic() < self._not_before.get(shared.run, 0.0):
                continue
            if not self._has_place():
                waiting.append(shared.run)
            elif self._is_there(shared.run):
                self._at[shared.run] = _AtRun(self, shared)
        if waiting and time.monotonic() - self._waiting_told_at > WAITING_TELL_S:
            self._waiting_told_at = time.monotonic()
            for run in waiting[:WAITING_TOLD_MAX]:
                self.tell(run)

    def _is_there(self, run: str) -> bool:
        """Whether a run still has its topics: a process for one that retention has removed would die again and again."""
        with suppress(EcholaneError):
            if observations_topic(run) in self._journal.topics():
                return True
        self._not_before[run] = time.monotonic() + GONE_S
        return False

    def _has_place(self) -> bool:
        """Whether it may take up one run more. One that is paused keeps no other waiting."""
        return sum(not at.paused for at in self._at.values()) < RUNS_MAX and len(self._at) < HELD_MAX

    def _look(self, run: str, at: _AtRun) -> None:
        try:
            if at.look():
                return
        except (EcholaneError, QueryError) as error:
            log.event("worker.left-run", worker=self.name, run=run, error=str(error))
            self.tell(run, str(error))
        del self._at[run]
        self._not_before[run] = time.monotonic() + AGAIN_S
        at.leave()

    # what it is at a run with

    def process(self, shared: Shared, attempts: Attempts) -> Process:
        """The process that compares this worker's share of a run."""
        run, home = shared.run, self._home
        words = [str(home.path), run, home.journal_url, self.name, str(self._settings.replay.lease_s)]
        at = home.runs / f"{run}.{self.name}.{worker.AT}"
        return Process("the differ's worker", [*WORKER, *words], attempts, at, self._settings.store, FORGIVEN)

    def second(self, run: str, attempts: Attempts) -> Process:
        """The second look of a run."""
        return second(self._home, run, attempts, store=self._settings.store)

    def closer(self, shared: Shared) -> Closer:
        """Who looks whether a run is accounted for."""
        return Closer(self._journal, self._store, self._words, shared)

    def tell(self, run: str, trouble: str = "", aside: int = 0) -> None:
        """Say that it is there, or why it does nothing."""
        self._at_length()
        with suppress(EcholaneError):  # only a picture
            tell_progress(self._journal, run, Told(self.name, "diff", time.time_ns(), trouble=trouble, aside=aside))

    def at_length(self) -> None:
        """What begins now may take long."""
        self._at_length()

    @property
    def home(self) -> Home:
        """Where it keeps what it set aside."""
        return self._home


class _AtRun:
    """One worker at one run."""

    def __init__(self, worker: DiffWorker, shared: Shared) -> None:
        self._worker, self._shared = worker, shared
        self._attempts = Attempts(worker.home.runs, shared.run)
        self._process = worker.process(shared, self._attempts)
        self._second: Process | None = None
        self._stack = ExitStack()
        # One for all that it compares of the run: its process stores a batch twice a second, for hours, and the rows tell of each exchange.
        told = {
            "echolane.run": shared.run,
            "echolane.service": shared.asked.spec.service,
            "echolane.worker": worker.name,
        }
        self._stack.enter_context(span("compare share", told, parent=shared.asked.trace, apart=True))
        self._closer = worker.closer(shared)
        self._told_at = self._asked_at = 0.0
        self._whole_since = 0.0

    @property
    def paused(self) -> bool:
        """Whether the run stands still."""
        return bool(self._shared.paused_ns)

    def look(self) -> bool:
        """Look after it; False when there is nothing left to do."""
        if self._shared.ended or self._process.ended:
            return False
        self._process.look()
        if self._process.failed is not None:
            raise self._process.failed
        self._look_again()
        now = time.monotonic()
        if now - self._told_at > TELL_S:
            self._told_at = now
            self._worker.tell(self._shared.run, aside=len(self._attempts.pending))
        if now - self._asked_at > CLOSE_LOOK_S:
            self._close()
            self._asked_at = time.monotonic()
        return True

    def _look_again(self) -> None:
        self._attempts.refresh()
        if self._second is None and self._attempts.pending:
            lease = self._worker.home.runs / f"{self._shared.run}.aside.lock"
            with suppress(HomeError):  # another worker of this home looks at them
                self._stack.enter_context(held(lease, "the second look"))
                self._second = self._worker.second(self._shared.run, self._attempts)
        if self._second is not None:
            self._second.look()
            # Begun anew in a while: what it was to look at would keep the run open for ever.
            if self._second.failed is not None:
                raise self._second.failed

    def _close(self) -> None:
        """Close a run that is accounted for, when nobody else does."""
        self._worker.at_length()
        if not self._closer.is_accounted_for():
            self._whole_since = 0.0
        elif not self._whole_since:
            self._whole_since = time.monotonic()
        elif time.monotonic() - self._whole_since > GRACE_S:
            self._closer.close()

    def leave(self) -> None:
        """End its processes in good order, or in a bad one when they take too long."""
        for process in (self._process, self._second):
            if process is None or process.ended:
                continue
            process.let_go()
            deadline = time.monotonic() + END_S
            while not process.ended and time.monotonic() < deadline:
                process.pause()
                process.look()
            if not process.ended:
                process.kill()
        self._stack.close()
