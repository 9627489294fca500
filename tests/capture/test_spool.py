"""The outbox before a journal that fails as it likes: nothing is lost uncounted, nothing counted twice, the disk is bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capture import outbox as module, shipping as shipping_module
from capture.account import ledger_of
from capture.spool import BATCH_BYTES
from echolane.home import open_home
from echolane.lease import held
from tests.capture.spool_parts import WAIT_S, Desk, in_order, wait_for


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


def test_a_journal_that_is_slow_before_it_is_known_to_be_away_is_told_as_away(open_desk: Callable[..., Desk]) -> None:
    """Packets vanish: what waits goes to the disk before anybody knows why; that no broker answers is said once, when it is known."""
    desk = open_desk()
    append, asked = desk.remote.append, threading.Event()

    def silent(*words: Any) -> list[int]:
        asked.wait(WAIT_S)
        return append(*words)

    desk.remote.append = silent
    desk.start()
    desk.take(10)
    desk.spill()  # as after a second without an answer
    desk.remote.down = True
    asked.set()
    wait_for(lambda: desk.outbox._trouble != "")
    desk.take(20)
    desk.remote.down = False
    desk.settle_down()

    assert desk.check() == {"seen": 30, "stored": 30, "spooled": 0}
    wait_for(lambda: "all that waited" in desk.told[-1])
    assert [words.split(";")[0] for words in desk.told] == [
        "the journal is slow",
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
    lost = set(range(1, 242)) - numbers
    assert lost == set(range(min(lost), max(lost) + 1))
    # Of the oldest, as many as a sender takes at once may be on their way meanwhile.
    assert min(lost) <= 3 + BATCH_BYTES // 60_000 if policy == "drop-oldest" else max(lost) == 241
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
