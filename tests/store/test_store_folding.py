"""Rows may come any number of times, in any order: the views count each once, and the latest attempt stands."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from echolane.store import Store, open_store

EXACT = "SELECT count() AS n, uniqExact(id) AS ids, sum(seq) AS seqs FROM results_v WHERE run = {r:String}"


def test_every_batch_three_times_in_any_order_counts_once(
    home: Path, results: Callable[..., Any], kill_owner: Callable[[Path], int]
) -> None:
    """Twenty batches, each sent three times, shuffled, the owner killed on the way: the count is exact."""
    dice = random.Random(7)
    batches = [first for first in range(0, 2_000, 100) for _ in range(3)]
    dice.shuffle(batches)
    with open_store(home) as store:
        for turn, first in enumerate(batches):
            if turn in {20, 50}:
                kill_owner(home)
            store.insert("results", results("r", first, 100))

        assert store.query(EXACT, {"r": "r"}) == [{"n": 2_000, "ids": 2_000, "seqs": sum(range(2_000))}]


def test_rows_that_come_twice_in_one_batch_count_once(any_store: Store, results: Callable[..., Any]) -> None:
    """The view folds within a part too, before any merge has happened."""
    twice = {name: values * 2 for name, values in results("twice", 0, 50).items()}
    any_store.insert("results", twice)

    assert any_store.query(EXACT, {"r": "twice"}) == [{"n": 50, "ids": 50, "seqs": sum(range(50))}]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_the_latest_attempt_replaces_the_earlier_ones_whole(
    any_store: Store, results: Callable[..., Any], order: tuple[int, ...]
) -> None:
    """Whatever order attempts arrive in, only the highest version is seen, with all of its columns."""
    run = f"attempts-{order}"
    for version in order:
        columns = results(run, 0, 40, version)
        columns["target"] = [f"/attempt/{version}"] * 40
        any_store.insert("results", columns)

    rows = any_store.query("SELECT version, target FROM results_v WHERE run = {r:String}", {"r": run})

    assert rows == [{"version": 3, "target": "/attempt/3"}] * 40


def test_runs_do_not_mix(any_store: Store, results: Callable[..., Any]) -> None:
    """Rows of many runs in one batch go each to its own run."""
    parts = [results(f"many-{number}", 0, 10) for number in range(12)]
    any_store.insert("results", {name: [value for part in parts for value in part[name]] for name in parts[0]})

    rows = any_store.query("SELECT run, count() AS n FROM results_v WHERE run LIKE 'many-%' GROUP BY run")

    assert sorted(row["n"] for row in rows) == [10] * 12


def test_a_run_shows_its_latest_state(any_store: Store) -> None:
    """A run is told several times; its view shows the last word."""
    for version, state in [(1, "running"), (3, "finished"), (2, "running")]:
        any_store.insert("runs", {"run": ["state"], "version": [version], "state": [state]})

    assert any_store.query("SELECT state FROM runs_v WHERE run = 'state'") == [{"state": "finished"}]


def test_noise_is_summed_over_runs_and_not_over_repetitions(any_store: Store) -> None:
    """What a run saw is counted once however often it is told; a later word replaces an earlier one."""
    for run, updated_at, observed, differing in [("a", 1, 10, 1), ("a", 2, 20, 2), ("a", 2, 20, 2), ("b", 3, 5, 0)]:
        place = {"service": ["shop"], "target": ["v1"], "endpoint": ["GET /"], "where": ["body:$.t"], "facet": [3]}
        told = {
            "run": [run],
            "observed": [observed],
            "differing": [differing],
            "klass": ["time"],
            "updated_at": [updated_at],
        }
        any_store.insert("noise", place | told)

    (row,) = any_store.query("SELECT * FROM noise_v WHERE service = 'shop'")

    assert (row["observed"], row["differing"], row["runs"], row["klass"], row["updated_at"]) == (25, 2, 2, "time", 3)


def test_findings_are_those_of_the_latest_closing(any_store: Store) -> None:
    """What an earlier closing found and the latest did not is gone, also when the latest found nothing."""

    def close(version: int, found: list[str]) -> list[str]:
        any_store.insert(
            "findings",
            {
                "run": ["again"] * len(found),
                "id": found,
                "verdict": ["regression" if name else "" for name in found],
                "version": [version] * len(found),
            },
        )
        rows = any_store.query("SELECT id FROM findings_v WHERE run = 'again' ORDER BY id")
        return [row["id"] for row in rows]

    assert close(1, ["f1", "f2"]) == ["f1", "f2"]
    assert close(2, ["f2", "f3"]) == ["f2", "f3"]
    assert close(3, [""]) == []
