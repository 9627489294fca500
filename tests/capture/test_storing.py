"""From an exchange to the journal: what is kept, what is left out and why, and what a journal that refuses costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from capture import storing as module
from capture.account import losses, stored_by
from capture.appending import Direct
from capture.filters import Filters
from capture.storing import Identity, Storing
from echolane.errors import HomeError, JournalFull
from echolane.exchange import Body, Exchange, Request, Response
from echolane.frame import decode_frame
from echolane.journal import Journal, open_journal
from echolane.keys import SealKey
from echolane.ledger import Counters, capture_identities
from echolane.marks import Signer
from echolane.masks import Masker
from echolane.settings import Capture

MARK_KEY = bytes(range(32))
SEAL = SealKey.of(bytes(range(32, 64)))
WHO = Identity("shop", "a1", 3)


class Faulty:
    """A journal that, when told so, refuses an append before or after it has stored it."""

    def __init__(self, real: Journal) -> None:
        self._real = real
        self.fault: list[tuple[Exception, bool]] = []
        """What the next appends raise, and whether they have stored all the same; the last one stays."""

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """The journal's, with the fault."""
        if not self.fault:
            return self._real.append(topic, partition, frames)
        error, stored = self.fault[0]
        if len(self.fault) > 1:
            self.fault.pop(0)
        if stored:
            self._real.append(topic, partition, frames)
        raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Desk:
    """One Storing over a real journal."""

    def __init__(self, folder: Path, capture: Capture, partitions: int) -> None:
        self.journal = Faulty(open_journal(folder))
        self.counters = Counters(folder / "recorder")
        masker = Masker(SEAL.mask_key(), seal_key=SEAL)
        self.storing = Storing(
            Direct(self.journal, self.counters, WHO, partitions),
            self.counters,
            WHO,
            masker,
            Filters(capture),
            mark_key=MARK_KEY,
        )
        self.taken = 0

    def take(
        self,
        target: str = "/",
        *headers: tuple[bytes, bytes],
        method: str = "GET",
        body: bytes = b"",
        client: str = "c",
    ) -> None:
        """One exchange that was seen."""
        self.taken += 1
        asked = Request(method, "http", "h", target, "1.1", list(headers), Body())
        answer = Response(200, "1.1", [], Body(data=body, size=len(body)), [], b"OK")
        self.storing.take(asked, answer, "", (self.taken, 1), client)

    def kept(self) -> list[Exchange]:
        """What the journal holds, in order of seq."""
        topic = "exchanges.shop"
        found = [
            one
            for partition in range(self.journal.partitions(topic))
            for entry in self.journal.read(topic, partition, 0)
            for one in decode_frame(entry.frame, Exchange)
        ]
        return sorted(found, key=lambda one: one.seq)

    def check(self) -> dict[str, int]:
        """Balanced, all counted, none twice, and a gap in seq for each loss; the counters."""
        counts, kept = self.counters.read(), self.kept()
        shown = {**counts, "seen": self.taken, "spooled": self.storing.waiting}
        assert capture_identities(shown) == [], shown
        assert counts.get("stored", 0) == len(kept) == stored_by(self.journal, WHO, counts)
        seqs = [one.seq for one in kept]
        assert len(set(seqs)) == len(seqs)
        assert self.storing.seq == len(kept) + self.storing.waiting + losses(counts)
        return counts

    def close(self) -> None:
        """Close journal and counters."""
        self.journal.close()
        self.counters.close()


@pytest.fixture
def open_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """``open_desk(partitions=…, **capture settings)``; a journal that refused is asked again at once."""
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    desks: list[Desk] = []

    def make(partitions: int = 2, **capture: Any) -> Desk:
        desks.append(Desk(tmp_path / str(len(desks)), Capture(**capture), partitions))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def test_our_own_replays_are_not_recorded_and_forged_marks_hide_nothing(open_desk: Callable[..., Desk]) -> None:
    """Only a mark signed with this home's key keeps a request out; any other is a user's request, and noted."""
    good, hop = Signer(MARK_KEY, "run").sign("one"), Signer(MARK_KEY, "run").sign("one", 2)
    other = Signer(bytes(32), "run").sign("one")
    desk = open_desk()
    for value in (good, hop, b" " + good + b"\t"):
        desk.take("/ours", (b"X-Echolane-Replay", value))
    for value in (other, good[:-1], good.replace(b";1;", b";2;"), b"", b"v1", good + b"x"):
        desk.take("/theirs", (b"X-Echolane-Replay", value))
    desk.take("/both", (b"X-Echolane-Replay", other), (b"x-echolane-replay", good))
    desk.storing.flush()

    counts = desk.check()
    assert [one.request.target for one in desk.kept()] == ["/theirs"] * 6
    assert (counts["dropped{replayed}"], counts["forged-marks"]) == (4, 6)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, ["GET /a", "POST /a/b", "GET /healthz", "GET http://h/a/c", "OPTIONS *"]),
        ({"methods": ["get"]}, ["GET /a", "GET /healthz", "GET http://h/a/c"]),
        ({"paths": ["/a"]}, ["GET /a", "POST /a/b", "GET http://h/a/c"]),
        ({"not_paths": ["/healthz", "/a/"]}, ["GET /a", "OPTIONS *"]),
        ({"paths": ["/a"], "not_paths": ["/a/b"], "methods": ["GET", "POST"]}, ["GET /a", "GET http://h/a/c"]),
    ],
)
def test_filters_leave_out_and_count(open_desk: Callable[..., Desk], rules: dict[str, Any], kept: list[str]) -> None:
    """Methods and path prefixes, in absolute form too; what is left out is counted and leaves no gap in seq."""
    asked = ["GET /a", "POST /a/b", "GET /healthz", "GET http://h/a/c", "OPTIONS *"]
    desk = open_desk(**rules)
    for one in asked:
        method, _, target = one.partition(" ")
        desk.take(target, method=method)
    desk.storing.flush()

    counts = desk.check()
    assert [f"{one.request.method} {one.request.target}" for one in desk.kept()] == kept
    assert counts.get("dropped{filtered}", 0) == len(asked) - len(kept)
    assert [one.seq for one in desk.kept()] == list(range(1, len(kept) + 1))


