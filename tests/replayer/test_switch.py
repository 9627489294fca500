"""The kill switch: once it is thrown nothing more is sent, whatever was on its way, and the account balances."""

from __future__ import annotations

import asyncio

import pytest

from echolane.errors import RefusedForSafety
from echolane.exchange import Body
from replayer.connection import Patience
from replayer.switch import STOP, Switch, refuse_while_stopped
from tests.replayer.conftest import QUICK
from tests.replayer.test_replay import OK, check_ledger, ok


async def settled(servers):
    """What has arrived, once nothing more comes."""
    before = -1
    while (now := sum(len(server.seen) for server in servers)) != before:
        before = now
        await asyncio.sleep(0.3)
    return now


async def test_nothing_is_sent_once_the_switch_is_thrown(stage, exchange, serving):
    """What was in the air is given up as cancelled, the rest is skipped as interrupted; resume does all of it, each once answered."""
    thrown, at = [], []

    def slowly(request, number):
        if number == 40:
            thrown.append("the run was stopped by a test")
        return [0.02, OK]

    def look():
        if thrown:
            at.append([len(server.seen) for server in servers])
        return thrown[0] if thrown else ""

    async with serving(slowly, slowly, slowly, slowly) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(400)])
        stage.plan([server.url for server in servers], concurrency=8)
        summary = await stage.fire(halted=look)
        assert (summary.state, summary.reason) == ("interrupted", "the run was stopped by a test")
        seen = check_ledger(stage, summary)
        assert {one.skipped for one in seen} == {"", "interrupted"}
        assert {one.not_compared for one in seen if not one.skipped} == {"", "cancelled"}
        await settled(servers)
        # What had been written to a socket when it was thrown may still be read from it: no more than was in the air.
        assert all(len(server.seen) - then <= 8 for server, then in zip(servers, at[0], strict=True))
        thrown.clear()
        again = await stage.fire()
    assert again.state == "finished"
    assert all(not one.skipped and not one.not_compared for one in check_ledger(stage, again))


async def test_what_is_connecting_and_what_waits_for_its_intent_is_not_sent(stage, exchange, serving, monkeypatch):
    """Writes whose connections stand only after the switch was thrown reach nobody, and no later run fires them."""
    from replayer.connection import Pool

    connecting = asyncio.Event()
    opens = Pool._open

    async def late(pool, opened):
        connecting.set()
        await asyncio.sleep(0.5)
        await opens(pool, opened)

    monkeypatch.setattr(Pool, "_open", late)
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", method="POST", body=Body(b"x", 1)) for n in range(3)])
        stage.plan([server.url for server in servers], methods="all")
        summary = await stage.fire(halted=lambda: "thrown" if connecting.is_set() else "")
        seen = check_ledger(stage, summary)
        assert [one.not_compared or one.skipped for one in seen] == ["cancelled", "interrupted", "interrupted"]
        assert await settled(servers) == 0
        await stage.fire()
        assert servers[0].lines == ["POST /1", "POST /2"]


async def test_a_target_that_is_down_is_not_probed_any_more(stage, exchange, serving):
    """Paused and thrown: the run ends at once, without waiting for probes, and none of them is sent."""
    thrown = []

    def hangs(request, number):
        if b"HEAD / " in request or number > 8:
            thrown.append("thrown")
        return [30.0, OK]

    async with serving(hangs, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(50)])
        stage.plan([server.url for server in servers], concurrency=8)
        summary = await stage.fire(
            halted=lambda: thrown[0] if thrown else "",
            patience=QUICK,
            probe_gap_s=60.0,
            probe_patience=Patience(1.0, 60.0, 60.0),
        )
        assert summary.state == "interrupted"
        seen = check_ledger(stage, summary)
        assert {one.not_compared or one.skipped for one in seen} == {"cancelled", "interrupted"}
        count = await settled(servers)
        assert count == sum(len(server.seen) for server in servers)


async def test_a_run_that_is_stopped_before_it_began_sends_nothing(stage, exchange, serving):
    """The switch is looked at before the first shot."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(30)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(halted=lambda: "thrown")
        assert {one.skipped for one in check_ledger(stage, summary)} == {"interrupted"}
        assert await settled(servers) == 0


def test_the_switch_is_two_files(stage):
    """One for all that fires from a home, one for a run; what cannot be looked at is thrown."""
    switch = Switch(stage.home, "r1")
    assert switch.thrown() == ""
    switch.cancel()
    assert switch.thrown() == "the run was cancelled"
    assert Switch(stage.home, "r2").thrown() == ""
    switch.take_back()
    refuse_while_stopped(stage.home)
    (stage.home.path / STOP).touch()
    assert switch.thrown() == f"the run was stopped by {stage.home.path / STOP}"
    with pytest.raises(RefusedForSafety, match="STOP is there"):
        refuse_while_stopped(stage.home)
