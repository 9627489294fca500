"""Groups with members on both doors: who holds and commits what, and real workers that are killed and stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.broker import Broker
from echolane.errors import Fenced, HomeError
from echolane.home import Home
from echolane.journal import Group, Journal, Member, open_journal
from tests.waiting import wait_until

PREFIXES = count(1)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")  # see the fixture `sockets`
SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
LEASE_S = 1.5
BOUND_S = 2 * LEASE_S
"""What the door promises."""
SLACK_S = 30.0
"""What a busy machine may add."""
CALM_S = 6.0
"""A lease that does not end while a busy machine lets its holder wait: where nobody is killed, nobody is to be fenced."""


@pytest.fixture(params=["kafka", "sqlite"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home on either door."""
    if request.param == "sqlite":
        return Home(tmp_path)
    broker: Broker = request.getfixturevalue("broker")
    return Home(tmp_path, broker.url(f"prefix=g{next(PREFIXES)}."))


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    """A journal with topic ``t`` of six partitions."""
    opened = open_journal(home)
    opened.create("t", 6)
    yield opened
    opened.close()


def shared(first: Member, second: Member) -> bool:
    """Whether two have half of the topic each, and both know it."""
    return len(second.held()) == 3 and sorted([*first.held(), *second.held()]) == list(range(6))


@pytest.fixture
def joined(journal: Journal) -> Iterator[Callable[[str], Member]]:
    """Joins group ``g``; all leave at the end."""
    members: list[Member] = []

    def join(group: str = "g") -> Member:
        members.append(journal.join(group, "t", CALM_S))
        return members[-1]

    yield join
    for member in members:
        member.leave()


def test_groups_are_listed_with_their_living_members(journal: Journal, joined: Callable[[str], Member]) -> None:
    """A group is there once it has committed or has members; who left is no member any more."""
    journal.commit("alone", "t", 0, 1)
    first, second = joined("differ"), joined("differ")
    wait_until(lambda: shared(first, second))
    both = journal.groups()
    second.leave()
    wait_until(lambda: Group("differ", "t", 1) in journal.groups())

    assert both == [Group("alone", "t", 0), Group("differ", "t", 2)]


def test_members_share_and_keep_what_they_hold(journal: Journal, joined: Callable[..., Member]) -> None:
    """One has all; two have half each, and what stays in hand keeps its epoch; who leaves gives all to the other."""
    first = joined()
    wait_until(lambda: len(first.held()) == 6)
    alone = first.held()
    second = joined()
    wait_until(lambda: shared(first, second))

    assert len({first.name, second.name}) == 2
    assert all(alone[partition] == epoch for partition, epoch in first.held().items())
    assert all(alone[partition] < epoch for partition, epoch in second.held().items())

    half = second.held()
    first.leave()
    wait_until(lambda: len(second.held()) == 6)
    assert {partition: second.held()[partition] for partition in half} == half
    assert first.held() == {}


def test_only_who_holds_a_partition_commits(journal: Journal, joined: Callable[..., Member]) -> None:
    """A commit under an epoch that is over, of a partition never held or after leaving is refused, and changes nothing."""
    first = joined()
    wait_until(lambda: len(first.held()) == 6)
    alone = first.held()
    first.commit(5, 7, alone[5])
    second = joined()
    wait_until(lambda: shared(first, second))
    moved = next(iter(second.held()))

    for member, partition, epoch in (
        (first, moved, alone[moved]),
        (first, moved, second.held()[moved]),
        (second, moved, second.held()[moved] + 1),
        (second, next(iter(first.held())), next(iter(first.held().values()))),
    ):
        before = journal.committed("g", "t", partition)
        with pytest.raises(Fenced, match=f"partition {partition} of group .* nothing was committed"):
            member.commit(partition, 99, epoch)
        assert journal.committed("g", "t", partition) == before
    held = second.held()
    second.commit(moved, 11, held[moved])
    assert journal.committed("g", "t", moved) == 11
    second.leave()
    with pytest.raises(Fenced):
        second.commit(moved, 12, held[moved])


