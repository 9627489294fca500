"""Rows of a run replace each other in the order in which they were written, whatever the wall clock says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from console.conduct import save_run
from echolane.store import open_store
from echolane.store.versions import version_after
from tests.differ.poisoned_runs import RUN, spec

HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize("hours", [-1, 1, -2])
def test_the_row_that_was_written_last_is_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """The clock is set between a run's rows: what is shown is the last one, and other runs are as they were."""
    real, set_by = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + set_by[0])
    with open_store(tmp_path) as store:
        assert abs(version_after(store, "runs", "another") - real()) < HOUR_NS
        for state in ("running", "interrupted", "running", "finished"):
            save_run(store, spec(), state)
            set_by[0] += hours * HOUR_NS
            assert [row["state"] for row in store.query("SELECT state FROM runs_v")] == [state]
        assert store.query("SELECT count() AS n FROM runs_v WHERE run = {run:String}", {"run": RUN}) == [{"n": 1}]
