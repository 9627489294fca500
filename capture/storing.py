"""From requests and answers to the journal: filter, mask, frame, append, and count what became of each.

The recorder and the importers share this; each counts into a file of its own (:mod:`capture.account`).
"""

from __future__ import annotations

import time
from typing import NamedTuple

from capture.appending import Sink
from capture.filters import Filters, session_point
from echolane import log
from echolane.errors import EcholaneError
from echolane.exchange import Exchange, Request, Response
from echolane.frame import EXCHANGES, FrameTooLarge, frames_of
from echolane.ids import Uuid7Batch
from echolane.ledger import Counters
from echolane.marks import MARK, find_mark
from echolane.masks import Masker

FRAME_BYTES = 1024 * 1024
"""A bucket is appended when it holds about this much, or at the recorder's next tick."""
WAITING_BYTES_MAX = 64 * 1024 * 1024
"""What may wait for a journal that has no room; beyond, exchanges are dropped and counted."""
RETRY_S = 1.0
"""A journal that refused is asked again this often."""
_OVERHEAD = 1500  # Headers, masks and seal of one exchange, about; it bounds memory, nothing else.


class Identity(NamedTuple):
    """Whose exchanges these are: (agent, epoch, seq) is unique, and a gap in seq is a loss."""

    service: str
    agent: str
    epoch: int


class _Bucket:
    """Exchanges of one partition that are not appended yet, oldest first."""

    __slots__ = ("bytes", "exchanges", "pending")

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.bytes = 0
        self.pending: tuple[list[bytes], list[int]] | None = None
        """Frames whose append failed or may have failed, and the ``seq`` of their exchanges."""


