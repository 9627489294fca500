"""The stage of the tests of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fresh home and its processes."""
    found = World(tmp_path)
    yield found
    found.end()
