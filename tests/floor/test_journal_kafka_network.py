"""A broker behind a network that fails: requests and answers that are slow, cut, reset or lost at any byte. Seeded, and the seed printed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.broker import Broker
from bench.ports import free_port
from echolane.errors import HomeError
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address
from tests.fault_proxy import KINDS, FaultProxy, drawn
from tests.floor.test_journal_kafka_faults import frame_of, number_in

SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
APPENDS, ROUNDS = 60, 2
"""Appends after the last fault was handed out."""
WAIT_S = 240.0
"""A connection that hangs is given up after ten seconds; far more than all of them together take."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("sockets"),
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
]


@pytest.fixture
def far(broker: Broker, tmp_path: Path) -> Iterator[tuple[Broker, int]]:
    """A broker that sends its clients to another port, where the network is; and that port."""
    assert broker.process is not None
    found, port = Broker(tmp_path / "far"), free_port()
    with (found.folder / "server.properties").open("a", encoding="ascii") as file:
        file.write(f"advertised.listeners=PLAIN://127.0.0.1:{port}\n")
    found.start()
    yield found, port
    found.kill()


def test_appends_that_were_acknowledged_stand_once_whatever_the_network_does(far: tuple[Broker, int]) -> None:
    """Connections end at any byte of an append or of its answer: what was acknowledged stands whole where it was said to be, nothing twice."""
    print(f"ECHOLANE_SEED={SEED}")
    found, port = far
    acked: dict[tuple[int, int], int] = {}
    tried: list[tuple[int, int]] = []
    with FaultProxy(found.plain, drawn(random.Random(SEED), ROUNDS, 30_000, 3_000), port) as proxy:
        journal = KafkaJournal(parse_address(f"kafka://127.0.0.1:{port}?prefix=net.&wait_s=90"))
        journal.create("t", 2)
        deadline = time.monotonic() + WAIT_S
        last = 0
        while len(tried) < last + APPENDS:
            last = len(tried) if proxy.left else last
            assert time.monotonic() < deadline, f"{proxy} after {len(tried)} appends (ECHOLANE_SEED={SEED})"
            pair, partition = (2 * len(tried), 2 * len(tried) + 1), len(tried) % 2
            tried.append(pair)
            try:
                positions = journal.append("t", partition, [frame_of(pair[0], 2000), frame_of(pair[1])])
            except HomeError:
                continue
            acked.update({(partition, at): number for at, number in zip(positions, pair, strict=True)})
        stored = {(p, entry.position): number_in(entry.frame) for p in (0, 1) for entry in journal.read("t", p)}
        journal.close()
    print(f"{len(tried)} appends, {len(acked) // 2} acknowledged, {dict(proxy.happened)}")
    numbers = list(stored.values())
    assert len(numbers) == len(set(numbers)), f"stored twice (ECHOLANE_SEED={SEED})"
    assert acked.items() <= stored.items(), f"lost (ECHOLANE_SEED={SEED})"
    assert all((first in numbers) == (second in numbers) for first, second in tried), "an append was torn"
    # A connection on which nothing more is said, as that by which the topic was made, keeps its fault.
    assert proxy.happened.total() >= len(KINDS) * ROUNDS // 2, proxy
