"""The thread that sends what an outbox holds: one parcel after the other, each until it is known to be in the journal.

An append whose outcome is unknown is looked for in the journal before it is sent again. A request that a broker takes only after that
look stands there twice; whoever reads exchanges folds them by who recorded them (``replayer.plan.in_order``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from capture.account import Session, landed, sessions
from capture.carrier import Parcel
from capture.outbox import Outbox
from echolane import log
from echolane.clock import SYSTEM, Clock
from echolane.errors import EcholaneError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.journal.examining import NAMES_OF_AGENTS
from echolane.ledger import Counters
from echolane.recordings import topic_of

IDLE_S = 0.5
RETRY_S = (0.2, 2.0)
"""A journal that refused is asked again after the first, doubling up to the second."""
CHECK_S = 60.0
"""How often names and clocks are looked at."""
SKEW_MAX_S = 30.0
"""A clock that is further off than this is told: what several agents saw is put in order by their clocks."""
FRESH_S = 60.0
"""Where a partition ends is asked again after this: who looks for an append reads from there."""
ADOPT_S = 10.0
"""How often sessions are looked for that died since: one whose relay was killed ends after the next one has begun."""
CHORE_S = 600.0
"""How often retention is looked at; segments are hours."""
NONCE = "agent.nonce"
_NONCE_BITS = 24


class Door:
    """The journal as one session appends to it."""

    def __init__(self, journal: Journal, service: str, partitions: int) -> None:
        self.journal, self.topic = journal, topic_of(service)
        if self.topic not in journal.topics():
            journal.create(self.topic, partitions)
        self.partitions = journal.partitions(self.topic)
        self._ends: dict[int, tuple[int, float]] = {}

    def end(self, place: int) -> int:
        """A position that the next append cannot be before."""
        known = self._ends.get(place)
        if known is None or time.monotonic() - known[1] > FRESH_S:
            self.knows(place, self.journal.end(self.topic, place))
        return self._ends[place][0]

    def knows(self, place: int, position: int) -> None:
        """An append ended there."""
        self._ends[place] = position, time.monotonic()

    def forget(self) -> None:
        """An append may have ended anywhere."""
        self._ends.clear()


class Shipping:
    """The work of the thread. ``chore`` is done now and then with the journal."""

    def __init__(
        self,
        home: Home,
        session: Session,
        counters: Counters,
        partitions: int,
        tell: Callable[[str], None],
        chore: Callable[[Journal], None] = lambda _: None,
        clock: Clock = SYSTEM,
    ) -> None:
        self._home, self._session, self._counters, self._partitions = home, session, counters, partitions
        self._tell, self._chore, self._clock = tell, chore, clock
        self._door: Door | None = None
        self._refusal = self._told_clock = ""
        self._told_name = False
        self._last: tuple[int, int] | None = None
        """Partition and position of the last entry that was appended."""
        self._check_at = self._chore_at = 0.0
        self._adopt_at = time.monotonic() + ADOPT_S
        self._pause_s = RETRY_S[0]
        counters.set(NONCE, counters.get(NONCE))

    def __repr__(self) -> str:
        return f"<Shipping of {self._session.service}, {self._refusal or 'in step'}>"

    def run(self, outbox: Outbox) -> None:
        """Send until all is over."""
        self._settle_all(outbox)
        while not outbox.over:
            if time.monotonic() >= self._adopt_at:
                self._adopt(outbox)
            parcels: list[Parcel | None] = []
            if self._tried(outbox, lambda found=parcels: found.append(outbox.next(IDLE_S))) and parcels[0] is not None:
                self._deliver(outbox, parcels[0])
            self._look_around(outbox)
        if self._door is not None:
            self._door.journal.close()

    def _adopt(self, outbox: Outbox) -> None:
        self._adopt_at = time.monotonic() + ADOPT_S
        found: list[bool] = []
        if self._tried(outbox, lambda: found.append(outbox.adopt())) and found[0]:
            self._settle_all(outbox)

    def _settle_all(self, outbox: Outbox) -> None:
        while not outbox.over and not self._tried(outbox, lambda: self._settle_old(outbox)):
            pass

    def _settle_old(self, outbox: Outbox) -> None:
        """What former recorders were appending when they died; before anything is sent, for the counters know but one append."""
        for carrier in outbox.carriers:
            if carrier.in_doubt:
                door = self._opened()
                seqs = landed(door.journal, carrier.session, carrier.counters.read())
                outbox.settled(carrier, seqs, door.partitions)

    def _deliver(self, outbox: Outbox, parcel: Parcel) -> None:
        """Until it is in the journal and noted, or all is over."""
        while not self._tried(outbox, lambda: self._send(parcel)):
            if outbox.over:
                return
        while not self._tried(outbox, lambda: outbox.done(parcel)):
            if outbox.over:
                return

    def _send(self, parcel: Parcel) -> None:
        door, carrier = self._opened(), parcel.carrier
        place = parcel.partition % door.partitions
        if carrier.in_doubt:
            door.forget()
            if parcel.first in landed(door.journal, carrier.session, carrier.counters.read()):
                return
        carrier.begin(place, door.end(place), parcel.first)
        positions = door.journal.append(door.topic, place, parcel.frames)
        door.knows(place, positions[-1] + 1)
        self._last = place, positions[-1]

    def _opened(self) -> Door:
        if self._door is None:
            journal = open_journal(self._home)
            try:
                self._door = Door(journal, self._session.service, self._partitions)
            except BaseException:
                journal.close()
                raise
        return self._door

    def _tried(self, outbox: Outbox, work: Callable[[], None]) -> bool:
        """Whether it could be done; if not, it is said once, and a pause was made."""
        try:
            work()
        except EcholaneError as error:
            if str(error) != self._refusal:
                log.event("journal.refused", error=str(error))
            self._refusal = str(error)
            outbox.refused(error)
            outbox.pause(self._pause_s)
            self._pause_s = min(2 * self._pause_s, RETRY_S[1])
            if self._door is not None and "there is no topic" in str(error):
                self._door.journal.close()
                self._door = None
            return False
        self._refusal, self._pause_s = "", RETRY_S[0]
        return True

    def _look_around(self, outbox: Outbox) -> None:
        """What need not be done before the next parcel, now and then."""
        if self._door is None:
            return
        if self._last is not None and time.monotonic() >= self._check_at:
            self._check(self._door, *self._last)
            self._last = None
        if time.monotonic() < self._chore_at:
            return
        self._chore_at = time.monotonic() + CHORE_S
        door = self._door
        self._tried(outbox, lambda: self._chore(door.journal))

    def _check(self, door: Door, place: int, position: int) -> None:
        """Whether our clock is the brokers', and our name ours alone. That it cannot be said is no reason to send nothing."""
        self._check_at = time.monotonic() + CHECK_S
        try:
            for entry in door.journal.read(door.topic, place, position, position + 1):
                self._check_clock((self._clock.wall_ns() - entry.append_ns) / 1e9)
            self._check_name(door)
        except EcholaneError as error:
            log.event("journal.unchecked", error=str(error))

    def _check_clock(self, ahead_s: float) -> None:
        if abs(ahead_s) < SKEW_MAX_S:
            self._told_clock = ""
            return
        words = (
            f"the clock of this machine is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the journal's: set it "
            "(NTP), and start this recorder anew; until then its exchanges stand in the wrong place among those of other agents"
        )
        log.event("clock.off", ahead_s=round(ahead_s), words=words)
        if not self._told_clock:
            self._tell(words)
        self._told_clock = words

    def _check_name(self, door: Door) -> None:
        """A copied home has our name too; each session says on the journal which it is, and sees who said so last."""
        if not (nonce := self._counters.get(NONCE)):
            nonce = int.from_bytes(os.urandom(_NONCE_BITS // 8)) | 1
            self._counters.set(NONCE, nonce)
        group, ours = f"{NAMES_OF_AGENTS}{self._session.agent}", self._session.epoch << _NONCE_BITS | nonce
        theirs = door.journal.committed(group, door.topic, 0)
        epoch = theirs >> _NONCE_BITS
        siblings = {one.epoch for one in sessions(self._home, self._session.service)} - {self._session.epoch}
        if theirs != ours and epoch >= self._session.epoch and epoch not in siblings:
            words = (
                f"another recorder of `{self._session.service}` has this one's name, {self._session.agent}: is one home a copy of the "
                f"other? Stop one, remove its `{self._home.ledger.name}` folder and start it anew; nothing is lost, but a gap in "
                "seq no longer tells whose it is"
            )
            log.event("agent.twice", agent=self._session.agent, epoch=epoch, words=words)
            if not self._told_name:
                self._tell(words)
            self._told_name = True
        if theirs != ours:
            door.journal.commit(group, door.topic, 0, ours)
