"""Runs that come to nothing before their first shot: the files that were asked for say so, and nothing of an earlier run stays in them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from echolane.ledger import run_identities
from tests.e2e.world import World, free_port
from tests.waiting import wait_until

FILES = ("json", "junit", "sarif", "markdown", "html")
PATHS = [(f"/items/{number}", {}) for number in (1, 2, 3)]


def outputs(world: World) -> list[Any]:
    """Flags for every file, each with yesterday's verdict in it."""
    for name in FILES:
        (world.folder / f"out.{name}").write_text("yesterday: pass", "utf-8")
    return [word for name in FILES for word in (f"--{name}", world.folder / f"out.{name}")]


def read(world: World) -> dict[str, Any]:
    """The result; each other file says what it says."""
    result = json.loads((world.folder / "out.json").read_bytes())
    texts = {name: (world.folder / f"out.{name}").read_text("utf-8") for name in FILES}
    assert [name for name, text in texts.items() if "yesterday" in text] == []
    assert (result["schema"], result["service"], result["verdict"]) == ("echolane/run/1", "shop", "inconclusive")
    assert run_identities(result["ledger"]) == []
    assert result["ledger"]["fired"] == 0
    suite = ET.fromstring(texts["junit"])
    assert int(suite.get("errors", 0)) + int(suite.get("failures", 0)) + len(suite.findall(".//skipped")) > 0, texts[
        "junit"
    ]
    assert "inconclusive" in texts["markdown"].lower()
    assert "inconclusive" in texts["html"].lower()
    return result


@pytest.mark.parametrize(
    ("code", "reason_code"), [(3, "nothing-compared"), (4, "target-unavailable"), (5, "refused")], ids=["3", "4", "5"]
)
def test_files_say_why_there_is_no_verdict(world: World, code: int, reason_code: str) -> None:
    """Nothing recorded, a target that is away, one that is not allowed: exit code, one line, and the same in every file."""
    port = world.app()
    if code == 3:
        process, _ = world.recorder(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    else:
        world.record(port, PATHS)
    branch = {3: f"127.0.0.1:{world.app()}", 4: f"127.0.0.1:{free_port()}", 5: "shop.example:80"}[code]
    words = ["--base", f"http://127.0.0.1:{port}", "--branch", f"http://{branch}"]
    done = world.call("run", "--service", "shop", "--home", world.home, *words, *outputs(world))
    assert done.code == code, done.err
    result = read(world)
    assert result["reason_code"] == reason_code
    assert result["reason"] in done.err
    assert result["targets"]["branch"]["url"] == f"http://{branch}"


@pytest.fixture
def heard() -> Iterator[None]:
    """SIGINT is heard by what is started here, also where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_before_the_first_shot_is_said(world: World) -> None:
    """While copies start: exit 130, a line, and the files."""
    world.record(world.app(), PATHS)
    marker = world.folder / "started"
    slow = f"{sys.executable} -c \"import time,pathlib; pathlib.Path('{marker}').touch(); time.sleep(60)\" {{port}}"
    words = [
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        "--base-cmd",
        slow,
        "--branch-cmd",
        slow,
        *outputs(world),
    ]
    run = world.start(sys.executable, "-m", "console.main", *words, stderr=subprocess.PIPE)
    wait_until(marker.exists)
    run.send_signal(signal.SIGINT)
    said = run.stderr.read().decode() if run.stderr else ""
    assert run.wait(60) == 130, said
    assert "interrupted before it had a result" in said
    assert "Traceback" not in said
    assert read(world)["reason_code"] == "interrupted"


def test_a_mistake_in_the_call_writes_nothing(world: World) -> None:
    """Exit 2 is no run: what is there stays."""
    port = world.app()
    flags = outputs(world)
    done = world.call("run", "--service", "shop", "--home", world.home, "--base", f"http://127.0.0.1:{port}", *flags)
    assert done.code == 2
    assert Path(world.folder / "out.json").read_text("utf-8") == "yesterday: pass"
