"""The outbox before a journal that fails as it likes: nothing is lost uncounted, nothing counted twice, the disk is bounded."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from capture import outbox as module, shipping as shipping_module, spool as spool_module
from capture.account import Session, ledger_of, next_session, settle
from capture.filters import Filters
from capture.outbox import Outbox
from capture.shipping import Shipping
from capture.storing import Identity, Storing
from echolane.clock import ManualClock
from echolane.errors import HomeError, JournalDown
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


def test_while_the_journal_answers_the_disk_is_left_alone(open_desk: Callable[..., Desk]) -> None:
    """Frames go from memory to the journal; there is no file of a spool, and all is stored in order."""
    desk = open_desk()
    desk.start()
    for _ in range(20):
        desk.take(5)
    desk.settle_down()

    assert desk.check() == {"seen": 100, "stored": 100, "spooled": 0}
    assert in_order(desk.kept())
    assert desk.outbox._spools.epochs() == []
    assert desk.told == []


def test_an_outage_is_ridden_out_on_the_disk(open_desk: Callable[..., Desk]) -> None:
    """What comes meanwhile waits on the disk and leaves in order, before what comes later; then the disk is given back."""
    desk = open_desk()
    desk.start()
    desk.take(10)
    desk.settle_down()
    desk.remote.down = True
    desk.take(10)
    wait_for(lambda: desk.outbox._trouble != "")
    desk.spill()
    for _ in range(10):
        desk.take(10)
    assert desk.check()["spooled"] == 110
    assert desk.spooled() == 110
    desk.remote.down = False
    desk.take(10)
    desk.settle_down()

    assert desk.check() == {"seen": 130, "stored": 130, "spooled": 0}
    assert in_order(desk.kept())
    wait_for(lambda: desk.outbox._spools.epochs() == [])
    wait_for(lambda: len(desk.told) == 3)
    assert [words.split(";")[0] for words in desk.told] == [
        "no broker answers",
        "the journal is back",
        "all that waited on the disk is in the journal",
    ]


def test_what_a_slow_journal_left_on_the_disk_is_sent_before_the_end(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that ends while its journal is slow, and not away, leaves nothing behind that the next run would miss."""
    monkeypatch.setattr(module, "CLOSE_WAIT_S", WAIT_S)
    desk = open_desk()
    desk.start()
    desk.remote.slow_s = 0.2
    desk.take(30)
    desk.spill()
    assert desk.spooled() == 30
    begun = time.monotonic()
    desk.end()

    assert desk.check() == {"seen": 30, "stored": 30, "spooled": 0}
    assert in_order(desk.kept())
    assert time.monotonic() - begun < WAIT_S / 2  # it ends when all is sent, not when its patience does


def test_what_is_left_on_the_disk_is_sent_by_the_next_recorder(open_desk: Callable[..., Desk]) -> None:
    """Ended in an outage, started in it, killed in it: the next one that finds the journal sends all, each in its session's account."""
    desk = open_desk()
    desk.remote.down = True
    desk.start()
    desk.take(20)
    desk.end()
    assert ledger_of(desk.session) == {"seen": 20, "stored": 0, "spooled": 20}
    desk.start()
    desk.take(10)
    desk.spill()
    desk.crash()
    desk.start(same=True)
    desk.take(5)
    desk.spill()
    desk.crash()
    desk.remote.down = False
    desk.start()
    desk.take(5)
    wait_for(lambda: all(ledger_of(one)["spooled"] == 0 for one in desk.sessions))

    assert desk.check() == {"seen": 40, "stored": 40, "spooled": 0}
    assert in_order(desk.kept())
    assert "35 exchanges wait in" in "".join(desk.told)


