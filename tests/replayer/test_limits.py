"""Places at a target: as many as it answers without queueing, fewer when it fails, and a slow one never takes another's."""

from __future__ import annotations

import asyncio
import heapq
import random

import pytest
from hypothesis import given, strategies as st

from replayer.limits import Limit, Places
from tests.replayer.test_replay import OK, check_ledger, ok


def driven(limit, workers, rounds, rng, *, base_us=2_000.0, slow=1.0):
    """A closed loop against so many workers that each take about as long; the limit after each answer. Time is simulated."""
    free, flying, now, trace = [0.0] * workers, [], 0.0, []
    for _ in range(rounds):
        while len(flying) < int(limit.now):
            start = max(now, heapq.heappop(free))
            endpoint = rng.choice(["GET /a", "GET /slow"])
            done = start + base_us * (slow if endpoint == "GET /slow" else 1) * rng.uniform(0.8, 1.2)
            heapq.heappush(free, done)
            heapq.heappush(flying, (done, now, endpoint))
        done, sent, endpoint = heapq.heappop(flying)
        now = done
        limit.note(endpoint, now - sent, overload=False, in_flight=len(flying) + 1)
        trace.append(limit.now)
    return trace


@pytest.mark.parametrize("workers", [1, 4, 16, 40])
@pytest.mark.parametrize("slow", [1.0, 20.0])
def test_a_limit_settles_a_little_above_what_a_target_does_at_once(workers, slow):
    """All its workers are busy, and few requests wait: also where one endpoint is twenty times slower than the other."""
    trace = driven(Limit(256, adaptive=True), workers, 12_000, random.Random(workers), slow=slow)
    settled = sorted(trace[6_000:])
    middle = settled[len(settled) // 2]
    assert workers <= middle <= workers * 1.6 + 10, middle
    assert settled[-1] <= workers * 2 + 20


@given(
    st.lists(st.tuples(st.floats(0, 1e7), st.booleans(), st.integers(1, 64), st.sampled_from("abc")), max_size=400),
    st.integers(1, 64),
)
def test_a_limit_stays_within_its_bounds(answers, most):
    """Whatever is answered: one place at least, and never more than were given."""
    limit = Limit(most, adaptive=True)
    for us, overload, in_flight, endpoint in answers:
        limit.note(endpoint, us, overload=overload, in_flight=in_flight)
        assert 1 <= limit.now <= most
        assert 1 <= limit.least <= limit.now


def a_round(limit, *, overload=False, in_flight=64):
    """Answers until a round has ended; one of them a sign of overload."""
    limit.note("e", 1000.0, overload=overload, in_flight=in_flight)
    while limit._count:
        limit.note("e", 1000.0, overload=False, in_flight=in_flight)


def test_overload_takes_a_third_and_calm_gives_it_back():
    """A round with a failure shrinks it; rounds without let it grow by one, only while its places are used."""
    limit = Limit(64, adaptive=True)
    seen = []
    for _ in range(8):
        a_round(limit)
        seen.append(limit.now)
    assert seen == [2, 4, 8, 16, 32, 64, 64, 64]
    a_round(limit, overload=True)
    assert limit.now == pytest.approx(64 * 2 / 3)
    a_round(limit, in_flight=2)
    assert limit.now == pytest.approx(64 * 2 / 3)
    a_round(limit)
    assert limit.now == pytest.approx(64 * 2 / 3 + 1)
    for _ in range(30):
        a_round(limit, overload=True)
    assert limit.now == 1


def test_a_fixed_limit_is_left_alone():
    """Without --adaptive it is what was asked for."""
    limit = Limit(16)
    assert limit.now == 16


async def test_an_adaptive_run_fires_all_and_backs_off_from_a_target_that_breaks(stage, exchange, serving):
    """Branch answers 503 to every third request: it gets few places, and nothing is lost."""

    def overloaded(request, number):
        return b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if number % 3 == 0 else OK

    async with serving(ok, ok, overloaded, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(400)])
        stage.plan([server.url for server in servers], concurrency=32)
        summary = await stage.fire(adaptive=True)
    assert [one.skipped for one in check_ledger(stage, summary)] == [""] * 400
    assert summary.concurrency["branch"]["last"] <= 4


async def test_a_slow_control_does_not_hold_up_what_does_not_go_there(stage, exchange, serving):
    """A control that gets every second one hangs over its first two: base and branch get the others meanwhile."""
    enough = asyncio.Event()

    def counted(request, number):
        if number == 14:
            enough.set()
        return OK

    def slow(request, number):
        return [enough, OK] if number <= 2 else OK

    async with serving(counted, slow, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(100)])
        stage.plan([server.url for server in servers], concurrency=2)
        summary = await stage.fire(sampling=lambda _endpoint, nth: nth % 2 == 0)
    seen = check_ledger(stage, summary)
    assert [len(server.seen) for server in servers] == [100, 50, 100, 50]
    assert [one.shots[1].outcome for one in seen] == ["answered", "spared"] * 50


def test_what_a_target_answers_changes_its_places_and_no_other_s():
    """A place more after answers without a queue, the other target's as before; taken and left, places are as many as its limit says."""
    places = Places(64, adaptive=True)
    for _ in range(400):
        most = places.told()["branch"]["last"]
        places.take([2] * most)
        assert not places.has([2])
        for freed in range(most):
            assert places.leave(2) == (freed == 0)
            places.measure(2, "GET /a", 1000.0, overload=False)
    assert places.told()["branch"]["last"] > places.told()["base"]["last"] == 1
