"""When a shared run is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console import closing
from console.closing import MISSING_S, Closer
from differ.worker import GROUP as DIFFER
from echolane import runlog
from echolane.frame import WORDS, encode_frame
from echolane.journal import Journal, open_journal
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runlog import ASKED, Asked, RunLog, Told, progress_topic, tell_progress
from echolane.runspec import RunSpec
from replayer.observing import observations_topic
from replayer.plan import work_topic
from replayer.worker import replay_group

RUN = "01a21643-bda1-71f4-ba7c-69659928ff99"
GROUPS = {work_topic(RUN): replay_group("1"), observations_topic(RUN): DIFFER}


class Rows:
    """A store with so many rows of the run."""

    def __init__(self) -> None:
        self.rows = 0

    def query(self, _query: str, _parameters: Any = None) -> list[dict[str, Any]]:
        """How many."""
        return [{"n": self.rows}]


class Closing:
    """A run of three exchanges in one partition, by a clock of the test's own."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.journal, self.store = 1000.0, journal, Rows()
        for module in (closing, runlog):
            monkeypatch.setattr(module.time, "monotonic", lambda: self.now)
        spec = RunSpec(RUN, "shop", Recording("r", "shop", 0, "everything", []), [TargetInfo("http://10.0.0.1:1")] * 4)
        words = RunLog(journal, "asker")
        words.prepare()
        words.say(RUN, ASKED, msgspec.json.encode(Asked(spec, 3, "1")))
        journal.create(progress_topic(RUN), 1)
        for topic in GROUPS:
            journal.create(topic, 1)
            journal.append(topic, 0, [encode_frame([], kind=WORDS, partition=0, first_ns=0, last_ns=0)])
        shared = words.find(RUN)
        assert shared is not None
        store: Any = self.store
        self.closer = Closer(journal, store, words, shared)

    def commit(self) -> None:
        """Workers have come to the end."""
        for topic, group in GROUPS.items():
            self.journal.commit(group, topic, 0, 1)

    def after(self, seconds: float) -> bool:
        """Whether it is accounted for then."""
        self.now += seconds
        return self.closer.is_accounted_for()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Closing]:
    """A run that is asked for."""
    journal = open_journal(tmp_path)
    yield Closing(journal, monkeypatch)
    journal.close()


def test_all_rows_and_all_commits_are_wanted(run: Closing) -> None:
    """A resumed run has all its rows from the beginning, and is not over before its work was gone through."""
    assert not run.after(0)
    run.store.rows = 3
    assert not run.after(1000)
    run.commit()
    assert run.after(0)


def test_a_row_that_does_not_come_is_not_waited_for_without_end(run: Closing) -> None:
    """Everything is committed and one row is missing: after half a minute without another row the ledger says so."""
    run.store.rows = 1
    run.commit()
    assert not run.after(0)
    run.store.rows = 2
    assert not run.after(MISSING_S)
    assert not run.after(MISSING_S - 1)
    assert run.after(2)


def test_what_is_looked_at_again_is_waited_for_as_long_as_somebody_looks(run: Closing) -> None:
    """A second look may take minutes on a busy machine; one whose worker has died is not waited for."""
    run.store.rows = 2
    run.commit()
    for n in range(20):
        tell_progress(run.journal, RUN, Told("d", "diff", n, aside=1))
        assert not run.after(MISSING_S - 1)
    assert not run.after(MISSING_S)
    assert run.after(MISSING_S + 1)
