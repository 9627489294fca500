"""The differ's worker: tail a run's observations, compare, store results. ``python -m differ.worker HOME RUN [JOURNAL [NAME LEASE]]``.

Its stdin is the leash: end of file says that no observation will follow, and the worker ends when it has read all there are. It
may be killed at any instant and started again: rows have identities, and a position is committed only after its rows are stored.
An observation that takes long, or ends it, is set aside (:mod:`differ.watch`) for :mod:`differ.second_look`.
"""

from __future__ import annotations

import gc
import os
import select
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec

from differ.attempts import ASIDE, Attempts, Place
from differ.descriptors import Registry, registry_of
from differ.parts import POLL_S, Everything, Parts, Shared
from differ.profile_rows import profile_of
from differ.rows import RowMaker, all_alike
from differ.rules_custom import AT_ONCE_S, Functions
from differ.sequential import Live
from differ.watch import HARD_S, SOFT_S, SetAside, Watch
from echolane import log
from echolane.errors import EcholaneError, StoreDown
from echolane.frame import FrameDamaged, decode_frame
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.ledger import Counters
from echolane.observation import Observation
from echolane.runspec import RunSpec
from echolane.store import Store, open_store

BATCH_ROWS = 10_000
"""Rows of one insert: a column store likes large ones."""
BATCH_BYTES = 16 * 1024 * 1024
"""Values of rows are cut, but many differences add up; an insert is sent early at about this size."""
BATCH_S = 0.5
"""A person who watches sees rows at most this old, and a fast run holds no more rows at once than a slow one holds a second."""
GROUP = "differ"
AT = "at"
"""Ending of the file that says where it is."""
SURE = "sure"
"""The gauge of places that changed for sure so far, in the run's mapped file; a worker that is started again begins anew."""

STORE = "ECHOLANE_STORE"
"""The variable that says where results go: a run gives it to its worker, whatever its flags and its file say."""
SAYS = "says: "
"""Before a line on stderr that is for the person who watches."""
EXIT_STORE_DOWN = 75
"""How a process ends that has waited for the store in vain (EX_TEMPFAIL): another one would not fare better."""


