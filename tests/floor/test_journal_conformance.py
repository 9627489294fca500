"""What every door of the journal must do, on one machine or many: one suite, a story each, and a machine against a list model."""

# ruff: noqa: D102 - the rules of the machine are named for what they do

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bench.broker import Broker
from echolane.clock import ManualClock
from echolane.errors import HomeError, UsageError
from echolane.frame import INTENTS, decode_frame, encode_frame
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.observation import Intent

MS_NS = 1_000_000
PREFIXES = count(1)
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")  # see the fixture `sockets`


class Sqlite:
    """The door of one machine, on a clock that the test moves."""

    tick_ns = 1
    """The finest difference of append times."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, ManualClock()

    def open(self) -> Journal:
        """The journal, as another process has it."""
        return open_journal(self.home, clock=self.clock)

    def now_ns(self) -> int:
        """What the journal takes for the time."""
        return self.clock.wall_ns()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance_s(seconds)


class Kafka:
    """The door of many, on a real broker and its clock: a while is a few milliseconds."""

    tick_ns = MS_NS

    def __init__(self, broker: Broker) -> None:
        self.home = Home(Path("none"), broker.url(f"prefix=c{next(PREFIXES)}."))

    def open(self) -> Journal:
        """The journal, as another process has it."""
        return open_journal(self.home)

    def now_ns(self) -> int:
        """The broker is on this machine."""
        return time.time_ns()

    def wait(self, seconds: float) -> None:  # noqa: ARG002 - append times differ after any while
        """Let time pass."""
        time.sleep(0.004)


def frame_of(number: int, size: int = 0) -> bytes:
    """A sound frame that can be told from others."""
    intent = Intent(f"e{number}", 0, "w" * size, number)
    return encode_frame([intent], kind=INTENTS, partition=0, first_ns=number, last_ns=number)


def number_in(frame: bytes) -> int:
    """Which frame this is."""
    return decode_frame(frame, Intent)[0].attempt


@pytest.fixture(params=["kafka", "sqlite"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite | Kafka:
    """One way to a journal."""
    return Sqlite(tmp_path) if request.param == "sqlite" else Kafka(request.getfixturevalue("broker"))


@pytest.fixture
def reopened(door: Sqlite | Kafka) -> Iterator[Callable[[], Journal]]:
    """Opens the journal of one home, as often as asked."""
    opened: list[Journal] = []

    def another() -> Journal:
        opened.append(door.open())
        return opened[-1]

    yield another
    for journal in opened:
        journal.close()


@pytest.fixture
def journal(reopened: Callable[[], Journal]) -> Journal:
    """A journal with topic ``t`` of two partitions."""
    journal = reopened()
    journal.create("t", 2)
    return journal


def test_positions_grow_by_one_in_each_partition(journal: Journal) -> None:
    """Each partition counts by itself, without gaps, and what is read is what was appended, in order."""
    frames = [frame_of(n) for n in range(6)]

    assert journal.append("t", 0, frames[:2]) == [0, 1]
    assert journal.append("t", 1, frames[2:3]) == [0]
    assert journal.append("t", 0, frames[3:]) == [2, 3, 4]
    assert journal.append("t", 0, []) == []

    assert [(e.position, e.frame) for e in journal.read("t", 0)] == list(enumerate(frames[:2] + frames[3:]))
    assert [e.frame for e in journal.read("t", 0, 1, 3)] == [frames[1], frames[3]]
    assert (journal.begin("t", 0), journal.end("t", 0), journal.end("t", 1)) == (0, 5, 1)
    assert list(journal.read("t", 0, 5)) == list(journal.read("t", 0, 3, 3)) == list(journal.read("t", 1, 9)) == []


def test_what_was_acknowledged_is_there_after_a_restart(journal: Journal, reopened: Callable[[], Journal]) -> None:
    """Topics, entries and commits outlive the process that wrote them."""
    journal.append("t", 1, [frame_of(1), frame_of(2)])
    journal.commit("differ", "t", 1, 1)
    journal.close()

    again = reopened()

    assert again.topics() == ["t"]
    assert again.partitions("t") == 2
    assert [number_in(e.frame) for e in again.read("t", 1)] == [1, 2]
    assert again.committed("differ", "t", 1) == 1
    assert again.append("t", 1, [frame_of(3)]) == [2]


def test_topics_are_made_once_and_keep_their_partitions(journal: Journal) -> None:
    """Making a topic again does nothing; another number of partitions, a bad name or a missing topic is one clear line."""
    journal.create("t", 2)
    journal.create("exchanges.shop", 4)

    assert journal.topics() == ["exchanges.shop", "t"]
    with pytest.raises(HomeError, match="has 2 partitions, not 3"):
        journal.create("t", 3)
    for name in ("", "../up", "a/b", ".hidden", "a" * 300):
        with pytest.raises(UsageError, match="letters, digits"):
            journal.create(name, 1)
    with pytest.raises(UsageError, match="cannot have 0"):
        journal.create("u", 0)
    with pytest.raises(HomeError, match="no topic `u`"):
        journal.append("u", 0, [frame_of(1)])
    with pytest.raises(HomeError, match="no topic `u`"):
        journal.read("u", 0)
    with pytest.raises(HomeError, match="no partition 2"):
        journal.end("t", 2)


def test_groups_keep_their_places_apart(journal: Journal) -> None:
    """A group's place is its own, per partition, and may be set back."""
    journal.commit("a", "t", 0, 7)
    journal.commit("b", "t", 0, 3)
    journal.commit("a", "t", 0, 5)

    assert [journal.committed(g, "t", p) for g, p in (("a", 0), ("b", 0), ("a", 1), ("c", 0))] == [5, 3, 0, 0]


