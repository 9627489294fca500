"""`echolane up` and parts that stand still, and `echolane up` as the first process of a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.up_signs import AWAKE_MAX_S, LOOK_S, Silence, wait_awake
from echolane import service
from echolane.vital import LONG, LONG_TIMES, TURNS
from tests.console.up_stage import FAST, Stage, command_of

STILL_S = 10.0
"""Longer than this machine keeps one of a dozen processes waiting, or the test that has stopped it."""
ALONE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""Starts a command as the first process of a process namespace."""


def test_silence_counts_while_the_supervisor_is_awake() -> None:
    """A sign ends a silence; what was announced as long has ten times the bound; hours in which nobody looked count as one look."""
    silence = Silence(60.0)
    silence.passed(10_000.0)
    assert (silence.seconds, silence.is_told) == (AWAKE_MAX_S, False)
    silence.sign(LONG + TURNS)
    assert silence.bound_s == 60.0
    for _ in range(int(30 / LOOK_S) - 1):
        silence.passed(LOOK_S)
    assert not silence.is_told
    silence.passed(LOOK_S)
    assert (silence.is_told, silence.is_over) == (True, False)
    for _ in range(int(30 / LOOK_S)):
        silence.passed(LOOK_S)
    assert silence.is_over
    silence.sign(TURNS + LONG)
    assert (silence.seconds, silence.bound_s, silence.is_told) == (0.0, 60.0 * LONG_TIMES, False)


def test_a_supervisor_that_slept_hears_first_what_came_meanwhile() -> None:
    """A part that was ready, or ended, while `echolane up` stood still for longer than the bound is not taken for one that never was."""
    ours, theirs = socket.socketpair()

    async def heard(_stop: asyncio.Event) -> bool:
        reader, writer = await asyncio.open_connection(sock=ours)
        ready = asyncio.Event()

        async def hear() -> None:
            await reader.readline()
            ready.set()

        def stand_still() -> None:
            theirs.send(b"ready\n")
            time.sleep(3.0)  # as SIGSTOP stops the loop

        hearing, is_ready = asyncio.ensure_future(hear()), asyncio.ensure_future(ready.wait())
        asyncio.get_running_loop().call_later(0.1, stand_still)
        await wait_awake([is_ready], 2.0)
        writer.close()
        return is_ready.done() and hearing.done()

    with theirs:
        assert service.run(heard)


async def test_the_time_of_a_supervisor_that_is_awake_is_bounded() -> None:
    """What never comes is waited for as long as was said, and no longer."""
    began = time.monotonic()
    await asyncio.wait_for(wait_awake([asyncio.get_running_loop().create_future()], 0.7), 60)

    assert time.monotonic() - began >= 0.7


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage with every kind of part, whose parts may be silent for seconds only."""
    settings = '[replay]\nworkers = "shared"\nlease_s = 2.0\n'
    stage = Stage(tmp_path_factory.mktemp("still"), settings=settings, up=f"{FAST}still_s = {STILL_S}\n")
    stage.start()
    yield stage
    stage.end()


def test_a_part_that_goes_on_by_itself_is_told_and_left(shared: Stage) -> None:
    """One that stands still is named in the log, on the terminal and by `/readyz` before its bound is over; when it goes on, it is the same one, up."""
    part = shared.parts["record shop"]
    os.kill(part["pid"], signal.SIGSTOP)
    try:
        shared.until(lambda: shared.parts["record shop"]["state"] == "still")
        assert shared.ready() == (503, "1 of the parts of `echolane up` are not up\n")
        assert "record shop stands still: no sign of life for 5 s; killed and started again after 10 s" in shared.told
    finally:
        os.kill(part["pid"], signal.SIGCONT)
    shared.until(lambda: shared.parts["record shop"]["state"] == "up")

    assert shared.parts["record shop"]["pid"] == part["pid"]
    told = [event["event"] for event in shared.events if event.get("part") == "record shop"]
    assert told[-2:] == ["part.still", "part.moves"]
    shared.send(3)


def test_every_kind_of_part_that_stands_still_is_started_again(shared: Stage) -> None:
    """Recorder, workers and server that were stopped are killed after the bound, and new ones do a whole run; the capture's account balances."""
    before = shared.parts
    assert set(before) == {"record shop", "worker replay", "worker diff", "api"}
    for part in before.values():
        os.kill(part["pid"], signal.SIGSTOP)
    shared.until(lambda: all(now["pid"] not in {0, before[name]["pid"]} for name, now in shared.parts.items()), 120)
    shared.until(lambda: shared.ready()[0] == 200)

    assert "api gave no sign of life for 10 s and was killed; started again in" in shared.told
    why = {event["part"]: event["why"] for event in shared.events if event["event"] == "part.died"}
    assert set(why) == set(before)
    assert all("gave no sign of life" in text for text in why.values())
    shared.send(12)
    shared.settled()
    state = shared.ended(shared.run())
    assert (state["state"], state["verdict"]) == ("finished", "fail")


