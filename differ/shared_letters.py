"""Dead letters where the journal is shared: words in the topic ``dead.<run>``, which whoever has the journal reads and folds.

A letter is ``dead`` (with all that is told of it), asked for ``again``, ``compared``, or ``erased``; ``closed`` is about the run, whose
verdict knows of all before. The topic has one partition, so its words stand in one order for everybody; whoever holds that
partition in the group :data:`GROUP` may ask again (:mod:`console.retry_lease`). Each word names the version of the row that goes with
it, and the highest one decides, as with rows: what is said twice, or by somebody who fell behind, changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from differ.attempts import AGAIN, CLOSED, COMPARED, DEAD
from differ.letters import Letter, forget, letters_of, runs_with_letters
from echolane import log
from echolane.errors import HomeError
from echolane.frame import WORDS, FrameDamaged, decode_frame, frames_of
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.observation import ERASED_WORD, DeadWord

GROUP = "letters"
"""Its one member compares the letters of a run again."""
LETTERS_MAX = 10_000
"""Letters that a run tells: by then whole endpoints were given up, and one more tells nothing new. Its row says what it is all the same."""
BYTES_MAX = 64 * 1024 * 1024
"""Of the letters of a run: they are held at once by whoever reads them, and their targets may be as long as a request's head."""
WORDS_MAX = 10 * LETTERS_MAX
"""Words of a run that are read: each letter asked for again four times. A run whose letters come back so often is run anew."""
ALL_MAX = 50_000
"""Letters of all runs that are read for one list, the newest runs first: some tens of megabytes."""
NEVER = 2**31
"""The version of an erased letter: no row's, so that nobody brings it back."""


def dead_topic(run: str) -> str:
    """The topic of a run's dead letters."""
    return f"dead.{run}"


def prepare(home: Home, journal: Journal, run: str) -> None:
    """Make the topic of a run, where others have its journal too. Whoever asks for the run may make topics, its workers may not."""
    if home.journal_url:
        journal.create(dead_topic(run), 1)


@dataclass(slots=True)
class _Known:
    """What the words up to now say about one letter."""

    letter: Letter | None = None
    version: int = 0
    """That of the row which the deciding word is about."""
    asked: int = 0
    """The highest version that somebody asked for."""


