"""kill -9 at seeded instants: whatever dies, the account balances, nothing is there twice, and what is lost is counted."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.ledger import capture_identities, run_identities
from echolane.store import open_store
from tests.e2e.kills_parts import KILLS, Load, chance, gone, here, kill, no_twins, pids_of, recorded, settled
from tests.e2e.world import World, stop

CLIENTS = 4
UNACKNOWLEDGED_MAX = 3000
"""Exchanges of this load that fit into the pipe's socket and the recorder's last tick."""


def lost(counts: dict[str, int]) -> int:
    """What the ledger says was lost."""
    return sum(value for name, value in counts.items() if name.startswith("dropped{"))


def test_kills_of_the_relay(world: World) -> None:
    """The relay dies under load, again and again: what it had handed on is stored once, the rest is counted."""
    random, upstream, port = chance("relay"), world.app(), free_port()
    answered: set[str] = set()
    for _ in range(KILLS):
        process, _ = world.recorder(upstream, port)
        load = Load(port, CLIENTS).wait(25)
        time.sleep(random.uniform(0.0, 0.7))
        kill(process.pid)
        process.wait(10)
        answered |= {f"{process.pid} {target}" for target in load.stop()}
        gone(world.home, "capture.recorder")
    counts, exchanges = settled(world.home), recorded(world.home)

    no_twins(exchanges)
    assert capture_identities(counts) == [], counts
    assert counts["stored"] == len(exchanges)
    # Answers that were on their way to a client when the relay died were not seen by it: at most one for each connection.
    assert len(answered) - len(exchanges) <= lost(counts) + KILLS * CLIENTS, counts
    assert len(answered) > 20 * KILLS


def test_kills_of_the_recorder(world: World) -> None:
    """The recorder dies under load: clients notice nothing, another one goes on, and what died with it is counted exactly."""
    random, upstream = chance("recorder"), world.app()
    process, port = world.recorder(upstream)
    load = Load(port, CLIENTS)
    killed = 0
    for _ in range(KILLS):
        alive = here(
            world.home, "capture.recorder"
        )  # one that dies at once again and again is waited for longer and longer
        time.sleep(random.uniform(0.0, 0.8))
        for pid in alive:
            kill(pid)
            killed += 1
    time.sleep(1.5)
    answered = load.stop()
    assert stop(process) == 0
    counts, exchanges = settled(world.home), recorded(world.home)
    stored = {one.request.target for one in exchanges}

    no_twins(exchanges)
    assert capture_identities(counts) == [], counts
    assert counts["stored"] == len(exchanges)
    assert killed >= KILLS
    assert counts["seen"] >= len(answered)
    assert len(answered - stored) <= lost(counts), counts
    # What dies with a recorder is what was on its way to it; a backlog of 32 MiB waits for the next, and sheds beyond, counted apart.
    assert set(counts) <= {"seen", "stored", "spooled", "dropped{recorder-died}", "dropped{recorder-busy}"}
    assert counts.get("dropped{recorder-died}", 0) <= killed * UNACKNOWLEDGED_MAX


class Replay:
    """A recording with writes, and four targets that note each write."""

    def __init__(self, world: World) -> None:
        self.world, self.gets, self.posts = world, 240, 60
        upstream = world.app()
        process, port = world.recorder(upstream)
        import http.client

        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(6)]
        for n in range(self.gets + self.posts):
            connection = connections[n % 6]
            headers = {"Authorization": f"Bearer client-number-{n % 6}-abcdef"}
            if n % 5 == 0:
                connection.request("POST", f"/do/{n}", body=b"x", headers=headers)
            else:
                connection.request("GET", f"/items/{n % 40 + 1}?n={n}", headers=headers)
            connection.getresponse().read()
        for connection in connections:
            connection.close()
        assert stop(process) == 0
        world.check_capture(stored=self.gets + self.posts)
        self.logs = [world.folder / f"posts-{name}" for name in ("base", "control", "branch", "branch_control")]
        ports = [world.app(*(["price"] if n > 1 else []), f"posts={log}") for n, log in enumerate(self.logs)]
        self.flags: list[object] = []
        for flag, number in zip(("--base", "--control", "--branch", "--branch-control"), ports, strict=True):
            self.flags += [flag, f"http://127.0.0.1:{number}"]
        self.flags += ["--methods", "all", "--pace", "200/s"]

    def start(self) -> subprocess.Popen[bytes]:
        """A run from its beginning."""
        for log in self.logs:
            log.unlink(missing_ok=True)
        words = ["run", "--service", "shop", "--home", self.world.home, *self.flags]
        return self.world.start(sys.executable, "-m", "console.main", *words)

    def latest(self) -> str:
        """The newest run's id."""
        with open_store(self.world.home) as store:
            rows = store.query("SELECT run FROM runs_v ORDER BY started_at DESC LIMIT 1")
        return str(rows[0]["run"]) if rows else ""

    def check(self, result: dict[str, object], run: str) -> None:
        """Everything is accounted for, nothing is there twice, and no write was made twice."""
        ledger = result["ledger"]
        assert isinstance(ledger, dict)
        assert run_identities(ledger) == [], ledger
        assert ledger["selected"] == self.gets + self.posts
        with open_store(self.world.home) as store:
            asked = "SELECT count() AS n, uniqExact(exchange) AS different FROM results_v WHERE run = {run:String}"
            row = store.query(asked, {"run": run})[0]
        assert row["n"] == row["different"] == self.gets + self.posts
        for log in self.logs:
            done = log.read_text("ascii").split() if log.exists() else []
            assert len(done) == len(set(done)), f"a write was made twice at {log.name}"
        found = {(place, finding["kind"]) for finding in result["groups"] for place in finding["places"]}  # type: ignore[attr-defined]
        assert found == {("body:$.price", "value")}


