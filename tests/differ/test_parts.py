"""What a worker commits of the partitions it compares."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from differ import worker as differing
from differ.attempts import ASIDE, Attempts, Place
from differ.letters import topic_of
from differ.watch import Watch
from differ.worker import GROUP, Worker, gauges_of
from echolane.journal import open_journal
from echolane.ledger import Counters
from echolane.store import open_store
from tests.differ.poisoned_runs import CHANGED, RUN, observed, rows_of, spec


def test_what_makes_no_row_is_committed_too(tmp_path: Path) -> None:
    """The last exchange of a partition is set aside: a shared run is closed once all is committed, so this one must be, with no row."""
    home = observed(tmp_path, [CHANGED])
    attempts = Attempts(home.runs, RUN)
    attempts.add(ASIDE, Place(0, 0, 0), "it computed for more than a second")
    attempts.refresh()
    journal = open_journal(home.path)
    with (
        closing(journal),
        open_store(home.path) as store,
        closing(Watch(attempts, home.runs / "at", 60)) as watch,
        closing(Counters(gauges_of(home.path, RUN))) as gauges,
    ):
        worker = Worker(journal, store, spec(), attempts, watch, gauges)
        assert worker.drain() == 1
        worker._since = time.monotonic() - 2 * differing.BATCH_S
        assert worker._full()
        worker.flush()
        assert rows_of(store) == []
        assert journal.committed(GROUP, topic_of(RUN), 0) == journal.end(topic_of(RUN), 0) == 1
        assert worker.drain() == 0
        assert not worker._full()
