"""Bad input on the command line: one clear line that says what, which value and what to do, the right exit code, no traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.ports import free_port
from echolane.home import Home
from echolane.journal import open_journal
from echolane.ledger import run_identities
from tests.e2e.kills_parts import Load, gone
from tests.e2e.world import World, listening, stop
from tests.waiting import wait_until

ENTRY = {
    "startedDateTime": "2026-01-01T00:00:00.000Z",
    "time": 1,
    "request": {"method": "GET", "url": "http://shop/items/1", "httpVersion": "HTTP/1.1", "headers": [], "bodySize": 0},
    "response": {"status": 200, "httpVersion": "HTTP/1.1", "headers": [], "content": {"size": 0}, "bodySize": 0},
}
HAR = {"log": {"version": "1.2", "entries": [ENTRY]}}
TWO = ("--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.1:2")


def refused(world: World, code: int, said: str, *words: object, **options: object) -> None:
    """The command ends with this code and one line that says this."""
    done = world.call(*words, **options)  # type: ignore[arg-type]
    lines = [line for line in done.err.splitlines() if line.strip()]
    assert done.code == code, done
    assert "Traceback" not in done.err
    assert lines, done
    assert lines[-1].startswith("echolane: "), done.err
    assert said in lines[-1], lines[-1]


def har(world: World, value: object = HAR) -> Path:
    """A HAR file."""
    path = world.folder / "shop.har"
    path.write_text(json.dumps(value), "utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "run"),
        (["run", "--servce", "shop"], "--service"),
        (["run", *TWO], "--service"),
        (["run", "--service", "shop"], "--base"),
        (["run", "--service", "Shop!", *TWO], "Shop!"),
        (["run", "--service", "shop", "--base", "ftp://x", "--branch", "http://127.0.0.1:2"], "ftp://x"),
        (["run", "--service", "shop", "--pace", "fast", *TWO], "fast"),
        (["run", "--service", "shop", "--concurrency", "none", *TWO], "none"),
        (["run", "--service", "shop", "--last", "soon", *TWO], "soon"),
        (["run", "--service", "shop", "--recording", "nothing", *TWO], "nothing"),
        (["run", "--service", "shop", "--base-cmd", "./serve", "--branch-cmd", "./serve {port}"], "{port}"),
        (["run", "--resume", "0123"], "0123"),
        (["run", "--service", "shop", "--json", "no/such/folder/result.json", *TWO], "no/such/folder"),
        (["show", "0123"], "0123"),
        (["import", "--service", "shop", "missing.har"], "missing.har"),
        (["record", "--service", "shop", "--listen", "nowhere", "--upstream", "http://127.0.0.1:1"], "nowhere"),
        (["record", "--service", "shop", "--listen", "127.0.0.1:8099", "--upstream", "https//x"], "https//x"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(world: World, words: list[str], said: str) -> None:
    """Unknown commands and flags, and values that cannot be, are named."""
    refused(world, 2, said, *words, *(["--home", world.home] if len(words) > 1 else []))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[replay]\nconcurency = 3\n", "line 2"),
        ("[replay\n", "line 1"),
        ('[replay]\nconcurrency = "many"\n', "concurrency"),
    ],
)
def test_a_wrong_settings_file_is_named_with_its_line(world: World, text: str, said: str) -> None:
    """A misspelled setting is not ignored."""
    (world.folder / "echolane.toml").write_text(text, "utf-8")
    refused(world, 2, said, "runs", "--home", world.home)
    refused(world, 2, "echolane.toml", "runs", "--home", world.home)


@pytest.mark.parametrize("part", ["", "journal", "store", "ledger", "keys"])
def test_a_home_that_cannot_be_written_is_said(world: World, part: str) -> None:
    """A file stands where a folder must be: the path is named. Modes tell nothing to a test that runs as root."""
    path = world.home / part if part else world.home
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way", "utf-8")
    refused(world, 2, str(path), "import", "--service", "shop", "--home", world.home, har(world))


def test_a_run_on_a_full_disk_is_said(world: World, small_disk: Path, fill: Callable[[Path], None]) -> None:
    """Not a byte can be written: the path is named, nothing is fired, and with room the same call goes on as if nothing had been."""
    home = small_disk / "home"
    assert world.call("import", har(world), "--service", "shop", "--home", home).code == 0
    fill(small_disk / "ballast")
    call = ("run", "--service", "shop", "--home", home, *TWO)
    refused(world, 2, str(home), *call)
    (small_disk / "ballast").unlink()
    refused(world, 4, "127.0.0.1:1", *call)


@pytest.mark.parametrize(("error", "code"), [(errno.ENOSPC, 2), (errno.EROFS, 2), (errno.EBADF, None)])
def test_a_disk_that_takes_no_more_is_one_line_wherever_it_is_met(
    error: int, code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any other error of the system is a fault of ours and keeps its traceback."""
    import console.runs
    from console.main import main

    def execute(_: object) -> int:
        raise OSError(error, os.strerror(error), "/some/file")

    monkeypatch.setattr(console.runs, "execute", execute)
    if code is None:
        with pytest.raises(OSError, match="/some/file"):
            main(["runs"])
        return
    assert main(["runs"]) == code
    said = capsys.readouterr().err
    assert (
        said
        == f"echolane: `/some/file` cannot be written: {os.strerror(error)}; free space, or give another home with --home\n"
    )


