"""A cluster that asks for rights: the users of the guide, made by its own commands, are let do what they are for, and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from bench import broker as kafka
from bench.ports import free_port
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.runlog import RUNS
from tests.e2e.rights_parts import Guarded, commands
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import World, listening, send, stop
from tests.waiting import wait_until

PERIOD_NS = 250_000_000
"""Between two exchanges at four a second."""


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, require_module: Callable[..., str], lacking: Callable[[str], NoReturn]
) -> Iterator[Guarded]:
    """One broker with TLS, SCRAM and an authorizer for all tests of this file."""
    require_module("kafka", "pip install 'kafka-python[crc32c]'")
    if lack := kafka.lacks():
        lacking(f"needs {lack} for Apache Kafka: {kafka.HINT}")
    kafka.install()
    found = Guarded(tmp_path_factory.mktemp("guarded"))
    try:
        found.start()
        yield found
    finally:
        found.broker.stop()


@pytest.fixture(autouse=True)
def empty(guarded: Guarded, tmp_path: Path) -> None:
    """Nothing of an earlier test is on the broker: the rights are for one prefix, so all tests have the same topics."""
    journal = open_journal(Home(tmp_path, guarded.broker.url()))
    for topic in journal.topics():
        journal.drop(topic)
    journal.create(RUNS, 1)  # who may make it is told apart from who may work
    journal.close()


@pytest.fixture
def stage(world: World, guarded: Guarded) -> Stage:
    """What the recorder's user has recorded; writes among it."""
    return Stage(world, 80, 8, guarded.url("recorder"), lease_s=9.0)  # longer than this machine stands still


def become(world: World, guarded: Guarded, user: str) -> None:
    """What is started from now on comes in as this user."""
    world.environ["ECHOLANE_JOURNAL"] = guarded.url(user)


def with_workers(stage: Stage, guarded: Guarded) -> None:
    """One of each kind; then whoever runs."""
    become(stage.world, guarded, "worker")
    for role in ("replay", "diff"):
        stage.worker(role)
    become(stage.world, guarded, "runner")
    stage.journal = guarded.url("runner")


def test_each_part_does_its_work_with_its_rights(stage: Stage, guarded: Guarded) -> None:
    """Recorder, workers, runner, reader and doctor, each as its own user of the guide: a run in both forms, whole, and nothing is refused."""
    world, place = stage.world, ("--home", stage.world.home)
    with_workers(stage, guarded)
    _, shared = stage.run("--workers", "shared", "--wait", "60")
    stage.check(shared)
    _, own = stage.run("--workers", "own")
    stage.check(own)

    # Who may not hold the letters is told so before it is looked whether there are any.
    assert "has no dead letters" in world.call("dlq", "retry", shared["run"], *place).err

    become(world, guarded, "reader")
    for words in (["recordings"], ["show", own["run"], "--explain", own["groups"][0]["id"]], ["dlq", "ls"]):
        told = world.call(*words, *place)
        assert (told.code, told.err.count("may not")) == (0, 0), told.err
    become(world, guarded, "doctor")
    examined = world.call("doctor", *place)
    assert examined.code == 0, examined.out
    assert "warn" not in examined.out, examined.out


def test_one_user_for_everything(world: World, guarded: Guarded) -> None:
    """The guide's `echolane.toml` and its one user: what is recorded is stored, and doctor has nothing to say."""
    world.environ = {name: value for name, value in world.environ.items() if not name.startswith("ECHOLANE_")}
    (world.folder / "echolane.toml").write_text(guarded.settings(), "utf-8")
    port = free_port()
    process = world.start(
        *(sys.executable, "-m", "console.main", "record", "--service", "lone", "--home", world.home),
        *("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{world.app()}"),
        cwd=world.folder,
    )
    listening(port, process=process)
    send(port, [(f"/items/{n}", {}) for n in range(1, 9)])
    assert stop(process) == 0
    world.check_capture("lone", stored=8)
    examined = world.call("doctor", "--home", world.home)

    assert (examined.code, "warn" in examined.out) == (0, False), examined.out
    assert f"127.0.0.1:{guarded.broker.both} is within 2 s" in examined.out


