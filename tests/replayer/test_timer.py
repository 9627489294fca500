"""The absolute timer: rings at the instant that was set last, once, by timerfd and without it."""

from __future__ import annotations

import asyncio
import time

import pytest

from replayer.timer import Timer

MS = 1_000_000


@pytest.mark.parametrize("precise", [True, False])
async def test_it_rings_once_at_the_instant_that_was_set_last(precise):
    """Never before it, whatever was set before, and at once for an instant that has passed."""
    rung: list[int] = []
    heard = asyncio.Event()

    def ring():
        rung.append(time.monotonic_ns())
        heard.set()

    timer = Timer(asyncio.get_running_loop(), ring, precise=precise)
    assert timer.precise == precise
    due = time.monotonic_ns() + 20 * MS
    timer.set(due + 300_000 * MS)
    timer.set(due)
    await asyncio.wait_for(heard.wait(), 60)
    assert due - MS * (not precise) <= rung[0]
    heard.clear()
    timer.set(due)
    await asyncio.wait_for(heard.wait(), 60)
    timer.set(time.monotonic_ns() + 20 * MS)
    timer.close()
    await asyncio.sleep(0.1)
    assert len(rung) == 2


async def test_it_is_precise_where_the_machine_can():
    """Linux has timerfd, so the schedule is absolute here."""
    timer = Timer(asyncio.get_running_loop(), lambda: None)
    assert repr(timer) == "<Timer timerfd, idle>"
    timer.close()