def resumed(replay: Replay, run: str) -> dict[str, object]:
    """The result after --resume, or of the run if the kill came after its end."""
    file = replay.world.folder / "resumed.json"
    done = replay.world.call("run", "--resume", run, "--home", replay.world.home, "--json", file)
    assert "Traceback" not in done.err, done.err
    if done.code == 2 and "is finished" in done.err:
        done = replay.world.call("show", run, "--home", replay.world.home, "--json")
        return done.result
    assert done.code == 1, done.err
    import json

    return dict(json.loads(Path(file).read_bytes()))


def test_kills_of_the_run(world: World) -> None:
    """The run dies at any instant: its worker ends by itself, --resume reaches the verdict, no write is made twice."""
    random, replay = chance("run"), Replay(world)
    killed, tries, slow = 0, 0, 1.0
    while tries < KILLS or (not killed and tries < 3 * KILLS):
        tries += 1
        process = replay.start()
        time.sleep(random.uniform(0.9, 3.2) * slow)
        kill(process.pid)
        process.wait(10)
        gone(world.home, "differ.worker")
        run = replay.latest()
        if run and process.returncode < 0:
            killed += 1
            replay.check(resumed(replay, run), run)
        elif process.returncode < 0:  # too early: a busy machine takes its time to begin
            slow = min(slow * 1.2, 4.0)
    assert killed, "every kill came too early or too late"


@pytest.mark.parametrize("victim", ["echolane.store.owner", "differ.worker"])
def test_kills_beside_the_run(world: World, victim: str) -> None:
    """The store's owner or the differ's worker dies while a run goes on: the run ends, or is resumed, with the right verdict."""
    random, replay = chance(victim), Replay(world)
    killed = 0
    for _ in range(KILLS):
        process = replay.start()
        here(world.home, "differ.worker")  # from here on the run has both, however long a busy machine takes to begin
        time.sleep(random.uniform(0.0, 1.9))
        for pid in pids_of(world.home, victim):
            kill(pid)
            killed += 1
        code = process.wait(120)
        run = replay.latest()
        assert code in {1, 2, 3}, f"ended with {code}"
        replay.check(resumed(replay, run), run)
    assert killed, "every kill came too early or too late"
