"""What an evaluation of capacity found is kept; what hinders that changes neither the result nor the exit code."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from console import capacity
from echolane.errors import HomeError
from echolane.home import open_home
from echolane.settings import Settings
from echolane.store import QueryError


@pytest.mark.parametrize(
    ("fails", "error", "said"),
    [
        ("keep", HomeError("the disk is full"), "the evaluation is not among `echolane runs --capacity`: the disk is full"),
        ("keep", QueryError("no right to INSERT"), "the evaluation is not among `echolane runs --capacity`: no right"),
        ("expire_capacities", QueryError("no right to DELETE"), "older evaluations could not be removed: no right"),
        ("", None, ""),
    ],
)  # fmt: skip
def test_what_hinders_keeping_is_said_and_no_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    error: Exception | None,
    said: str,
) -> None:
    """A store that is away, or refuses, costs a line on stderr that says whether the evaluation itself is there."""
    done: list[str] = []

    def step(name: str) -> Any:
        def call(*_: object) -> None:
            done.append(name)
            if name == fails and error is not None:
                raise error

        return call

    monkeypatch.setattr(capacity, "store_of", lambda *_: nullcontext())
    for name in ("keep", "expire_capacities"):
        monkeypatch.setattr(capacity, name, step(name))

    capacity._keep(argparse.Namespace(), open_home(tmp_path / "home"), Settings(), {})

    told = capsys.readouterr().err
    assert said in told
    assert bool(told) == bool(said)
    assert done == (["keep"] if fails == "keep" else ["keep", "expire_capacities"])
