"""Completion: what the shells themselves offer at a cursor, after the script that the program prints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from console.command_line import commands
from console.completion_scripts import SCRIPTS
from console.main import main

BASH = """
source "$1"
shift
COMP_CWORD=$(($# - 1))
COMP_WORDS=("$@")
_echolane
printf '%s\\n' "${COMPREPLY[@]}"
"""
FLAGS_OF_DOCTOR = {flag for one in commands() if one.name == "doctor" for put in one.flags for flag in put.flags}


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Path:
    """The script for a shell, as `echolane completion` prints it."""
    assert main(["completion", request.param]) == 0
    path = tmp_path / f"script.{request.param}"
    path.write_text(capsys.readouterr().out, "utf-8")
    return path


def offered(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words, which bash has cut as it does."""
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH, "bash", script, "echolane", *words],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split("\n")) - {""}


@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("doc",), {"doctor"}),
        (("",), {one.name for one in commands()}),
        (("--v",), {"--version"}),
        (("doctor", "--"), {flag for flag in FLAGS_OF_DOCTOR if flag.startswith("--")}),
        (("doctor", "--rep"), {"--repair"}),
        (("doctor", "--only", ""), {"home", "journal", "store"}),
        (("doctor", "--only", "=", "j"), {"journal"}),
        (("doctor", "--only", "="), {"home", "journal", "store"}),
        (("doctor", "--only", "=", "store", "--js"), {"--json"}),
        (("doctor", "--json", "--only", "s"), {"store"}),
        (("run", "--late", ""), {"fire", "skip"}),
        (("run", "--service", "show", "--pro"), {"--progress"}),
        (("run", "--base", "http", ":", "//127.0.0.1", ":", "8001", "--methods", "s"), {"safe"}),
        (("run", "--base", "http", ":", "r"), set()),
        (("run", "--base", "http", ":"), set()),
        (("run", "--concurrency", ""), set()),
        (("dlq", "s"), {"show"}),
        (("dlq", "--home", "show", ""), {"ls", "show", "retry"}),
        (("dlq", "show", ""), set()),
        (("completion", "b"), {"bash"}),
        (("nothing", ""), set()),
        (("nothing", "--"), set()),
    ],
)
def test_bash_offers_commands_flags_and_values(script: Path, words: tuple[str, ...], found: set[str]) -> None:
    """At each place bash offers what may stand there, and nothing else, however it has cut the line into words."""
    assert offered(script, *words) == found


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_offers_files_where_files_are_meant(script: Path) -> None:
    """Files for what reads or writes one, folders for what is one, each whole, with blanks and stars in its name."""
    (script.parent / "a b*.har").touch()
    (script.parent / "a folder").mkdir()

    assert offered(script, "import", "a") == {"a b*.har", "a folder"}
    assert offered(script, "import", "other.har", "a b") == {"a b*.har"}
    assert offered(script, "doctor", "--home", "a") == {"a folder"}
    assert offered(script, "run", "--html", "=", "a ") == {"a b*.har", "a folder"}


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_each_script_has_every_command_flag_and_word(shell: str) -> None:
    """Whatever the parsers know stands in the script of each shell, so none falls behind."""
    text = SCRIPTS[shell](commands(), [])
    missing = [
        (command.name, word)
        for command in commands()
        for argument in [*command.flags, *command.places]
        for word in (*argument.flags, *argument.words)
        if word.lstrip("-") not in text
    ]
    assert missing == []
    assert "@" not in text.replace('"$@"', "").replace("USER@", "")


@pytest.mark.parametrize(
    ("script", "command"),
    [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])],
    indirect=["script"],
    ids=["bash", "zsh", "fish"],
)
def test_the_shell_itself_reads_the_script(require: Callable[..., str], script: Path, command: list[str]) -> None:
    """Each shell finds no fault in its script's grammar."""
    require(command[0])
    done = subprocess.run([*command, script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_offers_commands_flags_and_values(require: Callable[..., str], script: Path) -> None:
    """It offers the same as bash."""
    require("fish")
    for line, found in {
        "echolane doc": {"doctor"},
        "echolane doctor --rep": {"--repair"},
        "echolane doctor --only ": {"home", "journal", "store"},
        "echolane dlq s": {"show"},
    }.items():
        command = f"source {script}; complete -C '{line}'"
        done = subprocess.run(["fish", "-c", command], capture_output=True, text=True, timeout=60, check=True)
        assert {told.partition("\t")[0] for told in done.stdout.splitlines()} == found, line
