"""The spool: what a recorder keeps on the disk while its journal is away. Files of the journal of one machine, in ``HOME/spool``.

A topic there holds the frames of one session; a position is sent when the group :data:`SENT` has committed past it. Each has one
process that writes and reads it: the session's recorder, or the next one of the service after that has died. Who decides what goes
in and out is :mod:`capture.outbox`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from capture.account import Glance, Session
from echolane import log
from echolane.clock import SYSTEM
from echolane.errors import HomeError, JournalFull
from echolane.frame import decode_frame, peek
from echolane.journal.sqlite import SqliteJournal

SENT = "sent"
"""The group whose positions say what is in the journal."""
BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of frames of one send: each costs a round trip to the brokers, and to the disk, where it is marked."""
SEGMENTS = 16
"""Files that a full spool consists of: the oldest goes as a whole, so up to a sixteenth more than is needed is dropped."""
SEGMENT_BYTES_MIN = 256 * 1024


class Batch(NamedTuple):
    """The next frames of a partition that are to be sent."""

    partition: int
    frames: list[bytes]
    stop: int
    """The position behind them."""


class Spools:
    """All that is kept of one service: a spool for each session, within one bound."""

    def __init__(self, folder: Path, service: str, limit: int) -> None:
        self.folder, self._service, self.limit = folder, service, limit
        self._journal = SqliteJournal(folder, SYSTEM, max(SEGMENT_BYTES_MIN, limit // SEGMENTS))

    def __repr__(self) -> str:
        return f"<Spools of {self._service}, {self.bytes()}/{self.limit} bytes>"

    def epochs(self) -> list[int]:
        """The sessions that have a spool."""
        named = [topic.rpartition(".") for topic in self._journal.topics()]
        return sorted(int(epoch) for service, _, epoch in named if service == self._service and epoch.isdigit())

    def bytes(self) -> int:
        """What their files take."""
        found = 0
        for epoch in self.epochs():
            with contextlib.suppress(HomeError):  # another recorder of the service has sent and dropped its own
                found += self._journal.size(f"{self._service}.{epoch}")
        return found

    def of(self, session: Session, partitions: int) -> Spool:
        """The spool of a session; there are files when it has frames. Files that say nothing any more are set aside."""
        topic = f"{self._service}.{session.epoch}"
        try:
            return Spool(self._journal, topic, partitions)
        except JournalFull:
            raise
        except HomeError as error:
            aside = self.folder / f"damaged-{topic}-{SYSTEM.wall_ns():x}"
            (self.folder / topic).rename(aside)
            log.event("spool.set-aside", folder=str(aside), error=str(error))
            return Spool(self._journal, topic, partitions)

    def close(self) -> None:
        """Close the files."""
        self._journal.close()


class Spool:
    """The frames of one session."""

    def __init__(self, journal: SqliteJournal, topic: str, partitions: int) -> None:
        self._journal, self._topic = journal, topic
        self._turn = 0
        self.there = topic in journal.topics()
        """Whether it has files."""
        self.partitions = journal.partitions(topic) if self.there else partitions
        self._at, self._ends = [0] * self.partitions, [0] * self.partitions
        for partition in range(self.partitions) if self.there else ():
            sent, begin = journal.committed(SENT, topic, partition), journal.begin(topic, partition)
            self._at[partition], self._ends[partition] = max(sent, begin), journal.end(topic, partition)

    def __repr__(self) -> str:
        return f"<Spool {self._topic}, {sum(self._ends) - sum(self._at)} frames to send>"

    @property
    def empty(self) -> bool:
        """Whether all of it is sent."""
        return self._at == self._ends

    def append(self, partition: int, frames: list[bytes]) -> int:
        """Keep frames; the position behind them. JournalFull when the disk has no room."""
        if not self.there:
            self._journal.create(self._topic, self.partitions)
            self.there = True
        self._ends[partition] = self._journal.append(self._topic, partition, frames)[-1] + 1
        return self._ends[partition]

    def next(self) -> Batch | None:
        """The next frames to send, of one partition after the other; what is damaged is left out."""
        for _ in range(self.partitions):
            partition, self._turn = self._turn, (self._turn + 1) % self.partitions
            while self._at[partition] < self._ends[partition]:
                batch = self._batch(partition)
                if batch.frames:
                    return batch
                self.sent(partition, batch.stop)
        return None

    def _batch(self, partition: int) -> Batch:
        frames: list[bytes] = []
        size, stop = 0, self._at[partition]
        for entry in self._journal.read(self._topic, partition, stop, self._ends[partition]):
            size += len(entry.frame)
            if frames and size > BATCH_BYTES:  # a single one may be larger, and then travels alone
                return Batch(partition, frames, stop)
            frames.append(entry.frame)
            stop = entry.position + 1
        return Batch(partition, frames, self._ends[partition])

    def sent(self, partition: int, stop: int) -> None:
        """Remember that all before a position is in the journal."""
        if self.there and stop > self._at[partition]:
            self._journal.commit(SENT, self._topic, partition, stop)
            self._at[partition] = stop

    def holds(self, partition: int, stop: int) -> bool:
        """Whether what is before a position is still there to be sent."""
        return self.there and self._at[partition] < stop

    def skip(self, seqs: Collection[int], every: int, place: int) -> int:
        """Pass over what turned out to be in partition ``place`` of a journal with ``every`` partitions; how many exchanges."""
        passed = 0
        for partition in range(place, self.partitions, every) if seqs and self.there else ():
            for entry in self._journal.read(self._topic, partition, self._at[partition], self._ends[partition]):
                if first_seq(entry.frame) not in seqs:
                    break
                passed += peek(entry.frame).records
                self.sent(partition, entry.position + 1)
        return passed

    def unsent(self, beyond: Mapping[int, int] | None = None, stops: list[int] | None = None) -> int:
        """Exchanges that are to be sent, up to ``stops``; what is before ``beyond`` in a partition is on its way."""
        found = 0
        for partition in range(self.partitions) if self.there else ():
            start = max(self._at[partition], (beyond or {}).get(partition, 0))
            stop = self._ends[partition] if stops is None else stops[partition]
            found += sum(peek(entry.frame).records for entry in self._journal.read(self._topic, partition, start, stop))
        return found

    def shed(self, beyond: Mapping[int, int], *, all_of_it: bool = False) -> int | None:
        """Remove the oldest file; how many exchanges were in it that nobody has sent or is sending. None: there is but one.

        ``all_of_it``: then that one goes, too; nobody writes it any more.
        """
        if not self.there:
            return None
        starts = [self._journal.starts(self._topic, partition) for partition in range(self.partitions)]
        if len(starts[0]) < 2:
            if not all_of_it:
                return None
            count = self.unsent(beyond)
            self.drop()
            return count
        stops = [one[1] for one in starts]
        count = self.unsent(beyond, stops)
        for partition, stop in enumerate(stops):
            self.sent(partition, stop)
        self._journal.cut(self._topic, 1)
        return count

    def drop(self) -> None:
        """Remove the files, of which all was sent."""
        if self.there:
            self._journal.drop(self._topic)
        self.there, self._at, self._ends = False, [0] * self.partitions, [0] * self.partitions


def first_seq(frame: bytes) -> int:
    """The ``seq`` of a frame's first exchange."""
    return decode_frame(frame, Glance)[0].seq
