"""The recorder before a real broker that is killed, stopped and comes back, and killed itself: clients notice nothing, all is counted."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from bench.broker import Broker
from bench.ports import free_port
from capture.account import ledger_of, sessions, total_ledger
from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import capture_identities
from tests.e2e.kills_parts import KILLS, Load, chance, here, kill
from tests.e2e.world import World, listening, send, stop

PREFIXES = count(1)
WAIT_S = 120.0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that only these tests use, and hurt; the shared one says whether there can be one."""
    found = Broker(tmp_path_factory.mktemp("away"))
    yield found
    found.kill()


class Stage:
    """A recorded service whose recorder sends to a broker of our own."""

    def __init__(self, world: World, broker: Broker) -> None:
        self.world, self.broker = world, broker
        if broker.process is None:
            broker.start()
        url = broker.url(f"prefix=s{next(PREFIXES)}.&wait_s=3")
        world.environ["ECHOLANE_JOURNAL"] = url
        self.home = Home(world.home, url)
        self.upstream, self.port = world.app(), free_port()
        self.words = world.folder / "words"

    def record(self) -> subprocess.Popen[bytes]:
        """The recorder, from its beginning; what it says goes to a file."""
        words = ["record", "--service", "shop", "--home", self.world.home, "--listen", f"127.0.0.1:{self.port}"]
        with self.words.open("ab") as told:
            process = self.world.start(
                sys.executable,
                "-m",
                "console.main",
                *words,
                "--upstream",
                f"http://127.0.0.1:{self.upstream}",
                stderr=told,
            )
        listening(self.port, WAIT_S, process)
        return process

    def ledger(self) -> dict[str, int]:
        """All sessions' counts; each balances at any time at which nothing is being counted."""
        return total_ledger(self.home, "shop")

    def until(self, done: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait for a state of the ledger."""
        deadline = time.monotonic() + WAIT_S
        while not done(counts := self.ledger()):
            assert time.monotonic() < deadline, counts
            time.sleep(0.05)
        return counts

    def on_disk(self) -> bool:
        """Whether the spool has files."""
        return any(self.home.spool.glob("*/topic.json"))

    def drained(self) -> None:
        """Wait until the disk is given back and all is stored."""
        self.until(lambda counts: not counts["spooled"] and not self.on_disk())

    def kept(self) -> list[list[Exchange]]:
        """What stands in each partition of the broker's topic."""
        journal = open_journal(self.home)
        try:
            topic = "exchanges.shop"
            return [
                [one for entry in journal.read(topic, partition) for one in decode_frame(entry.frame, Exchange)]
                for partition in range(journal.partitions(topic))
            ]
        finally:
            journal.close()

    def check(self) -> dict[str, int]:
        """Every session balances, and what is said to be stored is on the broker, each session's in order within a partition.

        Two sessions may overlap: the recorder of a killed relay still sends what it has while the next one begins.
        """
        partitions = self.kept()
        stored: dict[int, set[int]] = {}
        for partition in partitions:
            firsts: dict[tuple[str, int, int], int] = {}
            for one in partition:
                firsts.setdefault((one.agent, one.epoch, one.seq), len(firsts))
                stored.setdefault(one.epoch, set()).add(one.seq)
            by_session = sorted(firsts, key=lambda key: key[1])
            assert by_session == sorted(firsts, key=lambda key: key[1:]), "out of order"
        for session in sessions(self.home, "shop"):
            counts = ledger_of(session)
            assert capture_identities(counts) == [], counts
            assert counts["stored"] == len(stored.get(session.epoch, set())), counts
        return self.ledger()


@pytest.fixture
def stage(world: World, own: Broker) -> Iterator[Stage]:
    """A stage whose broker goes on afterwards."""
    yield Stage(world, own)
    if own.process is not None:
        own.signal(signal.SIGCONT)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_broker_that_is_away_for_a_while_costs_nothing(stage: Stage, how: str) -> None:
    """Clients are served as before, what they did waits on the disk, and all of it is on the broker in the end, in order."""
    process = stage.record()
    load = Load(stage.port, 2)
    stage.until(lambda counts: counts["stored"] > 50)
    if how == "killed":
        stage.broker.kill()
    else:
        stage.broker.signal(signal.SIGSTOP)
    stage.until(lambda _: stage.on_disk())
    before = stage.ledger()["seen"]
    stage.until(lambda counts: counts["seen"] > before + 500)
    if how == "killed":
        stage.broker.start()
    else:
        stage.broker.signal(signal.SIGCONT)
    stage.until(lambda _: not stage.on_disk())
    answered = load.stop()
    stage.drained()
    assert stop(process, 60) == 0

    counts = stage.check()
    assert load.failed == 0
    assert counts == {"seen": len(answered), "stored": len(answered), "spooled": 0}
    assert {one.request.target for partition in stage.kept() for one in partition} == answered
    words = stage.words.read_text()
    assert re.search(r"what is recorded waits in \S+/spool \(up to 1024 MiB, then the oldest is dropped\)", words)
    assert "all that waited on the disk is in the journal" in words


def test_kills_of_everything(stage: Stage) -> None:
    """The broker goes and comes, recorder and relay die at any instant, and start while it is away: each exchange is counted once."""
    random, broker = chance("spool"), stage.broker
    process = stage.record()
    load = Load(stage.port, 3)
    stage.until(lambda counts: counts["stored"] > 50)
    for _ in range(KILLS):
        for action in random.sample(["broker", "recorder", "recorder", "relay", "pause"], 5):
            time.sleep(random.uniform(0.0, 0.7))
            if action == "broker":
                if broker.process is None:
                    broker.start()
                else:
                    broker.kill()
            elif action == "pause" and broker.process is not None:
                broker.signal(signal.SIGSTOP)
                time.sleep(random.uniform(0.1, 2.0))
                broker.signal(signal.SIGCONT)
            elif action == "recorder":
                for pid in here(stage.world.home, "capture.recorder"):
                    kill(pid)
            elif action == "relay":
                kill(process.pid)
                process.wait(10)
                process = stage.record()
    if broker.process is None:
        broker.start()
    load.stop()
    stage.drained()
    assert stop(process, 60) == 0

    counts = stage.check()
    print(counts)
    assert set(counts) <= {
        "seen",
        "stored",
        "spooled",
        "dropped{recorder-died}",
        "dropped{relay-died}",
        "dropped{recorder-busy}",
    }
    assert counts["stored"] > counts["seen"] // 2


def test_a_recorder_begins_without_its_broker(stage: Stage) -> None:
    """It serves, says what is wrong and where the recording waits, ends in good order with it; the next one sends it, and a run takes each once."""
    stage.broker.kill()
    requests = [(f"/items/{n}", {"Authorization": f"Bearer client-number-{n % 5}-abcdef"}) for n in range(1, 33)]
    process = stage.record()
    send(stage.port, requests)
    assert stop(process, 60) == 0
    words = stage.words.read_text()
    assert re.search(r"warning: no broker of \S+ answers .*; until then what is recorded waits in \S+/spool\n", words)
    assert f"seen {len(requests)} = stored 0 + spooled {len(requests)}\n" in words
    examined = stage.world.call("doctor", "--home", stage.world.home)
    assert f"{len(requests)} exchanges of shop wait" in examined.out

    stage.broker.start()
    early = stage.world.call(
        *("run", "--service", "shop", "--home", stage.world.home),
        *("--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.1:2"),
    )
    assert early.code == 2, early.err  # nobody has made the topic yet
    assert f"not in this run: {len(requests)} exchanges of shop wait in" in early.err
    assert "echolane record --service shop sends them" in early.err
    process = stage.record()
    send(stage.port, requests[:4])
    stage.drained()
    assert stop(process, 60) == 0
    counts = stage.check()
    assert counts == {"seen": len(requests) + 4, "stored": len(requests) + 4, "spooled": 0}
    # What a broker took only after it was looked for stands twice.
    journal = open_journal(stage.home)
    for partition in range(journal.partitions("exchanges.shop")):
        for entry in list(journal.read("exchanges.shop", partition)):
            journal.append("exchanges.shop", partition, [entry.frame])
    journal.close()
    done, result = stage.world.run(
        "--workers",
        "own",
        "--base-cmd",
        stage.world.app_command(),
        "--branch-cmd",
        stage.world.app_command("price"),
    )
    assert done.code == 1, done.err
    assert result["ledger"]["selected"] == len(requests) + 4


def test_a_full_spool_is_counted_and_told(stage: Stage) -> None:
    """A spool of a megabyte in an outage: it keeps to its bound, drops the oldest, says so once, and the rest arrives."""
    stage.world.environ["ECHOLANE_CAPTURE_SPOOL_BYTES"] = str(1 << 20)
    stage.world.environ["ECHOLANE_CAPTURE_SPOOL_POLICY"] = "drop-oldest"
    process = stage.record()
    load = Load(stage.port, 2)
    stage.until(lambda counts: counts["stored"] > 50)
    stage.broker.kill()
    stage.until(lambda counts: counts.get("dropped{spool-full}", 0) > 100)
    taken = 0
    for path in stage.home.spool.glob("*/*/0*"):
        with contextlib.suppress(FileNotFoundError):  # the oldest go meanwhile
            taken += path.stat().st_size if not path.name.endswith("-shm") else 0
    answered = load.stop()
    stage.broker.start()
    stage.drained()
    assert stop(process, 60) == 0

    counts = stage.check()
    assert load.failed == 0
    assert counts["seen"] == len(answered)
    assert taken < 3 << 20
    assert stage.words.read_text().count("raise capture.spool_bytes") == 1


def test_a_wrong_way_in_is_refused_at_once(stage: Stage, own: Broker) -> None:
    """A journal that shuts us out is a mistake in the settings and no outage: one line, exit 2, nothing is served."""
    with contextlib.suppress(KeyError):
        del stage.world.environ["ECHOLANE_JOURNAL"]
    stage.world.environ["ECHOLANE_KAFKA_PASSWORD"] = "wrong"
    url = f"kafka://alice@127.0.0.1:{own.sasl}?wait_s=3"
    words = ("--listen", f"127.0.0.1:{free_port()}", "--upstream", f"http://127.0.0.1:{stage.upstream}")
    done = stage.world.call("record", "--service", "shop", "--home", Path(stage.world.home), "--journal", url, *words)
    assert done.code == 2
    assert "wrong user or password" in done.err
    assert done.err.count("\n") == 1, done.err