def test_what_is_stale_in_a_commit_of_many_is_left_and_the_others_move(
    journal: Journal, joined: Callable[..., Member]
) -> None:
    """Of many partitions in one commit, each that is not held in its epoch comes back as fenced and stays; all others are committed."""
    first, second = joined(), joined()
    wait_until(lambda: shared(first, second))
    mine, theirs = first.held(), second.held()
    stale = min(mine)

    refused = first.commit_all({p: (10 + p, epoch - (p == stale)) for p, epoch in {**mine, **theirs}.items()})

    assert sorted(refused) == sorted([stale, *theirs])
    for partition, error in refused.items():
        assert f"partition {partition} of group" in str(error)
    places = {partition: journal.committed("g", "t", partition) for partition in range(6)}
    assert places == {p: 10 + p if p in mine and p != stale else 0 for p in range(6)}
    assert first.commit_all({p: (20 + p, epoch) for p, epoch in mine.items()}) == {}
    assert [journal.committed("g", "t", partition) for partition in mine] == [20 + p for p in mine]


def test_a_commit_of_many_outlives_a_change_of_the_group(journal: Journal, joined: Callable[..., Member]) -> None:
    """Commits of many while another one comes: what stays in hand is never refused, what goes is refused once for all."""
    first = joined()
    wait_until(lambda: len(first.held()) == 6)
    epochs, kept, at = first.held(), set(range(6)), count(1)
    second = joined()

    def shared_and_committed() -> bool:
        come, position = shared(first, second), next(at)
        refused = first.commit_all({partition: (position, epochs[partition]) for partition in sorted(kept)})
        kept.difference_update(refused)
        assert all(journal.committed("g", "t", partition) == position for partition in kept)
        return come

    wait_until(shared_and_committed)

    assert first.held() == {partition: epochs[partition] for partition in kept}
    assert len(kept) == 3


def test_groups_do_not_disturb_each_other(journal: Journal, joined: Callable[..., Member]) -> None:
    """Two groups on one topic share nothing but its entries."""
    one, other = joined("one"), joined("other")
    wait_until(lambda: len(one.held()) == len(other.held()) == 6)
    one.commit(0, 3, one.held()[0])

    assert (journal.committed("one", "t", 0), journal.committed("other", "t", 0)) == (3, 0)


def test_a_group_of_a_topic_that_is_not_there_is_refused(journal: Journal) -> None:
    """Nobody waits in a group for a topic that was never made."""
    with pytest.raises(HomeError, match="no topic `u`"):
        journal.join("g", "u")


WORKER = """
import contextlib, os, signal, sys, time
from pathlib import Path
from echolane.errors import Fenced
from echolane.home import Home
from echolane.journal import open_journal

journal = open_journal(Home(Path(sys.argv[1]), sys.argv[2]))
member = journal.join("g", "t", float(sys.argv[3]))
at, asked = {}, []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
while True:
    if asked:
        asked.clear()
        # Not within a transaction: a process that is stopped there keeps the file from the others, as docs/reference/data.md says.
        with getattr(member, "_guard", contextlib.nullcontext()):
            os.kill(os.getpid(), signal.SIGSTOP)
    held = member.held()
    for partition, epoch in {**held, **{p: e for p, (e, _) in at.items()}}.items():
        if partition not in at or at[partition][0] < held.get(partition, 0):
            epoch = held[partition]
            at[partition] = epoch, journal.committed("g", "t", partition)
        epoch, position = at[partition]
        try:
            member.commit(partition, position + 1, epoch)
        except Fenced:
            del at[partition]
            print("fenced", flush=True)
            continue
        at[partition] = epoch, position + 1
        print(time.time(), partition, epoch, position + 1, flush=True)
    time.sleep(0.02)
"""


class Accepted(NamedTuple):
    """A commit that a worker saw accepted."""

    at: float
    partition: int
    epoch: int
    position: int
    worker: int


