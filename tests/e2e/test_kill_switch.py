"""The kill switch on real processes, by the targets' own log: within a second of it no new request arrives."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest

from tests.e2e.world import World
from tests.waiting import wait_until

BEAT_S = 0.01
COUNT = 600
"""One session, 20 ms each: some fifteen seconds of fire."""


class Target(ThreadingHTTPServer):
    """Answers everything after some milliseconds, and notes when each request of a replay arrived."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.arrived: list[float] = []
        self.noting = threading.Lock()
        self.breaks_after = 10**9
        """From the next on it answers 500."""
        self.slow_after = 10**9
        """From the next on it takes a fifth of a second."""
        self.busy_at = 0
        """At this one it asks for a second."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """One small answer."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one segment
    server: Target

    def do_GET(self) -> None:
        """Note it and answer."""
        number = 0
        if self.headers.get("x-echolane-replay"):
            with self.server.noting:
                self.server.arrived.append(time.monotonic())
                number = len(self.server.arrived)
            time.sleep(0.2 if number > self.server.slow_after else 0.02)
        if number == self.server.busy_at and number:
            self.send_response(503)
            self.send_header("Retry-After", "1")
        else:
            self.send_response(500 if number > self.server.breaks_after else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Heart:
    """Beats; what is missing between two beats is time for which this machine stood still."""

    def __init__(self) -> None:
        self.stood_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._over.wait(BEAT_S):
            now = time.monotonic()
            self.stood_s += max(0.0, now - last - 5 * BEAT_S)
            last = now

    def stop(self) -> float:
        """For how long it stood still."""
        self._over.set()
        self._thread.join()
        return self.stood_s


@pytest.fixture
def targets() -> Iterator[list[Target]]:
    """Base and branch."""
    servers = [Target(), Target()]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    yield servers
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("how", ["STOP", "runs cancel"])
def test_a_second_after_the_switch_no_new_request_arrives(world: World, targets: list[Target], how: str) -> None:
    """A run in full fire, the switch, silence; its account balances, and once the switch is taken back resume does the rest."""
    base, branch = targets
    world.record(base.server_address[1], [(f"/items/{n}", {}) for n in range(COUNT)])
    json_file = world.folder / "result.json"
    words = (
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        "--base",
        base.url,
        "--branch",
        branch.url,
        "--json",
        json_file,
    )
    process = world.start(sys.executable, "-m", "console.main", *words)
    wait_until(lambda: len(branch.arrived) > 60)
    heart = Heart()
    if how == "STOP":
        (world.home / "STOP").touch()
        thrown = time.monotonic()
    else:
        done = world.call("runs", "cancel", running(world), "--home", world.home)
        thrown = time.monotonic()
        assert done.code == 0, done.err
    assert process.wait(60) == 130
    time.sleep(1.2)  # whatever would still come has come, or the bound below is broken by it
    bound = thrown + 1.0 + 3 * heart.stop()
    late = [at - thrown for server in targets for at in server.arrived if at > bound]
    assert late == []
    result = orjson.loads(json_file.read_bytes())
    assert (result["verdict"], result["reason_code"]) == ("inconclusive", "interrupted")
    assert result["reason"].startswith("the run was stopped by" if how == "STOP" else "the run was cancelled")
    assert result["ledger"]["unaccounted"] == 0
    assert result["ledger"]["skipped"]["interrupted"] > 0
    if how == "STOP":
        refused = world.call("run", "--resume", result["run"], "--home", world.home)
        assert refused.code == 5
        assert "STOP is there" in refused.err
        (world.home / "STOP").unlink()
    stop_at = [len(server.arrived) for server in targets]
    done = world.call("run", "--resume", result["run"], "--home", world.home, "--json", json_file)
    assert done.code == 0, done.err
    assert orjson.loads(json_file.read_bytes())["ledger"]["compared"] == COUNT
    assert all(len(server.arrived) > before for server, before in zip(targets, stop_at, strict=True))


def running(world: World) -> str:
    """The run that is going on, by a file that its comparison keeps: a command takes as long to start as this machine likes."""
    wait_until(lambda: list(world.home.glob("runs/*.live")))
    (live,) = world.home.glob("runs/*.live")
    return live.stem
