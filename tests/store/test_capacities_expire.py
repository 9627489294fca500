"""What evaluations of capacity found leaves the store when it is old, on each kind of store."""

from __future__ import annotations

from typing import Any
from unittest import mock

from console.capacity_kept import keep, listed
from echolane.retention import DAY_NS, expire_capacities
from echolane.store import Store
from tests.console.test_capacity_page import RESULT

NOW_NS = 1_795_448_000_000_000_000
STEP = {
    "phase": "ramp",
    "rate_per_s": 10,
    "seconds": 5,
    "at": "2026-11-01T00:00:00+00:00",
    "state": "healthy",
    "signal": None,
}


def evaluated(store: Store, run: str, days: float) -> None:
    """An evaluation that was written so many days ago."""
    with mock.patch("time.time_ns", return_value=NOW_NS - int(days * DAY_NS)):
        keep(store, {**RESULT, "run": run, "intervals": [STEP], "started_at": STEP["at"], "finished_at": STEP["at"]})


def runs_in(store: Store, table: str) -> set[Any]:
    """The evaluations that a table has rows of."""
    return {row["run"] for row in store.query(f"SELECT DISTINCT run FROM {table}")}


def test_old_evaluations_leave_the_store_whole_and_new_ones_stay(any_store: Store) -> None:
    """Outcome and intervals of one that is older than the setting go together, also where a kill has left intervals alone; a newer one stays."""
    for run, days in (("old", 31), ("half", 31), ("new", 29)):
        evaluated(any_store, run, days)
    any_store.query("DELETE FROM capacities WHERE run = 'half'")
    assert expire_capacities(any_store, NOW_NS, 365) == 0
    assert runs_in(any_store, "capacity_steps") == {"old", "half", "new"}

    assert expire_capacities(any_store, NOW_NS, 30) == 2
    assert runs_in(any_store, "capacities") == runs_in(any_store, "capacity_steps") == {"new"}
    assert [row["run"] for row in listed(any_store, None)] == ["new"]
    assert expire_capacities(any_store, NOW_NS, 30) == 0