def test_what_dies_after_the_next_one_began_is_sent_too(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed relay's recorder ends behind the start of the next one, which finds what it left without being started anew."""
    monkeypatch.setattr(shipping_module, "ADOPT_S", 0.01)
    desk = open_desk()
    desk.remote.down = True
    desk.start()
    desk.take(20)
    desk.end()
    old = desk.session
    with held(old.recorder_lock, "recorder"):
        desk.start()
        desk.take(5)
        desk.remote.down = False
        desk.settle_down()
        assert ledger_of(old)["spooled"] == 20
    wait_for(lambda: ledger_of(old)["spooled"] == 0)
    desk.take(5)
    desk.settle_down()

    assert desk.check() == {"seen": 30, "stored": 30, "spooled": 0}
    wait_for(lambda: desk.outbox._spools.epochs() == [])


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_a_full_spool_drops_as_told_and_counts(open_desk: Callable[..., Desk], policy: str) -> None:
    """The disk keeps to its bound; what had no room is counted as spool-full, and the rest reaches the journal."""
    limit = 4 << 20
    desk = open_desk(spool_bytes=limit, spool_policy=policy)
    desk.start()
    desk.remote.down = True
    desk.take(1)
    desk.spill()
    for _ in range(120):
        desk.take(2, 60_000)
        assert desk.outbox._spools.bytes() <= limit + (1 << 20)
    counts = desk.check()
    dropped = counts["dropped{spool-full}"]
    assert 241 - 100 < dropped < 241 - 20, counts
    desk.remote.down = False
    desk.settle_down()

    assert desk.check() == {"seen": 241, "stored": 241 - dropped, "spooled": 0, "dropped{spool-full}": dropped}
    numbers = {int(one.request.target[1:]) for one in desk.kept()}
    assert (241 in numbers) == (policy == "drop-oldest")
    assert (2 in numbers) == (policy == "drop-newest")  # the first is on its way meanwhile
    assert in_order(desk.kept())
    assert len([words for words in desk.told if "raise capture.spool_bytes" in words]) == 1


def test_what_dead_sessions_left_goes_first(open_desk: Callable[..., Desk]) -> None:
    """A bound that many short lives have used up: the oldest go, whole, and the living one goes on recording."""
    desk = open_desk(spool_bytes=2 << 20)
    desk.remote.down = True
    for _ in range(6):
        desk.start()
        for _ in range(6):
            desk.take(1, 60_000)
            desk.spill()
        desk.end()
    desk.start()
    for _ in range(6):
        desk.take(1, 60_000)
        desk.spill()
    before = desk.check()
    assert before["dropped{spool-full}"] >= 6
    desk.remote.down = False
    wait_for(lambda: all(ledger_of(one)["spooled"] == 0 for one in desk.sessions))

    counts = desk.check()
    assert counts["dropped{spool-full}"] == before["dropped{spool-full}"]
    assert counts["stored"] == 42 - counts["dropped{spool-full}"], counts
    assert sum(one.epoch == 7 for one in desk.kept()) == 6  # none of the living one's


def test_without_a_spool_memory_is_the_bound(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """``spool_bytes = 0``: no file, a bounded memory, the rest counted as journal-unavailable."""
    monkeypatch.setattr(module, "MEMORY_MAX", 300_000)
    desk = open_desk(spool_bytes=0)
    desk.start()
    desk.remote.down = True
    for _ in range(40):
        desk.take(1, 20_000)
        desk.outbox.tick()
    dropped = desk.check()["dropped{journal-unavailable}"]
    assert 20 < dropped < 35
    assert desk.outbox._spools.epochs() == []
    desk.remote.down = False
    desk.settle_down()
    assert desk.check() == {"seen": 40, "stored": 40 - dropped, "spooled": 0, "dropped{journal-unavailable}": dropped}


def test_a_full_disk_is_told_and_waited_out(
    open_desk: Callable[..., Desk], small_disk: Path, fill: Callable[[Path], None]
) -> None:
    """The spool's disk is full in an outage: memory holds what it may, one line says so, and all is stored when there is room."""
    desk = open_desk()
    desk.home = open_home(small_disk / "home")
    desk.start()
    desk.remote.down = True
    desk.take(5, 1000)
    desk.spill()
    fill(small_disk / "filler")
    for _ in range(5):
        desk.take(2, 400_000)
        desk.outbox.tick()
    assert desk.outbox._memory
    assert [words for words in desk.told if "the spool cannot be written" in words and "free some space" in words]
    (small_disk / "filler").unlink()
    desk.remote.down = False
    desk.settle_down()

    assert desk.check() == {"seen": 15, "stored": 15, "spooled": 0}
    assert in_order(desk.kept())


@pytest.mark.parametrize("hurt", ["flipped", "cut", "gone", "named"])
def test_a_damaged_spool_costs_what_was_damaged(open_desk: Callable[..., Desk], hurt: str) -> None:
    """A byte is flipped, a file is cut or gone, the topic's name is no JSON: the recorder starts, sends the rest, counts the lost."""
    desk = open_desk(partitions=1)
    desk.remote.down = True
    desk.start()
    desk.take(5, 1000)
    desk.spill()
    for _ in range(30):
        desk.take(1, 30_000)
    desk.end()
    topic = desk.home.spool / f"shop.{desk.session.epoch}"
    (file,) = topic.glob("*/0*.db")
    data = bytearray(file.read_bytes())
    if hurt == "flipped":
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    elif hurt == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif hurt == "gone":
        file.unlink()
    else:
        (topic / "topic.json").write_bytes(b"{")
    desk.remote.down = False
    desk.start()
    desk.take(3)
    wait_for(lambda: all(ledger_of(one)["spooled"] == 0 for one in desk.sessions))

    counts = desk.check()
    lost = counts["dropped{spool-damaged}"]
    assert (1 <= lost <= 2) if hurt == "flipped" else (lost == 35 if hurt in {"gone", "named"} else 1 <= lost <= 35)
    assert counts["stored"] == 38 - lost
    if hurt == "named":
        assert [path.name for path in desk.home.spool.glob("damaged-shop.1-*")]


def test_a_spool_that_goes_under_a_living_recorder_is_counted(open_desk: Callable[..., Desk]) -> None:
    """Somebody removes its file in the outage: one line says what that cost, and what comes later is sent."""
    desk = open_desk(partitions=1)
    desk.remote.down = True
    desk.start()
    desk.take(5)
    wait_for(lambda: desk.outbox._sending is not None)  # in memory, too, until it is sent
    desk.take(6)
    desk.spill()
    for file in (desk.home.spool / f"shop.{desk.session.epoch}").glob("*/0*.db*"):
        file.unlink()
    desk.remote.down = False
    desk.settle_down()
    desk.take(3)
    desk.settle_down()

    assert desk.check() == {"seen": 14, "stored": 8, "spooled": 0, "dropped{spool-damaged}": 6}
    wait_for(lambda: any("6 exchanges in" in words and "were damaged and are lost" in words for words in desk.told))


STEPS = st.lists(
    st.sampled_from(["take", "take", "spill", "down", "up", "deaf", "falls", "crash", "restart", "end", "wait"]),
    min_size=3,
    max_size=16,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_each_exchange_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Outages, lost answers, crashes at any point, restarts: in the end stored is what the journal holds, and the rest is counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipping_module, "RETRY_S", (0.001, 0.01))
        patch.setattr(module, "CLOSE_WAIT_S", 0.05)
        desk = Desk(tmp_path_factory.mktemp("desk"), patch, spool_bytes=64 << 20)
        try:
            desk.start()
            for step in steps:
                if step == "take":
                    desk.take(3)
                elif step == "spill":
                    desk.spill()
                elif step in {"down", "up"}:
                    desk.remote.down = step == "down"
                elif step in {"deaf", "falls"}:
                    desk.remote.deaf, desk.remote.falls = 2 if step == "deaf" else 1, step == "falls"
                elif step == "wait":
                    time.sleep(0.02)
                else:
                    getattr(desk, "crash" if step == "restart" else step)()
                    desk.start(same=step == "restart")
                for session in desk.sessions:
                    assert capture_identities(ledger_of(session)) == []
            desk.remote.deaf, desk.remote.down = 0, False
            desk.take(1)
            wait_for(lambda: all(ledger_of(one)["spooled"] == 0 for one in desk.sessions))
            desk.end()
            counts = desk.check()
            assert len({one.id for one in desk.kept()}) == len(desk.kept()) == counts["stored"], "stored twice"
            assert set(counts) <= {"seen", "stored", "spooled", "dropped{recorder-died}"}
        finally:
            desk.close()


def test_a_request_that_lands_late_is_not_counted_again(open_desk: Callable[..., Desk]) -> None:
    """A broker takes a request after it was looked for and sent again: it stands twice, is one exchange, and is counted as one."""
    desk = open_desk(partitions=1)
    desk.start()
    desk.take(4)
    desk.settle_down()
    (entry,) = desk.remote.real.read("exchanges.shop", 0)
    desk.remote.real.append("exchanges.shop", 0, [entry.frame])
    desk.remote.deaf = 1
    desk.take(3)
    desk.settle_down()
    assert desk.check() == {"seen": 7, "stored": 7, "spooled": 0}
    assert len(desk.kept()) == 11

    desk.take(1)
    desk.settle_down()
    *_, entry = desk.remote.real.read("exchanges.shop", 0)
    desk.remote.real.append("exchanges.shop", 0, [entry.frame])
    desk.remote.deaf, desk.remote.falls = 1, True
    desk.take(2)
    wait_for(lambda: desk.remote.down)
    desk.crash()
    desk.start(same=True)
    desk.remote.down = False
    desk.settle_down()
    assert desk.check() == {"seen": 10, "stored": 10, "spooled": 0}


def test_a_journal_with_other_partitions_gets_all(open_desk: Callable[..., Desk]) -> None:
    """Begun without the journal, with another number of partitions than it turns out to have: everything arrives all the same."""
    desk = open_desk(partitions=4)
    desk.remote.real.create("exchanges.shop", 3)
    desk.remote.down = True
    desk.start()
    desk.take(20)
    desk.spill()
    desk.remote.down = False
    desk.remote.deaf = 2
    desk.settle_down()
    assert desk.check() == {"seen": 20, "stored": 20, "spooled": 0}


def test_a_clock_that_is_off_is_told_once(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour ahead of the journal's clock: one line says how much, and what to do."""
    monkeypatch.setattr(shipping_module, "CHECK_S", 0.0)
    desk = open_desk()
    desk.clock.now_ns += 3600 * 10**9
    desk.start()
    for _ in range(5):
        desk.take(2)
        desk.settle_down()
    assert len(desk.told) == 1
    assert "3600 s ahead of the journal's: set it (NTP)" in desk.told[0] or "3599 s ahead" in desk.told[0]
    assert desk.check()["stored"] == 10


def test_two_recorders_with_one_name_are_told(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied home has the same name and epoch: whoever sees the other's claim says so; a home's own next session is no stranger."""
    monkeypatch.setattr(shipping_module, "CHECK_S", 0.0)
    desk = open_desk()
    desk.start()
    desk.take(2)
    desk.settle_down()
    desk.end()
    desk.start()
    for _ in range(3):
        desk.take(2)
        desk.settle_down()
    assert desk.told == []
    group = f"agent.{desk.session.agent}"
    claim = desk.remote.real.committed(group, "exchanges.shop", 0)
    assert claim >> 24 == 2
    sibling = next_session(desk.home, "shop")
    Counters(sibling.relay).close()
    desk.remote.real.commit(group, "exchanges.shop", 0, sibling.epoch << 24 | 1)
    for _ in range(2):
        desk.take(2)
        desk.settle_down()
    assert desk.told == []
    desk.remote.real.commit(group, "exchanges.shop", 0, claim ^ 2)  # the copy's: the same epoch, another chance
    desk.take(2)
    desk.settle_down()
    wait_for(lambda: desk.told != [])
    assert f"has this one's name, {desk.session.agent}" in desk.told[0]
    assert desk.check()["stored"] == 14


def test_a_spool_is_read_in_batches_that_one_record_can_hold(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send holds at most a batch of frames, so that it is stored whole or not at all."""
    monkeypatch.setattr(spool_module, "BATCH_BYTES", 100_000)
    desk = open_desk(partitions=1)
    desk.remote.down = True
    desk.start()
    for _ in range(40):
        desk.take(1, 12_000)
        desk.spill()
    desk.remote.down = False
    desk.settle_down()
    assert desk.check()["stored"] == 40
    assert 4 <= desk.remote.appended <= 20


def test_an_outbox_that_cannot_be_read_says_so(open_desk: Callable[..., Desk]) -> None:
    """An error of the disk while it sends is no end of the thread: it is tried again."""
    desk = open_desk()
    desk.remote.down = True
    desk.start()
    desk.take(5)
    desk.spill()
    real = desk.outbox._own.spool.next
    faults = [HomeError("the disk hangs"), HomeError("the disk hangs")]

    def reading() -> Any:
        if faults:
            raise faults.pop()
        return real()

    desk.outbox._own.spool.next = reading  # type: ignore[method-assign]
    desk.remote.down = False
    desk.settle_down()
    assert desk.check()["stored"] == 5


def test_what_was_dropped_in_doubt_and_is_stored_is_counted_as_stored(open_desk: Callable[..., Desk]) -> None:
    """Appended without an answer, killed, dropped from a full disk: when the journal is back it knows better, and is believed."""
    desk = open_desk(partitions=1, spool_bytes=2 << 20)
    desk.start()
    desk.take(3)
    desk.settle_down()
    desk.remote.deaf, desk.remote.falls = 1, True
    desk.take(4, 100)
    wait_for(lambda: desk.remote.down)
    desk.spill()
    desk.crash()
    desk.start(same=True)
    for _ in range(60):
        desk.take(1, 60_000)
        desk.spill()
    before = desk.check()
    assert before["dropped{spool-full}"] > 4
    desk.remote.down = False
    desk.settle_down()
    counts = desk.check()
    assert counts["dropped{spool-full}"] == before["dropped{spool-full}"] - 4
    assert sum(one.seq <= 7 for one in desk.kept()) == 7


def test_a_thread_that_has_ended_ends_the_recorder(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in the thread is not silent: what waits goes to the disk, and the recorder begins anew."""
    monkeypatch.setattr(Shipping, "run", lambda *_: None)
    desk = open_desk()
    desk.start()
    wait_for(lambda: not desk.outbox._thread.is_alive())
    desk.take(3)
    with pytest.raises(RuntimeError, match="begins anew"):
        desk.outbox.tick()
    assert desk.spooled() == 3
