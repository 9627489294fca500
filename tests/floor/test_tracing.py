"""Where traces are told, what is handed on, and that nobody waits for who does not take them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from echolane import tracing
from echolane.tracing import handed_on, here, is_on, is_wanted, note, span, traced
from tests.e2e.traces_parts import ERROR, Collector, collecting

THERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that this process tells."""
    with collecting() as one:
        # Short, and waited for below: the tests that follow in this process want no thread of these beside them.
        for name, value in {**one.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}.items():
            monkeypatch.setenv(name, value)
        yield one
    for thread in threading.enumerate():
        if thread.name == "traces-end":
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        (THERE, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({**THERE, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**THERE, "OTEL_SDK_DISABLED": "false"}, True),
        ({**THERE, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**THERE, "OTEL_TRACES_EXPORTER": "console, otlp"}, True),
    ],
)
def test_the_standard_environment_says_whether(environ: dict[str, str], wanted: bool) -> None:
    """Nothing is told without an address, and nothing where it is switched off as it is everywhere."""
    assert is_wanted(environ) is wanted


def test_a_child_goes_on_with_its_own_span_alone() -> None:
    """What was handed to us is not handed on: a run that no traced call asked for is not of the trace that its server was started in."""
    assert handed_on({"A": "1", "TRACEPARENT": "ours"}, "theirs") == {"A": "1", "TRACEPARENT": "theirs"}
    assert handed_on({"A": "1", "TRACEPARENT": "ours"}, "") == {"A": "1"}


def test_where_it_is_off_all_words_are_nothing() -> None:
    """Spans, notes and what is handed on: no effect, and what is raised passes."""
    with traced({}), span("one"):
        note({"a": 1})
        assert (is_on(), here()) == (False, "")
    with pytest.raises(KeyError), traced({}), span("one"):
        raise KeyError


def test_spans_are_told_as_they_lie_in_each_other(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner ones are children, those apart are nobody's parent, and what is raised marks all that it passes by its class alone."""
    monkeypatch.setattr(tracing, "END_S", 60.0)  # this machine may stand still for longer than others wait
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    said: list[str] = []
    handed: list[str] = []

    def work() -> None:
        with span("apart", apart=True):
            handed.append(here())
        with span("inner", {"a": 1}):
            raise KeyError("secret")

    with pytest.raises(KeyError, match="secret"), traced(os.environ, said.append), span("outer"):
        work()
    found = {one.name: one for one in collector.spans()}

    assert (said, is_on(), here()) == ([], False, "")
    assert found["inner"].parent == found["apart"].parent == found["outer"].id
    assert handed[0].split("-")[:3] == ["00", found["outer"].trace, found["outer"].id]
    assert found["inner"].attributes == {"a": 1, "error.type": "KeyError"}
    assert [(one.name, one.status) for one in found.values() if one.status] == [("inner", ERROR), ("outer", ERROR)]
    assert b"secret" not in b"".join(collector.raw)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """For how long each end of this process waits: on a machine that stands still it takes longer, and that is not its fault."""
    found: list[float | None] = []
    join = threading.Thread.join

    def noted(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "traces-end":
            found.append(timeout)
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", noted)
    return found


@pytest.mark.parametrize("spans", [1, 25])
def test_the_end_waits_a_second_at_most(
    collector: Collector, joined: list[float | None], monkeypatch: pytest.MonkeyPatch, spans: int
) -> None:
    """A collector that hangs holds up no span and the end by no more than its bound; all that it did not take is counted."""
    collector.hangs.set()
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    said: list[str] = []
    with traced(os.environ, said.append):
        began = time.thread_time()
        for _ in range(spans):
            with span("one"):
                pass
        assert time.thread_time() - began < 0.5

    assert joined == [tracing.END_S]
    assert said == [f"traces: {spans} of {spans} spans were dropped, the collector did not take them in time"]


def test_one_that_was_stuck_before_is_not_waited_for(
    collector: Collector, joined: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that goes on for longer than the end may take says enough: the end does not wait at all."""
    collector.hangs.set()
    monkeypatch.setattr(tracing, "END_S", 0.3)
    with traced(os.environ):
        with span("one"):
            pass
        assert collector.came.wait(60)
        time.sleep(2 * tracing.END_S)

    assert joined == [0.0]
