"""Ask workers for a run (``--workers shared``): plan it into the journal, show how far they are, and tell the verdict.

The run does not need its asker any more once it is asked for: whoever is there works on it, and one that ends while nobody waits is
closed by a diff worker (:mod:`console.closing`). Only copies that ``--base-cmd`` and ``--branch-cmd`` start live as long as this process.
"""

from __future__ import annotations

import argparse
import signal
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import orjson

from console.closing import Closer
from console.conduct import EXIT_OF_REASON, EXITS, save_run, tell
from console.output import say
from console.progress import Progress
from console.surroundings import same_place, store_of
from differ.verdict import count
from echolane import ids
from echolane.errors import EXIT_INTERRUPTED, Inconclusive, StoreDown, UsageError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.lease import held
from echolane.retention import expire, expire_profiles
from echolane.runlog import ASKED, CANCEL, Asked, RunLog, Shared, Watching, progress_topic
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.store import Store
from replayer.copies import started_copies
from replayer.fire import ReplaySummary
from replayer.intents import intents_topic
from replayer.observing import observations_topic
from replayer.plan import make_plan, work_topic
from replayer.targets import check_reachable

NOBODY_S = 60.0
"""After so long without a word of a worker the person who waits is told."""
WAIT_S = 300.0
"""And after so long the waiting ends, unless ``--wait`` says otherwise."""
LOOK_S = 0.3
CLOSE_LOOK_S = 1.0
"""The store is asked for the rows of the run once a second: that folds them."""