def test_a_time_finds_its_position(journal: Journal, door: Sqlite | Kafka) -> None:
    """position_at is the first entry appended at or after a time, over hours, and the end after the last one."""
    times: list[int] = []
    for number in range(9):
        times.append(door.now_ns())
        journal.append("t", 0, [frame_of(number)])
        door.wait(1_200)
    stamps = [entry.append_ns for entry in journal.read("t", 0)]

    assert [journal.position_at("t", 0, at) for at in times] == list(range(9))
    assert [journal.position_at("t", 0, at) for at in stamps] == list(range(9))
    assert [journal.position_at("t", 0, at + door.tick_ns) for at in stamps] == list(range(1, 10))
    assert journal.position_at("t", 0, 0) == 0
    assert journal.position_at("t", 1, times[3]) == 0


@pytest.mark.parametrize("door", ["sqlite"], indirect=True)  # a broker has a clock of its own
def test_a_clock_that_is_set_back_does_not_disturb_the_order(journal: Journal, door: Sqlite) -> None:
    """Append times never go back, so a time still finds its position after the wall clock jumped."""
    journal.append("t", 0, [frame_of(0)])
    before = door.now_ns()
    door.wait(-7_200)
    journal.append("t", 1, [frame_of(1)])
    journal.append("t", 0, [frame_of(2)])

    stamps = [e.append_ns for e in journal.read("t", 0)]

    assert stamps == sorted(stamps)
    assert journal.position_at("t", 0, before) == 0
    assert journal.position_at("t", 0, before + 1) == 2
    assert journal.position_at("t", 1, before) == 0


def test_retention_removes_old_hours_and_positions_stay(journal: Journal, door: Sqlite | Kafka) -> None:
    """What is older goes, what is younger stays under its old position, and a reader can see what it has missed."""
    times: list[int] = []
    for number in range(6):
        times.append(door.now_ns())
        journal.append("t", 0, [frame_of(number)])
        door.wait(3_600)

    removed = journal.expire("t", times[3])

    kept = [(e.position, number_in(e.frame)) for e in journal.read("t", 0)]
    assert removed == 3
    assert kept == [(3, 3), (4, 4), (5, 5)]
    assert (journal.begin("t", 0), journal.end("t", 0)) == (3, 6)
    assert journal.damaged("t") == 0
    assert journal.expire("t", door.now_ns()) == 2
    assert journal.append("t", 0, [frame_of(6)]) == [6]


