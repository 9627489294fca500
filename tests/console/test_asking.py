"""What is said to a person who asked workers for a run, while they are silent and when something is in their way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console import asking
from console.asking import _Waiting, going_on
from echolane.errors import HomeError, Inconclusive, StoreDamaged
from echolane.journal import Journal, open_journal
from echolane.observation import TargetInfo
from echolane.recordings import Recording
from echolane.runlog import ASKED, CANCEL, ENDED, Asked, RunLog, Told, progress_topic, tell_progress
from echolane.runspec import RunSpec
from echolane.store import QueryError

RUN = "01a21643-bda1-71f4-ba7c-69659928ff99"


class Rows:
    """A store in which nothing has a row."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def query(self, _query: str, _parameters: Any = None) -> list[dict[str, Any]]:
        """No rows."""
        return [{"n": 0, "last": 0}]

    def insert(self, table: str, columns: dict[str, list[Any]]) -> None:
        """Note the state of the run."""
        assert table == "runs"
        self.states += columns["state"]


def spec(url: str = "http://10.0.0.1:8000", **more: Any) -> RunSpec:
    """A run at targets elsewhere."""
    return RunSpec(RUN, "shop", Recording("r", "shop", 0, "everything", []), [TargetInfo(url, **more)] * 4)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """With the topic of the run's progress."""
    opened = open_journal(tmp_path)
    opened.create(progress_topic(RUN), 1)
    yield opened
    opened.close()


