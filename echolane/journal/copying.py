"""Copies of topics for a backup: what is in them at one moment, read beside those who go on writing.

A topic is not copied as files, whose pages may hold more than its entries, but as entries: ``TOPIC/SEGMENT.N`` holds some of one segment, and
``TOPIC/topic.json``, the last, says what they make. :func:`still` stops all writers of some topics for the moment; how far a topic went then
is all that has to be known of it, since entries never change. :mod:`echolane.journal.rebuilding` makes a journal of it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import NamedTuple

import msgspec

from echolane.errors import HomeError
from echolane.frame import peek
from echolane.journal import files
from echolane.journal.index import Segment, text_of
from echolane.journal.segments import key_of
from echolane.journal.sqlite import SqliteJournal, Topic, turn_of_topics

CHUNK_BYTES = 8 * 1024 * 1024
"""Entries of one file: two of them are in memory, and the largest frame."""
STILL_WAIT_S = 4.0
"""For the turns of all topics: with what the store may take to freeze, less than the ten seconds that a writer waits for the first."""
HEAD = "topic.json"
RECORD = struct.Struct("<QQI")
"""Before each frame: its key, when it was appended, its length."""


class SegmentHead(msgspec.Struct, frozen=True):
    """One segment: when it was begun, and where it begins for each partition."""

    name: str
    created_ns: int
    starts: list[int]


class TopicHead(msgspec.Struct, frozen=True):
    """What makes a topic of its entries."""

    partitions: int
    ends: list[int]
    latest_ns: int
    """When something was last appended."""
    commits: list[tuple[str, int, int]]
    """Group, partition, position."""
    damage: list[tuple[int, int, int, str]]
    """Positions that cannot be read: partition, first, stop, why."""
    segments: list[SegmentHead]


class Noted(NamedTuple):
    """A topic as it was found before the moment."""

    topic: Topic
    commits: list[tuple[str, int, int]]
    ends: list[int]


class Cut(NamedTuple):
    """A topic as it is at the moment."""

    topic: Topic
    commits: list[tuple[str, int, int]]
    ends: list[int]
    latest_ns: int


def noted(journal: SqliteJournal, name: str) -> Noted:
    """A topic, how far its groups have come, and how far it went at least."""
    topic = journal.opened(name)
    with files.translated(topic.folder.parent):
        commits = topic.index.within(
            lambda connection: [
                (text_of(group), int(partition), int(position))
                for group, partition, position in connection.execute(
                    "SELECT consumer, partition, position FROM commits"
                )
            ]
        )
        ends = [topic.segments.end(partition) for partition in range(topic.partitions)]
    return Noted(topic, commits, ends)


@contextmanager
def still(
    journal: SqliteJournal, topics: Iterable[Noted], more: Callable[[], Iterable[Noted]] = tuple
) -> Generator[None]:
    """Have nobody append to these topics, and nobody make or remove any, for the block. ``more``: those that were made since they were noted.

    A writer waits ten seconds for its turn, so the block is short: some milliseconds for a service, at most a second for a store of many parts.
    For the same reason all turns together are waited for no longer than STILL_WAIT_S.
    """
    deadline = time.monotonic() + STILL_WAIT_S

    def left_s() -> float:
        return max(0.0, deadline - time.monotonic())

    with ExitStack() as stack, files.translated(journal.folder):
        stack.enter_context(turn_of_topics(journal.folder, left_s()))
        for one in chain(topics, more()):
            if one.topic.folder.is_dir():  # else it was removed, and nobody writes it
                stack.enter_context(one.topic.writer.turn(left_s()))
        yield


def cut(one: Noted) -> Cut:
    """How far a topic goes now; while :func:`still` holds."""
    topic = one.topic
    with files.translated(topic.folder.parent):
        ends = [
            topic.segments.end(partition) if (end := topic.ends.end(partition)) is None else max(end, before)
            for partition, before in enumerate(one.ends)
        ]
    return Cut(topic, one.commits, ends, topic.ends.latest_ns())


class Copying:
    """The entries of a topic up to the moment, as files for a backup."""

    def __init__(self, name: str, moment: Cut) -> None:
        self._name, self._moment = name, moment
        self.records = 0
        """Exchanges, or what else its frames hold, in what was copied."""

    def __repr__(self) -> str:
        return f"<Copying {self._name}, {self.records} records>"

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Names and contents. A topic that is removed meanwhile has no ``topic.json``, and so is none.

        A segment that retention takes meanwhile is left out of it: its entries, as far as they were copied, belong to nothing.
        """
        topic = self._moment.topic
        try:
            segments = self._segments()
            for at, segment in enumerate(segments):
                following = segments[at + 1].starts if at + 1 < len(segments) else self._moment.ends
                for number, data in enumerate(self._chunks(segment, following)):
                    yield f"{self._name}/{segment.name.removesuffix('.db')}.{number}", data
            yield f"{self._name}/{HEAD}", msgspec.json.encode(self._head(segments))
        except HomeError:
            if topic.folder.is_dir():
                raise

    def _segments(self) -> list[SegmentHead]:
        """Those that were begun before the moment, or at it."""
        topic, ends = self._moment.topic, self._moment.ends
        with files.translated(topic.folder.parent):
            listed = [topic.index.segments(partition) for partition in range(topic.partitions)]
        by_name: dict[str, list[Segment]] = {}
        for segment in chain.from_iterable(listed):
            by_name.setdefault(segment.name, []).append(segment)
        whole = {
            name: own for name, own in by_name.items() if len(own) == topic.partitions
        }  # no roll came between two looks
        heads = [SegmentHead(name, own[0].created_ns, [each.first for each in own]) for name, own in whole.items()]
        return [head for head in heads if all(first <= end for first, end in zip(head.starts, ends, strict=True))]

    def _chunks(self, segment: SegmentHead, following: list[int]) -> Iterator[bytes]:
        topic, chunk = self._moment.topic, bytearray()
        for partition, (start, stop) in enumerate(zip(segment.starts, following, strict=True)):
            with files.translated(topic.folder.parent):
                for entry in topic.segments.read(partition, start, stop):
                    self.records += peek(entry.frame).records
                    chunk += RECORD.pack(key_of(partition, entry.position), entry.append_ns, len(entry.frame))
                    chunk += entry.frame
                    if len(chunk) >= CHUNK_BYTES:
                        yield bytes(chunk)
                        chunk.clear()
        if chunk:
            yield bytes(chunk)

    def _head(self, segments: list[SegmentHead]) -> TopicHead:
        topic, moment = self._moment.topic, self._moment
        with files.translated(topic.folder.parent):
            left = {segment.name for segment in topic.index.segments(0)}
            damage = topic.index.within(
                lambda connection: [
                    (int(partition), int(first), int(stop), text_of(why))
                    for partition, first, stop, why in connection.execute(
                        "SELECT partition, first, stop, why FROM damage"
                    )
                ]
            )
        kept = [segment for segment in segments if segment.name in left]
        known = [one for one in damage if one[2] <= moment.ends[one[0]]]
        return TopicHead(topic.partitions, moment.ends, moment.latest_ns, moment.commits, known, kept)
