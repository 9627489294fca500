"""Appends that share a commit: the first of several waiting threads writes for all of them. Used by both doors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from echolane.errors import EcholaneError, HomeError

INTERRUPTED = "an append was interrupted; whether it was stored is unknown"


class Waiting:
    """One append that waits for the commit it is part of."""

    __slots__ = ("error", "frames", "partition", "positions")

    def __init__(self, partition: int, frames: Sequence[bytes]) -> None:
        self.partition, self.frames = partition, frames
        self.positions: list[int] | None = None
        self.error: EcholaneError | None = None


class Together:
    """The appends of one topic that wait. ``commit`` gives each its positions or its error; what it raises is theirs."""

    def __init__(self) -> None:
        self._queue: list[Waiting] = []
        self._queue_lock = threading.Lock()
        self.commit_lock = threading.Lock()
        """Held while one thread commits."""

    def append(self, partition: int, frames: Sequence[bytes], commit: Callable[[Sequence[Waiting]], None]) -> list[int]:
        """Wait until the frames were committed, by this thread or by another; their positions."""
        mine = Waiting(partition, frames)
        with self._queue_lock:
            self._queue.append(mine)
        with self.commit_lock:
            if mine.positions is None and mine.error is None:
                with self._queue_lock:
                    batch, self._queue = self._queue, []
                _committed(batch, commit)
        if mine.error is not None:
            raise mine.error
        if mine.positions is None:
            raise HomeError(INTERRUPTED)
        return mine.positions


def _committed(batch: Sequence[Waiting], commit: Callable[[Sequence[Waiting]], None]) -> None:
    error: EcholaneError = HomeError(INTERRUPTED)
    try:
        commit(batch)
    except EcholaneError as found:
        error = found
    finally:  # whatever ended it, nobody waits for ever
        for waiting in batch:
            if waiting.positions is None and waiting.error is None:
                waiting.error = error
