"""The diff worker, and what becomes of its processes."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from console import diffing
from console.diffing import DiffWorker
from differ.attempts import ASIDE, Attempts, Place
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runlog import ASKED, Asked, RunLog
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.observing import observations_topic

RUN = "01a21643-bda1-71f4-ba7c-69659928ff99"


class Standing:
    """A process that does nothing, or one that has failed for good."""

    def __init__(self, failed: EcholaneError | None = None) -> None:
        self.failed, self.ended = failed, failed is not None

    def look(self) -> None:
        """It has not changed."""

    def let_go(self) -> None:
        """It ends at once."""
        self.ended = True


class Hands(DiffWorker):
    """A worker whose processes are the test's; the first ``failing`` second looks fail, as when no broker answers while they start."""

    failing = 2

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.looks: list[Standing] = []
        self.troubles: list[str] = []

    def process(self, *_: Any) -> Any:
        """What compares."""
        return Standing()

    def second(self, *_: Any) -> Any:
        """The second look."""
        self.looks.append(Standing(EcholaneError("no broker") if len(self.looks) < self.failing else None))
        return self.looks[-1]

    def closer(self, *_: Any) -> Any:
        """Nothing is ever accounted for."""
        return SimpleNamespace(is_accounted_for=lambda: False)

    def tell(self, run: str, trouble: str = "", aside: int = 0) -> None:
        """Keep what was said."""
        assert run == RUN
        assert aside in {0, 1}
        self.troubles += [trouble] if trouble else []


def test_a_second_look_that_failed_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was to look at keeps its run open, so it is tried until one does not fail; whoever waits hears of it."""
    monkeypatch.setattr(diffing, "AGAIN_S", 0.1)
    home = Home(tmp_path)
    journal = open_journal(home)
    spec = RunSpec(RUN, "shop", Recording("r", "shop", 0, "everything", []), [TargetInfo("http://10.0.0.1:1")] * 4)
    words = RunLog(journal, "asker")
    words.prepare()
    words.say(RUN, ASKED, msgspec.json.encode(Asked(spec, 1, "1")))
    journal.create(observations_topic(RUN), 1)
    home.runs.mkdir(parents=True, exist_ok=True)
    Attempts(home.runs, RUN).add(ASIDE, Place(0, 0, 0), "it computed for long")
    store: Any = None
    worker = Hands(journal, store, home, Settings(), "w")
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    waited = threading.Event()
    for _ in range(1200):
        if len(worker.looks) > Hands.failing:
            break
        waited.wait(0.05)
    stop.set()
    thread.join(60)
    journal.close()

    assert [look.failed is None for look in worker.looks] == [False, False, True]
    assert worker.troubles == ["no broker", "no broker"]
