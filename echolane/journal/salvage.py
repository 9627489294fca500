"""Reading one stretch of a segment that may be damaged: every position is given, or set aside.

A page of entries is taken at a time. Where one fails, has a gap or a broken frame, its positions are looked up one by one: a hurt
page of a B-tree misleads a scan past entries that a search still finds. Only what that does not find either is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from echolane.frame import FrameDamaged, check_frame
from echolane.journal import Entry

CAREFUL_STEPS = 64
"""Positions looked up one by one after trouble, before a whole page is tried again."""


class Unreadable(Exception):  # noqa: N818 - caught below
    """A page, or the whole segment, cannot be read. Without words nothing was lost."""

    def __init__(self, why: str, *, whole: bool) -> None:
        super().__init__(why)
        self.why, self.whole = why, whole


class Salvage:
    """One pass from ``at`` to ``stop``. ``fetch`` gives the next entries of a range, ``set_aside`` counts what is lost."""

    def __init__(
        self,
        fetch: Callable[[int, int], list[Entry]],
        set_aside: Callable[[int, int, str], None],
        at: int,
        stop: int,
    ) -> None:
        self._fetch, self._set_aside, self._at, self._stop = fetch, set_aside, at, stop
        self._careful = 0
        self._barren = False
        """Whether careful steps have found nothing since the last trouble: then a gap is what it seems."""
        self._lost: tuple[int, int, str] | None = None

    def entries(self) -> Iterator[Entry]:
        """The sound entries, in order."""
        try:
            while self._at < self._stop:
                yield from self._step()
        finally:
            self._report()

    def _step(self) -> Iterator[Entry]:
        """One page, or in trouble one position."""
        careful, until = self._careful > 0, self._at + 1 if self._careful else self._stop
        self._careful -= careful
        try:
            page = self._fetch(self._at, until)
        except Unreadable as fault:
            if fault.whole:
                self._give_up(self._stop, fault.why)
            elif careful:
                self._give_up(until, fault.why)
            else:
                self._careful = CAREFUL_STEPS
            return
        for entry in page:
            if not self._at <= entry.position < until:
                continue  # a damaged key; its true position is found missing
            if entry.position > self._at and not self._pass_gap(entry.position):
                return
            try:
                check_frame(entry.frame)
            except FrameDamaged as error:
                if not careful:
                    self._careful = 1
                    return
                self._give_up(until, str(error))
            else:
                self._at, self._barren = entry.position + 1, False
                yield entry
        if not page:
            if careful:
                self._give_up(until, "missing")
            else:
                self._pass_gap(until)

    def _pass_gap(self, end: int) -> bool:
        """Whether the positions up to ``end`` were given up; else they are to be looked up first."""
        if self._barren:
            self._give_up(end, "missing")
            self._barren = False
            return True
        self._careful, self._barren = min(CAREFUL_STEPS, end - self._at), True
        return False

    def _give_up(self, until: int, why: str) -> None:
        if self._lost is not None and self._lost[1] == self._at and (self._lost[2] == why or not why):
            self._lost = (self._lost[0], until, self._lost[2])
        else:
            self._report()
            self._lost = (self._at, until, why)
        self._at = until

    def _report(self) -> None:
        if self._lost is not None and self._lost[2]:
            self._set_aside(*self._lost)
        self._lost = None
