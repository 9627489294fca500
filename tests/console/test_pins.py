"""Targets whose addresses are said, and hosts that no run fires at: on the command line and in the server's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.api.targets import Target, read_targets, words
from console.main import main
from console.run import pinned
from echolane.errors import UsageError
from echolane.observation import TargetInfo

TARGETS = [TargetInfo("http://Base.test:1")] * 2 + [TargetInfo("http://branch.test:2"), TargetInfo("", managed=True)]


def test_a_pin_is_where_the_targets_of_that_name_are() -> None:
    """Each name has its address, whatever its case; what is not pinned is looked up, and a copy is where it was started."""
    assert pinned(["base.TEST=10.0.0.7", "branch.test=fd00::0007"], TARGETS) == ["10.0.0.7"] * 2 + ["fd00::7", ""]
    assert pinned(["branch.test=10.0.0.8"], TARGETS) == ["", "", "10.0.0.8", ""]
    assert pinned([], TARGETS) == []


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (["base.test"], "--pin is `base.test`; use NAME=ADDRESS"),
        (["base.test=elsewhere"], "--pin is `base.test=elsewhere`"),
        (["other.test=10.0.0.7"], "--pin names `other.test`, which is the host of no target"),
        (["base.test=10.0.0.7", "base.test=10.0.0.8"], "`base.test` that it is at 10.0.0.7 and at 10.0.0.8"),
    ],
)
def test_a_pin_that_pins_nothing_is_an_error(pins: list[str], said: str) -> None:
    """One line with the value."""
    with pytest.raises(UsageError, match=said):
        pinned(pins, TARGETS)


def test_the_servers_targets_are_pinned_where_they_are_configured() -> None:
    """What is configured is given to the run, for a filled name and for a control of its own."""
    base = Target("shop", "b", "http://b.test", control="http://c.test", address="10.0.0.1", control_address="10.0.0.2")
    branch = Target("shop", "n", "http://{branch}.test:8000", address="10.0.0.3")
    flags = words(base, branch, "feature/a", writes=False)

    assert [flag for flag in flags if flag.startswith("--pin")] == [
        "--pin=b.test=10.0.0.1",
        "--pin=c.test=10.0.0.2",
        "--pin=feature-a.test=10.0.0.3",
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('address = "elsewhere"', "target 1: address is `elsewhere`; it must be an address"),
        ('control_address = "10.0.0.1"', "target 1: control_address is set and control is not"),
        ('address = "10.0.0.1"\ncontrol = "http://a.test:2"', "target 1: url and control have one host"),
    ],
)
def test_a_wrong_address_is_told_when_the_server_starts(tmp_path: Path, more: str, said: str) -> None:
    """With the number of its target."""
    toml = tmp_path / "echolane.toml"
    toml.write_text(f'[[api_targets]]\nservice = "shop"\nname = "a"\nurl = "http://a.test:1"\n{more}\n')
    with pytest.raises(UsageError, match=said):
        read_targets(toml)


@pytest.mark.parametrize(
    "words_",
    [
        [
            "run",
            "--base",
            "http://127.0.0.1:1",
            "--branch",
            "http://PROD.test",
            "--allow-host",
            "prod.test",
            "--explain",
        ],
        ["run", "--base", "http://127.0.0.1:1", "--branch", "http://127.0.0.9:2"],
        ["capacity", "--target", "http://prod.test", "--allow-host", "prod.test"],
    ],
)
def test_what_is_protected_is_fired_at_by_no_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words_: list[str]
) -> None:
    """Exit 5 before anything is looked up, with the setting's name; --allow-host and this machine make no difference."""
    (tmp_path / "echolane.toml").write_text('[replay]\nprotected = ["prod.test", "127.0.0.8/29"]\n')
    monkeypatch.chdir(tmp_path)

    assert main([*words_, "--service", "shop", "--home", str(tmp_path / "home")]) == 5
    assert "is protected (replay.protected), so no run fires at it" in " ".join(capsys.readouterr().err.split())
