"""A part of a shared run that changes hands while it is fired."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import pytest
from msgspec.structs import replace as changed

from console.diffing import DiffWorker
from echolane.errors import Fenced
from echolane.exchange import Body, Response
from echolane.frame import decode_frame
from echolane.observation import Observation
from echolane.runlog import ASKED, Asked, RunLog, Shared, Watching, progress_topic
from echolane.settings import Settings
from replayer.fire import Replay
from replayer.intents import Intents, intents_topic
from replayer.observing import observations_topic
from replayer.options import ReplayOptions
from replayer.plan import work_topic
from replayer.preparing import prepared
from replayer.slices import Crowd, Hold, Slice
from replayer.targets import make_targets, resolve
from replayer.worker import GONE_S, ReplayWorker, _Serving
from tests.replayer.conftest import PATIENT
from tests.replayer.test_switch import settled

GROUP = "replayer.1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def threads():
    """The journal's thread, and the commits' own."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        yield one, two


class Hands:
    """Whose a partition is: this worker's until it is taken away."""

    def __init__(self, stage, threads, concurrency=4):
        self.stage, self.mine, self.threads, self.crowd = stage, True, threads, Crowd(concurrency)
        self.shared = Shared(Asked(stage.spec, 0, "1"), began_ns=time.time_ns())
        self.commits = []
        self.options = ReplayOptions(concurrency=4, patience=PATIENT, drain_s=20.0)

    def commit(self, position):
        """Remember it, while it is this worker's."""
        if not self.mine:
            raise Fenced("another's")
        self.commits.append(position)
        self.stage.journal.commit(GROUP, work_topic(self.stage.spec.run), 0, position)

    async def slice(self):
        """The worker's share, from where it was committed."""
        spec, journal = self.stage.spec, self.stage.journal
        targets = await resolve(make_targets(spec.targets, [], [], spec.methods))
        start = journal.committed(GROUP, work_topic(spec.run), 0)
        hold = Hold(0, 1, start, lambda: self.mine, self.commit, *self.threads)
        return Slice(journal, self.shared, targets, self.options, hold, self.crowd)


def planned(stage, exchange, servers, count=40, **more):
    """A run of one partition that workers share."""
    stage.record([exchange(n, f"/{n}", session=f"{n % 8:016x}", **more) for n in range(count)])
    stage.plan([server.url for server in servers], partitions=1, methods="all")
    for topic in (observations_topic(stage.spec.run), intents_topic(stage.spec.run)):
        stage.journal.create(topic, 1)


def slowly(request, number):
    """An answer that takes a moment."""
    return [0.02, OK]


async def arrived(server, number):
    """Wait until a target got so many."""
    await come(lambda: len(server.lines) >= number)


async def come(true):
    """Wait for a condition, as :func:`tests.waiting.wait_until` does, beside whoever makes it true in this loop."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - what servers and the journal count
            await asyncio.sleep(0.002)


async def test_a_part_is_fired_to_its_end_and_committed(stage, exchange, serving):
    """Every exchange is observed once, and what is committed is the end of the work."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        with threads() as pair:
            hands = Hands(stage, pair)
            await (await hands.slice()).work_off(asyncio.Event())
    assert [one.seq for one in stage.observations()] == list(range(40))
    assert hands.commits[-1] == stage.journal.end(work_topic(stage.spec.run), 0)
    assert hands.crowd.slices == []
    assert hands.crowd.fired() == 40


async def test_a_worker_holds_its_fire_while_the_switch_is_thrown_and_then_goes_on(stage, exchange, serving):
    """The run is others', too, so it does not end; nothing arrives meanwhile, and all of it afterwards."""
    thrown = []
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        with threads() as pair:
            hands = Hands(stage, pair)
            hands.options = replace(hands.options, halted=lambda: thrown[0] if thrown else "")
            working = asyncio.ensure_future((await hands.slice()).work_off(asyncio.Event()))
            await arrived(servers[0], 12)
            thrown.append("stopped by a test")
            assert await settled(servers) < 4 * 40
            assert not working.done()
            thrown.clear()
            await working
    assert [one.seq for one in stage.observations()] == list(range(40))
    assert sorted(servers[0].lines) == sorted(f"GET /{n}" for n in range(40))


