"""The durable word before an unsafe request: whoever's intent stands first in the journal may fire, and nobody else ever.

``ask`` gathers what is asked while an append is on its way and writes it as one: intent, read back to its position, then the
answer. An intent of another worker (also of this run before a crash) for the same exchange means that it may have been fired:
it is reported ``in_doubt`` and not fired again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from typing import Any

from echolane.frame import INTENTS, FrameDamaged, decode_frame, encode_frame
from echolane.journal import Journal
from echolane.observation import Intent

Granted = Callable[[bool], None]


def intents_topic(run: str) -> str:
    """The topic of a run's intents."""
    return f"intents.{run}"


class Intents:
    """The intents of one run, as one worker writes and reads them."""

    def __init__(
        self,
        journal: Journal,
        topic: str,
        worker: str,
        thread: Executor,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        partition: int = 0,
    ) -> None:
        self._journal = journal
        self._topic = topic
        self._worker = worker
        self._thread = thread
        self._spawn = spawn
        self._partition = partition
        self._asked: list[tuple[str, Sequence[int], int, Granted]] = []
        self._writing = False
        self._read_to = 0
        self._others: dict[str, set[int]] = {}

    def __repr__(self) -> str:
        return f"<Intents {len(self._asked)} asked, {len(self._others)} of others>"

    async def load(self) -> None:
        """Read what stands there already."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.read_on)

    def of_others(self, exchange: str) -> set[int]:
        """The targets for which another worker said it would fire this exchange."""
        return self._others.get(exchange, set())

    def ask(self, exchange: str, indexes: Sequence[int], attempt: int, granted: Granted) -> None:
        """Say that this exchange is to be fired at these targets; ``granted`` hears whether it may."""
        self._asked.append((exchange, indexes, attempt, granted))
        if not self._writing:
            self._writing = True
            self._spawn(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                intents = [Intent(one[0], index, self._worker, one[2]) for one in asked for index in one[1]]
                await loop.run_in_executor(self._thread, self.append, intents)
                for exchange, indexes, _, granted in asked:
                    granted(self.of_others(exchange).isdisjoint(indexes))
        finally:
            self._writing = False

    def append(self, intents: Sequence[Intent]) -> None:
        """Write intents durably and read back to their position (in the journal's thread)."""
        frame = encode_frame(intents, kind=INTENTS, partition=self._partition, first_ns=0, last_ns=0)
        (position,) = self._journal.append(self._topic, self._partition, [frame])
        self.read_on(position + 1)

    def read_on(self, stop: int | None = None) -> None:
        """Take in what others have written up to a position (in the journal's thread)."""
        for entry in self._journal.read(self._topic, self._partition, self._read_to, stop):
            self._read_to = entry.position + 1
            try:
                intents = decode_frame(entry.frame, Intent)
            except FrameDamaged:  # counted by the journal; an unknown version is no intent we could honour
                continue
            for intent in intents:
                if intent.worker != self._worker:
                    self._others.setdefault(intent.exchange, set()).add(intent.target)
