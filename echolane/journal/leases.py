"""Groups with members on one machine: leases in the topic's index, each change one transaction.

Nobody assigns: every member comes by three times a lease (:meth:`Leases.beat`), says that it lives, strikes off who does not, lets go of
what :func:`~echolane.journal.sharing.balanced` gives to others, and takes what is free and its own. So a partition is never in two
hands, and one whose holder died is taken within a lease and two beats. Time is the machine's monotonic clock, which all its processes
share; after a restart of the machine old leases look like those of members who live for one lease more, at most.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from echolane import log
from echolane.clock import Clock
from echolane.errors import EcholaneError, Fenced
from echolane.ids import uuid7
from echolane.journal import Member
from echolane.journal.index import Index, text_of
from echolane.journal.sharing import BEATS, balanced, fenced

T = TypeVar("T")
LEASE_MAX_S = 3600.0
"""A lease that ends later than this was written before the machine's clock began anew."""
_TABLES = (
    """CREATE TABLE IF NOT EXISTS members (consumer TEXT, member TEXT, until_ns INTEGER NOT NULL,
    PRIMARY KEY (consumer, member)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS leases (consumer TEXT, partition INTEGER, member TEXT NOT NULL, epoch INTEGER NOT NULL,
    PRIMARY KEY (consumer, partition)) WITHOUT ROWID""",
)


