"""Homes, stores and realistic rows for the tests of :mod:`echolane.store`."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from echolane.ids import result_id
from echolane.store import Store, open_store
from tests.store.bridge import database_of

Columns = dict[str, list[Any]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A store of its own."""
    with open_store(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the shared store."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def shared_store(shared_home: Path) -> Iterator[Store]:
    """One store for the tests of a module that keep to runs of their own."""
    with open_store(shared_home) as opened:
        yield opened


@pytest.fixture(scope="module", params=["chdb", "clickhouse"])
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Each kind of store, for the tests of a module that keep to runs of their own: what a store is, it is everywhere."""
    address = ""
    if request.param == "clickhouse":
        address = database_of(request.getfixturevalue("bridge"))
    with open_store(tmp_path_factory.mktemp("any"), address) as opened:
        yield opened


@pytest.fixture
def owner_of() -> Callable[[Path], int]:
    """Tells the process that owns a home's store."""
    return lambda home: int((home / "store" / "owner.lock").read_text())


@pytest.fixture
def kill_owner(owner_of: Callable[[Path], int]) -> Callable[[Path], int]:
    """Kills a home's owner at once and tells which process it was."""

    def kill(home: Path) -> int:
        process = owner_of(home)
        os.kill(process, signal.SIGKILL)
        return process

    return kill


@pytest.fixture
def results() -> Callable[..., Columns]:
    """Builds rows of ``results``: one in ten has differences, as a healthy branch's have."""

    def build(run: str, first: int, count: int, version: int = 1) -> Columns:
        dice = random.Random(first)
        ranks = range(first, first + count)
        differs = [rank % 10 == 0 for rank in ranks]

        def arrays(value: Any) -> list[list[Any]]:
            return [[value, value] if each else [] for each in differs]

        return {
            "run": [run] * count,
            "id": [result_id(run, f"x{rank}") for rank in ranks],
            "version": [version] * count,
            "seq": list(ranks),
            "exchange": [f"x{rank}" for rank in ranks],
            "service": ["shop"] * count,
            "method": ["GET"] * count,
            "target": [f"/items/{rank % 100}?x={rank}" for rank in ranks],
            "endpoint": ["GET /items/{id}"] * count,
            "recorded_status": [200] * count,
            "verdict": ["differs" if each else "same" for each in differs],
            "outcomes": [["answered"] * 4 for _ in ranks],
            "statuses": [[200] * 4 for _ in ranks],
            "durations_us": [[dice.randrange(100_000) for _ in range(4)] for _ in ranks],
            "fired_at": [1_700_000_000_000_000_001 + rank for rank in ranks],
            "d_pair": arrays(0),
            "d_where": arrays("body:$.items[*].price"),
            "d_kind": arrays("value"),
            "d_facet": arrays(3),
            "d_klass": arrays(""),
            "d_flags": arrays(0),
            "d_count": arrays(1),
            "d_old": arrays('"10.0"'),
            "d_new": arrays('"10"'),
            "d_values": arrays(2**64 - 1),
            "d_signature": arrays("aabb"),
            "topic": [f"observations.{run}"] * count,
            "partition": [0] * count,
            "position": list(ranks),
        }

    return build
