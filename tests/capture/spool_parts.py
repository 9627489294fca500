"""A recorder's desk whose journal is far away: what the tests of the spool share."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from capture import outbox as module, shipping as shipping_module
from capture.account import Session, ledger_of, next_session, settle
from capture.filters import Filters
from capture.outbox import Outbox
from capture.shipping import Shipping
from capture.storing import Identity, Storing
from echolane.clock import ManualClock
from echolane.errors import JournalDown
from echolane.exchange import Body, Exchange, Request, Response
from echolane.frame import decode_frame
from echolane.home import open_home
from echolane.journal import Journal, open_journal
from echolane.keys import SealKey
from echolane.lease import held
from echolane.ledger import Counters, capture_identities
from echolane.masks import Masker
from echolane.settings import Capture

SEAL = SealKey.of(bytes(range(32, 64)))
WAIT_S = 60.0
"""For what takes milliseconds, on a machine that stands still now and then."""


class Remote:
    """A journal far away: it is down when told so, or loses its answer after it has stored."""

    def __init__(self, folder: Path) -> None:
        self.real: Journal = open_journal(folder)
        self.down = False
        self.deaf = 0
        """Appends that are stored and then not acknowledged."""
        self.falls = False
        """Whether it is down after that."""
        self.slow_s = 0.0
        self.appended = 0

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """The journal's, with the fault."""
        if self.down:
            raise JournalDown("no broker answers")
        time.sleep(self.slow_s)
        positions = self.real.append(topic, partition, frames)
        self.appended += 1
        if self.deaf:
            self.deaf -= 1
            self.down = self.falls
            raise JournalDown("no answer")
        return positions

    def close(self) -> None:
        """It stays: the next recorder finds it."""

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise JournalDown("no broker answers")
        return getattr(self.real, name)


class Desk:
    """A home with recorders that come and go, one at a time, and the journal that they send to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, partitions: int = 2, **capture: Any) -> None:
        self.home, self.remote = open_home(folder / "home"), Remote(folder / "remote")
        monkeypatch.setattr(shipping_module, "open_journal", lambda _: self.remote)
        self.capture, self.partitions = Capture(**capture), partitions
        self.told: list[str] = []
        self.sessions: list[Session] = []
        self.clock = ManualClock(time.time_ns())
        self.begun = False
        self.number = itertools.count(1)

    def start(self, *, same: bool = False) -> None:
        """A recorder: of a new session, or of the last one, whose recorder has died."""
        self.session = self.sessions[-1] if same else next_session(self.home, "shop")
        if not same:
            self.sessions.append(self.session)
            self.seen = Counters(self.session.relay)
        self.lock = held(self.session.recorder_lock, "recorder")
        self.lock.__enter__()
        self.counters = Counters(self.session.recorder)
        self.outbox = Outbox(self.home, self.session, self.counters, self.capture, self.partitions, self.told.append)
        identity = Identity("shop", self.session.agent, self.session.epoch)
        masker, filters = Masker(SEAL.mask_key(), seal_key=SEAL), Filters(self.capture)
        self.storing = Storing(self.outbox, self.counters, identity, masker, filters, mark_key=bytes(32))
        delivered = self.seen.get("delivered")
        shipping = Shipping(self.home, self.session, self.counters, self.partitions, self.told.append, clock=self.clock)
        self.outbox.begin(delivered, shipping.run)
        self.storing.seq = delivered
        self.begun = True

    def take(self, count: int = 1, size: int = 0) -> None:
        """Exchanges that the relay saw, appended at once."""
        for _ in range(count):
            number = next(self.number)
            self.seen.add("seen")
            self.seen.add("delivered")
            asked = Request("GET", "http", "h", f"/{number}", "1.1", [], Body())
            chance = random.Random(number).randbytes(size)  # no codec makes it small
            answer = Response(200, "1.1", [], Body(data=chance, size=size), [], b"OK")
            self.storing.take(asked, answer, "", (number, 1), f"c{number % 19}")
        self.storing.flush()

    def settle_down(self, seconds: float = WAIT_S) -> None:
        """Wait until all is in the journal."""
        wait_for(lambda: ledger_of(self.session)["spooled"] == 0, seconds)

    def spooled(self) -> int:
        """Exchanges on the disk."""
        return self.counters.get("spooled")

    def spill(self) -> None:
        """Time passes: what waits in memory goes to the disk."""
        with self.outbox._changed:
            self.outbox._spill()

    def end(self) -> None:
        """The recorder ends in good order."""
        self.storing.flush(last=True)
        assert self.outbox.close()
        self._left()
        settle(None, self.session)

    def crash(self) -> None:
        """What kill -9 leaves: what is in memory is gone, at whatever point the sending thread is."""
        with self.outbox._changed:
            self.outbox._over = True
            self.outbox._memory.clear()
            self.outbox._changed.notify_all()
        self.outbox._thread.join(WAIT_S)
        self.outbox._spools.close()
        self.outbox._stack.close()
        self._left()

    def _left(self) -> None:
        self.begun = False
        self.counters.close()
        self.lock.__exit__(None, None, None)

    def kept(self) -> list[Exchange]:
        """What the journal holds, as it stands there."""
        topic = "exchanges.shop"
        if topic not in self.remote.real.topics():
            return []
        return [
            one
            for partition in range(self.remote.real.partitions(topic))
            for entry in self.remote.real.read(topic, partition)
            for one in decode_frame(entry.frame, Exchange)
        ]

    def check(self) -> dict[str, int]:
        """Every session balances, and what is said to be stored is in the journal; all sessions' counts."""
        total: Counter[str] = Counter()
        for session in self.sessions:
            counts = ledger_of(session)
            assert capture_identities(counts) == [], counts
            distinct = {one.seq for one in self.kept() if one.epoch == session.epoch}
            if not counts["spooled"]:  # else an answer may be on its way
                assert counts["stored"] == len(distinct), counts
            total.update(counts)
        return dict(total)

    def close(self) -> None:
        """End what runs."""
        if self.begun:
            self.crash()
        self.remote.real.close()


def wait_for(done: Callable[[], bool], seconds: float = WAIT_S) -> None:
    """Until it is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


@pytest.fixture
def open_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """``open_desk(partitions=…, **capture settings)``; a journal that refused is asked again at once."""
    monkeypatch.setattr(shipping_module, "RETRY_S", (0.001, 0.01))
    monkeypatch.setattr(module, "CLOSE_WAIT_S", 0.2)
    # A disk may be slow: what goes to it for that is told by the tests themselves, and no thread is left to the end of the process.
    monkeypatch.setattr(module, "PATIENCE_S", WAIT_S)
    monkeypatch.setattr(module, "JOIN_S", WAIT_S)
    desks: list[Desk] = []

    def make(**how: Any) -> Desk:
        desks.append(Desk(tmp_path / str(len(desks)), monkeypatch, **how))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def in_order(exchanges: Sequence[Exchange]) -> bool:
    """Whether each partition's exchanges stand as they were captured."""
    seqs: dict[str, int] = {}
    for one in exchanges:  # a session is in one partition
        if seqs.get(one.session, 0) >= one.captured_at_ns:
            return False
        seqs[one.session] = one.captured_at_ns
    return True
