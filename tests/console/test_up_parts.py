"""The parts of `echolane up` by themselves: what is said, when what died is started again, and which entries of the file are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from console.up_guard import mark_of, marked, see_off
from console.up_parts import LINE_MAX, STEADY_S, Lines, Patience
from console.up_records import names_of, read_records
from console.up_state import PartState, UpState, own_parts, write_state
from echolane.errors import UsageError
from echolane.home import open_home
from echolane.settings import load
from echolane.up_settings import MARK, Up
from tests.waiting import wait_until

PAGES = ("127.0.0.1", 8900)
GOOD = {"service": '"shop"', "listen": '"127.0.0.1:8080"', "upstream": '"http://127.0.0.1:8000"'}


def toml(folder: Path, *entries: dict[str, str]) -> Path:
    """A file with these services."""
    path = folder / "echolane.toml"
    path.write_text("".join("[[up.record]]\n" + "".join(f"{k} = {v}\n" for k, v in one.items()) for one in entries))
    return path


def test_lines_are_bounded_and_harmless() -> None:
    """Whatever comes in whatever pieces, each line is given once, cut at its bound, and moves no cursor."""
    long = b"x" * (3 * LINE_MAX)
    said = b"one\ntwo \x1b[2J\r\n" + long + b"\nthree\n" + b"no end"
    for size in (1, 7, 1000, 10**6):
        lines = Lines()
        found = [line for at in range(0, len(said), size) for line in lines.feed(said[at : at + size])] + lines.end()
        assert found[:2] == ["one", r"two \x1b[2J"]
        assert found[2].startswith("xxx")
        assert found[2].endswith(" …")
        assert len(found[2]) <= LINE_MAX + 2
        assert found[3:] == ["three", "no end"]


def test_patience_doubles_is_bounded_and_forgives_a_long_life() -> None:
    """Pauses double from the first to the bound, half of each by chance; after too many failures a part is held; a long life begins anew."""
    settings = Up(restart_s=0.2, restart_max_s=1.0, failures=4, held_s=60.0)
    most, least = Patience(settings, lambda: 1.0), Patience(settings, lambda: 0.0)
    assert [most.after(1.0) for _ in range(6)] == [
        (0.2, False),
        (0.4, False),
        (0.8, False),
        (1.0, False),
        (60.0, True),
        (60.0, True),
    ]
    assert least.after(1.0) == (0.1, False)
    assert most.after(STEADY_S + 1) == (0.2, False)
    endless = Patience(Up(failures=1000), lambda: 1.0)
    assert {endless.after(0)[0] <= 10.0 for _ in range(1000)} == {True}


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ([GOOD | {"service": '"Shop 1"'}], "up.record 1: service `Shop 1` is not a DNS label"),
        ([GOOD, GOOD | {"upstraem": "1"}], "up.record 2: Object contains unknown field `upstraem`"),
        ([GOOD | {"listen": '"8080"'}], "up.record 1: listen `8080` needs HOST:PORT"),
        ([GOOD | {"upstream": '"https://shop"'}], "up.record 1: upstream `https://shop` is not a plain HTTP URL"),
        ([GOOD | {"methods": '["GET,POST"]'}], "up.record 1: methods has `GET,POST`; each is one word"),
        ([GOOD | {"paths": '[" "]'}], "up.record 1: paths has ` `"),
        ([GOOD | {"sampling": "2"}], r"up.record 1: Expected `float` <= 1.0 - at `\$.sampling`"),
        ([GOOD | {"listen": '"127.0.0.1:8900"'}], "`127.0.0.1:8900` is taken: the pages listen there"),
        ([GOOD, GOOD], r"up.record 2: listen `127.0.0.1:8080` is taken: up.record 1 \(`shop`\) listens there"),
        ([GOOD | {"upstream": '"http://127.0.0.1:8080"'}], "listen and upstream are both 127.0.0.1:8080"),
        ([{"service": '"shop"'}], "up.record 1: Object missing required field `listen`"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entries: list[dict[str, str]], line: str) -> None:
    """What is wrong with an entry is said with its number, and what to write."""
    with pytest.raises(UsageError, match=line):
        read_records(toml(tmp_path, *entries), PAGES)


def test_too_many_services_and_tables_that_are_none_are_refused(tmp_path: Path) -> None:
    """A hundred services at most; `record` is a list of tables; a misspelt setting is said with its line."""
    many = [GOOD | {"listen": f'"127.0.0.1:{port}"'} for port in range(10_000, 10_101)]
    with pytest.raises(UsageError, match="names 101 services; one `echolane up` records 100"):
        read_records(toml(tmp_path, *many), PAGES)
    path = tmp_path / "echolane.toml"
    path.write_text('[up]\nrecord = "shop"\n')
    with pytest.raises(UsageError, match=r"are written as tables, \[\[up.record\]\]"):
        read_records(path, PAGES)
    for text, line in (
        ("[up]\ndrian_s = 1\n", "line 2: unknown setting `up.drian_s`; did you mean `up.drain_s`"),
        ("[up]\nfailures = 0\n", "line 2: setting `up.failures` is 0; it must be between 1 and 1000"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=line):
            load({}, {}, path)
    assert read_records(tmp_path / "nowhere.toml", PAGES) == []


def test_a_service_has_filters_of_its_own(tmp_path: Path) -> None:
    """What an entry says is in force for its recorder alone, over what the file says for all; a service at two addresses has two names."""
    path = toml(
        tmp_path,
        GOOD | {"seal": "false", "sampling": "0.5", "methods": '["GET"]', "not_paths": '["/healthz", "/metrics"]'},
        GOOD | {"listen": '"127.0.0.1:8081"'},
        GOOD | {"service": '"depot"', "listen": '"127.0.0.1:8082"'},
    )
    path.write_text('[capture]\nsampling = 0.1\npaths = ["/api"]\n' + path.read_text())
    first, second, third = read_records(path, PAGES)
    own, others = load({}, first.environ, path), load({}, second.environ, path)

    assert (own.seal, own.capture.sampling, own.capture.methods) == (False, 0.5, ["GET"])
    assert (own.capture.paths, own.capture.not_paths) == (["/api"], ["/healthz", "/metrics"])
    assert (others.seal, others.capture.sampling, others.capture.not_paths) == (True, 0.1, [])
    assert names_of([first, second, third]) == [
        "record shop 127.0.0.1:8080",
        "record shop 127.0.0.1:8081",
        "record depot",
    ]


CHILD = "import os, subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True); {}"


def test_a_tree_is_found_whole_and_nothing_else(tmp_path: Path) -> None:
    """A process in a session of its own whose parent is gone is found by its mark, told to end and, where it will not, killed; others are not touched."""
    (tmp_path / "deep").mkdir()
    mark, other = mark_of("one", tmp_path), mark_of("one", tmp_path / "deep")
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    with (
        subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: other}) as stranger,
        subprocess.Popen(
            [sys.executable, "-c", stubborn], env={**os.environ, MARK: mark}, stdout=subprocess.PIPE
        ) as hangs,
    ):
        assert hangs.stdout is not None
        hangs.stdout.readline()
        subprocess.run([sys.executable, "-c", CHILD.format("os._exit(0)")], env={**os.environ, MARK: mark}, check=True)
        wait_until(lambda: len(marked(mark)) == 2)
        orphan = next(pid for pid in marked(mark) if pid != hangs.pid)
        assert set(marked(f":{os.path.realpath(tmp_path)}")) == {hangs.pid, orphan}
        began = time.monotonic()
        assert see_off(mark, 4.0) == [hangs.pid]  # the orphan was told, and ended
        assert time.monotonic() - began < 60
        assert marked(mark) == []
        assert hangs.wait(60) == -9
        assert stranger.poll() is None
        stranger.kill()


def test_the_state_is_told_to_parts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server hears of the parts of its own tree; outside of one, or from a tree that is gone, of none."""
    home = open_home(tmp_path / "home")
    assert own_parts(home) == []
    (home.path / "up").mkdir()
    parts = [PartState("record shop", "held", 1, why="ended with 2", service="shop"), PartState("api", "up", 2)]
    write_state(home, UpState("two:/home", 1, parts))
    assert own_parts(home) == []
    monkeypatch.setenv(MARK, "one:/home")
    assert own_parts(home) == []
    monkeypatch.setenv(MARK, "two:/home")
    assert own_parts(home) == parts
    (home.path / "up" / "parts.json").write_text("{")
    assert own_parts(home) == []
