"""Dead letters in a shared journal: whoever has the journal sees, asks for and takes away the same ones, whatever is said twice or late."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from console import retry_lease
from console.retry_lease import letters_held
from differ import shared_letters
from differ.attempts import AGAIN, ASIDE, ATTEMPTS_MAX, DEATH, Attempt, Attempts, Place
from differ.letters import Letter, letter_of, letters_of, tell
from differ.rows import RowMaker
from differ.second_look import SecondLook
from differ.shared_letters import Letters, SharedLetters, dead_topic
from differ.watch import Watch
from echolane.erasing import Eraser, Subject
from echolane.errors import HomeError
from echolane.frame import WORDS, decode_frame, encode_frame
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.journal.sqlite import SqliteJournal
from echolane.observation import DeadWord
from echolane.settings import Differ
from tests.differ.poisoned_runs import CHANGED, RUN, observation, observed, spec
from tests.differ.test_second_look import Told

LEASE_S = 1.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that several homes have, with the observations of a run and the topic of its letters."""
    home = observed(tmp_path / "shared", [CHANGED] * 4)
    with closing(open_journal(home.path)) as found:
        found.create(dead_topic(RUN), 1)
        yield found


def letter(number: int, version: int = 1) -> Letter:
    """The letter of an exchange."""
    seen = msgspec.structs.replace(observation(number, CHANGED), attempt=version)
    return letter_of(RUN, Place(0, 0, number), seen, Attempt(deaths=3, reason="loops"), 1)


def here(folder: Path, journal: Journal) -> Letters:
    """The letters as a home sees them."""
    folder.mkdir(exist_ok=True)
    return Letters(folder, journal)


def seqs(letters: Letters) -> list[int]:
    """Which there are."""
    found = [one.seq for one in letters.of(RUN)]
    assert [one.seq for one in letters.all()] == found
    return found


def test_what_one_says_all_read_and_the_highest_version_decides(tmp_path: Path, journal: Journal) -> None:
    """Told twice it is one letter; compared it is gone; and somebody who fell behind neither brings it back nor takes it away."""
    one, other = SharedLetters(journal, RUN), SharedLetters(journal, RUN)
    one.tell([letter(2), letter(0)])
    other.tell([letter(2)])
    homes = [here(tmp_path / name, journal) for name in "ab"]
    assert [seqs(home) for home in homes] == [[0, 2], [0, 2]]

    assert other.ask_again([letter(0), letter(2)]) == [2, 2]
    assert [seqs(home) for home in homes] == [[0, 2], [0, 2]]
    other.compared([(letter(0).id, letter(0).exchange, 2)])
    other.tell([letter(2, 2)])
    one.tell([letter(0, 1)])
    one.compared([(letter(2).id, letter(2).exchange, 1), (letter(3).id, letter(3).exchange, 1)])
    assert [seqs(home) for home in homes] == [[2], [2]]
    assert [one.attempt for one in homes[0].of(RUN)] == [2]
    assert not SharedLetters(journal, RUN).closed
    other.close()
    assert SharedLetters(journal, RUN).closed


def test_no_version_of_a_row_is_asked_for_twice(tmp_path: Path, journal: Journal) -> None:
    """Who was killed after asking has used its version up; and a letter that only a machine's files have is told before."""
    tell(tmp_path, letter(1, 4))
    seen = here(tmp_path, journal)
    assert seqs(seen) == [1]
    assert SharedLetters(journal, RUN).ask_again(seen.of(RUN)) == [5]
    assert SharedLetters(journal, RUN).ask_again(here(tmp_path / "b", journal).of(RUN)) == [6]

    attempts = Attempts(tmp_path, RUN)
    attempts.add(AGAIN, Place(0, 0, 1), tries=5)
    attempts.add(AGAIN, Place(0, 0, 1))
    assert Attempts(tmp_path, RUN).found[Place(0, 0, 1)].tries == 6


