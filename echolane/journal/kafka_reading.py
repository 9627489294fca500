"""Reading one partition of a Kafka topic, and what of it was set aside. Used by :mod:`echolane.journal.kafka`.

A reader has a consumer of its own that is in no group: however slow the work between two entries is, nobody is disturbed. What is no
sound frame, or a batch that Kafka's own checksum refuses, is stepped over position by position.
"""

from __future__ import annotations

import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from echolane import log
from echolane.errors import EcholaneError, HomeError, JournalDown
from echolane.frame import FrameDamaged, check_frame
from echolane.journal import Entry
from echolane.journal.kafka_clients import RETRY_S, Clients, Need

POLL_MS = 250
RECORDS = 500
"""Records taken over at a time; they are small or few."""
ASK_S = 2.0
"""A reader that hears nothing asks after this whether the topic is still there."""
SILENT_S = 3.0
"""A reader that knows of entries and gets none begins again after this with a client that has no past: after a broker's death and return
one may ask for nothing any more, for ever (kafka-python 3.0.12)."""
MS_NS = 1_000_000
RANGES_CHARS = 3500
"""Room for ranges in a commit's metadata, of which Kafka keeps 4096 bytes; older ranges are then kept as a sum."""
_RANGES = re.compile(r"(?:(\d+)<(\d+);)?((?:\d+-\d+,?)*)")


class _Silent(Exception):  # noqa: N818 - what the client is
    """A client gives nothing where there is something."""


class Reading:
    """One pass over a partition from ``at`` to ``stop``."""

    def __init__(self, clients: Clients, place: Any, at: int, stop: int, topic: str) -> None:
        self._clients, self._place, self._at, self._stop, self._topic = clients, place, at, stop, topic
        self._lost: tuple[int, int, str] | None = None
        self._why = ""
        """Why what stands at ``at`` cannot be opened."""
        self._tried = False
        self._silent_since = 0.0
        """Since when nothing came; 0 when something did."""
        errors = clients.errors
        self._damage = (
            errors.CorruptRecordError,
            errors.UnsupportedCodecError,
            struct.error,
            ValueError,
            AssertionError,
        )

    def entries(self, set_aside: Callable[[int, int, str], None], ask: Callable[[], None]) -> Iterator[Entry]:
        """The sound entries, in order; the others are told to ``set_aside``. ``ask`` raises when the topic is gone."""
        try:
            while self._at < self._stop:
                try:
                    with (
                        self._clients.consumer(fresh=self._tried) as consumer,
                        self._clients.translated(self._topic, Need("Read")),
                    ):
                        consumer.assign([self._place])
                        consumer.seek(self._place, self._at)
                        yield from self._through(consumer, set_aside, ask)
                        return
                except _Silent:
                    self._tried = True
                    log.event("journal.reader-renewed", topic=self._topic, position=self._at)
                except JournalDown:
                    # A fresh client finds no broker at once; the reading may wait for one.
                    if not self._tried or not self._has_patience():
                        raise
                    time.sleep(RETRY_S[1])
        finally:
            self._report(set_aside)

    def _through(
        self, consumer: Any, set_aside: Callable[[int, int, str], None], ask: Callable[[], None]
    ) -> Iterator[Entry]:
        """What one consumer gives."""
        while self._at < self._stop:
            for record in self._records(consumer, ask):
                if record.offset >= self._stop:
                    return
                self._at = record.offset + 1
                data = record.value or b""
                try:
                    check_frame(data)
                except FrameDamaged as error:
                    self._lose(record.offset, str(error), set_aside)
                else:
                    self._report(set_aside)
                    yield Entry(record.offset, record.timestamp * MS_NS, data)
            self._step_over(consumer, set_aside)

    def _records(self, consumer: Any, ask: Callable[[], None]) -> list[Any]:
        """The next records; none where what stands there cannot be opened."""
        started = asked = time.monotonic()
        self._silent_since = self._silent_since or started
        while True:
            try:
                records = consumer.poll(timeout_ms=POLL_MS, max_records=RECORDS).get(self._place)
            except self._damage as error:
                self._why, self._silent_since = str(error), 0.0
                return []
            if records:
                self._silent_since = 0.0
                return records
            if consumer.position(self._place) >= self._stop:  # nothing but gaps were left
                self._at = self._stop
                return []
            now = time.monotonic()
            if now - asked > ASK_S:
                asked = now
                ask()
            if not self._has_patience():
                raise HomeError(
                    f"topic `{self._topic}` on {self._clients.address.shown} gave nothing behind position {self._at} in "
                    f"{self._clients.address.wait_s:g} s; is the broker that leads it running?"
                )
            if now - started > SILENT_S:
                raise _Silent

    def _has_patience(self) -> bool:
        """Whether it may be waited on."""
        silent_s = time.monotonic() - self._silent_since if self._silent_since else 0.0
        return silent_s <= self._clients.address.wait_s

    def _step_over(self, consumer: Any, set_aside: Callable[[int, int, str], None]) -> None:
        """Go on behind what cannot be opened."""
        if self._why:
            self._lose(self._at, self._why, set_aside)
            self._at, self._why = self._at + 1, ""
            consumer.seek(self._place, self._at)

    def _lose(self, position: int, why: str, set_aside: Callable[[int, int, str], None]) -> None:
        if self._lost is not None and self._lost[1] == position and self._lost[2] == why:
            self._lost = (self._lost[0], position + 1, why)
        else:
            self._report(set_aside)
            self._lost = (position, position + 1, why)

    def _report(self, set_aside: Callable[[int, int, str], None]) -> None:
        if self._lost is not None:
            set_aside(*self._lost)
        self._lost = None


