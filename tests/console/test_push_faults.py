"""A disk that takes no more: a push is kept or it is not, and the server goes on."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console.api.push_desk import PushDesk
from console.api.push_log import PushLog
from console.api.push_work import PushWork
from console.api.pushes import Push, Step
from echolane.errors import HomeError, UsageError
from echolane.home import open_home

ONE, TWO = "1" * 40, "2" * 40


@contextmanager
def full() -> Iterator[None]:
    """Files grow no further than a byte, which a write meets as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def push(commit: str) -> Push:
    """A push of the branch `a`."""
    return Push("shop/github", "shop", "acme/shop", "a", commit, 1, f"run-{commit[:4]}", "hook")


async def test_a_push_that_was_not_written_is_taken_in_when_it_is_told_again(tmp_path: Path) -> None:
    """Its first delivery is refused, so the forge tells it again, and then it is there, after a restart too."""
    log = PushLog(open_home(tmp_path / "home"))
    desk = PushDesk(log)
    await desk.open()
    await desk.take([(push(ONE), Step("", ONE, 1))], ["d1"])
    with full(), pytest.raises(HomeError):
        await desk.take([(push(TWO), Step(ONE, TWO, 2))], ["d2"])
    assert [one.commit for one in desk.book.of("waiting")] == [ONE]

    assert await desk.take([(push(TWO), Step(ONE, TWO, 2))], ["d2"]) is not None
    again = PushDesk(log)
    await again.open()
    assert [one.commit for one in again.book.of("waiting")] == [TWO]


async def test_a_mark_that_cannot_be_written_does_not_end_the_server(tmp_path: Path) -> None:
    """A push that fails for good while the disk is full is left to be tried again."""

    async def mark(*_: Any) -> None:
        raise HomeError("`pushes.log` cannot be written: No space left on device")

    def find(_: str) -> Any:
        raise UsageError("its hook is wrong")

    pushes = SimpleNamespace(mark=mark, changed=asyncio.Event())
    site: Any = SimpleNamespace(home=open_home(tmp_path / "home"), pushes=pushes, hooks=SimpleNamespace(find=find))
    stop = asyncio.Event()
    stop.set()

    await PushWork(site)._seen_through(push(ONE), "run", stop)
    assert pushes.changed.is_set()
