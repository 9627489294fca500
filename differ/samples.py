"""Samples: the first exchanges that show a difference, with what every target said there. Pure, bounded.

The worker takes them while it compares (:mod:`differ.rows`), since only then all four answers are at hand; a finding's samples are
found again by exchange and place when a run is closed.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

import orjson

from differ.difference import EXCERPT_BYTES, Difference, form_of
from echolane.observation import ANSWERED, BRANCH_CONTROL, CONTROL, FAILED, TARGETS, Observation

SAMPLES_MAX = 3
"""Samples of one place: a person looks at one, and at two more to believe it. Where exchanges are compared out of order, more are kept."""
BYTES_MAX = 64 * 1024 * 1024
"""Of all samples of a run. What a place has no room for is still in its rows, cut."""
COLUMNS = (
    "run",
    "endpoint",
    "where",
    "kind",
    "exchange",
    "seq",
    "base",
    "control",
    "branch",
    "branch_control",
    "rewrites",
    "version",
)
NOTES_MAX, NOTE_MAX = 8, 600
"""Rewrites of one request that are kept for a target, and characters of each: a person sees where its ids came from."""


class Samples:
    """The samples of one run that are not stored yet."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._taken: dict[tuple[str, str, str, str], list[int]] = {}
        """The lowest ranks of each place, in order."""
        self._room = BYTES_MAX
        self._rows: list[tuple[Any, ...]] = []

    def take(self, observation: Observation, differences: list[tuple[int, Difference]]) -> None:
        """Keep what a finding of this place is shown with, as far as is known by now."""
        for pair, difference in differences:
            if pair or not difference.where:
                continue
            form = form_of(difference.signature)[0] if difference.where == "body" else ""
            key = (observation.endpoint, difference.where, difference.kind, form)
            taken = self._taken.setdefault(key, [])
            # The first of a run by rank, in whatever order and in however many processes they are compared: a finding is shown with them.
            if observation.seq not in taken:
                if len(taken) == SAMPLES_MAX and observation.seq > taken[-1]:
                    continue
                insort(taken, observation.seq)
                del taken[SAMPLES_MAX:]
            if self._room > 0:
                self._keep(observation, difference, differences)

    def _keep(
        self, observation: Observation, difference: Difference, differences: list[tuple[int, Difference]]
    ) -> None:
        base, branch = excerpt(difference.old), excerpt(difference.new)
        control, branch_control = base, branch
        for pair, other in differences:
            if other.where == difference.where and pair == 1:
                control = excerpt(other.new)
            elif other.where == difference.where and pair == 2:
                branch_control = excerpt(other.new)
        control = control if observation.shots[CONTROL].outcome in {ANSWERED, FAILED} else ""
        branch_control = branch_control if observation.shots[BRANCH_CONTROL].outcome in {ANSWERED, FAILED} else ""
        values = (base, control, branch, branch_control)
        self._room -= sum(map(len, values))
        self._rows.append(
            (
                *(self._run, observation.endpoint, difference.where, difference.kind),
                *(observation.exchange, observation.seq, *values, rewrites_of(observation), observation.attempt),
            )
        )

    def columns(self) -> dict[str, list[Any]]:
        """What was taken since the last time, as columns; empty when there is nothing."""
        rows, self._rows = self._rows, []
        return dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def rewrites_of(observation: Observation) -> str:
    """What was rewritten for each target, as JSON; empty where nothing was."""
    notes = {
        name: [note[:NOTE_MAX] for note in shot.rewrites[:NOTES_MAX]]
        for name, shot in zip(TARGETS, observation.shots, strict=False)
        if shot.rewrites
    }
    return orjson.dumps(notes).decode() if notes else ""


def excerpt(text: str | None) -> str:
    """A value as the store keeps it: at most EXCERPT_BYTES, empty where it is missing."""
    if text is None:
        return ""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= EXCERPT_BYTES else data[: EXCERPT_BYTES - 3].decode("utf-8", "ignore") + "…"