def machine() -> str:
    """What tells this machine from others: addresses of its own mean nothing elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()}/{boot}"


def ask(args: argparse.Namespace, home: Home, settings: Settings, spec: RunSpec, *, resume: bool) -> int:
    """Have a run done and write its outputs; the exit code of its verdict."""
    if spec.stop_early:
        raise UsageError("--stop-early is for runs of one process; leave it out, or add --workers own")
    with ExitStack() as stack:
        stack.enter_context(held(home.path / "runs" / f"{spec.run}.lock", f"run {spec.run}"))
        journal = open_journal(home)
        stack.callback(journal.close)
        store = stack.enter_context(store_of(args, home))
        words = RunLog(journal, ids.uuid7(time.time_ns()))
        words.prepare()
        words.hear()
        selected, turn = planned(journal, store, home, settings, spec, words, resume=resume)
        spec = stack.enter_context(started_copies(home, spec, say))
        check_reachable(spec.targets)
        save_run(store, spec, "shared")
        words.say(spec.run, ASKED, msgspec.json.encode(Asked(spec, selected, turn, machine())))
        shared = words.find(spec.run)
        assert shared is not None  # noqa: S101 - it was said just now
        waiting = _Waiting(journal, store, words, shared, args.wait)
        try:
            with interrupted(waiting):
                result = waiting.until_closed()
        except StoreDown as error:
            raise StoreDown(
                f"{error}; its workers go on with it: echolane show {spec.run}{same_place(args)}"
            ) from error
    if result is None:
        return EXIT_INTERRUPTED
    state = "finished" if result["reason_code"] not in EXIT_OF_REASON else "interrupted"
    tell(args, result, ReplaySummary(state))
    return EXIT_OF_REASON.get(result["reason_code"], EXITS[result["verdict"]])


def planned(
    journal: Journal, store: Store, home: Home, settings: Settings, spec: RunSpec, words: RunLog, *, resume: bool
) -> tuple[int, str]:
    """How many exchanges the run has, and in which turn it is asked for; its topics are made."""
    if resume:
        before = words.find(spec.run)
        if before is None:
            raise UsageError(f"run {spec.run} was asked for too long ago to go on with it; run it anew")
        return before.asked.selected, str(int(before.asked.turn) + 1)
    expire(journal, home.runs, time.time_ns(), settings.journal.retention_days)
    expire_profiles(store, time.time_ns())
    plan = make_plan(journal, home, spec, settings)
    if plan.selected == 0:
        raise Inconclusive(f"the recording of `{spec.service}` is empty, so there is nothing to compare")
    for topic in (observations_topic(spec.run), intents_topic(spec.run)):
        journal.create(topic, journal.partitions(work_topic(spec.run)))
    journal.create(progress_topic(spec.run), 1)
    return plan.selected, "1"


class _Waiting:
    """Waits for a run that others do."""

    def __init__(self, journal: Journal, store: Store, words: RunLog, shared: Shared, wait_s: float) -> None:
        self._store, self._words, self._shared, self._wait_s = store, words, shared, wait_s
        self._watching = Watching(journal, shared.run)
        self._closer = Closer(journal, store, words, shared)
        self._heard_at, self._told = time.monotonic(), False
        self._looked_at = 0.0
        self._count = {"replay": 0, "diff": 0}
        self.signals = 0

    def until_closed(self) -> dict[str, Any] | None:
        """The run's result; None when the person did not wait for it, Inconclusive when there are no workers."""
        with Progress() as progress:
            while True:
                self._words.hear()
                if self._shared.ended:
                    return self._stored()
                self._look_for_workers()
                result = self._look_for_end()
                done = min(self._shared.asked.selected, max(self._closer.rows, self._watching.fired()))
                progress.update(done, self._shared.asked.selected, f"{self._closer.rows:,} compared, {self._workers()}")
                if result is not None:
                    return result
                if self.signals and not self._shared.cancelled:
                    self._words.say(self._shared.run, CANCEL, b"interrupted")
                    say("cancelled; waiting for what is in the air (Ctrl-C again leaves at once)")
                if self.signals > 1:
                    self._give_up()
                    return None
                time.sleep(LOOK_S)

    def _look_for_end(self) -> dict[str, Any] | None:
        if time.monotonic() - self._looked_at < CLOSE_LOOK_S:
            return None
        self._looked_at = time.monotonic()
        return self._closer.close() if self._closer.is_accounted_for() else None

    def _look_for_workers(self) -> None:
        """Tell who came, and when nobody is there."""
        now = time.monotonic()
        if self._watching.look():
            self._heard_at, self._told = now, False
            for role, seen in self._count.items():
                if self._watching.count(role) > seen:
                    self._count[role] = self._watching.count(role)
                    say(f"{count(self._count[role], f'{role} worker')} at run {self._shared.run}")
            return
        silent_s = now - self._heard_at
        nothing = f"no worker has been heard for {silent_s:.0f} s"
        start = "start some with `echolane worker replay` and `echolane worker diff`, or add --workers own"
        if silent_s > self._wait_s:
            self._give_up()
            raise Inconclusive(f"{nothing}, so run {self._shared.run} was not done; {start}")
        if silent_s > NOBODY_S and not self._told:
            self._told = True
            say(f"{nothing}; {start}")

    def _give_up(self) -> None:
        """Nobody waits any more: what is not fired stays so."""
        if not self._shared.cancelled:
            self._words.say(self._shared.run, CANCEL, b"interrupted")
        save_run(self._store, self._shared.asked.spec, "interrupted")

    def _stored(self) -> dict[str, Any] | None:
        """The result that another one has written."""
        rows = self._store.query("SELECT result FROM runs_v WHERE run = {run:String}", {"run": self._shared.run})
        return orjson.loads(rows[0]["result"]) if rows and rows[0]["result"] else None

    def _workers(self) -> str:
        return f"{count(self._watching.count('replay'), 'replay worker')}, {count(self._watching.count('diff'), 'diff worker')}"


@contextmanager
def interrupted(waiting: _Waiting) -> Generator[None]:
    """Count SIGINT and SIGTERM instead of ending."""

    def note(_number: int, _frame: FrameType | None) -> None:
        waiting.signals += 1

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["ask", "machine"]
