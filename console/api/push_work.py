"""Do what pushes ask for: wait until the branch answers, ask for its run as anybody would, and give up runs of commits that are old."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

from console.api.calls_runs import flags_of
from console.api.context import Site
from console.api.hook_settings import Armed
from console.api.launching import ENDED, Asked, QueueFull
from console.api.problems import Problem
from console.api.pushes import Push
from console.api.readiness import Kept, why_not_ready
from console.api.targets import filled
from echolane import log
from echolane.errors import EcholaneError, HomeError, RefusedForSafety, UsageError
from echolane.keys import load_mark_key
from echolane.marks import Signer
from echolane.protected import protected_of
from echolane.runlog import CANCEL

AT_ONCE = 32
"""Branches that are waited for at the same time; others wait their turn, the oldest first."""
LOOK_S = 1.0
CLOSED_S = 120.0
"""Within which a run that is told to end has closed what it has."""
AGAIN_S = 2.0
"""Between two questions whether a branch is there."""


class PushWork:
    """The work of one server's pushes. On the loop."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._at: set[str] = set()
        self._told: dict[str, float] = {}
        """Runs that were told to end, and when."""
        self._signer = Signer(load_mark_key(site.home.keys, os.environ), "hooks")

    def __repr__(self) -> str:
        return f"<PushWork {len(self._at)}/{AT_ONCE} branches waited for>"

    async def work(self, stop: asyncio.Event) -> None:
        """See every push through until told to stop; what is not over then is taken up by the next server."""
        desk = self._site.pushes
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                for push in desk.book.of("waiting"):
                    if push.run not in self._at and len(self._at) < AT_ONCE:
                        self._at.add(push.run)
                        tasks.create_task(self._seen_through(push, push.run, stop))
                await self._look_after()
                desk.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await desk.changed.wait()

    async def _look_after(self) -> None:
        """Note runs that are over, and end those of old commits, also where a server was killed in between."""
        try:
            for push in list(self._site.pushes.book.of("asked")):
                if self._is_over(push.run):
                    await self._site.pushes.mark(push.run, "asked", "ended")
            for push in list(self._site.pushes.book.of("superseded")):
                if push.given_up and push.run not in self._at and await asyncio.to_thread(self._is_going, push.run):
                    await self._give_up(push.run)
        except (EcholaneError, OSError) as error:
            log.event("hook.trouble", error=str(error))

    async def _seen_through(self, push: Push, run: str, stop: asyncio.Event) -> None:
        """One push, from when it is told to when its run is asked for."""
        try:
            if why := await self._why_not(push, run, stop):
                await self._site.pushes.mark(run, "waiting", "failed", why)
        except (HomeError, OSError) as error:  # store or disk are away, also for that mark: it is tried again
            log.event("hook.trouble", run=run, error=str(error))
            await _pause(stop, AGAIN_S)
        finally:
            self._at.discard(run)
            self._site.pushes.changed.set()

    async def _why_not(self, push: Push, run: str, stop: asyncio.Event) -> str:
        """Ask for the run of a push once its branch is there: empty; or why that cannot be."""
        try:
            armed = self._site.hooks.find(push.hook)
            if armed is None:
                return "its hook is in the configuration no more"
            why = await self._wait_ready(push, run, armed, stop)
            if not why and not (stop.is_set() or push.state != "waiting" or push.run != run):
                await self._ask(push, run, armed, stop)
        except (UsageError, RefusedForSafety, Problem) as error:
            return str(error)
        return why

    async def _wait_ready(self, push: Push, run: str, armed: Armed, stop: asyncio.Event) -> str:
        """Until the branch is there: empty; or what is missing after the time that it has."""
        hook, target = armed.hook, armed.target
        places = ((target.url, target.address), (target.control, target.control_address))
        urls = [(filled(url, push.branch), pin) for url, pin in places if url]
        protected = protected_of(self._site.settings.replay.protected)
        lane = filled(target.lane, push.branch)
        version = (hook.version_header, "" if push.commit.startswith("call-") else push.commit)
        deadline = time.monotonic() + hook.wait_s
        while True:
            why = ""
            for url, pin in urls:
                kept = Kept(pin, protected)
                why = why or await why_not_ready(url, lane, hook.ready, version, armed.networks, self._signer, kept)
            if not why or stop.is_set() or push.state != "waiting" or push.run != run:
                return ""
            if time.monotonic() > deadline:
                return f"the branch was not there within {hook.wait_s:g} s: {why}"
            await _pause(stop, AGAIN_S)

    async def _ask(self, push: Push, run: str, armed: Armed, stop: asyncio.Event) -> None:
        """Ask for the run, once, also where a server was killed between asking and noting it."""
        launcher = self._site.launcher
        if await asyncio.to_thread(launcher.find, run) is None:
            flags = await self._site.read(flags_of, self._site, armed.hook.request(push.branch))
            # Its name may lead elsewhere by then; the run holds what this looked at.
            flags.append(f"--networks={','.join(['public', *armed.hook.networks])}")
            asked = Asked(run, push.service, push.by, time.time_ns(), flags, trace=push.trace)
            while True:
                try:
                    await launcher.ask(asked)
                    break
                except QueueFull:
                    await _pause(stop, AGAIN_S)
                if stop.is_set() or push.state != "waiting" or push.run != run:
                    return
        await self._site.pushes.mark(run, "waiting", "asked")

    async def _give_up(self, run: str) -> None:
        """Tell a run to end, once: a second time it would not close what it has."""
        site, now = self._site, time.monotonic()
        if now - self._told.get(run, -CLOSED_S) < CLOSED_S:
            return
        if await site.read(site.shared.say, run, CANCEL, b"interrupted") or await site.launcher.cancel(run):
            self._told = {one: at for one, at in self._told.items() if now - at < CLOSED_S} | {run: now}
            log.event("hook.superseded", run=run)

    def _is_over(self, run: str) -> bool:
        asked = self._site.launcher.find(run)
        return asked is not None and asked.state == ENDED

    def _is_going(self, run: str) -> bool:
        asked = self._site.launcher.find(run)
        return asked is not None and asked.state != ENDED


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
