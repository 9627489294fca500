"""What is said about shared runs: the topic ``runs``, in which whoever asks for a run and whoever works on it talk to each other.

A run is ``asked`` for with its spec, ``began`` at an instant that all workers count due times from, may be ``pause``-d and
``resume``-d, given up by a person or stopped by a condition (``cancel``), is ``closing`` when somebody weighs it, and ``ended``. Words
stand in one order for everybody, so where several say the same the first one counts, and nobody has to be asked. ``progress.<run>``
says how far its workers are; no number of it is ever relied on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from echolane.frame import WORDS, FrameDamaged, decode_frame, encode_frame
from echolane.journal import Journal
from echolane.runspec import RunSpec

RUNS = "runs"
"""The topic; it has one partition."""
ASKED, BEGAN, PAUSE, RESUME, CANCEL, CLOSING, ENDED = "asked", "began", "pause", "resume", "cancel", "closing", "ended"
INTERRUPTED = "interrupted"
"""With ``cancel``: somebody gave the run up. Any other reason is a condition that did not let it go on, with what was seen."""
CLOSING_NS = 60_000_000_000
"""After so long without an end another one may close: a close takes seconds, and who began it is dead by then."""
SPEAKS = 3
"""Grows when a run may ask for what workers of before would not do; they leave such runs to others."""
TROUBLES_MAX = 16
"""Troubles of a run's workers that are remembered; a person reads the first and the last few."""
RECENT_MAX = 256
"""Runs that ended and are remembered, for whoever waits for one of them."""


class Word(msgspec.Struct, array_like=True, frozen=True):
    """One thing said about a run."""

    run: str
    what: str
    by: str
    at_ns: int
    body: bytes = b""
    """With ``asked`` the run (:class:`Asked`), with ``cancel`` the reason."""


class Asked(msgspec.Struct, frozen=True):
    """A run as it is handed to workers."""

    spec: RunSpec
    selected: int
    turn: str
    """Names this asking: a run that is resumed is asked for again, and its work is gone through anew."""
    machine: str = ""
    """Where it was asked: addresses of that machine's own mean nothing elsewhere."""
    key: str = ""
    """The seal key there: with another one answers would be masked otherwise, and differ by that."""
    speaks: int = SPEAKS
    trace: str = ""
    """The span of whoever asks, as a ``traceparent``: what workers do of it is of its trace. Empty where it tells none."""


@dataclass(slots=True)
class Shared:
    """One shared run as the words up to now have it."""

    asked: Asked
    began_ns: int = 0
    """Wall clock of the instant from which due times count, moved on by pauses; 0 before a worker took the run up."""
    paused_ns: int = 0
    """Since when it stands still; 0 while it goes on."""
    cancelled: str = ""
    """Why the rest is not fired: that it was interrupted, or the condition that held."""
    closer: str = ""
    closing_ns: int = 0
    ended: bool = False

    @property
    def stopped(self) -> str:
        """The condition that ended it, with what was seen; empty where none did."""
        return "" if self.cancelled == INTERRUPTED else self.cancelled

    @property
    def run(self) -> str:
        """Its id."""
        return self.asked.spec.run


@dataclass(slots=True)
class _Heard:
    runs: dict[str, Shared] = field(default_factory=dict[str, Shared])
    ended: list[str] = field(default_factory=list[str])


