"""The outbox: frames on their way to a journal on other machines, which may be away. The recorder leaves them here and never waits.

While the journal answers, frames wait in memory until it has them. When it does not within :data:`PATIENCE_S`, they go to the disk
(:mod:`capture.spool`), and so do those that follow, until all of it is sent: a partition's frames leave in the order in which they
came. A thread sends (:mod:`capture.shipping`); what it is sending, and what it is not sure of, the counters say
(:mod:`capture.carrier`). Memory and disk are bounded, and what has no room is counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from capture.account import SPOOLED, Session, sessions
from capture.carrier import FULL, Carrier, Parcel, left_behind
from capture.spool import BATCH_BYTES, Spools
from echolane import log
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.ledger import Counters
from echolane.settings import Capture

PATIENCE_S = 1.0
"""What the journal has not taken by then goes to the disk: an append takes milliseconds, and a kill loses what is in memory."""
MEMORY_SPOOLED = 16 * 1024 * 1024
"""Or when so much waits: seconds of a busy service."""
MEMORY_MAX = 64 * 1024 * 1024
"""Where the disk takes nothing either, or there is no spool, so much is kept in memory; beyond, exchanges are dropped and counted."""
CLOSE_WAIT_S = 5.0
"""How long the end waits for the journal to take what is left; the rest is on the disk then, for the next recorder."""
JOIN_S = 1.0
"""A thread that waits for an answer is left to the end of the process."""
AWAY = "dropped{journal-unavailable}"
MIB = 1024 * 1024


class Outbox:
    """A sink (:class:`capture.appending.Sink`) that takes everything at once. One thread appends, another one sends."""

    def __init__(
        self,
        home: Home,
        session: Session,
        counters: Counters,
        settings: Capture,
        partitions: int,
        tell: Callable[[str], None],
    ) -> None:
        self.partitions, self._counters, self._drops_oldest = (
            partitions,
            counters,
            settings.spool_policy == "drop-oldest",
        )
        self._tell, self._stack = tell, ExitStack()
        self._changed = threading.Condition()
        self._memory: deque[Parcel] = deque()
        self._memory_bytes = 0
        self._sending: Parcel | None = None
        self._over = self._closed = self._spooling = self._told_full = False
        self._trouble = ""
        """Why the journal took nothing at the last try."""
        self._spools = Spools(home.spool, session.service, settings.spool_bytes)
        self._own = Carrier(session, counters, self._spools.of(session, partitions))
        self._has_disk = settings.spool_bytes > 0
        self._carriers: list[Carrier] = []
        self._home, self._session = home, session

    def __repr__(self) -> str:
        place = "on the disk" if self._spooling else "in memory"
        return f"<Outbox of {self._session.service}, {len(self._memory)} parcels in memory, new ones {place}>"

    def begin(self, delivered: int, send: Callable[[Outbox], None]) -> None:
        """Take stock of what earlier recorders left, then ``send``. ``delivered``: what those of this session were given."""
        known = sessions(self._home, self._session.service)
        self._carriers = left_behind(self._session, self._spools, known, self._stack)
        self._own.take_stock({"seen": delivered, "delivered": delivered})
        self._carriers.append(self._own)
        self._spooling = any(carrier.spool.there for carrier in self._carriers)
        if self._spooling:
            waiting = sum(carrier.counters.get(SPOOLED) for carrier in self._carriers)
            self._say("spool.found", f"{waiting} exchanges wait in {self._spools.folder}; they are sent first", waiting)
        self._thread = threading.Thread(target=send, args=(self,), name="shipping", daemon=True)
        self._thread.start()

    def has_stored(self, partition: int) -> bool:  # noqa: ARG002 - a sink that waits for nothing doubts nothing
        """Never: what an append did not take, it did not store."""
        return False

    def append(self, partition: int, frames: list[bytes], exchanges: Sequence[int]) -> None:
        """Take the frames of these exchanges."""
        if not frames:
            return
        with self._changed:
            self._hold(Parcel(self._own, partition, frames, len(exchanges), exchanges[0], time.monotonic()))
            self._look()
            self._changed.notify_all()

    def tick(self) -> None:
        """What has waited too long goes to the disk. RuntimeError when the thread that sends has ended by a fault of ours."""
        with self._changed:
            self._look()
            if not self._over and not self._thread.is_alive():
                self._spill()
                raise RuntimeError("the thread that sends to the journal has ended; the recorder begins anew")

    def _look(self) -> None:
        if not self._memory:
            return
        if not (
            self._spooling
            or self._memory_bytes > MEMORY_SPOOLED
            or time.monotonic() - self._memory[0].made_s > PATIENCE_S
        ):
            return
        self._spill()

    def _spill(self) -> None:
        """All that is in memory goes to the disk, in its order, as far as the disk takes it."""
        while self._has_disk and self._memory:
            parcel = self._memory[0]
            if not self._write(parcel):
                return
            if self._memory and self._memory[0] is parcel:
                self._memory.popleft()
                self._memory_bytes -= parcel.size

    def _hold(self, parcel: Parcel) -> None:
        """In memory, or dropped."""
        if self._memory_bytes + parcel.size > MEMORY_MAX:
            self._counters.add(FULL if self._has_disk else AWAY, parcel.exchanges)
            return
        self._memory_bytes += parcel.size
        last = next((one for one in reversed(self._memory) if one.partition == parcel.partition), None)
        # What waits of a partition travels together: a send costs a round trip, whatever it holds.
        if last is not None and last is not self._sending and last.size + parcel.size <= BATCH_BYTES:
            last.add(parcel)
        else:
            self._memory.append(parcel)

    def _write(self, parcel: Parcel) -> bool:
        """To the disk, or dropped as the policy says; False when the disk does not take it now."""
        try:
            if not self._make_room(parcel.size):
                if parcel is self._sending:
                    return False
                parcel.carrier.counters.add(FULL, parcel.exchanges)
                return True
            parcel.stop = parcel.carrier.spool.append(parcel.partition, parcel.frames)
        except EcholaneError as error:
            self._full(f"the spool cannot be written: {error}")
            return False
        self._counters.add(SPOOLED, parcel.exchanges)
        if not self._spooling:
            self._spooling = True
            why = f"{self._trouble or 'the journal is slow'}; what is recorded waits in {self._spools.folder}"
            bound = f"up to {self._spools.limit / MIB:.0f} MiB, then {'the oldest' if self._drops_oldest else 'the newest'} is dropped"
            self._say("spool.begun", f"{why} ({bound})")
        return True

    def _make_room(self, size: int) -> bool:
        """Whether there is room for so many bytes, after the oldest was dropped where that is the policy."""
        while self._spools.bytes() + size > self._spools.limit:
            self._full(
                f"the spool {self._spools.folder} holds the {self._spools.limit / MIB:.0f} MiB it may: "
                f"{'the oldest' if self._drops_oldest else 'new'} exchanges are dropped and counted as spool-full; "
                "bring the journal back, or raise capture.spool_bytes"
            )
            if not self._drops_oldest or not self._shed():
                return False
        return True

    def _shed(self) -> bool:
        """Drop the oldest file of the oldest session; a living one keeps its newest, to which it writes."""
        for carrier in self._carriers:
            sending = self._sending
            beyond: dict[int, int] = {}
            if sending is not None and sending.carrier is carrier and sending.stop is not None:
                beyond = {sending.partition: sending.stop}
            count = carrier.spool.shed(beyond, all_of_it=carrier is not self._own)
            if count is not None:
                carrier.shed(count)
                return True
        return False

    def _full(self, words: str) -> None:
        if not self._told_full:
            self._told_full = True
            self._say("spool.full", words)

    def _say(self, event: str, words: str, exchanges: int | None = None) -> None:
        log.event(event, words=words, **({} if exchanges is None else {"exchanges": exchanges}))
        self._tell(words)

    # What follows is called by the thread that sends.

    @property
    def carriers(self) -> Sequence[Carrier]:
        """Whose exchanges are carried, oldest first."""
        return tuple(self._carriers)

    def next(self, wait_s: float) -> Parcel | None:
        """What is to be sent next; None when there is nothing for ``wait_s``, or all is over."""
        with self._changed:
            if self._over:
                return None
            parcel = self._from_disk() if self._spooling else None
            if parcel is None and not self._spooling:
                if not self._memory:
                    self._changed.wait(wait_s)
                parcel = self._memory[0] if self._memory and not self._over and not self._spooling else None
            self._sending = parcel
            return parcel

    def _from_disk(self) -> Parcel | None:
        for carrier in self._carriers:
            batch = carrier.spool.next()
            if batch is not None:
                return Parcel.of(carrier, batch)
        for carrier in self._carriers:
            if lost := carrier.emptied():
                words = f"{lost} exchanges in {self._spools.folder} were damaged and are lost; they are counted as spool-damaged"
                self._say("spool.damaged", words, lost)
        self._spooling = self._told_full = False
        self._changed.notify_all()
        self._say("spool.sent", "all that waited on the disk is in the journal")
        return None

    def done(self, parcel: Parcel) -> None:
        """It is in the journal. EcholaneError when the disk could not note it: it is to be said once more."""
        with self._changed:
            if self._closed:  # it is in doubt then, and the next recorder asks the journal
                return
            parcel.carrier.done(parcel)
            if parcel.stop is None and self._memory and self._memory[0] is parcel:
                self._memory.popleft()
                self._memory_bytes -= parcel.size
            if self._trouble and self._spooling:
                waiting = sum(carrier.counters.get(SPOOLED) for carrier in self._carriers)
                self._say("journal.back", f"the journal is back; {waiting} exchanges are sent from the disk", waiting)
            self._sending, self._trouble = None, ""
            self._changed.notify_all()

    def adopt(self) -> bool:
        """Take over what sessions left that have died since :meth:`begin`; whether there was any. Between two parcels."""
        # Files of its own: taking stock reads all that was left, and the recorder must not wait for that.
        spools = Spools(self._home.spool, self._session.service, self._spools.limit)
        known = sessions(self._home, self._session.service)
        found = left_behind(self._session, spools, known, self._stack)
        if not found:
            spools.close()
            return False
        self._stack.callback(spools.close)
        with self._changed:
            self._carriers[-1:-1] = found
            self._spooling = self._spooling or any(carrier.spool.there for carrier in found)
        return True

    def settled(self, carrier: Carrier, seqs: set[int], partitions: int) -> None:
        """What a former recorder was appending when it died has become of that."""
        with self._changed:
            carrier.settle(seqs, partitions)

    def refused(self, error: EcholaneError) -> None:
        """The journal took nothing. Where packets vanish it was slow before it is known to be away, which is said then."""
        with self._changed:
            if self._spooling and not self._trouble:
                self._say("journal.away", f"{error}; what is recorded goes on waiting in {self._spools.folder}")
            self._trouble = str(error)
            self._changed.notify_all()

    @property
    def over(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._over

    def pause(self, seconds: float) -> None:
        """Wait, or until all is over."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._over and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _is_leaving(self) -> bool:
        """Whether the journal may yet take what is left: also from the disk, where it is slow and not away."""
        return not self._trouble if self._spooling else bool(self._memory)

    def close(self) -> bool:
        """Let the journal take what is left, or the disk; what neither takes is counted. Whether the thread has ended."""
        deadline = time.monotonic() + CLOSE_WAIT_S
        with self._changed:
            # A run that follows would miss what is on the disk.
            while self._is_leaving() and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            self._over = True
            self._spill()
            for parcel in self._memory:
                if parcel is not self._sending:  # what becomes of that the journal knows
                    self._counters.add(FULL if self._has_disk else AWAY, parcel.exchanges)
            self._memory.clear()
            sending = self._sending
            stop = None if sending is None else sending.stop
            if sending is not None and stop is not None and not sending.carrier.spool.holds(sending.partition, stop):
                sending.carrier.shed(sending.exchanges)  # its file was dropped meanwhile
            self._closed = True
            self._changed.notify_all()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            return False
        self._spools.close()
        self._stack.close()
        return True
