"""The second look: what the worker has set aside is compared alone, beside it and with patience.

``python -m differ.second_look HOME RUN JOURNAL``.
A process of its own at low priority, so that an answer that takes a quarter of a minute, or ends whoever compares it, holds up only
others like it. It may be killed at any instant: an observation is done with when its row is stored, and a row has an identity.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from differ.attempts import ATTEMPTS_MAX, COMPARED, DEAD, GONE, Attempts, Place
from differ.letters import REASON, Letter, forget, letter_of, letters_of, observation_at, tell
from differ.rows import RowMaker
from differ.rules_custom import Functions
from differ.shared_letters import Letters, SharedLetters
from differ.watch import Watch, patience
from differ.worker import BATCH_S, end, flush_rows, home_of, opened, registry
from echolane import log
from echolane.ids import result_id
from echolane.journal import Journal
from echolane.observation import Observation
from echolane.settings import Differ
from echolane.store import Store

AT = "aside.at"
"""Ending of the file that says where it is."""
NICENESS = 10
"""Firing and the comparing of all others come first."""
POLL_S = 0.1
"""How soon it sees what was set aside: nobody waits for it before the run's end."""
DEATHS_MAX = 100
"""Deaths of a run after which endpoints with dead letters are given up: at a quarter of a minute each this is half an hour, and a
version at which every comparison loops must not keep a run for days."""
GIVEN_UP = f"not compared any more: this run has {DEATHS_MAX} deaths, and its endpoint dead letters"
BATCH_ROWS = 500
"""Rows of one insert; a repetition after a death is bounded by it."""


class _Done(NamedTuple):
    """One that has its row: told when that is stored."""

    place: Place
    what: str
    exchange: str
    version: int


class SecondLook:
    """Compares what one run has set aside. ``shared`` has its letters where others see them too; None where they are files."""

    def __init__(
        self,
        journal: Journal,
        store: Store,
        maker: RowMaker,
        attempts: Attempts,
        watch: Watch,
        shared: SharedLetters | None = None,
    ) -> None:
        self._journal, self._store, self._maker = journal, store, maker
        self._attempts, self._watch, self._shared = attempts, watch, shared
        self._done: list[_Done] = []
        self._dead: list[Letter] = []
        """Told where others see them, one append a batch, before the rows are stored."""
        self._since = time.monotonic()

    def run(self, leash: int, folder: Path, run: str) -> None:
        """Look at all there is, until the leash is let go and nothing is left."""
        over = False
        while True:
            pending = self._attempts.pending
            for place in pending:
                self._look(folder, run, place)
                if len(self._done) >= BATCH_ROWS or time.monotonic() - self._since > BATCH_S:
                    self._flush(folder, run)
            self._flush(folder, run)
            if over and not pending:
                break
            if not over:
                over = bool(select.select([leash], [], [], 0 if pending else POLL_S)[0])
            self._attempts.refresh()

    def _look(self, folder: Path, run: str, place: Place) -> None:
        attempt, observation = self._attempts.found[place], observation_at(self._journal, run, place)
        if observation is None:
            log.event("observation.gone", run=run, **place._asdict())
            self._attempts.add(GONE, place)
            return
        # One that was asked for again gets a row of a higher version, which replaces the one of before.
        observation = msgspec.structs.replace(observation, attempt=observation.attempt + attempt.tries)
        if not self._done:
            self._since = time.monotonic()
        dead = attempt.deaths >= ATTEMPTS_MAX
        if not dead and self._given_up(folder, run, observation.endpoint):
            dead, attempt = True, msgspec.structs.replace(attempt, reason=GIVEN_UP)
        if dead:
            self._tell(folder, letter_of(run, place, observation, attempt, time.time_ns()))
            self._add(msgspec.structs.replace(observation, not_compared=REASON), place)
            self._done.append(_Done(place, DEAD, observation.exchange, observation.attempt))
            return
        self._watch.enter(place)
        self._add(observation, place)
        self._watch.leave()
        self._done.append(_Done(place, COMPARED, observation.exchange, observation.attempt))

    def _tell(self, folder: Path, letter: Letter) -> None:
        if self._shared is None:
            tell(folder, letter)
        else:
            self._dead.append(letter)

    def _given_up(self, folder: Path, run: str, endpoint: str) -> bool:
        deaths = sum(attempt.deaths for attempt in self._attempts.found.values())
        if deaths < DEATHS_MAX:
            return False
        letters = letters_of(folder, run) if self._shared is None else [*self._shared.letters, *self._dead]
        return any(letter.endpoint == endpoint for letter in letters)

    def _add(self, observation: Observation, place: Place) -> None:
        self._maker.add(observation, place.partition, place.position)

    def _flush(self, folder: Path, run: str) -> None:
        """Letters that others see, rows, then what rows make untrue: a kill in between repeats, and loses nothing."""
        if self._shared is not None:
            self._shared.tell(self._dead)
            self._dead.clear()
        flush_rows(self._store, self._maker)
        compared = [(result_id(run, one.exchange), one) for one in self._done if one.what == COMPARED]
        if self._shared is not None and compared:
            self._shared.compared((id_, one.exchange, one.version) for id_, one in compared)
        forget(folder, run, [id_ for id_, _ in compared])
        for one in self._done:
            self._attempts.add(one.what, one.place)
        self._done.clear()


def main(argv: list[str]) -> int:
    """Compare what one run has set aside, within the run's bounds or those that are given: ``HOME RUN JOURNAL [BOUNDS]``."""
    home, run = home_of(argv), argv[1]
    folder = home.runs
    os.nice(NICENESS)
    attempts = Attempts(folder, run)
    with opened(home, run) as (journal, store, spec):
        bounds = msgspec.json.decode(argv[3], type=Differ) if argv[3:] else spec.differ
        with (
            closing(Watch(attempts, folder / f"{run}.{AT}", patience(bounds))) as watch,
            closing(Functions()) as functions,
        ):
            maker = RowMaker(spec, bounds, functions, registry(bounds.descriptors))
            shared = Letters(folder, journal if home.journal_url else None).shared(run)
            SecondLook(journal, store, maker, attempts, watch, shared).run(sys.stdin.fileno(), folder, run)
    return 0


if __name__ == "__main__":
    end(main)
