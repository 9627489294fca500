"""Where pushes are handed in and marked: one change at a time, kept before it is answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec

from console.api.line_log import Desk
from console.api.push_log import PushLog
from console.api.pushes import Book, Change, Push, State, Step
from echolane import ids


class PushDesk(Desk[Book, Change]):
    """The pushes of one server. On the loop."""

    def __init__(self, log: PushLog) -> None:
        super().__init__(log)
        self.changes = 0
        """How often something became of a push, for those who look."""

    async def take(self, pushes: Sequence[tuple[Push, Step]], deliveries: Iterable[str]) -> list[Push] | None:
        """Take a delivery in: the pushes that it is about, kept; None where it was taken in before. TooMany where too many wait."""
        names = list(deliveries)
        async with self._one:
            now = time.time_ns()
            # A commit may be dated in the future; told is it now, and later ones must not look older than it.
            pushes = [
                (push, msgspec.structs.replace(step, at_ns=min(step.at_ns, now), came_ns=now)) for push, step in pushes
            ]
            if self.book.was_seen(names, now):
                return None
            await self._keep(self.book.take(pushes, names, now, lambda: ids.uuid7(time.time_ns())))
            found = [self.book.pushes.get(push.key) for push, _ in pushes]
        self.changed.set()
        return [push for push in found if push is not None]

    async def mark(self, run: str, before: State, state: State, why: str = "") -> bool:
        """Note what became of the push of a run; False where it is another state's meanwhile."""
        async with self._one:
            push = next((one for one in self.book.of(before) if one.run == run), None)
            if push is None:
                return False
            push.state, push.why = state, why
            await self._keep(Change(pushes=[push]))
        return True

    async def _keep(self, change: Change) -> None:
        await super()._keep(change)
        self.changes += 1
