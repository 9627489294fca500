"""The journal's two doors and confluent-kafka: frames appended durably and read back, against one local broker."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from bench import broker as kafka
from bench.parts import Table, cpu_s, median
from bench.storing import exchanges
from echolane.frame import EXCHANGES, frames_of
from echolane.home import Home
from echolane.journal import Journal, open_journal

PARTITIONS = 4
REPEATS = 20
"""Times that the frames are appended in a round: some 100 MB."""
RUNS = count(1)
SQLITE, KAFKA, PEER = "echolane on SQLite", "echolane on Kafka (kafka-python)", "confluent-kafka, no door"


def frames() -> list[bytes]:
    """Frames as a recorder makes them: exchanges of 1 KB, up to a megabyte before zstd."""
    items = exchanges()
    return [
        frame for frame, _ in frames_of(items, kind=EXCHANGES, partition=0, times=[one.captured_at_ns for one in items])
    ]


def door(journal: Journal, made: Sequence[bytes]) -> tuple[float, float]:
    """Seconds to append by a thread for each partition, a frame at a time, and to read all back."""
    topic = f"exchanges.bench-{next(RUNS)}"
    journal.create(topic, PARTITIONS)

    def append(partition: int) -> None:
        for _ in range(REPEATS):
            for frame in made[partition::PARTITIONS]:
                journal.append(topic, partition, [frame])

    begun = time.perf_counter()
    with ThreadPoolExecutor(PARTITIONS) as pool:
        list(pool.map(append, range(PARTITIONS)))
    appended = time.perf_counter()
    read = sum(1 for partition in range(PARTITIONS) for _ in journal.read(topic, partition))
    ended = time.perf_counter()
    if read != REPEATS * len(made):
        raise RuntimeError(f"{read} frames were read of {REPEATS * len(made)}")
    journal.drop(topic)
    return appended - begun, ended - appended


def peer(servers: str, made: Sequence[bytes]) -> tuple[float, float]:
    """The same by librdkafka: idempotent, acks=all, delivery reports awaited at the end; nothing is checked when read."""
    confluent: Any = importlib.import_module("confluent_kafka")
    admin: Any = importlib.import_module("confluent_kafka.admin")
    topic = f"peer-{next(RUNS)}"
    client = admin.AdminClient({"bootstrap.servers": servers})
    client.create_topics([admin.NewTopic(topic, PARTITIONS, 1, config={"max.message.bytes": "17000000"})])[
        topic
    ].result()
    producer = confluent.Producer(
        {"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "message.max.bytes": 17_000_000}
    )
    begun = time.perf_counter()
    for _ in range(REPEATS):
        for number, frame in enumerate(made):
            while True:
                try:
                    producer.produce(topic, frame, partition=number % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("confluent-kafka did not deliver in 60 s")
    appended = time.perf_counter()
    consumer = confluent.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": topic,
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    places = [confluent.TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
    left = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.assign(places)  # all at once: its start costs it half a second
    while left > 0:
        left -= len(consumer.consume(min(100, left), 5.0))
    ended = time.perf_counter()
    consumer.close()
    client.delete_topics([topic])[topic].result()
    return appended - begun, ended - appended


def table(rounds: int) -> Table:
    """Interleaved rounds of both doors and the peer."""
    if lack := kafka.lacks():
        raise RuntimeError(f"Apache Kafka needs {lack}: {kafka.HINT}")
    kafka.install()
    made = frames()
    megabytes = REPEATS * sum(map(len, made)) / 1e6
    found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        broker = kafka.Broker(Path(folder) / "broker")
        broker.start()
        assert broker.process is not None
        pid, servers = broker.process.pid, f"127.0.0.1:{broker.plain}"
        doors = {SQLITE: open_journal(Path(folder)), KAFKA: open_journal(Home(Path(folder), broker.url()))}
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            name: lambda journal=journal: door(journal, made) for name, journal in doors.items()
        }
        if importlib.util.find_spec("confluent_kafka"):
            ways[PEER] = lambda: peer(servers, made)
        try:
            for _ in range(rounds):
                for name, way in ways.items():
                    ours, theirs = time.process_time(), cpu_s([pid])
                    seconds = way()
                    found[name].append((*seconds, time.process_time() - ours, cpu_s([pid]) - theirs))
        finally:
            for journal in doors.values():
                journal.close()
            broker.kill()
    return _told(found, megabytes, len(made))


def _told(found: dict[str, list[tuple[float, float, float, float]]], megabytes: float, number: int) -> Table:
    head = ["who", "append MB/s", "read MB/s", "append, exchanges/s", "our CPU, s", "broker's CPU, s"]
    shown = Table("6. The journal on one machine and on Kafka, frames of exchanges", head)
    size = 1e6 * megabytes / (REPEATS * number)
    per_frame = 20_000 / number
    for name in (SQLITE, KAFKA, PEER):
        if not found[name]:
            shown.rows.append([name, *["not here: pip install confluent-kafka"], "", "", "", ""])
            continue
        appended, read, ours, theirs = (median([one[i] for one in found[name]]) for i in range(4))
        rate = megabytes / appended
        shown.rows.append(
            [
                name,
                f"{rate:.0f}",
                f"{megabytes / read:.0f}",
                f"{rate * 1e6 / size * per_frame:,.0f}",
                f"{ours:.1f}",
                "" if name == SQLITE else f"{theirs:.1f}",
            ]
        )
    shown.notes += [
        f"{megabytes:.0f} MB a round in frames of {size / 1000:.0f} KB on average, each {per_frame:.0f} exchanges of 1 KB, on {PARTITIONS} partitions",
        "the doors: a thread for each partition appends a frame at a time and waits until it is durable; reading checks every frame; "
        "confluent-kafka: all frames are handed over and awaited at the end, and nothing is checked",
        "one broker on the same machine (512 MB of heap, one replica), so its work takes from ours",
    ]
    return shown
