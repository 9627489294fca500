"""Real processes for the tests of the whole: a home, an application, the sidecar before it, and `echolane` as a user calls it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.ports import free_port
from capture.account import ledger_of, sessions
from echolane.home import open_home
from echolane.ledger import capture_identities, run_identities

HERE = Path(__file__).parent
WAIT_S = 120.0


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The run's JSON on stdout."""
        return json.loads(self.out)


def listening(port: int, seconds: float = 60.0, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a port accepts."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before it listened on {port}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


class World:
    """One home and what runs around it; all of it ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.started: list[subprocess.Popen[bytes]] = []
        ours = {
            name: value
            for name, value in os.environ.items()
            if name
            not in {
                "ECHOLANE_KILLS",
                "ECHOLANE_SEED",
                "ECHOLANE_RESTARTS",
                "ECHOLANE_SEEDS",
                "ECHOLANE_SOAK",
                "ECHOLANE_BROKERS",
                "TRACEPARENT",
            }
            and not name.startswith("OTEL_")
        }
        self.environ = {**ours, "PYTHONHASHSEED": "random"}

    def start(self, *command: object, **options: Any) -> subprocess.Popen[bytes]:
        """A process of the test's own."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen([str(word) for word in command], env=self.environ, **options)
        self.started.append(process)
        return process

    def end(self) -> None:
        """End all that was started."""
        for process in reversed(self.started):
            if process.poll() is None:
                process.kill()
            process.wait(60)
            for stream in (process.stdout, process.stderr, process.stdin):
                if stream is not None:
                    stream.close()

    def app(self, *words: str) -> int:
        """The application; its port."""
        port = free_port()
        process = self.start(sys.executable, HERE / "chain_app.py", port, *words)
        listening(port, process=process)
        return port

    def app_command(self, *words: str) -> str:
        """The application as `--base-cmd` takes it."""
        return " ".join([sys.executable, str(HERE / "chain_app.py"), "{port}", *words])

    def recorder(
        self, upstream: int, port: int | None = None, service: str = "shop"
    ) -> tuple[subprocess.Popen[bytes], int]:
        """The sidecar; its process and port."""
        port = port or free_port()
        words = ["record", "--service", service, "--home", self.home, "--listen", f"127.0.0.1:{port}"]
        process = self.start(sys.executable, "-m", "console.main", *words, "--upstream", f"http://127.0.0.1:{upstream}")
        listening(port, process=process)
        return process, port

    def record(self, upstream: int, requests: list[tuple[str, dict[str, str]]], **how: Any) -> None:
        """Send requests through a sidecar on one connection, and end it in good order; the ledger must balance."""
        process, port = self.recorder(upstream)
        send(port, requests, **how)
        stop(process)
        self.check_capture(stored=len(requests))

    def check_capture(self, service: str = "shop", stored: int | None = None) -> None:
        """Every session's ledger balances."""
        for session in sessions(open_home(self.home), service):
            counts = ledger_of(session)
            assert capture_identities(counts) == [], counts
            if stored is not None:
                assert counts["stored"] == stored

    def call(self, *words: object, seconds: float = WAIT_S, flags: Sequence[str] = (), **options: Any) -> Done:
        """`echolane …` as a user calls it, to its end; with flags of the interpreter."""
        command = [sys.executable, *flags, "-m", "console.main", *[str(word) for word in words]]
        options = {"env": self.environ, "cwd": self.folder, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
        return Done(done.returncode, done.stdout, done.stderr)

    def run(self, *words: object, json_file: str = "result.json", **options: Any) -> tuple[Done, dict[str, Any]]:
        """`echolane run` over everything recorded; its result, whose ledger must balance."""
        path = self.folder / json_file
        path.unlink(missing_ok=True)
        done = self.call("run", "--service", "shop", "--home", self.home, "--json", path, *words, **options)
        assert "Traceback" not in done.err, done.err
        result = json.loads(path.read_bytes()) if path.exists() else {}
        if result:
            assert run_identities(result["ledger"]) == [], result["ledger"]
        return done, result


def send(port: int, requests: list[tuple[str, dict[str, str]]], *, cookies: bool = False, method: str = "GET") -> None:
    """One after the other; ``cookies``: what the service sets is sent back, as a browser does."""
    jar: dict[str, str] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for target, headers in requests:
        sent = {**headers, "Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else headers
        connection.request(method, target, headers=sent)
        answer = connection.getresponse()
        answer.read()
        for line in answer.headers.get_all("Set-Cookie") or []:
            if cookies:
                name, _, value = line.partition(";")[0].partition("=")
                jar[name] = value
    connection.close()


def stop(process: subprocess.Popen[bytes], seconds: float = 60.0) -> int:
    """End a process in good order."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)


def files_below(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, by a look during which none went away: a store's owner merges and removes files for a while after its last client."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        except FileNotFoundError:
            assert time.monotonic() < deadline, f"{folder} does not come to rest"
            time.sleep(0.05)


def places(result: Mapping[str, Any], part: str = "groups") -> set[tuple[str, str]]:
    """Where and kind of the findings of one part, each place of a folded one."""
    return {(place, finding["kind"]) for finding in result[part] for place in finding["places"] or [finding["where"]]}
