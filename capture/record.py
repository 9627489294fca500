"""``record``: start relay and recorder, keep the recorder going, drain, print the ledger.

The relay runs in this process, the recorder beside it (:mod:`capture.recorder`); nothing here ever waits for the recorder while
clients are served.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import msgspec

from capture import account
from capture.account import Session, ledger_line
from capture.pipe import PipeWriter
from capture.recorder import READY, Task
from capture.relay import ClientSide, Relay
from echolane import log, service
from echolane.errors import HomeError, JournalDown, UsageError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.keys import load_mark_key, load_seal_keys
from echolane.lease import held
from echolane.ledger import Counters, Counts, capture_identities
from echolane.recordings import topic_of
from echolane.settings import Settings

DRAIN_S = 10.0
"""Connections in use get this long to end after SIGTERM, then they are closed; so does the recorder for each step of what waits in the pipe."""
END_S = 30.0
"""How long what waits in the pipe may take in all: a recorder that has to be started first, on a busy machine, and then 32 MiB."""
READY_WAIT_S = 60.0
"""A recorder starts in half a second; on a machine that swaps, in many."""
RECORDER_WAIT_S = 20.0
"""The recorder stores what it has within a second on a sound disk; one that hangs is ended, and what it had is counted."""
RESTART_S = (0.1, 5.0)
"""A recorder that dies is started again after the first, doubling up to the second: a crash loop costs little CPU."""
STEADY_S = 30.0
"""One that lived this long is started again at once."""
BACKLOG = 4096
"""Connections the kernel completes for us while we are busy; net.core.somaxconn may make it less."""


def record(home: Home, name: str, listen: tuple[str, int], upstream: str, settings: Settings) -> Counts:
    """Record until SIGINT or SIGTERM; the ledger when drained. Raises UsageError or HomeError before anything is accepted."""
    address = upstream_address(upstream)
    load_seal_keys(home.keys, os.environ)
    load_mark_key(home.keys, os.environ)
    partitions = prepared(home, name, settings)
    session = account.next_session(home, name)
    with held(session.lock, f"session {session.epoch} of `{name}`"):
        recording = Recording(home, session, settings, partitions)
        service.run(lambda stop: recording.run(listen, address, stop))
    counts = closed(home, session)
    say(f"recorded {name}: {ledger_line(counts)}")
    for wrong in capture_identities(counts):
        say(f"the ledger does not balance: {wrong}")
    return counts


def prepared(home: Home, name: str, settings: Settings) -> int:
    """A topic for the service, and how many partitions it has; the accounts of dead sessions are closed.

    A journal on other machines may be away: then what is recorded waits on the disk, and the service is served.
    """
    topic = topic_of(name)
    try:
        journal = open_journal(home)
        try:
            if topic not in journal.topics():  # the partitions of one that exists are fixed
                journal.create(topic, settings.journal.partitions)
            if not home.journal_url:  # else the recorder does it, which also knows what is on the disk
                account.settle_dead(home, journal, name)
            return journal.partitions(topic)
        finally:
            journal.close()
    except JournalDown as error:
        if not settings.capture.spool_bytes:
            raise
        say(f"warning: {error}; until then what is recorded waits in {home.spool}")
        return settings.journal.partitions


def closed(home: Home, session: Session) -> Counts:
    """The session's ledger at its end. What only a journal that is away could tell, the next start settles."""
    if home.journal_url:
        return account.settle(None, session)
    journal = open_journal(home)
    try:
        return account.settle(journal, session)
    finally:
        journal.close()