class RunLog:
    """The words of all shared runs, as one process has read them. One thread at a time."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal, self.name = journal, name
        self._at = 0
        self._heard = _Heard()

    def __repr__(self) -> str:
        return f"<RunLog of {self.name}, {len(self.active())} active runs>"

    def prepare(self) -> None:
        """Make the topic, where nobody has."""
        self._journal.create(RUNS, 1)

    def active(self) -> list[Shared]:
        """Runs that were asked for and have not ended, the oldest first."""
        # A copy at once: another thread may be taking in a word.
        return [shared for shared in list(self._heard.runs.values()) if not shared.ended]

    def find(self, run: str) -> Shared | None:
        """One run; None when nobody has asked for it, or long ago."""
        return self._heard.runs.get(run)

    def say(self, run: str, what: str, body: bytes = b"", at_ns: int = 0) -> None:
        """Say something, and hear everything up to it."""
        word = Word(run, what, self.name, at_ns or time.time_ns(), body)
        frame = encode_frame([word], kind=WORDS, partition=0, first_ns=word.at_ns, last_ns=word.at_ns)
        (position,) = self._journal.append(RUNS, 0, [frame])
        self.hear(position + 1)

    def hear(self, stop: int | None = None) -> None:
        """Take in what was said since."""
        for entry in self._journal.read(RUNS, 0, self._at, stop):
            self._at = entry.position + 1
            try:
                words = decode_frame(entry.frame, Word)
            except FrameDamaged:  # counted by the journal; a newer version's words are not for us
                continue
            for word in words:
                self._take(word)

    def _take(self, word: Word) -> None:
        if word.what == ASKED:
            try:
                asked = msgspec.json.decode(word.body, type=Asked)
            except msgspec.MsgspecError:  # of a newer version: its own workers do it
                return
            before = self._heard.runs.pop(word.run, None)
            if before is not None:
                before.ended = True  # whoever is at the turn before lets go of it
            if asked.speaks <= SPEAKS:
                self._heard.runs[word.run] = Shared(asked)
            return
        shared = self._heard.runs.get(word.run)
        if shared is not None:
            told(shared, word)
            if word.what == ENDED:
                self._heard.ended.append(word.run)
                self._forget()

    def _forget(self) -> None:
        while len(self._heard.ended) > RECENT_MAX:
            run = self._heard.ended.pop(0)
            if (shared := self._heard.runs.get(run)) is not None and shared.ended:
                del self._heard.runs[run]


def told(shared: Shared, word: Word) -> None:
    """What a word changes. Pure: everybody who reads the same words comes to the same."""
    if shared.ended:
        return
    if word.what == BEGAN:
        shared.began_ns = shared.began_ns or word.at_ns
    elif word.what == PAUSE:
        shared.paused_ns = shared.paused_ns or word.at_ns
    elif word.what == RESUME and shared.paused_ns:
        if shared.began_ns:
            # What was due meanwhile is due so much later, and so is all that follows.
            shared.began_ns += max(0, word.at_ns - max(shared.paused_ns, shared.began_ns))
        shared.paused_ns = 0
    elif word.what == CANCEL:
        shared.cancelled = shared.cancelled or word.body.decode("utf-8", "replace") or INTERRUPTED
        shared.paused_ns = 0
    elif word.what == CLOSING:
        if not shared.closer or word.at_ns - shared.closing_ns > CLOSING_NS:
            shared.closer, shared.closing_ns = word.by, word.at_ns
    elif word.what == ENDED:
        shared.ended = True


class Told(msgspec.Struct, array_like=True, frozen=True):
    """How far one worker is with one run."""

    worker: str
    role: str
    """``replay`` or ``diff``."""
    at_ns: int
    fired: int = 0
    parts: int = 0
    """Partitions it holds."""
    trouble: str = ""
    """Why it does nothing for the run, in a line for a person."""
    aside: int = 0
    """Exchanges that it has set aside and not compared yet."""


def progress_topic(run: str) -> str:
    """The topic of how far a run's workers are."""
    return f"progress.{run}"


def tell_progress(journal: Journal, run: str, told: Told) -> None:
    """Say how far this worker is."""
    frame = encode_frame([told], kind=WORDS, partition=0, first_ns=told.at_ns, last_ns=told.at_ns)
    journal.append(progress_topic(run), 0, [frame])


class Watching:
    """What the workers of one run have told so far."""

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal, self._topic = journal, progress_topic(run)
        self._at = 0
        self.workers: dict[str, Told] = {}
        self._heard_at: dict[str, float] = {}
        """By this machine's clock."""
        self.troubles: dict[str, None] = {}
        """What kept a worker from the run, each once, the newest last."""

    def look(self) -> set[str]:
        """Take in what was told since; the roles of those who are at the run."""
        heard: set[str] = set()
        for entry in self._journal.read(self._topic, 0, self._at):
            self._at = entry.position + 1
            try:
                for told in decode_frame(entry.frame, Told):
                    if told.trouble:
                        self._note(told.trouble)
                        continue
                    self.workers[told.worker] = told
                    self._heard_at[told.worker] = time.monotonic()
                    heard.add(told.role)
            except FrameDamaged:  # only a picture of the progress
                continue
        return heard

    def _note(self, trouble: str) -> None:
        if trouble not in self.troubles:
            self.troubles[trouble] = None
            if len(self.troubles) > TROUBLES_MAX:
                del self.troubles[next(iter(self.troubles))]

    def fired(self) -> int:
        """Exchanges fired, also more than once."""
        return sum(told.fired for told in self.workers.values())

    def aside(self, within_s: float) -> int:
        """Exchanges that are looked at a second time by workers that were heard lately."""
        now = time.monotonic()
        return sum(told.aside for name, told in self.workers.items() if now - self._heard_at[name] <= within_s)

    def count(self, role: str) -> int:
        """How many workers of a kind were seen."""
        return sum(told.role == role for told in self.workers.values())
