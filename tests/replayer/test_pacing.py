"""What a run does about time: late exchanges, and a target that is slower than the pace."""

from __future__ import annotations

from tests.replayer.test_replay import OK, check_ledger, ok


def slowly(request, number):
    """An answer that takes longer than the pace leaves."""
    return [0.05, OK]


async def test_what_is_too_late_is_skipped_but_for_what_others_need(stage, exchange, serving):
    """Two places at targets that take 50 ms, a thousand due a second: the late ones are skipped and counted, cookies are fetched."""
    login = exchange(30, "/30", session=f"{30:016x}", answer=[(b"Set-Cookie", b"sid=1")])
    async with serving(slowly, ok, slowly, ok) as servers:
        stage.record([login if n == 30 else exchange(n, f"/{n}", session=f"{n:016x}") for n in range(60)])
        stage.plan([server.url for server in servers], pace="1000/s", concurrency=2)
        summary = await stage.fire(late_ns=20_000_000)
        seen = check_ledger(stage, summary)
        late = {one.seq for one in seen if one.skipped}
        assert {one.skipped for one in seen} == {"", "late"}
        assert summary.skipped == {"late": len(late)}
        assert summary.fired == 60 - len(late)
        assert 30 not in late
        for server in servers:
            assert sorted(server.lines) == sorted(f"GET /{n}" for n in range(60) if n not in late)
        again = await stage.fire(late_ns=20_000_000)
    assert (again.fired, again.skipped) == (0, {})


async def test_late_exchanges_are_fired_where_nothing_else_is_said(stage, exchange, serving):
    """However late: nothing is lost by being slow."""
    async with serving(slowly, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(20)])
        stage.plan([server.url for server in servers], pace="1000/s", concurrency=2)
        summary = await stage.fire()
    assert [one.skipped for one in check_ledger(stage, summary)] == [""] * 20
