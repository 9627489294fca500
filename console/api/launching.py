"""Have runs done: each is ``echolane run`` in a process of its own, so many at once, the others in a queue that outlives the server.

What was asked for stands in ``HOME/runs/RUN.asked`` before it is answered, and as a row of the store, so that a run that was accepted is
done even if the server is killed at once: the next one takes it up. A child lives on without its server, which finds it again by the
lock that it inherited and by the lease of its run. Where workers share runs (``replay.workers``, a journal on Kafka) the child only asks
them, and can be replaced at any time. Which of the queue may begin is decided by :mod:`console.api.turns`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson

from console.api.claims import claim_of
from console.api.turns import Claim, Wait, turns
from echolane import log
from echolane.errors import EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_REFUSED, EXIT_UNAVAILABLE, HomeError
from echolane.home import Home
from echolane.lease import is_held, tell_holder
from echolane.store import QueryError, Store
from echolane.store.versions import version_after
from echolane.tracing import handed_on, here
from echolane.whole import write_whole

AWAY = (HomeError, OSError, QueryError)
"""What store or disk may say to the conclusion of a run; it waits then, and the server goes on."""
LOOK_S = 0.5
GRACE_S = 30.0
"""A run that is told to end closes what it has: seconds. One that does not is killed, and can be gone on with."""
AWAY_S = 5.0
"""Between two looks whether a store or a disk that was away takes again what a run came to."""
KEYS_MAX = 100_000
"""Idempotency keys that are remembered, the newest: weeks of a busy server, some 20 MB."""
SAID_BYTES = 64 * 1024
"""Of what a child says; the end of it tells how far it is, or what was wrong."""
QUEUED, RUNNING, ENDED = "queued", "running", "ended"
REASONS = {
    EXIT_INCONCLUSIVE: "nothing-compared",
    EXIT_UNAVAILABLE: "target-unavailable",
    EXIT_REFUSED: "refused",
    EXIT_INTERRUPTED: "interrupted",
}


class QueueFull(Exception):  # noqa: N818 - the word of style.md
    """As many runs wait as may."""


class Asked(msgspec.Struct):
    """A run that the server was asked for."""

    run: str
    service: str
    by: str
    at_ns: int
    words: list[str]
    """Flags of ``echolane run``."""
    key: str = ""
    fingerprint: str = ""
    """Of the request, so that its key is not used for another."""
    state: str = QUEUED
    code: int = -1
    said: str = ""
    """The last line of a child that came to no result."""
    trace: str = ""
    """The span of the call that asked for it, as a ``traceparent``: the run is of its trace."""
    claim: Claim | None = None
    """Where it fires; None until it is kept, and in files of older versions."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a child says it is."""

    done: int = 0
    total: int | None = None


