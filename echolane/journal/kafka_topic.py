"""One topic of a cluster as a process knows it, and the producer that appends to it. Used by :mod:`echolane.journal.kafka`.

Threads that append at the same time share a flush; the producer sends nothing before it. So what one append holds for a partition travels
in one batch, as long as it is no more than a record may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from echolane.journal.kafka_clients import Clients, Need
from echolane.journal.together import Together, Waiting

WRITE = Need("Write")
ASK_S = 1.0
"""An append that takes longer than this asks whether the topic is still there."""


class Topic:
    """One topic as this process knows it, and its producer."""

    def __init__(
        self, names: tuple[str, str], partitions: int, identity: str, clients: Clients, ask: Callable[[Topic], None]
    ) -> None:
        self.name, self.full = names
        self.partitions, self.identity = partitions, identity
        self._clients, self._ask, self._together = clients, ask, Together()
        self._producer: Any = None

    @property
    def idle(self) -> bool:
        """Whether it has no producer."""
        return self._producer is None

    def append(self, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append; threads that wait at the same time share a batch."""
        return self._together.append(partition, frames, self._commit)

    def _commit(self, batch: Sequence[Waiting]) -> None:
        """Hand everything over, then send it: the producer sends nothing before it is flushed."""
        clients, wait_s = self._clients, self._clients.address.wait_s
        try:
            with clients.translated(self.name, WRITE):
                if self._producer is None:
                    self._producer = clients.producer()
                sent = [
                    (
                        waiting,
                        [
                            self._producer.send(self.full, frame, partition=waiting.partition)
                            for frame in waiting.frames
                        ],
                    )
                    for waiting in batch
                ]
                self._flush(self._producer, time.monotonic() + wait_s + 1)
        except BaseException:
            self._discard()
            raise
        for waiting, futures in sent:
            failed = next((future.exception for future in futures if not future.succeeded()), None)
            if failed is None:
                waiting.positions = [future.value.offset for future in futures]
            else:
                waiting.error = clients.refusal(failed, self.name, WRITE)
        if any(waiting.error for waiting in batch):
            self._discard()

    def _flush(self, producer: Any, deadline: float) -> None:
        """Wait until all is acknowledged or refused. A topic that is gone is asked for meanwhile: the client would wait for it."""
        while True:
            try:
                producer.flush(timeout=min(ASK_S, max(0.0, deadline - time.monotonic())))
            except self._clients.errors.KafkaTimeoutError:
                if time.monotonic() >= deadline:
                    raise
                self._ask(self)
            else:
                return

    def _discard(self) -> None:
        """Begin anew after trouble."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._clients.abandon(producer)

    def close(self) -> None:
        """Let go of the producer; appends under way end first."""
        with self._together.commit_lock:
            self._discard()
