"""A flight: one exchange on its way to all its targets. :mod:`replayer.fire` launches it, :mod:`replayer.observing` sums it up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from echolane.exchange import EMPTY, WorkItem
from replayer.connection import Connection, LiveShot
from replayer.keeping import Gave
from replayer.schedule import Scheduled
from replayer.tokens import Worn
from replayer.wire import SAFE_METHODS, Prepared

PLACES = 4


class FlightShot(LiveShot, kw_only=True, eq=False):
    """One of a flight's shots."""

    flight: Flight | None
    """None once it is observed: the two would keep each other in memory."""
    index: int
    landed: Callable[[FlightShot], None]
    notes: Sequence[str] = ()
    """What was rewritten for this target."""
    gave: Gave | None = None
    """What its answer gave that later requests take."""
    echoes: Sequence[tuple[bytes, bytes]] = ()
    """What we made up for this target, and what the recording had there: an answer that repeats the one is read with the other."""

    worn: Worn | None = None
    """The credential of a provider that it carried."""
    resent: int = 0
    """How often it was sent again with a fresh one."""

    def settled(self) -> None:
        """Tell who fired."""
        self.landed(self)


class Flight(msgspec.Struct, eq=False):
    """One exchange, its bytes for each target, and what became of them. :func:`flight_of` makes one."""

    item: WorkItem
    seq: int
    due_ns: int
    attempt: int
    prepared: Prepared
    wires: list[bytes]
    weight: int
    """About how many bytes of memory it takes: as recorded, as opened, as encoded, and once a target."""
    safe: bool
    head_only: bool
    connections: list[Connection | None]
    failures: list[str]
    shots: list[FlightShot | None]
    spared: list[str]
    """Why a target gets no shot."""
    followers: list[Scheduled]
    blockers: int = 0
    free_ns: int = 0
    waiting: bool = False
    launched: bool = False
    launched_ns: int = 0
    """Monotonic instant of the first write."""
    wall_ahead_ns: int = 0
    """The wall clock less the monotonic one at that instant; read once for all shots."""
    missing: int = 0
    """Connections that are being opened."""
    pending: int = 0
    """Targets that have not answered or failed."""
    not_compared: str = ""
    absent: int = -1
    """The target whose failure is withdrawn, because it was down."""
    again: bool = False
    """Whether it is then fired again."""
    whom: list[int] | None = None
    """The targets that get it, once that is decided."""
    busy: int = -1
    """A target that asked for time instead of answering it."""
    tries: int = 0
    """How often it was fired again because of that."""

    def release(self) -> None:
        """Let go of what an observation was made of: answers, bytes, and the circle of references that would keep them."""
        for shot in self.shots:
            if shot is not None:
                shot.answer = shot.flight = shot.gave = shot.kin = None
                shot.wire = b""
        self.connections = []
        if not self.safe:  # never fired again, and its body may be large
            self.wires = self.prepared.ready = []
            exchange = self.item.exchange
            light = replace(exchange, request=replace(exchange.request, body=EMPTY), seal=b"")
            self.item = replace(self.item, exchange=light)

    def __repr__(self) -> str:
        return f"<Flight {self.seq}, {'launched' if self.launched else 'waiting'}, {self.pending} pending>"


def recorded_status(flight: Flight) -> int:
    """What was answered when it was recorded; 0 where no answer was."""
    recorded = flight.item.exchange.response
    return recorded.status if recorded is not None else 0


def is_late(flight: Flight, now_ns: int, bound_ns: int) -> bool:
    """Whether it is skipped for its lateness. What later requests take their ids and cookies from never is: they would all fail."""
    answer = flight.item.exchange.response  # of which only cookies are left
    needed = flight.item.gives or flight.tries or (answer is not None and answer.headers)
    return now_ns - max(flight.due_ns, flight.free_ns) > bound_ns and not needed


def flight_of(item: WorkItem, prepared: Prepared, attempt: int) -> Flight:
    """A flight that is ready to be launched."""
    request, wires = item.exchange.request, prepared.ready
    method = request.method
    return Flight(
        item,
        item.seq,
        item.due_ns,
        attempt,
        prepared,
        wires,
        len(request.body.data) * 3 + sum(map(len, wires)),
        method in SAFE_METHODS,
        method == "HEAD",
        [None] * PLACES,
        [""] * PLACES,
        [None] * PLACES,
        [""] * PLACES,
        [],
    )
