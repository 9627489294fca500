"""Tell people when a service's verdict on a branch becomes another one: runs are read off the store, whoever has done them.

What was told is kept with the verdict that it came of (:mod:`console.api.notify_book`), so the store is asked again from a while before the
newest run that is known: a row that became visible late is seen then, and one that was seen is no news.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator

import orjson

from console import words
from console.api.context import Site
from console.api.notify_book import Message, Seen
from console.api.notify_client import CALL_S, NotTold, hand_in
from console.api.notify_forms import REASON_MAX, event, slack_message
from console.api.outgoing import went_well
from console.escapes import short
from echolane import ids, log
from echolane.store import Row

AT_ONCE = 8
"""Destinations that are told at the same time."""
LOOK_S = 2.0
AGAIN_S = 10.0
"""After store or disk were away."""
OVERLAP_NS = 10 * 60_000_000_000
"""For so long rows of other machines may be late, by their clocks and their way."""
BATCH = 500
BRANCH_MAX = 250
"""Characters of a branch's name, as of a push."""
OVER = """
SELECT run, service, verdict, toUnixTimestamp64Nano(started_at) AS started, toUnixTimestamp64Nano(finished_at) AS finished,
    spec != '' AS began, JSONExtractString(spec, 'branch_name') AS branch, JSONExtractString(spec, 'targets', 3, 'lane') AS lane
FROM runs_v
WHERE (toUnixTimestamp64Nano(finished_at), run) > ({finished:Int64}, {run:String}) AND verdict != ''
  AND (state IN ('finished', 'failed') OR reason_code = 'target-unavailable')
ORDER BY finished_at, run LIMIT {limit:UInt32}"""
RESULT = "SELECT result FROM runs_v WHERE run = {run:String}"


class NotifyWork:
    """The work of one server's messages. On the loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._busy: set[str] = set()
        """Destinations that are told something now."""

    def __repr__(self) -> str:
        return f"<NotifyWork {len(self._busy)}/{AT_ONCE} told now>"

    async def work(self, stop: asyncio.Event) -> None:
        """Look at what runs came to, and tell it, until told to stop; what is not told then is told by the next server."""
        desk = self._site.messages
        tasks: set[asyncio.Task[None]] = set()
        looked = -AGAIN_S
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                if time.monotonic() - looked >= LOOK_S:
                    good = await went_well(self.look(), "notify")
                    looked = time.monotonic() + (0.0 if good else AGAIN_S)
                for message in desk.book.due(time.time_ns()):
                    if message.to not in self._busy and len(self._busy) < AT_ONCE:
                        self._busy.add(message.to)
                        tasks.add(task := group.create_task(self._seen_through(message)))
                        task.add_done_callback(tasks.discard)
                desk.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S / 2):
                        await desk.changed.wait()
            for task in tasks:
                task.cancel()

    async def look(self) -> None:
        """Take in what runs came to since the last look."""
        site, desk = self._site, self._site.messages
        until = min(desk.book.until_ns, time.time_ns())  # a clock that is ahead must not hide what others do meanwhile
        after: tuple[int, str] = (max(desk.book.since_ns, until - OVERLAP_NS), "")
        while True:
            rows = await site.read(site.store.query, OVER, {"finished": after[0], "run": after[1], "limit": BATCH})
            for row in rows:
                seen = Seen(
                    str(row["run"]),
                    str(row["service"]),
                    await site.read(self._branch, row),
                    str(row["verdict"]),
                    int(row["started"]),
                    int(row["finished"]),
                )
                if desk.book.is_news(seen):
                    await self._take(seen)
                after = (seen.ended_ns, seen.run)
            if len(rows) < BATCH:
                return

    def _branch(self, row: Row) -> str:
        """What the branch of a run is called: its name, else its lane; of a run that never began, as it was asked for."""
        name = str(row["branch"] or row["lane"] or "")
        if not name and not row["began"] and (asked := self._site.launcher.find(str(row["run"]))) is not None:
            found = [word.partition("=")[2] for word in asked.words if word.startswith("--branch-name=")]
            name = found[0] if found else ""
        return name[:BRANCH_MAX]

    async def _take(self, seen: Seen) -> None:
        site = self._site
        reason, findings = await site.read(self._facts, seen)

        def told(to: str, before: str) -> Message:
            now = time.time_ns()
            id = f"msg_{ids.uuid7(now)}"  # noqa: A001 - what it is
            return Message(id, to, seen, before, reason, findings, since_ns=now, due_ns=now)

        tell = [one.notify for one in site.notify.values()]
        if gave_way := await site.messages.take(seen, tell, told):
            log.event("notify.given-up", messages=gave_way, why="as many wait as may")

    def _facts(self, seen: Seen) -> tuple[str, dict[str, int]]:
        """Why a run has its verdict, in a line, and its findings by severity."""
        rows = self._site.store.query(RESULT, {"run": seen.run})
        result = orjson.loads(rows[0]["result"]) if rows and rows[0]["result"] else None
        if result is None:
            asked = self._site.launcher.find(seen.run)
            return short((asked.said if asked else "") or "the run came to no result", REASON_MAX), {}
        return short(words.headline(result), REASON_MAX), words.by_severity(words.findings(result, "groups"))

    async def _seen_through(self, message: Message) -> None:
        try:
            if not await went_well(self._told(message), "notify"):
                await asyncio.sleep(AGAIN_S)
        finally:
            self._busy.discard(message.to)
            self._site.messages.changed.set()

    async def _told(self, message: Message) -> None:
        """Tell one message, and note what came of it."""
        desk = self._site.messages
        destination = self._site.notify.get(message.to)
        if destination is None:
            log.event("notify.given-up", to=message.to, id=message.id, why="it is in the configuration no more")
            await desk.drop(message)
            return
        form = event if destination.notify.kind == "webhook" else slack_message
        body = form(message, page_of(self._site.settings.api.url, message.seen.run))
        try:
            async with asyncio.timeout(CALL_S * 2):
                await hand_in(destination, message.id, body, time.time())
        except TimeoutError:
            trouble = NotTold("it did not answer in time")
        except NotTold as error:
            trouble = error
        else:
            await desk.drop(message)
            return
        over = await desk.failed(
            message,
            str(trouble),
            wait_s=trouble.wait_s,
            refused=trouble.refused,
            chance=random.random(),  # noqa: S311 - it parts retries
        )
        log.event("notify.given-up" if over else "notify.delayed", to=message.to, id=message.id, why=str(trouble))


def page_of(public: str, run: str) -> str:
    """The page of a run; empty where nobody said how people reach the server."""
    return f"{public.rstrip('/')}/runs/{run}" if public else ""


def numbers(site: Site) -> Iterator[str]:
    """How many messages wait, for Prometheus."""
    waiting = dict.fromkeys(site.notify, 0)
    for message in site.messages.book.by_id.values():
        waiting[message.to] = waiting.get(message.to, 0) + 1
    yield "# HELP echolane_notify_waiting Messages about verdicts that are not told yet, by whom they are for."
    yield "# TYPE echolane_notify_waiting gauge"
    for to, count in waiting.items():
        yield f'echolane_notify_waiting{{to="{to}"}} {count}'


__all__ = ["NotifyWork", "numbers", "page_of"]
