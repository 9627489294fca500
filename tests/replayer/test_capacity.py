"""The evaluation around the search: the seam for other levers, the meter's laws, and the door to Prometheus."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.parts import running
from bench.ports import free_port
from echolane.errors import UsageError
from replayer.capacity.evaluate import INTERRUPTED, UNAVAILABLE, UNFAITHFUL, Health, Told, evaluate
from replayer.capacity.meter import Meter, is_error
from replayer.capacity.prometheus import MetricsUnreadable, Prometheus, parse_metric, parse_metrics
from replayer.capacity.rhythm import Rhythm
from replayer.capacity.rules import BROKEN, Interval, Rule, judge
from replayer.capacity.search import FOUND, RECOVER, UNSURE, Range
from replayer.flight import Flight

SHARE = Range(0.05, 1.0, precision=0.05, holds=2)


class Weight:
    """A lever of another kind: the share of live traffic that one instance gets; it bears ``limit`` of it."""

    unit = "share of the traffic"

    def __init__(self, limit: float, dead_above: float = 2.0) -> None:
        self.limit, self.dead_above = limit, dead_above
        self.weight = 0.0
        self.log: list[tuple[str, float]] = []

    async def hold(self, level: float, seconds: float) -> Interval:
        """Shift the weight and look at the instance."""
        assert level <= 1.0
        self.weight = level
        self.log.append(("hold", level))
        if level > self.dead_above:
            return Interval(level, seconds, {}, dead="is gone")
        latency = 40.0 if level <= self.limit else 4_000.0
        return Interval(level, seconds, {"errors": 0.0, "latency": latency, "backlog": 0.0})

    async def rest(self) -> str:
        """The weight goes back."""
        self.weight = 0.0
        self.log.append(("rest", 0.0))
        return ""

    def release(self) -> None:
        """At once."""
        self.weight = 0.0
        self.log.append(("release", 0.0))


async def test_another_lever_finds_its_limit_and_lets_go() -> None:
    """Weight instead of rate: the highest safe share is found; after every broken rule comes rest, and in the end nothing is held."""
    lever = Weight(0.37)
    told: list[Told] = []
    found = await evaluate(lever, SHARE, Health(), 1.0, asyncio.Event(), listen=told.append)

    assert found.state == FOUND
    assert found.safe <= 0.37 <= found.safe * 1.05
    assert lever.weight == 0.0
    assert lever.log[-1][0] == "release"
    for at, (word, level) in enumerate(lever.log):
        if word == "hold" and level > 0.37:
            assert lever.log[at + 1][0] == "rest"
    assert [one.step.phase for one in told if one.step.phase == RECOVER]


async def test_a_lever_that_fails_is_let_go_of() -> None:
    """Whatever goes wrong, the load is taken away."""

    class Failing(Weight):
        async def hold(self, level: float, seconds: float) -> Interval:
            if level > 0.1:
                raise OSError("the cluster is away")
            return await super().hold(level, seconds)

    lever = Failing(1.0)
    with pytest.raises(OSError, match="the cluster is away"):
        await evaluate(lever, SHARE, Health(), 1.0, asyncio.Event())

    assert lever.log[-1] == ("release", 0.0)
    assert lever.weight == 0.0


async def test_who_is_asked_to_stop_or_finds_a_dead_target_holds_nothing_more() -> None:
    """No step follows, and what was found so far is told."""
    stop = asyncio.Event()
    lever = Weight(1.0)
    found = await evaluate(lever, SHARE, Health(), 1.0, stop, listen=lambda _: stop.set())
    assert (found.state, len(found.told), lever.weight) == (INTERRUPTED, 1, 0.0)
    assert found.safe == 0.05

    lever = Weight(1.0, dead_above=0.2)
    found = await evaluate(lever, SHARE, Health(), 1.0, asyncio.Event())
    assert (found.state, found.reason, lever.weight) == (UNAVAILABLE, "is gone", 0.0)
    assert 0 < found.safe <= 0.2


class Refusing(Weight):
    """Answers 403 above its limit, and once it has begun so, also below it where it is asked to stay so."""

    def __init__(self, limit: float, *, stays: bool) -> None:
        super().__init__(limit)
        self.stays, self.begun = stays, False

    async def hold(self, level: float, seconds: float) -> Interval:
        """A refusal is an error, as the meter counts it."""
        found = await super().hold(level, seconds)
        self.begun = self.begun or level > self.limit
        refused = level > self.limit or (self.stays and self.begun)
        share = 1.0 if refused else 0.0
        return Interval(
            level, seconds, {"errors": share, "latency": 40.0, "backlog": 0.0}, refused=share, dead=found.dead
        )


async def test_refusals_are_errors_under_load_and_the_end_where_they_stay() -> None:
    """A target that sheds by 403 has a limit; one that refuses half of what it bore, too, or the first of all, has lost its credentials."""
    shedding = await evaluate(Refusing(0.37, stays=False), SHARE, Health(), 1.0, asyncio.Event())
    assert shedding.state == FOUND
    assert shedding.limiting is not None
    assert shedding.limiting.judgement.signal == "errors"
    assert shedding.safe <= 0.37 <= shedding.safe * 1.05

    lost = await evaluate(Refusing(0.37, stays=True), SHARE, Health(), 1.0, asyncio.Event())
    assert (lost.state, lost.told[-1].step.phase) == (UNFAITHFUL, RECOVER)
    assert "answered 401 or 403 to 100% of the requests" in lost.reason

    never = await evaluate(Refusing(0.0, stays=True), SHARE, Health(), 1.0, asyncio.Event())
    assert (never.state, len(never.told), never.safe) == (UNFAITHFUL, 1, 0.0)


async def test_metrics_of_the_target_are_rules_and_what_cannot_be_read_is_void() -> None:
    """A bound on its own metric is the limit; a server that never answers leaves the search unsure, with its words."""
    lever = Weight(2.0)

    class Cpu:
        async def read(self) -> dict[str, float]:
            return {"cpu": lever.weight * 2}

    class Silent:
        async def read(self) -> dict[str, float]:
            raise MetricsUnreadable("no answer within 5 s")

    health = Health(others=[Rule("cpu", 0.8)])
    found = await evaluate(lever, SHARE, health, 1.0, asyncio.Event(), Cpu())
    assert found.state == FOUND
    assert found.limiting is not None
    assert found.limiting.judgement.signal == "cpu"
    assert found.safe <= 0.4 <= found.safe * 1.05

    found = await evaluate(lever, SHARE, health, 1.0, asyncio.Event(), Silent())
    assert found.state == UNSURE
    assert "no answer within 5 s" in found.reason


def flight(seq: int, due_ms: float) -> Flight:
    """As much of a flight as the meter looks at."""
    made = SimpleNamespace(
        seq=seq,
        due_ns=int(due_ms * 1e6),
        free_ns=0,
        blockers=0,
        launched=True,
        waiting=False,
        followers=[],
        weight=1,
        item=SimpleNamespace(exchange=SimpleNamespace(response=None)),
        shots=[None] * 4,
        release=lambda: None,
    )
    return cast("Flight", made)


def landed(meter: Meter, one: Flight, done_ms: float, status: int = 200, failure: str = "") -> None:
    """It is answered at this instant."""
    answer = SimpleNamespace(status=status) if not failure else None
    one.shots[0] = cast("None", SimpleNamespace(failure=failure, answer=answer, done_ns=int(done_ms * 1e6)))
    meter.take(one)


def test_latency_counts_from_the_due_instant_and_waiting_is_overload() -> None:
    """A target that takes one a 12 ms, asked every 10 ms: latency rises by 0.17 s a second, whenever we came to write."""
    meter = Meter(0.99, 500.0, 0.01)
    meter.begin(0, 300)
    flights = [flight(n, 10 * n) for n in range(300)]
    for n, one in enumerate(flights):
        meter.became_due(one)
        landed(meter, one, 12 * (n + 1))
    found = meter.sum_up(4_000_000_000, 100.0, 3.0)

    assert found.signals["backlog"] == pytest.approx(0.2, rel=0.01)
    assert found.facts["max_ms"] == pytest.approx(12 * 300 - 2990)
    judgement = judge(found, Health().rules)
    assert (judgement.state, judgement.signal, judgement.decisive) == (BROKEN, "backlog", True)
    assert meter.account.imbalance() == []


def test_what_is_not_answered_counts_with_the_time_it_took_so_far() -> None:
    """A target that stops answering is slow, not absent from the quantile, and the interval is lost before its end."""
    meter = Meter(0.99, 500.0, 0.01)
    meter.begin(0, 100)
    flights = [flight(n, 10 * n) for n in range(100)]
    for one in flights:
        meter.became_due(one)
    landed(meter, flights[0], 5)

    assert not meter.certain(400_000_000)
    assert meter.certain(600_000_000)
    found = meter.sum_up(1_000_000_000, 100.0, 1.0)
    assert found.signals["latency"] == pytest.approx(990 - 10, abs=11)
    assert found.facts["unanswered"] == 99


def test_errors_are_failures_and_overload_but_not_what_the_recording_has_too() -> None:
    """5xx and 429 speak of need unless they were recorded; 404 is an answer."""
    assert [is_error(status, 200) for status in (0, 200, 404, 429, 500, 503)] == [True, False, False, True, True, True]
    assert not is_error(503, 503)
    assert is_error(0, 503)


def test_a_rhythm_is_even_and_late_only_by_us() -> None:
    """Due instants are spaced by the rate whatever landed; what was not launched is given back."""
    due: list[Flight] = []
    rhythm = Rhythm(due.append)
    real = [flight(n, 0) for n in range(10)]
    rhythm._upcoming.extend(real)  # the schedule takes flights of a class of its own; these stand in for them
    rhythm._unfinished.update({one.seq: one for one in real})
    rhythm.begin(100.0, 0.05, 1_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("replayer.capacity.rhythm.Flight", SimpleNamespace)
        assert rhythm.advance(0) == 1_000
        assert rhythm.advance(1_000) == 10_001_000
        assert rhythm.advance(25_001_000) == 30_001_000
        assert rhythm.late_ns == 15_000_000
        rhythm.call_off(26_000_000)
        assert rhythm.over
        assert rhythm.advance(10**10) is None
    assert [one.due_ns for one in due] == [1_000, 10_001_000, 20_001_000]
    assert rhythm.loaded == 7
    assert not rhythm.ready


@pytest.mark.parametrize(
    ("text", "name", "query", "bound", "at_least"),
    [
        ('cpu=avg(rate(x{job="a"}[30s])) <= 0.8', "cpu", 'avg(rate(x{job="a"}[30s]))', 0.8, False),
        ("up >= 1", "metric-1", "up", 1.0, True),
        ('sum(x{a="b=c"}) <= 1e3', "metric-1", 'sum(x{a="b=c"})', 1000.0, False),
        ("free=a > 5 or b >= -2.5", "free", "a > 5 or b", -2.5, True),
    ],
)
def test_a_metric_is_a_query_with_a_bound(text: str, name: str, query: str, bound: float, at_least: bool) -> None:
    """The last comparison is the bound; what stands before it is PromQL and is not read here."""
    found = parse_metric(text)

    assert (found.rule.signal, found.query, found.rule.bound, found.rule.at_least) == (name, query, bound, at_least)


@pytest.mark.parametrize("texts", [["up"], ["<= 1"], ["latency=up <= 1"], ["a=x <= 1", "a=y <= 2"], ["x <= 1"] * 17])
def test_what_is_no_metric_is_refused(texts: list[str]) -> None:
    """No bound, no query, a name that is taken, or too many."""
    with pytest.raises(UsageError):
        parse_metrics(texts)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says the same to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/prom/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def vector(*values: str) -> bytes:
    """The answer to an instant query."""
    series = ",".join(f'{{"metric":{{}},"value":[1,"{value}"]}}' for value in values)
    return f'{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}'.encode()


@pytest.mark.parametrize(
    ("body", "text", "worst"),
    [
        (vector("1", "3", "2"), "x <= 2", 3.0),
        (vector("1", "3", "NaN"), "x >= 2", 1.0),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"7.5"]}}', "x <= 2", 7.5),
    ],
)
def test_of_several_series_the_worst_counts(body: bytes, text: str, worst: float) -> None:
    """The highest where the bound is above, the lowest where it is below; scalars too; NaN is no value."""
    with answering(200, body) as url, ThreadPoolExecutor(1) as thread:
        metric = parse_metric(text)
        assert Prometheus(url, [metric], thread).ask(metric) == worst


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"status":"error","error":"parse error: unexpected end"}', "parse error: unexpected end"),
        (200, vector(), "`x` gives nothing at this moment"),
        (200, vector("NaN"), "gives nothing at this moment"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "gives nothing"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"value":3}]}}', "gives nothing"),
        (200, b"[]", "status 200"),
        (404, b"<html>", "is it a Prometheus server?"),
        (302, b"", "is it a Prometheus server?"),
        (200, b" " * 2_000_000, "larger than"),
    ],
)
def test_an_answer_without_a_number_says_why(status: int, body: bytes, said: str) -> None:
    """Errors of the query, of the server and of whoever else answers there; redirects are not followed."""
    with answering(status, body) as url, ThreadPoolExecutor(1) as thread:
        metric = parse_metric("x <= 1")
        with pytest.raises(MetricsUnreadable, match=said.replace("?", r"\?")):
            Prometheus(url, [metric], thread).ask(metric)


def test_a_real_prometheus_is_asked(tmp_path: Path, require: Callable[..., str]) -> None:
    """Debian's server, scraping itself: a number, an empty answer and an error of the query."""
    hint = "apt-get install prometheus, or ECHOLANE_PROMETHEUS=PATH"
    program = os.environ.get("ECHOLANE_PROMETHEUS") or require("prometheus", hint=hint)
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"  - job_name: own\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n",
        "ascii",
    )
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with running([*command, f"--web.listen-address=127.0.0.1:{port}"], port), ThreadPoolExecutor(1) as thread:
        asked = Prometheus(f"http://127.0.0.1:{port}", [], thread)
        deadline = time.monotonic() + 60
        while True:
            try:
                assert asked.ask(parse_metric('up{job="own"} >= 1')) == 1.0
                break
            except MetricsUnreadable:  # not yet scraped
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert asked.ask(parse_metric('process_resident_memory_bytes{job="own"} <= 1e12')) > 1e6
        with pytest.raises(MetricsUnreadable, match="gives nothing at this moment"):
            asked.ask(parse_metric("no_such_metric <= 1"))
        with pytest.raises(MetricsUnreadable, match="parse error"):
            asked.ask(parse_metric("sum(( <= 1"))
