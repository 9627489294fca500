"""How frames leave a recorder or an importer: at once and waited for, or by way of an outbox (:mod:`capture.outbox`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from capture.account import BASE, FROM, OPEN, Recorded, stored_by
from echolane.journal import Journal
from echolane.ledger import Counters
from echolane.recordings import topic_of


class Sink(Protocol):
    """Where :class:`capture.storing.Storing` leaves its frames."""

    @property
    def partitions(self) -> int:
        """Into how many partitions exchanges are bucketed."""
        ...

    def append(self, partition: int, frames: list[bytes], exchanges: Sequence[int]) -> None:
        """Take the frames of these exchanges (their ``seq``, ascending). EcholaneError when it does not, or may not have."""
        ...

    def has_stored(self, partition: int) -> bool:
        """Whether the last append to a partition, which raised, was stored all the same."""
        ...


class Direct:
    """Into the journal, waited for; each append's beginning and end are counted, so that its outcome is known whenever we are killed."""

    def __init__(self, journal: Journal, counters: Counters, who: Recorded, partitions: int) -> None:
        self._journal, self._counters, self._who = journal, counters, who
        self._topic = topic_of(who.service)
        if self._topic in journal.topics():  # its partitions are fixed since it exists
            partitions = journal.partitions(self._topic)
        else:
            journal.create(self._topic, partitions)
        self.partitions = partitions
        self._ends = [journal.end(self._topic, partition) for partition in range(partitions)]
        """Behind the last append of each partition."""

    def __repr__(self) -> str:
        return f"<Direct to {self._topic}, {self._counters!r}>"

    def append(self, partition: int, frames: list[bytes], exchanges: Sequence[int]) -> None:
        """One append; durable when it returns."""
        counters, stored = self._counters, self._counters.get("stored")
        counters.set(FROM, self._ends[partition])
        counters.set(BASE, stored)
        counters.set(OPEN, partition + 1)
        positions = self._journal.append(self._topic, partition, frames)
        counters.set("stored", stored + len(exchanges))
        counters.set(OPEN, 0)
        if positions:
            self._ends[partition] = positions[-1] + 1

    def has_stored(self, partition: int) -> bool:
        """Whether the append that raised was stored all the same: the journal is asked."""
        counts = self._counters.read()
        if counts.get(OPEN) != partition + 1:
            return False
        stored = stored_by(self._journal, self._who, counts)
        if stored > counts.get(BASE, 0):  # the next append cannot be before it, or it would be taken for that one
            self._ends[partition] = self._journal.end(self._topic, partition)
        self._counters.set("stored", stored)
        self._counters.set(OPEN, 0)
        return stored > counts.get(BASE, 0)
