"""The journal's door on one machine: SQLite files, the only place that imports sqlite3.

``FOLDER/TOPIC/`` holds ``topic.json`` (partitions), ``index.db`` (segments, where each begins, commits of groups, damage) and one
``NNNNNN.db`` per segment: a time bucket, rolled early when it grows large. A commit is one transaction in WAL mode with
``synchronous=FULL``; threads that append at the same moment share it (group commit, :mod:`echolane.journal.writing`).
Retention removes a segment from the index first and its file second, so a crash between the two loses nothing that is listed.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from echolane.clock import Clock
from echolane.errors import HomeError, UsageError
from echolane.frame import FrameDamaged, check_frame
from echolane.journal import Entry
from echolane.journal.files import connect, translated
from echolane.journal.writing import INDEX, Segment, TopicWriter, segments_of

PARTITIONS_MAX = 1024
"""More partitions than workers anyone starts on one machine; each costs a file lookup at every read."""
READ_FRAMES = 64
"""Frames per short read transaction: at about 1 MiB each a reader holds at most 64 MiB, and no checkpoint waits long for it."""
READ_BYTES = 8 * 1024 * 1024
"""Bytes per short read transaction, whichever comes first."""
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class SqliteJournal:
    """The journal of one home. Safe to share between threads; other processes open their own."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._writers: dict[str, TopicWriter] = {}
        self._partitions: dict[str, int] = {}
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(f"journal `{folder}` cannot be used: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<SqliteJournal {self._folder}, {len(self.topics())} topics>"

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic, or find it with the same number of partitions."""
        if not _TOPIC.fullmatch(topic):
            raise UsageError(f"topic `{topic}` needs letters, digits, dots and hyphens only")
        if not 0 < partitions <= PARTITIONS_MAX:
            raise UsageError(f"topic `{topic}` cannot have {partitions} partitions; 1 to {PARTITIONS_MAX} are possible")
        place = self._folder / topic
        with translated(place):
            if not (place / "topic.json").exists():
                place.mkdir(parents=True, exist_ok=True)
                part = place / f".topic.{threading.get_native_id()}"
                part.write_bytes(msgspec.json.encode({"partitions": partitions, "created_ns": self._clock.wall_ns()}))
                try:
                    (place / "topic.json").hardlink_to(part)  # the first of two makers wins
                except FileExistsError:
                    pass
                part.unlink()
        if (found := self.partitions(topic)) != partitions:
            raise HomeError(f"topic `{topic}` has {found} partitions, not {partitions}; they are fixed once it exists")

    def topics(self) -> list[str]:
        """The names of all topics."""
        return sorted(path.parent.name for path in self._folder.glob("*/topic.json"))

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        known = self._partitions.get(topic)
        if known is None:
            path = self._folder / topic / "topic.json"
            try:
                known = int(msgspec.json.decode(path.read_bytes())["partitions"])
            except FileNotFoundError:
                raise HomeError(f"there is no topic `{topic}` in {self._folder}") from None
            except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
                raise HomeError(f"{path} is damaged ({error}); restore it or remove the topic's folder") from error
            self._partitions[topic] = known
        return known

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append and wait until it is on the disk; the positions."""
        return self._writer(topic, partition).append(partition, frames)

    def read(self, topic: str, partition: int, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Entries in order, read in short transactions; what is damaged is set aside and counted."""
        self._check(topic, partition)
        segments = segments_of(self._index(topic), partition)
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            last = following.first if following else None
            if (last is not None and last <= start) or (stop is not None and segment.first >= stop):
                continue
            bound = min((n for n in (stop, last) if n is not None), default=None)
            yield from self._read_segment(topic, partition, segment, max(start, segment.first), bound)

    def _read_segment(
        self, topic: str, partition: int, segment: Segment, start: int, stop: int | None
    ) -> Iterator[Entry]:
        at = start
        while stop is None or at < stop:
            try:
                rows = self._page(topic, partition, segment, at, stop)
            except sqlite3.DatabaseError as error:
                yield from self._salvage(topic, partition, segment, (at, stop), error)
                return
            if not rows:
                return
            for entry in rows:
                try:
                    check_frame(entry.frame)
                except FrameDamaged as error:
                    self._set_aside(topic, partition, entry.position, str(error))
                    continue
                yield entry
            at = rows[-1].position + 1

    def _page(self, topic: str, partition: int, segment: Segment, start: int, stop: int | None) -> list[Entry]:
        """Up to READ_FRAMES entries or READ_BYTES from ``start``."""
        cursor = self._reader(topic, segment.name).execute(
            "SELECT position, append_ns, frame FROM frames WHERE partition = ? AND position >= ? AND position < ? ORDER BY position",
            (partition, start, stop if stop is not None else (1 << 62)),
        )
        found: list[Entry] = []
        size = 0
        try:
            for row in cursor:
                found.append(Entry(row[0], row[1], bytes(row[2])))
                size += len(found[-1].frame)
                if len(found) >= READ_FRAMES or size >= READ_BYTES:
                    break
        finally:
            cursor.close()
        return found

    def _salvage(
        self, topic: str, partition: int, segment: Segment, span: tuple[int, int | None], error: Exception
    ) -> Iterator[Entry]:
        """Read a damaged segment one entry at a time; what cannot be read is set aside."""
        at, stop = span
        if stop is None:
            stop = at + self._tail_guess(topic, partition, segment, at)
        for position in range(at, stop):
            try:
                rows = self._page(topic, partition, segment, position, position + 1)
                entry = rows[0] if rows else None
                if entry is not None:
                    check_frame(entry.frame)
            except (sqlite3.DatabaseError, FrameDamaged) as failure:
                self._set_aside(topic, partition, position, str(failure) or str(error))
                continue
            if entry is not None:
                yield entry

    def _tail_guess(self, topic: str, partition: int, segment: Segment, at: int) -> int:
        """How many entries may stand after ``at`` in a damaged last segment: as far as its key still answers."""
        try:
            row = self._reader(topic, segment.name).execute(
                "SELECT max(position) FROM frames WHERE partition = ?", (partition,)
            )
            return max(0, int(row.fetchone()[0] or 0) - at + 1)
        except (sqlite3.DatabaseError, TypeError):
            return 1

    def _set_aside(self, topic: str, partition: int, position: int, why: str) -> None:
        """Count a damaged entry once, however often it is met."""
        with translated(self._folder / topic):
            index = self._index(topic)
            index.execute("INSERT OR IGNORE INTO damage VALUES (?, ?, ?)", (partition, position, why[:200]))
            index.commit()

    def end(self, topic: str, partition: int) -> int:
        """The next position, over all segments."""
        self._check(topic, partition)
        segments = segments_of(self._index(topic), partition)
        for segment in reversed(segments):
            try:
                row = (
                    self._reader(topic, segment.name)
                    .execute("SELECT max(position) FROM frames WHERE partition = ?", (partition,))
                    .fetchone()
                )
            except sqlite3.DatabaseError:
                continue
            if row[0] is not None:
                return int(row[0]) + 1
        return segments[-1].first if segments else 0

    def position_at(self, topic: str, partition: int, append_ns: int) -> int:
        """The first position appended at or after that wall time; the end when there is none."""
        self._check(topic, partition)
        for segment in segments_of(self._index(topic), partition):
            try:
                row = (
                    self._reader(topic, segment.name)
                    .execute(
                        "SELECT min(position) FROM frames WHERE partition = ? AND append_ns >= ?",
                        (partition, append_ns),
                    )
                    .fetchone()
                )
            except sqlite3.DatabaseError:
                continue
            if row[0] is not None:
                return int(row[0])
        return self.end(topic, partition)

    def commit(self, group: str, topic: str, partition: int, position: int) -> None:
        """Remember how far a group has come; durable."""
        self._check(topic, partition)
        with translated(self._folder / topic):
            index = self._index(topic)
            index.execute("INSERT OR REPLACE INTO commits VALUES (?, ?, ?)", (group, partition, position))
            index.commit()

    def committed(self, group: str, topic: str, partition: int) -> int:
        """How far a group had come; 0 at first."""
        self._check(topic, partition)
        row = (
            self._index(topic)
            .execute("SELECT position FROM commits WHERE consumer = ? AND partition = ?", (group, partition))
            .fetchone()
        )
        return int(row[0]) if row else 0

    def damaged(self, topic: str) -> int:
        """How many entries of a topic were set aside."""
        return int(self._index(topic).execute("SELECT count(*) FROM damage").fetchone()[0])

    def drop(self, topic: str) -> None:
        """Remove a topic: its name first, its files second."""
        place = self._folder / topic
        with self._guard:
            writer = self._writers.pop(topic, None)
            self._partitions.pop(topic, None)
        if writer:
            writer.close()
        (place / "topic.json").unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)

    def expire(self, topic: str, before_ns: int) -> int:
        """Remove whole segments whose last entry is older than a wall time; how many. The newest one always stays."""
        if topic not in self.topics():
            return 0
        return self._writer(topic, 0).expire(before_ns)

    def close(self) -> None:
        """Close every file."""
        with self._guard:
            for writer in self._writers.values():
                writer.close()
            self._writers.clear()
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _check(self, topic: str, partition: int) -> None:
        if not 0 <= partition < self.partitions(topic):
            raise HomeError(f"topic `{topic}` has no partition {partition}; it has {self.partitions(topic)}")

    def _writer(self, topic: str, partition: int) -> TopicWriter:
        self._check(topic, partition)
        with self._guard:
            writer = self._writers.get(topic)
            if writer is None:
                writer = self._writers[topic] = TopicWriter(self._folder / topic, self.partitions(topic), self._clock)
            return writer

    def _index(self, topic: str) -> sqlite3.Connection:
        return self._mine(topic, "index.db", lambda path: connect(path, INDEX))

    def _reader(self, topic: str, name: str) -> sqlite3.Connection:
        return self._mine(topic, name, lambda path: connect(path, None))

    def _mine(self, topic: str, name: str, opener: Callable[[Path], sqlite3.Connection]) -> sqlite3.Connection:
        """The connection of this thread to a file of a topic."""
        mine: dict[tuple[str, str], sqlite3.Connection] = self._local.__dict__.setdefault("connections", {})
        connection = mine.get((topic, name))
        if connection is None:
            with translated(self._folder / topic):
                connection = mine[topic, name] = opener(self._folder / topic / name)
            with self._guard:
                self._opened.append(connection)
        return connection


__all__ = ["SqliteJournal"]
