"""Targets that misbehave: at the start the run does not begin (exit 4), later it goes on and says so, in bounded memory."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.ledger import run_identities
from tests.e2e.bad_target import PATHS
from tests.e2e.kills_parts import peak_mib, pids_of
from tests.e2e.world import World, listening, send, stop

MEMORY_MIB = 400
"""Of the run's process and of the differ's worker; a body of 1 GB is among the answers."""


def target(world: World, kind: str) -> int:
    """A good or a bad target; its port."""
    port = free_port()
    process = world.start(sys.executable, Path(__file__).with_name("bad_target.py"), port, kind)
    listening(port, process=process)
    return port


def imported(world: World, paths: list[str]) -> None:
    """A recording of GET requests, by way of a GoReplay file."""
    parts: list[bytes] = []
    for n, path in enumerate(paths):
        parts.append(
            b"1 %024x %d 0\nGET %s HTTP/1.1\r\nHost: shop\r\n\r\n\n"
            % (n + 1, 1_700_000_000_000_000_000 + n, path.encode())
        )
    file = world.folder / "shop.gor"
    file.write_bytes("\U0001f435\U0001f648\U0001f649\n".encode().join(parts))
    done = world.call("import", "--service", "shop", "--home", world.home, file)
    assert done.code == 0, done.err


def flags(base: int, branch: int) -> list[str]:
    """Where the two versions are."""
    return ["--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"]


def login(port: int) -> str:
    """A session's cookie, had without the recorder."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/session")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def one_line(text: str) -> None:
    """One clear line, no traceback."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert "Traceback" not in text
    assert lines
    assert lines[-1].startswith("echolane: ")


def test_a_run_goes_on_through_every_misbehaviour(world: World) -> None:
    """Closed bodies, garbage, a gigabyte, a zip bomb, deep nesting, a hundred thousand headers: each is a verdict, none ends the run."""
    paths = [f"{path}?n={n}" for n in range(3) for path in PATHS if path != "/silent"]
    imported(world, paths)
    file = world.folder / "result.json"
    words = [
        "run",
        "--service",
        "shop",
        "--home",
        str(world.home),
        "--json",
        str(file),
        *flags(target(world, "good"), target(world, "bad")),
    ]
    with (world.folder / "said").open("wb") as said_file:
        process = world.start(sys.executable, "-m", "console.main", *words, stderr=said_file)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in {process.pid, *pids_of(world.home, "differ.worker")}:
            with contextlib.suppress(OSError, StopIteration):
                peaks[pid] = peak_mib(pid)
        time.sleep(0.05)
    said = (world.folder / "said").read_text("utf-8")
    result = json.loads(file.read_bytes())
    lines = world.call("show", result["run"], "--exchanges", "--json", "--home", world.home).out.splitlines()
    verdicts = {(line["target"].partition("?")[0], line["verdict"]) for line in map(json.loads, lines)}

    assert "Traceback" not in said
    assert process.returncode == 1, said
    assert run_identities(result["ledger"]) == []
    assert result["ledger"]["selected"] == len(paths) == len(lines)
    assert ("/ok", "same") in verdicts
    assert {path for path, verdict in verdicts if verdict in {"different", "uncomparable"}} == set(PATHS) - {
        "/ok",
        "/silent",
    }
    assert len(peaks) >= 2
    assert max(peaks.values()) < MEMORY_MIB


@pytest.mark.parametrize("side", ["base", "branch"])
def test_a_target_that_refuses_at_the_start_is_exit_4(world: World, side: str) -> None:
    """It names the target and its address, before anything is fired."""
    imported(world, ["/ok"] * 3)
    good, nobody = target(world, "good"), free_port()
    done = world.call(
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        *(flags(nobody, good) if side == "base" else flags(good, nobody)),
    )

    assert done.code == 4
    one_line(done.err)
    assert f"127.0.0.1:{nobody}" in done.err
    assert side in done.err


@pytest.mark.parametrize("count", [4, 60])
def test_a_target_that_hangs_from_the_start_is_exit_4(world: World, count: int) -> None:
    """Nothing ever comes back: unavailable, in bounded time, and what was not fired is accounted for."""
    imported(world, ["/ok"] * count)
    (world.folder / "echolane.toml").write_text("[replay]\nfirst_byte_timeout_s = 0.4\n", "utf-8")
    begun = time.monotonic()
    done, result = world.run(*flags(target(world, "good"), target(world, "hanging")))

    assert done.code == 4, done.err
    assert result["reason_code"] == "target-unavailable"
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("branch", ["127.0.0.1", "localhost"])
def test_base_and_branch_at_one_address_need_a_lane(world: World, branch: str) -> None:
    """Comparing a target with itself finds nothing, whatever it is called; that is a mistake in the call."""
    port = target(world, "good")
    words = ["--base", f"http://127.0.0.1:{port}", "--branch", f"http://{branch}:{port}"]
    done = world.call("run", "--service", "shop", "--home", world.home, *words)

    assert done.code == 2
    one_line(done.err)
    assert "--lane" in done.err


@pytest.mark.parametrize("answered", [True, False])
def test_every_target_answers_401(world: World, answered: bool) -> None:
    """Nobody learns anything from four times 401: inconclusive, with what to do, whether or not the recording has answers."""
    if answered:  # the recorded session is unknown to fresh copies, and its login was not recorded
        port = world.app()
        process, through = world.recorder(port)
        session = login(port)
        send(through, [(f"/mine?n={n}", {"Cookie": session}) for n in range(30)])
        stop(process)
    else:
        imported(world, [f"/bearer?n={n}" for n in range(30)])
    done, result = world.run(*flags(world.app(), world.app()))

    assert (done.code, result["reason_code"]) == (3, "fidelity"), done.err
    assert "401" in done.err
    assert "credentials" in done.err


def test_an_address_outside_this_machine_is_refused(world: World) -> None:
    """Production is never fired at by mistake: exit 5, before any connection is made."""
    imported(world, ["/ok"])
    done = world.call(
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        "--base",
        "http://203.0.113.7:80",
        "--branch",
        "http://203.0.113.8:80",
    )

    assert done.code == 5
    one_line(done.err)
    assert "--allow-host" in done.err


def test_a_port_that_is_taken(world: World) -> None:
    """A recorder whose port is taken says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = world.call(
            "record",
            "--service",
            "shop",
            "--home",
            world.home,
            "--listen",
            f"127.0.0.1:{port}",
            "--upstream",
            "http://127.0.0.1:1",
        )

    assert done.code == 2
    one_line(done.err)
    assert str(port) in done.err
