"""Runs that workers share: the same result as of one process, evenly split, in order, and whatever dies."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from itertools import count
from typing import Any

import pytest

from bench.broker import Broker
from echolane.ledger import run_identities
from tests.e2e.kills_parts import chance
from tests.e2e.soak_parts import stood_still, windows
from tests.e2e.test_kafka import likeness, told
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import World
from tests.waiting import wait_until

PREFIXES = count(1)
CONCURRENCY = 16
CALM_S = 9.0
"""A lease that does not end while a busy machine lets its holder wait: where nobody is killed, nothing comes twice."""
TURNS = 3
"""A run in which a worker stands still when the others begin is no even one, and is done again."""
WINDOW = 2 * CONCURRENCY
"""Exchanges of one worker that are in the air or have landed and are on their way to the disk."""


@pytest.fixture(params=["sqlite", "kafka"])
def journal(request: pytest.FixtureRequest) -> str:
    """Where the journal is: empty for SQLite in the home, else on a real broker."""
    if request.param == "sqlite":
        return ""
    broker: Broker = request.getfixturevalue("broker")
    return broker.url(f"prefix=w{next(PREFIXES)}.")


def settled(ledger: dict[str, Any]) -> dict[str, Any]:
    """A ledger in which `Date` headers on two sides of a second make no difference: they are noise of the application."""
    return {**ledger, "same": ledger["same"] + ledger["noise_only"], "noise_only": 0}


def judged(world: World, run: str) -> list[Any]:
    """Every exchange of a run, with the same left out."""
    return [(seq, target, verdict.replace("noise", "same"), found) for seq, target, verdict, found in told(world, run)]


def test_workers_come_to_the_result_of_one_process(world: World, journal: str) -> None:
    """Two replay and two diff workers: ledger, findings and every exchange as in the own form, evenly split, each session in order."""
    stage = Stage(world, 360, 24, journal, lease_s=CALM_S)
    own_done, own = stage.run("--workers", "own")
    workers = [stage.worker(role) for role in ("replay", "replay", "diff", "diff")]
    for _ in range(TURNS):
        done, shared = stage.run("--workers", "shared", "--wait", "60")
        fired = [one.fired for one in stage.told(shared["run"]) if one.role == "replay"]
        if len(fired) == 2 and max(fired) <= 1.1 * 360 / 2:
            break

    stage.check(shared)
    stage.in_order()
    assert stage.twice() == ([], 0)
    assert settled(shared["ledger"]) == settled(own["ledger"])
    assert likeness(shared["groups"]) == likeness(own["groups"])
    assert judged(world, shared["run"]) == judged(world, own["run"])
    assert "2 replay workers" in done.err
    assert "2 diff workers" in done.err
    assert "replay worker" not in own_done.err
    assert len(fired) == 2
    assert sum(fired) == 360
    assert max(fired) <= 1.1 * 360 / 2, fired
    for process in workers:
        process.terminate()
    assert [process.wait(60) for process in workers] == [0] * 4


def hurt(stage: Stage, workers: list[Any], random: Any) -> tuple[str, str]:
    """One worker is killed and another one comes, or one sleeps past its lease; what it was, and which."""
    index = random.randrange(len(workers))
    role, process = workers[index]
    if random.random() < 0.6:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(10)
        workers[index] = (role, stage.worker(role, wait=False))
        return str(role), "killed"
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(random.uniform(2.2, 3.0))
    os.kill(process.pid, signal.SIGCONT)
    return str(role), "slept"


def test_kills_of_workers(world: World, journal: str) -> None:
    """Workers die by -9 or sleep past their lease at random: nothing is lost or twice, no write comes twice, few others come again."""
    random, lease_s = chance("workers"), 2.0
    stage = Stage(world, 1000, 36, journal, lease_s)
    workers = [(role, stage.worker(role)) for role in ("replay", "replay", "diff", "diff")]
    since_ns = time.time_ns()
    words = stage.words("--workers", "shared", "--pace", "80/s", "--wait", "60", "--concurrency", CONCURRENCY)
    asking = world.start(sys.executable, "-m", "console.main", *words)
    hurts: Counter[str] = Counter()
    goes_on_at, slept = 20, 0
    while asking.poll() is None and hurts.total() < 8:
        if stage.arrived() < goes_on_at:
            time.sleep(0.05)
            continue
        time.sleep(random.uniform(0.0, 0.5))
        role, how = hurt(stage, workers, random)
        hurts[role] += 1
        slept += (role, how) == ("replay", "slept")
        goes_on_at = stage.arrived() + random.randrange(10, 80)
    assert asking.wait(WAIT_S) in {1, 3}
    result = stage.result()

    assert hurts.total() >= 2, "the run was over before anything happened"
    stage.check(result)
    stage.in_order()
    writes, again = stage.twice()
    assert writes == []
    hurts["replay stood still"] += stood_still(world.home, since_ns, lease_s, slept)
    most = len(stage.logs) * windows(hurts, WINDOW)
    assert again <= most, f"{again} shots came again, {most} could after {dict(hurts)}"
    print(f"{dict(hurts)}, {again} shots came again, ledger {result['ledger']}")


def test_without_workers_a_run_says_so_and_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody works: it is said, exit 3 after --wait, and the run is no running one any more."""
    stage = Stage(world, 20, 4)
    done = world.call(*stage.words("--workers", "shared", "--wait", "2"))

    assert done.code == 3, done.err
    assert re.search(r"no worker has been heard for \d+ s", done.err)
    assert "echolane worker replay" in done.err
    assert "interrupted" in world.call("runs", "--home", world.home, "--json").out


