"""Copies of topics: the entries of one moment at their positions, whatever is appended, expired or removed while they are copied."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from echolane.clock import SYSTEM
from echolane.errors import HomeError
from echolane.frame import WORDS, encode_frame
from echolane.journal import copying, writing
from echolane.journal.copying import HEAD, RECORD, Copying, SegmentHead, TopicHead, cut, noted, still
from echolane.journal.rebuilding import Rebuilding, Unfitting
from echolane.journal.segments import key_of
from echolane.journal.sqlite import SqliteJournal

TOPIC = "exchanges.shop"


def frame(number: int) -> bytes:
    """A frame of two records."""
    return encode_frame([[number, os.urandom(9000)], [number]], kind=WORDS, partition=0, first_ns=1, last_ns=2)


def told(journal: SqliteJournal) -> dict[str, object]:
    """What readers find in the topic."""
    partitions = range(journal.partitions(TOPIC))
    return {
        "entries": [[*journal.read(TOPIC, one)] for one in partitions],
        "begins": [journal.begin(TOPIC, one) for one in partitions],
        "ends": [journal.end(TOPIC, one) for one in partitions],
        "committed": [journal.committed("differ", TOPIC, one) for one in partitions],
        "damaged": journal.damaged(TOPIC),
    }


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A topic of three partitions in several segments, one of them empty, with a group and a damaged frame."""
    found = SqliteJournal(tmp_path / "journal", SYSTEM, segment_bytes=12_000)
    found.create(TOPIC, 3)
    for number in range(16):
        found.append(TOPIC, number % 2, [frame(number)])
    found.commit("differ", TOPIC, 1, 3)
    segment = min(found.opened(TOPIC).folder.glob("0*.db"))
    with sqlite3.connect(segment) as connection:
        connection.execute("UPDATE frames SET frame = x'00' WHERE key = ?", (key_of(0, 0),))
    connection.close()
    assert len(found.starts(TOPIC, 0)) > 3
    yield found
    found.close()


def copied(journal: SqliteJournal) -> list[tuple[str, bytes]]:
    """The topic as it is now."""
    one = noted(journal, TOPIC)
    with still(journal, [one]):
        moment = cut(one)
    return [*Copying(TOPIC, moment).files()]


def rebuilt(folder: Path, files: list[tuple[str, bytes]]) -> SqliteJournal:
    """A journal of these files."""
    making = Rebuilding(folder)
    for name, data in files:
        making.take(name, data)
    making.finish()
    return SqliteJournal(folder, SYSTEM, segment_bytes=12_000)


def test_what_is_rebuilt_reads_as_what_was_copied(journal: SqliteJournal, tmp_path: Path) -> None:
    """Entries, their times, begins, ends, commits and damage are the same, and appends go on where they ended."""
    again = rebuilt(tmp_path / "again", copied(journal))
    before = told(journal)

    assert told(again) == before
    assert before["damaged"] == 1
    assert again.append(TOPIC, 0, [frame(99)]) == journal.append(TOPIC, 0, [frame(99)])
    assert again.append(TOPIC, 2, [frame(98)]) == [0]
    again.close()


def test_what_comes_after_the_moment_is_not_in_it(journal: SqliteJournal, tmp_path: Path) -> None:
    """Entries and segments that were begun while the topic was copied are left out."""
    one = noted(journal, TOPIC)
    with still(journal, [one]):
        moment = cut(one)
    before = told(journal)
    files = Copying(TOPIC, moment).files()
    found = [next(files)]
    for number in range(16):
        journal.append(TOPIC, number % 3, [frame(number)])
    journal.commit("differ", TOPIC, 1, 7)
    again = rebuilt(tmp_path / "again", [*found, *files])

    assert told(again) == before
    again.close()


def test_nobody_appends_while_a_topic_is_still(journal: SqliteJournal) -> None:
    """A writer waits for the moment's end, and has its position then."""
    one, given = noted(journal, TOPIC), list[int]()
    other = SqliteJournal(journal.folder, SYSTEM)
    writer = threading.Thread(target=lambda: given.extend(other.append(TOPIC, 0, [frame(0)])))
    with still(journal, [one]):
        writer.start()
        writer.join(0.3)
        assert not given
        assert cut(one).ends == [8, 8, 0]
    writer.join(60)

    assert given == [8]
    other.close()


