"""Traces as a collector gets them: a call and its run are one, by the conventions, without a secret, and at no cost to anybody."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.ports import free_port
from console.conduct import numbers
from echolane.ledger import run_identities
from tests.e2e.api_parts import Served, log_of
from tests.e2e.traces_parts import ERROR, SERVER, Collector, Told, collecting
from tests.e2e.workers_parts import Stage
from tests.e2e.world import Done, World, send, stop

CANARY = "canary-7f3d1c55"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
STEPS = ["plan", "start copies", "fire", "compare", "close"]
PATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "100"}
"""Whoever waited for such a collector would wait for half a minute and more."""
UNWAITED_S = 25.0
"""What takes less has not waited for it, on however slow a machine."""
LATER_S = 25.0
"""By how much a run may be longer by chance, on a machine that has other things to do; the bound itself is tested beside the floor."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes spans."""
    with collecting() as one:
        yield one


@pytest.fixture
def served(tmp_path: Path, collector: Collector) -> Iterator[Served]:
    """A server that tells its spans, and has recorded secrets of every kind."""
    world = World(tmp_path)
    world.environ |= collector.environ
    try:
        one = Served(world, exchanges=6)
        process, port = world.recorder(world.app())
        secret = {"Authorization": f"Bearer {CANARY}-header"}
        send(port, [(f"/items/{n}?token={CANARY}-query", secret) for n in range(1, 4)])
        assert stop(process) == 0
        world.check_capture()
        yield one
    finally:
        world.end()
    assert "api.fault" not in log_of(world.home)


@pytest.fixture
def recorded(world: World) -> list[object]:
    """Something that is recorded; the flags of a run of it that finds nothing."""
    port = world.app()
    world.record(port, [(f"/items/{n}", {}) for n in range(1, 7)])
    return ["--base", f"http://127.0.0.1:{port}", "--branch", f"http://127.0.0.1:{world.app()}"]


def children(spans: list[Told], parent: Told) -> list[Told]:
    """The spans below one, in the order in which they began."""
    return sorted((one for one in spans if one.parent == parent.id), key=lambda one: one.begun_ns)


def about_traces(said: str) -> list[str]:
    """The lines that are about them."""
    return [line for line in said.splitlines() if line.startswith(("traces", "no traces"))]


def taken(world: World, collector: Collector, flags: list[object]) -> Done:
    """A run whose spans were taken; where this machine stood still for as long as its end waits, it says so and is done again."""
    for _ in range(5):
        collector.raw.clear()
        done, _ = world.run(*flags)
        if not about_traces(done.err):
            break
    return done


def ended_run(spans: list[Told]) -> bool:
    """Whether a run has told all of it: its root comes last."""
    return any(one.name == "echolane run" for one in spans)


def test_a_call_and_its_run_are_one_trace(served: Served, collector: Collector) -> None:
    """The caller's span has the server's as its child, that the run's, and that its steps in order; each says what it has to."""
    body = {"service": "shop", "base": "released", "branch": "next"}
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    run = served.ask("POST", "/api/v1/runs", body, headers=headers).json["run"]
    assert served.ended(run)["state"] == "finished"
    spans = collector.wait(ended_run)
    result = served.ask("GET", f"/api/v1/runs/{run}").json
    (call,), (root,) = collector.named("POST /api/v1/runs"), collector.named("echolane run")

    assert (call.trace, call.parent, call.kind, call.status) == (TRACE, CALLER, SERVER, 0)
    assert call.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/v1/runs",
        "http.response.status_code": 201,
    }
    assert (root.trace, root.parent, root.status) == (TRACE, call.id, 0)
    assert {one.trace for one in children(spans, root)} == {TRACE}
    assert [one.name for one in children(spans, root)] == STEPS
    assert all(root.begun_ns <= one.begun_ns <= one.ended_ns <= root.ended_ns for one in children(spans, root))
    assert (root.resource["service.name"], root.attributes["echolane.run"]) == ("echolane", run)
    told = {name: value for name, value in root.attributes.items() if name.startswith("echolane.ledger.")}
    assert told == dict(numbers(result["ledger"], "echolane.ledger"))
    assert told["echolane.ledger.selected"] == 9
    assert run_identities(result["ledger"]) == []
    outcome = [root.attributes[f"echolane.{name}"] for name in ("service", "verdict", "reason_code")]
    assert outcome == ["shop", result["verdict"], result["reason_code"]] == ["shop", "fail", "regressions"]


