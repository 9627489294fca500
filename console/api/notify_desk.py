"""Where verdicts and messages about them are kept: ``HOME/hooks/messages.log``; on the disk before they count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from console.api.line_log import Desk, LineLog
from console.api.notify_book import Message, MessageChange, Messages, Seen
from console.api.notify_settings import Notify
from console.api.outgoing import after_failure
from echolane.home import Home


class MessageLog(LineLog[Messages, MessageChange]):
    """The file of one home."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.path / "hooks" / "messages.log", Messages, MessageChange, "who was told which verdict")


class MessageDesk(Desk[Messages, MessageChange]):
    """The messages of one server. On the loop."""

    async def open(self) -> None:
        """Take up what another server left; where there was none, what is over already stays untold."""
        await super().open()
        if not self.book.since_ns:
            self.book.since_ns = time.time_ns()
            await self._keep(MessageChange(since_ns=self.book.since_ns))

    async def take(self, seen: Seen, tell: Iterable[Notify], told: Callable[[str, str], Message]) -> int:
        """Keep a verdict, and the messages that come of it; how many older ones gave way."""
        async with self._one:
            if not self.book.is_news(seen):
                return 0
            change, gave_way = self.book.take(seen, tell, told)
            await self._keep(change)
        self.changed.set()
        return gave_way

    async def drop(self, message: Message) -> None:
        """It was told, or is not told any more."""
        async with self._one:
            change = MessageChange(gone=[message.id])
            self.book.apply(change)
            await self._keep(change)

    async def failed(self, message: Message, why: str, *, wait_s: float, refused: bool, chance: float) -> bool:
        """Note that telling went wrong; whether it is given up."""
        async with self._one:
            now = self.book.by_id.get(message.id)
            if now is None:
                return False
            over = after_failure(now, why, time.time_ns(), wait_s=wait_s, refused=refused, chance=chance)
            change = MessageChange(gone=[now.id]) if over else MessageChange(messages=[now])
            self.book.apply(change)
            await self._keep(change)
            return over
