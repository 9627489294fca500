"""The journal: durable, partitioned, append-only. Rooms meet in its topics.

``open_journal(home)`` gives the door of one machine, :mod:`echolane.journal.sqlite`, or of many, :mod:`echolane.journal.kafka`. A topic
has a fixed number of partitions; an entry is one frame (:mod:`echolane.frame`) at a position that grows by one. What ``append``
returned is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from echolane.clock import SYSTEM, Clock
from echolane.errors import Fenced
from echolane.home import Home

Told = Callable[[int, int, str], None]
"""Hears of positions that a reader left out: the first, the one behind the last, and why."""


class Entry(NamedTuple):
    """One frame as it stands in the journal."""

    position: int
    append_ns: int
    frame: bytes


class Group(NamedTuple):
    """A group that shares a topic, or reads it alone."""

    name: str
    topic: str
    members: int
    """How many live now."""


class Member(Protocol):
    """One worker's seat in a group whose members share the partitions of a topic. It says by itself that it lives."""

    @property
    def name(self) -> str:
        """What tells it from other members."""
        ...

    def held(self) -> dict[int, int]:
        """Partitions it may work on now, each with the epoch in which it holds it; asked as often as one likes.

        A partition that stays in hand keeps its epoch, whoever comes and goes. One that came back has another epoch: what was
        done under the old one and not committed is another's, and is read again from :meth:`Journal.committed`.

        Raises:
            HomeError: it may not be in the group.
        """
        ...

    def commit_all(self, positions: Mapping[int, tuple[int, int]]) -> dict[int, Fenced]:
        """Remember of each partition, given its position and epoch, that everything before the position is finished.

        Partitions that are not held in their epoch are not moved and come back, each with what is to be said of it; the others
        are committed all the same, in one step. Of a partition and an epoch, the commits of one member at most are ever
        accepted. What is finished out of order is counted by :class:`echolane.journal.sharing.Prefix`.
        """
        ...

    def commit(self, partition: int, position: int, epoch: int) -> None:
        """The same of one partition. Fenced when it is not held in that epoch."""
        for error in self.commit_all({partition: (position, epoch)}).values():
            raise error

    def leave(self) -> None:
        """Let go of everything at once."""
        ...


class Journal(Protocol):
    """What every door offers."""

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic; does nothing when it is there with as many partitions, HomeError with another number."""
        ...

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; HomeError when there is no such topic."""
        ...

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append frames; their positions. Durable when it returns. JournalFull when there is no room.

        An append that raises another HomeError may have been stored or not; ValueError for bytes that are no frame.
        """
        ...

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None, told: Told | None = None
    ) -> Iterator[Entry]:
        """Entries from ``start`` to ``stop`` (exclusive) or the end, lazily. Damaged ones are left out and counted.

        "The end" is that of the first step; a reader that tails calls again. ``told`` hears of each stretch that is left out by
        this reading, but not of what retention has taken (:meth:`begin`).
        """
        ...

    def begin(self, topic: str, partition: int) -> int:
        """The first position that retention has left; a reader that starts earlier has lost what is before it."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """The position that the next frame will get."""
        ...

    def position_at(self, topic: str, partition: int, append_ns: int) -> int:
        """The first position appended at or after a wall time."""
        ...

    def commit(self, group: str, topic: str, partition: int, position: int) -> None:
        """Remember that ``group`` has handled everything before ``position``."""
        ...

    def committed(self, group: str, topic: str, partition: int) -> int:
        """Where ``group`` goes on; 0 when it never committed."""
        ...

    def groups(self) -> list[Group]:
        """Every group that has committed or has members, by name and topic."""
        ...

    def join(self, group: str, topic: str, lease_s: float = 10.0) -> Member:
        """Become a member of a group. Each partition is held within two leases after a member came, left or died.

        A member that is not heard for ``lease_s`` holds nothing any more. While a group has members, only they commit.
        """
        ...

    def damaged(self, topic: str) -> int:
        """How many entries were set aside."""
        ...

    def aside(self, topic: str) -> list[tuple[int, int, int]]:
        """Where entries were set aside, as far as that is kept: partition, first position, stop; sorted, none twice."""
        ...

    def expire(self, topic: str, before_ns: int) -> int:
        """Remove what was appended before a wall time, in whole segments; how many. The newest one stays."""
        ...

    def drop(self, topic: str) -> None:
        """Remove a topic and all that is in it."""
        ...

    def close(self) -> None:
        """Let go of all files."""
        ...


def open_journal(home: Home | Path, *, clock: Clock = SYSTEM) -> Journal:
    """The journal of a home: on the cluster it names, else in SQLite files on this machine, as for a folder alone."""
    # The doors need this module's types, and a command without a cluster does not pay for its client.
    place = home if isinstance(home, Home) else Home(home)
    if place.journal_url:
        from echolane.journal.kafka import KafkaJournal  # noqa: PLC0415 - see above
        from echolane.journal.kafka_address import parse_address  # noqa: PLC0415 - see above

        return KafkaJournal(parse_address(place.journal_url))
    from echolane.journal.sqlite import SqliteJournal  # noqa: PLC0415 - see above

    return SqliteJournal(place.journal, clock)


__all__ = ["Entry", "Group", "Journal", "Member", "Told", "open_journal"]