def test_a_push_and_its_run_are_one_trace(served: Served, collector: Collector) -> None:
    """A delivery is answered long before its run begins, in another task; the run is nevertheless of its trace."""
    pushed = {"service": "shop", "branch": "feature/a", "commit": f"{7:040x}"}
    told = served.ask("POST", "/hooks/run", pushed, headers={"traceparent": f"00-{TRACE}-{CALLER}-01"}).json
    collector.wait(ended_run)
    assert served.ended(told["pushes"][0]["run"])["state"] == "finished"
    (call,), (root,) = collector.named("POST /hooks/run"), collector.named("echolane run")

    assert (call.trace, call.parent) == (TRACE, CALLER)
    assert (root.trace, root.parent) == (TRACE, call.id)


def test_every_call_has_one_span_and_no_span_a_secret(served: Served, collector: Collector) -> None:
    """Ids, queries, headers, bodies, tokens and captured values are in no byte that is sent; a path is told as its template."""
    run = served.run()
    served.ended(run)
    unknown = {"X-Secret": f"{CANARY}-own"}
    served.ask("GET", f"/api/v1/runs/{run}/state?service={CANARY}", headers=unknown)
    served.ask("GET", f"/nowhere/{CANARY}?x={CANARY}")
    served.ask("POST", "/api/v1/runs", {"service": CANARY, "base": CANARY, "branch": CANARY})
    served.ask("GET", "/api/v1/runs", token=CANARY)
    collector.wait(ended_run)
    assert stop(served.process) == 0
    calls = [one for one in collector.spans() if one.kind == SERVER]

    assert {one.name for one in calls} >= {"GET", "POST /api/v1/runs", "GET /api/v1/runs/{run}/state"}
    assert [(one.attributes["http.response.status_code"], one.status) for one in calls if one.name == "GET"] == [
        (404, 0)
    ]
    assert [one.attributes["http.response.status_code"] for one in collector.named("POST /api/v1/runs")] == [201, 404]
    assert [one.attributes["http.response.status_code"] for one in collector.named("GET /api/v1/runs")] == [401]
    sent = b"".join(collector.raw).decode("latin-1")
    assert all(one not in sent for one in (CANARY, served.admin, "/items/"))
    assert not re.search("/runs/[0-9a-f]", sent)


def test_nobody_waits_for_a_collector_that_hangs(world: World, recorded: list[object], collector: Collector) -> None:
    """It takes a connection and never answers: exit code and time are those of a run without traces, and what was dropped is said once."""
    collector.hangs.set()
    check_harmless(world, recorded, collector.environ)


def test_nobody_waits_for_a_collector_that_is_away(world: World, recorded: list[object]) -> None:
    """Nothing listens there: exit code and time are those of a run without traces, and what was dropped is said once."""
    check_harmless(world, recorded, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{free_port()}/v1/traces"})


def check_harmless(world: World, flags: list[object], environ: dict[str, str]) -> None:
    """Two runs, one without traces and one whose spans nobody takes."""
    began = time.monotonic()
    plain, before = world.run(*flags)
    plain_s, began = time.monotonic() - began, time.monotonic()
    world.environ |= environ | PATIENT
    done, after = world.run(*flags)
    traced_s = time.monotonic() - began

    assert (done.code, after["ledger"]["selected"]) == (plain.code, before["ledger"]["selected"]) == (0, 6)
    assert traced_s < plain_s + LATER_S, (plain_s, traced_s)
    assert "opentelemetry" not in done.err.lower()
    assert about_traces(done.err) == ["traces: 6 of 6 spans were dropped, the collector did not take them in time"]


def test_a_server_serves_while_its_collector_hangs(tmp_path: Path, collector: Collector) -> None:
    """Calls are answered as fast as ever, it ends when it is told to, and its log says once what was dropped."""
    collector.hangs.set()
    world = World(tmp_path)
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
    world.environ |= collector.environ | PATIENT | small
    try:
        served = Served(world, exchanges=2)
        began = time.monotonic()
        for _ in range(200):
            served.ask("GET", "/api/v1/runs")
        assert time.monotonic() - began < UNWAITED_S
        began = time.monotonic()
        assert stop(served.process) == 0
        assert time.monotonic() - began < UNWAITED_S
    finally:
        world.end()
    lines = [line for line in log_of(world.home).splitlines() if "traces." in line]
    assert len(lines) == 1
    assert '"spans":200,"dropped":200' in lines[0]


def test_a_run_that_cannot_be_done_is_an_error(world: World, recorded: list[object], collector: Collector) -> None:
    """A target that is not there: the run's span is marked with the class of the error, and has no message that might quote something."""
    world.environ |= collector.environ
    done = taken(world, collector, [*recorded[:2], "--branch", f"http://127.0.0.1:{free_port()}"])
    (root,) = [one for one in collector.spans() if one.name == "echolane run"]

    assert done.code == 4
    assert (root.status, root.attributes["error.type"], root.message, root.events) == (
        ERROR,
        "TargetUnavailable",
        "",
        0,
    )


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"OTEL_SERVICE_NAME": "replays"}, "replays"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=of-all,team=a"}, "of-all"),
        ({"TRACEPARENT": f"00-{TRACE}-{CALLER}-01"}, "echolane"),
        ({"TRACEPARENT": "nonsense"}, "echolane"),
    ],
)
def test_a_run_of_a_shell_tells_as_the_environment_says(
    world: World, recorded: list[object], collector: Collector, more: dict[str, str], name: str
) -> None:
    """The service's name and the caller's span are taken from where every SDK takes them; a span that is none begins a trace."""
    world.environ |= collector.environ | more
    done = taken(world, collector, recorded)
    (root,) = [one for one in collector.spans() if one.name == "echolane run"]

    assert (done.code, about_traces(done.err)) == (0, [])
    assert root.resource["service.name"] == name
    assert ((root.trace, root.parent) == (TRACE, CALLER)) == (more.get("TRACEPARENT", "").startswith("00-"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "no traces are sent: OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`; set it to http/protobuf, and the address of that",
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
            "no traces are sent: the OTEL_ variables of the environment do not fit: max_queue_size must be a positive integer.",
        ),
    ],
)
def test_a_run_without_traces_is_like_any(
    world: World, recorded: list[object], collector: Collector, more: dict[str, str], said: str
) -> None:
    """Switched off, or not possible, which is said in a line: the run is done, and nothing is sent."""
    world.environ |= collector.environ | more
    done, _ = world.run(*recorded)

    assert (done.code, collector.raw) == (0, [])
    assert about_traces(done.err) == ([said] if said else [])