class Ranges:
    """Positions that were set aside in one partition: ranges, and of old ones only how many lie below a position."""

    def __init__(self, text: str = "") -> None:
        found = _RANGES.fullmatch(text)
        self._folded, self._below = (int(found[1] or 0), int(found[2] or 0)) if found else (0, 0)
        pairs = [one.split("-") for one in (found[3] if found else "").split(",") if one]
        self.listed = [(int(first), int(stop)) for first, stop in pairs]

    def text(self) -> str:
        """As it is kept; older ranges become a sum where there is no room for all."""
        while True:
            text = ",".join(f"{first}-{stop}" for first, stop in self.listed)
            if len(text) <= RANGES_CHARS:
                return (f"{self._folded}<{self._below};" if self._below else "") + text
            first, self._below = self.listed.pop(0)
            self._folded += self._below - first

    @property
    def count(self) -> int:
        """How many positions."""
        return self._folded + sum(stop - first for first, stop in self.listed)

    def add(self, first: int, stop: int) -> bool:
        """Take in a range; whether that changed anything. What lies below the folded ones is taken for known."""
        first, before = max(first, self._below), self.count
        if first < stop:
            merged: list[tuple[int, int]] = []
            for low, high in sorted([*self.listed, (first, stop)]):
                if merged and low <= merged[-1][1]:
                    merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
                else:
                    merged.append((low, high))
            self.listed = merged
        return self.count != before


class Damage:
    """What was set aside, kept as the metadata of commits of a group of its own, so that it is counted once and for all readers."""

    def __init__(self, load: Callable[[str, int], str], save: Callable[[str, int, str], None]) -> None:
        self._load, self._save = load, save
        self._unsaved: dict[tuple[str, int], Ranges] = {}
        self._guard = threading.Lock()

    def set_aside(self, topic: str, partition: int, first: int, stop: int, why: str) -> None:
        """Count a range, once however often it is met. Never fails: a reader goes on."""
        log.event("journal.set-aside", topic=topic, partition=partition, first=first, stop=stop, why=why[:200])
        with self._guard:
            try:
                known = Ranges(self._load(topic, partition))
                if known.add(first, stop):
                    self._save(topic, partition, known.text())
            except EcholaneError:  # counted by this process alone until it can be written
                self._unsaved.setdefault((topic, partition), Ranges()).add(first, stop)

    def count(self, topic: str, partitions: int) -> int:
        """How many positions of a topic were set aside."""
        return sum(ranges.count for ranges in self.ranges(topic, partitions))

    def ranges(self, topic: str, partitions: int) -> list[Ranges]:
        """What was set aside in each of its partitions."""
        with self._guard:
            found = [Ranges(self._load(topic, partition)) for partition in range(partitions)]
            for (name, partition), ranges in self._unsaved.items():
                if name == topic and partition < partitions:
                    for first, stop in ranges.listed:
                        found[partition].add(first, stop)
        return found
