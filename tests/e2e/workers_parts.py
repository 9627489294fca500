"""What the tests of shared runs stand on: a recording of many sessions, four targets that note what comes, and workers."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from echolane.frame import decode_frame
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import Observation
from echolane.runlog import PAUSE, RunLog, Told, Watching
from echolane.store import open_store
from replayer.observing import observations_topic
from tests.e2e.world import Done, World, stop

WAIT_S = 180.0
"""Nothing here takes so long, also on a machine that stands still for seconds."""
NAMES = ("base", "control", "branch", "branch_control")


class Stage:
    """A recording whose sessions go on side by side: exchange ``n`` is of session ``n % sessions``, every fifth writes."""

    FOUND = frozenset({("body:$.price", "value")})
    """What branch changes."""

    def __init__(
        self,
        world: World,
        exchanges: int,
        sessions: int,
        journal: str = "",
        lease_s: float = 3.0,
        store: str = "",
    ) -> None:
        self.world, self.exchanges, self.sessions, self.journal = world, exchanges, sessions, journal
        self.store = store
        world.environ |= {"ECHOLANE_REPLAY_LEASE_S": str(lease_s)}
        if journal:
            world.environ["ECHOLANE_JOURNAL"] = journal
        if store:
            world.environ["ECHOLANE_STORE"] = store
        upstream = world.app()
        process, port = world.recorder(upstream)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.record(connection)
        connection.close()
        assert stop(process) == 0
        world.check_capture(stored=exchanges)
        self.logs = [world.folder / f"seen-{name}" for name in NAMES]
        self.flags: list[object] = []
        self.targets: list[subprocess.Popen[bytes]] = []
        for n, log in enumerate(self.logs):
            port = world.app(*(["price"] if n > 1 else []), f"seen={log}", f"given={log}-given")
            self.targets.append(world.started[-1])
            self.flags += [f"--{NAMES[n].replace('_', '-')}", f"http://127.0.0.1:{port}"]
        self.flags += ["--methods", "all", "--seed", "7"]

    def record(self, connection: http.client.HTTPConnection) -> None:
        """Say to the recorder what is to be replayed."""
        for n in range(self.exchanges):
            headers = {"Authorization": f"Bearer client-number-{n % self.sessions}-abcdef"}
            if self.writes(n):
                connection.request("POST", f"/do/{n}?n={n}", body=b"x", headers=headers)
            else:
                connection.request("GET", f"/items/{n % 40 + 1}?n={n}", headers=headers)
            connection.getresponse().read()

    def writes(self, number: int) -> bool:
        """Whether an exchange is unsafe."""
        return number // self.sessions % 5 == 4

    def worker(
        self, role: str, *, wait: bool = True, program: Sequence[object] = ("-m", "console.main")
    ) -> subprocess.Popen[bytes]:
        """A worker more; it listens for runs when this returns, unless that is not waited for."""
        words = ["worker", role, "--home", self.world.home]
        path = self.world.folder / f"worker-{len(self.world.started)}"
        with path.open("wb") as said:
            process = self.world.start(sys.executable, *program, *words, stderr=said)
        deadline = time.monotonic() + WAIT_S
        while wait and "waits for runs" not in path.read_text("utf-8"):
            assert process.poll() is None, path.read_text("utf-8")
            assert time.monotonic() < deadline, "the worker does not start"
            time.sleep(0.05)
        return process

    def words(self, *more: object) -> list[object]:
        """A run as it is asked for; its result is in ``result.json``."""
        place = ("--service", "shop", "--home", self.world.home, "--json", self.world.folder / "result.json")
        return ["run", *place, *self.flags, *more]

    def run(self, *more: object) -> tuple[Done, dict[str, Any]]:
        """A run from its beginning to its end; the targets' notes are of this run alone."""
        for log in self.logs:
            log.unlink(missing_ok=True)
        done = self.world.call(*self.words(*more))
        assert done.code == 1, done.err
        return done, self.result()

    def result(self) -> dict[str, Any]:
        """What the last run has written."""
        return dict(json.loads((self.world.folder / "result.json").read_bytes()))

    def latest(self) -> str:
        """The newest run's id."""
        with open_store(self.world.home, self.store) as store:
            return str(store.query("SELECT run FROM runs_v ORDER BY started_at DESC LIMIT 1")[0]["run"])

    def wait_fired(self, number: int, seconds: float = WAIT_S) -> None:
        """Wait until base has got so many."""
        deadline = time.monotonic() + seconds
        while self.arrived() < number:
            assert time.monotonic() < deadline, "nothing is fired"
            time.sleep(0.05)

    def wait_ended(self, seconds: float = WAIT_S) -> dict[str, Any]:
        """The result of the newest run, once somebody has closed it."""
        deadline = time.monotonic() + seconds
        while True:
            with open_store(self.world.home, self.store) as store:
                row = store.query("SELECT state, result FROM runs_v ORDER BY started_at DESC LIMIT 1")[0]
            if row["state"] == "finished":
                return dict(json.loads(row["result"]))
            assert time.monotonic() < deadline, f"the run is {row['state']}"
            time.sleep(0.2)

    def arrived(self) -> int:
        """How many base has got."""
        return len(self.seen(self.logs[0])) if self.logs[0].exists() else 0

    def wait_still(self, seconds: float = 2.0) -> int:
        """Wait until nothing has come to base for a while; how many it has got."""
        deadline = time.monotonic() + WAIT_S
        count, since = -1, time.monotonic()
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, "it goes on"
            if (now := self.arrived()) != count:
                count, since = now, time.monotonic()
            time.sleep(0.1)
        return count

    def hold(self, run: str) -> None:
        """Pause a run, as `echolane runs pause` does."""
        journal = open_journal(Home(self.world.home, self.journal))
        RunLog(journal, "somebody").say(run, PAUSE)
        journal.close()

    def observed(self, run: str) -> list[Observation]:
        """What is in the journal of a run."""
        journal = open_journal(Home(self.world.home, self.journal))
        topic = observations_topic(run)
        try:
            return [
                observation
                for partition in range(journal.partitions(topic))
                for entry in journal.read(topic, partition)
                for observation in decode_frame(entry.frame, Observation)
            ]
        finally:
            journal.close()

    def seen(self, log: Path) -> list[int]:
        """The exchanges that a target got, in the order in which they came."""
        return [int(line.rpartition("n=")[2]) for line in log.read_text("ascii").splitlines()]

    def told(self, run: str) -> list[Told]:
        """How far each worker said that it was at last."""
        journal = open_journal(Home(self.world.home, self.journal))
        try:
            watching = Watching(journal, run)
            watching.look()
        finally:
            journal.close()
        return list(watching.workers.values())

    def check(self, result: dict[str, Any]) -> None:
        """The ledger balances, each exchange has one row in the view, and what changed is what was found."""
        ledger = result["ledger"]
        assert run_identities(ledger) == [], ledger
        assert ledger["selected"] == self.exchanges
        with open_store(self.world.home, self.store) as store:
            asked = "SELECT count() AS n, uniqExact(exchange) AS different FROM results_v WHERE run = {run:String}"
            row = store.query(asked, {"run": result["run"]})[0]
            states = store.query("SELECT state, verdict FROM runs_v WHERE run = {run:String}", {"run": result["run"]})
        assert row["n"] == row["different"] == self.exchanges
        # A login of which nobody knows whether it was answered is not made again, and what its session asks for later is refused.
        verdicts = {"fail", "inconclusive"} if ledger["in_doubt"] else {"fail"}
        assert [row["state"] for row in states] == ["finished"]
        assert states[0]["verdict"] in verdicts, result["reason"]
        assert {(place, one["kind"]) for one in result["groups"] for place in one["places"]} == self.FOUND

    def in_order(self) -> None:
        """At every target each session's first arrivals came in recorded order."""
        for log in self.logs:
            for session in range(self.sessions):
                first = list(dict.fromkeys(n for n in self.seen(log) if n % self.sessions == session))
                assert first == sorted(first), f"session {session} at {log.name}"

    def twice(self) -> tuple[list[int], int]:
        """Writes that came more than once at one target, and how many safe requests came again, at all targets together."""
        writes: list[int] = []
        again = 0
        for log in self.logs:
            for number, times in Counter(self.seen(log)).items():
                if self.writes(number):
                    writes += [number] * (times - 1)
                else:
                    again += times - 1
        return writes, again
