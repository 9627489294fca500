"""What is on its way when a recording ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bench.ports import free_port
from capture import account, record
from capture.pipe import PipeWriter
from echolane.errors import HomeError
from echolane.home import open_home
from echolane.lease import held
from echolane.ledger import capture_identities
from echolane.settings import Settings

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WAIT_S = 120.0


async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    writer.close()


async def asked(port: int) -> None:
    """One request through the relay."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /one HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
    assert await reader.readexactly(len(ANSWER)) == ANSWER
    writer.close()


async def at_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, again: Callable[[], Awaitable[None]]
) -> dict[str, int]:
    """What a recording counts whose recorder dies after one exchange, before five more and the end; ``again`` comes before its successor."""
    monkeypatch.setattr(record, "RESTART_S", (600.0, 600.0))
    monkeypatch.setattr(record, "prepare_process", lambda: None)  # of the whole process, which is the tests' here
    monkeypatch.setattr(record.log, "to", lambda _: None)
    home, settings = open_home(folder / "home"), Settings()
    upstream = await asyncio.start_server(served, "127.0.0.1", 0)
    behind, port, stop = upstream.sockets[0].getsockname(), free_port(), asyncio.Event()
    partitions = record.prepared(home, "shop", settings)
    session = account.next_session(home, "shop")
    died = asyncio.Event()
    monkeypatch.setattr(record.log, "event", lambda name, **_: died.set() if name == "recorder.died" else None)
    start = record.Recording._start_recorder

    async def started(recording: record.Recording, pipe: PipeWriter) -> None:
        if died.is_set():
            await again()
        await start(recording, pipe)

    monkeypatch.setattr(record.Recording, "_start_recorder", started)
    with held(session.lock, "the session of the test"):
        recording = record.Recording(home, session, settings, partitions)
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            group.create_task(recording.run(("127.0.0.1", port), (behind[0], behind[1]), stop))
            while True:
                try:
                    await asked(port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            recorder = recording._recorder
            assert recorder is not None
            os.kill(recorder.pid, signal.SIGKILL)
            await died.wait()
            for _ in range(5):
                await asked(port)
            stop.set()
    counts = record.closed(home, session)
    upstream.close()
    assert capture_identities(counts) == [], counts
    assert counts["seen"] == 6
    return counts


async def test_an_end_does_not_wait_for_a_pause_of_the_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that died is started at once when the recording is to end, and takes what came without one."""

    async def again() -> None:
        pass

    counts = await at_the_end(tmp_path, monkeypatch, again)
    assert counts["stored"] >= 5, counts
    assert "dropped{relay-died}" not in counts


async def test_an_end_waits_for_a_recorder_that_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes to start it: the time in which it has to take something begins when it is there."""
    monkeypatch.setattr(record, "DRAIN_S", 3.0)

    async def again() -> None:
        await asyncio.sleep(4.0)

    counts = await at_the_end(tmp_path, monkeypatch, again)
    assert counts["stored"] >= 5, counts


async def test_an_end_without_a_recorder_counts_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no recorder can take any more was too much for it; the relay did not die."""
    monkeypatch.setattr(record, "END_S", 1.0)

    async def again() -> None:
        raise HomeError("there is no room for a process")

    counts = await at_the_end(tmp_path, monkeypatch, again)
    assert counts["dropped{recorder-busy}"] >= 5, counts
    assert "dropped{relay-died}" not in counts
