"""The documents tell the truth: links lead somewhere, commands exist, tables equal the code, and the tutorial runs."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.ports import free_port
from console.main import COMMANDS, build_parser
from tests.docs.rendered import PARTS, REFERENCE, merged
from tests.e2e.world import World, listening, places

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
TUTORIALS = ROOT / "docs" / "tutorial"
SHELL_S = 600.0
"""Of a command of a tutorial: the demo installs two applications, and the slowest of machines does what a reader waits for."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """No link into the repository is dead."""
    dead = [
        link
        for link in LINK.findall(page.read_text("utf-8"))
        if not link.startswith(("http", "#", "mailto:")) and not (page.parent / link.partition("#")[0]).exists()
    ]
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    """Every `echolane …` of a document is a command, and every flag it shows is one of that command's."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    for line in [
        *re.findall(r"`(echolane [^`\n]+)`", text),
        *re.findall(r"^\s*(echolane [^\n]+)$", text, re.MULTILINE),
    ]:
        words = shlex.split(line.partition(" #")[0].replace("…", ""))[1:]
        if not words or not words[0].isalpha() or words[0].isupper():
            continue
        names = words[0].split("|")
        assert set(names) <= set(COMMANDS), line
        for name in names:
            flags = {flag for action in build_parser(name)[1][name]._actions for flag in action.option_strings}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= flags, line


@pytest.mark.parametrize("page", sorted(PARTS))
def test_the_reference_is_the_code(page: str) -> None:
    """Flags and settings are listed as the program has them; `python -m tests.docs.rendered` writes them."""
    text = (REFERENCE / page).read_text("utf-8")
    assert text == merged(page, text)


def blocks(page: str) -> list[tuple[str, dict[str, str], str]]:
    """A tutorial's code, in order: language, options, text."""
    found = CODE.findall((TUTORIALS / page).read_text("utf-8"))
    options = [dict(word.partition("=")[::2] for word in words.split()) for _, words, _ in found]
    return [(language, option, text) for (language, _, text), option in zip(found, options, strict=True)]


def elsewhere(told: list[tuple[str, dict[str, str], str]]) -> list[tuple[str, dict[str, str], str]]:
    """The same commands at ports that are free: those that the tutorial names may be another's on this machine."""
    ports: dict[str, int] = {}
    for port in (port for _, options, _ in told if "port" in options for port in options["port"].split(",")):
        while port not in ports or list(ports.values()).count(ports[port]) > 1:
            ports[port] = free_port()

    def moved(text: str) -> str:
        return re.sub(r"\b\d{5}\b", lambda found: str(ports.get(found[0], found[0])), text)

    return [
        (language, {name: moved(value) for name, value in options.items()}, moved(text))
        for language, options, text in told
    ]


def follow(world: World, page: str, by_hand: Mapping[str, Callable[[str], None]] | None = None) -> None:
    """Each command of a tutorial, in order, as a reader types it; each ends as the tutorial says.

    ``by_hand``: who does what no command does, by name; it is given the text that tells it. With them, `curl` is the real one.
    """
    shims = world.folder / "bin"
    shims.mkdir()
    echolane = f'"{sys.executable}" -m console.main'
    # `make demo` is `echolane demo` in an environment that it makes.
    for name, command in (("echolane", echolane), ("make", echolane), ("python3", f'"{sys.executable}"')):
        (shims / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n', "ascii")
        (shims / name).chmod(0o755)
    if by_hand is None:
        (shims / "curl").write_text(CURL.format(python=sys.executable), "ascii")
        (shims / "curl").chmod(0o755)
    environ = {**world.environ, "PATH": f"{shims}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    background: list[subprocess.Popen[bytes]] = []
    for language, options, text in elsewhere(blocks(page)):
        if "file" in options:
            (world.folder / options["file"]).write_text(text, "utf-8")
        elif "background" in options:
            process = subprocess.Popen(
                shlex.split(text), cwd=world.folder, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            world.started.append(process)
            for port in options["port"].split(","):
                listening(int(port), SHELL_S, process)
            background.append(process)
        elif "by-hand" in options:
            assert by_hand is not None
            by_hand[options["by-hand"]](text)
        elif language == "sh":
            if text.startswith("echolane recordings"):  # the reader has pressed Ctrl-C
                background[-1].send_signal(signal.SIGINT)
                background.pop().wait(60)
            done = subprocess.run(
                ["sh", "-ec", text],
                cwd=world.folder,
                env=environ,
                capture_output=True,
                text=True,
                timeout=SHELL_S,
                check=False,
            )
            assert done.returncode == int(options.get("exit", "0")), f"{text}\n{done.stdout}\n{done.stderr}"


def test_the_tutorial_runs(world: World) -> None:
    """The verdicts of the first tutorial are those it tells."""
    follow(world, "first-verdict.md")

    result = world.call("show", "latest", "--json", "--home", world.folder / ".echolane").result
    assert places(result) == {("body:$.price", "type")}
    assert result["groups"][0]["differing"] == result["groups"][0]["observed"] == 40
    assert (world.folder / "verdict.html").stat().st_size > 10_000


def test_the_story_of_a_shop_runs(world: World) -> None:
    """A login, carts and orders: the verdicts and the words of `--explain` are those that the tutorial tells."""
    follow(world, "a-shop.md")

    home = world.folder / ".echolane"
    last, failed, passed = [
        world.call("show", run["run"], "--json", "--home", home).result
        for run in json.loads(world.call("runs", "--home", home, "--json").out)
    ]
    assert (passed["verdict"], passed["fidelity"]) == ("pass", 1.0)
    assert places(failed) == {("body:$.total", "type")}
    assert failed["groups"][0]["differing"] == failed["groups"][0]["observed"] == 8
    assert (last["verdict"], last["reason_code"]) == ("inconclusive", "fidelity")
    assert 0.3 < last["fidelity"] < 0.4
    assert [run["ledger"]["compared"] for run in (last, failed, passed)] == [48, 48, 48]
    targets = ["--base-cmd", "python3 store.py {port}", "--branch-cmd", "python3 store.py {port}"]
    words = ["run", "--service", "store", "--home", home, "--methods", "all", *targets, "--explain"]
    said = set(map(str.strip, world.call(*words).out.splitlines()))
    told = [text for language, _, text in blocks("a-shop.md") if language == "text"]
    lines = [line.strip() for text in told for line in text.splitlines() if line.startswith("    ")]
    assert len(lines) == 5
    assert set(lines) <= said


CURL = """#!{python}
import sys, urllib.request
urllib.request.urlopen(sys.argv[-1]).read()
"""


def test_the_result_page_names_every_key(world: World) -> None:
    """docs/reference/result.md has each key of a real result, of its findings and their reasons."""
    page = (REFERENCE / "result.md").read_text("utf-8")
    world.record(world.app(), [(f"/items/{n}", {}) for n in range(1, 9)])
    _, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
    named = set(re.findall(r"`([a-z_-]+)`", page)) | set(re.findall(r"\b[a-z_]+\b", page))

    assert set(result) - named == set()
    assert set(result["ledger"]) - named == set()
    assert {key for finding in result["groups"] for key in finding} - named == set()
