"""A run that is watched while the store is away: the stream stays open, and goes on with the run once the store is back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from console.api import live, reading
from console.api.context import Call
from echolane.errors import StoreDown


class Answer:
    """What was sent, chunk by chunk."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def write(self, data: bytes) -> None:
        """One chunk."""
        self.sent.append(data)


def watched(states: list[str | None], *, holds: Callable[[int], bool] = lambda _look: True) -> list[bytes]:
    """What is sent of a run that is so at each look; None is a look at a store that is away."""
    looks = iter(range(len(states)))
    at = -1

    async def read(function: Any, *_: Any) -> Any:
        nonlocal at
        if function is reading.run_of:
            at = next(looks)
            if states[at] is None:
                raise StoreDown("the store does not answer")
            return SimpleNamespace(goes_on=states[at] != "finished")
        if function is reading.state_told:
            return {"state": states[at]}
        return "a token" if holds(at) else None

    async def scene() -> list[bytes]:
        answer = Answer()
        site = SimpleNamespace(stopping=asyncio.Event(), read=read)
        call = cast("Call", SimpleNamespace(site=site, token=None, cookie=""))
        async with asyncio.timeout(60):
            await live._tell(call, "r1", cast("Any", answer))
        return answer.sent[1:]

    return asyncio.run(scene())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that follow each other at once."""
    monkeypatch.setattr(live, "LOOK_S", 0.001)
    monkeypatch.setattr(live, "AWAY_S", 0.001)


def test_a_stream_goes_on_when_the_store_is_back() -> None:
    """A comment says that the store is away; what the run is then is told once, and its end as ever."""
    assert watched(["running", None, None, "running", "finished"]) == [
        b'event: state\ndata: {"state":"running"}\n\n',
        live.AWAY,
        live.AWAY,
        b'event: ended\ndata: {"state":"finished"}\n\n',
    ]


def test_who_may_watch_no_longer_is_told_so_while_the_store_is_away() -> None:
    """A token that ends meanwhile ends the stream, whatever the store does."""
    told = watched(["running", None, None, None], holds=lambda look: look < 2)
    assert told[1] == live.AWAY
    assert told[2].startswith(b"event: denied\n")
    assert len(told) == 3
