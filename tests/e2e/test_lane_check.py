"""A lane is proven before anything is fired into it: a gateway that does not know it would answer with base, and the run would pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from echolane.home import open_home
from echolane.keys import load_mark_key
from echolane.marks import verify
from tests.e2e.world import World


class Gateway(ThreadingHTTPServer):
    """A double of what serves lanes: it names the lane that it served, as it is told to."""

    daemon_threads = True
    served: str | None = None
    """What it says of a request in a lane; None for nothing."""
    silent = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, str]] = []
        """Request line, lane and mark of each request."""
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers everything alike."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one segment
    server: Gateway

    def do_GET(self) -> None:
        """One small answer."""
        lane = self.headers.get("x-lane", "")
        self.server.seen.append((self.requestline, lane, self.headers.get("x-echolane-replay", "")))
        if lane and self.server.silent:
            self.server.released.wait(60)
            return
        self.send_response(200)
        if lane and self.server.served is not None:
            self.send_header("X-Lane-Served", self.server.served)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b'{"fine":true}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A gateway that listens."""
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def recorded(world: World, gateway: Gateway) -> list[str]:
    """Five recorded requests, and the flags that fire them at one address with and without a lane."""
    world.record(int(gateway.url.rpartition(":")[2]), [(f"/items/{n}", {}) for n in range(5)])
    gateway.seen.clear()
    return ["--base", gateway.url, "--branch", gateway.url, "--lane", "feat-1"]


def test_a_lane_that_is_served_is_fired_into(world: World, gateway: Gateway) -> None:
    """One marked probe in the lane comes first, once for both who answer there; what only it names is no difference."""
    words = recorded(world, gateway)
    gateway.served = "feat-1"
    done, result = world.run(*words)
    assert done.code == 0, done.err
    assert result["ledger"]["answered"]["branch"] == 5
    assert result["targets"]["branch"]["lane"] == "feat-1"
    line, lane, mark = gateway.seen[0]
    assert (line, lane) == ("GET / HTTP/1.1", "feat-1")
    found = verify(load_mark_key(open_home(world.home).keys, {}), mark.encode())
    assert found is not None
    assert found.run == result["run"]
    assert sum(line.startswith("GET / ") for line, _, _ in gateway.seen) == 1


@pytest.mark.parametrize("served", [None, "", "base", "feat-10", "FEAT-1", "feat-1, base"])
def test_a_lane_that_nothing_proves_is_refused(world: World, gateway: Gateway, served: str | None) -> None:
    """Exit 5 and one line that names target, lane and what to do; nothing but the probe has arrived."""
    words = recorded(world, gateway)
    gateway.served = served
    done, result = world.run(*words)
    assert (done.code, result["reason_code"], result["ledger"]["fired"]) == (5, "refused", 0)
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert lines[-1].startswith("echolane: branch http://127.0.0.1:"), done.err
    assert "lane `feat-1`" in lines[-1]
    assert (f"`{served}`" if served else "x-lane-served") in lines[-1]
    assert "--no-lane-check" in lines[-1]
    assert [(line, lane) for line, lane, _ in gateway.seen] == [("GET / HTTP/1.1", "feat-1")]


def test_a_lane_may_be_taken_on_trust(world: World, gateway: Gateway) -> None:
    """--no-lane-check fires without a probe."""
    words = recorded(world, gateway)
    done, result = world.run(*words, "--no-lane-check")
    assert done.code == 0, done.err
    assert result["ledger"]["fired"] == 5
    assert not any(line.startswith("GET / ") for line, _, _ in gateway.seen)


def test_a_lane_that_does_not_answer_is_unavailable(world: World, gateway: Gateway) -> None:
    """Exit 4, and which target and lane it is."""
    words = recorded(world, gateway)
    gateway.silent = True
    done, _ = world.run(*words)
    assert done.code == 4, done.err
    assert "does not answer a probe in lane `feat-1`" in done.err
    assert len(gateway.seen) == 1


@pytest.mark.parametrize("name", ["a b", "feat-1\r\nX-Evil: 1", "", "-x", "é"])
def test_a_lane_whose_name_cannot_stand_in_a_header_is_refused(world: World, name: str) -> None:
    """Exit 2, before anything is looked at."""
    done = world.call(
        *("run", "--service", "shop", "--home", world.home, f"--lane={name}"),
        *("--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.1:2"),
    )
    assert done.code == 2
    assert "--lane is" in done.err
