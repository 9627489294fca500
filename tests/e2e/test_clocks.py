"""A wall clock that is set by hours while a run goes on: the schedule is on the monotonic clock, and nothing is lost."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.e2e.clock_parts import HOUR_S, WallClock
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import World
from tests.waiting import wait_until

COUNT, RATE_PER_S = 120, 10
JUMP_AT = 20
"""Most of the run is still to come."""
CALM_S = 60.0
"""A lease that does not end while a busy machine lets its holder wait: nothing comes twice."""


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("workers", ["own", "shared"])
def test_a_run_keeps_its_schedule_and_its_account_when_the_clock_is_set(
    world: World, lacking: Callable[[str], NoReturn], workers: str, hours: int
) -> None:
    """An hour forward or back in the middle: none comes early, none waits for the clock, each is fired and compared once, the result stands."""
    clock = WallClock(world.folder, lacking)
    stage = Stage(world, COUNT, 12, lease_s=CALM_S)
    world.environ |= clock.environ
    if workers == "shared":
        for role in ("replay", "replay", "diff"):
            stage.worker(role)
    words = stage.words("--workers", workers, "--pace", f"{RATE_PER_S}/s", "--wait", "60")
    launched = time.monotonic()
    asking = world.start(sys.executable, "-m", "console.main", *words)
    wait_until(lambda: stage.arrived() >= JUMP_AT, WAIT_S)
    clock.set(hours * HOUR_S)
    wait_until(lambda: stage.arrived() >= COUNT, WAIT_S)
    # The first is due after the command was given, and the last so long after the first.
    assert time.monotonic() - launched >= (COUNT - 1) / RATE_PER_S
    assert asking.wait(WAIT_S) == 1
    result = stage.result()
    stage.check(result)
    assert result["ledger"]["fired"] == COUNT
    assert stage.twice() == ([], 0)
    stage.in_order()
