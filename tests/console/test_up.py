"""`echolane up` as a person has it: one command that records, serves and does runs, keeps all of it going, and ends whole."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.home import open_home
from echolane.lease import is_held
from tests.console.up_stage import FAST, Stage, command_of
from tests.e2e.world import send

ROOT = Path(__file__).resolve().parents[2]
PAGE = (
    (ROOT / "docs" / "how-to" / "serve.md")
    .read_text("utf-8")
    .partition("## Everything in one command")[2]
    .partition("\n## ")[0]
)
UP = "restart_s = 0.5\nrestart_max_s = 0.5\nfailures = 2\nheld_s = 1.0\n"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One stage for the tests of this file, which leave it up or down; its service is recorded as the page writes it."""
    toml = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
    stage = Stage(tmp_path_factory.mktemp("up"), up=UP, entry=toml)
    yield stage
    stage.end()


@pytest.fixture
def stage(one: Stage) -> Stage:
    """The stage, up."""
    return one.begin()


def test_the_documents_words_lead_from_an_empty_folder_to_a_verdict(stage: Stage) -> None:
    """Who does what the page says, with an empty home, has traffic recorded, a run done over the API, and everything accounted for."""
    assert "```\necholane up\n```" in PAGE
    block = stage.told[stage.told.index("Echolane is up") :]
    assert f"process {stage.process.pid}, home {stage.world.home}" in block
    assert f"pages and API  http://127.0.0.1:{stage.port}" in block
    assert f"log in with    {stage.admin} (a token of an admin, told this once)" in block
    assert f"shop: clients connect to 127.0.0.1:{stage.capture}, http://127.0.0.1:{stage.upstream} answers" in block
    stage.send(12)
    send(stage.capture, [("/healthz", {})] * 3)  # which the page's filter leaves out
    counts = stage.settled()
    assert (counts["seen"], counts["stored"], counts["dropped{filtered}"]) == (15, 12, 3)
    state = stage.ended(stage.run())
    assert (state["state"], state["verdict"], state["total"]) == ("finished", "fail", 12)
    assert stage.ready() == (200, "ok\n")
    assert list((stage.world.folder / "user").iterdir()) == []


def test_a_second_one_on_a_home_says_who_has_it(stage: Stage) -> None:
    """One home, one `echolane up`: another is refused with the process that has it, and disturbs nothing."""
    done = stage.world.call("up", "--listen", f"127.0.0.1:{free_port()}")

    assert (done.code, done.out) == (2, "")
    assert f"`echolane up` of this home is in the hands of process {stage.process.pid}" in done.err
    assert stage.ready()[0] == 200


def test_a_run_whose_server_dies_before_it_has_a_lease_is_done_once(stage: Stage) -> None:
    """A server that is killed between starting a run and the run's first step finds it again: it is neither lost nor started twice."""
    stage.send(8)
    home, api = open_home(stage.world.home), stage.parts["api"]
    run = stage.run()
    stage.until(lambda: stage.runs_of(run))
    (child,) = stage.runs_of(run)
    os.kill(child, signal.SIGSTOP)
    assert not is_held(home.runs / f"{run}.lock")
    os.kill(api["pid"], signal.SIGKILL)
    stage.until(lambda: stage.parts["api"]["state"] == "up" and stage.parts["api"]["restarts"] > api["restarts"])
    os.kill(child, signal.SIGCONT)
    state = stage.ended(run)
    stage.until(lambda: not stage.runs_of(run))

    assert (state["state"], state["verdict"], state["total"]) == ("finished", "fail", stage.settled()["stored"])
    assert b"echolane: " not in (home.runs / f"{run}.said").read_bytes()  # another would have found it taken


def test_what_keeps_failing_is_held_and_said_and_comes_back(stage: Stage) -> None:
    """A part that cannot start any more is held after a few tries, `/readyz` says so, and it is up again once it can."""
    os.kill(stage.parts["record shop"]["pid"], signal.SIGKILL)
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stage.until(lambda: listens(taken, stage.capture))
    with taken:
        stage.until(lambda: stage.parts["record shop"]["state"] == "held")
        assert stage.ready() == (503, "1 of the parts of `echolane up` are not up\n")
        assert 'echolane_up_part_up{part="record shop"} 0\n' in stage.ask("GET", "/metrics").body.decode()
        assert re.search(
            r"record shop ended with 2, \d times in a row; it said: echolane: --listen \S+ cannot be used .*; held, next try in 1 s",
            stage.told,
        )
    stage.until(lambda: stage.ready()[0] == 200)
    before = stage.settled()["seen"]
    stage.send(3)
    assert stage.settled()["seen"] == before + 3