class Leases:
    """The leases of one group on one topic, as they stand in its index."""

    def __init__(self, index: Index, partitions: int, group: str) -> None:
        self._index, self._partitions, self._group = index, partitions, group

    def beat(self, member: str, clock: Clock, lease_ns: int) -> dict[int, int]:
        """One word of a living member: what it holds from now on, each partition with its epoch."""
        now, first_epoch = clock.mono_ns(), clock.wall_ns() // 1_000_000_000

        def work(connection: sqlite3.Connection) -> dict[int, int]:
            self._strike_off(connection, now)
            connection.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (self._group, member, now + lease_ns))
            members = [
                text_of(name) for (name,) in self._rows(connection, "SELECT member FROM members WHERE consumer = ?")
            ]
            found = self._rows(connection, "SELECT partition, member, epoch FROM leases WHERE consumer = ?")
            holders = {int(partition): text_of(holder) for partition, holder, _ in found}
            epochs = {int(partition): int(epoch) for partition, _, epoch in found}
            shall = balanced(members, holders, self._partitions)
            held: dict[int, int] = {}
            for partition in range(self._partitions):
                holder, mine = holders.get(partition, ""), shall[partition] == member
                if holder == member and not mine:
                    self._give(connection, partition, "", epochs[partition])
                elif holder == member:
                    held[partition] = epochs[partition]
                elif mine and not holder:
                    # The first one comes from the clock, so that an index that was lost repeats none.
                    held[partition] = max(epochs.get(partition, 0) + 1, first_epoch if partition not in epochs else 0)
                    self._give(connection, partition, member, held[partition])
            return held

        return self._index.within(_with_tables(work))

    def commit(self, member: str, clock: Clock, positions: Mapping[int, tuple[int, int]]) -> dict[int, Fenced]:
        """Remember how far a member has come with what it holds; what it does not hold comes back."""
        now = clock.mono_ns()

        def work(connection: sqlite3.Connection) -> dict[int, Fenced]:
            self._strike_off(connection, now)
            found = self._rows(connection, "SELECT partition, member, epoch FROM leases WHERE consumer = ?")
            held = {int(partition): int(epoch) for partition, holder, epoch in found if text_of(holder) == member}
            refused = {
                partition: fenced(self._group, partition, epoch)
                for partition, (_, epoch) in positions.items()
                if held.get(partition) != epoch
            }
            moved = [(self._group, place, at) for place, (at, _) in positions.items() if place not in refused]
            connection.executemany("INSERT OR REPLACE INTO commits VALUES (?, ?, ?)", moved)
            return refused

        return self._index.within(_with_tables(work))

    def leave(self, member: str) -> None:
        """Let go of everything at once."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM members WHERE consumer = ? AND member = ?", (self._group, member))
            connection.execute("UPDATE leases SET member = '' WHERE consumer = ? AND member = ?", (self._group, member))

        self._index.within(_with_tables(work))

    def _strike_off(self, connection: sqlite3.Connection, now: int) -> None:
        """Whoever slept past its lease holds nothing any more, even when nobody else wants it."""
        late = (self._group, now, now + int(LEASE_MAX_S * 1e9))
        connection.execute("DELETE FROM members WHERE consumer = ? AND NOT (until_ns > ? AND until_ns <= ?)", late)
        connection.execute(
            "UPDATE leases SET member = '' WHERE consumer = ? AND member != '' "
            "AND member NOT IN (SELECT member FROM members WHERE members.consumer = leases.consumer)",
            (self._group,),
        )

    def _rows(self, connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, (self._group,)).fetchall()

    def _give(self, connection: sqlite3.Connection, partition: int, member: str, epoch: int) -> None:
        connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (self._group, partition, member, epoch))


def groups_in(index: Index, clock: Clock) -> list[tuple[str, int]]:
    """The groups of a topic, each with its living members."""
    now = clock.mono_ns()

    def work(connection: sqlite3.Connection) -> list[tuple[str, int]]:
        living = "SELECT consumer FROM members WHERE until_ns > ? AND until_ns <= ?"
        names = [text_of(name) for (name,) in connection.execute(living, (now, now + int(LEASE_MAX_S * 1e9)))]
        committed = {text_of(name) for (name,) in connection.execute("SELECT DISTINCT consumer FROM commits")}
        return [(name, names.count(name)) for name in sorted(committed.union(names))]

    return index.within(_with_tables(work))


def _with_tables(work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    """An index of an earlier version, or one that was rebuilt, has no leases yet."""

    def prepared(connection: sqlite3.Connection) -> T:
        for table in _TABLES:
            connection.execute(table)
        return work(connection)

    return prepared


class SqliteMember(Member):
    """One worker's seat in a group, with a thread that says that it lives."""

    def __init__(self, leases: Leases, what: str, clock: Clock, lease_s: float) -> None:
        self._name = uuid7(clock.wall_ns())
        self._leases, self._what, self._clock, self._lease_ns = leases, what, clock, int(lease_s * 1e9)
        self._held: dict[int, int] = {}
        self._until_ns = 0
        self._guard, self._left = threading.Lock(), threading.Event()
        self.beat()
        self._thread = threading.Thread(target=self._live, args=(lease_s / BEATS,), name=f"member-{what}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<SqliteMember {self._name} of {self._what}, {len(self._held)} held>"

    @property
    def name(self) -> str:
        """What tells it from other members."""
        return self._name

    def beat(self) -> None:
        """Say that it lives, and learn what it holds."""
        with self._guard:
            if not self._left.is_set():
                before = self._clock.mono_ns()
                self._held = self._leases.beat(self._name, self._clock, self._lease_ns)
                self._until_ns = before + self._lease_ns

    def _live(self, pause_s: float) -> None:
        while not self._left.wait(pause_s):
            try:
                self.beat()
            except (
                EcholaneError
            ) as error:  # a full disk, a topic that was removed: it holds nothing when its lease is over
                log.event("member.unheard", group=self._what, member=self._name, error=str(error))

    def held(self) -> dict[int, int]:
        """Partitions it may work on now, each with its epoch; none when it slept past its lease."""
        return dict(self._held) if self._clock.mono_ns() < self._until_ns else {}

    def commit_all(self, positions: Mapping[int, tuple[int, int]]) -> dict[int, Fenced]:
        """Commit what is held, in one transaction; what is not comes back."""
        return self._leases.commit(self._name, self._clock, positions) if positions else {}

    def leave(self) -> None:
        """Let go of everything at once; others take it with their next beat."""
        self._left.set()
        with self._guard:
            self._held, self._until_ns = {}, 0
            self._leases.leave(self._name)
        if threading.current_thread() is not self._thread:
            self._thread.join()