class Storing:
    """One process's way into the topic of a service."""

    def __init__(
        self,
        sink: Sink,
        counters: Counters,
        identity: Identity,
        masker: Masker,
        filters: Filters,
        *,
        mark_key: bytes,
    ) -> None:
        self._sink, self._identity, self._counters = sink, identity, counters
        self._masker, self._filters, self._mark_key = masker, filters, mark_key
        self._buckets = [_Bucket() for _ in range(sink.partitions)]
        self._bytes = 0
        self._ids = Uuid7Batch()
        self._retry_at = 0.0
        self._refused = ""
        self.trouble = ""
        """The words of the journal's last refusal, for a person."""
        self.seq = 0
        self.tags: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Storing {self._identity.service}, {self.waiting} waiting, seq {self.seq}{', refused' if self._refused else ''}>"

    @property
    def full(self) -> bool:
        """Whether a frame's worth is waiting."""
        return self._bytes >= FRAME_BYTES

    @property
    def refused(self) -> str:
        """Why the journal took nothing at the last try; empty when it did."""
        return self._refused

    @property
    def waiting(self) -> int:
        """Exchanges that are not in the journal yet."""
        return sum(
            len(bucket.exchanges) + (len(bucket.pending[1]) if bucket.pending else 0) for bucket in self._buckets
        )

    def take(
        self, request: Request, response: Response | None, no_answer: str, times: tuple[int, int], client: str
    ) -> None:
        """One exchange: counted as dropped with a reason, or kept for the next append."""
        if not self._filters.keeps(request.method, request.target):
            return self._drop("filtered")
        if self._is_replayed(request):
            return self._drop("replayed")
        masked = self._masker.request(request, client)
        if not self._filters.samples(masked.session):
            return self._drop("sampled")
        size = _OVERHEAD + len(request.body.data) + (len(response.body.data) if response is not None else 0)
        self.seq += 1
        if self._bytes + size > WAITING_BYTES_MAX:
            return self._drop(self._refused or "journal-busy")
        answer = None if response is None else self._masker.response(response, masked.known)
        exchange = Exchange(
            self._ids.next(times[0]),
            self._identity.service,
            self._identity.agent,
            self._identity.epoch,
            self.seq,
            masked.session,
            times[0],
            times[1],
            masked.request,
            None if answer is None else answer.response,
            [] if answer is None else answer.introduces,
            masked.uses,
            masked.masks + (0 if answer is None else answer.masks),
            masked.seal,
            self._filters.rule,
            self._filters.probability,
            self.tags,
            no_answer,
        )
        partition = session_point(masked.session) % len(self._buckets)
        bucket = self._buckets[partition]
        bucket.exchanges.append(exchange)
        bucket.bytes += size
        self._bytes += size
        if bucket.bytes >= FRAME_BYTES and not self._refused:
            self._flush(partition)
        return None

    def _is_replayed(self, request: Request) -> bool:
        """Whether one of our runs sent it. A mark that does not verify makes nothing of a user's request."""
        if not any(len(name) == len(MARK) and name.lower() == MARK for name, _ in request.headers):
            return False
        if find_mark(self._mark_key, request.headers) is not None:
            return True
        self._counters.add("forged-marks")
        return False

    def _drop(self, reason: str, count: int = 1) -> None:
        self._counters.add(f"dropped{{{reason}}}", count)

    def flush(self, *, last: bool = False) -> None:
        """Append what waits. What the journal refuses goes on waiting; ``last``: it is dropped and counted instead."""
        if not self._refused or last or time.monotonic() >= self._retry_at:
            # An append whose outcome is unknown goes first: the counters have room for one.
            for partition in sorted(range(len(self._buckets)), key=lambda one: self._buckets[one].pending is None):
                bucket = self._buckets[partition]
                if (bucket.exchanges or bucket.pending) and not self._flush(partition):
                    break
        if last:
            for partition, bucket in enumerate(self._buckets):
                count = len(bucket.exchanges) + (
                    0 if self._is_settled(partition) or not bucket.pending else len(bucket.pending[1])
                )
                if count:
                    self._drop(self._refused or "journal-busy", count)
                bucket.exchanges, bucket.pending = [], None

    def _is_settled(self, partition: int) -> bool:
        """Whether what is pending is stored after all, or cannot be known now: then the account is settled by the journal later."""
        try:
            return self._buckets[partition].pending is not None and self._sink.has_stored(partition)
        except EcholaneError:
            return True

    def _flush(self, partition: int) -> bool:
        """Append one bucket; False when the journal refused."""
        bucket = self._buckets[partition]
        try:
            if bucket.pending is not None and not self._sink.has_stored(partition):
                self._sink.append(partition, *bucket.pending)
            bucket.pending = None
            if bucket.exchanges:
                exchanges, bucket.exchanges = bucket.exchanges, []
                bucket.pending = self._frames(partition, exchanges)
                self._sink.append(partition, *bucket.pending)
                bucket.pending = None
        except EcholaneError as error:
            self._retry_at = time.monotonic() + RETRY_S
            self.trouble = str(error)
            if not self._refused:
                log.event("journal.refused", error=str(error))
            self._refused = "journal-full" if type(error).__name__ == "JournalFull" else "journal-unavailable"
            return False
        self._bytes -= bucket.bytes
        bucket.bytes = 0
        self._refused = ""
        return True

    def _frames(self, partition: int, exchanges: list[Exchange]) -> tuple[list[bytes], list[int]]:
        """Frames of a bucket, without those exchanges that no frame can hold."""
        times = [one.captured_at_ns for one in exchanges]
        try:
            made = frames_of(exchanges, kind=EXCHANGES, partition=partition, times=times)
            return [frame for frame, _ in made], [one.seq for one in exchanges]
        except FrameTooLarge:
            pass
        frames: list[bytes] = []
        seqs: list[int] = []
        for one in exchanges:
            try:
                frames += [
                    frame
                    for frame, _ in frames_of([one], kind=EXCHANGES, partition=partition, times=[one.captured_at_ns])
                ]
            except FrameTooLarge:
                self._drop("too-large")
            else:
                seqs.append(one.seq)
        return frames, seqs
