"""The differ's worker beside a run: started, started again when it dies, and awaited."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

from console.output import say
from differ.attempts import deaths_of
from differ.verdict import count
from differ.worker import SURE, gauges_of
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.ledger import read_counters
from echolane.runspec import RunSpec

WORKER_WAIT_S = 600.0
"""How long the worker may go on comparing after the last shot: it runs beside the replay and is seconds behind at most;
ten minutes without an end means that it hangs."""
LOOK_S = 0.2
"""How soon a death is seen: well below the second for which comparing may stand still."""
COMMAND = [sys.executable, "-P", "-m", "differ.worker"]
"""The worker; home and run follow."""


class _Worker:
    """One worker after the other until one ends in good order.

    A death within a comparison is counted for its observation, which is set aside in the end (:mod:`differ.attempts`), so those
    are at most three for each exchange. Any other death is forgiven once: results have identities and a repetition changes nothing.
    """

    def __init__(self, home: Home, spec: RunSpec) -> None:
        self._home, self._spec = home, spec
        self._deaths, self._others = 0, 0
        self.failed: EcholaneError | None = None
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        """A process of its own session, so that Ctrl-C reaches only us and it can finish its work."""
        return subprocess.Popen(
            [*COMMAND, str(self._home.path), self._spec.run],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def died(self, errors: bytes) -> None:
        """Start another one, or note why that is of no use."""
        code = self.process.returncode
        words = (errors.decode("utf-8", "replace").strip().splitlines() or ["no output"])[-1]
        deaths = deaths_of(self._home.runs, self._spec.run, f"{code}: {words}"[:400])
        if deaths == self._deaths:
            self._others += 1
            if self._others > 1:
                self.failed = EcholaneError(f"comparing failed twice ({code}): {words}")
                return
        self._deaths = deaths
        say(f"the differ's worker ended with {code} ({words}); starting it again")
        self.process = self._start()

    def watch(self, over: threading.Event) -> None:
        """See deaths while the run fires."""
        while self.failed is None and not over.wait(LOOK_S):
            if self.process.poll() is not None:
                _, errors = self.process.communicate()
                self.died(errors)

    def finish(self) -> None:
        """Say that no observation will follow, and wait until all were compared."""
        while self.failed is None:
            try:
                _, errors = self.process.communicate(timeout=WORKER_WAIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                _, errors = self.process.communicate()
            if self.process.returncode == 0:
                return
            self.died(errors)
        raise self.failed


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
def comparing(home: Home, spec: RunSpec) -> Generator[None]:
    """The differ's worker, from now until it has compared all that was observed when the block ends.

    Its stdin is the leash: end of file says that no observation will follow.
    """
    worker, over = _Worker(home, spec), threading.Event()
    watcher = threading.Thread(target=worker.watch, args=(over,), name="worker-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        worker.finish()
