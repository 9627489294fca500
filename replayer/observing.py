"""From a landed flight to an observation in the journal, beside the firing and never before it.

Answers that came as the same bytes are recognised before anything of them is parsed. The first of them is decoded
(:mod:`echolane.bodies`) and masked, and only then leaves this process's memory. Batches (1 MiB or 50 ms) are encoded and appended
in the journal's thread; when the journal is slower than the targets, ``full`` holds the next shots back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from msgspec.structs import replace as with_fields

from echolane.bodies import keep
from echolane.errors import Fenced
from echolane.exchange import OBSERVED_BODY_KEPT, Body, Response, WorkItem
from echolane.frame import OBSERVATIONS, frames_of
from echolane.journal import Journal
from echolane.observation import ANSWERED, FAILED, IN_DOUBT, SPARED, Observation, Shot
from replayer.answer import Answer, headers_of, pairs_of
from replayer.flight import PLACES, Flight
from replayer.keeping import Gave, Keeping

BATCH_BYTES = 1024 * 1024
BATCH_ITEMS = 2_000
BATCH_S = 0.05
SLICE = 4
"""Flights summed up between two turns of the loop, one where instants count: a shot that is due waits 0.1 ms for it at most."""
WAITING_MAX = 256
"""Flights that wait to be summed up; beyond, no more are fired for now."""
WAITING_UNPACED_MAX = 32
"""The same where no instant is kept: what waits is then still in the processor's cache, and a shot that is held back is not late."""
BACKLOG_MAX = 4
"""Batches on their way to the disk; with those waiting this bounds memory to some MiB, however slow the disk is."""

Mask = Callable[[Response, Sequence[bytes]], Response]
"""An answer as it may be stored; the second argument are secrets that its request held."""


def observations_topic(run: str) -> str:
    """The topic of a run's observations."""
    return f"observations.{run}"


class Outlet(NamedTuple):
    """Where observations go, who has a say in it, and who is told of those that are durable."""

    partition: int = 0
    may_write: Callable[[], bool] | None = None
    durable: Callable[[Sequence[Observation]], None] | None = None
    keeping: Keeping | None = None
    """Seals what answers gave."""


class Observer:
    """Writes observations. ``full`` says that no more shots should be fired for now; ``emptied`` is called when that ends."""

    def __init__(
        self,
        journal: Journal,
        topic: str,
        mask: Mask | None,
        thread: Executor,
        *,
        paced: bool,
        emptied: Callable[[], None],
        outlet: Outlet | None = None,
    ) -> None:
        self.full = False
        self.error: BaseException | None = None
        """Why nothing can be written any more."""
        self.written = 0
        self._journal = journal
        self._topic = topic
        self._mask = mask
        self._thread = thread
        self._paced = paced
        self._waiting_max = WAITING_MAX if paced else WAITING_UNPACED_MAX
        self._emptied = emptied
        self._outlet = outlet or Outlet()
        self._loop = asyncio.get_running_loop()
        self._landed: deque[Flight] = deque()
        self._slicing = False
        self._batch: list[Observation] = []
        self._batch_bytes = 0
        self._backlog = 0
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._appended_one = asyncio.Event()

    def __repr__(self) -> str:
        return (
            f"<Observer {len(self._landed)} landed, {len(self._batch)} batched, {self._backlog} batches on their way>"
        )

    def take(self, flight: Flight) -> None:
        """A flight has landed; its observation is made when the loop has time."""
        self._landed.append(flight)
        if len(self._landed) >= self._waiting_max:
            self.full = True
        if not self._slicing:
            self._slicing = True
            self._loop.call_soon(self._slice)

    def add(self, observation: Observation, size: int = 0) -> None:
        """Put an observation into the batch."""
        self._batch.append(observation)
        self._batch_bytes += size + 400
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_ITEMS:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_S, self._flush)

    async def wait_written(self) -> None:
        """Wait until all that was taken is durable; raises what kept it from being."""
        while self._landed:
            self._slice()
        self._flush()
        await self._idle.wait()
        if self.error is not None:
            raise self.error

    async def wait_room(self) -> None:
        """Wait while too many batches are on their way."""
        while self._backlog >= BACKLOG_MAX and self.error is None:
            self._appended_one.clear()
            await self._appended_one.wait()

    def _slice(self) -> None:
        for _ in range(min(1 if self._paced else SLICE, len(self._landed))):
            flight = self._landed.popleft()
            observation = observe(flight, self._mask, paced=self._paced, keeping=self._outlet.keeping)
            flight.release()
            size = 0
            for shot in observation.shots:
                if shot.answer is not None:
                    size += len(shot.answer.body.data)
            self.add(observation, size)
        self._slicing = bool(self._landed)
        if self._slicing:
            self._loop.call_soon(self._slice)
        self._look()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._batch:
            return
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        self._backlog += 1
        self._idle.clear()
        self._look()
        future = self._loop.run_in_executor(self._thread, self._append, batch)
        future.add_done_callback(lambda done: self._appended(done, batch))

    def _append(self, batch: Sequence[Observation]) -> None:
        times, partition = [observation.fired_at_ns for observation in batch], self._outlet.partition
        frames = [frame for frame, _ in frames_of(batch, kind=OBSERVATIONS, partition=partition, times=times)]
        may_write = self._outlet.may_write
        if may_write is not None and not may_write():
            raise Fenced(
                f"partition {partition} of `{self._topic}` is another worker's now; nothing more is written there"
            )
        self._journal.append(self._topic, partition, frames)

    def _appended(self, future: asyncio.Future[None], batch: Sequence[Observation]) -> None:
        self._backlog -= 1
        self._appended_one.set()
        if future.cancelled():
            self.error = self.error or asyncio.CancelledError()
        elif future.exception() is not None:
            self.error = self.error or future.exception()
        else:
            self.written += len(batch)
            if self._outlet.durable is not None:
                self._outlet.durable(batch)
        if not self._backlog:
            self._idle.set()
        self._look()

    def _look(self) -> None:
        full = len(self._landed) >= self._waiting_max or self._backlog >= BACKLOG_MAX
        was, self.full = self.full, full
        if (was and not full) or self.error is not None:
            self._emptied()