def test_a_topic_that_is_removed_and_made_again_is_empty(journal: Journal, reopened: Callable[[], Journal]) -> None:
    """Another process that had the topic open sees the new one and nothing of the old."""
    other = reopened()
    journal.append("t", 0, [frame_of(1)])
    other.append("t", 0, [frame_of(2)])
    other.commit("g", "t", 0, 2)

    journal.drop("t")

    assert journal.topics() == []
    with pytest.raises(HomeError, match="no topic `t`"):
        other.append("t", 0, [frame_of(3)])
    journal.create("t", 3)
    assert (other.end("t", 2), other.committed("g", "t", 0), list(other.read("t", 0))) == (0, 0, [])
    assert other.append("t", 0, [frame_of(4)]) == [0]
    assert [number_in(e.frame) for e in journal.read("t", 0)] == [4]
    journal.drop("nothing")


def test_what_is_no_frame_is_refused(journal: Journal) -> None:
    """Bytes that no reader could give back are refused before they are acknowledged."""
    for wrong in (b"", b"no frame at all, but long enough to hold the head of one", b"\0" * (16 * 1024 * 1024 + 1)):
        with pytest.raises(ValueError, match="frame"):
            journal.append("t", 0, [frame_of(1), wrong])

    assert journal.end("t", 0) == 0


def test_threads_share_one_journal(journal: Journal) -> None:
    """Many threads append at once: every append gets positions of its own, in a row, and keeps its order."""
    gate = threading.Barrier(8)

    def work(thread: int) -> list[tuple[int, list[int]]]:
        gate.wait(60)
        return [(n, journal.append("t", n % 2, [frame_of(thread * 1_000 + n), frame_of(n)])) for n in range(20)]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))

    for partition in range(2):
        given = [p for result in results for n, positions in result if n % 2 == partition for p in positions]
        entries = {e.position: number_in(e.frame) for e in journal.read("t", partition)}
        assert sorted(given) == sorted(entries) == list(range(160))
        for thread, result in enumerate(results):
            mine = [positions for n, positions in result if n % 2 == partition]
            assert mine == sorted(mine)
            assert all(second == first + 1 for first, second in mine)
            assert [entries[first] for first, _ in mine] == [thread * 1_000 + n for n in range(partition, 20, 2)]


def test_a_reader_holds_little_however_much_there_is(journal: Journal) -> None:
    """A read is lazy: entries come before the last one was looked at, and appends go on meanwhile."""
    journal.append("t", 0, [frame_of(n, 1_000) for n in range(600)])
    reading = journal.read("t", 0)

    first = next(reading)
    journal.append("t", 0, [frame_of(600)])

    assert first.position == 0
    assert [e.position for e in reading] == list(range(1, 600))


