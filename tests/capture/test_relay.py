"""The sidecar on real sockets: what passes is byte for byte what was sent, whatever it is; what of it is recorded, and how it is counted."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.ports import free_port
from capture.account import total_ledger
from echolane.exchange import Exchange
from echolane.home import open_home
from echolane.ledger import capture_identities
from tests.e2e.kills_parts import Load, here, peak_mib, recorded
from tests.e2e.world import World, files_below, stop

GET = b"GET /a HTTP/1.1\r\nHost: shop\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """A service that reads so many bytes of a connection, sends what it is told, and keeps what it read."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self.server.getsockname()[1])
        self.script: list[tuple[int, bytes]] = []
        self.close = True
        self.read = bytearray()
        self.done = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            if not connection.recv(1, socket.MSG_PEEK):
                return  # the sidecar's look whether somebody is there
            self.read = bytearray()
            for count, answer in self.script:
                got = 0
                while got < count:
                    data = connection.recv(min(65536, count - got))
                    if not data:
                        return
                    self.read += data
                    got += len(data)
                connection.sendall(answer)
            if not self.close:
                with contextlib.suppress(OSError):
                    connection.recv(1)
            self.done.set()


class Stage:
    """A sidecar before a scripted service."""

    def __init__(self, world: World) -> None:
        self.world, self.upstream = world, Upstream()
        self.process, self.port = world.recorder(self.upstream.port)

    def talk(self, *exchanges: tuple[bytes, bytes], close: bool = True, pieces: int = 1 << 20) -> bytes:
        """What a client hears that says this in so many pieces, and the service answers that; both sides are compared."""
        self.upstream.script, self.upstream.close = [(len(asked), told) for asked, told in exchanges], close
        self.upstream.done.clear()
        heard = b""
        with socket.create_connection(("127.0.0.1", self.port), 60) as client:
            for asked, told in exchanges:
                for at in range(0, len(asked), pieces):
                    client.sendall(asked[at : at + pieces])
                    if pieces < 64:
                        time.sleep(0.001)
                wanted = len(heard) + len(told)
                while len(heard) < wanted and (data := client.recv(65536)):
                    heard += data
            if close:
                while data := client.recv(65536):
                    heard += data
        assert self.upstream.read == b"".join(asked for asked, _ in exchanges)
        return heard

    def end(self) -> tuple[dict[str, int], list[Exchange]]:
        """Stop the sidecar; its balanced account, and what was recorded in its order."""
        assert stop(self.process) == 0
        counts = dict(total_ledger(open_home(self.world.home), "shop"))
        assert capture_identities(counts) == [], counts
        found = sorted(recorded(self.world.home), key=lambda one: one.seq)
        assert counts["stored"] == len(found)
        return counts, found


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """One for each test."""
    found = Stage(world)
    yield found
    found.upstream.server.close()