def test_without_the_extra_a_run_is_like_any(world: World, recorded: list[object], collector: Collector) -> None:
    """The environment asks for traces and the SDK is not installed: nothing is said or sent, and the run is done."""
    world.environ |= collector.environ
    program = "import sys; sys.modules['opentelemetry'] = None; from console.main import main; sys.exit(main())"
    words = ["run", "--service", "shop", "--home", world.home, *recorded]
    said = world.folder / "said"
    with said.open("wb") as file:
        process = world.start(sys.executable, "-c", program, *words, cwd=world.folder, stderr=file)
    code = process.wait(60)

    assert (code, collector.raw) == (0, []), said.read_text("utf-8")
    assert about_traces(said.read_text("utf-8")) == []


def test_what_does_not_trace_pays_no_import(world: World, recorded: list[object]) -> None:
    """A whole run without traces imports no module of OpenTelemetry, and neither does what server and workers begin with."""
    done, _ = world.run(*recorded, flags=["-X", "importtime"])
    imports = re.findall(r"import time:.*\|\s*(\S+)", done.err)
    assert "replayer.fire" in imports
    assert not [name for name in imports if name.startswith(("opentelemetry", "google", "echolane.otel"))]

    text = "import sys, console.api.serve, console.worker; print([m for m in sys.modules if m.startswith('opentel')])"
    process = world.start(sys.executable, "-c", text, stdout=subprocess.PIPE)
    assert process.communicate(timeout=60)[0] == b"[]\n"


def test_workers_tell_what_they_do_of_a_run_in_its_trace(world: World, collector: Collector) -> None:
    """Each partition that is fired and each share that is compared is one span below the run that was asked for, and the fired add up."""
    stage = Stage(world, 40, 8, lease_s=9.0)  # which does not end while this machine stands still
    world.environ |= collector.environ
    workers = [stage.worker(role) for role in ("replay", "diff")]
    _, result = stage.run("--workers", "shared", "--wait", "60")
    for process in workers:
        assert stop(process) == 0
    stage.check(result)
    spans = collector.spans()
    (root,) = [one for one in spans if one.name == "echolane run"]
    below: dict[str, list[Any]] = {}
    for one in children(spans, root):
        below.setdefault(one.name, []).append(one)

    assert {one.trace for one in spans} == {root.trace}
    assert set(below) == {"plan", "start copies", "wait for workers", "fire slice", "compare share", "close"}
    assert [len(below[name]) for name in ("compare share", "close")] == [1, 1]
    assert sum(one.attributes["echolane.fired"] for one in below["fire slice"]) == 40
    assert len(below["fire slice"]) < 40
    assert {one.attributes["echolane.run"] for one in below["fire slice"] + below["compare share"]} == {result["run"]}
