"""Segments: files of frames of one topic, each a stretch of time. What can be read of them is read, the rest is set aside.

An entry's key is its partition and position in one integer, so each partition is one contiguous run of the table and an append goes
to its end. Reading where it is damaged is in :mod:`echolane.journal.salvage`, writing in :mod:`echolane.journal.writing`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from echolane.journal import Entry, Told, files
from echolane.journal.ends import Ends
from echolane.journal.index import Found, Index, Segment
from echolane.journal.salvage import Salvage, Unreadable

SCHEMA = """
CREATE TABLE about (created_ns INTEGER NOT NULL);
CREATE TABLE starts (partition INTEGER PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE frames (key INTEGER PRIMARY KEY, append_ns INTEGER NOT NULL, frame BLOB NOT NULL);
"""
POSITION_BITS = 48
"""Positions of a partition: 2^48 frames, nine thousand years of a thousand frames a second."""
FILE_PAGE_BYTES = 16 * 1024
"""SQLite writes page by page: a frame of 400 KiB costs 1.2 ms of CPU with pages of 16 KiB, 1.9 ms with 4 KiB."""
BATCH_FRAMES = 256
"""Entries per short read transaction, so that no checkpoint waits long for a reader."""
BATCH_BYTES = 8 * 1024 * 1024
"""Bytes per short read transaction, whichever comes first: a reader holds at most this and one frame."""


def key_of(partition: int, position: int) -> int:
    """The key of an entry."""
    return partition << POSITION_BITS | position


def position_of(key: int) -> int:
    """The position in a key."""
    return key & (1 << POSITION_BITS) - 1


def create(path: Path, found: Found) -> None:
    """A new segment file; it says itself where it begins, so that the index can be rebuilt from it."""
    files.create(path, SCHEMA, FILE_PAGE_BYTES)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO about VALUES (?)", (found.created_ns,))
        connection.executemany("INSERT INTO starts VALUES (?, ?)", list(found.starts.items()))
        connection.execute("COMMIT")
    finally:
        connection.close()


def last_of(connection: sqlite3.Connection, partition: int) -> tuple[int, int] | None:
    """Position and append time of the last entry of a partition in one segment."""
    row = connection.execute(
        "SELECT key, append_ns FROM frames WHERE key >= ? AND key < ? ORDER BY key DESC LIMIT 1",
        (key_of(partition, 0), key_of(partition + 1, 0)),
    ).fetchone()
    return (position_of(row[0]), row[1] if isinstance(row[1], int) else 0) if row else None


def end_of(connection: sqlite3.Connection, partition: int, witness: int | None) -> tuple[int, int] | None:
    """Where a partition ends in one segment, and its latest append time; None when it holds none of it.

    ``witness`` is what the ends file says. Entries past it are of a commit that it did not live to note, and stand in a row; a key
    that stands apart is a damaged one, and would make the partition leap.
    """
    last = last_of(connection, partition)
    if last is None:
        return None
    end, append_ns = last[0] + 1, last[1]
    if witness is not None and end > witness:
        keys = connection.execute(
            "SELECT key FROM frames WHERE key >= ? AND key < ? ORDER BY key",
            (key_of(partition, witness), key_of(partition, end)),
        )
        end = witness
        for (key,) in keys:
            if position_of(key) != end:
                break
            end += 1
        keys.close()
    return end, append_ns


class Segments:
    """The segments of one topic, for reading."""

    def __init__(self, folder: Path, partitions: int, ends: Ends, connections: files.Connections) -> None:
        self._folder, self._partitions, self._ends, self._connections = folder, partitions, ends, connections
        self._at = f"{folder}/"
        self.index = Index(folder, connections, self._survey)

    def begin(self, partition: int) -> int:
        """The first position that is kept."""
        segments = self.index.segments(partition)
        return segments[0].first if segments else 0

    def end(self, partition: int) -> int:
        """The position after the last one acknowledged, whether or not that can still be read."""
        segments = self.index.segments(partition)
        if not segments:
            return self._ends.end(partition) or 0
        return max(self._end_in(segments[-1], partition), self._ends.end(partition) or 0)

    def _end_in(self, segment: Segment, partition: int) -> int:
        try:
            with self._connections.using(self._at + segment.name) as connection:
                found = end_of(connection, partition, self._ends.end(partition))
        except FileNotFoundError:
            return segment.first
        except sqlite3.DatabaseError as error:
            if not files.is_damage(error):
                raise
            return segment.first
        return max(segment.first, found[0]) if found else segment.first

    def read(self, partition: int, start: int, stop: int | None, told: Told | None = None) -> Iterator[Entry]:
        """Entries in order up to the end as it is now; each position in between is given or set aside."""
        end = self.end(partition)  # before the list of segments, which then covers it
        stop = end if stop is None else min(stop, end)
        segments = self.index.segments(partition)

        def set_aside(at: int, until: int, why: str) -> None:
            self.index.set_aside(partition, at, until, why)
            if told is not None:
                told(at, until, why)

        if not segments and start < stop:
            set_aside(start, stop, "all segments are gone")
        bounds = [*(segment.first for segment in segments[1:]), stop]
        for segment, bound in zip(segments, bounds, strict=False):  # no segment, no bound
            first, last = max(start, segment.first), min(stop, bound)
            if first < last:
                yield from self._read_segment(partition, segment, (first, last), set_aside)

    def _read_segment(
        self, partition: int, segment: Segment, span: tuple[int, int], set_aside: Told
    ) -> Iterator[Entry]:
        def fetch(at: int, until: int) -> list[Entry]:
            return self._page(segment, partition, at, until)

        return Salvage(fetch, set_aside, *span).entries()

    def _page(self, segment: Segment, partition: int, start: int, stop: int) -> list[Entry]:
        """The next entries from ``start``: up to BATCH_FRAMES or BATCH_BYTES of them."""
        found: list[Entry] = []
        size = 0
        try:
            with self._connections.using(self._at + segment.name) as connection:
                cursor = connection.execute(
                    "SELECT key, append_ns, frame FROM frames WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
                    (key_of(partition, start), key_of(partition, stop), BATCH_FRAMES),
                )
                for key, append_ns, frame in cursor:
                    data = frame if isinstance(frame, bytes) else b""  # a damaged record may be of another type
                    found.append(Entry(position_of(key), append_ns if isinstance(append_ns, int) else 0, data))
                    size += len(data)
                    if size >= BATCH_BYTES:
                        break
                cursor.close()
        except FileNotFoundError as error:
            listed = segment in self.index.segments(partition)
            raise Unreadable(
                f"{segment.name} is gone" if listed else "", whole=True
            ) from error  # else retention took it
        except sqlite3.DatabaseError as error:
            if not files.is_damage(error):
                raise
            raise Unreadable(str(error), whole=files.is_wholly_damaged(error)) from error
        return found

    def position_at(self, partition: int, append_ns: int) -> int:
        """The first position appended at or after a wall time. Where damage hides it, an earlier one."""
        end, segments = self.end(partition), self.index.segments(partition)
        later = [segment.created_ns >= append_ns for segment in segments]
        at = max(0, (later.index(True) if True in later else len(segments)) - 1)
        if not segments:
            return end
        low, high = segments[at].first, segments[at + 1].first if at + 1 < len(segments) else end
        while low < high:  # append times never go back within a topic, so the place is found by halving
            middle = (low + high) // 2
            try:
                with self._connections.using(self._at + segments[at].name) as connection:
                    row = connection.execute(
                        "SELECT key, append_ns FROM frames WHERE key >= ? AND key < ? ORDER BY key LIMIT 1",
                        (key_of(partition, middle), key_of(partition, high)),
                    ).fetchone()
            except FileNotFoundError:
                return low
            except sqlite3.DatabaseError as error:
                if not files.is_damage(error):
                    raise
                return low
            if row is None or row[1] >= append_ns:
                high = middle
            else:
                low = position_of(int(row[0])) + 1
        return low

    def _survey(self) -> list[Found]:
        """All segments from their files alone, for a rebuild of the index."""
        found: list[Found] = []
        unknown = dict.fromkeys(range(self._partitions), 0)
        for path in sorted(self._folder.glob("[0-9]*.db")):
            try:
                with self._connections.using(str(path)) as connection:
                    created = int(connection.execute("SELECT created_ns FROM about").fetchone()[0])
                    starts = {int(p): int(n) for p, n in connection.execute("SELECT partition, position FROM starts")}
                    lasts = {p: last_of(connection, p) for p in starts}
            except (sqlite3.DatabaseError, TypeError, FileNotFoundError):
                created, starts, lasts = path.stat().st_mtime_ns, dict(unknown), {}
            found.append(Found(path.name, created, starts))
            unknown = {p: last[0] + 1 if (last := lasts.get(p)) else first for p, first in starts.items()}
        return found
