"""Runs that workers share, as the server hears of them: which pause, and what is said to their workers."""

from __future__ import annotations

import threading
import time

from echolane import ids
from echolane.journal import Journal
from echolane.runlog import RUNS, RunLog

HEARD_S = 1.0
"""The topic is read once a second at most: live pages lag by two."""


class SharedRuns:
    """The words of shared runs. Any thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._words = journal, RunLog(journal, ids.uuid7(time.time_ns()))
        self._guard = threading.Lock()
        self._heard_at = 0.0

    def __repr__(self) -> str:
        return f"<SharedRuns {self._words!r}>"

    def is_paused(self, run: str) -> bool:
        """Whether a run stands still."""
        with self._guard:
            self._hear()
            shared = self._words.find(run)
            return shared is not None and bool(shared.paused_ns)

    def say(self, run: str, word: str, body: bytes = b"") -> bool:
        """Say a word to the workers of a run; False where none is at it."""
        with self._guard:
            self._heard_at = 0.0
            self._hear()
            shared = self._words.find(run)
            if shared is None or shared.ended:
                return False
            self._words.say(run, word, body)
            return True

    def _hear(self) -> None:
        if time.monotonic() - self._heard_at > HEARD_S and RUNS in self._journal.topics():
            self._words.hear()
            self._heard_at = time.monotonic()
