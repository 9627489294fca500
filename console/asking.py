"""Ask workers for a run (``--workers shared``): plan it into the journal, show how far they are, and tell the verdict.

The run does not need its asker any more once it is asked for: whoever is there works on it, and one that ends while nobody waits is
closed by a diff worker (:mod:`console.closing`). Only copies that ``--base-cmd`` and ``--branch-cmd`` start live as long as this process.
"""

from __future__ import annotations

import argparse
import os
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
from console.lost_told import planned_spec
from console.output import say
from console.progress import Progress
from console.run_lease import run_held
from console.surroundings import same_place, store_of
from differ.shared_letters import prepare
from differ.verdict import count
from echolane import ids
from echolane.errors import EXIT_INTERRUPTED, HomeError, Inconclusive, StoreDamaged, StoreDown, UsageError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.keys import load_seal_keys
from echolane.retention import expire, expire_capacities, expire_profiles
from echolane.runlog import ASKED, CANCEL, INTERRUPTED, Asked, RunLog, Shared, Watching, progress_topic
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.store import QueryError, Store
from echolane.tracing import here, span
from replayer.copies import started_copies
from replayer.fire import ReplaySummary
from replayer.intents import intents_topic
from replayer.observing import observations_topic
from replayer.plan import make_plan, work_topic
from replayer.probing import check_targets
from replayer.targets import host_of, is_loopback

NOBODY_S = 60.0
"""After so long without a word of a worker the person who waits is told."""
WAIT_S = 300.0
"""And after so long the waiting ends, unless ``--wait`` says otherwise."""
HEARD, OVER = "heard", "over"
"""What the journal is asked while a run goes on: what was said, and whether all is accounted for."""
NEARLY_S = 2.0
"""Two kinds of workers that fell silent within so long of each other fell silent together."""
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
    if spec.firing.dry_run_header:
        raise UsageError("--dry-run is for runs of one process, which says what was not proven; add --workers own")
    with ExitStack() as stack:
        stack.enter_context(run_held(home, spec.run))
        journal = open_journal(home)
        stack.callback(journal.close)
        store = stack.enter_context(store_of(args, home))
        words = RunLog(journal, ids.uuid7(time.time_ns()))
        words.prepare()
        words.hear()
        shared = going_on(words, spec) if resume else None
        if shared is None:
            spec, selected, turn = planned(journal, store, home, settings, spec, words, resume=resume)
            with span("start copies"):
                spec = stack.enter_context(started_copies(home, spec, say))
            spec = check_targets(home, spec, settings.replay.protected)
            save_run(store, spec, "shared")
            key = load_seal_keys(home.keys, os.environ).current.id.hex()
            asked = Asked(spec, selected, turn, machine(), key, trace=here())
            words.say(spec.run, ASKED, msgspec.json.encode(asked))
            shared = words.find(spec.run)
        else:
            say(f"workers are at run {spec.run} already; waiting for them")
        assert shared is not None  # noqa: S101 - it was said just now, or is going on
        waiting = _Waiting(journal, store, words, shared, args.wait)
        waiting.lines = args.progress == "json"
        try:
            with interrupted(waiting), span("wait for workers"):
                result = waiting.until_closed()
        except HomeError as error:
            raise type(error)(
                f"{error}; its workers go on with it: echolane show {spec.run}{same_place(args)}"
            ) from error
    if result is None:
        return EXIT_INTERRUPTED
    over = result["reason_code"] not in EXIT_OF_REASON and not shared.stopped
    state = "finished" if over else "interrupted"
    tell(args, result, ReplaySummary(state))
    return EXIT_OF_REASON.get(result["reason_code"], EXITS[result["verdict"]])


def going_on(words: RunLog, spec: RunSpec) -> Shared | None:
    """The run as its workers are at it: who asked for it is gone, and they need nobody. None where it must be asked for anew."""
    shared = words.find(spec.run)
    needs_us = any(target.managed for target in spec.targets)
    return None if shared is None or shared.ended or shared.cancelled or needs_us else shared


def planned(
    journal: Journal, store: Store, home: Home, settings: Settings, spec: RunSpec, words: RunLog, *, resume: bool
) -> tuple[RunSpec, int, str]:
    """The run with what was lost of it, how many exchanges it has, and in which turn it is asked for; its topics are made."""
    if resume:
        before = words.find(spec.run)
        if before is None:
            raise UsageError(f"run {spec.run} was asked for too long ago to go on with it; run it anew")
        return spec, before.asked.selected, str(int(before.asked.turn) + 1)
    expire(journal, home.runs, time.time_ns(), settings.journal.retention_days)
    expire_profiles(store, time.time_ns())
    expire_capacities(store, time.time_ns(), settings.replay.capacities_days)
    with span("plan"):
        plan = make_plan(journal, home, spec, settings)
    spec = planned_spec(spec, plan)
    for topic in (observations_topic(spec.run), intents_topic(spec.run)):
        journal.create(topic, journal.partitions(work_topic(spec.run)))
    journal.create(progress_topic(spec.run), 1)
    prepare(home, journal, spec.run)
    return spec, plan.selected, "1"


