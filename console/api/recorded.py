"""What a run's exchange was when it was recorded: its request, as the plan of the run has it, and its whole record.

The plan is in the order of the run, so its frame is found by halves. The record is found by its time: frames say which times they
hold. Either may be gone, for retention takes them apart: a word says why. Everything here waits for the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from console.api.messages_exchanges import Lack
from echolane.exchange import ERASED, Exchange, WorkItem
from echolane.frame import EXCHANGES, WORK, FrameDamaged, decode_frame, peek
from echolane.journal import Entry, Journal
from echolane.recordings import Recording, topic_of
from replayer.plan import work_topic

T = TypeVar("T")
LOOKED_MAX = 64 * 1024 * 1024
"""Bytes of frames whose times are looked at for one record: tenths of a second. What was stored as it was seen is in the first few."""
EARLIER_NS = 60_000_000_000
"""So long before its time a frame is looked for first: the clocks of a recorder and of a journal that are further apart cost a longer look."""


class _Rank(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a work item: all that a search needs."""

    seq: int


def planned(journal: Journal, run: str, seq: int, exchange: str) -> Exchange | Lack:
    """The exchange as the plan of a run has it, without its answer."""
    topic = work_topic(run)
    if topic not in journal.topics():
        return "gone"
    for partition in range(journal.partitions(topic)):
        entry = _holding(journal, topic, partition, seq)
        for item in _read(entry, WORK, WorkItem) if entry else ():
            if item.seq == seq and item.exchange.id == exchange:
                return "erased" if item.exchange.no_answer == ERASED else item.exchange
    return "gone"


def _holding(journal: Journal, topic: str, partition: int, seq: int) -> Entry | None:
    """The entry of a partition in which a rank would be."""
    low, high = journal.begin(topic, partition), journal.end(topic, partition)
    while low < high:
        middle = (low + high) // 2
        # What is damaged is left out, so the entry may be a later one.
        entry = next(iter(journal.read(topic, partition, middle, high)), None)
        ranks = _read(entry, WORK, _Rank) if entry else []
        if entry is None or (ranks and seq < ranks[0].seq):
            high = middle
        elif ranks and seq <= ranks[-1].seq:
            return entry
        else:
            low = entry.position + 1
    return None


def recorded(journal: Journal, recording: Recording, one: Exchange) -> Exchange | Lack:
    """The whole record of an exchange that was planned, with its answer."""
    topic = topic_of(recording.service)
    if topic not in journal.topics():
        return "gone"
    looked = 0
    for entry in _likeliest(journal, topic, recording, one.captured_at_ns):
        looked += len(entry.frame)
        if looked > LOOKED_MAX:
            return "given-up"
        for found in _read(entry, EXCHANGES, Exchange, at_ns=one.captured_at_ns):
            if found.id == one.id:
                return "erased" if found.no_answer == ERASED else found
    return "gone"


def _likeliest(journal: Journal, topic: str, recording: Recording, at_ns: int) -> Iterator[Entry]:
    """Entries of a recording: of each partition first those that were appended when the exchange was seen or later, then the others.

    What was imported, or waited in a spool, may stand anywhere.
    """
    there = range(journal.partitions(topic))
    parts = [one for one in recording.ranges if one.partition in there]
    starts = [
        min(max(one.start, journal.position_at(topic, one.partition, at_ns - EARLIER_NS)), one.stop) for one in parts
    ]
    for one, start in zip(parts, starts, strict=True):
        yield from journal.read(topic, one.partition, start, one.stop)
    for one, start in zip(parts, starts, strict=True):
        yield from journal.read(topic, one.partition, one.start, start)


def _read(entry: Entry, kind: int, item: type[T], *, at_ns: int | None = None) -> list[T]:
    """The records of a frame of this kind that holds this time; none of one that is damaged."""
    try:
        head = peek(entry.frame)
        if head.kind != kind or (at_ns is not None and not head.first_ns <= at_ns <= head.last_ns):
            return []
        return decode_frame(entry.frame, item)
    except FrameDamaged:  # the journal counts it
        return []
