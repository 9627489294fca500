"""A broker that is killed, stopped, or hurt on its disk: nothing acknowledged is lost, nothing is stored twice, everything is said."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from bench.broker import Broker
from echolane.errors import HomeError
from echolane.frame import INTENTS, decode_frame, encode_frame
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address
from echolane.journal.kafka_clients import REQUEST_S
from echolane.journal.kafka_reading import SILENT_S
from echolane.observation import Intent
from tests.waiting import wait_until

PREFIXES = count(1)
SEED = int(os.environ.get("ECHOLANE_SEED", "0")) or random.randrange(1 << 30)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("sockets"),
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
]


def frame_of(number: int, size: int = 0) -> bytes:
    """A sound frame that can be told from others."""
    intent = Intent(f"e{number}", 0, os.urandom(size // 2).hex(), number)
    return encode_frame([intent], kind=INTENTS, partition=0, first_ns=number, last_ns=number)


def number_in(frame: bytes) -> int:
    """Which frame this is."""
    return decode_frame(frame, Intent)[0].attempt


@pytest.fixture(scope="module")
def own(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that only these tests use, and hurt."""
    found = Broker(tmp_path_factory.mktemp("hurt"))
    found.start()
    yield found
    found.kill()


@pytest.fixture
def journal_at(own: Broker) -> Iterator[Callable[[float], KafkaJournal]]:
    """``journal_at(wait_s)``: a journal with a topic of two partitions.

    One that a failed test left open would look for its broker, and leave sockets, until the session ends.
    """
    opened: list[KafkaJournal] = []

    def open_at(wait_s: float) -> KafkaJournal:
        if own.process is None:
            own.start()
        opened.append(KafkaJournal(parse_address(own.url(f"prefix=f{next(PREFIXES)}.&wait_s={wait_s}"))))
        opened[-1].create("t", 2)
        return opened[-1]

    yield open_at
    for journal in opened:
        journal.close()


def test_what_was_acknowledged_outlives_kills_of_the_broker(
    own: Broker, journal_at: Callable[[float], KafkaJournal]
) -> None:
    """Four writers go on over kill -9 and restart: each append stands once, whole, where it was said to be."""
    print(f"ECHOLANE_SEED={SEED}")
    chance, journal = random.Random(SEED), journal_at(60)
    over, numbers, lock = threading.Event(), count(), threading.Lock()
    acked: dict[tuple[int, int], int] = {}
    tried: list[tuple[int, int, bool]] = []

    def write(partition: int) -> None:
        while not over.is_set():
            with lock:
                pair = next(numbers), next(numbers)
            try:
                positions = journal.append("t", partition, [frame_of(pair[0], 2000), frame_of(pair[1])])
            except HomeError:
                tried.append((*pair, False))
                continue
            tried.append((*pair, True))
            acked.update({(partition, at): number for at, number in zip(positions, pair, strict=True)})

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, partition) for partition in (0, 1, 0, 1)]
        for _ in range(int(os.environ.get("ECHOLANE_KILLS", "3"))):
            time.sleep(0.2 + chance.random())
            own.kill()
            own.start()
        try:
            wait_until(lambda: sum(sound for *_, sound in list(tried)) > 20, 120)
        finally:
            over.set()
        for writer in writers:
            writer.result(120)

    stored = [(p, entry.position, number_in(entry.frame)) for p in (0, 1) for entry in journal.read("t", p)]
    found = [number for _, _, number in stored]
    journal.close()
    assert len(found) == len(set(found)), f"stored twice (ECHOLANE_SEED={SEED})"
    assert acked.items() <= {(p, at): number for p, at, number in stored}.items(), f"lost (ECHOLANE_SEED={SEED})"
    assert all((first in set(found)) == (second in set(found)) for first, second, _ in tried), "an append was torn"


def test_a_broker_that_is_stopped_for_a_while_stores_nothing_twice(
    own: Broker, journal_at: Callable[[float], KafkaJournal]
) -> None:
    """The client sends again what was not answered in time; the broker, going on, finds both and keeps one."""
    journal = journal_at(60)
    journal.append("t", 0, [frame_of(0)])
    own.signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(journal.append, "t", partition, [frame_of(partition + 1)]) for partition in (0, 1)]
            time.sleep(REQUEST_S + 1.5)  # the first request was given up by then
            assert not any(one.done() for one in waiting)
            own.signal(signal.SIGCONT)
            assert [one.result(90) for one in waiting] == [[1], [0]]
    finally:
        own.signal(signal.SIGCONT)

    assert [[number_in(entry.frame) for entry in journal.read("t", p)] for p in (0, 1)] == [[0, 1], [2]]


def test_a_broker_that_stays_stopped_is_said_in_time(own: Broker, journal_at: Callable[[float], KafkaJournal]) -> None:
    """Every operation ends with one line that names the broker, none waits for ever, and all works again when it goes on."""
    journal = journal_at(3)
    journal.append("t", 0, [frame_of(n) for n in range(5)])
    reading = journal.read("t", 0)
    own.signal(signal.SIGSTOP)
    started = time.monotonic()
    try:
        with pytest.raises(HomeError, match=r"127\.0\.0\.1"):
            list(reading)
        for ask in (
            lambda: journal.append("t", 1, [frame_of(9)]),
            lambda: journal.end("t", 0),
            lambda: journal.commit("g", "t", 0, 1),
            journal.topics,
        ):
            with pytest.raises(HomeError, match=r"no broker of .*127\.0\.0\.1"):
                ask()
    finally:
        own.signal(signal.SIGCONT)
    assert time.monotonic() - started < 120  # each of the five waits for three seconds, and a machine may stand still

    assert journal.append("t", 0, [frame_of(5)]) == [5]
    assert [number_in(entry.frame) for entry in journal.read("t", 0)] == list(range(6))
    assert len(list(journal.read("t", 1))) <= 1  # whether it was stored is unknown; twice it is not