def answer(body: bytes, head: bytes = b"") -> bytes:
    """A framed answer."""
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n4;e=1\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
TALKS = {
    "keep-alive": ([(GET, OK), (GET, answer(b"x" * 100_000)), (GET, OK)], ["ok", "x" * 100_000, "ok"]),
    "pipelined": ([(GET * 3, OK * 3)], ["ok"] * 3),
    "chunked both ways": ([(POST, CHUNKED)], ["abcdefg"]),
    "1xx": ([(GET, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)], ["ok"]),
    "head": ([(b"HEAD" + GET[3:], b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"), (GET, OK)], ["", "ok"]),
    "204 and 304": (
        [(GET, b"HTTP/1.1 204 No Content\r\n\r\n"), (GET, b"HTTP/1.1 304 Not Modified\r\n\r\n"), (GET, OK)],
        ["", "", "ok"],
    ),
    "until close": ([(GET, b"HTTP/1.0 200 OK\r\n\r\nall of it")], ["all of it"]),
    "1.0": ([(GET.replace(b"1.1", b"1.0"), b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")], ["ok"]),
}


@pytest.mark.parametrize("pieces", [1 << 20, 7])
@pytest.mark.parametrize("name", list(TALKS))
def test_what_passes_is_what_was_sent_and_is_recorded(stage: Stage, name: str, pieces: int) -> None:
    """Both sides get the other's bytes untouched, however they are cut, and each exchange is recorded with its body."""
    talk, bodies = TALKS[name]
    assert stage.talk(*talk, pieces=pieces) == b"".join(told for _, told in talk)

    counts, found = stage.end()
    assert [one.response.body.data.decode() if one.response else None for one in found] == bodies
    assert counts["seen"] == len(bodies)


SMUGGLING = {
    "length and chunks": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a bare LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00 hello\r\n\r\n",
}


@pytest.mark.parametrize("name", list(SMUGGLING))
def test_what_two_parsers_would_read_differently_is_relayed_and_counted(stage: Stage, name: str) -> None:
    """The bytes pass untouched; no exchange is made of them, and the account says so."""
    assert stage.talk((SMUGGLING[name], OK)) == OK

    counts, found = stage.end()
    assert found == []
    assert counts["dropped{unframeable}"] >= 1


def test_an_answer_without_an_end_leaves_its_request_recorded(stage: Stage) -> None:
    """A request whose answer cannot be framed is recorded without it, and marked."""
    told = b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\nabc"
    assert stage.talk((GET, told)) == told

    _, found = stage.end()
    assert [(one.response, one.no_answer) for one in found] == [(None, "unframeable")]


def test_an_upgrade_is_relayed_and_counted(stage: Stage) -> None:
    """After 101 the connection is no HTTP any more: bytes pass, nothing of them is recorded."""
    upgrade = b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    told = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    assert stage.talk((upgrade, told), (b"\x81\x05hello", b"\x81\x02ok")) == told + b"\x81\x02ok"

    counts, _ = stage.end()
    assert counts["upgraded"] == 1


def test_secrets_reach_the_service_and_no_file(stage: Stage) -> None:
    """The service sees the credentials; the home holds masks and a seal."""
    secret = b"tok_live_9aXq7Lw2Zp4RtV8k"
    asked = GET[:-2] + b"Authorization: Bearer " + secret + b"\r\nCookie: sid=c0ffee12345678\r\n\r\n"
    stage.talk((asked, answer(b'{"password":"hunter2hunter2"}')))

    _, found = stage.end()
    assert found[0].seal
    held = b"".join(files_below(stage.world.home).values())
    assert [word for word in (secret, b"c0ffee12345678", b"hunter2hunter2") if word in held] == []


def test_no_service_is_a_502_and_is_counted(world: World) -> None:
    """A client is told at once; the request is recorded without an answer."""
    process, port = world.recorder(free_port())
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(GET)
        heard = b""
        while data := client.recv(65536):
            heard += data
    assert heard.startswith(b"HTTP/1.1 502 ")
    assert stop(process) == 0
    counts = dict(total_ledger(open_home(world.home), "shop"))
    assert capture_identities(counts) == []
    assert counts["upstream-refused"] == 1


@pytest.mark.parametrize("slow", ["client", "service"])
def test_a_slow_side_slows_the_other_and_not_the_memory(stage: Stage, slow: str) -> None:
    """Sixty megabytes pass a side that waits before it reads; the relay holds a small part of them."""
    size = 60 << 20
    before = peak_mib(stage.process.pid)
    if slow == "client":
        stage.upstream.script = [(len(GET), b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)]
        with socket.create_connection(("127.0.0.1", stage.port), 60) as client:
            client.sendall(GET)
            time.sleep(1.0)
            got = 0
            while data := client.recv(1 << 20):
                got += len(data)
        assert got > size
    else:
        asked = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        stage.upstream.script = [(1000, b""), (len(asked) - 1000, OK)]
        with socket.create_connection(("127.0.0.1", stage.port), 60) as client:
            client.sendall(asked)
            assert client.recv(65536) == OK
    assert peak_mib(stage.process.pid) - before < 24
    _, found = stage.end()
    assert len(found) == 1


def test_a_recorder_that_stands_still_delays_nobody(world: World) -> None:
    """Stopped under load: clients are served, the relay's memory stays bounded, and what it sheds is counted."""
    upstream = world.app()
    process, port = world.recorder(upstream)
    recorder = here(world.home, "capture.recorder")[0]
    load = Load(port, 4).wait(100)
    os.kill(recorder, signal.SIGSTOP)
    load.wait(500)
    assert peak_mib(process.pid) < 160
    os.kill(recorder, signal.SIGCONT)
    answered = load.stop()
    assert stop(process) == 0
    counts = dict(total_ledger(open_home(world.home), "shop"))
    assert capture_identities(counts) == []
    assert counts["seen"] >= len(answered)
    assert counts["stored"] == len(recorded(world.home))
