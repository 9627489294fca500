"""What the tests of `echolane up` stand on: a folder with an application, its two versions, and an `echolane.toml`."""

from __future__ import annotations

import contextlib
import http.client
import os
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from bench.ports import free_port
from capture.account import total_ledger
from console.up_guard import marked
from echolane.home import open_home
from tests.e2e.api_parts import Answer, Served
from tests.e2e.world import World, send

ENTRY = """[[up.record]]
service = "shop"
listen = "127.0.0.1:8080"
upstream = "http://127.0.0.1:8000"
"""
"""As the documents write it; ports of the test's own stand in it in the end."""
FAST = "restart_s = 0.05\nrestart_max_s = 0.2\n"


def command_of(pid: int) -> list[bytes]:
    """The words that a process was started with; none where it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


class Stage(Served):
    """An `echolane up` that records `shop`, in a folder of its own and for a user who has nothing else."""

    def __init__(self, folder: Path, *, up: str = FAST, settings: str = "", entry: str = ENTRY) -> None:
        self.world = World(folder)
        (folder / "user").mkdir()
        self.world.environ["HOME"] = str(folder / "user")
        self.world.home = folder / ".echolane"
        self.said, self.admin = folder / "up.said", ""
        self.process: Any = None
        self.port, self.capture = free_port(), free_port()
        self.upstream, base, branch = self.world.app(), self.world.app(), self.world.app("price")
        assert "127.0.0.1:8080" in entry
        assert "127.0.0.1:8000" in entry
        entry = entry.replace(":8080", f":{self.capture}").replace(":8000", f":{self.upstream}")
        targets = "".join(
            f'[[api_targets]]\nservice = "shop"\nname = "{name}"\nurl = "http://127.0.0.1:{port}"\n'
            for name, port in (("released", base), ("next", branch))
        )
        self.toml = f"""{settings}
[api]
listen = "127.0.0.1:{self.port}"
rate_per_s = 10000
burst = 100000
[up]
{up}
{entry}
{targets}"""
        (folder / "echolane.toml").write_text(self.toml, "utf-8")

    def begin(self, drain_s: float = 60.0) -> Stage:
        """Have it up, whatever a test before has left, with this bound of its drain."""
        toml = self.toml.replace("[up]\n", f"[up]\ndrain_s = {drain_s}\n", 1)
        path = self.world.folder / "echolane.toml"
        lives = self.process is not None and self.process.poll() is None
        if lives and path.read_text("utf-8") != toml:
            assert self.stopped() == 0
            lives = False
        if not lives:
            path.write_text(toml, "utf-8")
            self.start()
        return self

    def start(self, *within: str) -> None:
        """`echolane up`, started by these words before its own; all its parts are up when this returns."""
        before = self.said.stat().st_size if self.said.exists() else 0
        with self.said.open("ab") as said:
            words = [*within, sys.executable, "-m", "console.main", "up"]
            self.process = self.world.start(*words, cwd=self.world.folder, stderr=said)
        self.until(lambda: "  ends  " in self.told[before:] or self.process.poll() is not None)
        assert self.process.poll() is None, self.told
        self.admin = self.admin or next(word for word in self.told.split() if word.startswith("ech_"))

    def start_for_nobody(self) -> None:
        """`echolane up` of somebody whose terminal takes nothing from the first word on, and is closed once all parts are up."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(writer, bytes(4096)):
                pass
        os.set_blocking(writer, True)
        words = [sys.executable, "-m", "console.main", "up"]
        self.process = self.world.start(*words, cwd=self.world.folder, stderr=writer)
        os.close(writer)
        self.until(lambda: self.state["pid"] == self.process.pid and self.ready()[0] == 200)
        os.close(reader)

    @property
    def told(self) -> str:
        """All it has said."""
        return self.said.read_text("utf-8")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its structured log."""
        return [orjson.loads(line) for line in (self.world.home / "log" / "up.log").read_bytes().splitlines()]

    @property
    def state(self) -> dict[str, Any]:
        """How it is, as it writes it down."""
        return orjson.loads((self.world.home / "up" / "parts.json").read_bytes())

    @property
    def parts(self) -> dict[str, dict[str, Any]]:
        """Its parts by name."""
        return {part["name"]: part for part in self.state["parts"]}

    @property
    def left(self) -> list[int]:
        """Processes of any `echolane up` of this home."""
        return marked(f":{os.path.realpath(self.world.home)}")

    def fires(self, run: str) -> bool:
        """Whether a run has fired something: it may be called running before it has chosen what it replays."""
        return bool(self.ask("GET", f"/api/v1/runs/{run}/state").json["done"])

    def ask(self, *words: Any, **more: Any) -> Answer:
        """One call; where nobody takes it, all that was said and noted until then."""
        try:
            return super().ask(*words, **more)
        except OSError as error:
            raise AssertionError(f"{error}\n{self.told}\n{self.events}") from error

    def runs_of(self, run: str) -> list[int]:
        """Processes that do a run."""
        words = f"--run-id={run}".encode()
        return [pid for pid in self.left if words in command_of(pid)]

    def until(self, come: Any, seconds: float = 180.0) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not come():
            assert time.monotonic() < deadline, self.told
            time.sleep(0.02)

    def killed(self, name: str) -> None:
        """Kill a part with -9; it is up again when this returns."""
        before = self.parts[name]
        os.kill(before["pid"], 9)
        self.until(lambda: self.parts[name]["state"] == "up" and self.parts[name]["pid"] != before["pid"])

    def send(self, number: int) -> None:
        """So many requests through the recorder, which has counted them when this returns.

        The relay passes an answer on before it counts it: who kills it in that instant, as a person cannot, finds one less.
        """
        before = self.counts.get("seen", 0)
        send(self.capture, [(f"/items/{n}", {}) for n in range(1, number + 1)])
        self.until(lambda: self.counts.get("seen", 0) >= before + number)

    @property
    def counts(self) -> dict[str, int]:
        """The capture's account over all sessions; each balances."""
        self.world.check_capture()
        return total_ledger(open_home(self.world.home), "shop")

    def settled(self) -> dict[str, int]:
        """The account once nothing is on its way any more."""
        self.until(lambda: not self.counts.get("spooled"))
        return self.counts

    def ready(self) -> tuple[int, str]:
        """What `/readyz` says; 0 where nobody does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        return 0, ""

    def stopped(self, seconds: float = 180.0) -> int:
        """SIGTERM; the exit code. Nothing is left."""
        self.process.terminate()
        code = self.process.wait(seconds)
        assert self.left == []
        return code

    def end(self) -> None:
        """End all of it, however the test ended."""
        for process in self.world.started:
            if process.poll() is None:
                process.kill()
        for pid in self.left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.world.end()
