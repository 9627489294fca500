"""Forges that are left alone: who is told something and who is asked are one forge, so what it asks of one of us holds for all. On the loop."""

from __future__ import annotations

import time

ALONE_MAX_S = 60.0
"""For which a forge is left alone that is away and does not say for how long."""


class Alone:
    """Until when each API is left alone."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}
        """Until when, and the wait that was."""

    def __repr__(self) -> str:
        return f"<Alone {', '.join(self._until) or 'nobody'}>"

    def left_s(self, api: str) -> float:
        """For how long yet; 0 where it may be called."""
        return max(0.0, self._until.get(api, (0.0, 0.0))[0] - time.monotonic())

    def leave(self, api: str, wait_s: float) -> None:
        """Leave a forge alone: as long as it says, else twice as long as the last time."""
        left = self.left_s(api)
        if left and not wait_s:
            return  # of several that were under way
        before = self._until.get(api, (0.0, 0.5))[1]
        wait = max(left, wait_s or min(2 * before, ALONE_MAX_S))
        self._until[api] = (time.monotonic() + wait, min(2 * before, ALONE_MAX_S))

    def answered(self, api: str) -> None:
        """It did what it was asked; what it asked for meanwhile still holds."""
        if not self.left_s(api):
            self._until.pop(api, None)
