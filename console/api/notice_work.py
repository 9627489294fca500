"""Tell forges what became of pushes: what there is to tell is read off the pushes themselves, so that no kill loses it.

The book of pushes says where each is, the store what its run came to. A commit's status is that of its newest run; a branch's comment is
that of its newest commit, once that has a result, so no late step of an older push can stand over a newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import Coroutine
from typing import Any

from console.api.context import Site
from console.api.forge_client import Trouble
from console.api.forges import FINAL, Word
from console.api.notices import Notice, key_of
from console.api.outcomes import Outcome, one_line, outcome_of
from console.api.pushes import Push
from console.api.telling import tell
from echolane import log
from echolane.errors import EcholaneError
from echolane.store import QueryError

AT_ONCE = 4
"""Things told at the same time: forges ask their users to make few calls at once."""
LOOK_S = 1.0
TELL_S = 120.0
"""For one thing: a status is one call, a comment may have to be looked for on many pages."""
AGAIN_S = 10.0
"""After store or disk were away: what was told and could not be noted is told again, and forges count."""
ALONE_MAX_S = 60.0
"""For which a forge is left alone that is away and does not say for how long."""
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
WAITING = Outcome("waiting", "waits until the branch answers", begun=False)
GOING = Outcome("going", "the run goes on")


class NoticeWork:
    """The work of one server's notices. On the loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._busy: set[str] = set()
        self._alone: dict[str, tuple[float, float]] = {}
        """APIs that are left alone: until when, and the wait that was."""
        self._seen = -1

    def __repr__(self) -> str:
        return f"<NoticeWork {len(self._busy)}/{AT_ONCE} told now>"

    async def work(self, stop: asyncio.Event) -> None:
        """Tell what there is to tell until told to stop; what is not told then is told by the next server."""
        desk = self._site.notices
        tasks: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await self._guarded(self._gather())
                for notice in desk.notices.due(time.time_ns()):
                    if self._may(notice):
                        self._busy.add(notice.key)
                        tasks.add(task := group.create_task(self._seen_through(notice)))
                        task.add_done_callback(tasks.discard)
                desk.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await desk.changed.wait()
            for task in tasks:
                task.cancel()

    def _may(self, notice: Notice) -> bool:
        """Whether a notice may be told now: one at a time of each, few in all, none to a forge that is left alone."""
        armed = self._site.hooks.find(notice.hook)
        alone = armed is not None and armed.telling is not None and self._is_alone(armed.telling.api)
        return notice.key not in self._busy and len(self._busy) < AT_ONCE and not alone

    def _is_alone(self, api: str) -> bool:
        return time.monotonic() < self._alone.get(api, (0.0, 0.0))[0]

    async def _guarded(self, piece: Coroutine[Any, Any, None]) -> None:
        """A piece of work; where store or disk are away, it is done again in a while. A fault of ours ends no server."""
        try:
            await piece
        except (EcholaneError, OSError, QueryError) as error:
            log.event("notice.trouble", error=str(error))
        except Exception as error:  # noqa: BLE001 - told as a fault; its text may be anybody's, so it is not
            log.event("notice.fault", error=type(error).__name__)
        else:
            return
        self._seen = -1
        await asyncio.sleep(AGAIN_S)

    async def _gather(self) -> None:
        """Read off the pushes what there is to tell, where something has become of one."""
        pushes, notices = self._site.pushes, self._site.notices
        seen = pushes.changes
        if seen == self._seen:
            return
        wanted: dict[str, Notice] = {}
        moot: set[str] = set()
        latest = self._latest()
        for key, (push, repository) in latest.items():
            outcome = await self._outcome(push, key)
            if outcome is None:
                moot.add(key)
                continue
            wanted[key] = _notice("status", push, repository, outcome)
            armed = self._site.hooks.find(push.hook)
            line = pushes.book.lines.get(push.line)
            speaks = armed is not None and armed.telling is not None and armed.telling.comment
            if speaks and outcome.word in FINAL and line is not None and line.head == push.commit:
                mine = _notice("comment", push, repository, outcome)
                if mine.key not in wanted or wanted[mine.key].run < push.run:
                    wanted[mine.key] = mine
        await notices.settle(wanted, moot)
        self._seen = seen

    def _latest(self) -> dict[str, tuple[Push, str]]:
        """Of each commit that a forge can be told of the push that says how it is, and its repository."""
        found: dict[str, tuple[Push, str]] = {}
        for push in self._site.pushes.book.pushes.values():
            armed = self._site.hooks.find(push.hook)
            if armed is None or armed.telling is None or not SHA.fullmatch(push.commit):
                continue
            repository = armed.hook.repository_of(push.repository)
            key = key_of("status", push.hook, repository, push.commit)
            before = found.get(key)
            if repository and (before is None or _rank(before[0]) < _rank(push)):
                found[key] = (push, repository)
        return found

    async def _outcome(self, push: Push, key: str) -> Outcome | None:
        """How a push is; None where nobody is told."""
        notices = self._site.notices.notices
        before = notices.by_key.get(key)
        if push.state == "superseded":
            told = before is not None and (before.told > 0 or before.tries > 0 or key in self._busy)
            return Outcome("cancelled", one_line(f"given up: {push.why}"), begun=False) if told else None
        if push.state == "waiting":
            return WAITING
        if push.state == "asked":
            return GOING
        if before is None and push.at_ns < notices.since_ns:
            return None
        if before is not None and before.run == push.run and before.word in FINAL:
            return Outcome(before.word, before.text, before.begun)
        if push.state == "failed":
            return Outcome("error", one_line(push.why), begun=False)
        return await self._site.read(outcome_of, self._site, push.run)

    async def _seen_through(self, notice: Notice) -> None:
        try:
            await self._guarded(self._told(notice))
        finally:
            self._busy.discard(notice.key)
            self._site.notices.changed.set()

    async def _told(self, notice: Notice) -> None:
        """Tell one thing, and note what came of it."""
        desk, turn = self._site.notices, notice.turn
        armed = self._site.hooks.find(notice.hook)
        telling = armed.telling if armed is not None else None
        trouble = Trouble("its hook is in the configuration no more, or has no token", refused=True)
        if telling is not None:
            try:
                async with asyncio.timeout(TELL_S):
                    pull, comment = await tell(self._site, telling, notice)
            except TimeoutError:
                trouble = Trouble(f"{telling.api} was not told within {TELL_S:g} s", away=True)
            except Trouble as error:
                trouble = error
            else:
                self._alone.pop(telling.api, None)
                await desk.told(notice, turn, pull, comment)
                return
            if trouble.away:
                self._leave(telling.api, trouble.wait_s)
        over = await desk.failed(
            notice,
            str(trouble),
            wait_s=trouble.wait_s,
            refused=trouble.refused,
            chance=random.random(),  # noqa: S311 - it parts retries
        )
        word = "notice.given-up" if over else "notice.delayed"
        log.event(word, kind=notice.kind, hook=notice.hook, run=notice.run, why=str(trouble))

    def _leave(self, api: str, wait_s: float) -> None:
        """Leave a forge alone: as long as it says, else twice as long as the last time."""
        if self._is_alone(api) and not wait_s:
            return  # of several that were under way
        before = self._alone.get(api, (0.0, 0.5))[1]
        wait = wait_s or min(2 * before, ALONE_MAX_S)
        self._alone[api] = (time.monotonic() + wait, min(2 * before, ALONE_MAX_S))


def _rank(push: Push) -> tuple[bool, str]:
    """Of pushes of one commit the newest says how it is; one that was given up only where all were."""
    return push.state != "superseded", push.run


def _notice(kind: Any, push: Push, repository: str, outcome: Outcome) -> Notice:
    word: Word = outcome.word
    return Notice(kind, push.hook, repository, push.branch, push.commit, push.run, word, outcome.text, outcome.begun)


__all__ = ["NoticeWork"]
