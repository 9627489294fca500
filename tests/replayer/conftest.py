"""A stage for replays: a home, recorded exchanges, and small scripted servers that keep what reached them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from bench.ports import free_port
from echolane import ids
from echolane.exchange import Body, Exchange, Headers, Request, Response
from echolane.frame import EXCHANGES, decode_frame, encode_frame
from echolane.home import Home, open_home
from echolane.journal import Journal, open_journal
from echolane.observation import Observation, TargetInfo
from echolane.recordings import everything, topic_of
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.connection import Patience
from replayer.fire import Replay, ReplayOptions, ReplaySummary
from replayer.plan import PlanSummary, make_plan
from replayer.targets import Target, make_targets, resolve

BEGIN_NS = 1_700_000_000_000_000_000
QUICK = Patience(connect_s=1.0, first_byte_s=0.4, total_s=1.0)
"""Where somebody is waited for in vain."""
PATIENT = Patience(connect_s=20.0, first_byte_s=20.0, total_s=40.0)
"""Longer than a machine stands still: what is answered is not late by that."""

Answerer = Callable[[bytes, int], "bytes | list[bytes | float | asyncio.Event] | None"]
"""(request, its number on this server) → the answer; a list is written piece by piece, with pauses or when an event comes; None closes."""


def exchange(
    seq: int,
    target: str = "/",
    *,
    method: str = "GET",
    session: str = "a" * 16,
    start_ms: float | None = None,
    took_ms: float = 0.5,
    headers: Headers | None = None,
    body: Body | None = None,
    answer: Headers | None = None,
    status: int = 200,
    **more: object,
) -> Exchange:
    """A recorded exchange; one every millisecond unless told otherwise."""
    start = BEGIN_NS + int((seq if start_ms is None else start_ms) * 1e6)
    request = Request(
        method, "http", "shop.example", target, "1.1", headers or [(b"Host", b"shop.example")], body or Body()
    )
    response = Response(status, "1.1", answer or [])
    return Exchange(
        ids.uuid7(start), "shop", "0badcafe", 1, seq, session, start, int(took_ms * 1e6), request, response, **more
    )


class Stage:
    """A home with a recording, and what a replay of it gives."""

    def __init__(self, folder: Path) -> None:
        self.home: Home = open_home(folder / "home")
        self.journal: Journal = open_journal(self.home.path)
        self.spec: RunSpec | None = None

    def record(self, exchanges: list[Exchange], *, frame: int = 100, partitions: int = 2) -> None:
        """Append exchanges, in frames that alternate between partitions."""
        topic = topic_of("shop")
        self.journal.create(topic, partitions)
        for at in range(0, len(exchanges), frame):
            part = exchanges[at : at + frame]
            partition = at // frame % partitions
            data = encode_frame(part, kind=EXCHANGES, partition=partition, first_ns=1, last_ns=2)
            self.journal.append(topic, partition, [data])

    def plan(self, urls: list[str], **spec: object) -> PlanSummary:
        """Plan a run at base, control, branch and branch_control."""
        infos = spec.pop("infos", None) or [TargetInfo(url) for url in urls]
        recording = everything(self.journal, "shop", id="0badcafe", now_ns=BEGIN_NS)
        self.spec = RunSpec(ids.uuid7(BEGIN_NS), "shop", recording, infos, **spec)
        return make_plan(self.journal, self.home, self.spec, Settings())

    async def fire(
        self, stop: asyncio.Event | None = None, targets: list[Target] | None = None, **options: object
    ) -> ReplaySummary:
        """Replay the planned run."""
        spec = self.spec
        if targets is None:
            targets = make_targets(spec.targets, spec.allow_hosts, spec.allow_writes, spec.methods)
        chosen = {
            "concurrency": spec.concurrency,
            "paced": spec.pace != "max",
            "probe_gap_s": 0.05,
            "patience": PATIENT,
        } | options
        replay = Replay(self.journal, spec.run, await resolve(targets), ReplayOptions(**chosen))
        return await replay.run(stop or asyncio.Event(), lambda _done, _total: None)

    def observations(self) -> list[Observation]:
        """The latest observation of every exchange, in recorded order."""
        latest: dict[int, Observation] = {}
        for entry in self.journal.read(f"observations.{self.spec.run}", 0):
            for observation in decode_frame(entry.frame, Observation):
                assert observation.attempt > (latest[observation.seq].attempt if observation.seq in latest else 0)
                latest[observation.seq] = observation
        return [latest[seq] for seq in sorted(latest)]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A home with nothing in it."""
    made = Stage(tmp_path)
    yield made
    made.journal.close()


class Scripted:
    """A server of one connection handler; ``seen`` are the requests as they arrived."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer
        self.seen: list[bytes] = []
        self.connections = 0
        self.first: list[bool] = []
        """Of each request, whether it was the first on its connection."""
        self.open: set[asyncio.StreamWriter] = set()
        self.server: asyncio.Server | None = None
        self.port = 0
        self.idle_s: float | None = None
        """Close a connection that has been idle for so long since its last answer."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def lines(self) -> list[str]:
        """Request lines without the version."""
        return [" ".join(request.split(b"\r\n", 1)[0].decode().split()[:2]) for request in self.seen]

    async def start(self) -> None:
        """Listen; on the same port as before, which nobody else is given while it is stopped."""
        self.port = self.port or free_port()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Refuse from now on, and drop what is open."""
        self.server.close()
        for writer in tuple(self.open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        first = True
        try:
            while True:
                # A new connection is no idle one, however long its first request takes.
                request = await asyncio.wait_for(self._request(reader), None if first else self.idle_s)
                if request is None:
                    break
                self.seen.append(request)
                self.first.append(first)
                first = False
                answer = self.answerer(request, len(self.seen))
                if answer is None:
                    break
                for part in answer if isinstance(answer, list) else [answer]:
                    if isinstance(part, float):
                        await asyncio.sleep(part)
                    elif isinstance(part, asyncio.Event):
                        await part.wait()
                    else:
                        writer.write(part)
                        await writer.drain()
                if isinstance(answer, bytes) and (answer[:8] == b"HTTP/1.0" or b"\nConnection: close" in answer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, TimeoutError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return head + (await reader.readexactly(int(found[1])) if found else b"")


@pytest.fixture(name="exchange")
def _exchange() -> Callable[..., Exchange]:
    """Makes recorded exchanges."""
    return exchange


@pytest.fixture(name="serving")
def _serving() -> Callable[..., object]:
    """Makes servers for the time of a block."""
    return serving


@asynccontextmanager
async def serving(*answerers: Answerer) -> AsyncIterator[list[Scripted]]:
    """Servers for the time of a block."""
    servers = [Scripted(answerer) for answerer in answerers]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()