def test_a_run_whose_asker_died_is_closed_by_a_worker(world: World) -> None:
    """Who asked is killed in the middle: the workers go on, one of them closes the run, and its result is that of any other."""
    stage = Stage(world, 200, 12, lease_s=CALM_S)
    for role in ("replay", "diff", "diff"):
        stage.worker(role)
    asking = world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--pace", "60/s"))
    stage.wait_fired(20)
    asking.kill()
    asking.wait(10)

    result = stage.wait_ended()
    stage.check(result)
    assert stage.twice() == ([], 0)


def test_a_run_whose_asker_died_is_waited_for_again(world: World) -> None:
    """Who asked is killed; `--resume` asks for nothing anew while the workers are at it: it waits with them, and nothing is fired twice."""
    stage = Stage(world, 240, 12, lease_s=CALM_S)
    for role in ("replay", "diff"):
        stage.worker(role)
    asking = world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--pace", "15/s"))
    stage.wait_fired(20)
    asking.kill()
    asking.wait(10)
    run = stage.latest()
    stage.hold(run)  # until it is waited for: that takes as long to start as this machine likes
    said = world.folder / "resumed.said"
    words = ("run", "--resume", run, "--home", world.home, "--json", world.folder / "result.json")
    with said.open("wb") as err:
        again = world.start(sys.executable, "-m", "console.main", *words, stderr=err)
    wait_until(lambda: f"workers are at run {run} already" in said.read_text("utf-8"))
    assert world.call("runs", "resume", run, "--home", world.home).code == 0

    assert again.wait(WAIT_S) == 1, said.read_text("utf-8")
    stage.check(stage.result())
    assert stage.twice() == ([], 0)


def test_two_runs_at_once(world: World) -> None:
    """The same workers do both, and each comes to its own whole result."""
    stage = Stage(world, 180, 12, lease_s=CALM_S)
    for role in ("replay", "replay", "diff"):
        stage.worker(role)
    paths = [world.folder / f"result-{n}.json" for n in range(2)]
    asking = [
        world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--json", path))
        for path in paths
    ]
    assert [process.wait(WAIT_S) for process in asking] == [1, 1]
    for path in paths:
        stage.check(dict(json.loads(path.read_bytes())))
    for log in stage.logs:
        assert Counter(stage.seen(log)) == dict.fromkeys(range(180), 2)