def test_all_turns_together_are_waited_for_so_long(
    journal: SqliteJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers that are slow one after the other do not add up: who was waited for leaves less for the next one."""
    monkeypatch.setattr(copying, "STILL_WAIT_S", 60.0)
    names = ["a", "b", "c"]
    for name in names:
        journal.create(name, 1)
    slow = [noted(journal, name) for name in names]
    held, over = [threading.Event() for _ in names], [threading.Event() for _ in names]

    def write(at: int) -> None:
        with slow[at].topic.writer.turn():
            held[at].set()
            over[at].wait(60)

    writers = [threading.Thread(target=write, args=(at,)) for at in range(3)]
    for writer, event in zip(writers, held, strict=True):
        writer.start()
        assert event.wait(60)
    waits: dict[str, float] = {}
    turn = writing.turn

    def asked(path: Path, what: str, wait_s: float) -> AbstractContextManager[None]:
        waits[what] = wait_s
        if what == "topic a":  # the other two are written for ever, and are not waited for here
            threading.Timer(1.0, over[0].set).start()
        return turn(path, what, wait_s if what == "topic a" else 0.05)

    monkeypatch.setattr(writing, "turn", asked)
    with pytest.raises(HomeError, match="has been writing topic b"), still(journal, slow):
        pass
    assert 0 < waits["topic b"] <= waits["topic a"] - 0.9, waits
    monkeypatch.setattr(writing, "turn", turn)
    for event, writer in zip(over, writers, strict=True):
        event.set()
        writer.join(60)


def test_segments_that_retention_takes_meanwhile_are_left_out(journal: SqliteJournal, tmp_path: Path) -> None:
    """A segment that goes while the topic is copied is not missed in what is rebuilt: nothing counts as damaged for it."""
    one = noted(journal, TOPIC)
    with still(journal, [one]):
        moment = cut(one)
    files = Copying(TOPIC, moment).files()
    found = [next(files)]
    assert journal.cut(TOPIC, 2) == 2
    again = rebuilt(tmp_path / "again", [*found, *files])

    assert told(again) == told(journal)
    assert again.begin(TOPIC, 0) > 0
    again.close()


def test_a_topic_that_is_removed_meanwhile_is_none(journal: SqliteJournal, tmp_path: Path) -> None:
    """What was copied of a topic that is removed in the middle makes no topic, and nothing of it stays."""
    one = noted(journal, TOPIC)
    with still(journal, [one]):
        moment = cut(one)
    files = Copying(TOPIC, moment).files()
    found = [next(files)]
    SqliteJournal(journal.folder, SYSTEM).drop(TOPIC)
    again = rebuilt(tmp_path / "again", [*found, *files])

    assert again.topics() == []
    assert not [path for path in (tmp_path / "again").iterdir() if path.is_dir()]
    again.close()


def test_a_topic_whose_ends_are_unreadable_is_copied_whole(journal: SqliteJournal, tmp_path: Path) -> None:
    """Where the second witness of a topic's ends is damaged, its segments say where it ends."""
    ends = journal.opened(TOPIC).folder / "ends"
    ends.write_bytes(bytes(len(ends.read_bytes())))

    again = rebuilt(tmp_path / "again", copied(journal))

    assert [again.end(TOPIC, one) for one in range(3)] == [8, 8, 0]
    again.close()


HEADS = TopicHead(1, [1], 5, [], [], [SegmentHead("000001.db", 1, [0])])
ENTRY = RECORD.pack(key_of(0, 0), 5, 3) + b"abc"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("../x/topic.json", msgspec.json.encode(HEADS)),
        ("t/../../x.0", ENTRY),
        ("t/000001", ENTRY[:-1]),
        ("t/000001.0", ENTRY + b"x"),
        ("t/000001.0", ENTRY + ENTRY),
        (f"t/{HEAD}", b"{"),
        (f"t/{HEAD}", msgspec.json.encode(msgspec.structs.replace(HEADS, partitions=0))),
        (f"t/{HEAD}", msgspec.json.encode(msgspec.structs.replace(HEADS, ends=[1, 2]))),
        (
            f"t/{HEAD}",
            msgspec.json.encode(msgspec.structs.replace(HEADS, segments=[SegmentHead("../../x.db", 1, [0])])),
        ),
        (f"t/{HEAD}", msgspec.json.encode(msgspec.structs.replace(HEADS, commits=[("g", 0, 1), ("g", 0, 2)]))),
    ],
)
def test_what_makes_no_topic_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    """Names that lead elsewhere, entries that are cut, keys given twice and heads that contradict themselves are refused."""
    making = Rebuilding(tmp_path / "journal")
    with pytest.raises(Unfitting):
        making.take(name, data)
    making.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"journal"}
    shutil.rmtree(tmp_path / "journal", ignore_errors=True)