class JournalMachine(RuleBasedStateMachine):
    """Anything a caller can do, in any order, against lists."""

    def __init__(self) -> None:
        super().__init__()
        self.door = self.another_door()
        self.journal = self.door.open()
        self.model: dict[str, list[list[tuple[int, int]]]] = {}
        self.commits: dict[tuple[str, str, int], int] = {}
        self.count = 0

    def another_door(self) -> Sqlite | Kafka:
        return Sqlite(Path(tempfile.mkdtemp(prefix="journal-")))

    @initialize()
    def begin(self) -> None:
        self.create("a", 2)

    @precondition(lambda self: len(self.model) < 2)
    @rule(topic=st.sampled_from("ab"), partitions=st.integers(1, 3))
    def create(self, topic: str, partitions: int) -> None:
        if topic not in self.model:
            self.journal.create(topic, partitions)
            self.model[topic] = [[] for _ in range(partitions)]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), frames=st.integers(1, 4), large=st.booleans())
    def append(self, data: st.DataObject, frames: int, large: bool) -> None:
        topic, partition = self.place(data)
        numbers = list(range(self.count, self.count + frames))
        self.count += frames
        positions = self.journal.append(topic, partition, [frame_of(n, 20_000 if large else 0) for n in numbers])
        entries = self.model[topic][partition]
        assert positions == list(range(len(entries), len(entries) + frames))
        stamps = {e.position: e.append_ns for e in self.journal.read(topic, partition, positions[0])}
        entries += [(stamps[position], n) for position, n in zip(positions, numbers, strict=True)]
        assert isinstance(self.door, Kafka) or set(stamps.values()) == {self.door.now_ns()}

    @precondition(lambda self: self.model)
    @rule(data=st.data(), start=st.integers(0, 30), length=st.none() | st.integers(0, 10))
    def read(self, data: st.DataObject, start: int, length: int | None) -> None:
        topic, partition = self.place(data)
        stop = None if length is None else start + length
        kept = self.journal.begin(topic, partition)
        found = [
            (e.position, e.append_ns, number_in(e.frame)) for e in self.journal.read(topic, partition, start, stop)
        ]
        entries = self.model[topic][partition]
        expected = [
            (p, at, n) for p, (at, n) in enumerate(entries) if p >= max(start, kept) and (stop is None or p < stop)
        ]
        assert found == expected

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ticks=st.integers(-1, 1))
    def find(self, data: st.DataObject, ticks: int) -> None:
        topic, partition = self.place(data)
        at = self.moment(data) + ticks * self.door.tick_ns
        entries, kept = self.model[topic][partition], self.journal.begin(topic, partition)
        expected = next((p for p, (stamp, _) in enumerate(entries) if p >= kept and stamp >= at), len(entries))
        assert self.journal.position_at(topic, partition, at) == expected

    @precondition(lambda self: self.model)
    @rule(data=st.data(), group=st.sampled_from("gh"), position=st.integers(0, 50))
    def commit(self, data: st.DataObject, group: str, position: int) -> None:
        topic, partition = self.place(data)
        self.journal.commit(group, topic, partition, position)
        self.commits[group, topic, partition] = position

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        topic, _ = self.place(data)
        before = self.moment(data)
        self.journal.expire(topic, before)
        for partition, entries in enumerate(self.model[topic]):
            removed = entries[: self.journal.begin(topic, partition)]
            assert all(at <= before for at, _ in removed)

    @rule(seconds=st.sampled_from([1, 60, 1_800, 7_200]))
    def wait(self, seconds: int) -> None:
        self.door.wait(seconds)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = self.door.open()

    @precondition(lambda self: "b" in self.model)
    @rule()
    def drop(self) -> None:
        self.journal.drop("b")
        del self.model["b"]
        self.commits = {key: at for key, at in self.commits.items() if key[1] != "b"}

    def place(self, data: st.DataObject) -> tuple[str, int]:
        topic = data.draw(st.sampled_from(sorted(self.model)))
        return topic, data.draw(st.integers(0, len(self.model[topic]) - 1))

    def moment(self, data: st.DataObject) -> int:
        """An append time of any entry, or now."""
        stamps = [at for partitions in self.model.values() for entries in partitions for at, _ in entries]
        return data.draw(st.sampled_from([*stamps, self.door.now_ns()]))

    @invariant()
    def ends_and_commits_agree(self) -> None:
        assert self.journal.topics() == sorted(self.model)
        for topic, partitions in self.model.items():
            assert [self.journal.end(topic, p) for p in range(len(partitions))] == [len(e) for e in partitions]
            assert self.journal.damaged(topic) == 0
        for (group, topic, partition), at in self.commits.items():
            assert self.journal.committed(group, topic, partition) == at

    def teardown(self) -> None:
        for topic in self.journal.topics():
            self.journal.drop(topic)
        self.journal.close()
        if isinstance(self.door, Sqlite):
            shutil.rmtree(self.door.home)


class KafkaMachine(JournalMachine):
    """The same on a broker."""

    broker: ClassVar[Broker]

    def another_door(self) -> Kafka:
        return Kafka(self.broker)


@pytest.fixture(scope="class")
def machine_broker(broker: Broker) -> None:
    """Where the machine's journals are."""
    KafkaMachine.broker = broker


STEADY = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = STEADY
TestKafkaMachine = pytest.mark.usefixtures("machine_broker")(KafkaMachine.TestCase)
TestKafkaMachine.settings = settings(STEADY, max_examples=6)  # a step asks the broker a dozen times
