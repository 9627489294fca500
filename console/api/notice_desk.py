"""Where notices are kept: ``HOME/hooks/notices.log``, beside the pushes that they are about; on the disk before they count."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from console.api.line_log import Desk, LineLog
from console.api.notices import Notice, NoticeChange, Notices, after_telling, key_of, renewed
from console.api.outgoing import after_failure
from echolane.home import Home


class NoticeLog(LineLog[Notices, NoticeChange]):
    """The file of one home."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.path / "hooks" / "notices.log", Notices, NoticeChange, "what forges were told")


class NoticeDesk(Desk[Notices, NoticeChange]):
    """The notices of one server. On the loop."""

    async def open(self) -> None:
        """Take up what another server left; where there was none, what is over already stays untold."""
        await super().open()
        if not self.book.since_ns:
            self.book.since_ns = time.time_ns()
            await self._keep(NoticeChange(since_ns=self.book.since_ns))

    async def settle(self, wanted: Mapping[str, Notice], moot: Collection[str]) -> None:
        """Have these told, and those no more."""
        async with self._one:
            change = self.book.settle(wanted, moot, time.time_ns())
            if change.notices or change.gone:
                await self._keep(change)
        self.changed.set()

    async def told(self, notice: Notice, turn: int, pull: int = 0, comment: int = 0) -> None:
        """Note that a turn of a notice was told, and where."""
        async with self._one:
            if (now := self.book.by_key.get(notice.key)) is not None:
                after_telling(now, turn)
                if now.kind != "check" or now.run == notice.run:  # a run that came meanwhile has a check run of its own
                    now.pull, now.comment = pull, comment
                await self._keep(NoticeChange([now]))

    async def failed(self, notice: Notice, why: str, *, wait_s: float, refused: int, chance: float) -> bool:
        """Note that telling went wrong; whether it is given up."""
        async with self._one:
            now = self.book.by_key.get(notice.key)
            if now is None:
                return False
            over = after_failure(now, why, time.time_ns(), wait_s=wait_s, refused=refused, chance=chance)
            await self._keep(NoticeChange([now]))
            return over

    async def look_again(self, hook: str, repository: str, branch: str) -> None:
        """A delivery is about this branch: it may have a pull request now, on which its comment is missing."""
        async with self._one:
            before = self.book.by_key.get(key_of("comment", hook, repository, branch))
            if before is None or (before.pull and not before.given_up):
                return
            notice = Notice(
                "comment", hook, repository, branch, before.commit, before.run, before.word, before.text, before.begun
            )
            change = NoticeChange([renewed(before, notice, time.time_ns())])
            self.book.apply(change)
            await self._keep(change)
        self.changed.set()
