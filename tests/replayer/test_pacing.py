"""What a run does about time: late exchanges, and a target that is slower than the pace."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, strategies as st

from echolane.errors import UsageError
from echolane.exchange import Body
from replayer.restraint import AGAIN_MAX, WAIT_ALL_S, Restraint, retry_after
from replayer.stopping import WINDOW_MIN, Watch, parse_condition
from tests.replayer.test_replay import OK, check_ledger, ok

SECOND = 1_000_000_000


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


BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n"


async def test_a_target_that_asks_for_time_is_given_it_and_asked_again(stage, exchange, serving):
    """503 with Retry-After: nothing arrives at any target for as long; what was refused is fired again before its session goes on."""
    seen_at = []

    def busy_once(request, number):
        seen_at.append(asyncio.get_running_loop().time())
        return BUSY % b"1" if number == 5 else OK

    async with serving(ok, ok, busy_once, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(12)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [[shot.outcome for shot in one.shots] for one in seen] == [["answered"] * 4] * 12
    assert [one.answer_of(2).status for one in seen] == [200] * 12
    for server in servers:
        assert server.lines == [f"GET /{n}" for n in (0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11)]
    assert seen_at[5] - seen_at[4] >= 0.99
    assert summary.retry_after == {"branch": {"times": 1, "longest_s": 1.0, "waited_s": 1.0, "fired_again": 1}}
    assert summary.fired == 12


async def test_a_version_that_is_always_busy_is_compared_as_such(stage, exchange, serving):
    """A few times again, then its answer stands; what was recorded so needs no time; a write is never fired again."""

    def refuses(request, number):
        return BUSY % b"0" if b"/busy" in request else OK

    busy = [
        exchange(0, "/busy"),
        exchange(1, "/busy", status=503),
        exchange(2, "/busy", method="POST", body=Body(b"x", 1)),
    ]
    async with serving(ok, ok, refuses, ok) as servers:
        stage.record([*busy, exchange(3, "/fine")])
        stage.plan([server.url for server in servers], methods="all")
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [one.answer_of(2).status for one in seen] == [503, 503, 503, 200]
    for server in servers:
        assert server.lines == ["GET /busy"] * (1 + AGAIN_MAX + 1) + ["POST /busy", "GET /fine"]
    assert summary.retry_after["branch"]["fired_again"] == AGAIN_MAX


async def test_a_wait_that_is_asked_for_is_bounded(stage, exchange, serving):
    """An hour is not waited; the bound is, and it is said what was asked for."""

    def busy_once(request, number):
        return BUSY % b"3600" if number == 1 else OK

    async with serving(ok, ok, busy_once, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(3)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(retry_after_max_s=0.2)
    assert [one.answer_of(2).status for one in check_ledger(stage, summary)] == [200] * 3
    assert summary.retry_after["branch"]["longest_s"] == 3600
    assert summary.retry_after["branch"]["waited_s"] == 0.2


async def test_a_stop_leaves_what_waits_for_a_busy_target_for_a_resume(stage, exchange, serving):
    """Stopped while a target is given time: the account balances, and resume fires the rest once."""
    stop = asyncio.Event()

    def busy(request, number):
        if number == 3:
            stop.set()
        return BUSY % b"30" if number == 3 else OK

    async with serving(ok, ok, busy, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(6)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(stop, drain_s=0.1)
        assert [one.skipped for one in check_ledger(stage, summary)][:2] == ["", ""]
        again = await stage.fire()
    assert again.state == "finished"
    assert [one.answer_of(2).status for one in check_ledger(stage, again)] in (
        [200] * 6,
        [200, 200, 503, 200, 200, 200],
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1000), st.integers(0, 10_000)), max_size=60))
def test_no_target_is_waited_for_longer_than_in_all_it_may(asked):
    """However often and for however long: each wait within its bound, all of a target within theirs, time never goes back."""
    restraint, now_ns = Restraint(30.0), 0
    for index, seconds, passes_ms in asked:
        now_ns += passes_ms * 1_000_000
        before = restraint.until_ns
        restraint.heard(index, [(b"Retry-After", b"%d" % seconds)], 200, now_ns)
        assert restraint.until_ns >= before
        assert restraint.until_ns <= max(before, now_ns + 30 * SECOND)
    assert all(one.waited_s <= WAIT_ALL_S + 1e-6 for one in restraint.asked)
    assert sum(one.waited_s for one in restraint.asked) <= (restraint.until_ns or 0) / 1e9 + 1e-6


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "5"}, 5), ({"retry-after": " 0 "}, 0), ({"Retry-After": "9" * 400}, 999_999_999_999), ({}, None),
        ({"Retry-After": "-1"}, None), ({"Retry-After": "soon"}, None), ({"Retry-After": "1.5"}, None), ({"Retry-After": "\u00b2"}, None),
        ({"Retry-After": "Wed, 25 Nov 2026 18:00:30 GMT", "Date": "Wed, 25 Nov 2026 18:00:00 GMT"}, 30),
        ({"Retry-After": "Wed, 25 Nov 2026 17:00:00 GMT", "Date": "Wed, 25 Nov 2026 18:00:00 GMT"}, 0),
        ({"Retry-After": "Wed, 25 Nov 2026 18:00:30 GMT"}, None), ({"Retry-After": "Wed, 99 Nov 2026 18:00:30 GMT", "Date": "x"}, None),
    ],
)  # fmt: skip
def test_what_a_target_asks_for(headers, seconds):
    """Seconds, or a date against the answer's own: a clock of ours that is wrong or jumps is not in it."""
    assert retry_after([(name.encode(), value.encode("latin-1")) for name, value in headers.items()]) == seconds