class Person:
    """Somebody who waits, by a clock of the test's own."""

    def __init__(
        self, journal: Journal, monkeypatch: pytest.MonkeyPatch, asked: RunSpec, wait_s: float = 300.0
    ) -> None:
        self.now, self.said, self.store = 1000.0, list[str](), Rows()
        monkeypatch.setattr(asking.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(asking, "say", self.said.append)
        self.journal, self.words = journal, RunLog(journal, "asker")
        self.words.prepare()
        self.words.say(RUN, ASKED, msgspec.json.encode(Asked(asked, 3, "1")))
        shared = self.words.find(RUN)
        assert shared is not None
        store: Any = self.store
        self.waiting = _Waiting(journal, store, self.words, shared, wait_s)
        self.numbers = itertools.count()

    def tell(self, role: str, trouble: str = "") -> None:
        """A worker says something."""
        tell_progress(self.journal, RUN, Told(f"a {role} worker", role, next(self.numbers), trouble=trouble))

    def after(self, seconds: float) -> str:
        """What is said after so long."""
        self.said.clear()
        self.now += seconds
        self.waiting._hear()
        self.waiting._look_for_silence()
        return "\n".join(self.said)


def test_nobody_is_there(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute it is said, once; after --wait the run is given up."""
    person = Person(journal, monkeypatch, spec())
    assert person.after(59) == ""
    assert "no worker has been heard for 61 s; start some with `echolane worker replay` and" in person.after(2)
    assert person.after(30) == ""
    with pytest.raises(Inconclusive, match=r"no worker has been heard for 301 s, so run .* was not done") as told:
        person.after(210)
    assert "this machine" not in str(told.value)
    assert person.waiting._shared.cancelled
    assert person.store.states == ["interrupted"]


@pytest.mark.parametrize(("there", "missing"), [("diff", "replay"), ("replay", "diff")])
def test_one_kind_of_workers_is_not_there(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, there: str, missing: str
) -> None:
    """Who compares does not fire, and who fires does not compare: one kind alone never ends a run, so it is no use to wait."""
    person = Person(journal, monkeypatch, spec("http://127.0.0.1:8001"))
    said: list[str] = []
    for _ in range(30):
        person.tell(there)
        said.append(person.after(10))
    person.tell(there)
    with pytest.raises(Inconclusive, match=f"no {missing} worker has been heard for 310 s"):
        person.after(10)
    told = "\n".join(said)
    assert told.count(f"no {missing} worker has been heard for") == 1
    assert f"1 {there} worker at run" in told
    assert f"`echolane worker {missing}` on this machine, whose own addresses the targets have" in told
    assert f"no {there} worker" not in told


def test_a_worker_that_comes_back_is_heard(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence that ended counts anew, and is told of anew."""
    person = Person(journal, monkeypatch, spec())
    assert "no worker" in person.after(61)
    person.tell("replay")
    person.tell("diff")
    person.after(200)
    assert "no worker has been heard for 70 s" in person.after(70)


def test_what_is_in_a_worker_s_way_is_said_once_and_is_no_work(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that does not resolve there, another key: the person who waits reads it, and the worker does not count as one."""
    person = Person(journal, monkeypatch, spec())
    for _ in range(3):
        person.tell("replay", "target `http://shop` has no address here")
    assert person.after(1) == "a worker cannot go on: target `http://shop` has no address here"
    person.tell("replay", "target `http://shop` has no address here")
    assert "no worker has been heard" in person.after(61)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreDamaged("the ClickHouse server at h cannot read its own files: x"), "cannot read its own files"),
        (QueryError("there is no table `results`"), "refuses what a run is closed with: there is no table `results`;"),
    ],
)
def test_a_store_that_has_lost_something_ends_the_waiting(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """Asked again it would not know either: it is told in one line, and the run is not waited for without end."""
    person = Person(journal, monkeypatch, spec())

    def lost(*_: object) -> None:
        raise error

    monkeypatch.setattr(person.store, "query", lost)
    with pytest.raises(HomeError, match=said):
        person.waiting._look_for_end()


def test_a_journal_that_does_not_answer_ends_no_run(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers are away: it is said once, and waiting goes on."""
    person = Person(journal, monkeypatch, spec())

    def away(*_: object) -> None:
        raise HomeError("no broker answers")

    with monkeypatch.context() as broken:
        broken.setattr(person.words, "hear", away)
        assert person.after(1) == f"no broker answers; still waiting for run {RUN}"
        assert person.after(1) == ""
    person.tell("diff")
    assert "1 diff worker at run" in person.after(1)


def test_nobody_is_silent_while_nobody_can_be_heard(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the journal is away no worker is missed; a minute of silence begins to count again once it answers."""
    person = Person(journal, monkeypatch, spec())

    def away(*_: object) -> None:
        raise HomeError("no broker answers")

    with monkeypatch.context() as broken:
        broken.setattr(person.words, "hear", away)
        person.after(1)
        assert [person.after(100), person.after(199)] == ["", ""]
    assert person.after(1) == ""
    assert "no worker has been heard for 61 s" in person.after(60)


def test_a_journal_that_stays_away_is_waited_for_as_workers_are(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After --wait the waiting ends with what the journal says, not with workers that nobody could hear; the run is left to them."""
    person = Person(journal, monkeypatch, spec())

    def away(*_: object) -> None:
        raise HomeError("no broker answers")

    monkeypatch.setattr(person.words, "hear", away)
    person.after(1)
    with pytest.raises(HomeError, match="no broker answers"):
        person.after(301)
    assert not person.waiting._shared.cancelled
    assert person.store.states == []


def test_a_run_whose_end_cannot_be_seen_is_waited_for_as_workers_are(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are heard, but not whether all is done: that is said once and bounded by --wait, too."""
    person = Person(journal, monkeypatch, spec())

    def away() -> bool:
        raise HomeError("nobody leads topic `intents`")

    monkeypatch.setattr(person.waiting._closer, "is_accounted_for", away)
    told: list[str] = []
    for _ in range(2):
        person.tell("replay")
        person.tell("diff")
        told.append(person.after(100))
        person.waiting._look_for_end()
        told += person.said
    assert "\n".join(told).count("nobody leads topic") == 1
    person.tell("replay")
    person.tell("diff")
    person.after(299)
    with pytest.raises(HomeError, match="nobody leads"):
        person.waiting._look_for_end()


def test_a_run_that_goes_on_is_not_asked_for_again(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--resume` of a run whose workers are at it waits for them; one that ended, was given up, or had copies of ours is asked for anew."""
    person = Person(journal, monkeypatch, spec())
    assert going_on(person.words, spec()) is person.words.find(RUN)
    assert going_on(person.words, spec(managed=True)) is None
    assert going_on(person.words, msgspec.structs.replace(spec(), run="another")) is None
    person.words.say(RUN, CANCEL, b"interrupted")
    assert going_on(person.words, spec()) is None
    person.words.say(RUN, ENDED)
    assert going_on(person.words, spec()) is None
