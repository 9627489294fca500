"""What is on its way when a recording ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from capture import account, record
from echolane.home import open_home
from echolane.lease import held
from echolane.ledger import capture_identities
from echolane.settings import Settings
from tests.e2e.world import free_port

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WAIT_S = 30.0


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


async def test_an_end_does_not_wait_for_a_pause_of_the_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that died is started at once when the recording is to end, and takes what came without one."""
    monkeypatch.setattr(record, "RESTART_S", (600.0, 600.0))
    monkeypatch.setattr(record, "prepare_process", lambda: None)  # of the whole process, which is the tests' here
    monkeypatch.setattr(record.log, "to", lambda _: None)
    home, settings = open_home(tmp_path / "home"), Settings()
    upstream = await asyncio.start_server(served, "127.0.0.1", 0)
    behind, port, stop = upstream.sockets[0].getsockname(), free_port(), asyncio.Event()
    partitions = record.prepared(home, "shop", settings)
    session = account.next_session(home, "shop")
    died = asyncio.Event()
    monkeypatch.setattr(record.log, "event", lambda name, **_: died.set() if name == "recorder.died" else None)

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
    assert counts["stored"] >= 5, counts
    assert "dropped{relay-died}" not in counts
