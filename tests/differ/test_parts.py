"""What a worker commits of the partitions it compares."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from differ import worker as differing
from differ.attempts import ASIDE, Attempts, Place
from differ.letters import topic_of
from differ.parts import Everything, Shared
from differ.watch import Watch
from differ.worker import GROUP, Worker, gauges_of
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.ledger import Counters
from echolane.store import Store, open_store
from tests.differ.poisoned_runs import CHANGED, RUN, observed, rows_of, spec
from tests.waiting import wait_until


@contextmanager
def working(
    home: Home, attempts: Attempts, parts: type[Everything] = Everything
) -> Generator[tuple[Worker, Journal, Store]]:
    """A worker over what was observed, with its journal and its store."""
    journal = open_journal(home.path)
    with (
        closing(journal),
        open_store(home.path) as store,
        closing(Watch(attempts, home.runs / "at", 60)) as watch,
        closing(Counters(gauges_of(home.path, RUN))) as gauges,
    ):
        mine = parts(journal, topic_of(RUN), GROUP)
        yield Worker(journal, store, spec(), attempts, watch, gauges, mine), journal, store


def test_what_makes_no_row_is_committed_too(tmp_path: Path) -> None:
    """The last exchange of a partition is set aside: a shared run is closed once all is committed, so this one must be, with no row."""
    home = observed(tmp_path, [CHANGED])
    attempts = Attempts(home.runs, RUN)
    attempts.add(ASIDE, Place(0, 0, 0), "it computed for more than a second")
    attempts.refresh()
    with working(home, attempts) as (worker, journal, store):
        assert worker.drain() == 1
        worker._since = time.monotonic() - 2 * differing.BATCH_S
        assert worker._full()
        worker.flush()
        assert rows_of(store) == []
        assert journal.committed(GROUP, topic_of(RUN), 0) == journal.end(topic_of(RUN), 0) == 1
        assert worker.drain() == 0
        assert not worker._full()


def test_members_commit_all_partitions_at_once_and_hear_which_they_lost(tmp_path: Path) -> None:
    """Of one commit, what another member holds now comes back and stays where it was; the rest is committed."""
    journal = open_journal(tmp_path)
    journal.create("t", 4)
    with closing(journal), closing(Shared(journal, "t", "g", 60)) as first:
        assert first.mine() == [0, 1, 2, 3]
        with closing(Shared(journal, "t", "g", 60)) as second:
            first._member.beat()  # type: ignore[attr-defined] - lets go of what is the other's now
            refused = set(first.commit(dict.fromkeys(range(4), 5)))
            wait_until(lambda: set(second.mine()) == refused)
            assert len(refused) == 2
            assert [journal.committed("g", "t", p) for p in range(4)] == [0 if p in refused else 5 for p in range(4)]


class Taken(Everything):
    """Partition 1 has gone to another."""

    def commit(self, positions: Mapping[int, int]) -> Collection[int]:
        """Remember what was committed, and what was stored by then."""
        self.committed = dict(positions)
        return [1]


def test_a_flush_commits_once_and_forgets_what_it_lost(tmp_path: Path) -> None:
    """All partitions of a flush are one commit, after its rows; one that was lost is begun anew, the others are gone on with."""
    home = observed(tmp_path, [CHANGED])
    with working(home, Attempts(home.runs, RUN), Taken) as (worker, _, store):
        worker.drain()
        worker._next |= {1: 7, 2: 9}
        worker.flush()
        assert isinstance(worker._parts, Taken)
        assert worker._parts.committed == {0: 1, 1: 7, 2: 9}
        assert len(rows_of(store)) == 1
        assert worker._next == {0: 1, 2: 9}
