"""Writing one topic: group commit, segments by time, a lock between processes that names its holder."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from echolane.clock import Clock
from echolane.errors import EcholaneError, HomeError
from echolane.journal.files import BUSY_WAIT_S, connect, translated

BUCKET_NS = 3_600_000_000_000
"""One segment an hour: retention in whole hours, and a day's recording is 24 files."""
SEGMENT_BYTES = 1024 * 1024 * 1024
"""A segment is rolled early at 1 GiB, so that retention can always free something."""
DAMAGE_LEAP = 1_000_000
"""Positions that are skipped when the end of a destroyed segment cannot be read: none is ever given twice."""

INDEX = """
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, created_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS starts (name TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (name, partition));
CREATE TABLE IF NOT EXISTS commits (consumer TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (consumer, partition));
CREATE TABLE IF NOT EXISTS damage (partition INTEGER, position INTEGER, why TEXT, PRIMARY KEY (partition, position));
"""
FRAMES = """
CREATE TABLE IF NOT EXISTS frames (
  partition INTEGER NOT NULL, position INTEGER NOT NULL, append_ns INTEGER NOT NULL, frame BLOB NOT NULL,
  PRIMARY KEY (partition, position)
);
"""


class Segment(NamedTuple):
    """A file of frames and the position at which it begins for one partition."""

    name: str
    created_ns: int
    first: int


def segments_of(index: sqlite3.Connection, partition: int) -> list[Segment]:
    """The segments of a partition, oldest first."""
    rows = index.execute(
        "SELECT s.name, s.created_ns, t.position FROM segments s JOIN starts t ON t.name = s.name "
        "WHERE t.partition = ? ORDER BY s.name",
        (partition,),
    )
    return [Segment(*row) for row in rows]


class _Waiting:
    """One append that waits for the commit it is part of."""

    __slots__ = ("error", "frames", "partition", "positions")

    def __init__(self, partition: int, frames: Sequence[bytes]) -> None:
        self.partition, self.frames = partition, frames
        self.positions: list[int] | None = None
        self.error: EcholaneError | None = None


