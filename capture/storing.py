"""From raw exchanges to the journal: parse, filter, mask, frame, append, and count what became of each."""

from __future__ import annotations

import time
from typing import NamedTuple

from capture.filters import Filters, session_point
from echolane import log
from echolane.errors import EcholaneError, JournalFull
from echolane.exchange import Exchange, Request, Response
from echolane.frame import EXCHANGES, frames_of
from echolane.ids import Uuid7Batch
from echolane.journal import Journal
from echolane.ledger import Counters
from echolane.marks import find_mark
from echolane.masks import Masker
from echolane.recordings import topic_of

RETRY_S = 1.0
"""A full disk is asked again this often."""
WAITING_BYTES_MAX = 64 * 1024 * 1024
"""What may wait for a journal that has no room; beyond, the newest is dropped and counted."""


class Identity(NamedTuple):
    """Whose exchanges these are: (agent, epoch, seq) is unique, and a gap in seq is a loss."""

    service: str
    agent: str
    epoch: int


class Storing:
    """One recorder's (or import's) way into the journal."""

    def __init__(
        self,
        journal: Journal,
        counters: Counters,
        identity: Identity,
        masker: Masker,
        filters: Filters,
        *,
        mark_key: bytes,
        partitions: int,
    ) -> None:
        self._journal, self._counters, self._identity = journal, counters, identity
        self._masker, self._filters, self._mark_key = masker, filters, mark_key
        self._topic = topic_of(identity.service)
        journal.create(self._topic, partitions)
        self._partitions = partitions
        self._buckets: list[list[Exchange]] = [[] for _ in range(partitions)]
        self._bytes = 0
        self._ids = Uuid7Batch()
        self._retry_at = 0.0
        self.seq = 0
        self.tags: dict[str, str] = {}

    @property
    def waiting(self) -> int:
        """Exchanges that are not in the journal yet."""
        return sum(map(len, self._buckets))

    def take(
        self, request: Request, response: Response | None, no_answer: str, times: tuple[int, int], client: str
    ) -> None:
        """One exchange: counted as dropped with a reason, or kept for the next append."""
        # Our own traffic is never recorded as users': a valid mark says that a run sent it.
        reason = "replayed" if find_mark(self._mark_key, request.headers) is not None else ""
        masked = self._masker.request(request, client)
        reason = reason or self._filters.refuses(request, masked.session)
        if not reason and self._bytes > WAITING_BYTES_MAX:
            reason = "journal-full"
        if reason:
            self._counters.add(f"dropped{{{reason}}}")
            return
        answer = self._masker.response(response, masked.known) if response is not None else None
        self.seq += 1
        exchange = Exchange(
            id=self._ids.next(times[0]),
            service=self._identity.service,
            agent=self._identity.agent,
            epoch=self._identity.epoch,
            seq=self.seq,
            session=masked.session,
            captured_at_ns=times[0],
            duration_ns=times[1],
            request=masked.request,
            response=answer.response if answer else None,
            introduces=answer.introduces if answer else [],
            uses=masked.uses,
            masks=masked.masks + (answer.masks if answer else 0),
            seal=masked.seal,
            sampling_rule="session" if self._filters.probability < 1.0 else "",
            sampling_probability=self._filters.probability,
            tags=self.tags,
            no_answer=no_answer,
        )
        self._buckets[session_point(masked.session) % self._partitions].append(exchange)
        self._bytes += 1000 + len(request.body.data) + (len(response.body.data) if response is not None else 0)

    @property
    def full(self) -> bool:
        """Whether a frame's worth is waiting."""
        return self._bytes >= 1024 * 1024

    def flush(self, *, last: bool = False) -> None:
        """Append what waits. A journal without room keeps it waiting; ``last``: it is dropped and counted instead."""
        if self.waiting and (last or time.monotonic() >= self._retry_at):
            try:
                for partition, bucket in enumerate(self._buckets):
                    if bucket:
                        self._append(partition, bucket)
            except EcholaneError as error:
                self._retry_at = time.monotonic() + RETRY_S
                log.event("journal.refused", error=str(error), waiting=self.waiting)
                if last:
                    reason = "journal-full" if isinstance(error, JournalFull) else "journal-unavailable"
                    self._counters.add(f"dropped{{{reason}}}", self.waiting)
                    self._buckets = [[] for _ in self._buckets]
            self._bytes = 0 if not self.waiting else self._bytes

    def _append(self, partition: int, bucket: list[Exchange]) -> None:
        """One bucket; its frames are durable before they are counted, one append at a time so that the count is exact."""
        times = [exchange.captured_at_ns for exchange in bucket]
        frames = [frame for frame, _ in frames_of(bucket, kind=EXCHANGES, partition=partition, times=times)]
        begin = self._journal.append(self._topic, partition, frames)
        self._counters.add("stored", len(bucket))
        # The position up to which `stored` counts: a recorder that died between the two lines above is counted right at the next start.
        self._counters.set(f"position{{{partition}}}", begin[-1] + 1)
        bucket.clear()
