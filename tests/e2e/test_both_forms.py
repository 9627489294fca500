"""One machine and many come to one judgement: what workers on Kafka and ClickHouse said of a run is what one process says of it at home."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from typing import Any

import msgspec

from bench.broker import Broker
from differ.close import close_run
from echolane.home import open_home
from echolane.journal import open_journal
from echolane.runspec import RunSpec
from echolane.store import Store, open_store
from replayer.observing import observations_topic
from tests.e2e.test_clickhouse import without_times
from tests.e2e.workers_parts import Stage
from tests.e2e.world import World
from tests.store.bridge import Bridge, database_of

PREFIXES = count(1)
EXCHANGES, SESSIONS = 240, 24
VIEWS = {"results_v": "* EXCEPT (version)", "findings_v": "* EXCEPT (version, json)"}
"""What is compared of each view: all but which attempt wrote it, and a finding's JSON, which the result holds. Samples are compared in the result, too:
many processes keep more of them than one."""


def carried(stage: Stage, world: World, run: str) -> int:
    """Bring a run's observations as they stand, partition by partition, from the cluster into a home; how many frames."""
    far, near = open_journal(open_home(stage.world.home, stage.journal)), open_journal(open_home(world.home, ""))
    topic = observations_topic(run)
    try:
        near.create(topic, far.partitions(topic))
        frames = 0
        for partition in range(far.partitions(topic)):
            for entry in far.read(topic, partition):
                assert near.append(topic, partition, [entry.frame]) == [entry.position]
                frames += 1
        return frames
    finally:
        far.close()
        near.close()


def rows(store: Store, run: str) -> dict[str, list[str]]:
    """What a store has of a run, one text a row."""
    return {
        view: sorted(
            repr(row) for row in store.query(f"SELECT {what} FROM {view} WHERE run = {{run:String}}", {"run": run})
        )
        for view, what in VIEWS.items()
    }


def shown(world: World, run: str) -> str:
    """Every exchange of a run as `show` prints it."""
    return world.call("show", run, "--exchanges", "--json", "--home", world.home).out


def judged_at_home(world: World, there: Store, far: dict[str, Any]) -> dict[str, Any]:
    """The result that one process comes to in a home of its own, from observations that stand there."""
    run = far["run"]
    with open_store(world.home) as here:
        (row,) = there.query("SELECT * FROM runs_v WHERE run = {run:String}", {"run": run})
        here.insert("runs", {name: [value] for name, value in row.items()})
        words = [sys.executable, "-m", "differ.worker", str(world.home), run]
        subprocess.run(words, env=world.environ, stdin=subprocess.DEVNULL, check=True, timeout=60)
        spec = msgspec.json.decode(row["spec"], type=RunSpec)
        return close_run(here, spec, state="finished", reason="", selected=far["ledger"]["selected"], fired_per_s=0.0)


def test_workers_on_a_cluster_judge_as_one_process_at_home(world: World, broker: Broker, bridge: Bridge) -> None:
    """The same stored observations through Kafka, workers and ClickHouse's protocol, and through SQLite and the embedded store: equal results."""
    stage = Stage(
        world, EXCHANGES, SESSIONS, broker.url(f"prefix=b{next(PREFIXES)}."), lease_s=4.0, store=database_of(bridge)
    )
    for role in ("replay", "replay", "diff", "diff"):
        stage.worker(role)
    for _ in range(3):  # a worker that stands still when the other begins may find nothing left
        _, far = stage.run("--workers", "shared", "--wait", "60")
        stage.check(far)
        compared = {one.worker for one in stage.told(far["run"]) if one.role == "diff"}
        if len(compared) == 2:
            break
    assert len(compared) == 2
    (world.folder / "home-alone").mkdir()
    alone = World(world.folder / "home-alone")

    assert carried(stage, alone, far["run"]) >= 12
    with open_store(world.home, stage.store) as there:
        near = judged_at_home(alone, there, far)
        near["timing"] |= {name: far["timing"][name] for name in ("retry_after", "concurrency")}  # only who fires knows
        assert without_times(near) == without_times(far)
        with open_store(alone.home) as here:
            ours, theirs = rows(here, far["run"]), rows(there, far["run"])
    assert len(theirs["results_v"]) == EXCHANGES
    for view, found in theirs.items():
        assert ours[view] == found, view
    lines = shown(world, far["run"])
    assert (lines.count("\n"), far["verdict"]) == (EXCHANGES, "fail")
    assert shown(alone, far["run"]) == lines