class TopicWriter:
    """Appends to one topic; threads share commits, processes take turns."""

    def __init__(self, folder: Path, partitions: int, clock: Clock) -> None:
        self._folder, self._partitions, self._clock = folder, partitions, clock
        self._queue: list[_Waiting] = []
        self._queue_lock, self._commit_lock = threading.Lock(), threading.Lock()
        self._segment: tuple[str, int, sqlite3.Connection] | None = None
        with translated(folder):
            self._index = connect(folder / "index.db", INDEX)

    def append(self, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append frames to a partition. The first of several waiting threads commits for all of them."""
        if not frames:
            return []
        mine = _Waiting(partition, frames)
        with self._queue_lock:
            self._queue.append(mine)
        with self._commit_lock:
            if mine.positions is None and mine.error is None:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                self._commit(batch)
        if mine.error is not None:
            raise mine.error
        assert mine.positions is not None  # noqa: S101 - _commit sets one of the two for each of its batch
        return mine.positions

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            with translated(self._folder), self._turn():
                given = self._write(batch)
            for waiting, positions in zip(batch, given, strict=True):
                waiting.positions = positions
        except EcholaneError as error:
            self._forget()
            for waiting in batch:
                waiting.error = error

    def _write(self, batch: list[_Waiting]) -> list[list[int]]:
        """One transaction for a whole batch; the positions of each append in it."""
        now = self._clock.wall_ns()
        connection = self._current(now)
        connection.execute("BEGIN IMMEDIATE")
        try:
            heads: dict[int, int] = {}
            given: list[list[int]] = []
            for waiting in batch:
                at = heads.get(waiting.partition)
                if at is None:
                    at = self._head(connection, waiting.partition)
                positions = list(range(at, at + len(waiting.frames)))
                rows = [
                    (waiting.partition, position, now, frame)
                    for position, frame in zip(positions, waiting.frames, strict=True)
                ]
                connection.executemany("INSERT INTO frames VALUES (?, ?, ?, ?)", rows)
                heads[waiting.partition] = at + len(positions)
                given.append(positions)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        return given

    def _head(self, connection: sqlite3.Connection, partition: int) -> int:
        row = connection.execute("SELECT max(position) FROM frames WHERE partition = ?", (partition,)).fetchone()
        if row[0] is not None:
            return int(row[0]) + 1
        assert self._segment is not None  # noqa: S101 - _current ran before
        found = self._index.execute(
            "SELECT position FROM starts WHERE name = ? AND partition = ?", (self._segment[0], partition)
        )
        return int(found.fetchone()[0])

    def _current(self, now: int) -> sqlite3.Connection:
        """The connection to the segment that is written now; rolls when its time or size is over."""
        row = self._index.execute("SELECT name, created_ns FROM segments ORDER BY name DESC LIMIT 1").fetchone()
        if row is None:
            return self._begin("000001.db", now, dict.fromkeys(range(self._partitions), 0))
        name, created = str(row[0]), int(row[1])
        connection = self._open(name, created)
        if connection is None:
            leap = {p: self._start(name, p) + DAMAGE_LEAP for p in range(self._partitions)}
            return self._begin(f"{int(name[:6]) + 1:06d}.db", now, leap)
        if now // BUCKET_NS > created // BUCKET_NS or self._size(name) > SEGMENT_BYTES:
            heads = {partition: self._head(connection, partition) for partition in range(self._partitions)}
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return self._begin(f"{int(name[:6]) + 1:06d}.db", now, heads)
        return connection

    def _open(self, name: str, created: int) -> sqlite3.Connection | None:
        """The segment's connection; None when the file is damaged beyond use (its number of lost entries is then unknown)."""
        if self._segment is not None and self._segment[0] == name:
            return self._segment[2]
        self._forget()
        try:
            connection = connect(self._folder / name, FRAMES)
            connection.execute("SELECT max(position) FROM frames").fetchone()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._index.execute(
                "INSERT OR IGNORE INTO damage VALUES (?, ?, ?)", (0, self._start(name, 0), f"{name}: {error}"[:200])
            )
            self._index.commit()
            return None
        self._segment = (name, created, connection)
        return connection

    def _begin(self, name: str, now: int, starts: dict[int, int]) -> sqlite3.Connection:
        """A new segment: its file first, the index second, so a listed segment always has a file."""
        self._forget()
        connection = connect(self._folder / name, FRAMES)
        self._index.execute("INSERT OR IGNORE INTO segments VALUES (?, ?)", (name, now))
        self._index.executemany(
            "INSERT OR IGNORE INTO starts VALUES (?, ?, ?)", [(name, p, s) for p, s in starts.items()]
        )
        self._index.commit()
        self._segment = (name, now, connection)
        return connection

    def _start(self, name: str, partition: int) -> int:
        row = self._index.execute(
            "SELECT position FROM starts WHERE name = ? AND partition = ?", (name, partition)
        ).fetchone()
        return int(row[0]) if row else 0

    def _size(self, name: str) -> int:
        return (self._folder / name).stat().st_size

    def expire(self, before_ns: int) -> int:
        """Remove old segments, index first and file second; how many."""
        removed: list[str] = []
        with self._commit_lock, translated(self._folder), self._turn():
            names = [str(row[0]) for row in self._index.execute("SELECT name FROM segments ORDER BY name")]
            for name, following in zip(names, names[1:], strict=False):
                closed = self._index.execute("SELECT created_ns FROM segments WHERE name = ?", (following,)).fetchone()
                if int(closed[0]) >= before_ns:
                    break
                removed.append(name)
            for name in removed:
                self._index.execute("DELETE FROM segments WHERE name = ?", (name,))
                self._index.execute("DELETE FROM starts WHERE name = ?", (name,))
            self._index.commit()
            for name in removed:
                for suffix in ("", "-wal", "-shm"):
                    (self._folder / f"{name}{suffix}").unlink(missing_ok=True)
        return len(removed)

    @contextmanager
    def _turn(self) -> Generator[None]:
        """The turn of this process to write; HomeError names the process that does not give it."""
        descriptor = os.open(self._folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + BUSY_WAIT_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        holder = os.pread(descriptor, 16, 0).decode("ascii", "replace").strip() or "unknown"
                        raise HomeError(
                            f"process {holder} has been writing {self._folder.name} for {BUSY_WAIT_S:.0f} s; find out why"
                        ) from error
                    time.sleep(0.002)
            os.pwrite(descriptor, f"{os.getpid():<15}".encode(), 0)
            yield
        finally:
            os.close(descriptor)  # the lock goes with it, as it does when the process dies

    def _forget(self) -> None:
        if self._segment is not None:
            self._segment[2].close()
            self._segment = None

    def close(self) -> None:
        """Close the files."""
        with self._commit_lock:
            self._forget()
            self._index.close()