async def test_who_stops_reading_ends_the_reading(stage, exchange, serving):
    """In the journal's thread, at once: left to the collector it would end in any thread, under any lock that this one holds."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        with threads() as pair:
            hands = Hands(stage, pair)
            part = await hands.slice()
            part._ahead_items = 4
            working = asyncio.ensure_future(part.work_off(asyncio.Event()))
            await arrived(servers[0], 4)
            assert inspect.getgeneratorstate(part._items) in {inspect.GEN_SUSPENDED, inspect.GEN_RUNNING}
            hands.mine = False
            with pytest.raises(Fenced):
                await working
            await asyncio.get_running_loop().run_in_executor(pair[0], lambda: None)
            assert inspect.getgeneratorstate(part._items) == inspect.GEN_CLOSED


async def test_what_is_another_s_is_left_alone_at_once(stage, exchange, serving):
    """The partition goes in the middle: no shot and no observation more; who takes it fires the rest, and little again."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        with threads() as pair:
            first, second = Hands(stage, pair), Hands(stage, pair)
            sleeper = await first.slice()
            working = asyncio.ensure_future(sleeper.work_off(asyncio.Event()))
            await arrived(servers[0], 12)
            first.mine = False
            fired = len(servers[0].lines)
            # One thread writes: what it was given before has been written, what comes later is not.
            await asyncio.get_running_loop().run_in_executor(pair[0], lambda: None)
            written = stage.journal.end(observations_topic(stage.spec.run), 0)
            with pytest.raises(Fenced):
                await working
            assert len(servers[0].lines) - fired <= 4  # those in the air may have been on their way to the server
            assert stage.journal.end(observations_topic(stage.spec.run), 0) == written
            await (await second.slice()).work_off(asyncio.Event())
    for server in servers:
        assert {f"GET /{n}" for n in range(40)} == set(server.lines)
    assert sorted({one.seq for one in stage.observations()}) == list(range(40))


async def test_a_write_in_the_air_is_never_fired_by_who_takes_over(stage, exchange, serving):
    """Unsafe requests of a worker that lost its part are in doubt; each target sees each of them once at most."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers, method="POST", body=Body(b"x", 1))
        with threads() as pair:
            first, second = Hands(stage, pair), Hands(stage, pair)
            working = asyncio.ensure_future((await first.slice()).work_off(asyncio.Event()))
            await arrived(servers[0], 12)
            first.mine = False
            with pytest.raises(Fenced):
                await working
            await (await second.slice()).work_off(asyncio.Event())
    observed = {one.seq: one for one in stage.observations()}
    assert sorted(observed) == list(range(40))
    doubted = [one.seq for one in observed.values() if one.not_compared == "in-doubt"]
    assert 1 <= len(doubted) <= 16
    for server in servers:
        assert len(server.lines) == len(set(server.lines))


async def test_who_leaves_lets_what_is_in_the_air_land(stage, exchange, serving):
    """A worker that is stopped commits what it did; the next one goes on, and nothing is fired twice."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        with threads() as pair:
            first, second, leaving = Hands(stage, pair), Hands(stage, pair), asyncio.Event()
            working = asyncio.ensure_future((await first.slice()).work_off(leaving))
            await arrived(servers[0], 12)
            leaving.set()
            await working
            assert len(servers[0].lines) < 40
            await (await second.slice()).work_off(asyncio.Event())
    for server in servers:
        assert sorted(server.lines) == sorted(f"GET /{n}" for n in range(40))
    assert not any(one.skipped for one in stage.observations())