def test_a_connection_in_use_gets_its_answer_before_the_end(stage: Stage) -> None:
    """A request that has begun when it is told to stop is answered and recorded; a new connection is not taken. The exit code is 0."""
    before = stage.settled()["seen"]
    with socket.create_connection(("127.0.0.1", stage.capture), 60) as client:
        client.sendall(b"GET /items/1 HTTP/1.1\r\nHost: shop\r\n")
        stage.process.terminate()
        stage.until(lambda: refuses(stage.capture))
        client.sendall(b"Connection: close\r\n\r\n")
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200")
    assert stage.process.wait(60) == 0
    assert stage.counts["seen"] == before + 1


def listens(taken: socket.socket, port: int) -> bool:
    """Whether the port is this socket's now: whoever had it may be back before."""
    with contextlib.suppress(OSError):
        if taken.getsockname()[1] != port:
            taken.bind(("127.0.0.1", port))
        taken.listen()
        return True
    return False


def refuses(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_every_part_that_is_killed_comes_again_and_nothing_goes_uncounted(stage: Stage) -> None:
    """Recorder, relay, server and guard killed with -9 under a run: each is back, the run ends whole, and the capture's account balances.

    The run goes on without its server, is taken on by the next, and ends in good order with it; the next `echolane up` finishes it.
    """
    before, log_before = stage.settled(), len(stage.events)
    stage.send(60)
    assert stage.settled()["stored"] == before["stored"] + 60
    mark = stage.state["mark"].encode()
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    guard = next(pid for pid in pids if {b"console.up_guard", mark} <= set(command_of(pid)))
    run = stage.run(pace="6/s")
    stage.until(lambda: stage.fires(run))
    for part in ("api", "record shop"):
        stage.killed(part)
        stage.send(10)
    os.kill(guard, signal.SIGKILL)
    stage.until(lambda: any(event["event"] == "guard.died" for event in stage.events[log_before:]))
    died = [event for event in stage.events[log_before:] if event["event"] in {"part.died", "part.held"}]
    assert [(event["part"], event["signal"]) for event in died] == [("api", 9), ("record shop", 9)]
    assert "api was ended by SIGKILL; started again in" in stage.told
    assert stage.ask("GET", f"/api/v1/runs/{run}/state").json["state"] == "running"
    restarts = stage.parts["record shop"]["restarts"]
    metrics = stage.ask("GET", "/metrics").body.decode()
    assert f'echolane_up_part_restarts_total{{part="record shop"}} {restarts}\n' in metrics
    assert stage.stopped() == 0
    asked = json.loads((stage.world.home / "runs" / f"{run}.asked").read_bytes())
    assert (asked["state"], asked["words"]) == ("queued", ["--resume", run])
    stage.start()
    stage.wait(run, "finished")
    state = stage.ended(run)
    assert state["total"] == state["done"] == before["stored"] + 60
    counts = stage.counts
    lost = sum(counts.get(name, 0) - before.get(name, 0) for name in ("dropped{relay-died}", "dropped{recorder-died}"))
    assert counts["seen"] - before["seen"] == 80
    assert counts["stored"] - before["stored"] + lost == 80
    assert lost <= 10  # what was stored before the kill stays so


def test_a_part_that_will_not_drain_is_killed_and_said(stage: Stage) -> None:
    """A server that hangs costs the drain's bound, and is killed; a second signal does not even wait for that."""
    before = stage.begin(drain_s=6).settled()["stored"]
    stage.send(3)
    os.kill(stage.parts["api"]["pid"], signal.SIGSTOP)
    assert stage.stopped() == 130
    assert "api did not end within 6 s and is killed" in stage.told
    assert [event["part"] for event in stage.events if event["event"] == "part.outlasted"][:1] == ["api"]
    assert stage.counts["stored"] == before + 3

    stage.begin()
    os.kill(stage.parts["record shop"]["pid"], signal.SIGSTOP)
    stage.process.terminate()
    stage.until(lambda: stage.parts["record shop"]["state"] == "draining")
    assert stage.stopped() == 130
    assert "record shop did not end" not in stage.told


def test_a_kill_of_all_leaves_no_orphan_and_the_next_one_begins(stage: Stage) -> None:
    """Killed with -9, `echolane up` leaves nothing: parts and runs drain, what hangs is killed, and a new one starts and goes on with the run.

    So it does where its terminal takes nothing, and then is gone.
    """
    stage.begin(drain_s=6).send(40)
    stage.settled()
    run = stage.run(pace="40/s")
    stage.until(lambda: stage.fires(run))
    relay, log_before = stage.parts["record shop"]["pid"], len(stage.events)
    os.kill(relay, signal.SIGSTOP)
    os.kill(stage.parts["api"]["pid"], signal.SIGKILL)  # its run has nobody who tells it to end
    killed_itself(stage)
    stage.start_for_nobody()  # at once, while what is left is there
    assert relay in killed_since(stage, log_before)
    stage.wait(run, "finished")
    stage.ended(run)
    before = stage.settled()["seen"]
    stage.killed("record shop")
    stage.send(2)
    assert stage.settled()["seen"] == before + 2

    relay, api, log_before = stage.parts["record shop"]["pid"], stage.parts["api"]["pid"], len(stage.events)
    os.kill(api, signal.SIGSTOP)
    killed_itself(stage)
    stage.until(lambda: stage.events[-1]["event"] == "up.seen-off")
    assert stage.left == []
    assert api in (killed := killed_since(stage, log_before))
    assert relay not in killed  # it has heard of the death, and drained


def killed_itself(stage: Stage) -> None:
    """`echolane up` killed with -9."""
    stage.process.kill()
    stage.process.wait(60)


def killed_since(stage: Stage, events: int) -> set[int]:
    """Processes of an earlier tree that had to be killed, by its guard or by the next one."""
    told = [event for event in stage.events[events:] if event["event"] in {"up.seen-off", "up.cleared"}]
    return {pid for event in told for pid in event["killed"]}


def test_workers_are_parts_where_runs_are_shared(tmp_path: Path) -> None:
    """With shared runs there are workers; one killed with -9 comes again, the run ends accounted for, and all of them leave in good order."""
    stage = Stage(tmp_path, settings='[replay]\nworkers = "shared"\nlease_s = 2.0\n', up=f"{FAST}replay_workers = 2\n")
    try:
        stage.start()
        assert set(stage.parts) == {"record shop", "worker replay 1", "worker replay 2", "worker diff", "api"}
        assert "runs           by worker replay 1, worker replay 2, worker diff" in stage.told
        stage.send(20)
        run = stage.run(pace="20/s")
        stage.until(lambda: stage.fires(run))
        stage.killed("worker replay 1")
        state = stage.ended(run)
        assert (state["state"], state["verdict"], state["total"]) == ("finished", "fail", 20)
        assert stage.stopped() == 0
        assert stage.told.count("has let go of its work") == 3
        stage.world.check_capture(stored=20)
    finally:
        stage.end()


CASES = [
    ("[up]", "[up]\ndrian_s = 1", "unknown setting `up.drian_s`; did you mean `up.drain_s`?"),
    (
        "127.0.0.1:CAPTURE",
        "127.0.0.1:BUSY",
        "record shop: --listen 127.0.0.1:BUSY cannot be used (Address already in use)",
    ),
    (
        'name = "next"',
        'name = "released"',
        "api: echolane.toml: target 2: `released` of service `shop` is there already",
    ),
]


def test_what_cannot_be_ends_it_at_its_start_with_one_line(tmp_path: Path) -> None:
    """A mistake is one line that names it, also where only a part can see it; exit 2, and nothing is left running."""
    stage = Stage(tmp_path)
    try:
        with socket.create_server(("127.0.0.1", 0)) as busy:
            ports = {"CAPTURE": stage.capture, "BUSY": busy.getsockname()[1]}
            for case in CASES:
                theirs, ours, line = (re.sub("[A-Z]{4,}", lambda m: str(ports.get(m[0], m[0])), text) for text in case)
                assert theirs in stage.toml
                (tmp_path / "echolane.toml").write_text(stage.toml.replace(theirs, ours), "utf-8")
                done = stage.world.call("up")
                last = done.err.splitlines()[-1]
                assert (done.code, last.startswith("echolane: ")) == (2, True), done
                assert line in last
                assert stage.left == []
    finally:
        stage.end()
