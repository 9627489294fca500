"""Laws are tried on the same examples each time: what a change touches decides whether they hold, and no new draw."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.conftest import FUZZ


@pytest.mark.skipif(bool(FUZZ), reason="when fuzzing each draw is to be a new one")
def test_no_module_that_comes_changes_the_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module full of numbers and texts, loaded between two rounds of a law, is in none of its examples."""
    drawn: list[tuple[int, str]] = []

    @settings(max_examples=300)
    @given(st.integers(), st.text())
    def law(number: int, text: str) -> None:
        drawn.append((number, text))

    law()
    before = list(drawn)
    drawn.clear()
    numbers = [7_700_001 + 13 * n for n in range(40)]
    (tmp_path / "steady_numbers.py").write_text("".join(f"n{n} = {n}\nt{n} = 'steady {n}'\n" for n in numbers), "ascii")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "steady_numbers", raising=False)
    importlib.import_module("steady_numbers")
    law()

    assert drawn == before
    assert not {number for number, _ in drawn} & set(numbers)
