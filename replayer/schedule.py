"""Which flight may go now: it is due, its predecessors are done, and there is a place for it at every target. Pure.

Flights are added in recorded order, which is the order of their due times. Instants are nanoseconds after the start of the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Protocol

PASSED_MAX = 1_024
"""Exchanges passed over that are remembered before those without open predecessors are forgotten."""


class Scheduled(Protocol):
    """What the schedule knows of a flight."""

    seq: int
    due_ns: int
    blockers: int
    """Predecessors that are not done."""
    followers: list[Scheduled]
    free_ns: int
    """When the last predecessor was done; 0 when none was waited for."""
    waiting: bool
    """Whether it was due before its predecessors were done."""
    launched: bool
    """Whether it is on its way."""


class Schedule:
    """The flights that are loaded and not done."""

    def __init__(self) -> None:
        self.ready: deque[Scheduled] = deque()
        """May be fired now, in the order in which they became so."""
        self._upcoming: deque[Scheduled] = deque()
        self._unfinished: dict[int, Scheduled] = {}
        self._passed: dict[int, list[int]] = {}

    def __repr__(self) -> str:
        return f"<Schedule {len(self._unfinished)} loaded, {len(self._upcoming)} not due, {len(self.ready)} ready>"

    def __len__(self) -> int:
        return len(self._unfinished)

    def add(self, flight: Scheduled, follows: Collection[int]) -> None:
        """Take in a flight; predecessors that are not loaded any more are done."""
        unfinished = self._unfinished
        for seq in self._through(follows) if follows else ():
            before = unfinished.get(seq)
            if before is not None:
                before.followers.append(flight)
                flight.blockers += 1
        unfinished[flight.seq] = flight
        self._upcoming.append(flight)

    def pass_over(self, seq: int, follows: Collection[int]) -> None:
        """An exchange is not fired after all: who follows it follows those whom it would have followed."""
        unfinished = self._unfinished
        still = [before for before in self._through(follows) if before in unfinished]
        if still:
            self._passed[seq] = still
        if len(self._passed) > PASSED_MAX:
            self._passed = {one: b for one, b in self._passed.items() if any(before in unfinished for before in b)}

    def _through(self, follows: Collection[int]) -> set[int]:
        """Predecessors, those that were passed over replaced by theirs."""
        passed = self._passed
        return {before for seq in follows for before in passed.get(seq, (seq,))}

    def add_now(self, flight: Scheduled) -> None:
        """Take in a flight that waits for nobody."""
        self._unfinished[flight.seq] = flight
        self.ready.append(flight)

    def again(self, flight: Scheduled) -> None:
        """Take in a flight that stands for one that was fired and is not done: who followed that one follows it."""
        self._unfinished[flight.seq] = flight
        self.ready.appendleft(flight)

    def advance(self, now_ns: int) -> int | None:
        """Let what is due become ready; the instant at which the next one is due, None when none is loaded."""
        upcoming = self._upcoming
        while upcoming:
            flight = upcoming[0]
            if flight.due_ns > now_ns:
                return flight.due_ns
            upcoming.popleft()
            if flight.blockers:
                flight.waiting = True
            else:
                self.ready.append(flight)
        return None

    def done(self, flight: Scheduled, now_ns: int) -> None:
        """Every target has answered or failed it: its followers, if any, may go from ``now_ns`` on."""
        self._unfinished.pop(flight.seq, None)
        if not flight.followers:
            return
        for follower in flight.followers:
            follower.blockers -= 1
            if not follower.blockers:
                follower.free_ns = now_ns
                if follower.waiting:
                    self.ready.append(follower)
        flight.followers = []

    def abandon(self) -> list[Scheduled]:
        """Give back what was not fired, in recorded order; used when a run ends early."""
        rest = [one for one in self._unfinished.values() if not one.launched]
        self.ready.clear()
        self._upcoming.clear()
        for one in rest:
            del self._unfinished[one.seq]
        return sorted(rest, key=lambda one: one.seq)
