"""How long a store that does not answer is waited for, and what is said meanwhile: pure, with clock, sleep and chance as arguments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from echolane.errors import StoreDown
from echolane.store import Tell

PAUSE_FIRST_S, PAUSE_MAX_S = 0.05, 2.0
"""Between two rounds over the hosts: doubled each time, less up to a third by chance, so that many workers do not come back as one."""
TOLD_AFTER_S = 1.0
"""A blink is not worth a line."""


class Patience:
    """One request's: from its first failure on it has ``wait_s``."""

    def __init__(
        self,
        what: str,
        wait_s: float,
        tell: Tell,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._what, self._wait_s, self._tell = what, wait_s, tell
        self._now, self._sleep, self._chance = now, sleep, chance
        self._since: float | None = None
        self._told = False
        self._pause_s = PAUSE_FIRST_S

    def __repr__(self) -> str:
        state = "fresh" if self._since is None else f"{self._now() - self._since:.1f} of {self._wait_s:g} s"
        return f"<Patience with {self._what}, {state}>"

    def failed(self, error: StoreDown) -> None:
        """Wait a moment before the next try.

        Raises:
            StoreDown: the time is over.
        """
        now = self._now()
        self._since = now if self._since is None else self._since
        left_s = self._since + self._wait_s - now
        if left_s <= 0:
            waited = f"has not answered for {self._wait_s:g} s" if self._wait_s else "does not answer"
            raise StoreDown(f"the store {self._what} {waited} ({error}); see that it runs") from error
        if now - self._since >= TOLD_AFTER_S and not self._told:
            self._told = True
            self._tell(f"the store {self._what} does not answer ({error}); waiting {left_s:.0f} s more")
        self._sleep(min(left_s, self._pause_s * (1 - self._chance() / 3)))
        self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)

    def succeeded(self) -> None:
        """Say that it is over, if it was told that it had begun."""
        if self._told and self._since is not None:
            self._tell(f"the store answers again, after {self._now() - self._since:.0f} s")
