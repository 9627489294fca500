"""Whose exchanges an outbox carries: its own session's, and those that dead sessions of the service left in their spools.

Between two kills the account stays exact: what is on the disk is counted anew at each start, what an append with unknown outcome has
stored is asked of the journal, and the rest follows by subtraction (:mod:`capture.account`).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field

from capture.account import BASE, FIRST, FROM, OPEN, SPOOLED, Session, missing
from capture.spool import Batch, Spool, Spools, first_seq
from echolane.errors import HomeError
from echolane.frame import peek
from echolane.lease import held, is_held
from echolane.ledger import Counters, Counts, read_counters, summed

FULL = "dropped{spool-full}"
DAMAGED = "dropped{spool-damaged}"
DIED = ("dropped{recorder-died}", "dropped{relay-died}")


@dataclass(slots=True)
class Parcel:
    """Frames of one partition that travel together: in memory, or on the disk up to ``stop``."""

    carrier: Carrier
    partition: int
    frames: list[bytes]
    exchanges: int
    first: int
    """The ``seq`` of its first exchange."""
    made_s: float = 0.0
    stop: int | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.frames))

    def add(self, other: Parcel) -> None:
        """The next frames of the same partition."""
        self.frames, self.exchanges, self.size = (
            self.frames + other.frames,
            self.exchanges + other.exchanges,
            self.size + other.size,
        )

    @classmethod
    def of(cls, carrier: Carrier, batch: Batch) -> Parcel:
        """What was read from the disk."""
        count = sum(peek(frame).records for frame in batch.frames)
        return cls(carrier, batch.partition, batch.frames, count, first_seq(batch.frames[0]), stop=batch.stop)


class Carrier:
    """One session: its counters and its spool. Whoever makes it holds the session's recorder lock."""

    def __init__(self, session: Session, counters: Counters, spool: Spool) -> None:
        self.session, self.counters, self.spool = session, counters, spool
        self._missing: Counts = {}
        self._gone = self._again = 0
        for name in ("stored", SPOOLED, OPEN, FROM, BASE, FIRST, FULL, DAMAGED, *DIED):
            counters.set(name, counters.get(name))  # names of a file are taken by one thread only

    def __repr__(self) -> str:
        return f"<Carrier of {self.session.service}, epoch {self.session.epoch}, {self.spool!r}>"

    @property
    def in_doubt(self) -> bool:
        """Whether an append has begun whose outcome is not known."""
        return bool(self.counters.get(OPEN))

    def take_stock(self, relay: Counts) -> None:
        """Count what earlier recorders left on the disk, and what died with them."""
        counters = self.counters
        stored = counters.get(BASE) if self.in_doubt else counters.get("stored")
        before, kept = counters.get(SPOOLED), self.spool.unsent()
        # The disk may have forgotten what was sent (a damaged index): that is sent again and folds, but is not counted again.
        room = relay.get("seen", 0) - summed(relay, "dropped") - stored - summed(counters.read(), "dropped")
        self._again = max(0, kept - room)
        counters.set(SPOOLED, kept - self._again)
        self._gone = max(0, before - kept)
        self._missing = missing(relay, {**counters.read(), "stored": stored})
        if not self.in_doubt:
            self._write_off(0)

    def settle(self, seqs: Collection[int], partitions: int) -> None:
        """What began before we did had these exchanges stored; those that are on the disk too are not sent again."""
        counters = self.counters
        on_disk = self.spool.skip(seqs, partitions, counters.get(OPEN) - 1)
        counters.set(SPOOLED, max(0, counters.get(SPOOLED) - on_disk))
        counters.set("stored", counters.get(BASE) + len(seqs))
        counters.set(OPEN, 0)
        # What is in the journal and neither on the disk nor missing was dropped from the disk before that could be known.
        found = len(seqs) - on_disk
        shed = max(0, found - sum(self._missing.values()))
        counters.set(FULL, max(0, counters.get(FULL) - shed))
        self._write_off(found - shed)

    def _write_off(self, found: int) -> None:
        """Count what nobody has any more, by who had it last; ``found`` of it is in the journal after all."""
        for name, count in self._missing.items():
            lost = max(0, count - found)
            found -= count - lost
            gone = min(lost, self._gone)
            self._gone -= gone
            self.counters.add(DAMAGED, gone)
            self.counters.add(name, lost - gone)
        self._missing = {}

    def begin(self, place: int, start: int, first: int) -> None:
        """An append begins: to this partition of the journal, not before this position, with this exchange."""
        counters = self.counters
        counters.set(FROM, start)
        counters.set(BASE, counters.get("stored"))
        counters.set(FIRST, first)
        counters.set(OPEN, place + 1)

    def done(self, parcel: Parcel) -> None:
        """It is in the journal. On the disk first, so that a kill in between is settled by asking the journal once more."""
        counters, count = self.counters, parcel.exchanges
        if parcel.stop is not None:
            self.spool.sent(parcel.partition, parcel.stop)
            again = min(self._again, count)
            self._again -= again
            count -= again
            counters.set(SPOOLED, max(0, counters.get(SPOOLED) - count))
        counters.set("stored", counters.get(BASE) + count)
        counters.set(OPEN, 0)

    def shed(self, exchanges: int) -> None:
        """The disk had no room for them any more."""
        self.counters.set(SPOOLED, max(0, self.counters.get(SPOOLED) - exchanges))
        self.counters.add(FULL, exchanges)

    def emptied(self) -> int:
        """All that could be read of the spool is sent: give the disk back; how many exchanges were damaged there."""
        lost = self.counters.get(SPOOLED)
        if self.spool.there:
            self.spool.drop()
        self.counters.set(SPOOLED, 0)
        self.counters.add(DAMAGED, lost)
        return lost


def left_behind(own: Session, spools: Spools, known: Collection[Session], stack: ExitStack) -> list[Carrier]:
    """Carriers of the dead sessions of our service that have something to send or to settle, oldest first."""
    found: list[Carrier] = []
    kept = spools.epochs()
    for session in known:
        relay, recorder = read_counters(session.relay), read_counters(session.recorder)
        settled = not recorder.get(OPEN) and not missing(relay, recorder)
        if session.epoch == own.epoch or (settled and session.epoch not in kept and not recorder.get(SPOOLED)):
            continue
        if is_held(session.lock):
            continue
        try:
            stack.enter_context(held(session.recorder_lock, f"recorder of {session.service}"))
        except HomeError:  # it lives, or another recorder carries what it left
            continue
        counters = Counters(session.recorder)
        stack.callback(counters.close)
        carrier = Carrier(session, counters, spools.of(session, 1))
        carrier.take_stock(relay)
        found.append(carrier)
    return found