class Refusing(Told):
    """A store that is asked for rows, and what others see by then."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal, self.seen = journal, list[int]()

    def insert(self, table: str, columns: dict[str, list[object]]) -> None:
        """Note which letters there are before the row is."""
        self.seen = [one.seq for one in SharedLetters(self.journal, RUN).letters]
        super().insert(table, columns)


def looked(home: Home, journal: Journal, store: Told) -> Attempts:
    """The second look of one place that has had its deaths, and one that has not."""
    attempts = Attempts(home.runs, RUN)
    reader, writer = os.pipe()
    os.close(writer)
    with closing(Watch(attempts, home.runs / f"{RUN}.aside.at", 60)) as watch:
        shared = SharedLetters(journal, RUN)
        look = SecondLook(journal, store, RowMaker(spec(), Differ()), attempts, watch, shared)  # pyright: ignore[reportArgumentType]
        try:
            look.run(reader, home.runs, RUN)
        finally:
            os.close(reader)
    return attempts


def test_a_letter_is_told_before_its_row_is_stored(tmp_path: Path, journal: Journal) -> None:
    """The journal has it when the store is asked, no file does, and a second look that is done again tells no second one."""
    home = observed(tmp_path / "a", [CHANGED] * 4)
    attempts = Attempts(home.runs, RUN)
    for number in range(ATTEMPTS_MAX):
        attempts.add(DEATH, Place(0, 0, 1), "loops", process=1, entered=number)
    attempts.add(ASIDE, Place(0, 0, 2))
    store = Refusing(journal)
    store.refuses = True
    with pytest.raises(HomeError, match="no room"):
        looked(home, journal, store)
    assert (store.seen, store.rows) == ([1], {})

    store.refuses = False
    assert looked(home, journal, store).pending == []
    assert store.rows == {1: "not_compared", 2: "differs"}
    assert seqs(here(tmp_path / "b", journal)) == [1]
    assert letters_of(home.runs, RUN) == []

    Attempts(home.runs, RUN).add(AGAIN, Place(0, 0, 1), tries=SharedLetters(journal, RUN).ask_again([letter(1)])[0] - 1)
    looked(home, journal, store)
    assert (store.rows[1], seqs(here(tmp_path / "b", journal))) == ("differs", [])


def test_what_a_reader_reads_is_bounded(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run tells so many letters and bytes of them; so many words of it are read; and a list says what it leaves out."""
    monkeypatch.setattr(shared_letters, "LETTERS_MAX", 2)
    SharedLetters(journal, RUN).tell([letter(0), letter(1), letter(2)])
    SharedLetters(journal, RUN).tell([letter(3), letter(1, 2)])
    seen = here(tmp_path / "a", journal)
    assert (seqs(seen), seen.left_out) == ([0, 1], False)

    monkeypatch.setattr(shared_letters, "LETTERS_MAX", 100)
    monkeypatch.setattr(shared_letters, "BYTES_MAX", SharedLetters(journal, RUN)._bytes + 1)
    SharedLetters(journal, RUN).tell([letter(2)])
    assert (seqs(seen), seen.left_out) == ([0, 1], False)
    monkeypatch.setattr(shared_letters, "WORDS_MAX", 3)
    assert (seqs(seen), seen.left_out) == ([0, 1], True)
    monkeypatch.setattr(shared_letters, "WORDS_MAX", 2)
    reader = SharedLetters(journal, RUN)
    reader.refresh()
    assert [one.attempt for one in reader.letters] == [1, 1]

    monkeypatch.undo()
    monkeypatch.setattr(shared_letters, "ALL_MAX", 1)
    older, newer = RUN.replace("0193", "0192"), RUN.replace("0193", "0194")
    for run in (older, newer):
        journal.create(dead_topic(run), 1)
        SharedLetters(journal, run).tell([msgspec.structs.replace(letter(0), run=run)])
    assert ([one.run for one in seen.all()], seen.left_out) == ([newer], True)
    assert [one.run for letters in seen.each() for one in letters] == [newer, RUN, RUN, older]
    monkeypatch.undo()
    assert ([one.run for one in seen.all()], seen.left_out) == ([older, RUN, RUN, newer], False)


def test_words_of_another_form_are_as_good_as_not_said(tmp_path: Path, journal: Journal) -> None:
    """A letter of a newer version and a frame of something else neither end a reader nor hide what is known."""
    SharedLetters(journal, RUN).tell([letter(0)])
    newer = DeadWord("dead", letter(0).id, letter(0).exchange, 9, 1, b'{"id":1}')
    for items in ([newer], ["no word"]):
        journal.append(dead_topic(RUN), 0, [encode_frame(items, kind=WORDS, partition=0, first_ns=1, last_ns=1)])
    SharedLetters(journal, RUN).tell([letter(1)])

    assert seqs(here(tmp_path / "a", journal)) == [0, 1]


def test_an_erased_letter_is_gone_for_good(tmp_path: Path, journal: Journal) -> None:
    """Nobody who fell behind brings it back; and where the journal can be emptied, its words keep nothing of the request."""
    assert isinstance(journal, SqliteJournal)
    SharedLetters(journal, RUN).tell([letter(0), letter(1)])
    eraser = Eraser(Subject(frozenset()), {letter(0).exchange})
    change = eraser.of_topic(dead_topic(RUN), erase=True)
    assert change is not None
    seen = here(tmp_path / "a", journal)
    seen.erase([letter(0)])
    SharedLetters(journal, RUN).tell([letter(0), letter(0, 7)])
    assert seqs(seen) == [1]

    journal.rewrite(dead_topic(RUN), change)
    words = [word for entry in journal.read(dead_topic(RUN), 0) for word in decode_frame(entry.frame, DeadWord)]
    assert eraser.records == 3
    assert [word.exchange for word in words if word.letter] == [letter(1).exchange]
    assert seqs(seen) == [1]


def test_one_at_a_time_compares_again_whatever_its_machine(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one holds the letters another is refused, with what to do; after it the next one has them."""
    monkeypatch.setattr(retry_lease, "LEASES_WAITED", 2)
    shared = SharedLetters(journal, RUN)
    with letters_held(journal, shared, 60 * LEASE_S) as still:
        with (
            pytest.raises(HomeError, match=f"run {RUN} are compared again by somebody else; wait until"),
            letters_held(journal, SharedLetters(journal, RUN), LEASE_S),
        ):
            pass
        still()
    with letters_held(journal, shared, 10 * LEASE_S) as still:
        still()
    with pytest.raises(HomeError, match="in other hands since this process stood still; call it again"):
        still()