class _Waiting:
    """Waits for a run that others do."""

    def __init__(self, journal: Journal, store: Store, words: RunLog, shared: Shared, wait_s: float) -> None:
        self._store, self._words, self._shared, self._wait_s = store, words, shared, wait_s
        self._watching = Watching(journal, shared.run)
        self._closer = Closer(journal, store, words, shared)
        now = time.monotonic()
        self._heard_at: dict[str, float] = {"replay": now, "diff": now}
        self._told: set[str] = set()
        self._troubles: set[str] = set()
        self._deaf_since = {HEARD: 0.0, OVER: 0.0}
        """Since when a question to the journal has no answer: what was said, and whether all is accounted for; 0 where it has one."""
        self._stop_told = False
        self._looked_at = 0.0
        self._count = {"replay": 0, "diff": 0}
        self.signals = 0
        self.lines = False
        """Whether progress is told as lines of JSON."""

    def until_closed(self) -> dict[str, Any] | None:
        """The run's result; None when the person did not wait for it, Inconclusive when there are no workers."""
        with Progress(lines=self.lines) as progress:
            while True:
                self._hear()
                if self._shared.ended:
                    return self._stored()
                self._look_for_silence()
                result = self._look_for_end()
                done = min(self._shared.asked.selected, max(self._closer.rows, self._watching.fired()))
                progress.update(done, self._shared.asked.selected, f"{self._closer.rows:,} compared, {self._workers()}")
                if result is not None:
                    return result
                if self.signals and not self._shared.cancelled:
                    self._words.say(self._shared.run, CANCEL, INTERRUPTED.encode())
                    say("cancelled; waiting for what is in the air (Ctrl-C again leaves at once)")
                if self.signals > 1:
                    self._give_up()
                    return None
                time.sleep(LOOK_S)

    def _look_for_end(self) -> dict[str, Any] | None:
        if time.monotonic() - self._looked_at < CLOSE_LOOK_S:
            return None
        self._looked_at = time.monotonic()
        try:
            result = self._closer.close() if self._closer.is_accounted_for() else None
        except (StoreDown, StoreDamaged):
            raise
        except QueryError as error:
            raise HomeError(
                f"the store refuses what a run is closed with: {error}; `echolane doctor` looks at it"
            ) from error
        except HomeError as error:
            self._note_deaf(OVER, error, self._looked_at)
            return None
        self._note_answer(OVER)
        return result

    def _hear(self) -> None:
        """Take in what was said, and tell who came and what is in their way."""
        asked_at = time.monotonic()
        try:
            self._words.hear()
            heard = self._watching.look()
        except HomeError as error:
            self._note_deaf(HEARD, error, asked_at)
            return
        self._note_answer(HEARD)
        if self._shared.stopped and not self._stop_told:
            self._stop_told = True
            say(f"{self._shared.stopped}; waiting for what is in the air")
        for role in heard:
            self._heard_at[role] = time.monotonic()
            self._told.discard(role)
            if self._watching.count(role) > self._count[role]:
                self._count[role] = self._watching.count(role)
                say(f"{count(self._count[role], f'{role} worker')} at run {self._shared.run}")
        for trouble in self._watching.troubles:
            if trouble not in self._troubles:
                say(f"a worker cannot go on: {trouble}")
        self._troubles = set(self._watching.troubles)

    def _note_deaf(self, question: str, error: HomeError, since: float) -> None:
        """The workers have ways of their own to the journal: nothing was heard for a while, that is all. Waited for as workers are."""
        if not any(self._deaf_since.values()):
            say(f"{error}; still waiting for run {self._shared.run}")
        if not self._deaf_since[question]:
            self._deaf_since[question] = since
        elif time.monotonic() - self._deaf_since[question] > self._wait_s:
            raise error

    def _note_answer(self, question: str) -> None:
        """Nobody was silent while nobody could be heard."""
        since, self._deaf_since[question] = self._deaf_since[question], 0.0
        if since and question == HEARD:
            deaf_s = time.monotonic() - since
            self._heard_at = {role: at + deaf_s for role, at in self._heard_at.items()}

    def _look_for_silence(self) -> None:
        """Tell when one of the two kinds of workers is not there, and end when it does not come: neither does the other's work."""
        if self._deaf_since[HEARD]:
            return
        now = time.monotonic()
        silent_s = {role: now - at for role, at in self._heard_at.items()}
        for role, seconds in silent_s.items():
            alone = min(silent_s.values()) < seconds - NEARLY_S
            nothing = f"no {f'{role} ' if alone else ''}worker has been heard for {seconds:.0f} s"
            missing = f"`echolane worker {role}`" if alone else "`echolane worker replay` and `echolane worker diff`"
            start = f"start some with {missing}{self._where()}, or add --workers own"
            if seconds > self._wait_s:
                self._give_up()
                raise Inconclusive(f"{nothing}, so run {self._shared.run} was not done; {start}")
            if seconds > NOBODY_S and not self._told.issuperset(silent_s if not alone else {role}):
                self._told.update(silent_s if not alone else {role})
                say(f"{nothing}; {start}")

    def _where(self) -> str:
        """Where workers must be that can do this run, when not anywhere."""
        local = any(is_loopback(host_of(target.url)) for target in self._shared.asked.spec.targets)
        return " on this machine, whose own addresses the targets have" if local else ""

    def _give_up(self) -> None:
        """Nobody waits any more: what is not fired stays so."""
        if not self._shared.cancelled:
            self._words.say(self._shared.run, CANCEL, INTERRUPTED.encode())
        save_run(self._store, self._shared.asked.spec, "interrupted")

    def _stored(self) -> dict[str, Any] | None:
        """The result that another one has written."""
        rows = self._store.query("SELECT result FROM runs_v WHERE run = {run:String}", {"run": self._shared.run})
        if rows and rows[0]["result"]:
            return orjson.loads(rows[0]["result"])
        raise Inconclusive(
            f"run {self._shared.run} was asked for anew by somebody else; `echolane runs` says how far it is"
        )

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