def test_a_machine_that_slept_restarts_nothing(shared: Stage) -> None:
    """Where the whole tree stood still for longer than the bound, as a laptop's does, every part is the same afterwards."""
    shared.until(lambda: shared.ready()[0] == 200)
    before = {name: part["pid"] for name, part in shared.parts.items()}
    tree = [shared.process.pid, *before.values()]
    for pid in tree:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STILL_S + 2)  # the time of sleep is what this is about
    for pid in reversed(tree):  # whoever watches last: it counts no instant in which the others cannot go on
        os.kill(pid, signal.SIGCONT)
    time.sleep(STILL_S / 2)

    assert {name: part["pid"] for name, part in shared.parts.items()} == before
    assert shared.ready()[0] == 200


def children(pid: int) -> dict[int, str]:
    """The processes whose parent this is, with their states."""
    found: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid:
                found[int(entry.name)] = state
    return found


@pytest.fixture
def alone() -> list[str]:
    """The words that make a command a first process."""
    for words in (ALONE, [*ALONE, "--user", "--map-root-user"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                return words
    pytest.skip("this machine lets nobody make a process namespace")


def test_as_first_process_it_takes_the_ends_of_orphans(tmp_path: Path, alone: list[str]) -> None:
    """In a container, what outlives a part that was killed leaves no zombie; SIGTERM drains, and the exit code is that of the command."""
    stage = Stage(tmp_path)
    try:
        stage.start(*alone)
        (first,) = children(stage.process.pid)
        record = next(pid for pid in stage.left if {b"console.up_part", b"record"} <= set(command_of(pid)))
        recorders = set(children(record))
        stage.send(5)
        os.kill(record, signal.SIGKILL)
        stage.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in recorders))
        stage.until(lambda: stage.parts["record shop"]["restarts"] == 1 and stage.parts["record shop"]["state"] == "up")
        assert recorders
        assert [pid for pid, state in children(first).items() if state == "Z"] == []
        stage.send(5)
        os.kill(first, signal.SIGTERM)
        assert stage.process.wait(60) == 0
        assert "stopped; runs that were not over are gone on with" in stage.told
        assert stage.counts["seen"] == 10
    finally:
        stage.end()


def test_as_first_process_a_command_says_what_is_wrong_as_ever(tmp_path: Path, alone: list[str]) -> None:
    """A mistake on the command line is one line and exit code 2 there, too."""
    words = [*alone, sys.executable, "-m", "console.main", "up", "--nothing"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("echolane: unknown argument `--nothing`")


def test_as_first_process_with_ends_ignored_a_command_ends(alone: list[str], tmp_path: Path) -> None:
    """Who starts it may ignore the ends of children, which exec keeps; it is told of its own all the same."""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    words = [*alone, sys.executable, "-c", ignoring, sys.executable, "-m", "console.main", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)

    assert (done.returncode, done.stdout.startswith("echolane "), done.stderr) == (0, True, "")


def test_a_first_process_that_calls_us_stays_one(alone: list[str], tmp_path: Path) -> None:
    """Tests that run as the first process of their container go on once, and not in two copies."""
    calling = "from console.main import main; print('code', main(['up', '--nothing']))"
    words = [*alone, sys.executable, "-c", calling]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)

    assert done.stdout == "code 2\n"