def test_an_empty_recording_is_inconclusive(world: World) -> None:
    """Exit 3: nothing was compared, which is no pass."""
    port = world.app()
    world.record(port, [])
    refused(
        world, 3, "empty", "run", "--service", "shop", "--home", world.home, "--base", f"http://127.0.0.1:{port}",
        "--branch", f"http://127.0.0.1:{world.app()}",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (json.dumps(HAR)[:-30], "shop.har"),
        ('{"log": 3}', "shop.har"),
        ("<html></html>", "shop.har"),
        ("", "shop.har"),
        ('{"log": {"entries": [1,2', "shop.har"),
    ],
)
def test_what_is_no_har_leaves_nothing_behind(world: World, data: str, said: str) -> None:
    """Truncated, empty, or something else: named, and not one exchange of it is stored."""
    path = har(world)
    path.write_text(data, "utf-8")
    refused(world, 2, said, "import", "--service", "shop", "--format", "har", "--home", world.home, path)
    assert '"shop"' not in world.call("recordings", "--json", "--home", world.home).out


def test_a_page_of_a_store_that_is_damaged_beyond_use(world: World) -> None:
    """The store's own files are garbage: exit 2 with the path, and what was recorded is still there."""
    assert world.call("import", "--service", "shop", "--home", world.home, har(world)).code == 0
    assert world.call("runs", "--home", world.home).code == 0
    gone(world.home, "store.owner")  # it ends when its last client is gone
    for path in (world.home / "store").rglob("*.sql"):
        path.write_bytes(b"\xff garbage")
    done = world.call(
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        "--base",
        f"http://127.0.0.1:{world.app()}",
        "--branch",
        f"http://127.0.0.1:{world.app()}",
    )
    assert done.code == 2, done
    assert "Traceback" not in done.err
    assert "store" in done.err.splitlines()[-1]
    assert "shop" in world.call("recordings", "--home", world.home).out


def test_a_run_that_is_going_on_is_not_resumed_by_another(world: World) -> None:
    """Two processes on one run would fire everything twice: the second is told who has it."""
    run = recorded_run(world, pace="20/s")
    latest = fired_at(world)
    refused(world, 2, latest[:8], "run", "--resume", latest, "--home", world.home)
    run.kill()


def recorded_run(world: World, pace: str) -> subprocess.Popen[bytes]:
    """A run of some seconds over a recording of its own."""
    upstream = world.app()
    process, port = world.recorder(upstream)
    Load(port, 2).wait(400).stop()  # so many last, whatever a second of this machine records
    stop(process)
    other = world.app("price")
    words = ["run", "--service", "shop", "--home", world.home, "--pace", pace, "--json", world.folder / "cut.json"]
    return world.start(
        sys.executable, "-m", "console.main", *words, "--base", f"http://127.0.0.1:{upstream}", "--branch", f"http://127.0.0.1:{other}",
        stderr=subprocess.PIPE,
    )  # fmt: skip


def fired_at(world: World) -> str:
    """The run that is going on, once answers were observed."""
    found: list[str] = []

    def fires() -> bool:
        journal = open_journal(Home(world.home))
        try:
            topics = [name for name in journal.topics() if name.startswith("observations.") and journal.end(name, 0)]
        finally:
            journal.close()
        found[:] = [name.partition(".")[2] for name in topics]
        return bool(found)

    wait_until(fires)
    return found[0]


def test_ctrl_c_keeps_what_was_done_and_names_the_way_on(world: World) -> None:
    """Exit 130 with a balanced ledger; --resume does the rest and reaches the verdict."""
    run = recorded_run(world, pace="40/s")
    fired_at(world)
    run.send_signal(signal.SIGINT)
    said = run.stderr.read().decode() if run.stderr else ""
    assert run.wait(60) == 130, said
    cut = json.loads((world.folder / "cut.json").read_bytes())
    assert (cut["verdict"], cut["reason_code"]) == ("inconclusive", "interrupted")
    assert run_identities(cut["ledger"]) == []
    assert "selected " in said
    assert f"--resume {cut['run']}" in said
    (world.folder / "echolane.toml").write_text('[replay]\npace = "max"\n', "utf-8")
    done = world.call(
        "run", "--resume", cut["run"], "--home", world.home, "--json", world.folder / "whole.json", seconds=100
    )
    whole = json.loads((world.folder / "whole.json").read_bytes())
    assert (done.code, whole["verdict"]) == (1, "fail"), done.err
    assert run_identities(whole["ledger"]) == []
    assert whole["ledger"]["selected"] == cut["ledger"]["selected"]
    assert whole["ledger"]["compared"] > cut["ledger"]["compared"]


def test_a_seal_whose_key_is_gone_is_named(world: World) -> None:
    """Without the key that sealed it a recording cannot be fired as it was: said before anything is, with what to set."""
    upstream = world.app()
    world.record(upstream, [("/bearer?n=1", {"Authorization": "Bearer tok_live_8Fz2kQ0pLm4VxR7sT1"})])
    shutil.rmtree(world.home / "keys")
    base, branch = (f"http://127.0.0.1:{port}" for port in (upstream, world.app()))
    refused(
        world,
        2,
        "ECHOLANE_SEAL_KEY",
        "run",
        "--service",
        "shop",
        "--home",
        world.home,
        "--base",
        base,
        "--branch",
        branch,
    )


def test_a_journal_that_another_program_owns(world: World) -> None:
    """A second recorder of the same service in one home shares it; its sessions are told apart."""
    upstream = world.app()
    first, one = world.recorder(upstream)
    second, two = world.recorder(upstream, free_port())
    for port in (one, two):
        listening(port)
        assert Load(port, 1).wait(1).stop()
    assert stop(first) == stop(second) == 0
    world.check_capture()
