"""What the tests of the server stand on: a home with two recorded services, targets that answer, and `echolane api` as a process."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.ports import free_port
from echolane.ledger import run_identities
from tests.e2e.world import World, listening, send, stop

WAIT_S = 180.0
"""Nothing here takes so long, also on a machine that stands still for seconds."""


class Answer(NamedTuple):
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Served:
    """A server over recordings of `shop` and `depot`, whose branch has another price."""

    def __init__(
        self, world: World, *, exchanges: int = 20, settings: str = "", journal: str = "", more: str = ""
    ) -> None:
        self.world, self.exchanges = world, exchanges
        if journal:
            world.environ["ECHOLANE_JOURNAL"] = journal
        upstream = world.app()
        for service in ("shop", "depot"):
            process, port = world.recorder(upstream, service=service)
            send(port, [(f"/items/{number}", {}) for number in range(1, exchanges + 1)])
            assert stop(process) == 0
            world.check_capture(service, stored=exchanges)
        base, branch = world.app(), world.app("price")
        self.branch = world.started[-1]
        tables = [
            f'[[api_targets]]\nservice = "{service}"\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\n'
            for service in ("shop", "depot")
            for name, port in (("released", base), ("next", branch))
        ]
        tables += [
            f'[[hooks]]\nservice = "{service}"\nbase = "released"\nbranch = "next"\n' for service in ("shop", "depot")
        ]
        fast = "" if "[api]" in settings else "[api]\nrate_per_s = 10000\nburst = 100000\n"
        (world.folder / "echolane.toml").write_text(f"{settings}\n{fast}\n{''.join(tables)}\n{more}", "utf-8")
        self.said = world.folder / "api.said"
        self.port = 0
        self.process: subprocess.Popen[bytes]
        self.start()
        self.admin = next(word for word in self.said.read_text("utf-8").split() if word.startswith("ech_"))

    def start(self) -> None:
        """The server; it answers when this returns."""
        self.port = free_port()
        words = ["api", "--home", self.world.home, "--listen", f"127.0.0.1:{self.port}"]
        with self.said.open("ab") as said:
            self.process = self.world.start(
                sys.executable, "-m", "console.main", *words, cwd=self.world.folder, stderr=said
            )
        listening(self.port, WAIT_S, self.process)

    @contextmanager
    def held(self) -> Iterator[None]:
        """No run ends in this block, however fast this machine is: the branch answers nothing. It must not last as long as that is waited for."""
        self.branch.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.branch.send_signal(signal.SIGCONT)

    def token(self, role: str, *services: str) -> str:
        """A token as somebody at a shell makes it."""
        flags = [word for service in services for word in ("--service", service)]
        done = self.world.call(
            "token", "create", f"{role} of a test", "--role", role, *flags, "--home", self.world.home
        )
        assert done.code == 0, done.err
        return done.out.strip()

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """One call; with the admin's token unless another, or None, is given."""
        known = self.admin if token == "" else token
        sent = {**({"Authorization": f"Bearer {known}"} if known else {}), **(headers or {})}
        data = body if isinstance(body, bytes) else None
        if body is not None and data is None:
            data = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()
        assert found.status < 500, found
        return found

    def run(self, service: str = "shop", **wanted: Any) -> str:
        """A run that was asked for; its id."""
        answer = self.ask("POST", "/api/v1/runs", {"service": service, "base": "released", "branch": "next", **wanted})
        assert answer.status == 201, answer
        return answer.json["run"]

    def ended(self, run: str) -> dict[str, Any]:
        """The last state of a run; its ledger balances where it has a result."""
        state = self.wait(run, "finished", "interrupted", "failed")
        result = self.ask("GET", f"/api/v1/runs/{run}")
        if result.status == 200:
            assert run_identities(result.json["ledger"]) == [], result.json["ledger"]
        return state

    def wait(self, run: str, *states: str) -> dict[str, Any]:
        """The state of a run, once it is one of these."""
        deadline = time.monotonic() + WAIT_S
        while True:
            state = self.ask("GET", f"/api/v1/runs/{run}/state").json
            if state["state"] in states:
                return state
            assert time.monotonic() < deadline, state
            time.sleep(0.1)


def events(served: Served, run: str, token: str) -> list[tuple[str, dict[str, Any]]]:
    """All that is told of a run while it is watched, to the end of the stream."""
    answer = served.ask("GET", f"/api/v1/runs/{run}/events", token=token)
    assert answer.headers["content-type"] == "text/event-stream"
    found = []
    for block in answer.body.decode().split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def log_of(home: Path) -> str:
    """What the server had to say about faults of its own."""
    path = home / "log" / "api.log"
    return path.read_text("utf-8") if path.exists() else ""
