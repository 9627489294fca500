"""`echolane demo` begins its home anew, so it takes none that holds anything else."""

from __future__ import annotations

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