class Workers:
    """Real processes of one group, and what they say."""

    def __init__(self, home: Home) -> None:
        self.home, self.files = home, dict[int, Path]()
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """One more."""
        number = len(self.files)
        self.files[number] = self.home.path / f"worker-{number}.log"
        with self.files[number].open("wb") as out:
            words = [sys.executable, "-c", WORKER, str(self.home.path), self.home.journal_url, str(LEASE_S)]
            self.running[number] = subprocess.Popen(words, stdout=out, cwd=Path(__file__).parents[2])

    def accepted(self) -> list[Accepted]:
        """Every accepted commit that was told."""
        found = []
        for number, file in self.files.items():
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n") and not line.startswith("fenced"):
                    at, *rest = line.split()
                    found.append(Accepted(float(at), *map(int, rest), number))
        return found

    def wait_all_work(self) -> None:
        """Every worker has its share."""
        since = time.time()
        wait_until(lambda: {one.worker for one in self.accepted() if one.at > since} >= set(self.running), 120)

    def fenced(self, number: int) -> int:
        """How often a worker was refused."""
        return self.files[number].read_text().count("fenced")

    def wait_all_held(self, since: float, seconds: float) -> None:
        """Every partition is worked on by somebody, in time."""
        deadline = since + seconds
        while len({one.partition for one in self.accepted() if one.at > since}) < 6:
            assert time.time() < deadline, f"a partition was not worked on for {seconds} s (ECHOLANE_SEED={SEED})"
            time.sleep(0.05)

    def end(self) -> None:
        """All of them."""
        for process in self.running.values():
            process.send_signal(signal.SIGKILL)
            process.wait(60)


def is_stopped(pid: int) -> bool:
    """Whether a process has been stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"


@pytest.fixture
def workers(home: Home) -> Iterator[Workers]:
    """Processes that end with the test."""
    found = Workers(home)
    yield found
    found.end()


@pytest.mark.slow
def test_workers_that_are_killed_and_stopped_never_hold_one_partition_together(
    journal: Journal, workers: Workers
) -> None:
    """Of a partition and an epoch one worker's commits are accepted, none is lost or set back, and no partition rests for long."""
    print(f"ECHOLANE_SEED={SEED}")
    chance = random.Random(SEED)
    for _ in range(3):
        workers.start()
    for step in range(int(os.environ.get("ECHOLANE_KILLS", "5"))):
        workers.wait_all_work()
        number = chance.choice(sorted(workers.running))
        victim = workers.running[number]
        if step % 2:
            fenced = workers.fenced(number)
            victim.send_signal(signal.SIGUSR1)
            wait_until(lambda victim=victim: is_stopped(victim.pid))  # it stops itself when it comes to that
            since = time.time()
            workers.wait_all_held(since, BOUND_S + SLACK_S)
            time.sleep(max(0.0, since + LEASE_S + 0.3 - time.time()))
            victim.send_signal(signal.SIGCONT)
            wait_until(lambda number=number, fenced=fenced: workers.fenced(number) > fenced)
        else:
            since = time.time()
            victim.send_signal(signal.SIGKILL)
            victim.wait(60)
            del workers.running[number]
            workers.wait_all_held(since, BOUND_S + SLACK_S)
            workers.start()
            time.sleep(chance.random())
    workers.end()

    accepted = workers.accepted()
    owners: dict[tuple[int, int], set[int]] = defaultdict(set)
    for one in accepted:
        owners[one.partition, one.epoch].add(one.worker)
    assert all(len(found) == 1 for found in owners.values()), f"ECHOLANE_SEED={SEED}"
    for partition in range(6):
        told = sorted((one.epoch, one.position) for one in accepted if one.partition == partition)
        positions = [position for _, position in told]
        assert all(first < second for first, second in pairwise(positions)), f"ECHOLANE_SEED={SEED}"
        assert journal.committed("g", "t", partition) >= positions[-1]
