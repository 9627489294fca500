"""Which partitions of a run's observations a worker compares: all of them, or those that it holds among others (``echolane worker diff``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from echolane import log
from echolane.journal import Journal

POLL_S = 0.02
SHARED_POLL_S = 0.1
"""A cluster is asked for the end of every partition; nobody waits for rows of a shared run as closely as for one's own."""


class Parts(Protocol):
    """A worker's say in what it compares."""

    poll_s: float
    """How long to wait where there is nothing new."""

    def mine(self) -> Collection[int]:
        """The partitions to be compared now."""
        ...

    def lost(self) -> Collection[int]:
        """Those that were held before and are not any more, or are held anew: what is known of them is no longer so."""
        ...

    def start(self, partition: int) -> int:
        """Where to go on."""
        ...

    def commit(self, positions: Mapping[int, int]) -> Collection[int]:
        """Remember of each partition that everything before its position is stored; of which it was not ours to say any more."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Everything:
    """All partitions, always."""

    def __init__(self, journal: Journal, topic: str, group: str) -> None:
        self._journal, self._topic, self._group = journal, topic, group
        self._partitions = 0
        """Asked for until the topic is there: on Kafka that is a round trip, and the number stays."""
        self.poll_s = POLL_S

    def mine(self) -> Collection[int]:
        """All of them, once the run has its topic."""
        if not self._partitions and self._topic in self._journal.topics():
            self._partitions = self._journal.partitions(self._topic)
        return range(self._partitions)

    def lost(self) -> Collection[int]:
        """None ever."""
        return ()

    def start(self, partition: int) -> int:
        """Where the last one came to."""
        return self._journal.committed(self._group, self._topic, partition)

    def commit(self, positions: Mapping[int, int]) -> Collection[int]:
        """Always ours."""
        for partition, position in positions.items():
            self._journal.commit(self._group, self._topic, partition, position)
        return ()

    def close(self) -> None:
        """Nothing is held."""


class Shared:
    """The partitions that this member of the group holds, each in its epoch."""

    def __init__(self, journal: Journal, topic: str, group: str, lease_s: float) -> None:
        self._journal, self._topic, self._group = journal, topic, group
        self._member = journal.join(group, topic, lease_s)
        self._epochs: dict[int, int] = {}
        self._lost: set[int] = set()
        self.poll_s = SHARED_POLL_S

    def mine(self) -> Collection[int]:
        """What is held now."""
        held = self._member.held()
        self._lost |= {partition for partition, epoch in self._epochs.items() if held.get(partition) != epoch}
        self._epochs = held
        return sorted(held)

    def lost(self) -> Collection[int]:
        """What went out of hand since it was last asked."""
        lost, self._lost = self._lost, set()
        return lost

    def start(self, partition: int) -> int:
        """Where whoever held it before came to."""
        return self._journal.committed(self._group, self._topic, partition)

    def commit(self, positions: Mapping[int, int]) -> Collection[int]:
        """In one step. What another has now comes back: it reads again what was not committed, and its rows replace these."""
        refused = self._member.commit_all(
            {partition: (position, self._epochs.get(partition, -1)) for partition, position in positions.items()}
        )
        for partition, error in refused.items():
            log.event("differ.fenced", topic=self._topic, partition=partition, error=str(error))
        return refused

    def close(self) -> None:
        """Let others have it."""
        self._member.leave()
