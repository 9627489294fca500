"""From work to flights: reads the plan a little ahead of the firing and makes each request ready for the wire.

Requests are prepared one at a time between other turns of the loop, so that preparing never makes a shot late. On resume, what
has an observation is left out, unless that says it should be tried again (:class:`Past`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress

import msgspec

from echolane.exchange import Exchange, Given, Response, WorkItem
from echolane.frame import FrameDamaged, decode_frame, peek
from echolane.journal import Journal
from echolane.observation import Shot
from replayer.carrying import Carriers
from replayer.keeping import Keeping
from replayer.wire import SAFE_METHODS

Work = Generator[list[WorkItem], None, None]
"""The work of a run, a frame at a time; whoever reads it closes it."""
RETRIED_SKIPS = frozenset({"interrupted", "target-unavailable"})
"""Not fired because the run ended early: a resumed run fires them."""
RETRIED_NOT_COMPARED = frozenset({"cancelled", "unavailable"})
"""Fired without a result; a resumed run fires them again if they are safe."""


class Seen(msgspec.Struct, array_like=True, gc=False):
    """The beginning of an observation, its shots left undecoded."""

    exchange: str
    seq: int
    attempt: int
    endpoint: str
    method: str
    target: str
    recorded_status: int
    fired_at_ns: int
    shots: msgspec.Raw
    skipped: str = ""
    not_compared: str = ""
    lateness_ns: int = 0
    session_wait_ns: int = 0
    sealed: bytes = b""


class _Giving(msgspec.Struct, array_like=True, gc=False):
    """A work item, its exchange left undecoded."""

    seq: int
    due_ns: int
    endpoint: str
    follows: msgspec.Raw
    exchange: msgspec.Raw
    skip: str = ""
    gives: list[Given] = []


class Past:
    """What earlier attempts of a run have observed: which exchanges are done, and how often the others were tried."""

    def __init__(self) -> None:
        self.done = 0
        self.fired = 0
        self.sealed = False
        """Whether any of them keeps something under its seal."""
        self._done = bytearray()
        self._attempts: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Past {self.done} done, {len(self._attempts)} to be tried again>"

    def take(self, observation: Seen) -> None:
        """One observation, in the order of the journal."""
        seq = observation.seq
        self.sealed = self.sealed or bool(observation.sealed)
        if seq >= len(self._done):
            self._done.extend(bytes(max(1024, seq + 1 - len(self._done))))
        done = not retriable(observation)
        self.done += done - self._done[seq]
        self._done[seq] = done
        if done:
            self._attempts.pop(seq, None)
        else:
            self._attempts[seq] = observation.attempt

    def is_done(self, seq: int) -> bool:
        """Whether an exchange has its result."""
        return seq < len(self._done) and bool(self._done[seq])

    def attempt(self, seq: int) -> int:
        """The number of the next attempt."""
        return self._attempts.get(seq, 0) + 1


def retriable(observation: Seen) -> bool:
    """Whether an exchange with this observation is to be fired again on resume."""
    if observation.skipped:
        return observation.skipped in RETRIED_SKIPS
    return observation.not_compared in RETRIED_NOT_COMPARED and observation.method in SAFE_METHODS


def read_past(journal: Journal, topic: str, partition: int) -> Past:
    """What was observed before, in bounded memory: a byte an exchange."""
    past = Past()
    for entry in journal.read(topic, partition):
        for observation in decode_frame(entry.frame, Seen):
            past.take(observation)
    return past


def learn_again(
    journal: Journal,
    work: str,
    observations: str,
    partition: int,
    learn: Callable[[int, Sequence[Given], Response, int], None],
    recall: Callable[[Seen, list[Shot]], None] | None = None,
) -> None:
    """What the targets gave to whoever fired before: read from the answers that are in the journal, in their order.

    ``recall`` hears of those that keep something under their seal.
    """
    gives: dict[int, tuple[list[Given], int]] = {}
    """And the recorded status. As many as the plan found ties (:data:`replayer.linking.USES_MAX`), at most."""
    for entry in journal.read(work, partition):
        with suppress(FrameDamaged):
            gives.update(
                (item.seq, (item.gives, _status(item.exchange)))
                for item in decode_frame(entry.frame, _Giving)
                if item.gives
            )
    if not gives and recall is None:
        return
    for entry in journal.read(observations, partition):
        for seen in decode_frame(entry.frame, Seen):
            if seen.seq not in gives and not (seen.sealed and recall):
                continue
            shots = msgspec.msgpack.decode(seen.shots, type=list[Shot])
            for index, shot in enumerate(shots if seen.seq in gives else ()):
                answer = shots[shot.same_as].answer if shot.same_as >= 0 else shot.answer
                if answer is not None:
                    learn(index, gives[seen.seq][0], answer, gives[seen.seq][1])
            if seen.sealed and recall:
                recall(seen, shots)


def recalled(carriers: Carriers, keeping: Keeping | None) -> Callable[[Seen, list[Shot]], None] | None:
    """Gives the carriers what observations keep under their seals."""
    if keeping is None:
        return None

    def recall(seen: Seen, shots: list[Shot]) -> None:
        kept = keeping.open(seen.exchange, seen.sealed)
        if kept is not None:
            carriers.recall(kept, shots)

    return recall


def _status(exchange: msgspec.Raw) -> int:
    """The recorded answer's; 0 where none was recorded."""
    response = msgspec.msgpack.decode(exchange, type=Exchange).response
    return response.status if response else 0


def work_items(journal: Journal, topic: str) -> Work:
    """The plan, a frame at a time."""
    for partition in range(journal.partitions(topic)):
        for entry in journal.read(topic, partition):
            try:
                yield decode_frame(entry.frame, WorkItem)
            except FrameDamaged:  # counted by the journal; the ledger shows what is missing
                continue


def count_work(journal: Journal, topic: str) -> int:
    """How many exchanges a plan has, from the heads of its frames."""
    return sum(
        peek(entry.frame).records
        for partition in range(journal.partitions(topic))
        for entry in journal.read(topic, partition)
    )
