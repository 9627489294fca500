"""From a recording to work: order across frames and partitions, due times, what is skipped and why, bounded memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from console.rewrites import plan_lines
from echolane.exchange import Body, WorkItem
from echolane.frame import decode_frame
from echolane.observation import TargetInfo
from echolane.recordings import Range, Recording, everything, topic_of
from echolane.runspec import Firing, RunSpec
from echolane.settings import Settings
from echolane.writes import WriteRule
from replayer.plan import make_plan, work_topic

URLS = [f"http://127.0.0.1:{port}" for port in (1, 2, 3, 4)]


def work_of(stage):
    """The plan as it stands in the journal."""
    return [
        item
        for entry in stage.journal.read(work_topic(stage.spec.run), 0)
        for item in decode_frame(entry.frame, WorkItem)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_work_is_in_recorded_order_however_frames_lie(stage, exchange, seed):
    """Shuffled over partitions and frames that overlap, and one frame stored twice: each exchange once, by captured time."""
    rng = random.Random(seed)
    recorded = [exchange(n, f"/{n}", start_ms=n // 2, session=f"{n % 7:016x}") for n in range(300)]
    shuffled = sorted(recorded, key=lambda one: one.seq + rng.randrange(90))
    stage.record(shuffled, frame=rng.choice([7, 40]), partitions=3)
    stage.record(recorded[120:130], partitions=3)
    summary = stage.plan(URLS)
    work = work_of(stage)
    assert [item.exchange.seq for item in work] == list(range(300))
    assert [item.seq for item in work] == list(range(300))
    assert summary.selected == summary.to_fire == 300


def test_work_has_what_firing_needs_and_no_more(stage, exchange):
    """The request whole, of the recorded answer its status and cookies, the endpoint's template, the united session."""
    answer = [(b"Set-Cookie", b"sid=1"), (b"Content-Type", b"text/html")]
    stage.record([
        exchange(0, "/users/17?x=1", answer=answer, introduces=["tok"], seal=b"sealed"),
        exchange(1, "/users/18", session="b" * 16, uses=["tok"], status=404),
    ])  # fmt: skip
    stage.plan(URLS)
    first, second = work_of(stage)
    assert (first.endpoint, first.exchange.request.target) == ("GET /users/{id}", "/users/17?x=1")
    assert (first.exchange.response.headers, first.exchange.response.body, first.exchange.seal) == (
        answer[:1],
        Body(),
        b"sealed",
    )
    assert (second.exchange.session, second.follows, second.exchange.response.status) == ("a" * 16, [0], 404)


def test_due_times_follow_the_pace_and_skip_what_is_not_fired(stage, exchange):
    """At a rate, ranks of fired exchanges count; as recorded, distances from the first fired one do."""
    methods = ["POST", "GET", "POST", "GET", "GET"]
    stage.record([exchange(n, "/", method=method, start_ms=10 * n) for n, method in enumerate(methods)])
    for pace, dues in (("100/s", [0, 10, 20]), ("recorded", [0, 20, 30]), ("2x", [0, 10, 15]), ("max", [0, 0, 0])):
        stage.plan(URLS, pace=pace)
        assert [item.due_ns / 1e6 for item in work_of(stage) if not item.skip] == dues
        stage.journal.drop(work_topic(stage.spec.run))


def test_pauses_of_the_recording_are_cut_before_any_speed(stage, exchange):
    """Ten minutes of silence count as the two seconds that are allowed, at twice the speed as one; what is skipped makes no gap shorter."""
    starts = [0, 100, 600_100, 600_200, 601_000]
    methods = ["GET", "GET", "POST", "GET", "GET"]
    stage.record([
        exchange(n, "/", start_ms=at, method=method) for n, (at, method) in enumerate(zip(starts, methods, strict=True))
    ])  # fmt: skip
    for pace, dues in (("recorded", [0, 100, 2100, 2900]), ("2x", [0, 50, 1050, 1450]), ("10/s", [0, 100, 200, 300])):
        stage.plan(URLS, pace=pace, firing=Firing(think_max_s=2.0))
        assert [item.due_ns / 1e6 for item in work_of(stage) if not item.skip] == dues
        stage.journal.drop(work_topic(stage.spec.run))