def test_a_run_is_held_gone_on_with_and_given_up_as_the_guide_says(stage: Stage, guarded: Guarded) -> None:
    """The guide's four commands: what was due in a pause is due so much later, a cancelled run is inconclusive, `--resume` does the rest."""
    world = stage.world
    with_workers(stage, guarded)
    words = stage.words("--workers", "shared", "--pace", "4/s")
    asking = world.start(sys.executable, "-m", "console.main", *words)
    stage.wait_fired(10)
    run = stage.latest()
    pause, resume, cancel, again = commands("Hold, go on, give up", {"RUN": run})
    place = ("--home", world.home)
    stage.hold(run)  # at once: a command takes as long to start as this machine likes
    since = time.monotonic()
    assert world.call(*pause, *place).code == 0
    held = stage.wait_still()
    assert held < 80
    waited_ns = int((time.monotonic() - since) * 1e9)
    assert world.call(*resume, *place).code == 0
    stage.wait_fired(held + 10)
    stage.hold(run)
    assert world.call(*cancel, *place).code == 0
    assert asking.wait(WAIT_S) == 130
    result = stage.result()

    assert run_identities(result["ledger"]) == [], result["ledger"]
    assert (result["verdict"], result["reason_code"]) == ("inconclusive", "interrupted")
    due = {
        one.seq: one.fired_at_ns - one.lateness_ns - one.session_wait_ns - one.seq * PERIOD_NS
        for one in stage.observed(run)
        if one.fired_at_ns
    }
    assert due[max(due)] - due[min(due)] >= waited_ns
    done = world.call(*again, *place, "--json", world.folder / "result.json")
    assert done.code == 1, done.err
    stage.check(stage.result())
    assert stage.twice() == ([], 0)


DENIED = {
    "record": ("reader", "Create on topic `echolane.exchanges.new`"),
    "run": ("reader", "Create on topic `echolane.work."),
    "worker replay": ("recorder", "Describe on topic `echolane.runs`"),
    "worker diff": ("recorder", "Describe on topic `echolane.runs`"),
}
"""Commands of users that are not for them: which right the one line names."""


def test_who_lacks_a_right_reads_which(world: World, guarded: Guarded) -> None:
    """A command whose user may not ends with exit 2 and one line: the user, the right and on what; doctor says each, and looks at the rest."""
    upstream, nowhere, place = world.app(), f"http://127.0.0.1:{free_port()}", ("--home", world.home)
    become(world, guarded, "worker")
    worker = world.start(sys.executable, "-m", "console.main", "worker", "diff", *place)  # it makes the topic `runs`
    become(world, guarded, "recorder")
    world.record(upstream, [("/items/1", {})])
    more: dict[str, tuple[object, ...]] = {
        "record": ("--service", "new", "--listen", f"127.0.0.1:{free_port()}", "--upstream", nowhere),
        "run": ("--service", "shop", "--base", f"http://127.0.0.1:{upstream}", "--branch", nowhere),
    }
    for command, (user, right) in DENIED.items():
        become(world, guarded, user)
        done = world.call(*command.split(), *more.get(command, ()), *place)

        assert done.code == 2, done.err
        assert f"Kafka user `{user}` may not do this: it lacks {right}" in done.err
        assert "Traceback" not in done.err
        assert len([line for line in done.err.splitlines() if line.startswith("echolane: ")]) == 1
    become(world, guarded, "reader")
    out = world.call("doctor", *place).out
    assert "kafka brokers" in out
    assert "have settings that this user may not read; grant DescribeConfigs on the cluster" in out
    assert "settings that this user may not read; grant DescribeConfigs on it" in out
    assert "it lacks Create on topic `echolane.doctor." in out
    assert "it lacks Describe on group `echolane.set-aside:exchanges.shop`" in out
    stop(worker)


def test_a_right_that_is_taken_is_named_while_one_works(stage: Stage, guarded: Guarded) -> None:
    """Workers and a recorder that may only read go on and say what they lack; what is recorded waits, and is sent by one who may."""
    world = stage.world
    become(world, guarded, "reader")
    upstream, port, said = world.app(), free_port(), world.folder / "said"
    words = ("record", "--service", "shop", "--home", world.home, "--listen", f"127.0.0.1:{port}")
    with said.open("wb") as err:
        process = world.start(
            sys.executable, "-m", "console.main", *words, "--upstream", f"http://127.0.0.1:{upstream}", stderr=err
        )
    listening(port, process=process)
    send(port, [("/items/1", {})])
    wait_said(said, "`reader` may not do this: it lacks Write on topic `echolane.exchanges.shop`")
    assert stop(process) == 0
    for role in ("replay", "diff"):
        stage.worker(role)
    become(world, guarded, "runner")
    done = world.call(*stage.words("--workers", "shared", "--wait", "6"))
    assert done.code == 3, done.err
    groups = {"worker-replay": "echolane.replayer.", "worker-diff": "echolane.differ:"}

    def texts() -> list[str]:
        return [path.read_text("utf-8") for path in sorted(world.folder.glob("worker-*"))]

    for group in groups.values():
        lack = f"`reader` may not do this: it lacks Read on group `{group}"
        wait_until(lambda lack=lack: any(lack in text for text in texts()))
    assert not any("Traceback" in text for text in texts())
    become(world, guarded, "recorder")
    process, port = world.recorder(upstream)
    send(port, [("/items/2", {})])
    assert stop(process) == 0
    world.check_capture()


def wait_said(path: Path, text: str) -> None:
    """Wait until a process has said something."""
    deadline = time.monotonic() + WAIT_S
    while text not in path.read_text("utf-8"):
        assert time.monotonic() < deadline, path.read_text("utf-8")
        time.sleep(0.1)
