"""How many landed flights may wait for their observation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from replayer.observing import WAITING_MAX, WAITING_UNPACED_MAX, Observer


@pytest.mark.parametrize(("paced", "most"), [(True, WAITING_MAX), (False, WAITING_UNPACED_MAX)])
async def test_shots_are_held_back_until_few_enough_wait_to_be_summed_up(*, paced: bool, most: int) -> None:
    """Beyond its bound of landed flights, which is lower where no instant is kept, the observer is full, and it says when that ends."""
    heard: list[bool] = []
    nothing: Any = None
    observer = Observer(
        nothing, "observations.run", None, nothing, paced=paced, emptied=lambda: heard.append(observer.full)
    )
    for count in range(1, most + 1):
        assert not observer.full
        observer.take(nothing)
        assert observer.full == (count == most)
    observer._landed.clear()  # as if all were summed up
    await asyncio.sleep(0)
    assert heard == [False]