def say(text: str) -> None:
    """Talk to whoever started the recording."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - talk goes to stderr


def upstream_address(upstream: str) -> tuple[str, int]:
    """Host and port of the service behind."""
    try:
        parts = urlsplit(upstream)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"--upstream `{upstream}` is not a URL ({error}); use http://HOST:PORT") from error
    if parts.scheme != "http" or not parts.hostname or port == 0:
        raise UsageError(f"--upstream `{upstream}` is not a plain HTTP URL; use http://HOST:PORT")
    return parts.hostname, port or 80


class Recording:
    """One session: the relay in this process, the recorder beside it."""

    def __init__(self, home: Home, session: Session, settings: Settings, partitions: int) -> None:
        self._home, self._session, self._settings, self._partitions = home, session, settings, partitions
        self._counters = Counters(session.relay)
        self._authority = ""
        self._recorder: asyncio.subprocess.Process | None = None
        self._ending = False

    def __repr__(self) -> str:
        return f"<Recording {self._session.service}, epoch {self._session.epoch}, {self._counters!r}>"

    async def run(self, listen: tuple[str, int], upstream: tuple[str, int], stop: asyncio.Event) -> None:
        """Serve until ``stop``; then drain."""
        self._authority = f"[{listen[0]}]:{listen[1]}" if ":" in listen[0] else f"{listen[0]}:{listen[1]}"
        log.to(self._home.log / "relay.log")
        loop = asyncio.get_running_loop()
        pipe = PipeWriter(loop, self._counters)
        try:
            await self._start_recorder(pipe)
            listener = self._listen(listen)
            async with asyncio.TaskGroup() as group:
                limits = (self._settings.capture.request_body_kept, self._settings.capture.answer_body_kept)

                def connect(client: ClientSide) -> None:
                    group.create_task(client.connect_upstream())

                relay = Relay(upstream, pipe, limits, connect)
                prepare_process()
                server = await loop.create_server(lambda: ClientSide(relay), sock=listener, backlog=BACKLOG)
                keeper = group.create_task(self._keep_recorder(pipe, stop))
                await self._welcome(upstream)
                await stop.wait()
                server.close()
                await self._drain(relay, pipe)
                self._ending = True
                keeper.cancel()
        finally:
            pipe.disconnect()
            await self._end_recorder()

    def _listen(self, listen: tuple[str, int]) -> socket.socket:
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        try:
            return socket.create_server(listen, family=family, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise UsageError(
                f"--listen {self._authority} cannot be used ({why}); is another program listening there?"
            ) from error

    async def _welcome(self, upstream: tuple[str, int]) -> None:
        """Say that it works. A service that is not there yet is no error: it may start later."""
        say(f"recording {self._session.service} on {self._authority} before {upstream[0]}:{upstream[1]}")
        try:
            async with asyncio.timeout(2.0):
                transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *upstream)
            transport.close()
        except (OSError, ValueError) as error:
            why = str(error) or "no answer in 2 s"
            say(f"warning: {upstream[0]}:{upstream[1]} cannot be reached yet ({why}); until then clients get a 502")

    async def _start_recorder(self, pipe: PipeWriter) -> None:
        """A recorder that is ready. Nothing is written to it before: what it was handed and did not store would be lost with it."""
        ours, theirs = socket.socketpair()
        with theirs:
            task = Task(
                str(self._home.path),
                self._session.service,
                self._session.agent,
                self._session.epoch,
                self._authority,
                self._settings,
                theirs.fileno(),
                self._counters.get("delivered"),
                self._partitions,
            )
            self._recorder = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "capture.recorder",
                msgspec.json.encode(task).decode(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is for the relay, which drains first
            )
        try:
            await self._wait_ready(self._recorder)
        except BaseException:
            ours.close()
            raise
        pipe.connect(ours)

    async def _wait_ready(self, recorder: asyncio.subprocess.Process) -> None:
        """What keeps the recorder from its work is said before the port accepts."""
        assert recorder.stdout is not None  # noqa: S101 - it was asked for
        try:
            async with asyncio.timeout(READY_WAIT_S):
                line = await recorder.stdout.readline()
        except TimeoutError as error:
            raise HomeError(f"the recorder did not start within {READY_WAIT_S:.0f} s; see {self._home.log}") from error
        if line != READY:
            raise HomeError(
                line.decode("utf-8", "replace").strip() or f"the recorder cannot start; see {self._home.log}"
            )

    async def _keep_recorder(self, pipe: PipeWriter, stop: asyncio.Event) -> None:
        """Start a recorder that died again; what died with it, its successor counts. At the end, which waits for what is left, at once."""
        pause = RESTART_S[0]
        while self._recorder is not None:
            started = time.monotonic()
            code = await self._recorder.wait()
            if self._ending:
                return
            log.event("recorder.died", code=code, service=self._session.service)
            pipe.disconnect()
            pause = RESTART_S[0] if time.monotonic() - started > STEADY_S else min(pause * 2, RESTART_S[1])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            try:
                await self._start_recorder(pipe)
            except (
                OSError,
                HomeError,
            ) as error:  # no process, no memory, killed again: what comes meanwhile waits or is shed
                log.event("recorder.not-started", error=str(error))
                if self._recorder.returncode is None:
                    self._recorder.kill()  # it hangs

    async def _drain(self, relay: Relay, pipe: PipeWriter) -> None:
        """Let exchanges end, then let the recorder take what was seen."""
        relay.drain()
        await wait_until(lambda: not relay.clients)
        relay.abort()
        pipe.flush()
        await self._emptied(pipe)
        pipe.end()

    async def _emptied(self, pipe: PipeWriter) -> None:
        """Wait for the recorder while it takes something, or is on its way. Asked every 10 ms: it happens once, at the end."""
        end, least = time.monotonic() + END_S, pipe.backlog
        quiet = time.monotonic() + DRAIN_S
        while not pipe.empty and time.monotonic() < min(end, quiet):
            await asyncio.sleep(0.01)
            if pipe.backlog < least or not pipe.connected:
                least, quiet = min(least, pipe.backlog), time.monotonic() + DRAIN_S

    async def _end_recorder(self) -> None:
        """The pipe is closed: the recorder stores what it has and ends."""
        recorder = self._recorder
        if recorder is None or recorder.returncode is not None:
            return
        try:
            async with asyncio.timeout(RECORDER_WAIT_S):
                await recorder.wait()
        except TimeoutError:
            log.event("recorder.hangs", pid=recorder.pid)
            recorder.kill()
            await recorder.wait()


async def wait_until(done: Callable[[], bool]) -> None:
    """Wait until ``done()``, at most DRAIN_S. Asked every 10 ms: it happens once, at the end."""
    deadline = time.monotonic() + DRAIN_S
    while not done() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is waited for is plain state of the data path
        await asyncio.sleep(0.01)


def prepare_process() -> None:
    """As many connections as the system lets us have; and no walks of the garbage collector over what stays for good."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
