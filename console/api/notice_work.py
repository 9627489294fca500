"""Tell forges what became of pushes: what there is to tell is read off the pushes themselves, so that no kill loses it.

The book of pushes says where each is, the store what its run came to. A commit's status and check run are those of its newest run; a
branch's comment is that of its newest commit, once that has a result, so no late step of an older push can stand over a newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from console.api.context import Site
from console.api.deliveries import SHA
from console.api.forge_client import Trouble
from console.api.forges import FINAL
from console.api.notices import Kind, Notice, key_of
from console.api.outcomes import Outcome, one_line, outcome_of
from console.api.outgoing import REFUSED_MAX, went_well
from console.api.pushes import Push
from console.api.telling import tell
from echolane import log

AT_ONCE = 4
"""Things told at the same time: forges ask their users to make few calls at once."""
LOOK_S = 1.0
TELL_S = 120.0
"""For one thing: a status is one call, a comment may have to be looked for on many pages."""
AGAIN_S = 10.0
"""After store or disk were away: what was told and could not be noted is told again, and forges count."""
SHARE = 10
"""Reading the pushes takes at most so small a share of the time, a tenth of a second for ten thousand of them."""
TURN = 200
"""Pushes that are looked at before others have their turn on the loop."""
WAITING = Outcome("waiting", "waits until the branch answers", begun=False)
GOING = Outcome("going", "the run goes on")
Found = dict[str, tuple[Push, str]]
"""Pushes by the key of their notice, with the repository that they are of."""
NEVER_S = 3600.0
"""After a forge said that a token may never write a thing it is asked again so late: somebody may have given it the right meanwhile."""


class NoticeWork:
    """The work of one server's notices. On the loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._busy: set[str] = set()
        self._seen = -1
        self._next = 0.0
        self._never: dict[str, tuple[float, str]] = {}
        """Hooks whose token may write no check runs: until when that is believed, and why."""

    def __repr__(self) -> str:
        return f"<NoticeWork {len(self._busy)}/{AT_ONCE} told now>"

    async def work(self, stop: asyncio.Event) -> None:
        """Tell what there is to tell until told to stop; what is not told then is told by the next server."""
        desk = self._site.notices
        tasks: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                await self._look()
                for notice in desk.book.due(time.time_ns()):
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

    async def _look(self) -> None:
        """Read off the pushes what there is to tell, where something has become of one; not so often that it is all that is done."""
        pushes, began = self._site.pushes, time.monotonic()
        seen = pushes.changes
        if seen == self._seen or began < self._next:
            return
        if await went_well(self._gather(), "notice"):
            self._seen, self._next = seen, time.monotonic() + SHARE * (time.monotonic() - began)
        else:
            self._next = time.monotonic() + AGAIN_S

    def _may(self, notice: Notice) -> bool:
        """Whether a notice may be told now: one at a time of each, few in all, none to a forge that is left alone."""
        armed = self._site.hooks.find(notice.hook)
        alone = armed is not None and armed.telling is not None and bool(self._site.alone.left_s(armed.telling.api))
        return notice.key not in self._busy and len(self._busy) < AT_ONCE and not alone

    async def _gather(self) -> None:
        """Have what there is to tell settled: of each commit, and of each branch whose newest commit has a result."""
        wanted: dict[str, Notice] = {}
        moot: set[str] = set()
        for kind, found in (await self._pushes()).items():
            for count, (key, (push, repository)) in enumerate(found.items()):
                if count % TURN == 0:
                    await asyncio.sleep(0)
                notice = await self._wanted(kind, push, repository)
                if notice is None:
                    moot.add(key)
                else:
                    wanted[key] = notice
        await self._site.notices.settle(wanted, moot)

    async def _pushes(self) -> dict[Kind, Found]:
        """By kind and key the pushes that forges are told of: that which says how a commit is, and of each branch the newest that is over."""
        latest: Found = {}
        checks: Found = {}
        heads: Found = {}
        book = self._site.pushes.book
        for count, push in enumerate(list(book.pushes.values())):
            if count % TURN == 0:
                await asyncio.sleep(0)
            armed = self._site.hooks.find(push.hook)
            if armed is None or armed.telling is None or not SHA.fullmatch(push.commit):
                continue
            if not (repository := armed.hook.repository_of(push.repository)):
                continue
            key = key_of("status", push.hook, repository, push.commit)
            if key not in latest or _rank(latest[key][0]) < _rank(push):
                latest[key] = (push, repository)
                if armed.telling.checks:
                    checks[key_of("check", push.hook, repository, push.commit)] = (push, repository)
            line = book.lines.get(push.line)
            is_head = line is not None and line.head == push.commit
            if armed.telling.comment and is_head and push.state in {"ended", "failed"}:
                key = key_of("comment", push.hook, repository, push.branch)
                if key not in heads or _rank(heads[key][0]) < _rank(push):
                    heads[key] = (push, repository)
        return {"status": latest, "check": checks, "comment": heads}

    async def _wanted(self, kind: Kind, push: Push, repository: str) -> Notice | None:
        """What is to be told of a push; None where nobody is told."""
        notices = self._site.notices.book
        status = notices.by_key.get(key_of("status", push.hook, repository, push.commit))
        comment = notices.by_key.get(key_of("comment", push.hook, repository, push.branch))
        before = notices.by_key.get(
            key_of(kind, push.hook, repository, push.branch if kind == "comment" else push.commit)
        )
        if push.state == "superseded":
            if before is None or not (before.told or before.tries or before.key in self._busy):
                return None
            outcome = Outcome("cancelled", one_line(f"given up: {push.why}"), begun=False)
        elif push.state in {"waiting", "asked"}:
            outcome = WAITING if push.state == "waiting" else GOING
        elif status is None and comment is None and push.at_ns < notices.since_ns:
            return None
        elif kind == "check" and before is None and _is_of(status, push):
            return None  # it was over before there were check runs
        elif known := next((one for one in (before, status, comment) if _is_of(one, push)), None):
            if known is before:
                return known
            outcome = Outcome(known.word, known.text, known.begun)
        elif push.state == "failed":
            outcome = Outcome("error", one_line(push.why), begun=False)
        else:
            outcome = await self._site.read(outcome_of, self._site, push.run)
        told = (outcome.word, outcome.text, outcome.begun)
        return Notice(kind, push.hook, repository, push.branch, push.commit, push.run, *told)

    async def _seen_through(self, notice: Notice) -> None:
        try:
            if not await went_well(self._told(notice), "notice"):
                await asyncio.sleep(AGAIN_S)
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
                self._check_never(notice)
                async with asyncio.timeout(TELL_S):
                    pull, comment = await tell(self._site, telling, notice)
            except TimeoutError:
                trouble = Trouble(f"{telling.api} was not told within {TELL_S:g} s", away=True)
            except Trouble as error:
                trouble = error
            else:
                self._site.alone.answered(telling.api)
                await desk.told(notice, turn, pull, comment)
                return
            if trouble.away:
                self._site.alone.leave(telling.api, trouble.wait_s)
        over = await desk.failed(
            notice,
            str(trouble),
            wait_s=trouble.wait_s,
            refused=REFUSED_MAX if trouble.never else trouble.refused,
            chance=random.random(),  # noqa: S311 - it parts retries
        )
        if trouble.never and not self._is_news(notice, str(trouble)):
            return
        word = "notice.given-up" if over else "notice.delayed"
        log.event(word, kind=notice.kind, hook=notice.hook, run=notice.run, why=str(trouble))

    def _check_never(self, notice: Notice) -> None:
        """Trouble where a thing of this kind was refused for good a short while ago."""
        until, why = self._never.get(notice.hook, (0.0, ""))
        if notice.kind == "check" and time.monotonic() < until:
            raise Trouble(why, refused=True, never=True)

    def _is_news(self, notice: Notice, why: str) -> bool:
        """Note what a hook's token may never do; whether that was not known, so that it is said once."""
        until, before = self._never.get(notice.hook, (0.0, ""))
        if time.monotonic() >= until:
            self._never[notice.hook] = (time.monotonic() + NEVER_S, why)
        return why != before


def _rank(push: Push) -> tuple[bool, str]:
    """Of pushes of one commit the newest says how it is; one that was given up only where all were."""
    return push.state != "superseded", push.run


def _is_of(notice: Notice | None, push: Push) -> bool:
    """Whether a notice tells what came of a push."""
    return notice is not None and notice.run == push.run and notice.commit == push.commit and notice.word in FINAL


__all__ = ["NoticeWork"]