async def test_a_write_whose_worker_lost_its_part_before_the_send_is_not_sent(stage, exchange, serving, monkeypatch):
    """The lease is over while the intents are made durable (a worker that slept there): not one of the writes goes out any more."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers, method="POST", body=Body(b"x", 1))
        with threads() as pair:
            first, second = Hands(stage, pair), Hands(stage, pair)
            append = Intents.append

            def slept(intents, asked):
                append(intents, asked)
                first.mine = False

            monkeypatch.setattr(Intents, "append", slept)
            with pytest.raises(Fenced):
                await (await first.slice()).work_off(asyncio.Event())
            assert [server.lines for server in servers] == [[], [], [], []]
            monkeypatch.setattr(Intents, "append", append)
            await (await second.slice()).work_off(asyncio.Event())
    observed = {one.seq: one for one in stage.observations()}
    assert sorted(observed) == list(range(40))
    assert 1 <= sum(one.not_compared == "in-doubt" for one in observed.values()) <= 4
    for server in servers:
        assert len(server.lines) == len(set(server.lines))


class Seat:
    """A member whose partition goes out of hand for a moment and comes back in the same epoch, as after a slow word to the brokers."""

    def __init__(self, stage, server):
        self.stage, self.server, self.gone = stage, server, 0

    def held(self):
        """Partition 0, but not for ten looks once the half was fired."""
        if len(self.server.lines) > 20 and self.gone < 10:
            self.gone += 1
            return {}
        return {0: 1}

    def commit(self, partition, position, epoch):
        """Remember it."""
        assert epoch == 1
        self.stage.journal.commit(GROUP, work_topic(self.stage.spec.run), partition, position)


async def test_a_part_that_comes_back_in_its_epoch_is_gone_on_with(stage, exchange, serving):
    """Out of hand for a moment, by a lease that ran over and was renewed: the worker takes it up again instead of sitting on it for ever."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        stage.journal.create(progress_topic(stage.spec.run), 1)
        worker = ReplayWorker(stage.journal, stage.home, Settings(), "w", "here")
        shared = Shared(Asked(stage.spec, 40, "1"), began_ns=time.time_ns())
        targets = await resolve(make_targets(stage.spec.targets, [], [], stage.spec.methods))
        seat, stop = Seat(stage, servers[0]), asyncio.Event()
        work, options = work_topic(stage.spec.run), ReplayOptions(concurrency=4, patience=PATIENT)
        serving_it = asyncio.ensure_future(_Serving(worker, shared, seat, targets, options).until(stop))
        await come(lambda: stage.journal.committed(GROUP, work, 0) >= stage.journal.end(work, 0))
        stop.set()
        await serving_it
    assert seat.gone == 10
    assert {one.seq for one in every_observation(stage)} == set(range(40))


def every_observation(stage):
    """All of them, also of a second attempt under the same number: a part that came back is fired again where nothing was written."""
    topic = observations_topic(stage.spec.run)
    return [one for entry in stage.journal.read(topic, 0) for one in decode_frame(entry.frame, Observation)]


async def test_a_worker_with_another_key_leaves_the_run(stage, exchange, serving, monkeypatch):
    """Its masks would differ from the others' in each masked value; it says which key it has, and which it needs."""
    async with serving(slowly, slowly, slowly, slowly) as servers:
        planned(stage, exchange, servers)
        stage.journal.create(progress_topic(stage.spec.run), 1)
        asking = RunLog(stage.journal, "asker")
        asking.prepare()
        monkeypatch.setenv("ECHOLANE_SEAL_KEY", "ab" * 32)
        asking.say(stage.spec.run, ASKED, msgspec.json.encode(Asked(stage.spec, 40, "1", "here", "0badcafe")))
        stop = asyncio.Event()
        working = asyncio.ensure_future(ReplayWorker(stage.journal, stage.home, Settings(), "w", "here").run(stop))
        watching = Watching(stage.journal, stage.spec.run)

        def told():
            watching.look()
            return watching.troubles

        await come(told)
        stop.set()
        await working
    assert [server.lines for server in servers] == [[], [], [], []]
    (trouble,) = watching.troubles
    assert "has seal key" in trouble
    assert "0badcafe" in trouble
    assert "ECHOLANE_SEAL_KEY" in trouble


def shop_order(exchange, count):
    """A session that orders, and then asks for its order with a token that came with it."""
    made = json.dumps({"id": "recorded-order-77", "session_token": "recorded-token-7-of-the-user"}).encode()
    first = exchange(0, "/orders", method="POST", body=Body(b"{}", 2))
    headers = [(b"Content-Type", b"application/json")]
    first = changed(first, response=Response(200, "1.1", headers, Body(made, len(made))))
    token = [(b"Host", b"shop.example"), (b"X-Session-Token", b"recorded-token-7-of-the-user")]
    return [first, *(exchange(n, f"/orders/recorded-order-77?n={n}", headers=token) for n in range(1, count))]


