"""How much work waits for workers: frames of all runs that were asked for and have not ended, by role. For :mod:`console.health`."""

from __future__ import annotations

from differ.worker import GROUP
from echolane.journal import Group, Journal
from echolane.journal.examining import lag
from echolane.runlog import RUNS, RunLog
from replayer.observing import observations_topic
from replayer.plan import work_topic
from replayer.worker import replay_group


class Waiting:
    """The lag of all runs, as one process hears of them. One thread at a time."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal, self._words = journal, RunLog(journal, name)

    def __repr__(self) -> str:
        return f"<Waiting, {len(self._words.active())} active runs>"

    def by_role(self) -> dict[str, int]:
        """Frames by role. A run that stands still, or was given up, has nothing to fire."""
        found = {"replay": 0, "diff": 0}
        there = set(self._journal.topics())
        if RUNS not in there:
            return found
        self._words.hear()
        for shared in self._words.active():
            work, answers = work_topic(shared.run), observations_topic(shared.run)
            if work in there and not shared.paused_ns and not shared.cancelled:
                found["replay"] += lag(self._journal, Group(replay_group(shared.asked.turn), work, 0))
            if answers in there:
                found["diff"] += lag(self._journal, Group(GROUP, answers, 0))
        return found
