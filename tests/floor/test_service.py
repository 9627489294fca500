"""What every process stands on: its loop, its signals, its parent, its home and its log."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import uvloop

from echolane import log, service
from echolane.errors import HomeError
from echolane.home import FOLDERS, open_home
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop(number: signal.Signals) -> None:
    """A service hears SIGINT and SIGTERM as one event, on uvloop, and ends in its own way."""

    async def main(stop: asyncio.Event) -> str:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 60)
        return "drained"

    assert service.run(main) == "drained"


def test_the_second_signal_does_not_wait() -> None:
    """Who asks twice wants out: the service is cancelled, its finally blocks run, and KeyboardInterrupt comes out."""
    cleaned: list[str] = []

    async def main(stop: asyncio.Event) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(stop.wait(), 60)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            cleaned.append("up")

    with pytest.raises(KeyboardInterrupt):
        service.run(main)
    assert cleaned == ["up"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_comes_out_as_it_is() -> None:
    """What the service raises is what its caller sees."""

    async def main(_: asyncio.Event) -> None:
        raise HomeError("no room")

    with pytest.raises(HomeError, match="no room"):
        service.run(main)


CHILD = """
import os, sys, time
from echolane.service import die_with_parent
die_with_parent(int(sys.argv[1]))
print("up", flush=True)
time.sleep(300)
"""
PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_dies_with_its_parent() -> None:
    """A parent killed with -9 leaves no child behind."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD], cwd=ROOT, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = Path(f"/proc/{int(done.stdout)}/stat")

    def is_dead() -> bool:
        try:
            return child.read_text().split()[2] == "Z"
        except (FileNotFoundError, ProcessLookupError):  # somebody has taken note of its end
            return True

    wait_until(is_dead)


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    """The race between starting and asking the kernel is closed."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, "999999999"], cwd=ROOT, capture_output=True, timeout=120, check=False
    )

    assert done.returncode == 1
    assert done.stdout == b""


def test_a_home_is_made_and_found_again(tmp_path: Path) -> None:
    """All folders are there, keys for their owner alone, and opening twice is the same."""
    home = open_home(tmp_path / "a/b")

    assert home == open_home(tmp_path / "a/b")
    assert all((home.path / name).is_dir() for name in FOLDERS)
    assert home.keys.stat().st_mode & 0o077 == 0
    assert {home.journal, home.store, home.ledger, home.templates, home.recordings, home.runs, home.log} == {
        home.path / name for name in FOLDERS if name != "keys"
    }
    assert home.store_socket == home.path / "store.sock"


def test_a_home_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    """A file in the way, or a folder that cannot be written, names the path and the flag."""
    (tmp_path / "file").write_text("")

    with pytest.raises(HomeError, match=r"file` cannot be used: .*--home"):
        open_home(tmp_path / "file")
    with pytest.raises(HomeError, match=r"cannot be used: .*--home"):
        open_home(Path("/proc/home"))


def test_events_are_lines_of_json(tmp_path: Path) -> None:
    """Each event is one line with its time, process and fields; before a place is named there are none."""
    log.event("nobody.listens", x=1)
    log.to(tmp_path / "deep" / "log")
    try:
        log.event("recorder.started", port=8000, where=Path("/x"))
        log.event("odd", huge=1 << 80)
        log.event("recorder.ended", text="two\nlines")
    finally:
        log.stop()
    log.event("after", x=1)

    lines = [orjson.loads(line) for line in (tmp_path / "deep" / "log").read_text().splitlines()]

    assert [line["event"] for line in lines] == ["recorder.started", "recorder.ended"]
    assert lines[0] | {"at": 0} == {
        "at": 0,
        "pid": os.getpid(),
        "event": "recorder.started",
        "port": 8000,
        "where": "/x",
    }


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that complains for weeks keeps two files of a bounded size."""
    monkeypatch.setattr(log, "LOG_BYTES_MAX", 1_000)
    log.to(tmp_path / "x.log")
    try:
        for n in range(200):
            log.event("again", n=n)
    finally:
        log.stop()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.1", "x.log"]
    assert all(path.stat().st_size < 1_200 for path in tmp_path.iterdir())


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """A full disk swallows the event and nothing else: where there is room again, the next one is written."""
    log.to(Path("/proc/nowhere/log"))
    log.event("lost")
    log.to(Path("/dev/full"))
    try:
        for _ in range(3):
            log.event("lost")
        log.to(tmp_path / "log")
        log.event("kept")
    finally:
        log.stop()

    assert [orjson.loads(line)["event"] for line in (tmp_path / "log").read_text("utf-8").splitlines()] == ["kept"]