def observe(flight: Flight, mask: Mask | None, *, paced: bool, keeping: Keeping | None = None) -> Observation:
    """Sum a flight up. Pure but for ``mask`` and the seal."""
    shots: list[Shot] = []
    answers: list[Answer | None] = []
    fired_at_ns, ahead_ns = 0, flight.wall_ahead_ns
    gave: dict[int, Gave] = {}
    for index in range(PLACES):
        live = flight.shots[index]
        if live is None:
            spared = flight.spared[index]
            shots.append(Shot(IN_DOUBT) if spared == IN_DOUBT else Shot(SPARED, spared))
            answers.append(None)
            continue
        sent_at_ns = took_ns = 0
        if sent_ns := live.sent_ns:
            sent_at_ns, took_ns = sent_ns + ahead_ns, live.done_ns - sent_ns
            if not fired_at_ns or sent_at_ns < fired_at_ns:
                fired_at_ns = sent_at_ns
        answer = live.answer
        same_as, response = -1, None
        if answer is not None:
            same_as = 0 if answers and answer is answers[0] else _same_as(answer, answers)
            if same_as < 0 and not flight.not_compared:
                response = response_of(answer)
                if live.echoes:
                    response = with_recorded(response, live.echoes)
                if mask is not None:
                    plain, response = response, mask(response, flight.prepared.secrets)
                    if live.gave is not None and (response is not plain or live.gave.cookies):
                        gave[index] = live.gave
        outcome = FAILED if live.failure else ANSWERED
        shots.append(Shot(outcome, live.failure, response, same_as, sent_at_ns, took_ns, live.attempts, [*live.notes]))
        answers.append(answer)
    lateness_ns = session_wait_ns = 0
    if paced and flight.launched_ns:
        lateness_ns = max(0, flight.launched_ns - max(flight.due_ns, flight.free_ns))
        session_wait_ns = max(0, flight.free_ns - flight.due_ns)
    return _of_item(
        flight.item,
        flight.attempt,
        fired_at_ns=fired_at_ns,
        shots=shots,
        not_compared=flight.not_compared,
        lateness_ns=lateness_ns,
        session_wait_ns=session_wait_ns,
        sealed=keeping.seal(flight.item.exchange.id, flight.item.exchange.session, gave) if keeping and gave else b"",
        authority=flight.prepared.authority,
    )


def skipped(item: WorkItem, reason: str, attempt: int = 1) -> Observation:
    """The observation of an exchange that is not fired."""
    return _of_item(item, attempt, skipped=reason)


def in_doubt(item: WorkItem, indexes: Sequence[int], attempt: int) -> Observation:
    """The observation of an unsafe exchange that may have been fired before a crash: it is never fired again."""
    shots = [Shot(IN_DOUBT) if index in indexes else Shot(SPARED, "unsafe") for index in range(PLACES)]
    return _of_item(item, attempt, shots=shots, not_compared="in-doubt")


def response_of(answer: Answer) -> Response:
    """A wire answer as a response: headers parsed, body decoded and cut."""
    version, reason, headers = headers_of(answer.head)
    encoding = ""
    for name, value in headers:
        if len(name) == 16 and name.lower() == b"content-encoding":
            encoding = f"{encoding}, {value.decode('latin-1')}" if encoding else value.decode("latin-1")
    if answer.size > len(answer.body):
        body = Body(
            answer.body,
            answer.size,
            "",
            answer.digest,
            truncated=True,
            undecoded="cut" if encoding else "",
            chunked=answer.chunked,
        )
    else:
        body = keep(answer.body, OBSERVED_BODY_KEPT, encoding=encoding.lower(), chunked=answer.chunked)
    trailers = pairs_of(answer.trailers) if answer.trailers else []
    return Response(answer.status, version, headers, body, trailers, reason, answer.incomplete)


def with_recorded(response: Response, echoes: Sequence[tuple[bytes, bytes]]) -> Response:
    """The answer with the recorded values where it repeats what we made up in their place."""
    data, headers = response.body.data, response.headers
    for ours, recorded in echoes:
        data = data.replace(ours, recorded)
        headers = [(name, value.replace(ours, recorded)) for name, value in headers]
    body = response.body if data == response.body.data else with_fields(response.body, data=data)
    return with_fields(response, headers=headers, body=body)


def _same_as(answer: Answer, answers: Sequence[Answer | None]) -> int:
    for index, other in enumerate(answers):
        if other is answer or (other is not None and answer.same(other)):
            return index
    return -1


def _of_item(  # noqa: PLR0913 - the fields of one record
    item: WorkItem,
    attempt: int,
    *,
    fired_at_ns: int = 0,
    shots: list[Shot] | None = None,
    skipped: str = "",
    not_compared: str = "",
    lateness_ns: int = 0,
    session_wait_ns: int = 0,
    sealed: bytes = b"",
    authority: str = "",
) -> Observation:
    exchange = item.exchange
    return Observation(
        exchange.id,
        item.seq,
        attempt,
        item.endpoint,
        exchange.request.method,
        exchange.request.target,
        exchange.response.status if exchange.response else 0,
        fired_at_ns,
        shots or [],
        skipped,
        not_compared,
        lateness_ns,
        session_wait_ns,
        sealed,
        authority,
    )
