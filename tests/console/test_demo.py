"""`echolane demo` begins its home anew, so it takes none that holds anything else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from console import demo
from console.main import main
from echolane.errors import UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the demo, which is stopped where it would install."""

    def stopped(*_: object) -> Path:
        raise UsageError("here it would install")

    monkeypatch.setattr(demo, "install", stopped)
    return tmp_path / "home"


def kept(home: Path, *names: str) -> list[Path]:
    """Files of a home."""
    files = [home / name for name in names]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"kept")
    return files


@pytest.mark.parametrize(
    "names",
    [
        ("journal/exchanges.shop/0.db",),
        ("ledger/capture.shop.1.relay",),
        ("ledger/capture.shop.1.relay", "ledger/capture.datasette.1.relay", "demo/shop.db"),
    ],
)
def test_a_home_of_ones_own_is_refused_and_left_as_it_is(
    home: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...]
) -> None:
    """Recordings of another service, or what no demo wrote: exit 2, one line, and every file is still there."""
    files = kept(home, *names)
    assert main(["demo", "--home", str(home)]) == 2
    assert f"--home `{home}` holds" in capsys.readouterr().err
    assert [file.read_bytes() for file in files] == [b"kept"] * len(files)


@pytest.mark.parametrize(
    "names", [(), ("journal/exchanges.datasette/0.db", "ledger/capture.datasette.1.relay", "demo/shop.db")]
)
def test_a_new_home_and_that_of_a_demo_are_taken(
    home: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...]
) -> None:
    """It goes on to install."""
    kept(home, *names)
    assert main(["demo", "--home", str(home)]) == 2
    assert "here it would install" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--json", "--html"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_installed(
    home: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    """Exit 2 and one line that names the flag and the file; no home is begun."""
    file = home.parent / "nowhere" / "result"
    assert main(["demo", "--home", str(home), flag, str(file)]) == 2
    assert f"{flag} `{file}` cannot be written" in " ".join(capsys.readouterr().err.split())
    assert not home.exists()


def test_the_result_goes_where_it_is_wanted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--json FILE` is handed to the run, which writes the same there as `echolane run --json FILE`; else it is in the home."""
    called: list[list[str]] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        called.append(command)
        return subprocess.CompletedProcess(command, int(check))

    for name in ("install", "seed"):
        monkeypatch.setattr(demo, name, lambda *_: home)
    monkeypatch.setattr(demo, "record", lambda *_: 1)
    monkeypatch.setattr(demo.subprocess, "run", run)
    file = home.parent / "result.json"
    assert [main(["demo", "--home", str(home), *more]) for more in (["--json", str(file)], [])] == [0, 0]
    assert [command[command.index("--json") + 1] for command in called] == [str(file), str(home / "verdict.json")]
