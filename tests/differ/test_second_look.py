"""The second look ends: what cannot be compared is given up, what is gone is left, and a batch is told when it is stored."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from differ import second_look
from differ.attempts import ASIDE, DEATH, Attempts, Place
from differ.letters import letter_of, letters_of, tell
from differ.rows import RowMaker
from differ.second_look import GIVEN_UP, SecondLook
from differ.watch import Watch
from echolane.errors import HomeError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.settings import Differ
from tests.differ.poisoned_runs import CHANGED, RUN, observation, observed, spec

PLACES = [Place(0, 0, record) for record in range(4)]


class Told:
    """A store that remembers what it was told, or refuses it."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.refuses = False

    def insert(self, table: str, columns: dict[str, list[Any]]) -> None:
        """Take rows."""
        if self.refuses:
            raise HomeError("no room")
        if table == "results":
            self.rows.update(zip(columns["seq"], columns["verdict"], strict=True))


@pytest.fixture
def leash() -> Iterator[int]:
    """One that was let go."""
    reader, writer = os.pipe()
    os.close(writer)
    yield reader
    os.close(reader)


def looked(home: Home, attempts: Attempts, store: Told, leash: int) -> None:
    """The second look, in this process."""
    journal = open_journal(home.path)
    with closing(journal), closing(Watch(attempts, home.runs / f"{RUN}.aside.at", 60)) as watch:
        SecondLook(journal, store, RowMaker(spec(), Differ()), attempts, watch).run(leash, home.runs, RUN)  # pyright: ignore[reportArgumentType]
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_a_run_that_only_dies_ends_all_the_same(tmp_path: Path, leash: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many deaths what waits at an endpoint with dead letters is one too; before, and at others, it is compared."""
    monkeypatch.setattr(second_look, "DEATHS_MAX", 4)
    for deaths, letters in ((3, {}), (4, {0: GIVEN_UP, 1: GIVEN_UP})):
        home, store = observed(tmp_path / str(deaths), [CHANGED] * 4), Told()
        attempts = Attempts(home.runs, RUN)
        for place in PLACES[:2]:
            attempts.add(ASIDE, place, "slow")
        for number in range(deaths):
            attempts.add(DEATH, Place(0, 9, 0), "loops", process=1, entered=number)
        tell(home.runs, letter_of(RUN, Place(0, 9, 0), observation(9, CHANGED), attempts.found[Place(0, 9, 0)], 1))
        looked(home, attempts, store, leash)

        found = {one.seq: one.reason for one in letters_of(home.runs, RUN) if one.seq != 9}
        assert found == letters
        assert store.rows == dict.fromkeys((0, 1), "not_compared" if letters else "differs")
        assert attempts.pending == []


def test_other_endpoints_are_not_given_up(tmp_path: Path, leash: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one endpoint costs, another gets its verdict."""
    monkeypatch.setattr(second_look, "DEATHS_MAX", 1)
    home, store = observed(tmp_path, [CHANGED] * 4), Told()
    attempts = Attempts(home.runs, RUN)
    attempts.add(ASIDE, PLACES[0])
    attempts.add(DEATH, Place(0, 9, 0), process=1)
    looked(home, attempts, store, leash)

    assert (store.rows, letters_of(home.runs, RUN)) == ({0: "differs"}, [])


def test_what_left_the_journal_is_left(tmp_path: Path, leash: int) -> None:
    """A place without an observation, by retention or damage, ends no process and holds up nobody."""
    home, store = observed(tmp_path, [CHANGED] * 4), Told()
    attempts = Attempts(home.runs, RUN)
    for place in (Place(0, 7, 0), Place(0, 0, 7), PLACES[1]):
        attempts.add(ASIDE, place)
    looked(home, attempts, store, leash)

    assert (store.rows, attempts.pending) == ({1: "differs"}, [])


def test_nothing_is_done_before_it_is_stored(tmp_path: Path, leash: int) -> None:
    """A store that refuses rows leaves all of them pending, and the letters of a retry told."""
    home, store = observed(tmp_path, [CHANGED] * 4), Told()
    attempts = Attempts(home.runs, RUN)
    for place in PLACES[:2]:
        attempts.add(ASIDE, place)
    tell(home.runs, letter_of(RUN, PLACES[0], observation(0, CHANGED), attempts.found[PLACES[0]], 1))
    store.refuses = True
    with pytest.raises(HomeError, match="no room"):
        looked(home, attempts, store, leash)
    assert Attempts(home.runs, RUN).pending == PLACES[:2]
    assert [one.seq for one in letters_of(home.runs, RUN)] == [0]

    store.refuses = False
    looked(home, Attempts(home.runs, RUN), store, leash)
    assert (store.rows, letters_of(home.runs, RUN)) == ({0: "differs", 1: "differs"}, [])