class SharedLetters:
    """The words about one run, as this process has read them."""

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal, self.run, self._topic = journal, run, dead_topic(run)
        self._at = self._words = self._bytes = 0
        self._known: dict[str, _Known] = {}
        self.closed = True
        """Whether the run was closed after all that was asked for again."""
        self.refresh()

    def __repr__(self) -> str:
        return f"<SharedLetters of {self.run}, {len(self._known)} known>"

    @property
    def whole(self) -> bool:
        """Whether all its words could be read."""
        return self._words < WORDS_MAX and self._bytes < BYTES_MAX

    @property
    def letters(self) -> list[Letter]:
        """Those that are dead now, in the order of the recording."""
        found = [known.letter for known in self._known.values() if known.letter is not None]
        return sorted(found, key=lambda letter: letter.seq)

    def refresh(self) -> None:
        """Read on."""
        for entry in self._journal.read(self._topic, 0, self._at) if self.whole else ():
            self._at = entry.position + 1
            try:
                words = decode_frame(entry.frame, DeadWord)
            except FrameDamaged as error:  # its rows stay `not_compared`, as without a letter
                log.event("letters.damaged", run=self.run, position=entry.position, why=str(error))
                continue
            for word in words:
                self._words += 1
                self._bytes += len(word.letter)
                self._take(word)
            if not self.whole:
                break

    def _take(self, word: DeadWord) -> None:
        if word.what == CLOSED:
            self.closed = True
        if not word.id:
            return
        known = self._known.setdefault(word.id, _Known())
        if word.what == AGAIN:
            known.asked, self.closed = max(known.asked, word.version), False
        elif word.version >= known.version:
            letter = _decoded(word)
            if word.what == DEAD and letter is None:  # of a newer form: as good as not said
                return
            known.letter, known.version = letter, word.version

    def knows(self, id: str) -> bool:  # noqa: A002 - what it is
        """Whether anything was said about an exchange."""
        return id in self._known

    def tell(self, letters: Sequence[Letter]) -> None:
        """Say that these are dead; durable when it returns. Beyond the bounds only the rows say it."""
        if not letters:
            return
        self.refresh()
        words: list[DeadWord] = []
        count, size = len(self._known), self._bytes
        for one in letters:
            word = DeadWord(DEAD, one.id, one.exchange, one.attempt, one.at_ns, msgspec.json.encode(one))
            new = not self.knows(one.id)
            if count + new <= LETTERS_MAX and size + len(word.letter) < BYTES_MAX and self.whole:
                words.append(word)
                count, size = count + new, size + len(word.letter)
        if len(words) < len(letters):
            log.event("letters.too-many", run=self.run, known=len(self._known), left_out=len(letters) - len(words))
        self._say(words)

    def ask_again(self, letters: Sequence[Letter]) -> list[int]:
        """Say that these are compared again; the version of each one's row then, above all that were asked for before."""
        self.tell([one for one in letters if not self.knows(one.id)])  # those that only this machine's files have
        versions = [1 + max(one.attempt, self._asked(one.id)) for one in letters]
        now, pairs = time.time_ns(), zip(letters, versions, strict=True)
        self._say([DeadWord(AGAIN, one.id, one.exchange, version, now) for one, version in pairs])
        return versions

    def _asked(self, id: str) -> int:  # noqa: A002 - what it is
        return self._known[id].asked if id in self._known else 0

    def compared(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Say which have a row of their own now: id, exchange and version of each. Of others nothing was ever said."""
        self.refresh()
        now = time.time_ns()
        self._say([DeadWord(COMPARED, *row, now) for row in rows if self.knows(row[0])])

    def close(self) -> None:
        """Say that the run's verdict knows of all before."""
        self._say([DeadWord(CLOSED, "", "", 0, time.time_ns())])

    def erase(self, letters: Iterable[Letter]) -> None:
        """Take letters away for good."""
        self._say([DeadWord(ERASED_WORD, one.id, one.exchange, NEVER, time.time_ns()) for one in letters])

    def _say(self, words: Sequence[DeadWord]) -> None:
        if words:
            times = [word.at_ns for word in words]
            frames = [frame for frame, _ in frames_of(words, kind=WORDS, partition=0, times=times)]
            self._journal.append(self._topic, 0, frames)
            self.refresh()


def _decoded(word: DeadWord) -> Letter | None:
    try:
        return msgspec.json.decode(word.letter, type=Letter) if word.what == DEAD else None
    except msgspec.MsgspecError:
        return None


class Letters:
    """The dead letters that can be seen from a home: of its own files, and of the journal where that is shared (else it is None).

    A run whose letters were told before its topic was there has them in the files of the machine that met them.
    """

    def __init__(self, folder: Path, journal: Journal | None) -> None:
        self._folder, self._journal = folder, journal
        self.left_out = False
        """Whether what was read last is not all there is."""

    def shared(self, run: str) -> SharedLetters | None:
        """The words about a run in the journal; None where it has none there."""
        if self._journal is None or dead_topic(run) not in self._journal.topics():
            return None
        return SharedLetters(self._journal, run)

    def of(self, run: str) -> list[Letter]:
        """Those of a run, in the order of the recording."""
        self.left_out = False
        return self._merged(run, self.shared(run))

    def _merged(self, run: str, shared: SharedLetters | None) -> list[Letter]:
        here = letters_of(self._folder, run)
        if shared is None:
            return here
        self.left_out |= not shared.whole
        found = shared.letters + [letter for letter in here if not shared.knows(letter.id)]
        return sorted(found, key=lambda letter: letter.seq)

    def each(self) -> Iterator[list[Letter]]:
        """Those of each run, newest run first: ids of runs begin with their time. One run's are in memory at a time, so none is left out."""
        self.left_out = False
        prefix, topics = dead_topic(""), [] if self._journal is None else self._journal.topics()
        runs = {one.removeprefix(prefix) for one in topics if one.startswith(prefix)}
        for run in sorted(runs | runs_with_letters(self._folder), reverse=True):
            yield self._merged(run, self._there(run) if run in runs else None)

    def all(self) -> list[Letter]:
        """Those of all runs, oldest run first; of very many the newest runs', and :attr:`left_out` says so."""
        found: list[list[Letter]] = []
        count = 0
        for letters in self.each():
            if count >= ALL_MAX:
                self.left_out = True
                break
            found.append(letters)
            count += len(letters)
        return [letter for letters in reversed(found) for letter in letters]

    def _there(self, run: str) -> SharedLetters | None:
        """None where retention took it since it was listed."""
        try:
            return SharedLetters(self._journal, run) if self._journal is not None else None
        except HomeError:
            if self.shared(run) is None:
                return None
            raise

    def erase(self, letters: Sequence[Letter]) -> None:
        """Take letters away for good."""
        for run in {letter.run for letter in letters}:
            gone = [letter for letter in letters if letter.run == run]
            forget(self._folder, run, [letter.id for letter in gone])
            if (shared := self.shared(run)) is not None:
                shared.erase(gone)


@contextmanager
def letters_at(home: Home) -> Generator[Letters]:
    """The letters of a home; its journal is opened only where it is shared."""
    if not home.journal_url:
        yield Letters(home.runs, None)
        return
    with closing(open_journal(home)) as journal:
        yield Letters(home.runs, journal)
