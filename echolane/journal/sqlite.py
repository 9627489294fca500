"""The journal's door on one machine: SQLite files, the only place that imports sqlite3 (with its siblings in this folder).

``FOLDER/TOPIC/topic.json`` names the topic's partitions and its files' folder, which holds ``index.db``
(:mod:`echolane.journal.index`), ``ends`` (:mod:`echolane.journal.ends`), ``writer.lock`` and one ``NNNNNN.db`` per stretch of time
(:mod:`echolane.journal.segments`). A commit is one transaction in WAL mode with ``synchronous=FULL``
(:mod:`echolane.journal.writing`). A topic that was removed and made again has another folder, so no process takes one for the
other.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from echolane.clock import Clock
from echolane.errors import HomeError
from echolane.journal import Entry, Group, Member, Told, files, index, rewriting, segments
from echolane.journal.ends import Ends
from echolane.journal.leases import Leases, SqliteMember, groups_in
from echolane.journal.limits import check_frames, check_topic, no_partition, other_partitions
from echolane.journal.rewriting import Change
from echolane.journal.sharing import LEASE_S
from echolane.journal.turns import turn
from echolane.journal.writing import Writer

NAME = "topic.json"
"""The file that makes a folder a topic."""


class TopicSpec(msgspec.Struct, frozen=True):
    """What ``topic.json`` says."""

    partitions: int
    folder: str
    created_ns: int


class Topic:
    """One topic as this process has it open."""

    def __init__(
        self,
        place: Path,
        spec: TopicSpec,
        identity: tuple[int, int],
        connections: files.Connections,
        segment_bytes: int | None,
    ) -> None:
        folder = place / spec.folder
        self.folder, self.partitions, self.identity = folder, spec.partitions, identity
        self.ends = Ends(folder / "ends")
        self.segments = segments.Segments(folder, spec.partitions, self.ends, connections)
        self.index = self.segments.index
        self.writer = Writer(folder, spec.partitions, self.index, self.ends, connections, segment_bytes)


class SqliteJournal:
    """The journal of one home. Safe to share between threads; other processes open their own."""

    def __init__(self, folder: Path, clock: Clock, segment_bytes: int | None = None) -> None:
        self.folder, self._clock, self._segment_bytes = folder, clock, segment_bytes
        self._open: dict[str, Topic] = {}
        self._connections = files.Connections()
        self._guard = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(
                f"journal `{folder}` cannot be used: {error.strerror}; give another home with --home"
            ) from error

    def __repr__(self) -> str:
        return f"<SqliteJournal {self.folder}, {len(self.topics())} topics, {self._connections!r}>"

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic, or find it with the same number of partitions."""
        check_topic(topic, partitions)
        place = self.folder / topic
        if not (place / NAME).exists():
            with files.translated(place), turn_of_topics(self.folder):
                if not (place / NAME).exists():
                    self._make(place, partitions)
        if (found := self.partitions(topic)) != partitions:
            raise other_partitions(topic, found, partitions)

    def _make(self, place: Path, partitions: int) -> None:
        """All files of a topic first, then, in one step, its name."""
        place.mkdir(exist_ok=True)
        for left in place.iterdir():  # of a process that died while it made or removed the topic
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        now = self._clock.wall_ns()
        folder = place / f"{now:x}-{os.getpid():x}"
        folder.mkdir()
        Ends.create(folder / "ends", partitions)
        files.create(folder / "index.db", index.SCHEMA)
        part = place / "topic.part"
        part.write_bytes(msgspec.json.encode(TopicSpec(partitions, folder.name, now)))
        for path in (folder / "ends", folder, part):
            fsync(path)
        part.rename(place / NAME)
        fsync(place)
        fsync(self.folder)

    def topics(self) -> list[str]:
        """The names of all topics."""
        return sorted(path.parent.name for path in self.folder.glob("*/topic.json"))

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self.opened(topic).partitions

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append and wait until it is on the disk; the positions."""
        opened = self.opened(topic, partition)
        check_frames(frames)
        return opened.writer.append(partition, frames, self._clock) if frames else []

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None, told: Told | None = None
    ) -> Iterator[Entry]:
        """Entries in order, read in short transactions; what is damaged is set aside and counted."""
        opened = self.opened(topic, partition)

        def entries() -> Iterator[Entry]:
            with files.translated(opened.folder.parent):
                yield from opened.segments.read(partition, max(0, start), stop, told)

        return entries()

    def begin(self, topic: str, partition: int) -> int:
        """The first position that retention has left."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            return opened.segments.begin(partition)

    def end(self, topic: str, partition: int) -> int:
        """The next position, over all segments."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            return opened.segments.end(partition)

    def position_at(self, topic: str, partition: int, append_ns: int) -> int:
        """The first position appended at or after that wall time; the end when there is none."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            return opened.segments.position_at(partition, append_ns)

    def commit(self, group: str, topic: str, partition: int, position: int) -> None:
        """Remember how far a group has come; durable."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            opened.index.commit(group, partition, position)

    def committed(self, group: str, topic: str, partition: int) -> int:
        """How far a group had come; 0 at first."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            return opened.index.committed(group, partition)

    def groups(self) -> list[Group]:
        """Groups of all topics, and how many members of each live."""
        found: list[Group] = []
        for topic in self.topics():
            opened = self.opened(topic)
            with files.translated(opened.folder.parent):
                found += [Group(name, topic, members) for name, members in groups_in(opened.index, self._clock)]
        return sorted(found)

    def join(self, group: str, topic: str, lease_s: float = LEASE_S) -> Member:
        """Become a member of a group on a topic: leases in its index."""
        opened = self.opened(topic)
        with files.translated(opened.folder.parent):
            leases = Leases(opened.index, opened.partitions, group)
            return SqliteMember(leases, f"{group}:{topic}", self._clock, lease_s)

    def damaged(self, topic: str) -> int:
        """How many entries of a topic were set aside."""
        opened = self.opened(topic)
        with files.translated(opened.folder.parent):
            return opened.index.damaged()

    def aside(self, topic: str) -> list[index.Range]:
        """Where entries of a topic were set aside."""
        opened = self.opened(topic)
        with files.translated(opened.folder.parent):
            return opened.index.aside()

    def expire(self, topic: str, before_ns: int) -> int:
        """Remove whole segments whose last entry is older than a wall time; how many. The newest one always stays."""
        return self.opened(topic).writer.expire(before_ns)

    def starts(self, topic: str, partition: int) -> list[int]:
        """The positions at which the segments of a partition begin, oldest first."""
        opened = self.opened(topic, partition)
        with files.translated(opened.folder.parent):
            return [segment.first for segment in opened.index.segments(partition)]

    def cut(self, topic: str, segments_n: int) -> int:
        """Remove the oldest segments whatever their age; how many were removed. The newest one always stays."""
        return self.opened(topic).writer.cut(segments_n)

    def size(self, topic: str) -> int:
        """Bytes that a topic's segments take; its index beside them takes a few megabytes at most."""
        found = 0
        for path in self.opened(topic).folder.glob("[0-9]*"):
            try:
                found += path.stat().st_size
            except FileNotFoundError:  # a segment or a WAL that goes just now
                pass
        return found

    def rewrite(self, topic: str, change: Change) -> int:
        """Put other frames in the place of those that ``change`` gives others for; how many. Nothing of the former ones stays."""
        opened = self.opened(topic)
        with files.translated(opened.folder.parent), opened.writer.turn():
            names = [segment.name for segment in opened.index.segments(0)]
            return sum(rewriting.rewrite(self._connections, opened.folder / name, change) for name in names)

    def drop(self, topic: str) -> None:
        """Remove a topic: its name first, its files second. Does nothing when there is none."""
        place = self.folder / topic
        if not (place / NAME).exists():
            return
        opened = self.opened(topic)
        with files.translated(place), turn_of_topics(self.folder), opened.writer.turn():
            (place / NAME).unlink(missing_ok=True)
            fsync(place)
            self._connections.close_below(opened.folder)
            shutil.rmtree(opened.folder, ignore_errors=True)
            try:
                place.rmdir()
            except OSError:
                pass  # what is left is swept when the topic is made again
        with self._guard:
            self._open.pop(topic, None)
            opened.ends.close()

    def close(self) -> None:
        """Close every file."""
        with self._guard:
            self._connections.close_below()
            for opened in self._open.values():
                opened.ends.close()
            self._open.clear()

    def opened(self, topic: str, partition: int = 0) -> Topic:
        """The open topic; opened anew when it was removed and made again meanwhile."""
        path = self.folder / topic / NAME
        try:
            status = path.stat()
        except OSError:
            raise HomeError(f"there is no topic `{topic}` in {self.folder}") from None
        identity = (status.st_ino, status.st_mtime_ns)
        opened = self._open.get(topic)
        if opened is None or opened.identity != identity:
            opened = self._opened(topic, path, identity)
        if not 0 <= partition < opened.partitions:
            raise no_partition(topic, partition, opened.partitions)
        return opened

    def _opened(self, topic: str, path: Path, identity: tuple[int, int]) -> Topic:
        with self._guard:
            opened = self._open.get(topic)
            if opened is not None and opened.identity == identity:
                return opened
            try:
                spec = msgspec.json.decode(path.read_bytes(), type=TopicSpec)
            except (OSError, msgspec.DecodeError) as error:
                raise HomeError(
                    f"{path} is damaged ({error}); restore it, or remove its folder and lose the topic"
                ) from error
            if opened is not None:
                self._connections.close_below(opened.folder)
                opened.ends.close()
            with files.translated(path.parent):
                opened = self._open[topic] = Topic(path.parent, spec, identity, self._connections, self._segment_bytes)
            return opened


def turn_of_topics(folder: Path, wait_s: float | None = None) -> AbstractContextManager[None]:
    """Hold the list of topics for the block: nobody makes or removes one meanwhile."""
    return turn(folder / ".topics.lock", "the journal's list of topics", wait_s)


def fsync(path: Path) -> None:
    """Have a file, or what is in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = ["NAME", "SqliteJournal", "TopicSpec", "fsync", "turn_of_topics"]
