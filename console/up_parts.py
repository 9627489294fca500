"""A part of `echolane up`: a command in a process of its own, started again when it dies or stands still, drained when told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from console.escapes import terminal
from console.up_signs import Signs, wait_awake
from console.up_state import DRAINING, ENDED, HELD, STARTING, STILL, UP, WAITING, PartState
from console.up_telling import tell
from echolane import log
from echolane.errors import EXIT_USAGE
from echolane.service import ended_by
from echolane.up_settings import Up

LINE_MAX = 4096
"""Bytes of a part's line that are given through; a longer one is cut."""
STEADY_S = 30.0
"""A part that lived this long has not failed at its start: it is started again at once."""
START_S = 120.0
"""Until a part must be ready: one whose machine swaps takes many seconds, and a recorder gives its own start a minute."""
LAST_WORDS_S = 1.0
"""For what a part said last to arrive; what it started may hold the pipe open for longer."""
HEARD_MAX = 8
"""Lives of a part that are listened to: an earlier one ends with the last process that it started."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a part is."""

    name: str
    words: tuple[str, ...]
    """Of `echolane`."""
    ready: str
    """How the line begins by which it says that it is ready."""
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    service: str = ""
    """That it records."""


class Lines:
    """Cuts what a process says into lines of bounded length, without control characters."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut = False
        """Whether the line that goes on has been given out already."""

    def feed(self, data: bytes) -> list[str]:
        """The lines that ``data`` completes; of one that grows too long, its beginning at once."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        found: list[str] = []
        for line in whole:
            if not self._cut:
                found.append(self._shown(line))
            self._cut = False
        if len(self._rest) > LINE_MAX:
            if not self._cut:
                found.append(self._shown(self._rest))
            self._rest, self._cut = b"", True
        return found

    def end(self) -> list[str]:
        """What has no end of line."""
        rest, self._rest = self._rest, b""
        return [self._shown(rest)] if rest and not self._cut else []

    @staticmethod
    def _shown(line: bytes) -> str:
        return terminal(line[:LINE_MAX].decode("utf-8", "replace").rstrip()) + (" …" if len(line) > LINE_MAX else "")


class Patience:
    """How long until a part that died is started again. ``chance`` draws from 0 to 1: many that died together do not start together."""

    def __init__(self, settings: Up, chance: Callable[[], float]) -> None:
        self._settings, self._chance = settings, chance
        self.failures = 0

    def after(self, lived_s: float) -> tuple[float, bool]:
        """Seconds to wait after a life of so long, and whether the part is held."""
        settings = self._settings
        self.failures = 1 if lived_s > STEADY_S else self.failures + 1
        if self.failures > settings.failures:
            return settings.held_s, True
        # At most 2 to the 60th: a float has room for it, and the bound is reached long before.
        pause = min(settings.restart_max_s, settings.restart_s * 2.0 ** min(self.failures - 1, 60))
        return pause * (0.5 + self._chance() / 2), False


