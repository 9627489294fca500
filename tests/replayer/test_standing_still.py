"""A replayer that stood still itself: what came meanwhile is an answer, and what did not is given up all the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from replayer import connection as module
from replayer.connection import SWEEP_S, Connection, LiveShot, Patience, Pool
from tests.replayer.test_replay import OK

TURN_NS = int(SWEEP_S * 1e9)


def in_flight() -> tuple[Pool, Connection, LiveShot]:
    """A pool that was swept in time until now, and a shot that was just sent."""
    pool, shot = Pool(("127.0.0.1", 1), lambda _: None, patience=Patience(1.0, 1.0, 2.0)), LiveShot(b"")
    for turn in range(100):
        pool.sweep(turn * TURN_NS)
    connection = Connection(pool)
    pool._all.add(connection)
    connection.fire(shot)
    shot.sent_ns = 99 * TURN_NS
    return pool, connection, shot


def test_an_answer_that_came_while_we_stood_still_is_not_late() -> None:
    """Stopped for a minute under a shot: its answer, which the system has kept, is read before the shot would be given up."""
    pool, connection, shot = in_flight()
    pool.sweep(700 * TURN_NS)
    connection.data_received(OK)
    pool.sweep(701 * TURN_NS)

    assert (shot.failure, shot.answer is not None) == ("", True)


def test_what_has_not_come_is_given_up_at_the_second_look() -> None:
    """Nothing was there: it is late then, also where every sweep comes late."""
    for gap in (TURN_NS, 600 * TURN_NS):
        pool, _, shot = in_flight()
        pool.sweep(700 * TURN_NS)
        assert shot.failure == ""
        pool.sweep(700 * TURN_NS + gap)
        assert shot.failure == "first-byte-timeout"


CONNECT_S = 0.05


def opened(monkeypatch: pytest.MonkeyPatch, *stalls_s: float) -> tuple[str, int]:
    """How a connection fails of which each try stands still for so long, and then comes to nothing where there is another; and the tries."""
    tries = 0
    monkeypatch.setattr(module, "ASLEEP_NS", int(CONNECT_S * 1e9))

    async def create(make: Any, *_address: object) -> None:
        nonlocal tries
        tries += 1
        make()
        time.sleep(stalls_s[tries - 1])  # noqa: ASYNC251 - nothing of this process goes on meanwhile
        if tries < len(stalls_s):
            await asyncio.sleep(600)

    async def scene() -> str:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create)
        failures: list[str] = []
        await Pool(("127.0.0.1", 1), lambda _: None, patience=Patience(CONNECT_S, 1.0, 2.0))._open(
            lambda _connection, failure: failures.append(failure)
        )
        return failures[0]

    return asyncio.run(scene()), tries


def test_a_connection_that_came_while_we_stood_still_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time ran out before this process could look: it is opened once more, and once only."""
    assert opened(monkeypatch, CONNECT_S * 4, 0) == ("", 2)
    assert opened(monkeypatch, CONNECT_S * 4, CONNECT_S * 4, 0) == ("connect-timeout", 2)
