"""The differ's processes beside a run: the worker, and the second look at what it sets aside. Started, started again, and awaited."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from console.output import say
from differ import second_look, worker
from differ.attempts import Attempts
from differ.verdict import count
from differ.watch import settle
from differ.worker import EXIT_STORE_DOWN, SAYS, STORE, SURE, gauges_of
from echolane.errors import EcholaneError, StoreDown
from echolane.home import Home
from echolane.ledger import read_counters
from echolane.runspec import RunSpec
from echolane.service import ended_by
from echolane.settings import Differ
from echolane.store.address import address_of
from echolane.tracing import span

HUNG_S = 600.0
"""How long a process may stand at one exchange, or store rows, after the last shot. Computing is bounded by seconds (:mod:`differ.watch`),
so one that stands still for ten minutes waits for something that will not come."""
LOOK_S = 0.05
"""How soon a death is seen: well below the second for which comparing may stand still."""
WORKER = [sys.executable, "-P", "-m", "differ.worker"]
SECOND_LOOK = [sys.executable, "-P", "-m", "differ.second_look"]
"""Home, run and the journal's URL follow."""
WORDS_BYTES = 4096
"""Of what a process said last."""


class Process:
    """One process after the other until one ends in good order.

    A death within a comparison is noted for its observation, which is set aside at once and given up after three, so those are at
    most three for each exchange. Any other death is forgiven once: results have identities and a repetition changes nothing.
    """

    def __init__(
        self, what: str, command: list[str], attempts: Attempts, at: Path, store: str, forgiven: int = 1
    ) -> None:
        self._what, self._command, self._attempts, self._at, self._store = what, command, attempts, at, store
        self._forgiven = forgiven
        # How long a store is waited for is its own matter, and told.
        self._hung_s = HUNG_S + (address_of(store, os.environ).wait_s if store else 0.0)
        self._others, self._over = 0, False
        self._seen, self._moved = b"", time.monotonic()
        self.failed: EcholaneError | None = None
        self.ended = False
        self._start()

    def _start(self) -> None:
        """In a session of its own, so that Ctrl-C reaches only us and it can finish its work."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
            env={**os.environ, STORE: self._store},  # not as an argument, where everybody could read a password
        )
        self._heard = 0
        if self._over:
            self.let_go()

    def let_go(self) -> None:
        """Say that nothing more will come: it ends when it has done all there is."""
        self._over, self._moved = True, time.monotonic()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def look(self) -> None:
        """See whether it has ended, and start another one where it should not have."""
        if self.ended:
            return
        self._hear()
        if self.process.poll() is None:
            if self._over and self._hangs():
                self.process.kill()
            return
        code, words = self.process.returncode, self._words()
        if code == 0 and self._over:
            self.ended = True
            return
        self._died(code, words)

    def _hear(self) -> None:
        """Pass on what it has to say while it goes on: that it waits for the store."""
        # Read by position: the file's own is shared with the process that writes.
        said = os.pread(self._errors.fileno(), WORDS_BYTES, self._heard)
        lines, _, _ = said.rpartition(b"\n")
        self._heard += len(lines) + 1 if lines else 0
        for line in lines.decode("utf-8", "replace").splitlines():
            if line.startswith(SAYS):
                say(line.removeprefix(SAYS))

    def _died(self, code: int, words: str) -> None:
        if code == EXIT_STORE_DOWN:  # another one would wait in vain, too
            self.failed, self.ended = StoreDown(words), True
            return
        how = f"{ended_by(code)}: {words}" if words else ended_by(code)
        if not settle(self._attempts, self._at, f"it {how}", ended=self.process.pid):
            self._others += 1
            if self._others > self._forgiven:
                self.failed = EcholaneError(
                    f"comparing failed {'twice' if self._others == 2 else f'{self._others} times'} ({code}): {words or 'no output'}"
                )
                self.ended = True
                return
        say(f"{self._what} {how}; starting it again")
        if self.process.stdin is not None:
            self.process.stdin.close()
        self._start()

    def _hangs(self) -> bool:
        """Whether it has stood still for longer than anything takes."""
        now, seen = time.monotonic(), self._at.read_bytes() if self._at.exists() else b""
        if seen != self._seen:
            self._seen, self._moved = seen, now
        return now - self._moved > self._hung_s

    def _words(self) -> str:
        """The last line it said."""
        with self._errors as file:
            file.seek(max(0, file.seek(0, 2) - WORDS_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def pause(self) -> None:
        """Until the next look, or its end."""
        try:
            self.process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            pass

    def kill(self) -> None:
        """End it: what it did is of no use any more."""
        self.process.kill()
        self.process.wait()
        self.let_go()
        self._errors.close()
        self.ended = True


class _Comparing:
    """The worker and, once something was set aside, the second look. One thread at a time calls."""

    def __init__(self, home: Home, run: str, store: str = "") -> None:
        self._home, self._run, self._store = home, run, store
        self._attempts = Attempts(home.runs, run)
        at = home.runs / f"{run}.{worker.AT}"
        command = [*WORKER, str(home.path), run, home.journal_url]
        self._worker = Process("the differ's worker", command, self._attempts, at, store)
        self._second: Process | None = None

    def _look(self) -> None:
        self._worker.look()
        self._attempts.refresh()
        if self._second is None and self._attempts.pending:
            self._second = second(self._home, self._run, self._attempts, None, self._store)
        if self._second is not None:
            self._second.look()

    def watch(self, over: threading.Event) -> None:
        """See deaths while the run fires."""
        try:
            while not self._worker.ended and not over.wait(LOOK_S):
                self._look()
        except EcholaneError:  # a disk that is full; the end of the run meets it too, and there it is told
            return

    def finish(self) -> None:
        """Say that no observation will follow, and wait until all were compared."""
        self._worker.let_go()
        while not self._worker.ended:
            self._worker.pause()
            self._look()
        if self._worker.failed is not None:
            if self._second is not None:
                self._second.kill()
            raise self._worker.failed
        if self._second is not None:
            finish(self._second)


def second(home: Home, run: str, attempts: Attempts, bounds: Differ | None = None, store: str = "") -> Process:
    """The second look of a run, with bounds other than those of its firing where they are given."""
    words = [] if bounds is None else [msgspec.json.encode(bounds).decode()]
    command = [*SECOND_LOOK, str(home.path), run, home.journal_url, *words]
    return Process("the second look", command, attempts, home.runs / f"{run}.{second_look.AT}", store)


def finish(process: Process) -> None:
    """Let a process end in good order; EcholaneError when that cannot be had."""
    process.let_go()
    while not process.ended:
        process.pause()
        process.look()
    if process.failed is not None:
        raise process.failed


class Sure:
    """What the worker says is sure while the run goes on (:mod:`differ.sequential`)."""

    def __init__(self, home: Home, spec: RunSpec) -> None:
        self._path, self._stops = gauges_of(home.path, spec.run), spec.stop_early
        self._changed = 0

    def look(self) -> None:
        """Read how far the worker is; ten times a second is soon enough."""
        # What was sure once stays so: a worker that is started again begins anew.
        self._changed = max(self._changed, read_counters(self._path).get(SURE, 0))

    @property
    def told(self) -> str:
        """For a person who watches; empty while nothing is sure."""
        return f"{count(self._changed, 'place')} changed for sure" if self._changed else ""

    def decided(self) -> bool:
        """Whether the rest need not be fired."""
        return self._stops and self._changed > 0


@contextmanager
def comparing(home: Home, spec: RunSpec, store: str = "") -> Generator[None]:
    """The differ's processes, from now until they have compared all that was observed when the block ends.

    Their stdin is the leash: end of file says that nothing more will come.
    """
    both, over = _Comparing(home, spec.run, store), threading.Event()
    watcher = threading.Thread(target=both.watch, args=(over,), name="worker-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        with span("compare"):
            both.finish()
