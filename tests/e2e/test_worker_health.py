"""Workers as the machinery around them sees them: alive, ready, how much waits, and what is left when they are stopped."""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from typing import Any

import pytest

from bench.broker import Broker
from bench.ports import free_port
from tests.console.test_health import asked
from tests.e2e.workers_parts import Stage
from tests.e2e.world import World, listening

PREFIXES = count(1)


@pytest.fixture(params=["sqlite", "kafka"])
def journal(request: pytest.FixtureRequest) -> str:
    """Where the journal is: empty for SQLite in the home, else on a real broker."""
    if request.param == "sqlite":
        return ""
    broker: Broker = request.getfixturevalue("broker")
    return broker.url(f"prefix=h{next(PREFIXES)}.")


def worker(world: World, role: str) -> tuple[Any, str]:
    """A worker, and where it tells how it is."""
    port = free_port()
    words = ["worker", role, "--home", world.home, "--health", f"127.0.0.1:{port}"]
    process = world.start(sys.executable, "-m", "console.main", *words)
    listening(port, 60, process)
    return process, f"http://127.0.0.1:{port}"


def wait_for(url: str, wanted: Any, seconds: float = 90.0) -> Any:
    """What is told there, once it is as wanted."""
    deadline = time.monotonic() + seconds
    while True:
        found = asked(url)
        if wanted(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_a_worker_tells_how_it_is_and_what_waits(world: World, journal: str) -> None:
    """Before a run nothing waits; one that is asked for waits for both kinds; when it is done nothing waits, and a worker that is told to stop leaves."""
    stage = Stage(world, 60, 6, journal)
    diff, of_diff = worker(world, "diff")
    ready = wait_for(f"{of_diff}/readyz", lambda found: found[0] == 200)
    before = json.loads(asked(f"{of_diff}/lag")[1])
    asking = world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--wait", "120"))
    waits = wait_for(f"{of_diff}/lag", lambda found: found[0] == 200 and json.loads(found[1])["replay"] > 0)
    replay, of_replay = worker(world, "replay")
    assert asking.wait(180) == 1
    for url in (of_replay, of_diff):
        wait_for(f"{url}/lag", lambda found: json.loads(found[1]) == {"replay": 0, "diff": 0})
        assert 'echolane_lag_frames{role="diff"} 0' in asked(f"{url}/metrics")[1]
        assert asked(f"{url}/livez") == (200, "ok\n")
    stage.check(stage.result())
    for process in (replay, diff):
        process.terminate()
        assert process.wait(60) == 0

    assert ready == (200, "ok\n")
    assert before == {"replay": 0, "diff": 0}
    assert json.loads(waits[1])["diff"] == 0


def test_an_address_that_is_none_is_one_line(world: World) -> None:
    """The flag says which form it wants."""
    done = world.call("worker", "diff", "--home", world.home, "--health", "8901")

    assert done.code == 2
    assert "--health `8901` needs HOST:PORT" in done.err
