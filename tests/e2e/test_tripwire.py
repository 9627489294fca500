"""Never production by accident (REP-3): a tripwire stands where production would, and everything that leads there is tried."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pytest

from console.main import main
from tests.e2e.api_parts import Served
from tests.e2e.world import World
from tests.waiting import wait_until

HERE, THERE = "127.0.0.3", "127.0.0.4"
"""Where the name leads when the run begins, and where production is."""
NAME = "shop.prod.test"
COUNT = 120


class Target(ThreadingHTTPServer):
    """Leads astray in every way an answer can: every second answer is a redirect to production, and no connection is kept."""

    request_queue_size = 512  # each answer ends its connection, and a machine that stands still accepts none meanwhile

    daemon_threads = True

    def __init__(self, away: str) -> None:
        super().__init__((HERE, 0), Handler)
        self.away = away
        self.seen: list[str] = []
        self.flip: Callable[[], None] | None = None


class Handler(BaseHTTPRequestHandler):
    """One answer a connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: Target

    def do_GET(self) -> None:
        """Alternately a redirect and a page, both full of production."""
        self.server.seen.append(self.path)
        if len(self.server.seen) == 20 and self.server.flip:
            self.server.flip()
        body = f'<html><base href="{self.server.away}"><a href="{self.server.away}/next">next</a></html>'.encode()
        self.send_response(302 if int(self.path.rpartition("/")[2] or 0) % 2 else 200)
        self.send_header("Location", f"{self.server.away}/moved")
        self.send_header("Refresh", f"0; url={self.server.away}/refreshed")
        self.send_header("Alt-Svc", f'h2="{self.server.away.removeprefix("http://")}"; ma=86400')
        self.send_header("Content-Location", f"{self.server.away}/here")
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Tripwire:
    """Production: whoever connects has been where nobody may go."""

    def __init__(self) -> None:
        self.hits: list[bytes] = []
        self._socket = socket.create_server((THERE, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def url(self) -> str:
        """Where nobody may go."""
        return f"http://{THERE}:{self.port}"

    def _watch(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(1)
            try:
                self.hits.append(connection.recv(200))
            except OSError:
                self.hits.append(b"")
            connection.close()

    def close(self) -> None:
        """No longer there."""
        self._socket.close()


@pytest.fixture
def tripwire() -> Iterator[Tripwire]:
    """One that is armed: a connection to it counts."""
    wire = Tripwire()
    with socket.create_connection((THERE, wire.port)) as probe:
        probe.sendall(b"probe")
    wait_until(lambda: wire.hits == [b"probe"])
    wire.hits.clear()
    yield wire
    wire.close()


@pytest.fixture
def target(tripwire: Tripwire) -> Iterator[Target]:
    """A target that leads to the tripwire."""
    server = Target(tripwire.url)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_nothing_that_leads_to_production_is_followed(
    world: World, target: Target, tripwire: Tripwire, lacking: Callable[[str], NoReturn]
) -> None:
    """Redirects, links, Alt-Svc, proxies of the environment, absolute targets, and a name that moves in mid-run: no hit."""
    if (
        os.geteuid() != 0
        or not shutil.which("unshare")
        or subprocess.run(["unshare", "-m", "true"], check=False).returncode
    ):
        lacking("needs the right to a mount namespace of its own (a hosts file that changes)")
    port = target.server_address[1]
    # Two names for one place: base and branch must be two addresses. Production listens on the port of the tripwire alone, so
    # the name that moves is caught where its port is: the tripwire takes that one, too.
    moved = socket.create_server((THERE, port))
    threading.Thread(target=_count, args=(moved, tripwire.hits), daemon=True).start()
    hosts = world.folder / "hosts"
    hosts.write_text(f"{HERE} {NAME} branch.{NAME}\n127.0.0.1 localhost\n", "ascii")
    target.flip = lambda: _rewrite(hosts, f"{THERE} {NAME} branch.{NAME} localhost\n")
    recorded(world, tripwire)
    environ = world.environ | {
        name: tripwire.url
        for word in ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
        for name in (word, word.upper())
    }
    words = [
        *(sys.executable, "-m", "console.main", "run", "--service", "shop", "--home", str(world.home)),
        *("--base", f"http://{NAME}:{port}", "--branch", f"http://branch.{NAME}:{port}"),
        *("--allow-host", NAME, "--allow-host", f"branch.{NAME}", "--json", str(world.folder / "result.json")),
    ]
    inside = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts), *words]
    done = subprocess.run(
        inside, env=environ, cwd=world.folder, capture_output=True, text=True, timeout=120, check=False
    )
    moved.close()
    result = orjson.loads((world.folder / "result.json").read_bytes())
    assert result["ledger"]["fired"] == COUNT, done.stderr
    assert result["ledger"]["unaccounted"] == 0
    assert len(target.seen) == 4 * COUNT
    assert tripwire.hits == []


@pytest.mark.parametrize("more", [[], ["--explain"], ["--workers", "shared"], ["--methods", "all", "--no-lane-check"]])
def test_where_the_recording_comes_from_is_fired_at_by_nobody(
    world: World,
    tripwire: Tripwire,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
) -> None:
    """Runs, explanations and runs that workers share are refused (exit 5) before a connection or a run is made; the result says why."""
    production(world, tripwire, monkeypatch)
    out = world.folder / "result.json"
    code = main(
        [
            *("run", "--service", "shop", "--home", str(world.home), "--json", str(out)),
            *("--base", f"http://{NAME}:{tripwire.port}", "--branch", "http://127.0.0.1:1"),
            *("--allow-host", NAME, "--allow-writes", NAME, *more),
        ]
    )
    said = f"base http://{NAME}:{tripwire.port} is where `shop` was recorded (Host {NAME}: {COUNT} requests, the first at 2026-01-01T00:00:00+00:00)"
    told = capsys.readouterr()
    assert code == 5
    assert said in " ".join(told.err.split())
    assert told.out == ""
    result = orjson.loads(out.read_bytes())
    assert (result["verdict"], result["reason_code"], result["ledger"]["fired"]) == ("inconclusive", "refused", 0)
    assert result["reason"].startswith(said)
    assert [row["run"] for row in orjson.loads(world.call("runs", "--json", "--home", world.home).out or b"[]")] == []
    assert tripwire.hits == []


def test_no_capacity_is_found_of_where_the_recording_comes_from(
    world: World, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has the same check, before the one that connects."""
    production(world, tripwire, monkeypatch)
    words = ["--service", "shop", "--home", str(world.home), "--target", f"http://{NAME}:{tripwire.port}"]
    assert main(["capacity", *words, "--allow-host", NAME]) == 5
    assert f"is where `shop` was recorded (Host {NAME}: {COUNT} requests" in " ".join(capsys.readouterr().err.split())
    assert tripwire.hits == []


def test_a_target_by_a_recorded_name_is_fired_at_where_it_is_pinned(world: World, target: Target) -> None:
    """Somebody said where it is, so it is meant: all of the run goes there."""
    imported(world, NAME, [f"http://{NAME}/items/{n}" for n in range(COUNT)])
    port = target.server_address[1]
    _, result = world.run(
        *("--base", f"http://{NAME}:{port}", "--branch", f"http://branch.{NAME}:{port}"),
        *("--pin", f"{NAME}={HERE}", "--pin", f"branch.{NAME}={HERE}"),
        *("--allow-host", NAME, "--allow-host", f"branch.{NAME}"),
    )
    assert result["ledger"]["fired"] == COUNT
    assert len(target.seen) == 4 * COUNT


def test_a_server_refuses_where_the_recording_comes_from(world: World) -> None:
    """A configured target is held to it as well; the run's state says which and what to do."""
    table = f'[[api_targets]]\nservice = "shop"\nname = "away"\nurl = "http://{NAME}"\n'
    served = Served(world, exchanges=3, more=table)
    imported(world, NAME, [f"http://{NAME}/items/1"])
    state = served.ended(served.run(base="away"))

    assert (state["state"], state["reason_code"]) == ("failed", "refused")
    assert f"base http://{NAME} is where `shop` was recorded (Host {NAME}: 1 request, at 2026-01-01T" in state["said"]
    assert "`address` of a server's target" in state["said"]


def production(world: World, tripwire: Tripwire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording of what users sent to a name that leads to the tripwire."""
    imported(world, NAME, [f"http://{NAME}/items/{n}" for n in range(COUNT)])
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *rest: Any, **more: Any) -> Any:
        return real(THERE if host == NAME else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.chdir(world.folder)


def recorded(world: World, tripwire: Tripwire) -> None:
    """Requests as production saw them, also such as name production themselves."""
    lines = [f"http://{THERE}:{tripwire.port}/items/{n}" if n % 3 == 0 else f"/items/{n}" for n in range(COUNT)]
    urls = [line if line.startswith("http") else f"{tripwire.url}{line}" for line in lines]
    imported(world, f"{THERE}:{tripwire.port}", urls)


def imported(world: World, host: str, urls: list[str]) -> None:
    """A HAR of requests for these URLs, by this Host."""
    entries = [
        {
            "startedDateTime": "2026-01-01T00:00:00.000Z",
            "time": 1,
            "request": {
                "method": "GET",
                "url": url,
                "httpVersion": "HTTP/1.1",
                "headers": [{"name": "Host", "value": host}],
                "bodySize": 0,
            },
            "response": {
                "status": 302,
                "httpVersion": "HTTP/1.1",
                "headers": [],
                "content": {"size": 0},
                "bodySize": 0,
            },
        }
        for url in urls
    ]
    har = world.folder / "shop.har"
    har.write_bytes(orjson.dumps({"log": {"version": "1.2", "entries": entries}}))
    done = world.call("import", har, "--service", "shop", "--home", world.home)
    assert done.code == 0, done.err


def _rewrite(path: Path, text: str) -> None:
    """In place: a file that is mounted elsewhere must stay the same one."""
    with path.open("r+") as file:
        file.write(text)
        file.truncate()


def _count(server: socket.socket, hits: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        hits.append(b"moved")
        connection.close()
