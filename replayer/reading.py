"""Reads the frames of a recording, and takes note of those that it cannot (:mod:`echolane.lost`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TypeVar

import msgspec

from echolane.exchange import Exchange
from echolane.frame import EXCHANGES, FrameDamaged, decode_frame, peek
from echolane.journal import Entry, Journal
from echolane.lost import DAMAGED, EXPIRED, Losses
from echolane.recorded_hosts import RecordedHosts
from echolane.recordings import Recording, topic_of
from echolane.templating import Templates

T = TypeVar("T")


class _Line(msgspec.Struct, array_like=True, gc=False):
    """The request line of a recorded request; what follows it is not decoded."""

    method: str
    scheme: str
    authority: str
    target: str


class _Glance(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a recorded exchange: all that the first pass needs."""

    id: str
    service: str
    agent: str
    epoch: int
    seq: int
    session: str
    captured_at_ns: int
    duration_ns: int
    request: _Line


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a frame of exchanges is, and the earliest instant in it."""

    first_ns: int
    partition: int
    position: int


class Reader:
    """Reads the frames of a recording, and takes note of those that it cannot.

    ``kept``: whether the recording was made to last. Of another, what retention took before the plan began was never part.
    """

    def __init__(self, journal: Journal, recording: Recording, *, kept: bool) -> None:
        self._journal, self._recording, self._topic = journal, recording, topic_of(recording.service)
        self._kept = kept
        self.losses = Losses()

    def look_through(self, templates: Templates, hosts: RecordedHosts) -> list[Frame]:
        """The first pass: frames by their earliest exchange; the endpoints of all are learned, and the hosts that they were asked of."""
        frames: list[Frame] = []
        for partition, position, glances in self._all(_Glance):
            templates.learn([glance.request.target for glance in glances])
            for glance in glances:
                hosts.see(glance.request.authority, glance.captured_at_ns)
            frames.append(Frame(min(g.captured_at_ns for g in glances), partition, position))
        return sorted(frames, key=attrgetter("first_ns", "partition", "position"))

    def exchanges(self) -> Iterator[Exchange]:
        """All that belong to the recording, frame by frame as they are kept."""
        for _, _, found in self._all(Exchange):
            yield from self._chosen(found)

    def exchanges_of(self, frame: Frame) -> list[Exchange]:
        """Those of one frame that belong to the recording."""
        found: list[Exchange] = []
        for entry in self._read(frame.partition, frame.position, frame.position + 1):
            found += self._opened(frame.partition, entry, Exchange)
        if not found:  # it held some in the first pass
            self._note_gone(frame.partition, [(frame.position, frame.position + 1)])
        return self._chosen(found)

    def _all(self, kind: type[T]) -> Iterator[tuple[int, int, list[T]]]:
        """Partition, position and what is in it of each frame that can be read; of those that cannot note is taken."""
        for part in self._recording.ranges:
            floor = part.start if self._kept else max(part.start, self._journal.begin(self._topic, part.partition))
            gaps: list[tuple[int, int]] = []
            at = floor
            for entry in self._read(part.partition, floor, part.stop):
                gaps += [(at, entry.position)] if at < entry.position else []
                at = entry.position + 1
                if found := self._opened(part.partition, entry, kind):
                    yield part.partition, entry.position, found
            self._note_gone(part.partition, [*gaps, (at, part.stop)])

    def _chosen(self, found: list[Exchange]) -> list[Exchange]:
        wanted = self._recording.tags.items()
        return [one for one in found if wanted <= one.tags.items()] if wanted else found

    def _read(self, partition: int, start: int, stop: int) -> Iterator[Entry]:
        return self._journal.read(self._topic, partition, start, stop, self.losses.teller(partition))

    def _opened(self, partition: int, entry: Entry, kind: type[T]) -> list[T]:
        try:
            return decode_frame(entry.frame, kind) if peek(entry.frame).kind == EXCHANGES else []
        except FrameDamaged as error:
            self.losses.teller(partition)(entry.position, entry.position + 1, str(error))
            return []

    def _note_gone(self, partition: int, gaps: Iterable[tuple[int, int]]) -> None:
        """Of what was not given: what retention took, and what is behind the end. The rest was told, or never was (Kafka's gaps)."""
        begin = self._journal.begin(self._topic, partition)
        end = self._journal.end(self._topic, partition)
        for first, stop in gaps:
            self.losses.add(partition, first, min(stop, begin), EXPIRED)
            self.losses.add(partition, max(first, end), stop, DAMAGED)