def test_one_at_a_time_is_a_single_chain(stage, exchange):
    """Strict order: each follows the fired one before it, whoever sent it."""
    stage.record([exchange(n, "/", method="POST" if n == 2 else "GET", session=f"{n:016x}") for n in range(5)])
    stage.plan(URLS, concurrency=1)
    assert [item.follows for item in work_of(stage)] == [[], [0], [], [1], [3]]


def test_what_cannot_be_fired_is_skipped_with_its_reason(stage, exchange):
    """Each reason is counted, and everything selected is accounted for."""
    stage.record([
        exchange(0, "/", method="PATCH"), exchange(1, "/", method="CONNECT"), exchange(2, ""), exchange(3, "/", no_answer="upgrade"),
        exchange(4, "/", body=Body(b"x", 5, truncated=True)), exchange(5, "/"),
    ])  # fmt: skip
    summary = stage.plan(URLS)
    assert summary.skipped == {"unsafe-method": 1, "not-replayable": 2, "no-request": 1, "truncated-body": 1}
    assert (summary.selected, summary.to_fire) == (6, 1)
    assert [item.skip for item in work_of(stage)] == [
        "unsafe-method", "not-replayable", "no-request", "not-replayable", "truncated-body", "",
    ]  # fmt: skip


def test_a_rule_keeps_writes_back_by_their_route(stage, exchange):
    """The first that fits decides; safe requests are no writes, and what no rule fits is fired as the run says."""
    stage.record([
        exchange(0, "/orders", method="POST"), exchange(1, "/orders/1/pay?x=1", method="POST"), exchange(2, "/orders/1/pay"),
        exchange(3, "/users", method="DELETE"),
    ])  # fmt: skip
    rules = [WriteRule("POST /orders/*/pay", False, "charges a card"), WriteRule("DELETE /**", True, "test data")]
    stage.plan(URLS, methods="all", firing=Firing(writes=rules))
    work = work_of(stage)
    assert [item.skip for item in work] == ["", "write-refused", "", ""]
    lines = [next(iter(plan_lines(item, rules))) for item in work]
    assert lines[0] == "0 fire POST /orders (a write)"
    assert lines[1].startswith("1 skip POST /orders/1/pay?x=1: write-refused (charges a card; ")
    assert lines[3].startswith("3 fire DELETE /users (a write; test data; ")
    stage.journal.drop(work_topic(stage.spec.run))
    assert stage.plan(URLS, firing=Firing(writes=rules)).skipped == {"unsafe-method": 3}


def test_a_recording_chooses_by_range_and_tags(stage, exchange):
    """Frames outside its ranges and exchanges without its tags are not selected."""
    stage.record(
        [exchange(n, f"/{n}", tags={"import": "x"} if n % 2 else {}) for n in range(40)], frame=10, partitions=1
    )
    whole = everything(stage.journal, "shop", id="0badcafe", now_ns=1)
    chosen = Recording("0badcafe", "shop", 1, "test", [Range(0, 1, 3)], {"import": "x"})
    assert whole.ranges == [Range(0, 0, 4)]
    stage.spec = RunSpec("r", "shop", chosen, [TargetInfo(url) for url in URLS])
    assert make_plan(stage.journal, stage.home, stage.spec, Settings()).selected == 10
    assert [item.exchange.seq for item in work_of(stage)] == list(range(11, 30, 2))


def test_an_empty_recording_is_an_empty_plan(stage):
    """Nothing selected, nothing written, no error: the roof says what to do."""
    stage.journal.create(topic_of("shop"), 1)
    assert stage.plan(URLS).selected == 0
    assert work_of(stage) == []


def test_planning_takes_the_same_memory_for_seven_times_as_much(stage, exchange):
    """Frames are held only while they overlap."""

    def peak(count, service_from):
        stage.record(
            [
                exchange(n, f"/{n % 50}", session=f"{n % 20:016x}", body=Body(b"x" * 2000, 2000))
                for n in range(service_from, service_from + count)
            ]
        )
        tracemalloc.start()
        stage.plan(URLS)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        stage.journal.drop(work_topic(stage.spec.run))
        return taken

    small, large = peak(500, 0), peak(3000, 500)
    assert large < small * 1.5 + 500_000