def shop(name, goes_on):
    """A target that gives names of its own, and answers the last ten when the test goes on: the journal may be slower than all of them."""
    made = json.dumps({"id": f"{name}-order-99", "session_token": f"the-{name}-token-9-and-no-other"}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(made)

    def answer(request, number):
        if request.startswith(b"POST"):
            return [0.02, head + made]
        return [0.02, OK] if number <= 20 else [goes_on, OK]

    return answer


@pytest.mark.parametrize("resumed", [False, True], ids=["changes hands", "resumed"])
async def test_what_a_target_gave_is_known_to_who_goes_on(stage, exchange, serving, resumed):
    """The order's id is read again from the answers in the journal, the token, of which only the mask is there, from under the seal."""
    names, goes_on = ["base", "control", "branch", "bcontrol"], asyncio.Event()
    async with serving(*(shop(name, goes_on) for name in names)) as servers:
        stage.record(shop_order(exchange, 30))
        stage.plan([server.url for server in servers], partitions=1, methods="all")
        targets, options = await prepared(stage.home, stage.spec, Settings())
        options = replace(options, concurrency=4, drain_s=20.0)
        if resumed:
            stop = asyncio.Event()
            working = asyncio.ensure_future(Replay(stage.journal, stage.spec.run, targets, options).run(stop, nothing))
            await arrived(servers[0], 8)
            stop.set()
            goes_on.set()
            assert (await working).state == "interrupted"
            before = [len(server.lines) for server in servers]
            await Replay(stage.journal, stage.spec.run, targets, options).run(asyncio.Event(), nothing)
        else:
            for topic in (observations_topic(stage.spec.run), intents_topic(stage.spec.run)):
                stage.journal.create(topic, 1)
            with threads() as pair:
                first, second = Hands(stage, pair), Hands(stage, pair)
                first.options = second.options = options
                working = asyncio.ensure_future((await first.slice()).work_off(asyncio.Event()))
                await arrived(servers[0], 8)
                await come(lambda: stage.journal.end(observations_topic(stage.spec.run), 0))
                first.mine = False
                goes_on.set()
                with pytest.raises(Fenced):
                    await working
                before = [len(server.lines) for server in servers]
                await (await second.slice()).work_off(asyncio.Event())
    for name, server, count in zip(names, servers, before, strict=True):
        assert count < len(server.lines)
        assert {line.partition("?")[0] for line in server.lines[1:]} == {f"GET /orders/{name}-order-99"}
        tokens = [re.search(rb"(?i)x-session-token: ([^\r]*)", request)[1].decode() for request in server.seen[1:]]
        assert set(tokens) == {f"the-{name}-token-9-and-no-other"}
    seen = every_observation(stage)
    assert {one.seq for one in seen} == set(range(30))
    assert not [one for one in seen if b"-token-9-and-no-other" in msgspec.msgpack.encode(one)]


def nothing(_done, _all):
    """Progress is not looked at."""


async def test_a_run_that_retention_has_removed_is_left_alone(stage, exchange):
    """Its word may outlive its work: no worker tries it over and over, and none starts processes that die of it."""
    stage.record([exchange(0)])
    stage.plan(["http://127.0.0.1:1"] * 4, partitions=1)
    asking = RunLog(stage.journal, "asker")
    asking.prepare()
    asking.say(stage.spec.run, ASKED, msgspec.json.encode(Asked(stage.spec, 1, "1", "here")))
    stage.journal.drop(work_topic(stage.spec.run))
    stop, begun = asyncio.Event(), time.monotonic()
    worker = ReplayWorker(stage.journal, stage.home, Settings(), "w", "here")
    working = asyncio.ensure_future(worker.run(stop))
    await come(lambda: worker._not_before)
    stop.set()
    await working
    assert worker._not_before[stage.spec.run] >= begun + GONE_S
    diff = DiffWorker(stage.journal, None, stage.home, Settings(), "d")
    diff._listen()
    assert diff._at == {}
    assert diff._not_before[stage.spec.run] >= begun + GONE_S
