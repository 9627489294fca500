"""Runs of each sort for the tests of what people see of them."""

from __future__ import annotations

import pytest

from tests.console.results import HOSTILE, RESULTS, Result, failing, hostile


@pytest.fixture
def fail() -> Result:
    """A failing run of twelve findings."""
    return failing()


@pytest.fixture(params=list(RESULTS))
def result(request: pytest.FixtureRequest) -> Result:
    """A run of each sort."""
    return RESULTS[request.param]()


@pytest.fixture(params=HOSTILE, ids=[f"hostile{number}" for number in range(len(HOSTILE))])
def poisoned(request: pytest.FixtureRequest) -> Result:
    """A run whose every text is hostile."""
    return hostile(request.param)


@pytest.fixture
def every_poison() -> Result:
    """A run with all hostile texts at once, each in some of its findings."""
    first, *others = (hostile(text) for text in HOSTILE)
    for other in others:
        for part in ("groups", "noise", "undecided"):
            first[part] += other[part]
    return first
