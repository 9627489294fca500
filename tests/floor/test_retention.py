"""Retention removes what is old and nothing else."""

from __future__ import annotations

from pathlib import Path

from echolane import ids
from echolane.home import Home, open_home
from echolane.journal import Journal, open_journal
from echolane.lease import held
from echolane.retention import DAY_NS, expire

NOW_NS = 1_795_448_000_000_000_000
OLD, NEW = ids.uuid7(NOW_NS - 9 * DAY_NS), ids.uuid7(NOW_NS - DAY_NS)
ENDINGS = ("attempts", "at", "aside.at", "live", "dead.ndjson", "dead.part", "lock")


def topics_of(run: str) -> list[str]:
    """What a run keeps in the journal."""
    return [f"{kind}.{run}" for kind in ("work", "observations", "intents", "dead")]


def lived(path: Path) -> tuple[Home, Journal]:
    """A home with an old run, a new one, and a recording."""
    home = open_home(path)
    journal = open_journal(home.path)
    for run in (OLD, NEW):
        for topic in topics_of(run):
            journal.create(topic, 1)
        for ending in ENDINGS:
            (home.runs / f"{run}.{ending}").touch()
        (home.runs / f"{run}.copies" / "base").mkdir(parents=True)
    journal.create("exchanges.shop", 2)
    (home.runs / "notes.txt").touch()
    return home, journal


def files_of(home: Home, run: str) -> set[str]:
    """Endings of the files of a run."""
    return {path.name.removeprefix(f"{run}.") for path in home.runs.glob(f"{run}.*")}


def test_the_topics_and_files_of_old_runs_go_and_those_of_new_ones_stay(tmp_path: Path) -> None:
    """A run's age is in its id; its work, observations, intents and what was set aside leave together."""
    home, journal = lived(tmp_path)

    assert expire(journal, home.runs, NOW_NS, days=7) == 4
    assert journal.topics() == sorted(["exchanges.shop", *topics_of(NEW)])
    assert files_of(home, OLD) == set()
    assert files_of(home, NEW) == {*ENDINGS, "copies"}
    assert (home.runs / "notes.txt").exists()
    journal.close()


def test_files_whose_topics_are_gone_go_too(tmp_path: Path) -> None:
    """Who was killed between the two has left only files, and the next time takes them."""
    home, journal = lived(tmp_path)
    for topic in topics_of(OLD):
        journal.drop(topic)

    assert expire(journal, home.runs, NOW_NS, days=7) == 0
    assert files_of(home, OLD) == set()
    journal.close()


def test_a_run_that_somebody_is_at_stays_whole(tmp_path: Path) -> None:
    """An old run that is resumed, or whose dead letters are compared again, loses nothing under its hands."""
    home, journal = lived(tmp_path)
    with held(home.runs / f"{OLD}.lock", "x"):
        assert expire(journal, home.runs, NOW_NS, days=7) == 0
        assert set(topics_of(OLD)) < set(journal.topics())
        assert files_of(home, OLD) == {*ENDINGS, "copies"}

    assert expire(journal, home.runs, NOW_NS, days=7) == 4
    journal.close()
