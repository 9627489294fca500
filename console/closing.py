"""Close a shared run once everything of it is accounted for: whoever notices, and one of them only.

A run is accounted for when its workers have committed all its work and all its observations, and each of its exchanges has a row.
Who notices says that it closes; whoever's word stands first in the topic ``runs`` does. Its result is one row, which a second
close would replace by the same.
"""

from __future__ import annotations

import time
from typing import Any

from console.conduct import save_run
from differ.close import close_run
from differ.worker import GROUP as DIFFER
from echolane.journal import Journal
from echolane.observation import TARGETS
from echolane.runlog import CLOSING, CLOSING_NS, ENDED, INTERRUPTED, RunLog, Shared, Watching
from echolane.store import Store
from echolane.tracing import span
from replayer.observing import observations_topic
from replayer.plan import work_topic
from replayer.worker import replay_group

MISSING_S = 30.0
"""How long rows may be missing after all was committed and nothing is looked at again (a damaged frame, a machine that died with what it
had set aside) before the run is closed without them; its ledger then says how many."""
ROWS = "SELECT count() AS n FROM results_v WHERE run = {run:String}"
SKIPPED = "SELECT reason, count() AS n FROM results_v WHERE run = {run:String} AND verdict = 'skipped' GROUP BY reason"
FIRED = """
SELECT count() AS n, toUnixTimestamp64Nano(min(fired_at)) AS first, toUnixTimestamp64Nano(max(fired_at)) AS last
FROM results_v WHERE run = {run:String} AND toUnixTimestamp64Nano(fired_at) > 0"""
DOWN = """
SELECT arrayJoin(arrayEnumerate(outcomes)) AS place, countIf(outcomes[place] = 'failed:unavailable') AS n
FROM results_v WHERE run = {run:String} GROUP BY place ORDER BY n DESC LIMIT 1"""


class Closer:
    """Looks whether one shared run is accounted for, and closes it."""

    def __init__(self, journal: Journal, store: Store, words: RunLog, shared: Shared) -> None:
        self._journal, self._store, self._words, self._shared = journal, store, words, shared
        self._watching = Watching(journal, shared.run)
        self._run = {"run": shared.run}
        self._committed_at = 0.0
        self._rows_then = -1
        self.rows = 0
        """Exchanges that have a row."""

    def is_accounted_for(self) -> bool:
        """Whether nothing will be added to this run."""
        self.rows = int(self._store.query(ROWS, self._run)[0]["n"])
        whole = self.rows >= self._shared.asked.selected
        now = time.monotonic()
        if not whole and (self._rows_then != self.rows or self._is_looked_at_again()):
            self._rows_then, self._committed_at = self.rows, now
            return False
        if not whole and now - self._committed_at < MISSING_S:
            return False
        return self._is_committed()

    def _is_looked_at_again(self) -> bool:
        """Whether a diff worker that lives has set something aside: one look may take longer than rows are waited for."""
        self._watching.look()
        return self._watching.aside(MISSING_S) > 0

    def _is_committed(self) -> bool:
        run, groups = self._shared.run, (replay_group(self._shared.asked.turn), DIFFER)
        for group, topic in zip(groups, (work_topic(run), observations_topic(run)), strict=True):
            for partition in range(self._journal.partitions(topic)):
                if self._journal.committed(group, topic, partition) < self._journal.end(topic, partition):
                    return False
        return True

    def close(self) -> dict[str, Any] | None:
        """The result; None where another one closes."""
        shared = self._shared
        fresh = shared.closer and time.time_ns() - shared.closing_ns <= CLOSING_NS
        if shared.ended or (fresh and shared.closer != self._words.name):
            return None
        if not fresh:
            self._words.say(shared.run, CLOSING)
            if shared.closer != self._words.name or shared.ended:
                return None
        state, reason = self._state()
        spec = shared.asked.spec
        with span("close", {"echolane.run": shared.run}, parent=shared.asked.trace):
            result = close_run(
                self._store,
                spec,
                state=state,
                reason=reason,
                selected=shared.asked.selected,
                fired_per_s=self._rate(),
                journal=self._journal,
            )
        save_run(self._store, spec, "finished" if state == "finished" else "interrupted", result)
        self._words.say(shared.run, ENDED)
        return result

    def _state(self) -> tuple[str, str]:
        """How it ended, from what its rows say."""
        reasons = {row["reason"] for row in self._store.query(SKIPPED, self._run)}
        if "target-unavailable" in reasons:
            found = self._store.query(DOWN, self._run)
            name = TARGETS[int(found[0]["place"]) - 1] if found and found[0]["n"] else "a target"
            return "unavailable", f"{name} does not answer any more; start it and resume the run"
        if self._shared.stopped:
            return "stopped", self._shared.stopped
        if INTERRUPTED in reasons:
            return "interrupted", "the run was cancelled"
        return "finished", ""

    def _rate(self) -> float:
        (row,) = self._store.query(FIRED, self._run)
        seconds = (int(row["last"]) - int(row["first"])) / 1e9
        return int(row["n"]) / seconds if seconds > 0 else 0.0