async def test_a_condition_ends_the_run_and_says_what_was_seen(stage, exchange, serving):
    """Branch breaks in the middle: the run ends with the rest unfired, names the condition, and resume goes on."""

    def breaks(request, number):
        return b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n" if number > 200 else OK

    async with serving(ok, ok, breaks, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n % 8:016x}") for n in range(3000)])
        stage.plan([server.url for server in servers], concurrency=8)
        summary = await stage.fire(stop_on=[parse_condition("base:errors>0%"), parse_condition("errors>5%")])
        assert summary.state == "stopped"
        assert summary.reason.startswith("--stop-on errors>5%: branch failed ")
        seen = check_ledger(stage, summary)
        assert {one.skipped for one in seen} == {"", "interrupted"}
        servers[2].answerer = ok
        again = await stage.fire()
    assert again.state == "finished"
    assert summary.fired + again.fired == 3000


def test_conditions_are_read_and_judged():
    """Errors by share, times by percentile, one target or any; nothing before fifty; what was recorded as an error is none."""
    watch = Watch([parse_condition("errors > 10%")])
    for n in range(WINDOW_MIN - 1):
        watch.note(2, 500 if n < 20 else 200, 200, 1.0)
    assert watch.holds() == ""
    watch.note(2, 200, 200, 1.0)
    assert watch.holds() == "--stop-on errors > 10%: branch failed 20 of its last 50 requests"
    for status, recorded in ((0, 200), (500, 500), (429, 503), (404, 200)):
        watch = Watch([parse_condition("branch:errors>99%")])
        for _ in range(60):
            watch.note(2, status, recorded, 1.0)
            watch.note(0, 0, 200, 1.0)
        assert bool(watch.holds()) is (status == 0)
    watch = Watch([parse_condition("p90>20ms")])
    for n in range(100):
        watch.note(1, 200, 200, 50_000.0 if n >= 91 else 1.0)
    assert watch.holds() == ""
    for _ in range(5):
        watch.note(1, 200, 200, 50_000.0)
    assert watch.holds().startswith("--stop-on p90>20ms: control took 0.05 s or more for 0.1 of its last 105")


@pytest.mark.parametrize(
    "text",
    ["", "errors", "errors>5", "errors>100%", "errors<5%", "p5>1s", "p100>1s", "p99>1", "canary:errors>5%", "p99>2h"],
)
def test_a_condition_that_is_none_is_refused(text):
    """With the forms that there are."""
    with pytest.raises(UsageError, match="use errors>5%, p99>2s"):
        parse_condition(text)
