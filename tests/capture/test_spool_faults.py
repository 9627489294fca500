"""What a spool does where steps come in any order: answers that land late, other partitions, wrong clocks, two of one name, what cannot be read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from capture import outbox as module, shipping as shipping_module, spool as spool_module
from capture.account import ledger_of, next_session
from capture.shipping import Shipping
from echolane.errors import HomeError
from echolane.ledger import Counters, capture_identities
from tests.capture.spool_parts import WAIT_S, Desk, wait_for


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
        patch.setattr(module, "PATIENCE_S", WAIT_S)
        patch.setattr(module, "JOIN_S", WAIT_S)
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
    told = re.search(r"(\d+) s ahead of the journal's: set it \(NTP\)", desk.told[0])
    # The desk's clock stands still, the journal's goes on.
    assert told
    assert 3600 - WAIT_S < int(told[1]) <= 3600
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
