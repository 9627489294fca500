"""What a run could not read of its recording: counted exactly, told in a sentence, and in the way of a pass.

The doors of the journal leave out frames that they cannot give; whoever plans a run gathers them here (:class:`Losses`), and the
run keeps what it came to (:class:`Lost`). A frame is lost once, however often it is met, and why is what was found first. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from operator import attrgetter

import msgspec

from echolane.errors import Inconclusive
from echolane.frame import NEWER_FORMAT

NEWER, DAMAGED, EXPIRED = "newer", "damaged", "expired"
"""Why a frame is lost: an Echolane of a newer format wrote it, it is not what was written, or retention took it."""
STRETCHES_MAX = 100
"""Stretches that a run keeps, 10 KB of its spec; their number and that of all frames stay exact."""
STRETCHES_SAID = 3
"""In a sentence: it stays one line of a terminal or two."""
_WORDS = {DAMAGED: "damaged", NEWER: "of a newer format", EXPIRED: "removed by retention"}
_TODO = {
    DAMAGED: "`echolane doctor` looks at the journal, and a run over what came later (--last) does without",
    NEWER: "update Echolane on this machine and run again",
    EXPIRED: "record again, or keep more (journal.retention_days)",
}


class Stretch(msgspec.Struct, frozen=True):
    """Lost positions ``first`` to ``stop`` (exclusive) of one partition."""

    partition: int
    first: int
    stop: int
    why: str
    """``newer``, ``damaged`` or ``expired``."""


class Lost(msgspec.Struct, frozen=True):
    """What a run could not read, in frames of its recording."""

    newer: int = 0
    damaged: int = 0
    expired: int = 0
    stretches: list[Stretch] = []
    """By partition and position, the first of them."""
    more: int = 0
    """Stretches beyond those."""

    @property
    def frames(self) -> int:
        """How many, whatever the reason."""
        return self.newer + self.damaged + self.expired

    def result(self) -> dict[str, object]:
        """As the result of a run tells it."""
        return {"frames": self.frames, **msgspec.to_builtins(self)}

    def sentence(self, service: str) -> str:
        """How many, why and where; without a semicolon, behind which a verdict's reason has its advice."""
        counts = {why: number for why in _WORDS if (number := getattr(self, why))}
        whys = [_WORDS[why] if len(counts) == 1 else f"{number:,} {_WORDS[why]}" for why, number in counts.items()]
        places = [_place(one) for one in self.stretches[:STRETCHES_SAID]]
        if more := len(self.stretches) - len(places) + self.more:
            places.append(f"and {more:,} more")
        what = "1 frame" if self.frames == 1 else f"{self.frames:,} frames"
        return f"{what} of {service} could not be read ({', '.join(whys)}: {', '.join(places)})"

    def advice(self) -> str:
        """What to do about it."""
        return ", and ".join(todo for why, todo in _TODO.items() if getattr(self, why))


NOTHING = Lost()


class Unread(Inconclusive):
    """What a run cannot do without is lost: all that it was to fire, or logins."""

    def __init__(self, words: str, lost: Lost) -> None:
        super().__init__(words)
        self.lost = lost


class Losses:
    """Gathers what cannot be read: disjoint stretches, which are as many as a recording has frames at most."""

    def __init__(self) -> None:
        self._found: dict[int, list[Stretch]] = {}

    def add(self, partition: int, first: int, stop: int, why: str) -> None:
        """Take in a stretch, which may be empty; what is known of it stays as it was told first."""
        if first >= stop:
            return
        known = self._found.setdefault(partition, [])
        low = bisect_left(known, first, key=attrgetter("stop"))
        high = bisect_right(known, stop, key=attrgetter("first"))
        merged: list[Stretch] = []
        for one in _filled(known[low:high], Stretch(partition, first, stop, why)):
            if merged and (merged[-1].stop, merged[-1].why) == (one.first, one.why):
                one = Stretch(partition, merged.pop().first, one.stop, why=one.why)  # noqa: PLW2901 - as it is kept
            merged.append(one)
        known[low:high] = merged

    def teller(self, partition: int) -> Callable[[int, int, str], None]:
        """What a reader of one partition of the journal tells: two positions, and why in words."""
        return lambda first, stop, words: self.add(partition, first, stop, kind_of(words))

    def lost(self) -> Lost:
        """What it comes to."""
        found = [one for _, known in sorted(self._found.items()) for one in known]
        counts = {why: sum(one.stop - one.first for one in found if one.why == why) for why in _WORDS}
        return Lost(**counts, stretches=found[:STRETCHES_MAX], more=len(found[STRETCHES_MAX:]))


def kind_of(words: str) -> str:
    """``newer`` or ``damaged``, of the words in which a door tells why it left something out."""
    return NEWER if NEWER_FORMAT in words else DAMAGED


def _filled(known: list[Stretch], new: Stretch) -> list[Stretch]:
    """What is known, and in its gaps the new stretch."""
    filled: list[Stretch] = []
    at = new.first
    for one in known:
        if at < one.first:
            filled.append(Stretch(new.partition, at, one.first, new.why))
        filled.append(one)
        at = max(at, one.stop)
    if at < new.stop:
        filled.append(Stretch(new.partition, at, new.stop, new.why))
    return filled


def _place(one: Stretch) -> str:
    last = one.stop - 1
    return f"partition {one.partition}, {one.first}" + (f" to {last}" if last > one.first else "")
