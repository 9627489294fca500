"""Run a service: uvloop, signals as one event, signs of life, children that die with their parent. The one door to uvloop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from echolane import vital

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


def run(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """Run ``main(stop)`` on uvloop. The first SIGINT or SIGTERM sets ``stop``; the second cancels: KeyboardInterrupt."""
    impatient = False

    async def supervised() -> T:
        loop, stop, task = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()

        def asked() -> None:
            nonlocal impatient
            if stop.is_set() and task is not None:
                impatient = True
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)  # a third one ends the process as the system does
                task.cancel()
            stop.set()

        def turns() -> None:
            vital.sign()
            loop.call_later(vital.EVERY_S, turns)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)
        if vital.is_watched():
            turns()
        return await main(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(supervised())
        except asyncio.CancelledError:
            if impatient:
                raise KeyboardInterrupt from None
            raise


def die_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to signal this process when its parent dies; ends at once when the parent has died already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)


def ended_by(code: int) -> str:
    """How a process ended, in words."""
    if code == -signal.SIGVTALRM:
        return "computed for longer than it may"
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
