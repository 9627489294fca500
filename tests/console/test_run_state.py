"""What a run is said to be while it ends: its row and its driver's lease are two things that are read one after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from console.api import reading
from console.api.messages import RunsQuery


@pytest.mark.parametrize(("then", "said"), [("finished", "finished"), ("running", "interrupted")])
def test_a_run_that_ends_while_it_is_looked_at_is_not_interrupted(
    monkeypatch: pytest.MonkeyPatch, then: str, said: str
) -> None:
    """Its row said running, its lease is free: the row is read again, and only one that still says so lost its driver."""
    rows = [{"run": "r1", "service": "shop", "state": state} for state in ("running", then)]

    def query(*_: Any) -> list[dict[str, str]]:
        return [rows.pop(0)]

    def without_driver(_home: Any, _run: str, state: str) -> str:
        return "interrupted" if state == "running" else state

    monkeypatch.setattr(reading, "state_of", without_driver)
    site: Any = SimpleNamespace(
        home=None,
        store=SimpleNamespace(query=query),
        launcher=SimpleNamespace(find=lambda _: None, sees_through=lambda _: False),
    )
    token: Any = SimpleNamespace(sees=lambda _: True)

    found = reading.run_of(site, token, "r1")

    assert (found.state, found.row["state"]) == (said, then)


def test_runs_that_lost_their_driver_are_read_again_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of many such runs costs two questions for each fifty, and the one that ended meanwhile is told as that."""
    ids = [f"r{number}" for number in range(120)]
    rows = [{"run": run, "service": "shop", "state": "running", "started": 1_000 - n} for n, run in enumerate(ids)]
    rows = [{**row, "verdict": "", "reason_code": "", "finished": 0} for row in rows]
    asked: list[str] = []

    def query(sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        asked.append(sql)
        if sql == reading.PAGE:
            return rows
        return [
            {**row, "state": "finished" if row["run"] == "r7" else "running"}
            for row in rows
            if row["run"] in params["runs"]
        ]

    def without_driver(_home: Any, _run: str, state: str) -> str:
        return "interrupted" if state == "running" else state

    monkeypatch.setattr(reading, "state_of", without_driver)
    site: Any = SimpleNamespace(
        home=None,
        store=SimpleNamespace(query=query),
        launcher=SimpleNamespace(find=lambda _: None, sees_through=lambda _: False),
    )
    token: Any = SimpleNamespace(sees_all=True, services=[])

    found = reading.runs(site, token, RunsQuery(limit=200))

    assert [one.run for one in found.runs] == ids
    assert [one.run for one in found.runs if one.state == "finished"] == ["r7"]
    assert asked == [reading.PAGE, *[reading.SOME] * 3]
