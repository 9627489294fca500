"""Whether a part of `echolane up` stands still: it gives signs of life (:mod:`echolane.vital`), here the silence between them is measured.

Silence counts while this process is awake itself: a laptop that was asleep, a container that was paused or a supervisor that was stopped
says nothing of its parts, which get their whole time anew from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from echolane.vital import LONG, LONG_TIMES

LOOK_S = 0.5
AWAKE_MAX_S = 2 * LOOK_S
"""What passes between two looks counts as this at most: who looks later was not awake for the rest."""
TOLD_SHARE = 0.5
"""Of the bound: then it is said that the part stands still, and it may still go on."""
READ_BYTES = 4096


async def wait_awake(waiting: Iterable[asyncio.Future[Any]], seconds: float) -> None:
    """Wait until one of these is done, at most so many seconds of ours: who slept has not heard yet what came meanwhile."""
    passed, looked = 0.0, time.monotonic()
    while passed < seconds:
        step = min(LOOK_S, seconds - passed)
        done, _ = await asyncio.wait(waiting, timeout=step, return_when=asyncio.FIRST_COMPLETED)
        if done:
            return
        now = time.monotonic()
        passed, looked = passed + min(now - looked, AWAKE_MAX_S), now


class Silence:
    """How long a part has given no sign, in seconds of ours. Until its first sign it may be at something long: it waits for its store."""

    def __init__(self, still_s: float) -> None:
        self._still_s = still_s
        self._long = True
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<Silence of {self.seconds:.1f} s, at most {self.bound_s:g}>"

    @property
    def bound_s(self) -> float:
        """How long it may be."""
        return self._still_s * (LONG_TIMES if self._long else 1)

    def sign(self, data: bytes) -> None:
        """It gave these signs; the last one says what it is at."""
        self._long, self.seconds = data.endswith(LONG), 0.0

    def passed(self, seconds: float) -> None:
        """So much time has passed since the last look."""
        self.seconds += min(seconds, AWAKE_MAX_S)

    @property
    def is_told(self) -> bool:
        """Whether it stands still."""
        return self.seconds >= self.bound_s * TOLD_SHARE

    @property
    def is_over(self) -> bool:
        """Whether it will not go on by itself any more."""
        return self.seconds >= self.bound_s


class Signs:
    """The pipe of one life of a part."""

    def __init__(self, still_s: float) -> None:
        self.silence = Silence(still_s)
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)

    def handed_over(self) -> None:
        """The part has its end, or there is none."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def close(self) -> None:
        """Its life is over."""
        self.handed_over()
        os.close(self._ours)

    async def wait_still(self, changed: Callable[[bool], None]) -> None:
        """Return when the part has stood still for too long. ``changed`` hears when it begins to, and when it goes on."""
        told, looked = False, time.monotonic()
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            self.silence.passed(now - looked)
            looked = now
            self._read()
            if self.silence.is_told != told:
                told = not told
                changed(told)
            if self.silence.is_over:
                return

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._ours, READ_BYTES):
                self.silence.sign(data)
