"""A topic's index: its segments, how far groups have come, what was set aside. Rebuilt from the segments when it is damaged.

``index.db`` is small and written at rolls, commits of groups and damage only. A segment is listed here after its file was made and
struck off before its file is removed, so a crash between the two leaves a file too many and never one too few.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from echolane import log
from echolane.journal import files
from echolane.journal.turns import turn

SCHEMA = """
CREATE TABLE segments (name TEXT PRIMARY KEY, created_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE starts (name TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (name, partition)) WITHOUT ROWID;
CREATE TABLE commits (consumer TEXT, partition INTEGER, position INTEGER NOT NULL, PRIMARY KEY (consumer, partition)) WITHOUT ROWID;
CREATE TABLE damage (partition INTEGER, first INTEGER, stop INTEGER, why TEXT, PRIMARY KEY (partition, first, stop)) WITHOUT ROWID;
"""
T = TypeVar("T")
Row = tuple[Any, ...]
Range = tuple[int, int, int]
"""Partition, first position, stop (exclusive)."""


class Segment(NamedTuple):
    """A file of frames: when it was begun, and the position at which it begins for one partition."""

    name: str
    created_ns: int
    first: int


class Found(NamedTuple):
    """A segment as a rebuild finds it: where it begins for every partition."""

    name: str
    created_ns: int
    starts: dict[int, int]


class Index:
    """The index of one topic. ``survey`` lists the segments from their files when the index has to be rebuilt."""

    def __init__(self, folder: Path, connections: files.Connections, survey: Callable[[], list[Found]]) -> None:
        self._path, self._connections, self._survey = folder / "index.db", connections, survey
        self._name = str(self._path)
        self._topic = folder.parent.name
        self._unsaved: set[Range] = set()
        self._guard = threading.Lock()
        self._trusted = False

    def segments(self, partition: int) -> list[Segment]:
        """The segments of a partition, oldest first."""
        rows = self._asked(
            "SELECT s.name, s.created_ns, t.position FROM segments s JOIN starts t ON t.name = s.name "
            "WHERE t.partition = ? ORDER BY s.name",
            (partition,),
        )
        return [Segment(text_of(name), int(created), int(first)) for name, created, first in rows]

    def newest(self) -> tuple[str, int, bool] | None:
        """Name and begin of the segment that is written now, and whether something in it was set aside; None in a new topic."""
        rows = self._asked(
            "SELECT name, created_ns, EXISTS (SELECT 1 FROM damage d JOIN starts t ON t.partition = d.partition "
            "WHERE t.name = s.name AND d.stop > t.position) FROM segments s ORDER BY name DESC LIMIT 1"
        )
        return (text_of(rows[0][0]), int(rows[0][1]), bool(rows[0][2])) if rows else None

    def add(self, found: Found) -> None:
        """List a new segment; its file is there already."""
        listed: list[Row] = [(found.name, found.created_ns)]
        self._done([("INSERT INTO segments VALUES (?, ?)", listed), _starts(found)], exclude_rebuild=True)

    def remove(self, names: Sequence[str]) -> None:
        """Strike segments off; their files are removed afterwards."""
        which: list[Row] = [(name,) for name in names]
        self._done(
            [("DELETE FROM segments WHERE name = ?", which), ("DELETE FROM starts WHERE name = ?", which)],
            exclude_rebuild=True,
        )

    def commit(self, group: str, partition: int, position: int) -> None:
        """Remember how far a group has come."""
        self._done([("INSERT OR REPLACE INTO commits VALUES (?, ?, ?)", [(group, partition, position)])])

    def committed(self, group: str, partition: int) -> int:
        """How far a group had come; 0 at first."""
        rows = self._asked("SELECT position FROM commits WHERE consumer = ? AND partition = ?", (group, partition))
        return int(rows[0][0]) if rows else 0

    def within(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives, in one transaction; what it raises undoes it."""

        def transaction(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            found = work(connection)
            connection.execute("COMMIT")
            return found

        return self._mended(transaction)

    def set_aside(self, partition: int, first: int, stop: int, why: str) -> None:
        """Count entries that cannot be read, once however often they are met. Never fails: a reader goes on."""
        try:
            self._done([("INSERT OR IGNORE INTO damage VALUES (?, ?, ?, ?)", [(partition, first, stop, why[:200])])])
        except (sqlite3.Error, OSError):
            with self._guard:  # a full disk: this process counts it until it can be written
                self._unsaved.add((partition, first, stop))
        log.event("journal.set-aside", topic=self._topic, partition=partition, first=first, stop=stop, why=why)

    def damaged(self) -> int:
        """How many entries were set aside."""
        return sum(stop - first for _, first, stop in self.aside())

    def aside(self) -> list[Range]:
        """Where entries were set aside: the union of all ranges."""
        rows = self._asked("SELECT partition, first, stop FROM damage")
        with self._guard:
            ranges = sorted({(int(p), int(first), int(stop)) for p, first, stop in rows} | self._unsaved)
        found: list[Range] = []
        reached = (-1, 0)
        for partition, first, stop in ranges:
            begin = max(first, reached[1]) if partition == reached[0] else first
            if stop > begin:
                found.append((partition, begin, stop))
                reached = (partition, stop)
        return found

    def _asked(self, query: str, parameters: Row = ()) -> list[Row]:
        return self._mended(lambda connection: connection.execute(query, parameters).fetchall())

    def _done(self, statements: Sequence[tuple[str, Sequence[Row]]], *, exclude_rebuild: bool = False) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in statements:
                connection.executemany(statement, rows)
            connection.execute("COMMIT")

        def exclusive(connection: sqlite3.Connection) -> None:
            with self._rebuild_turn():
                work(connection)

        self._mended(exclusive if exclude_rebuild else work)

    def _mended(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work with the index; a damaged one is rebuilt first."""
        if not self._trusted:  # once per process: the file is small, and what it says decides where to look
            self._trusted = True
            if not self._is_sound() and self._path.parent.is_dir():
                self._rebuild("it does not check out")
        try:
            with self._connections.using(self._name) as connection:
                return work(connection)
        except (sqlite3.DatabaseError, FileNotFoundError) as error:
            if not (files.is_damage(error) if isinstance(error, sqlite3.Error) else self._path.parent.is_dir()):
                raise
            self._rebuild(str(error))
        with self._connections.using(self._name) as connection:
            return work(connection)

    def _rebuild_turn(self) -> AbstractContextManager[None]:
        return turn(self._path.with_name("index.lock"), f"the index of {self._topic}")

    def _rebuild(self, why: str) -> None:
        """Make the index anew from the segments. What groups had committed is lost: they begin again, which is allowed."""
        with self._rebuild_turn():
            if self._is_sound():
                return  # another one has mended it
            log.event("journal.index-rebuilt", topic=self._topic, why=why)
            kept = self._path.with_name("index.db.damaged")
            if self._path.exists():
                self._path.replace(kept)
            files.remove(self._path)
            new = self._path.with_name("index.db.new")
            files.remove(new)
            files.create(new, SCHEMA)
            connection = sqlite3.connect(new, isolation_level=None)
            try:
                connection.execute("BEGIN")
                for found in self._survey():
                    connection.execute("INSERT INTO segments VALUES (?, ?)", (found.name, found.created_ns))
                    connection.executemany(*_starts(found))
                connection.execute("COMMIT")
            finally:
                connection.close()  # the last one: its WAL is folded in and gone before the file gets its name
            new.replace(self._path)

    def _is_sound(self) -> bool:
        try:
            with self._connections.using(self._name) as connection:
                for table in ("segments", "starts", "commits", "damage"):
                    connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - names of our own
                return connection.execute("PRAGMA quick_check(1)").fetchone()[0] == b"ok"
        except FileNotFoundError:
            return False
        except sqlite3.DatabaseError as error:
            if not files.is_damage(error):
                raise
            return False


def _starts(found: Found) -> tuple[str, list[Row]]:
    rows: list[Row] = [(found.name, partition, first) for partition, first in found.starts.items()]
    return "INSERT INTO starts VALUES (?, ?, ?)", rows


def text_of(value: object) -> str:
    """A text of the database, which gives bytes: a damaged one may claim to be text that is none."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