def test_a_run_is_held_given_up_and_gone_on_with(world: World) -> None:
    """Paused, nothing is fired; cancelled, it ends inconclusive with its ledger balanced; resumed, the rest is fired and nothing twice."""
    stage = Stage(world, 400, 12, lease_s=CALM_S)
    for role in ("replay", "replay", "diff"):
        stage.worker(role)
    asking = world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--pace", "20/s"))
    stage.wait_fired(20)
    run = stage.latest()
    place = ("--home", world.home)
    stage.hold(run)  # at once: a command takes as long to start as this machine likes
    assert world.call("runs", "pause", run, *place).code == 0
    held = stage.wait_still()
    assert held < 400
    assert world.call("runs", "resume", run, *place).code == 0
    stage.wait_fired(held + 20)
    stage.hold(run)
    assert stage.wait_still() < 400
    assert world.call("runs", "cancel", run, *place).code == 0
    assert asking.wait(WAIT_S) == 130
    result = stage.result()
    assert run_identities(result["ledger"]) == [], result["ledger"]
    assert (result["verdict"], result["reason_code"]) == ("inconclusive", "interrupted")
    assert result["ledger"]["skipped"]["interrupted"] > 0
    told_again = world.call("runs", "cancel", run, *place)
    assert told_again.code == 2
    assert "no worker is at run" in told_again.err

    done = world.call("run", "--resume", run, *place, "--json", world.folder / "result.json")
    assert done.code == 1, done.err
    stage.check(stage.result())
    assert stage.twice() == ([], 0)


def test_a_rate_holds_over_all_workers(world: World) -> None:
    """Three workers fire what was asked for of all together: every exchange at its own instant of one beginning.

    That is told from the instant at which each was due as its worker counted it, and not from a clock over the whole: this machine may
    stand still, and what is late by that is told apart (``lateness``).
    """
    stage = Stage(world, 500, 36, lease_s=CALM_S)
    for role in ("replay", "replay", "replay", "diff"):
        stage.worker(role)
    for _ in range(TURNS):
        _, result = stage.run("--workers", "shared", "--pace", "100/s")
        fired = [one.fired for one in stage.told(result["run"]) if one.role == "replay"]
        if len(fired) == 3 and min(fired) >= 0.9 * 500 / 3:
            break

    stage.check(result)
    observed = sorted(stage.observed(result["run"]), key=lambda one: one.seq)
    due = [one.fired_at_ns - one.lateness_ns - one.session_wait_ns - one.seq * 10_000_000 for one in observed]
    begun = sorted(due)[len(due) // 2]
    assert len(observed) == 500
    assert sum(abs(one - begun) < 100_000_000 for one in due) >= 0.9 * 500  # 2 % of the five seconds
    assert len(fired) == 3
    assert min(fired) >= 0.9 * 500 / 3, fired


def test_a_target_that_goes_down_ends_the_run(world: World) -> None:
    """Branch dies in the middle: every worker sees it, the rest is skipped, the ledger balances, and the run says whose fault it was."""
    stage = Stage(world, 600, 12, lease_s=CALM_S)
    for role in ("replay", "replay", "diff"):
        stage.worker(role)
    asking = world.start(sys.executable, "-m", "console.main", *stage.words("--workers", "shared", "--pace", "40/s"))
    stage.wait_fired(60)
    stage.targets[2].kill()
    assert asking.wait(WAIT_S) == 4
    result = stage.result()

    assert run_identities(result["ledger"]) == [], result["ledger"]
    assert (result["verdict"], result["reason_code"]) == ("inconclusive", "target-unavailable")
    assert "branch" in result["reason"]
    assert result["ledger"]["skipped"]["target-unavailable"] > 0
    assert stage.twice()[0] == []
