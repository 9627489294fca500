"""Which flight is due when, at a rate that is another in every interval. Pure; a schedule whose due times are given out as they come.

Flights are loaded in recorded order, without due times: the next one gets the next instant of the interval, evenly spaced from its
beginning, whatever became of the others (an open loop). How late we were ourselves is noted here, where neither a busy target nor a
missing place can be meant.
"""

from __future__ import annotations

from collections.abc import Callable

from replayer.flight import Flight
from replayer.schedule import Schedule

AGAIN_NS = 1_000_000
"""When nothing is loaded that could be fired: look again after a millisecond; meanwhile it grows late, and that is told."""


class Rhythm(Schedule):
    """Gives flights their due times."""

    def __init__(self, became_due: Callable[[Flight], None]) -> None:
        super().__init__()
        self.late_ns = 0
        """The worst of this interval."""
        self.given = 0
        """Flights of this interval that were due."""
        self._became_due = became_due
        self._start_ns, self._gap_ns, self._count = 0, 1.0, 0

    @property
    def loaded(self) -> int:
        """Flights without a due time."""
        return len(self._upcoming)

    @property
    def over(self) -> bool:
        """Whether all of the interval was due."""
        return self.given >= self._count

    def begin(self, per_s: float, seconds: float, start_ns: int) -> None:
        """An interval at this rate, from this instant of the run on."""
        self._start_ns, self._gap_ns = start_ns, 1e9 / per_s
        self._count, self.given, self.late_ns = max(1, round(per_s * seconds)), 0, 0

    def advance(self, now_ns: int) -> int | None:
        """Let what is due become ready; the next instant at which something is due."""
        while self.given < self._count:
            due_ns = self._start_ns + int(self.given * self._gap_ns)
            if due_ns > now_ns:
                return due_ns
            self.late_ns = max(self.late_ns, now_ns - due_ns)
            if not self._upcoming:
                return now_ns + AGAIN_NS
            flight = self._upcoming.popleft()
            assert isinstance(flight, Flight)  # noqa: S101 - nothing else is ever added
            self.given += 1
            flight.due_ns = due_ns
            self._became_due(flight)
            if flight.blockers:
                flight.waiting = True
            else:
                self.ready.append(flight)
        return None

    def call_off(self, now_ns: int) -> list[Flight]:
        """Nothing more becomes due; what was due and has not been launched is given back."""
        self._count = self.given
        ready = {one.seq for one in self.ready}
        waiting = [one for one in self._unfinished.values() if not one.launched and (one.waiting or one.seq in ready)]
        self.ready.clear()
        for one in waiting:
            one.waiting = False
        for one in waiting:
            self.done(one, now_ns)
        return [one for one in waiting if isinstance(one, Flight)]