class Worker:
    """Compares the observations of one run."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        spec: RunSpec,
        attempts: Attempts,
        watch: Watch,
        gauges: Counters,
        parts: Parts | None = None,
    ) -> None:
        self._journal, self._store, self._gauges = journal, store, gauges
        self._attempts, self._watch = attempts, watch
        self.functions = Functions(AT_ONCE_S, aside=True)
        self._maker = RowMaker(spec, spec.differ, self.functions, registry(spec.differ.descriptors))
        if profile := profile_of(store, spec).profile:
            # From the first exchange on: what base does by itself is never sure to be branch's doing.
            self._maker.live = Live(noisy=profile.noisy())
        self._topic = f"observations.{spec.run}"
        self._since = time.monotonic()
        self._next: dict[int, int] = {}
        self._moved = False
        """Whether anything was read since the last commit, also where it makes no row."""
        self._parts = parts or Everything(journal, self._topic, GROUP)

    def drain(self) -> int:
        """Compare what is there now; how many observations."""
        count = 0
        mine = self._parts.mine()
        for partition in self._parts.lost():
            self._next.pop(partition, None)
        for partition in mine:
            start = self._next.get(partition)
            if start is None:
                start = self._parts.start(partition)
            for entry in self._journal.read(self._topic, partition, start):
                try:
                    observations = decode_frame(entry.frame, Observation)
                except FrameDamaged as error:
                    log.event("observations.damaged", position=entry.position, why=str(error))
                    observations = []
                if not self._moved:
                    self._moved, self._since = True, time.monotonic()
                for record, observation in enumerate(observations):
                    self._add(observation, partition, entry.position, record)
                count += len(observations)
                self._next[partition] = entry.position + 1
                if self._full():
                    self.flush()
        if count:
            self._gauges.set(SURE, len(self._maker.live.sure))
        return count

    def _add(self, observation: Observation, partition: int, position: int, record: int) -> None:
        """One row more; what compares nothing can do no harm, and what is set aside gets its row elsewhere."""
        if all_alike(observation.shots):
            self._maker.add(observation, partition, position)
            return
        place = Place(partition, position, record)
        if place in self._attempts.found:
            return
        try:
            self._watch.enter(place)
            judged = self._maker.judged(observation)
            self._watch.keep()
        except SetAside as aside:
            self._watch.leave()
            # Its process may be in the middle of an answer.
            self.functions.close()
            self._attempts.add(ASIDE, place, str(aside) or f"it computed for more than {SOFT_S:g} s")
            return
        self._maker.put(observation, partition, position, judged)
        self._watch.leave()

    def _full(self) -> bool:
        late = self._moved and time.monotonic() - self._since > BATCH_S
        return late or len(self._maker) >= BATCH_ROWS or self._maker.bytes >= BATCH_BYTES

    def flush(self) -> None:
        """Store the rows, then commit how far they reach."""
        flush_rows(self._store, self._maker)
        self._moved = False
        for partition in self._parts.commit(self._next):
            del self._next[partition]

    def run(self, leash: int) -> None:
        """Drain until the leash is let go and nothing is left, or at once where others go on with what is left."""
        over, poll_s = False, self._parts.poll_s
        while True:
            count = self.drain()
            if self._full():
                self.flush()
            if over and not (count and poll_s == POLL_S):
                break
            if not over and (not count or poll_s != POLL_S):
                over = bool(select.select([leash], [], [], 0 if count else poll_s)[0])
        self.flush()


def flush_rows(store: Store, maker: RowMaker) -> None:
    """Store what was compared."""
    if len(maker):
        # Samples first: they are found by rows, and a repetition after a kill replaces both.
        if samples := maker.samples.columns():
            store.insert("samples", samples)
        store.insert("results", maker.take())


def registry(path: str) -> Registry | None:
    """What messages of protobuf are called, by the file that the settings name."""
    if not path:
        return None
    try:
        return registry_of(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        # Without names a message is still compared, by the numbers of its fields: not worth a run.
        log.event("descriptors.unreadable", path=path, why=str(error))
        return None


def gauges_of(home: Path, run: str) -> Path:
    """The mapped file in which the worker says how far it is."""
    return home / "runs" / f"{run}.live"


@contextmanager
def opened(home: Home, run: str) -> Generator[tuple[Journal, Store, RunSpec]]:
    """What a process that compares a run stands on."""
    log.to(home.log / "worker.log")
    gc.freeze()
    journal = open_journal(home)
    try:
        with open_store(home.path, os.environ.get(STORE, ""), tell=_say, patient=True) as store:
            rows = store.query("SELECT spec FROM runs_v WHERE run = {run:String}", {"run": run})
            if not rows:
                raise EcholaneError(f"there is no run {run} in {home.path}")
            yield journal, store, msgspec.json.decode(rows[0]["spec"], type=RunSpec)
    finally:
        journal.close()


def home_of(argv: list[str]) -> Home:
    """The home and the journal that a process is started with."""
    return Home(Path(argv[0]), argv[2] if len(argv) > 2 else "")


def main(argv: list[str]) -> int:
    """Compare one run to its end, or, with a name and a lease, the share of it that this process holds."""
    home, run, *share = home_of(argv), argv[1], *argv[3:]
    name = f"{run}.{share[0]}" if share else run
    attempts = Attempts(home.runs, run)
    with (
        opened(home, run) as (journal, store, spec),
        closing(Watch(attempts, home.runs / f"{name}.{AT}", HARD_S, SOFT_S)) as watch,
        closing(Counters(gauges_of(home.path, name))) as gauges,
        closing(
            Shared(journal, f"observations.{run}", GROUP, float(share[1]))
            if share
            else Everything(journal, f"observations.{run}", GROUP)
        ) as parts,
    ):
        worker = Worker(journal, store, spec, attempts, watch, gauges, parts)
        with closing(worker.functions):
            worker.run(sys.stdin.fileno())
    return 0


def _say(text: str) -> None:
    print(SAYS + text, file=sys.stderr, flush=True)  # noqa: T201 - whoever started us listens


def end(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a process that compares to its end; its last line says what went wrong."""
    try:
        sys.exit(main(sys.argv[1:]))
    except StoreDown as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        sys.exit(EXIT_STORE_DOWN)
    except EcholaneError as error:
        sys.exit(f"echolane: {error}")


if __name__ == "__main__":
    end(main)
