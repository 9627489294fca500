"""A flight: one exchange on its way to all its targets. :mod:`replayer.fire` launches it, :mod:`replayer.observing` sums it up."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from echolane.exchange import EMPTY, WorkItem
from replayer.connection import Connection, LiveShot
from replayer.schedule import Scheduled
from replayer.wire import SAFE_METHODS, Prepared

PLACES = 4


class FlightShot(LiveShot, kw_only=True, eq=False):
    """One of a flight's shots."""

    flight: Flight | None
    """None once it is observed: the two would keep each other in memory."""
    index: int
    landed: Callable[[FlightShot], None]
    notes: list[str] = msgspec.field(default_factory=list[str])
    """What was rewritten for this target."""

    def settled(self) -> None:
        """Tell who fired."""
        self.landed(self)


class Flight:
    """One exchange, its bytes for each target, and what became of them."""

    __slots__ = (
        "absent",
        "again",
        "attempt",
        "blockers",
        "connections",
        "due_ns",
        "failures",
        "followers",
        "free_ns",
        "head_only",
        "item",
        "launched",
        "launched_ns",
        "missing",
        "not_compared",
        "pending",
        "prepared",
        "safe",
        "seq",
        "shots",
        "spared",
        "waiting",
        "weight",
        "wires",
    )

    def __init__(self, item: WorkItem, prepared: Prepared, attempt: int) -> None:
        self.item = item
        self.seq = item.seq
        self.due_ns = item.due_ns
        self.attempt = attempt
        self.prepared = prepared
        self.wires = prepared.ready
        self.weight = len(item.exchange.request.body.data) * 3 + sum(map(len, self.wires))
        """About how many bytes of memory it takes: as recorded, as opened, as encoded, and once a target."""
        method = item.exchange.request.method
        self.safe = method in SAFE_METHODS
        self.head_only = method == "HEAD"
        self.blockers = 0
        self.followers: list[Scheduled] = []
        self.free_ns = 0
        self.waiting = False
        self.launched = False
        self.launched_ns = 0
        """Monotonic instant of the first write."""
        self.missing = 0
        """Connections that are being opened."""
        self.pending = 0
        """Targets that have not answered or failed."""
        self.connections: list[Connection | None] = [None] * PLACES
        self.failures: list[str] = [""] * PLACES
        self.shots: list[FlightShot | None] = [None] * PLACES
        self.spared: list[str] = [""] * PLACES
        """Why a target gets no shot."""
        self.not_compared = ""
        self.absent = -1
        """The target whose failure is withdrawn, because it was down."""
        self.again = False
        """Whether it is then fired again."""

    def release(self) -> None:
        """Let go of what an observation was made of: answers, bytes, and the circle of references that would keep them."""
        for shot in self.shots:
            if shot is not None:
                shot.answer = shot.flight = None
                shot.wire = b""
        self.connections = []
        if not self.safe:  # never fired again, and its body may be large
            self.wires = self.prepared.ready = []
            exchange = self.item.exchange
            light = replace(exchange, request=replace(exchange.request, body=EMPTY), seal=b"")
            self.item = replace(self.item, exchange=light)

    def __repr__(self) -> str:
        return f"<Flight {self.seq}, {'launched' if self.launched else 'waiting'}, {self.pending} pending>"
