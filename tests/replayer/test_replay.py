"""Whole replays against small real servers: order, pairing, connections, failures, ledger, resume."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import socket
import time
from collections import Counter

import pytest
from msgspec.structs import replace as changed

from echolane.exchange import OBSERVED_BODY_KEPT, Body, Response
from echolane.marks import verify
from echolane.observation import TargetInfo
from replayer.connection import Patience
from replayer.fire import Replay
from replayer.intents import Intents, intents_topic
from replayer.parts import thinned
from tests.replayer.conftest import PATIENT

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def ok(request, number):
    """The answer to everything."""
    return OK


def outcomes(observation):
    """Outcome and reason of each shot."""
    return [f"{shot.outcome}:{shot.reason}".rstrip(":") for shot in observation.shots]


def check_ledger(stage, summary):
    """The identities of a run hold: selected, fired, and every target's account of what was fired."""
    seen = stage.observations()
    assert [one.seq for one in seen] == list(range(summary.selected))
    fired = [one for one in seen if not one.skipped]
    assert summary.selected == len(fired) + sum(bool(one.skipped) for one in seen)
    for one in fired:
        assert len(one.shots) == 4
        assert one.not_compared in {"", "in-doubt", "cancelled", "unavailable"}
    return seen


async def test_every_target_gets_every_request_in_recorded_order_when_strict(stage, exchange, serving):
    """With one at a time, all four servers see the recording's order, and equal answers are stored once."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}?q=%20", session=f"{n % 3:016x}") for n in range(60)], frame=7)
        stage.plan([server.url for server in servers], concurrency=1)
        begun_ns = time.time_ns()
        summary = await stage.fire()
    for server in servers:
        assert server.lines == [f"GET /{n}?q=%20" for n in range(60)]
        assert server.connections == 2  # the first asked whether anybody is there
    seen = check_ledger(stage, summary)
    assert summary.state == "finished"
    assert summary.fired == 60
    assert [shot.same_as for shot in seen[0].shots] == [-1, 0, 0, 0]
    answer = seen[0].answer_of(3)
    assert (answer.status, answer.body.data, answer.reason, answer.http_version) == (200, b"ok", b"OK", "1.1")
    assert answer.headers == [(b"Content-Type", b"text/plain"), (b"Content-Length", b"2")]
    assert all(shot.sent_at_ns and shot.duration_ns > 0 for one in seen for shot in one.shots)
    assert all(one.fired_at_ns == min(shot.sent_at_ns for shot in one.shots) for one in seen)
    assert begun_ns <= seen[0].fired_at_ns <= time.time_ns()


async def test_a_session_keeps_its_order_while_others_overlap(stage, exchange, serving):
    """Ten sessions at once: each one's requests arrive in order at each target, though answers take different times."""

    def answer(request, number):
        return [0.001 * (number * 7 % 5), OK]

    async with serving(answer, answer, ok, ok) as servers:
        stage.record([exchange(n, f"/{n % 10}/{n // 10}", session=f"{n % 10:016x}") for n in range(120)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire()
    check_ledger(stage, summary)
    for server in servers:
        assert server.connections > 1
        for session in range(10):
            mine = [line for line in server.lines if line.startswith(f"GET /{session}/")]
            assert mine == [f"GET /{session}/{n}" for n in range(12)]


async def test_shots_of_one_exchange_leave_together_in_random_order(stage, exchange, serving):
    """Half a millisecond between the first and the last of four, and no target is always first."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(200)])
        stage.plan([server.url for server in servers], seed=3)
        await stage.fire()
    seen = stage.observations()
    spread = sorted(max(s.sent_at_ns for s in one.shots) - min(s.sent_at_ns for s in one.shots) for one in seen)
    assert spread[len(spread) // 2] < 500_000
    first = Counter(min(range(4), key=lambda index: one.shots[index].sent_at_ns) for one in seen)
    assert all(20 < first[index] < 90 for index in range(4))


async def test_what_is_sent_is_the_recording_with_the_marks_last(stage, exchange, serving):
    """Hop-by-hop, host and trace are taken off; authority, lane and a signed mark are set; all else stays as recorded."""
    recorded = [(b"Host", b"prod"), (b"Connection", b"X-Secret"), (b"X-Secret", b"1"), (b"x-A", b"2"), (b"X-a", b"3"),
                (b"traceparent", b"old"), (b"baggage", b"u=1,lane=old"), (b"Content-Length", b"0")]  # fmt: skip
    async with serving(ok, ok) as (base, branch):
        stage.record([exchange(0, "/a?b=%E9&\xe9", headers=recorded)])
        infos = [TargetInfo(base.url), TargetInfo(base.url, own_instance=False)]
        infos += [TargetInfo(branch.url, "feat-1"), TargetInfo(branch.url, "feat-1", own_instance=False)]
        stage.plan([], infos=infos)
        await stage.fire(mark_key=b"k" * 32)
    first, *rest = [line.decode("latin-1") for line in branch.seen[0].split(b"\r\n")]
    assert first == "GET /a?b=%E9&\xe9 HTTP/1.1"
    names = [line.partition(":")[0] for line in rest if line]
    assert rest[0] == f"Host: 127.0.0.1:{branch.port}"
    assert names[1:4] == ["x-A", "X-a", "Content-Length"]
    assert names[-1] == "x-echolane-replay"
    assert "x-lane: feat-1" in rest
    assert "baggage: u=1,lane=feat-1" in rest
    assert b"x-lane" not in base.seen[0]
    assert b"X-Secret" not in base.seen[0]
    mark = re.search(rb"x-echolane-replay: (\S+)", branch.seen[0])[1]
    found = verify(b"k" * 32, mark)
    assert (found.run, found.exchange, found.hop) == (stage.spec.run, stage.observations()[0].exchange, 1)
    text, _, signature = mark.rpartition(b";")
    assert signature == base64.urlsafe_b64encode(hmac.digest(b"k" * 32, text, hashlib.sha256)).rstrip(b"=")
    traces = {re.search(rb"traceparent: (\S+)", request)[1] for request in base.seen + branch.seen}
    assert len(traces) == 4


@pytest.mark.parametrize(
    ("method", "body", "headers", "expected"),
    [
        ("GET", Body(), [], None),
        ("GET", Body(), [(b"content-length", b"0")], b"0"),
        ("DELETE", Body(), [], None),
        ("POST", Body(), [], b"0"),
        ("POST", Body(b"abc", 3, chunked=True), [(b"Transfer-Encoding", b"chunked")], b"3"),
        ("PUT", Body(b"abc" * 100, 30, "gzip"), [(b"Content-Encoding", b"gzip")], b"gzip"),
    ],
)
async def test_a_body_goes_out_as_it_was_with_one_length(stage, exchange, serving, method, body, headers, expected):
    """No length where there was no body, one Content-Length where there was, compressed again where it was."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(0, "/", method=method, headers=headers, body=body)])
        stage.plan([server.url for server in servers], methods="all")
        await stage.fire()
    for server in servers:
        (request,) = server.seen
        lengths = re.findall(rb"(?i)\r\ncontent-length: (\d+)", request)
        sent = request.partition(b"\r\n\r\n")[2]
        assert b"chunked" not in request
        if expected == b"gzip":
            assert sent[:2] == b"\x1f\x8b"
            assert lengths == [b"%d" % len(sent)]
        else:
            assert lengths == ([] if expected is None else [expected])
            assert sent == body.data


async def test_unsafe_requests_reach_only_instances_of_their_own_and_never_twice(stage, exchange, serving):
    """A POST goes once to base and branch, and to no control that is the same process; its intents stand in the journal."""
    async with serving(ok, ok) as (base, branch):
        stage.record([exchange(n, f"/{n}", method="POST" if n % 2 else "GET", body=Body(b"x", 1)) for n in range(10)])
        infos = [TargetInfo(base.url), TargetInfo(base.url, own_instance=False)]
        infos += [TargetInfo(branch.url), TargetInfo(branch.url, own_instance=False)]
        stage.plan([], infos=infos, methods="all")
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    for server in (base, branch):
        assert Counter(line.split()[0] for line in server.lines) == {"GET": 10, "POST": 5}
    assert outcomes(seen[1]) == ["answered", "spared:unsafe", "answered", "spared:unsafe"]
    assert outcomes(seen[2]) == ["answered"] * 4
    for server in (base, branch):  # a connection of its own, so that a lost answer never leaves it in doubt
        assert all(first for first, line in zip(server.first, server.lines, strict=True) if line.startswith("POST"))
        assert not all(server.first)
    assert stage.journal.end(intents_topic(stage.spec.run), 0) >= 5


async def test_safe_methods_alone_are_fired_by_default(stage, exchange, serving):
    """What is not GET, HEAD or OPTIONS is skipped with its reason, as is a request whose body was cut."""
    methods = ["GET", "POST", "HEAD", "DELETE", "OPTIONS", "TRACE"]
    async with serving(lambda r, _n: OK[:-2] if r.startswith(b"HEAD") else OK) as (one,):
        stage.record([*(exchange(n, "/", method=method) for n, method in enumerate(methods)),
                      exchange(9, "/", body=Body(b"x", 9, truncated=True)), exchange(10, "/", headers=[(b"a b", b"x")])])  # fmt: skip
        plan = stage.plan(
            [one.url, one.url, one.url + "", one.url],
            infos=[TargetInfo(one.url, lane) for lane in (None, None, "b", "b")],
        )
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [one.skipped for one in seen] == [
        "",
        "unsafe-method",
        "",
        "unsafe-method",
        "",
        "unsafe-method",
        "truncated-body",
        "unsendable-header",
    ]
    assert plan.skipped == {"unsafe-method": 3, "truncated-body": 1}
    assert summary.skipped == {"unsafe-method": 3, "truncated-body": 1, "unsendable-header": 1}


async def test_a_server_that_closes_idle_connections_costs_no_failure(stage, exchange, serving):
    """Between two paced requests the server closes; the next goes out on a fresh connection and is answered."""
    async with serving(ok, ok, ok, ok) as servers:
        for server in servers:
            server.idle_s = 0.02
        stage.record([exchange(n, f"/{n}") for n in range(6)])
        stage.plan([server.url for server in servers], pace="20/s")
        summary = await stage.fire()
    assert [outcomes(one) for one in check_ledger(stage, summary)] == [["answered"] * 4] * 6
    assert all(server.lines == [f"GET /{n}" for n in range(6)] for server in servers)


async def test_a_connection_lost_under_a_safe_request_is_tried_once_more(stage, exchange, serving):
    """Closed after the request was written and before any answer: once more on a fresh connection, and it counts as one shot."""

    def closes(request, number):
        return None if number in {2, 5} else OK

    async with serving(closes, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(5)])
        stage.plan([server.url for server in servers], concurrency=1)
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [outcomes(one)[0] for one in seen] == ["answered"] * 5
    assert [one.shots[0].attempts for one in seen] == [1, 2, 1, 2, 1]


async def test_a_server_without_keep_alive_is_served(stage, exchange, serving):
    """HTTP/1.0 and `Connection: close`: a connection a request, all answered."""
    bye = b"HTTP/1.0 200 OK\r\n\r\nhello"
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with serving(lambda *_: bye, lambda *_: close, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(8)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [server.connections for server in servers[:2]] == [9, 9]
    assert [outcomes(one) for one in seen] == [["answered"] * 4] * 8
    assert seen[0].answer_of(0).body.data == b"hello"


FAULTS = {
    "closed": lambda _request, _number: None,
    "garbage": lambda _request, _number: b"HTTP/1.1 -1 Nope\r\n\r\n",
    "first-byte-timeout": lambda _request, _number: [30.0, OK],
    "timeout": lambda _request, _number: [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", 30.0, b"2"],
    "too-large": lambda _request, _number: b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n",
}


@pytest.mark.parametrize("reason", FAULTS)
async def test_a_failure_is_an_answer_with_its_reason(stage, exchange, serving, reason):
    """The run goes on, and the others' answers stand beside the failure."""
    bad = FAULTS[reason]
    async with serving(ok, ok, lambda r, n: bad(r, n) if b"/bad" in r else OK, ok) as servers:
        stage.record([exchange(0, "/a"), exchange(1, "/bad"), exchange(2, "/c")])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(patience=Patience(20.0, 1.0, 2.0) if "timeout" in reason else PATIENT)
    seen = check_ledger(stage, summary)
    assert outcomes(seen[1]) == ["answered", "answered", f"failed:{reason}", "answered"]
    assert outcomes(seen[2]) == ["answered"] * 4


async def test_a_body_shorter_than_announced_is_incomplete(stage, exchange, serving):
    """What came is kept, and said to be less than announced."""
    short = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345"
    async with serving(ok, ok, lambda _r, _n: short, ok) as servers:
        stage.record([exchange(0)])
        stage.plan([server.url for server in servers])
        await stage.fire()
    answer = stage.observations()[0].answer_of(2)
    assert (answer.incomplete, answer.body.data) == (True, b"12345")


async def test_a_huge_answer_is_kept_in_part(stage, exchange, serving):
    """Thirty megabytes are read to their end, three are kept, with size and digest of all."""
    size = 30_000_000
    huge = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    async with serving(ok, ok, lambda *_: huge, lambda *_: huge) as servers:
        stage.record([exchange(0)])
        stage.plan([server.url for server in servers])
        await stage.fire()
    one = stage.observations()[0]
    body = one.answer_of(2).body
    assert (body.size, len(body.data), body.truncated) == (size, OBSERVED_BODY_KEPT, True)
    assert body.digest == hashlib.blake2b(b"z" * size, digest_size=16).digest()
    assert one.shots[3].same_as == 2


async def test_a_target_that_goes_down_ends_the_run_and_resume_finishes_it(stage, exchange, serving):
    """Three failed probes end the run as unavailable; nothing of its absence is compared; a resumed run fires what is left."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(200)])
        stage.plan([server.url for server in servers], concurrency=4)
        branch = servers[2]

        def dies(request, number):
            if number == 80:
                asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(branch.stop()))
            return OK

        branch.answerer = dies
        summary = await stage.fire()
        assert (summary.state, summary.down) == ("unavailable", "branch")
        assert branch.url in summary.reason
        seen = check_ledger(stage, summary)
        assert not [
            one for one in seen if not one.skipped and not one.not_compared and outcomes(one) != ["answered"] * 4
        ]
        assert {one.skipped for one in seen} == {"", "target-unavailable"}
        lost = [one for one in seen if one.not_compared]
        assert {one.not_compared for one in lost} == {"unavailable"}
        assert all(outcomes(one)[2] == "failed:unavailable" for one in lost)
        before = servers[0].lines
        await branch.start()
        again = await stage.fire()
    assert again.state == "finished"
    assert [outcomes(one) for one in check_ledger(stage, again)] == [["answered"] * 4] * 200
    assert len(servers[0].lines) - 200 <= len(lost)
    assert before[:50] == servers[0].lines[:50]


async def test_a_target_that_comes_back_has_its_failures_withdrawn(stage, exchange, serving):
    """Down for a moment: the run waits, fires again what had failed, and goes on."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(150)])
        stage.plan([server.url for server in servers], concurrency=4)
        branch = servers[2]

        async def restart():
            await branch.stop()
            await asyncio.sleep(0.3)
            await branch.start()

        def dies(request, number):
            if number == 60:
                dies.task = asyncio.ensure_future(restart())
            return OK

        branch.answerer = dies
        summary = await stage.fire(probe_gap_s=1.0)  # of three probes the second finds it
        await dies.task
    assert summary.state == "finished"
    assert [outcomes(one) for one in check_ledger(stage, summary)] == [["answered"] * 4] * 150


async def test_a_target_that_fails_half_and_answers_its_probes_is_compared(stage, exchange, serving):
    """A version that closes on most requests is broken, not absent: its failures stand as answers."""

    def broken(request, number):
        return None if b"/x" in request else OK

    async with serving(ok, ok, broken, broken) as servers:
        stage.record([exchange(n, f"/x{n}" if n % 4 else f"/{n}", session=f"{n:016x}") for n in range(80)])
        stage.plan([server.url for server in servers], concurrency=2)
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert summary.state == "finished"
    assert Counter(tuple(outcomes(one)) for one in seen) == {
        ("answered", "answered", "failed:closed", "failed:closed"): 60,
        ("answered",) * 4: 20,
    }


async def test_a_stop_keeps_what_was_done_and_resume_does_the_rest_once(stage, exchange, serving):
    """After a stop the ledger balances, and the resumed run fires each of the others exactly once."""
    stop = asyncio.Event()

    def answer(request, number):
        if number == 40:
            stop.set()
        return OK

    async with serving(answer, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n % 5:016x}") for n in range(1500)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(stop)
        assert summary.state == "interrupted"
        seen = check_ledger(stage, summary)
        assert {one.skipped for one in seen} == {"", "interrupted"}
        assert summary.fired < 300
        again = await stage.fire()
    assert again.fired == 1500 - summary.fired
    check_ledger(stage, again)
    for server in servers:
        assert Counter(server.lines) == Counter(f"GET /{n}" for n in range(1500))


async def test_what_is_in_the_air_at_a_stop_is_given_up_as_cancelled(stage, exchange, serving):
    """A target that answers too slowly does not hold a stopped run: its shots are cancelled and fired again by resume."""
    stop = asyncio.Event()

    def slow(request, number):
        stop.set()
        return [30.0, OK] if number == 1 else OK

    async with serving(ok, ok, slow, ok) as servers:
        stage.record([exchange(n, f"/{n}") for n in range(3)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(stop, drain_s=1.0)
        seen = check_ledger(stage, summary)
        assert [one.not_compared or one.skipped for one in seen] == ["cancelled", "interrupted", "interrupted"]
        assert outcomes(seen[0]) == ["answered", "answered", "failed:closed", "answered"]
        servers[2].answerer = ok
        await stage.fire()
    assert [outcomes(one) for one in stage.observations()] == [["answered"] * 4] * 3


async def test_an_intent_without_a_result_is_in_doubt_and_never_fired_again(stage, exchange, serving):
    """A worker died between its intent and the answer: the next one reports it and fires only what had no intent."""
    async with serving(ok, ok, ok, ok) as servers:
        recorded = [exchange(n, f"/{n}", method="POST", body=Body(b"x", 1)) for n in range(4)]
        stage.record(recorded)
        stage.plan([server.url for server in servers], methods="all")
        stage.journal.create(intents_topic(stage.spec.run), 1)
        dead = Intents(stage.journal, intents_topic(stage.spec.run), "dead", None, None)
        from echolane.observation import Intent

        dead.append([Intent(recorded[1].id, index, "dead", 1) for index in range(4)])
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert [one.not_compared for one in seen] == ["", "in-doubt", "", ""]
    assert outcomes(seen[1]) == ["in_doubt"] * 4
    for server in servers:
        assert server.lines == ["POST /0", "POST /2", "POST /3"]


async def test_the_second_of_two_intents_may_not_fire(stage):
    """Two workers ask for the same exchange: the one that stands first in the journal fires, the other does not."""
    topic = "intents.r"
    stage.journal.create(topic, 1)
    heard = {}
    async with asyncio.TaskGroup() as tasks:
        from concurrent.futures import ThreadPoolExecutor

        thread = ThreadPoolExecutor(1)
        workers = [Intents(stage.journal, topic, name, thread, tasks.create_task) for name in "ab"]
        for worker, name in zip(workers, "ab", strict=True):
            worker.ask("x1", [0, 2], 1, lambda first, name=name: heard.__setitem__(name, first))
        workers[1].ask("x2", [0, 2], 1, lambda first: heard.__setitem__("b2", first))
    thread.shutdown()
    assert sorted([heard["a"], heard["b"]]) == [False, True]
    assert heard["b2"]


async def test_a_cookie_that_a_target_gave_is_carried_on_there_alone(stage, exchange, serving):
    """Base and branch gave other session ids than recorded: each gets its own back, and the rewrite is on the shot."""

    def login(value):
        def answer(request, number):
            if b"/login" in request:
                return b"HTTP/1.1 200 OK\r\nSet-Cookie: sid=%b; Path=/\r\nContent-Length: 0\r\n\r\n" % value
            return OK

        return answer

    async with serving(login(b"B"), login(b"C"), login(b"R"), ok) as servers:
        stage.record([
            exchange(0, "/login", answer=[(b"Set-Cookie", b"sid=R; Path=/")], introduces=["t1"]),
            exchange(1, "/me", session="b" * 16, uses=["t1"], headers=[(b"Cookie", b"theme=x; sid=R; other=1")]),
            exchange(2, "/me", session="c" * 16, headers=[(b"Cookie", b"sid=R")]),
            exchange(3, "/me", session="b" * 16, uses=["t1"], headers=[(b"Cookie", b"sid=Z")]),
        ])  # fmt: skip
        stage.plan([server.url for server in servers])
        await stage.fire()
    seen = stage.observations()
    sent = [
        [re.search(rb"Cookie: ([^\r]*)", r)[1] for r in server.seen if b"/me" in r and b"theme" in r]
        for server in servers
    ]
    assert sent == [
        [b"theme=x; sid=B; other=1"],
        [b"theme=x; sid=C; other=1"],
        [b"theme=x; sid=R; other=1"],
        [b"theme=x; sid=R; other=1"],
    ]
    assert [shot.rewrites for shot in seen[1].shots] == [["cookie sid"], ["cookie sid"], [], []]
    assert all(not shot.rewrites for one in seen[2:] for shot in one.shots)


async def test_paced_requests_leave_on_time_and_waiting_for_an_answer_is_not_lateness(stage, exchange, serving):
    """Due times count from the start; what waits for its predecessor says so apart."""
    async with serving(lambda r, _n: [0.3, OK] if b"/slow" in r else OK, ok, ok, ok) as servers:
        stage.record([
            exchange(0, "/slow", session="a" * 16, start_ms=0), exchange(1, "/next", session="a" * 16, start_ms=20),
            exchange(2, "/other", session="b" * 16, start_ms=40), exchange(3, "/other", session="b" * 16, start_ms=1200),
        ])  # fmt: skip
        stage.plan([server.url for server in servers], pace="recorded")
        begun_ns = time.time_ns()
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    # None is early; how late they are on a quiet machine is measured by bench/.
    assert seen[2].fired_at_ns >= begun_ns + 40e6
    assert seen[3].fired_at_ns >= begun_ns + 1200e6
    assert seen[1].session_wait_ns > 200e6
    # Not counted twice.
    assert seen[1].session_wait_ns + seen[1].lateness_ns <= seen[1].fired_at_ns - begun_ns - 20e6
    assert [one.session_wait_ns for one in (seen[0], seen[2])] == [0, 0]
    # Due a second after its predecessor: it waited only where this machine stood still for as long.
    landed_ns = max(shot.sent_at_ns + shot.duration_ns for shot in seen[2].shots)
    assert seen[3].session_wait_ns == 0 or landed_ns > begun_ns + 1200e6


async def test_controls_are_thinned_out_where_the_run_says_so(stage, exchange, serving):
    """Sampled down by endpoint: spared{sampled} at both controls, base and branch get everything."""
    async with serving(ok, ok, ok, ok) as servers:
        stage.record([exchange(n, f"/{n}", session=f"{n:016x}") for n in range(300)])
        stage.plan([server.url for server in servers])
        summary = await stage.fire(sampling=thinned)
    check_ledger(stage, summary)
    assert [len(server.seen) for server in servers] == [300, 220, 300, 220]


async def test_a_proxy_of_the_environment_and_redirects_are_not_followed(stage, exchange, serving, monkeypatch):
    """HTTP_PROXY is ignored, and a redirect is an answer like any other."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{trap.getsockname()[1]}")
        moved = (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % trap.getsockname()[1]
        )
        async with serving(*[lambda _r, _n: moved] * 4) as servers:
            stage.record([exchange(0)])
            stage.plan([server.url for server in servers])
            await stage.fire()
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert stage.observations()[0].answer_of(0).status == 302


async def test_a_frame_that_is_being_read_at_a_stop_is_accounted_for(stage, exchange, serving, monkeypatch):
    """Who asked for the frame is cancelled; the items in it are still skipped with a reason, not lost."""
    stop = asyncio.Event()
    next_frame = Replay._next_frame

    def slowly(replay):
        stop_soon()
        time.sleep(0.3)
        return next_frame(replay)

    loop = asyncio.get_running_loop()

    def stop_soon():
        loop.call_soon_threadsafe(stop.set)

    async with serving(*[lambda *_: OK] * 4) as servers:
        stage.record([exchange(n) for n in range(30)])
        stage.plan([server.url for server in servers])
        monkeypatch.setattr(Replay, "_next_frame", slowly)
        summary = await stage.fire(stop, drain_s=0.05)

    assert summary.state == "interrupted"
    assert sorted(one.seq for one in stage.observations()) == list(range(30))


async def test_an_id_that_a_target_gave_is_asked_for_there_alone(stage, exchange, serving):
    """Base and branch number their orders otherwise: each is asked for its own, and a control that is base itself for base's."""

    def orders(number):
        def answer(request, _):
            body = b'{"id": %d}' % number if request.startswith(b"POST") else b"{}"
            return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                len(body),
                body,
            )

        return answer

    made = exchange(0, "/orders", method="POST")
    made = changed(made, response=Response(201, "1.1", [], Body(b'{"id": 17}', 10)))
    async with serving(orders(42), orders(99)) as (base, branch):
        stage.record([made, exchange(1, "/orders/17"), exchange(2, "/orders/17", session="b" * 16)])
        infos = [TargetInfo(base.url), TargetInfo(base.url, own_instance=False)]
        infos += [TargetInfo(branch.url), TargetInfo(branch.url, own_instance=False)]
        stage.plan([], infos=infos, methods="all")
        summary = await stage.fire()
    seen = check_ledger(stage, summary)
    assert sorted(base.lines) == ["GET /orders/17"] * 2 + ["GET /orders/42"] * 2 + ["POST /orders"]
    assert sorted(branch.lines) == ["GET /orders/17"] * 2 + ["GET /orders/99"] * 2 + ["POST /orders"]
    why = "id from POST /orders at body:$.id"
    assert [shot.rewrites for shot in seen[1].shots] == [
        [f'"/orders/17" -> "/orders/{number}": {why}'] for number in (42, 42, 99, 99)
    ]
    assert seen[1].target == "/orders/17"


async def test_a_value_that_would_break_the_message_is_not_put_in(stage, exchange, serving):
    """A target answers with a line break where a token was: the recorded token goes, and nothing of the target's gets into the head."""

    def answer(request, _):
        body = b'{"pulse": "a1b2c3d4\\r\\nX-Evil: 1"}'
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    said = changed(exchange(0, "/a"), response=Response(200, "1.1", [], Body(b'{"pulse": "e5f6a7b8"}', 21)))
    async with serving(answer, answer, answer, answer) as servers:
        stage.record([said, exchange(1, "/b", headers=[(b"X-Zig", b"e5f6a7b8")])])
        stage.plan([server.url for server in servers])
        summary = await stage.fire()
    check_ledger(stage, summary)
    for server in servers:
        assert b"X-Zig: e5f6a7b8\r\n" in server.seen[1]
        assert b"X-Evil" not in server.seen[1]