def test_a_hurt_log_on_the_brokers_disk_costs_what_is_hurt(
    own: Broker, journal_at: Callable[[float], KafkaJournal]
) -> None:
    """A byte that changed on the disk: Kafka's checksum finds it, the batch is set aside and counted, all others are given."""
    journal = journal_at(20)
    for number in range(4):
        journal.append("t", 0, [frame_of(10 * number, 3000), frame_of(10 * number + 1, 3000)])
    journal.append("t", 1, [frame_of(77)])
    name = f"{journal._address.prefix}t-0"
    own.stop()
    (log,) = (own.folder / "data" / name).glob("*.log")
    data = bytearray(log.read_bytes())
    data[len(data) // 4 + 500] ^= 1  # in the second of four equal batches
    log.write_bytes(data)
    own.start()

    assert [number_in(entry.frame) for entry in journal.read("t", 0)] == [0, 1, 20, 21, 30, 31]
    assert [number_in(entry.frame) for entry in journal.read("t", 1)] == [77]
    assert journal.damaged("t") == 2
    assert journal.append("t", 0, [frame_of(40)]) == [8]


def test_a_reader_that_takes_its_time_loses_nothing(own: Broker, journal_at: Callable[[float], KafkaJournal]) -> None:
    """Between two entries a broker may be killed and come back: the reader goes on where it was."""
    journal = journal_at(60)
    for number in range(40):
        journal.append("t", 0, [frame_of(number, 400_000)])
    reading = journal.read("t", 0)
    read = [number_in(next(reading).frame) for _ in range(3)]
    own.kill()
    own.start()
    read += [number_in(entry.frame) for entry in reading]
    journal.close()

    assert read == list(range(40))


def test_a_reader_whose_client_has_gone_dumb_takes_another(
    own: Broker, journal_at: Callable[[float], KafkaJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that asks for nothing any more, as some do that saw a broker die, costs seconds and not the reading."""
    journal = journal_at(20)
    journal.append("t", 0, [frame_of(number) for number in range(3)])
    assert len(list(journal.read("t", 0))) == 3
    (dumb,) = journal._clients._idle
    monkeypatch.setattr(dumb, "poll", lambda **_: {})

    assert [number_in(entry.frame) for entry in journal.read("t", 0)] == [0, 1, 2]
    assert dumb not in journal._clients._idle


def test_a_reader_waits_for_a_broker_that_comes_back(own: Broker, journal_at: Callable[[float], KafkaJournal]) -> None:
    """Between two polls the broker is gone for longer than a client is waited for: the reading ends whole all the same."""
    journal = journal_at(60)
    for number in range(40):
        journal.append("t", 0, [frame_of(number, 400_000)])
    reading = journal.read("t", 0)
    read = [number_in(next(reading).frame)]
    own.kill()
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(lambda: [number_in(entry.frame) for entry in reading])
        time.sleep(2 * SILENT_S)
        own.start()
        read += rest.result(90)

    assert read == list(range(40))


def test_a_reading_that_was_dropped_locks_nobody_up(own: Broker, journal_at: Callable[[float], KafkaJournal]) -> None:
    """The collector may end a reading in the middle of a question that finds no broker; that question does not wait for itself."""
    journal = journal_at(6)
    for number in range(40):
        journal.append("t", 0, [frame_of(number, 400_000)])

    def drop() -> None:
        reading = journal.read("t", 0)
        assert number_in(next(reading).frame) == 0
        ring: list[object] = [reading]
        ring.append(ring)

    def ask() -> None:
        for _ in range(2):
            with suppress(HomeError):
                journal.topics()

    gc.disable()
    try:
        drop()
        own.kill()
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(120)
    finally:
        gc.enable()
    locked = asking.is_alive()
    if locked:  # or the fixture would wait for the same lock
        journal._clients._guard = threading.RLock()
    own.start()

    assert not locked
    assert journal.topics() == ["t"]


OUTAGE = """
import gc, os, sys, threading
from echolane.errors import HomeError
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address

journal = KafkaJournal(parse_address(sys.argv[1]))
frame = bytes.fromhex(sys.argv[2])
journal.append("t", 0, [frame])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    try:
        journal.append("t", 0, [frame])
    except HomeError:
        pass
    gc.collect()
    print(threading.active_count(), len(os.listdir("/proc/self/fd")), flush=True)
"""


def test_an_outage_leaves_no_threads_and_files_behind(own: Broker, journal_at: Callable[[float], KafkaJournal]) -> None:
    """However often a process tries while the broker is gone, it holds no more than after the first time."""
    journal = journal_at(1)
    url = own.url(f"prefix={journal._address.prefix}&wait_s=1")
    journal.close()
    words = [sys.executable, "-c", OUTAGE, url, frame_of(1).hex()]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        own.kill()
        told, _ = process.communicate(b"\n", timeout=240)
    counts = [tuple(map(int, line.split())) for line in told.splitlines()]

    assert len(counts) == 8
    # What is just being closed may still be there; what is left behind would be seven times that.
    assert counts[-1][0] <= counts[0][0] + 3
    assert counts[-1][1] <= counts[0][1] + 6
