"""Writing one topic: group commit between threads, turns between processes, a new segment when an hour or a gigabyte is over.

Nothing about the topic is remembered between two commits but open files, so processes may take turns freely and a damaged
segment is left behind for a new one. Reading is in :mod:`echolane.journal.segments`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from echolane import log
from echolane.clock import Clock
from echolane.errors import HomeError
from echolane.journal import files, segments
from echolane.journal.ends import Ends
from echolane.journal.index import Found, Index
from echolane.journal.together import Together, Waiting
from echolane.journal.turns import turn

BUCKET_NS = 3_600_000_000_000
"""A segment an hour: retention goes by whole hours, and a day's recording is 24 files."""
SEGMENT_BYTES = 1024 * 1024 * 1024
"""A segment ends early at 1 GiB, so that retention can always free something."""
ROLL_WAIT_MS = 200
"""How long the checkpoint of a finished segment waits for readers, who then fold its WAL in when they close it."""
DAMAGE_LEAP = 1_000_000
"""Positions left out when neither a destroyed segment nor the ends file says where it ended: none is ever given twice."""


class Writer:
    """Appends to one topic; threads share commits, processes take turns."""

    def __init__(
        self,
        folder: Path,
        partitions: int,
        index: Index,
        ends: Ends,
        connections: files.Connections,
        segment_bytes: int | None = None,
    ) -> None:
        self._folder, self._at, self._partitions = folder, f"{folder}/", partitions
        self._index, self._ends, self._connections = index, ends, connections
        self._segment_bytes = segment_bytes
        self._together = Together()

    def append(self, partition: int, frames: Sequence[bytes], clock: Clock) -> list[int]:
        """Append frames to a partition; threads that wait at the same time share a commit."""
        return self._together.append(partition, frames, lambda batch: self._commit(batch, clock))

    def turn(self, wait_s: float | None = None) -> AbstractContextManager[None]:
        """The turn of this process to write the topic."""
        return turn(self._folder / "writer.lock", f"topic {self._folder.parent.name}", wait_s)

    def _commit(self, batch: Sequence[Waiting], clock: Clock) -> None:
        with files.translated(self._folder.parent), self.turn():
            given = self._write_mended(batch, clock.wall_ns())
        for waiting, positions in zip(batch, given, strict=True):
            waiting.positions = positions

    def _write_mended(self, batch: Sequence[Waiting], now: int) -> list[list[int]]:
        """Write a batch; when the segment turns out to be damaged, into a new one."""
        latest = max(now, self._ends.latest_ns())
        try:
            return self._write(self._current(latest), batch, latest)
        except FileNotFoundError as error:
            if not self._folder.is_dir():
                raise
            why = str(error)
        except sqlite3.DatabaseError as error:
            # A key that is taken already stands where a damaged one hid it.
            if not (files.is_damage(error) or isinstance(error, sqlite3.IntegrityError)):
                raise
            why = str(error)
        newest = self._index.newest()
        if newest is None:
            raise HomeError(f"topic `{self._folder.parent.name}` cannot be written ({why})")
        log.event("journal.segment-left", topic=self._folder.parent.name, segment=newest[0], why=why)
        return self._write(self._roll(newest[0], latest), batch, latest)

    def _write(self, name: str, batch: Sequence[Waiting], latest: int) -> list[list[int]]:
        """One transaction for a whole batch; the positions of each append in it."""
        ends: dict[int, int] = {}
        given: list[list[int]] = []
        rows: list[tuple[int, int, bytes]] = []
        with self._connections.using(self._at + name) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for waiting in batch:
                at = ends.get(waiting.partition)
                if at is None:
                    at, latest = self._end_in(connection, waiting.partition, latest)
                positions = list(range(at, at + len(waiting.frames)))
                ends[waiting.partition] = at + len(positions)
                given.append(positions)
                first = segments.key_of(waiting.partition, at)
                rows += [(first + i, latest, frame) for i, frame in enumerate(waiting.frames)]
            connection.executemany("INSERT INTO frames VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")
        self._ends.write(ends, latest)
        return given

    def _end_in(self, connection: sqlite3.Connection, partition: int, latest: int) -> tuple[int, int]:
        """Where a partition goes on, and the append time that does not go back."""
        witness = self._ends.end(partition)
        found = segments.end_of(connection, partition, witness)
        if found is None:
            row = connection.execute("SELECT position FROM starts WHERE partition = ?", (partition,)).fetchone()
            found = (int(row[0]) if row and isinstance(row[0], int) else 0, 0)
        return max(found[0], witness or 0), max(found[1], latest)

    def _current(self, now: int) -> str:
        """The segment that is written now; a new one when there is none, it is hurt, or its hour or its gigabyte is over."""
        newest = self._index.newest()
        if newest is None:
            return self._begin(Found("000001.db", now, {p: self._ends.end(p) or 0 for p in range(self._partitions)}))
        name, created, hurt = newest
        # A hurt file is never written again: that could cost entries which a careful reader still finds.
        if hurt or now // BUCKET_NS > created // BUCKET_NS or self._size(name) > (self._segment_bytes or SEGMENT_BYTES):
            return self._roll(name, now)
        return name

    def _size(self, name: str) -> int:
        """Of a segment with its WAL, which is all there is of a small one."""
        size = os.stat(self._at + name).st_size  # noqa: PTH116 - once a commit; a Path costs ten times as much
        try:
            return size + os.stat(f"{self._at}{name}-wal").st_size  # noqa: PTH116 - see above
        except FileNotFoundError:
            return size

    def _roll(self, name: str, now: int) -> str:
        """Finish a segment and begin the next one where it ended."""
        starts = {partition: self._end_of(name, partition) for partition in range(self._partitions)}
        self._fold(name)
        return self._begin(Found(f"{int(name.removesuffix('.db')) + 1:06d}.db", now, starts))

    def _end_of(self, name: str, partition: int) -> int:
        """Where a partition ends; from the ends file alone when the segment cannot say."""
        try:
            with self._connections.using(self._at + name) as connection:
                return self._end_in(connection, partition, 0)[0]
        except (sqlite3.DatabaseError, FileNotFoundError):
            witness = self._ends.end(partition)
            if witness is not None:
                return witness
            firsts = [segment.first for segment in self._index.segments(partition) if segment.name == name]
            return max(firsts, default=0) + DAMAGE_LEAP

    def _fold(self, name: str) -> None:
        """Fold a finished segment's WAL into its file. Not worth an error: whoever closes it last does it too."""
        try:
            with self._connections.using(self._at + name) as connection:
                connection.execute(f"PRAGMA busy_timeout={ROLL_WAIT_MS}")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                connection.execute(f"PRAGMA busy_timeout={int(files.BUSY_WAIT_S * 1000)}")
        except (sqlite3.DatabaseError, FileNotFoundError):
            pass

    def _begin(self, found: Found) -> str:
        """A new segment: its file first, the index second, so a listed segment always has a file."""
        path = self._folder / found.name
        files.remove(path)  # left by a process that died between the two
        try:
            segments.create(path, found)
            self._index.add(found)
        except BaseException:
            files.remove(path)
            raise
        return found.name

    def expire(self, before_ns: int) -> int:
        """Remove the segments that ended before a wall time, index first and files second; how many."""
        with self._together.commit_lock, files.translated(self._folder.parent), self.turn():
            listed = self._index.segments(0)
            old = [
                one.name
                for one, following in zip(listed, listed[1:], strict=False)
                if following.created_ns <= before_ns
            ]
            self._remove(old)
        return len(old)

    def cut(self, segments_n: int) -> int:
        """Remove the oldest segments, so many; how many there were to remove. The newest one stays."""
        with self._together.commit_lock, files.translated(self._folder.parent), self.turn():
            old = [one.name for one in self._index.segments(0)[:-1][:segments_n]]
            self._remove(old)
        return len(old)

    def _remove(self, names: Sequence[str]) -> None:
        """Index first and files second."""
        if names:
            self._index.remove(names)
        kept = {segment.name for segment in self._index.segments(0)}
        for path in self._folder.glob("[0-9]*.db"):
            if path.name not in kept:  # also what a process left that died between the two
                self._connections.close_below(path)
                files.remove(path)
