"""Retention removes what is old and nothing else."""

from __future__ import annotations

from pathlib import Path

from echolane import ids
from echolane.journal import open_journal
from echolane.retention import DAY_NS, expire


def test_the_topics_of_old_runs_go_and_those_of_new_ones_stay(tmp_path: Path) -> None:
    """A run's age is in its id; its work, observations and intents leave together."""
    now = 1_795_448_000_000_000_000
    old, new = ids.uuid7(now - 9 * DAY_NS), ids.uuid7(now - DAY_NS)
    journal = open_journal(tmp_path)
    for run in (old, new):
        for kind in ("work", "observations", "intents"):
            journal.create(f"{kind}.{run}", 1)
    journal.create("exchanges.shop", 2)

    assert expire(journal, now, days=7) == 3
    assert journal.topics() == sorted(
        ["exchanges.shop", *(f"{kind}.{new}" for kind in ("work", "observations", "intents"))]
    )
    journal.close()
