"""A journal made of what :mod:`echolane.journal.copying` put into a backup: the same entries at the same positions, in new files.

Nothing is written through to the disk here: whoever restores has that done once for all.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import struct
from pathlib import Path

import msgspec

from echolane.clock import SYSTEM
from echolane.errors import HomeError, UsageError
from echolane.frame import FRAME_BYTES_MAX
from echolane.journal import files, segments
from echolane.journal.copying import CHUNK_BYTES, HEAD, RECORD, SegmentHead, TopicHead
from echolane.journal.limits import check_topic
from echolane.journal.sqlite import NAME, SqliteJournal

FILE_BYTES_MAX = CHUNK_BYTES + FRAME_BYTES_MAX + RECORD.size
"""Of one file of entries: it is closed with the frame that fills it. A head is smaller."""
_SEGMENT = re.compile(r"\d{6,12}")


class Unfitting(ValueError):  # noqa: N818 - it says what was met, as the errors of the floor do
    """What a backup says of a topic makes none."""


class Rebuilding:
    """A journal in the making; :meth:`take` is given its files in their order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection: sqlite3.Connection | None = None
        self._at = ("", "")
        """Topic and segment that the connection is of."""

    def __repr__(self) -> str:
        return f"<Rebuilding {self._folder}, at {'/'.join(self._at)}>"

    def take(self, name: str, data: bytes) -> None:
        """One file, ``TOPIC/SEGMENT.N`` or ``TOPIC/topic.json``.

        Raises:
            Unfitting: it is none of ours.
            HomeError: the disk takes no more.
        """
        topic, _, rest = name.partition("/")
        try:
            check_topic(topic, 1)
            with files.translated(self._folder / topic):
                if rest == HEAD:
                    self._made(topic, msgspec.json.decode(data, type=TopicHead))
                else:
                    self._entries(topic, rest.partition(".")[0], data)
        except (msgspec.DecodeError, struct.error, UsageError) as error:
            raise Unfitting(f"`{name}` makes no topic ({error})") from error
        except HomeError as error:
            if isinstance(error.__cause__, sqlite3.IntegrityError):  # a key or a name twice
                raise Unfitting(f"`{name}` makes no topic ({error.__cause__})") from error
            raise

    def _entries(self, topic: str, segment: str, data: bytes) -> None:
        if not _SEGMENT.fullmatch(segment):
            raise Unfitting(f"`{segment}` is no segment")
        connection = self._opened(topic, segment)
        rows: list[tuple[int, int, bytes]] = []
        at = 0
        while at < len(data):
            key, append_ns, length = RECORD.unpack_from(data, at)
            at += RECORD.size
            rows.append((key, append_ns, data[at : at + length]))
            at += length
        if at != len(data):
            raise Unfitting(f"an entry of `{topic}` is cut short")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO frames VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")

    def _opened(self, topic: str, segment: str) -> sqlite3.Connection:
        """A connection to a segment in the making."""
        if self._connection is None or self._at != (topic, segment):
            self.close()
            path = self._folder / topic / "made" / f"{segment}.db"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                files.create(path, segments.SCHEMA, segments.FILE_PAGE_BYTES)
            self._connection, self._at = sqlite3.connect(path, isolation_level=None), (topic, segment)
            self._connection.execute("PRAGMA synchronous=OFF")
        return self._connection

    def _made(self, topic: str, head: TopicHead) -> None:
        """All of a topic is there: make it one."""
        check_topic(topic, head.partitions)
        if any(len(one) != head.partitions for one in (head.ends, *(segment.starts for segment in head.segments))):
            raise Unfitting(f"topic `{topic}` says two numbers of partitions")
        for segment in head.segments:
            if not _SEGMENT.fullmatch(segment.name.removesuffix(".db")):
                raise Unfitting(f"`{segment.name}` is no segment")
            self._begun(self._opened(topic, segment.name.removesuffix(".db")), segment)
        self.close()
        kept = {segment.name for segment in head.segments}
        place = self._folder / topic
        waiting = self._folder / f".{topic}"
        if (place / "made").is_dir():
            place.rename(waiting)
        journal = SqliteJournal(self._folder, SYSTEM)
        try:
            journal.create(topic, head.partitions)
            made = journal.opened(topic)
            for path in (waiting / "made").glob("*.db"):
                if path.name in kept:
                    path.rename(made.folder / path.name)
            made.ends.write(dict(enumerate(head.ends)), head.latest_ns)
            made.index.within(lambda connection: _indexed(connection, head))
        finally:
            journal.close()
            shutil.rmtree(waiting, ignore_errors=True)

    def _begun(self, connection: sqlite3.Connection, segment: SegmentHead) -> None:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO about VALUES (?)", (segment.created_ns,))
        connection.executemany("INSERT INTO starts VALUES (?, ?)", list(enumerate(segment.starts)))
        connection.execute("COMMIT")

    def close(self) -> None:
        """Finish the file that is being made."""
        if self._connection is not None:
            self._connection.close()  # the last one: its WAL is folded in
            self._connection = None

    def finish(self) -> None:
        """All files were given: topics that were removed while they were copied are none."""
        self.close()
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            if place.is_dir() and not (place / NAME).exists():
                shutil.rmtree(place)


def _indexed(connection: sqlite3.Connection, head: TopicHead) -> None:
    for segment in head.segments:
        connection.execute("INSERT INTO segments VALUES (?, ?)", (segment.name, segment.created_ns))
        rows = [(segment.name, partition, first) for partition, first in enumerate(segment.starts)]
        connection.executemany("INSERT INTO starts VALUES (?, ?, ?)", rows)
    connection.executemany("INSERT INTO commits VALUES (?, ?, ?)", head.commits)
    connection.executemany("INSERT INTO damage VALUES (?, ?, ?, ?)", head.damage)


__all__ = ["FILE_BYTES_MAX", "Rebuilding", "Unfitting"]
