"""All processes of one `echolane up`: its parts, the guard that outlives it, and what an earlier one left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from console.up_guard import OVER, kill_marked, mark_of, marked, see_off
from console.up_parts import Part, Plan
from console.up_state import HELD, UP, PartState, UpState, write_state
from console.up_telling import tell
from echolane import ids, log
from echolane.home import Home
from echolane.up_settings import MARK, Up

GUARD_AGAIN_S = 1.0
GUARD_ENDS_S = 5.0
LEFT_S = 2.0
"""At least this long for what parts leave, a recorder that stores what it has, after the last of them has ended."""


class Tree:
    """One `echolane up`."""

    def __init__(self, home: Home, settings: Up, plans: Sequence[Plan], told: Callable[[Tree], None]) -> None:
        self._home, self._settings, self._told = home, settings, told
        self.plans = plans
        self._mark = mark_of(ids.uuid7(time.time_ns()), home.path)
        environ = {**os.environ, MARK: self._mark}
        self._parts = [Part(plan, settings, environ, self._changed) for plan in plans]
        self._guard: asyncio.subprocess.Process | None = None
        self._is_told = False
        self._stopped_at = 0.0

    def __repr__(self) -> str:
        return f"<Tree {', '.join(f'{part.name} {part.state}' for part in self.states)}>"

    @property
    def states(self) -> list[PartState]:
        """How the parts are."""
        return [part.state for part in self._parts]

    @property
    def refused(self) -> str:
        """Why it could not start: what the part said that could not."""
        return next((f"{part.plan.name}: {part.refused}" for part in self._parts if part.refused), "")

    async def run(self, stop: asyncio.Event) -> int:
        """Keep all parts until ``stop``, then drain them; 0, or 130 where some had to be killed."""
        await self._clear(stop)
        await self._start_guard()
        log.event("up.started", parts=[plan.name for plan in self.plans])
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self._keep_guard())
            noting = tasks.create_task(self._note_stop(stop))
            async with asyncio.TaskGroup() as parts:
                for part in self._parts:
                    parts.create_task(part.keep(stop))
            killed = await self._leftovers()
            noting.cancel()
            keeper.cancel()
        await self._let_guard_go()
        killed = killed or any(part.killed for part in self._parts)
        log.event("up.ended", killed=killed)
        return 130 if killed else 0

    def end_at_once(self) -> None:
        """Kill what is left of the tree."""
        if killed := kill_marked(self._mark):
            log.event("up.ended-at-once", killed=killed)

    def _changed(self) -> None:
        states = self.states
        write_state(self._home, UpState(self._mark, os.getpid(), states))
        if not self._is_told and all(part.state in {UP, HELD} for part in states):
            self._is_told = True
            self._told(self)

    async def _note_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._stopped_at = time.monotonic()
        if not self.refused:
            tell("draining; a second Ctrl-C or SIGTERM ends everything at once")

    async def _clear(self, stop: asyncio.Event) -> None:
        """See off what an `echolane up` of this home has left that was killed; its parts drain by themselves."""
        everyone = f":{self._mark.partition(':')[2]}"
        if not (left := marked(everyone)):
            return
        tell(f"an earlier `echolane up` was killed; waiting for {len(left)} of its processes to end")
        log.event("up.found-left", left=left)
        killed = await _seen_off(everyone, self._settings.drain_s, stop)
        log.event("up.cleared", killed=killed)
        if killed:
            tell(f"{len(killed)} of them did not end within {self._settings.drain_s:g} s and were killed")

    async def _leftovers(self) -> bool:
        """Let what the parts have started end, too; whether some had to be killed."""
        left_s = max(LEFT_S, self._stopped_at + self._settings.drain_s - time.monotonic())
        killed = await _seen_off(self._mark, left_s, asyncio.Event())
        if killed:
            tell(f"{len(killed)} processes of the parts did not end and were killed: {', '.join(map(str, killed))}")
            log.event("up.killed", killed=killed)
        return bool(killed)

    async def _start_guard(self) -> None:
        self._guard = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "console.up_guard",
            self._mark,
            str(self._settings.drain_s),
            str(self._home.log / "up.log"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != MARK},
            start_new_session=True,  # what ends our group must not end it, too
        )

    async def _keep_guard(self) -> None:
        """A guard that dies is replaced."""
        while self._guard is not None:
            code = await self._guard.wait()
            log.event("guard.died", code=code)
            await asyncio.sleep(GUARD_AGAIN_S)
            try:
                await self._start_guard()
            except OSError as error:  # no more processes, no memory: in a moment, perhaps
                log.event("guard.not-started", error=str(error))

    async def _let_guard_go(self) -> None:
        guard = self._guard
        if guard is not None and guard.stdin is not None and guard.returncode is None:
            guard.stdin.write(OVER)
            guard.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GUARD_ENDS_S):
                    await guard.wait()
            if guard.returncode is None:  # it hangs, and there is nothing left to guard
                guard.kill()


async def _seen_off(mark: str, seconds: float, stop: asyncio.Event) -> list[int]:
    """:func:`see_off`, beside the loop, given up when told to stop, or when this is cancelled."""
    given_up = threading.Event()
    seeing = asyncio.ensure_future(asyncio.to_thread(see_off, mark, seconds, given_up.is_set))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({seeing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        given_up.set()
        stopping.cancel()
    return await seeing
