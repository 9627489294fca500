"""The pipe between relay and recorder: whole batches in order, never waited for, bounded, and exact about what it shed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from capture.exchanging import Half, Raw
from capture.pipe import BACKLOG_MAX, BATCH_BYTES, BATCH_MAX, SOCKET_BYTES, PipeReader, PipeWriter
from echolane.ledger import Counters, capture_identities


def raw(number: int, body: bytes = b"") -> Raw:
    """An exchange that can be told from others."""
    asked = Half(b"GET /%d HTTP/1.1\r\n\r\n" % number, body, len(body), b"", False, False, b"", True)
    return Raw(number, 5, "127.0.0.1", asked, None if number % 2 else asked, "")


class Ends:
    """A writer with its counters, and the reader of whoever is the recorder now."""

    def __init__(self, path: Path) -> None:
        self.counters = Counters(path)
        self.writer = PipeWriter(asyncio.get_running_loop(), self.counters)
        self.got: list[Raw] = []
        self.shed = 0
        self.sockets: list[socket.socket] = []
        self.reader = self.recorder()

    def recorder(self) -> PipeReader:
        """A (new) recorder."""
        self.writer.disconnect()
        ours, theirs = socket.socketpair()
        self.sockets += [ours, theirs]
        self.writer.connect(ours)
        self.reader = PipeReader(theirs)
        return self.reader

    def read(self, wait_s: float = 0) -> int:
        """Read once; how many batches came."""
        batches = self.reader.read(wait_s)
        for batch in batches:
            self.got += batch.raws
            self.shed += batch.shed
        return len(batches)

    async def take(self) -> None:
        """Read until nothing is left on either side; a large batch comes in several reads."""
        self.writer.flush()
        before = -1
        while self.read(0.002) or self.reader._to != before or not self.writer.empty:
            before = self.reader._to
            await asyncio.sleep(0)  # lets the writer go on where the socket was full

    def close(self) -> None:
        """Close all ends."""
        self.writer.disconnect()
        self.counters.close()
        for one in self.sockets:
            one.close()


@pytest.fixture
async def ends(tmp_path: Path) -> Iterator[Ends]:
    """One pipe."""
    found = Ends(tmp_path / "relay")
    yield found
    found.close()


async def test_batches_of_any_size_arrive_whole_and_in_order(ends: Ends) -> None:
    """From nothing to many times the socket, in whatever pieces the kernel takes them; the reader's memory shrinks again."""
    sizes = [0, 10, BATCH_BYTES, 3, 20 * SOCKET_BYTES, 0, 8 << 20, *range(0, 3000, 100)]
    sent = [raw(number, bytes([number % 251]) * size) for number, size in enumerate(sizes)]
    for one in sent:
        ends.writer.whole(one)
    await ends.take()

    assert ends.got == sent
    assert ends.counters.read() == {"seen": len(sent), "delivered": len(sent)}
    assert len(ends.reader._buffer) == SOCKET_BYTES


async def test_an_exchange_alone_does_not_wait_for_company(ends: Ends) -> None:
    """A batch that is not full is written when it is some milliseconds old."""
    ends.writer.whole(raw(1))
    await asyncio.sleep(0.05)

    assert ends.writer.empty
    assert [one.raws for one in ends.reader.read(0)] == [[raw(1)]]


async def test_what_nobody_takes_is_shed_and_counted(ends: Ends) -> None:
    """A recorder that reads nothing costs a bounded memory; what is shed is told to it with the next batch, so that `seq` has its gap."""
    body = b"x" * 500_000
    for number in range(200):
        ends.writer.whole(raw(number, body))
        await asyncio.sleep(0)
    held = sum(len(one.data) for one in ends.writer._waiting)
    shed = ends.counters.get("dropped{recorder-busy}")

    assert held <= BACKLOG_MAX + len(body)
    assert shed > 100
    await ends.take()
    ends.writer.whole(raw(1000))
    await ends.take()
    counts = ends.counters.read()
    assert len(ends.got) == 201 - shed == counts["delivered"]
    assert ends.shed == shed
    assert ends.got[-1] == raw(1000)
    assert capture_identities({**counts, "stored": len(ends.got)}) == []