class Launcher:
    """The runs of one server. On the loop, but for the store."""

    def __init__(self, home: Home, store: Store, places: Sequence[str], at_once: int, queued_max: int) -> None:
        self._home, self._store, self._places = home, store, list(places)
        self._at_once, self._queued_max = at_once, queued_max
        self._queue: deque[Asked] = deque(maxlen=queued_max + at_once + 1)
        self._unkept: set[str] = set()
        """Runs of the queue that are not on the disk yet: they are not begun before, nor are those behind them."""
        self._waits: dict[str, Wait] = {}
        """What runs of the queue wait for, beside their turn. Replaced whole, so that any thread may look."""
        self._going: dict[str, Asked] = {}
        self._keys: dict[str, Asked] = {}
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._told: set[str] = set()
        """Those of them that were told to end."""
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Launcher {len(self._going)}/{self._at_once} runs, {len(self._queue)}/{self._queued_max} queued>"

    @property
    def counts(self) -> tuple[int, int]:
        """How many runs go on, and how many wait."""
        return len(self._going), len(self._queue)

    def known(self, key: str) -> Asked | None:
        """The run that was asked for with this key."""
        return self._keys.get(key)

    def sees_through(self, run: str) -> bool:
        """Whether this server has a child at it that has not been concluded."""
        return run in self._going

    def find(self, run: str) -> Asked | None:
        """A run that this home's servers were asked for."""
        try:
            return msgspec.json.decode(self._file(run).read_bytes(), type=Asked)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def wait_of(self, run: str) -> Wait | None:
        """What a queued run waits for, beside its turn."""
        return self._waits.get(run)

    async def ask(self, asked: Asked) -> None:
        """Take a run into the queue; it is kept when this returns. QueueFull where too many wait."""
        if len(self._queue) >= self._queued_max:
            raise QueueFull
        asked.trace = asked.trace or here()
        if asked.key:
            self._remember(asked)
        self._queue.append(asked)  # before anything is waited for: two who ask at once get two places
        self._unkept.add(asked.run)
        try:
            await asyncio.to_thread(self._claim, asked)
            await asyncio.to_thread(self._keep, asked, row=asked.words[:1] != ["--resume"])
        except BaseException:
            self._queue.remove(asked)
            self._keys.pop(asked.key, None)
            raise
        finally:
            self._unkept.discard(asked.run)
        self._changed.set()

    async def cancel(self, run: str) -> bool:
        """Give a run up that waits, or that a child of this server does; False where it is neither."""
        for asked in self._queue:
            if asked.run == run:
                self._queue.remove(asked)
                self._changed.set()  # somebody may have waited for it
                asked.state, asked.code, asked.said = ENDED, EXIT_INTERRUPTED, "cancelled before it began"
                await asyncio.to_thread(self._keep, asked, row=False)
                await asyncio.to_thread(self._save_row, asked, "interrupted", "interrupted")
                return True
        child = self._children.get(run)
        if child is None or child.returncode is not None:
            return False
        self._told.add(run)
        child.send_signal(signal.SIGINT)
        return True

    def progress(self, run: str) -> Progress:
        """How far the child of a run says it is."""
        for line in reversed(self._lines(run)):
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                told = orjson.loads(line)
                return Progress(int(told["done"]), int(told["total"]) or None)
        return Progress()

    async def work(self, stop: asyncio.Event) -> None:
        """Start what waits, see it through, and let go of it in good order when told to stop."""
        for asked in await asyncio.to_thread(self._left_behind):
            self._remember(asked)
            if asked.state == QUEUED:
                self._queue.append(asked)
            elif asked.state == RUNNING:
                self._going[asked.run] = asked
        async with asyncio.TaskGroup() as tasks:
            for asked in list(self._going.values()):
                tasks.create_task(self._adopted(asked, stop))
            while not stop.is_set():
                for asked in self._turns():
                    self._queue.remove(asked)
                    self._going[asked.run] = asked
                    tasks.create_task(self._seen_through(asked, stop))
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._changed.wait()

    def _turns(self) -> list[Asked]:
        """Runs of the queue that may begin now; notes what others wait for."""
        kept = list(itertools.takewhile(lambda asked: asked.run not in self._unkept, self._queue))
        found = turns(_claims(self._going.values()), _claims(kept), self._at_once - len(self._going))
        self._waits = found.waits
        begin = set(found.begin)
        return [asked for asked in kept if asked.run in begin]

    async def _seen_through(self, asked: Asked, stop: asyncio.Event) -> None:
        """One run from its start to its end."""
        asked.state, code = RUNNING, EXIT_INTERRUPTED
        try:
            await asyncio.to_thread(self._keep, asked, row=False)
            child = await self._started(asked)
            self._children[asked.run] = child
            waiting, stopping = asyncio.ensure_future(child.wait()), asyncio.ensure_future(stop.wait())
            await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            again = child.returncode is None and await self._let_go(asked, child)
            code = await waiting
            await self._concluded(asked, code, again=again)
        except AWAY as error:
            log.event("run.lost", run=asked.run, error=str(error))
            await self._concluded_late(asked, code, stop)
        finally:
            self._going.pop(asked.run, None)
            self._children.pop(asked.run, None)
            self._told.discard(asked.run)
            self._changed.set()

    async def _concluded_late(self, asked: Asked, code: int, stop: asyncio.Event) -> None:
        """What a run came to, once store and disk take it; one that came to nothing is done again. With a stop the next server does."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AWAY_S):
                    await stop.wait()
            with contextlib.suppress(*AWAY):
                await self._concluded(asked, code, again=asked.run not in self._told)
                if asked.state == QUEUED and not stop.is_set():
                    self._queue.appendleft(asked)  # without a pause before who calls this lets go of it
                return

    async def _started(self, asked: Asked) -> asyncio.subprocess.Process:
        first = [] if asked.words[:1] == ["--resume"] else [f"--run-id={asked.run}", f"--service={asked.service}"]
        command = [sys.executable, "-m", "console.main", "run", *first, *asked.words, "--progress=json", *self._places]
        said = os.open(self._said(asked.run), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # Not the description that is its stderr, which what it starts may inherit, too.
        lives = os.open(self._said(asked.run), os.O_RDWR)
        try:
            # Locked before it is there: from its first instant it is known to live, also to a server that comes after this one.
            fcntl.flock(lives, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=said,
                pass_fds=[lives],
                env=handed_on(os.environ, asked.trace),
                start_new_session=True,  # Ctrl-C is for the server, which tells its children itself
            )
        finally:
            os.close(lives)
            os.close(said)

    async def _let_go(self, asked: Asked, child: asyncio.subprocess.Process) -> bool:
        """End a child because the server ends; whether the run is to be gone on with."""
        shared = await asyncio.to_thread(self._row_state, asked.run) == "shared"
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL if shared else signal.SIGINT)  # workers need no asker
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await child.wait()
            if child.returncode is None:
                child.kill()
        return True

    async def _concluded(self, asked: Asked, code: int, *, again: bool) -> None:
        state = await asyncio.to_thread(self._row_state, asked.run)
        if again and state not in {"finished", "failed"}:
            asked.state = QUEUED
            if state != QUEUED:  # it had begun
                asked.words = ["--resume", asked.run]
        else:
            asked.state, asked.code = ENDED, code
            why = code not in {0, 1} and not (
                again and state == "finished"
            )  # of an adopted child nobody knows the code
            asked.said = self._last_line(asked.run) if why else ""
            if asked.run in self._told and state != "finished":
                # Whatever it was at when it was told, it ends for that.
                asked.code, asked.said = EXIT_INTERRUPTED, "cancelled"
        began = asked.state != ENDED or state not in {QUEUED, ""}
        told = asked.code in {EXIT_INTERRUPTED, -signal.SIGINT}
        if not began and not told:  # first, since an end that has no row yet is read as an interruption
            await asyncio.to_thread(self._save_row, asked, "failed", REASONS.get(code, ""))
        await asyncio.to_thread(self._keep, asked, row=False)
        if not began and told:  # cancelled before it fired anything
            await asyncio.to_thread(self._save_row, asked, "interrupted", "interrupted")

    async def _adopted(self, asked: Asked, stop: asyncio.Event) -> None:
        """A child of a server that was killed: it goes on, or is gone on with; with this server it ends as one of its own would."""
        while self._goes_on(asked.run) and not stop.is_set():  # noqa: ASYNC110 - it is a lock of another process
            await asyncio.sleep(LOOK_S)
        try:
            if stop.is_set() and not await self._ended(asked.run):
                return
            await self._concluded(asked, EXIT_INTERRUPTED, again=True)
            if asked.state == QUEUED:
                self._queue.appendleft(asked)  # it began before all that wait
        except AWAY as error:
            log.event("run.lost", run=asked.run, error=str(error))
            await self._concluded_late(asked, EXIT_INTERRUPTED, stop)
        finally:
            self._going.pop(asked.run, None)
            self._changed.set()

    async def _ended(self, run: str) -> bool:
        """End a child of another server; False where it will not. One that has no lease yet says in a moment who it is."""
        lease, deadline = self._home.runs / f"{run}.lock", time.monotonic() + GRACE_S
        shared = await asyncio.to_thread(self._row_state, run) == "shared"  # workers need no asker
        told = False
        while self._goes_on(run) and time.monotonic() < deadline:
            told = told or tell_holder(lease, signal.SIGKILL if shared else signal.SIGINT)
            await asyncio.sleep(LOOK_S / 10)
        if self._goes_on(run):
            tell_holder(lease, signal.SIGKILL)
            await asyncio.sleep(LOOK_S)
        return not self._goes_on(run)

    def _goes_on(self, run: str) -> bool:
        """Whether a child of any server, or somebody at a shell, is at it."""
        return is_held(self._said(run)) or is_held(self._home.runs / f"{run}.lock")

    def _left_behind(self) -> list[Asked]:
        found = [self.find(path.name.removesuffix(".asked")) for path in sorted(self._home.runs.glob("*.asked"))]
        left = [asked for asked in found if asked is not None]
        for asked in left:
            if asked.state != ENDED:
                self._claim(asked)
            if asked.state == QUEUED and not self._row_state(asked.run):
                self._save_row(asked, QUEUED, "")
        return left

    def _remember(self, asked: Asked) -> None:
        if asked.key:
            self._keys[asked.key] = asked
            if len(self._keys) > KEYS_MAX:
                del self._keys[next(iter(self._keys))]

    def _claim(self, asked: Asked) -> None:
        asked.claim = asked.claim or claim_of(self._store, asked.run, asked.words)

    def _keep(self, asked: Asked, *, row: bool) -> None:
        write_whole(self._file(asked.run), msgspec.json.encode(asked))
        if row:
            self._save_row(asked, QUEUED, "")

    def _save_row(self, asked: Asked, state: str, reason_code: str) -> None:
        now = time.time_ns()
        over = state != QUEUED
        columns = {
            "run": asked.run,
            "version": version_after(self._store, "runs", asked.run),
            "service": asked.service,
            "state": state,
            "started_at": asked.at_ns,
            "finished_at": now if over else 0,
            "verdict": "inconclusive" if over else "",
            "reason_code": reason_code,
        }
        self._store.insert("runs", {name: [value] for name, value in columns.items()})

    def _row_state(self, run: str) -> str:
        rows = self._store.query("SELECT state FROM runs_v WHERE run = {run:String}", {"run": run})
        return str(rows[0]["state"]) if rows else ""

    def _last_line(self, run: str) -> str:
        lines = [line for line in self._lines(run) if not line.startswith(b"{")]
        text = lines[-1].decode("utf-8", "replace") if lines else "the run's process was ended from outside"
        return text.removeprefix("echolane: ")[:500]

    def _lines(self, run: str) -> list[bytes]:
        try:
            with self._said(run).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - SAID_BYTES))
                return [line for line in file.read().splitlines() if line.strip()]
        except OSError:
            return []

    def _file(self, run: str) -> Path:
        return self._home.runs / f"{run}.asked"

    def _said(self, run: str) -> Path:
        return self._home.runs / f"{run}.said"


def _claims(runs: Iterable[Asked]) -> Iterator[tuple[str, Claim]]:
    return ((asked.run, asked.claim or Claim()) for asked in runs)