def test_sampling_keeps_sessions_whole(open_desk: Callable[..., Desk]) -> None:
    """A session is kept with all its exchanges or with none, the same ones in every recorder, about as many as asked."""
    chosen: list[set[str]] = []
    for _ in range(2):
        desk = open_desk(sampling=0.3)
        for number in range(600):
            desk.take(f"/{number % 200}", (b"Cookie", b"sessionid=user%04dabcdef" % (number % 200)))
        desk.storing.flush()
        counts = desk.check()
        found = [one.request.target for one in desk.kept()]
        assert all(found.count(target) == 3 for target in found)
        assert counts["dropped{sampled}"] == 600 - len(found)
        assert {(one.sampling_rule, one.sampling_probability) for one in desk.kept()} == {("session", 0.3)}
        chosen.append(set(found))
    assert chosen[0] == chosen[1]
    assert 30 < len(chosen[0]) < 95


@pytest.mark.parametrize(("share", "kept"), [(0.0, 0), (1.0, 5)])
def test_sampling_none_and_all(open_desk: Callable[..., Desk], share: float, kept: int) -> None:
    """0 records nothing and 1 everything, whatever the session."""
    desk = open_desk(sampling=share)
    for number in range(5):
        desk.take(client=str(number))
    desk.storing.flush()
    assert desk.check().get("stored", 0) == kept


def test_a_full_journal_keeps_all_until_there_is_room(open_desk: Callable[..., Desk]) -> None:
    """While the disk is full exchanges wait; when there is room again all are stored, once."""
    desk = open_desk()
    desk.take("/before")
    desk.storing.flush()
    desk.journal.fault = [(JournalFull("full"), False)]
    for number in range(20):
        desk.take(f"/{number}", client=str(number))
        desk.storing.flush()
    assert desk.storing.refused == "journal-full"
    assert desk.check()["stored"] == 1
    assert desk.storing.waiting == 20
    desk.journal.fault = []
    desk.storing.flush()
    assert desk.check()["stored"] == 21
    assert desk.storing.refused == ""


@pytest.mark.parametrize(
    ("error", "reason"), [(JournalFull("full"), "journal-full"), (HomeError("gone"), "journal-unavailable")]
)
def test_what_waits_is_bounded_and_then_counted(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """A journal that never takes anything costs a bounded memory; what does not fit, and what waits at the end, is dropped by its reason."""
    monkeypatch.setattr(module, "WAITING_BYTES_MAX", 1_000_000)
    desk = open_desk()
    desk.journal.fault = [(error, False)]
    for number in range(100):
        desk.take(f"/{number}", body=b"x" * 50_000)
        desk.storing.flush()
    assert desk.check()[f"dropped{{{reason}}}"] == 100 - desk.storing.waiting
    assert 15 <= desk.storing.waiting <= 20
    desk.storing.flush(last=True)
    counts = desk.check()
    assert desk.storing.waiting == 0
    assert counts[f"dropped{{{reason}}}"] == 100


def test_a_frame_s_worth_is_not_kept_waiting(open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that holds a frame is appended at once, not at the next tick."""
    monkeypatch.setattr(module, "FRAME_BYTES", 10_000)
    desk = open_desk(partitions=1)
    for number in range(10):
        desk.take(f"/{number}", body=bytes(range(256)) * 20)
    assert desk.storing.waiting < 3
    assert desk.check()["stored"] >= 8


FAULTS = st.sampled_from(
    [
        [],
        [(JournalFull("full"), False)],
        [(HomeError("late"), True)],
        [(HomeError("late"), True), (JournalFull("full"), False)],
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 6), FAULTS), min_size=1, max_size=8),
    last=FAULTS,
)
def test_whatever_an_append_says_the_journal_is_believed(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, list[tuple[Exception, bool]]]],
    last: list[tuple[Exception, bool]],
) -> None:
    """An append that raised may have stored: the journal is asked, so nothing is stored twice or counted wrong."""
    before, module.RETRY_S = module.RETRY_S, 0.0
    desk = Desk(tmp_path_factory.mktemp("desk"), Capture(), 2)
    try:
        for number, (count, fault) in enumerate(steps):
            for other in range(count):
                desk.take(f"/{number}/{other}", client=str(other))
            desk.journal.fault = list(fault)
            desk.storing.flush()
        desk.journal.fault = list(last)
        desk.storing.flush(last=True)
        counts = desk.counters.read()
        stored = stored_by(desk.journal, WHO, counts)  # as the account is settled at the end
        assert stored == len(desk.kept())
        assert len({one.request.target for one in desk.kept()}) == len(desk.kept())
        dropped = sum(value for name, value in counts.items() if name.startswith("dropped{journal-"))
        if not last:
            assert (stored, dropped) == (desk.taken, 0)
        else:
            assert stored + dropped == desk.taken, counts
    finally:
        module.RETRY_S = before
        desk.close()
