"""Ask forges where their branches are, at the start and now and then, so that a push whose delivery got lost is late and not missed.

Forges deliver a push once, or a few times; a server that is away for ten minutes hears nothing of it. One list of a repository's branches says
what became of all of them. It holds the heads of pull requests, too: those of forks start no runs. A page that did not change costs GitHub's
limit nothing. What is found is kept as a delivery is (:func:`console.api.hooks.keep`): one that comes late changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from console.api.context import Site
from console.api.forge_client import Trouble
from console.api.forge_tokens import client_of
from console.api.forges import Head, heads_of
from console.api.heads import Look, finding, step_of
from console.api.hook_settings import Armed
from console.api.hooks import check_branch, keep
from console.api.missed_told import Source, sources_of
from console.api.outgoing import went_well
from console.api.problems import Problem
from console.api.pushes import TooMany, line_of
from echolane import log
from echolane.errors import UsageError

AT_ONCE = 4
"""Forges that are asked at the same time, each one question after the other, as they ask for."""
LEAST_S = 1.0
"""Between two rounds, whatever the setting."""
BRANCHES_MAX = 5_000
"""Of one repository: fifty calls a round."""
PAGES_MAX = BRANCHES_MAX // 10
"""Whatever the size of the forge's pages."""
PAGES_KEPT = 500
"""Pages that are remembered, so that they are only told again where they are others: some 10 MB."""
TURN = 200
"""Branches that are looked at before others have their turn on the loop."""


class Known(NamedTuple):
    """A page as it was told."""

    etag: str
    more: bool
    heads: list[Head]


class MissedWork:
    """The looks of one server. On the loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._pages: dict[tuple[str, str, int], Known] = {}
        self._few = asyncio.Semaphore(AT_ONCE)
        self._every_s = max(site.settings.api.missed_pushes_s, LEAST_S)

    def __repr__(self) -> str:
        return f"<MissedWork every {self._every_s:g} s>"

    async def work(self, stop: asyncio.Event) -> None:
        """Look at every forge until told to stop; nothing that is there is lost by stopping."""
        async with asyncio.TaskGroup() as group:
            by_api: dict[str, list[Source]] = {}
            for source in sources_of(self._site):
                self._site.heads.looks[source.key] = Look()
                by_api.setdefault(source.telling.api, []).append(source)
            tasks = [group.create_task(self._rounds(sources)) for sources in by_api.values()]
            await stop.wait()
            for task in tasks:
                task.cancel()

    async def _rounds(self, sources: list[Source]) -> None:
        api = sources[0].telling.api
        while True:
            wait = self._site.alone.left_s(api)
            if not wait:
                async with self._few:
                    is_whole = await self._round(sources)
                wait = self._every_s if is_whole else self._site.alone.left_s(api)
            await asyncio.sleep(wait)

    async def _round(self, sources: list[Source]) -> bool:
        """All repositories of a forge, one after the other; False where it wants to be left alone."""
        for source in sources:
            if not await went_well(self._seen(source), "missed"):
                self._site.alone.leave(source.telling.api, 0.0)
            if self._site.alone.left_s(source.telling.api):
                return False
        return True

    async def _seen(self, source: Source) -> None:
        """Look at one repository, and note how that went."""
        look = self._site.heads.looks[source.key]
        began = look.tried_ns = time.time_ns()
        try:
            listed = await self._listed(source, began)
            look.found += await self._taken(source, listed, began)
            await self._site.heads.settle(source.name, {head.branch: head.commit for head, _ in listed})
        except Trouble as trouble:
            look.failed, look.why = look.failed + 1, str(trouble)
            log.event("missed.delayed", repository=source.repository, why=look.why)
            if trouble.away:
                self._site.alone.leave(source.telling.api, trouble.wait_s)
        except TooMany:
            look.failed, look.why = look.failed + 1, "as many pushes wait as may"
        else:
            look.at_ns, look.heads, look.why = began, len(listed), ""
            self._site.alone.answered(source.telling.api)

    async def _listed(self, source: Source, began: int) -> list[tuple[Head, int]]:
        """Every branch of a repository, and the forge's time of that; Trouble where that cannot be had whole."""
        telling = source.telling
        client = await client_of(self._site, telling, source.repository)
        found: list[tuple[Head, int]] = []
        for number in range(1, PAGES_MAX + 1):
            key = (*source.key, number)
            if left := self._site.alone.left_s(telling.api):
                raise Trouble(f"{telling.api} wants to be left alone", wait_s=left, away=True)
            known = self._pages.get(key)
            page = await client.page(
                telling.forge.branches, {"repository": source.repository}, number, known.etag if known else ""
            )
            if known is None or not page.is_same:
                known = Known(page.etag, page.more, heads_of(telling.forge, page.tree))
                if page.etag and (key in self._pages or len(self._pages) < PAGES_KEPT):
                    self._pages[key] = known
            # A second is all that a forge names: what it told within it was there.
            at_ns = int((page.at_s + 1) * 1e9) - 1 if page.at_s else began
            found += [(head, at_ns) for head in known.heads]
            if len(found) > BRANCHES_MAX:
                break
            if not known.more:
                return found
        why = f"`{source.repository}` has more than {BRANCHES_MAX:,} branches; delete merged ones, or set `missed = false` in its hook"
        raise Trouble(why, refused=True)

    async def _taken(self, source: Source, listed: list[tuple[Head, int]], began: int) -> int:
        """Keep what was missed, for each hook that it is for; how many branches that were."""
        site, count = self._site, 0
        seen = site.heads.book.of.get(source.name)
        for number, (head, at_ns) in enumerate(listed):
            if number % TURN == 0:
                await asyncio.sleep(0)
            for one in source.armed:
                line = site.pushes.book.lines.get(line_of(one.hook.id, source.repository, head.branch))
                if one.hook.wants(head.branch) and finding(head, line, seen, began) == "missed":
                    count += await self._kept(one, source.repository, head, at_ns)
        return count

    async def _kept(self, one: Armed, repository: str, head: Head, at_ns: int) -> bool:
        site, by = self._site, f"look {one.hook.id}"
        line = site.pushes.book.lines.get(line_of(one.hook.id, repository, head.branch))
        try:
            check_branch(head.branch)
            await site.read(site.audit.check)
            await keep(site, [one], repository, head.branch, step_of(head, line, at_ns), [], by=by)
        except (Problem, UsageError) as error:  # what no delivery would start either
            log.event("missed.refused", hook=one.hook.id, why=str(error))
            return False
        what = f"{head.branch[:80]}@{head.commit[:12]}"
        fields = {"actor": by, "operation": "missedPush", "service": one.hook.service, "what": what}
        await site.read(site.audit.note, **fields, status=202, address="")
        log.event("missed.found", hook=one.hook.id, repository=repository, commit=head.commit)
        return True


__all__ = ["MissedWork"]