async def test_a_recorder_that_dies_in_a_batch_leaves_it_to_the_next(ends: Ends) -> None:
    """What was written in part goes to its successor from its beginning; what was delivered whole does not come again."""
    ends.writer.whole(raw(0))
    ends.writer.flush()
    sent = [raw(number, b"y" * (3 * SOCKET_BYTES)) for number in range(1, 4)]
    for one in sent:
        ends.writer.whole(one)
    ends.writer.flush()
    assert ends.counters.get("delivered") == 1
    assert ends.writer._sent > 0
    backlog = ends.writer._backlog + ends.writer._sent

    ends.recorder()
    assert ends.writer._backlog + ends.writer._sent == backlog
    await ends.take()
    assert ends.got == sent
    assert ends.counters.get("delivered") == 4
    assert ends.writer._backlog == 0


async def test_without_a_recorder_all_waits(ends: Ends) -> None:
    """Between two recorders nothing is lost while there is room."""
    ends.writer.disconnect()
    for number in range(50):
        ends.writer.whole(raw(number))
    ends.writer.flush()
    assert ends.counters.get("delivered") == 0
    assert not ends.writer.empty
    ends.recorder()
    await ends.take()
    assert [one.captured_at_ns for one in ends.got] == list(range(50))


async def test_what_waits_at_the_end_is_shed_and_counted(ends: Ends) -> None:
    """What no recorder took is given up in the end, a batch that one had in part as well: it is the recorder that was too slow."""
    for number in range(3):
        ends.writer.whole(raw(number, b"x" * 4 * SOCKET_BYTES))
    ends.writer.whole(raw(3))
    assert not ends.writer.empty
    ends.writer.end()
    while not ends.reader.ended:
        ends.read(0.01)
    counts = ends.counters.read()

    assert ends.writer.empty
    assert counts["seen"] == 4
    assert len(ends.got) + counts["dropped{recorder-busy}"] == 4
    assert counts.get("delivered", 0) == len(ends.got)


async def test_a_dead_end_raises_nothing(ends: Ends) -> None:
    """The other end is gone and nobody has told the writer yet: the client's path notices nothing."""
    ends.sockets[1].close()
    for number in range(20):
        ends.writer.whole(raw(number, b"z" * 100_000))
        await asyncio.sleep(0)
    assert ends.counters.get("seen") == 20
    ends.recorder()
    await ends.take()
    assert ends.counters.get("delivered") >= len(ends.got) >= 18


async def test_the_end_comes_after_what_was_written(ends: Ends) -> None:
    """The relay's last batch is read before the end is seen."""
    ends.writer.whole(raw(7))
    ends.writer.flush()
    ends.writer.disconnect()

    assert [batch.raws for batch in ends.reader.read(1)] == [[raw(7)]]
    assert not ends.reader.ended
    assert ends.reader.read(1) == []
    assert ends.reader.ended


def test_a_claim_that_no_relay_makes_is_refused() -> None:
    """Garbage on the pipe must not make the recorder ask for gigabytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(struct.pack("<III", BATCH_MAX + 1, 1, 0))
        with pytest.raises(ValueError, match="not written by a relay"):
            PipeReader(theirs).read(1)


STEP = st.one_of(
    st.tuples(st.just("whole"), st.integers(0, 400_000)),
    st.tuples(st.sampled_from(["lost", "read", "die", "flush"]), st.just(0)),
)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=40))
def test_every_exchange_is_got_or_counted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever is sent, read and killed in whatever order: seen = got + died with a recorder + dropped, and none comes twice."""

    async def play() -> None:
        ends = Ends(tmp_path_factory.mktemp("pipe") / "relay")
        died = 0  # with a recorder: delivered to it and never read
        try:
            for number, (step, size) in enumerate(steps):
                if step == "whole":
                    ends.writer.whole(raw(number, b"b" * size))
                elif step == "lost":
                    ends.writer.lost("unframeable")
                elif step == "flush":
                    ends.writer.flush()
                elif step == "read":
                    ends.read()
                else:
                    died = ends.counters.get("delivered") - len(ends.got)
                    ends.recorder()
                await asyncio.sleep(0)
            await ends.take()
            counts = ends.counters.read()
            assert len({one.captured_at_ns for one in ends.got}) == len(ends.got)
            assert counts.get("delivered", 0) == len(ends.got) + died
            assert capture_identities({**counts, "stored": len(ends.got) + died}) == []
        finally:
            ends.close()

    asyncio.run(play())
