"""``record``: start relay and recorder, keep them going, drain, print the ledger."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import msgspec

from capture.account import Session, ledger_of, next_session
from capture.pipe import PipeWriter
from capture.recorder import Task
from capture.relay import Relay
from echolane import log, service
from echolane.errors import UsageError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.keys import load_mark_key, load_seal_keys
from echolane.lease import held
from echolane.ledger import Counters, capture_identities
from echolane.recordings import topic_of
from echolane.retention import expire
from echolane.settings import Settings

DRAIN_S = 10.0
"""Connections in use get this long to end after SIGTERM, then they are closed."""
RECORDER_WAIT_S = 30.0
"""The recorder stores what it has within a second on a sound disk; a hanging one is ended."""
RESTART_S = (0.2, 5.0)
"""A recorder that dies is started again after the first, doubling up to the second: a crash loop costs little CPU."""
WATCH_S = 0.1


def record(home: Home, name: str, listen: tuple[str, int], upstream: str, settings: Settings) -> int:
    """Record until SIGINT or SIGTERM; 0 when drained. Raises UsageError or HomeError before anything is accepted."""
    prepare(home, name, settings)
    session = next_session(home, name)
    with held(session.lock, f"session {session.epoch} of {name}"):
        code = service.run(lambda stop: Recording(home, session, settings).run(listen, upstream, stop))
    counts = ledger_of(session)
    say(ledger_line(counts))
    for wrong in capture_identities(counts):
        say(f"the ledger does not balance: {wrong}")
    return code


def say(text: str) -> None:
    """Talk to whoever started the recording."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - talk goes to stderr


def prepare(home: Home, name: str, settings: Settings) -> None:
    """Find out before a client comes that keys, journal and ledger can be used."""
    load_seal_keys(home.keys, os.environ)
    load_mark_key(home.keys, os.environ)
    journal = open_journal(home.path)
    try:
        journal.create(topic_of(name), settings.journal.partitions)
        expire(journal, time.time_ns(), settings.journal.retention_days)
    finally:
        journal.close()


def ledger_line(counts: dict[str, int]) -> str:
    """``seen 12 = stored 11 + spooled 0 + dropped{filtered} 1``."""
    dropped = "".join(f" + {name} {value}" for name, value in sorted(counts.items()) if name.startswith("dropped{"))
    others = "".join(f", {name} {counts[name]}" for name in ("upgraded", "upstream-refused") if counts.get(name))
    return f"seen {counts['seen']} = stored {counts['stored']} + spooled {counts['spooled']}{dropped}{others}"


class Recording:
    """One session: the relay in this process, the recorder beside it."""

    def __init__(self, home: Home, session: Session, settings: Settings) -> None:
        self._home, self._session, self._settings = home, session, settings
        self._counters = Counters(session.relay)
        self._authority = ""
        self._recorder: subprocess.Popen[bytes] | None = None

    async def run(self, listen: tuple[str, int], upstream: str, stop: asyncio.Event) -> int:
        """Serve until ``stop``; then drain."""
        parts = urlsplit(upstream)
        self._authority = f"{listen[0]}:{listen[1]}"
        loop = asyncio.get_running_loop()
        log.to(self._home.log / "relay.log")
        limits = (self._settings.capture.request_body_kept, self._settings.capture.answer_body_kept)
        pipe = PipeWriter(loop, self._counters.add)
        relay = Relay((parts.hostname or "", parts.port or 80), self._counters, pipe, limits)
        self._start_recorder(pipe)
        with ExitStack() as stack:
            stack.callback(self._end_recorder)
            try:
                server = await loop.create_server(relay.client, *listen, backlog=1024, reuse_address=True)
            except OSError as error:
                pipe.close()
                raise UsageError(f"cannot listen on {listen[0]}:{listen[1]}: {error.strerror or error}") from error
            await self._check_upstream(relay.upstream)
            say(f"recording {self._session.service} on {self._authority} before {upstream}")
            await self._watch(pipe, stop)
            server.close()
            await self._drain(relay)
            pipe.flush()
            await self._handed(pipe)
            if lost := pipe.close():
                self._counters.add("dropped{recorder-busy}", lost)
        return 0

    async def _check_upstream(self, upstream: tuple[str, int]) -> None:
        """A service that is not there yet is no error: it may start later. It is said."""
        try:
            async with asyncio.timeout(2.0):
                transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *upstream)
            transport.close()
        except (OSError, TimeoutError):
            say(f"warning: nothing answers at {upstream[0]}:{upstream[1]} yet")

    def _start_recorder(self, pipe: PipeWriter) -> None:
        ours, theirs = socket.socketpair()
        task = Task(
            str(self._home.path),
            self._session.service,
            self._session.agent,
            self._session.epoch,
            self._authority,
            self._settings,
            theirs.fileno(),
        )
        command = [sys.executable, "-P", "-m", "capture.recorder", msgspec.json.encode(task).decode()]
        self._recorder = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        pipe.connect(ours)

    async def _watch(self, pipe: PipeWriter, stop: asyncio.Event) -> None:
        """Until ``stop``: start a recorder that died again, and count what died with it."""
        pause = RESTART_S[0]
        while not stop.is_set():
            try:
                async with asyncio.timeout(WATCH_S):
                    await stop.wait()
            except TimeoutError:
                pass
            if self._recorder is not None and self._recorder.poll() is not None:
                log.event("recorder.died", code=self._recorder.returncode)
                self._mourn(pipe.disconnect())
                await asyncio.sleep(pause)
                pause = min(pause * 2, RESTART_S[1])
                self._start_recorder(pipe)

    def _mourn(self, half_handed: int) -> None:
        """Count a batch that was cut in the middle; the rest of a dead recorder's loss is settled from the journal."""
        if half_handed:
            self._counters.add("handed", half_handed)

    async def _drain(self, relay: Relay) -> None:
        deadline = time.monotonic() + DRAIN_S
        for client in list(relay.clients):
            client.finish()
        # Bounded, and a set of connections has no event to wait for.
        while relay.clients and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        for client in list(relay.clients):
            client.abort()
        await asyncio.sleep(0)

    async def _handed(self, pipe: PipeWriter) -> None:
        deadline = time.monotonic() + DRAIN_S
        # Bounded; it is empty at once unless the recorder hangs.
        while not pipe.empty and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def _end_recorder(self) -> None:
        """The pipe is closed: the recorder stores what it has and ends."""
        if self._recorder is None:
            return
        try:
            self._recorder.wait(RECORDER_WAIT_S)
        except subprocess.TimeoutExpired:
            self._recorder.kill()
            self._recorder.wait()