class Part:
    """One part, from its first start to its end."""

    def __init__(self, plan: Plan, settings: Up, environ: Mapping[str, str], changed: Callable[[], None]) -> None:
        self.plan = plan
        self.refused = ""
        """What it said when it could not start at all."""
        self.killed = False
        """Whether it had to be, at its end."""
        self._settings, self._environ, self._changed = settings, {**environ, **plan.environ}, changed
        self._state, self._since_ns, self._pid = STARTING, time.time_ns(), 0
        self._restarts, self._why, self._last_line = 0, "", ""
        self._was_up = False

    def __repr__(self) -> str:
        return f"<Part {self.plan.name}, {self._state}>"

    @property
    def state(self) -> PartState:
        """How it is."""
        return PartState(
            self.plan.name, self._state, self._since_ns, self._pid, self._restarts, self._why, self.plan.service
        )

    async def keep(self, stop: asyncio.Event) -> None:
        """Start it, and again whenever it dies; drain it when told to. Where its first start is refused, ``stop`` is set."""
        patience = Patience(self._settings, random.random)
        hearings: list[asyncio.Task[None]] = []
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                began = time.monotonic()
                code = await self._life(stop, tasks, hearings)
                self._pid = 0
                if stop.is_set():
                    break
                if code == EXIT_USAGE and not self._was_up and not self._restarts:
                    self.refused = self._last_line.removeprefix("echolane: ") or self._why
                    stop.set()
                    break
                await self._wait(stop, code, time.monotonic() - began, patience)
                self._restarts += 1
            for hearing in hearings:
                hearing.cancel()
        self._now(ENDED)

    async def _wait(self, stop: asyncio.Event, code: int | None, lived_s: float, patience: Patience) -> None:
        pause_s, held = patience.after(lived_s)
        name, told = self.plan.name, f"; it said: {self._last_line}" if self._last_line and code and code > 0 else ""
        if held:
            tell(f"{name} {self._why}, {patience.failures} times in a row{told}; held, next try in {pause_s:.0f} s")
        else:
            tell(f"{name} {self._why}; started again in {pause_s:.1f} s")
        log.event(
            "part.held" if held else "part.died",
            part=name,
            why=self._why,
            code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
            lived_s=round(lived_s, 3),
            again_s=round(pause_s, 3),
            failures=patience.failures,
        )
        self._now(HELD if held else WAITING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()

    async def _life(
        self, stop: asyncio.Event, tasks: asyncio.TaskGroup, hearings: list[asyncio.Task[None]]
    ) -> int | None:
        """One process from its start to its end; its exit code, None where it could not be started."""
        self._last_line = ""
        self._now(STARTING)
        try:
            signs = Signs(self._settings.still_s)
        except OSError as error:  # no more descriptors
            return self._not_started(error)
        try:
            child = await self._started(signs.theirs)
        except OSError as error:  # no more processes, no memory
            signs.close()
            return self._not_started(error)
        signs.handed_over()
        self._pid = child.pid
        ready = asyncio.Event()
        hearing = tasks.create_task(self._hear(child, ready))
        hearings[:] = [one for one in hearings if not one.done()] + [hearing]
        for old in hearings[:-HEARD_MAX]:
            old.cancel()
        exited = asyncio.ensure_future(child.wait())
        try:
            why = await self._watched(child, exited, (stop, ready), signs)
            code = await exited
        finally:
            exited.cancel()
            signs.close()
        await asyncio.wait({hearing}, timeout=LAST_WORDS_S)
        self._why = why or ended_by(code)
        return code

    def _not_started(self, error: OSError) -> None:
        self._why = f"could not be started ({error.strerror})"

    async def _watched(
        self,
        child: asyncio.subprocess.Process,
        exited: asyncio.Future[int],
        told: tuple[asyncio.Event, asyncio.Event],
        signs: Signs,
    ) -> str:
        """Until it has ended, or is about to: drained when told to, killed where it does not start or stands still; why that."""
        stopping, is_ready = (asyncio.ensure_future(one.wait()) for one in told)
        waiting = {exited, stopping, is_ready}
        try:
            await wait_awake(waiting, START_S)
            if is_ready.done():
                still = asyncio.ensure_future(signs.wait_still(lambda is_still: self._stands(signs, is_still=is_still)))
                waiting = {exited, stopping, still}
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                why = f"gave no sign of life for {signs.silence.seconds:.0f} s and was killed"
            else:
                why = f"was not ready after {START_S:.0f} s"
            if exited.done():
                return ""
            if stopping.done():
                await self._drain(child, exited)
                return ""
            with contextlib.suppress(ProcessLookupError):
                child.kill()  # it hears nothing
            return why
        finally:
            for one in {stopping, is_ready, *waiting} - {exited}:
                one.cancel()

    def _stands(self, signs: Signs, *, is_still: bool) -> None:
        """It stands still, or goes on."""
        if self._state not in {UP, STILL}:
            return
        silence = signs.silence
        if is_still:
            told = f"no sign of life for {silence.seconds:.0f} s; killed and started again after {silence.bound_s:g} s"
            tell(f"{self.plan.name} stands still: {told}")
        else:
            tell(f"{self.plan.name} gives signs of life again")
        log.event("part.still" if is_still else "part.moves", part=self.plan.name, pid=self._pid)
        self._now(STILL if is_still else UP)

    async def _started(self, signs: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "console.up_part",
            str(os.getpid()),
            str(signs),
            *self.plan.words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[signs],
            env=self._environ,
            start_new_session=True,  # Ctrl-C is for us, who tell each part
        )

    async def _hear(self, child: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
        """Give through what it says, each line with its name."""
        assert child.stderr is not None  # noqa: S101 - it was asked for
        lines = Lines()
        while True:
            data = await child.stderr.read(LINE_MAX)
            for line in lines.feed(data) if data else lines.end():
                tell(f"{self.plan.name} | {line}")
                if child.pid == self._pid:
                    self._last_line = line
                    if line.startswith(self.plan.ready) and not ready.is_set():
                        self._was_up = True
                        ready.set()
                        self._now(UP)
            if not data:
                return

    async def _drain(self, child: asyncio.subprocess.Process, exited: asyncio.Future[int]) -> None:
        """Let it end in good order, within its bound."""
        self._now(DRAINING)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
            await wait_awake({exited}, self._settings.drain_s)
            if not exited.done():
                self.killed = True
                tell(f"{self.plan.name} did not end within {self._settings.drain_s:g} s and is killed")
                log.event("part.outlasted", part=self.plan.name, pid=child.pid, drain_s=self._settings.drain_s)
                child.kill()

    def _now(self, state: str) -> None:
        self._state, self._since_ns = state, time.time_ns()
        self._changed()
