"""What a topic on Kafka is made with, and what of a topic that stands there is otherwise. Pure; used by the door and by ``doctor``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from echolane.checks import BAD, WARN
from echolane.frame import FRAME_BYTES_MAX
from echolane.journal.kafka_address import Address

RECORD_BYTES_MAX = FRAME_BYTES_MAX + 65_536
"""What a topic's record batch may hold: the largest frame, or many small ones, and Kafka's own heads."""
DAY_MS = 86_400_000
SEGMENTS = 28
"""Segments a partition's retention is cut into: Kafka removes whole ones, so what is too old goes within a 28th of its time."""
SEGMENT_MS_MIN = 600_000
RUN_DAYS_MIN = 7.0
"""Topics of a run (work, observations, intents) are never younger than this when the brokers remove them: a run may take days."""
REPLICAS = 3


class Fault(NamedTuple):
    """What is otherwise than Echolane would make it. Equal for all topics that have it, so that one line can name them."""

    state: str
    what: str
    do: str


def replicas_of(address: Address, brokers: int) -> int:
    """How many brokers keep each entry of a new topic."""
    return address.replication or min(REPLICAS, brokers)


def settings_of(topic: str, address: Address, replicas: int) -> dict[str, str]:
    """The settings of a new topic."""
    days = address.retention_days
    keep_ms = int((days if topic.startswith("exchanges.") else max(days, RUN_DAYS_MIN)) * DAY_MS)
    return {
        "cleanup.policy": "delete",
        "compression.type": "producer",  # frames are compressed already
        "max.message.bytes": str(RECORD_BYTES_MAX),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, replicas - 1)),
        "retention.ms": str(keep_ms),
        "retention.bytes": "-1",
        "segment.ms": str(max(SEGMENT_MS_MIN, keep_ms // SEGMENTS)),
        "unclean.leader.election.enable": "false",
    }


def faults(found: Mapping[str, str], wanted: Mapping[str, str], replicas: int) -> Iterator[Fault]:
    """What a topic's settings do otherwise than they should. ``found`` may lack what brokers of other versions do not know."""
    policy = found.get("cleanup.policy", "delete")
    if "compact" in policy:
        yield Fault(BAD, f"compacts (cleanup.policy={policy}), which removes exchanges", "set cleanup.policy=delete")
    if (room := _number(found, "max.message.bytes")) is not None and room < RECORD_BYTES_MAX:
        yield Fault(
            BAD,
            f"takes records of {room} bytes at most, less than a frame may be",
            f"set max.message.bytes={RECORD_BYTES_MAX}",
        )
    kind = found.get("message.timestamp.type", "LogAppendTime")
    if kind != "LogAppendTime":
        yield Fault(
            WARN,
            f"keeps times of the sender (message.timestamp.type={kind}), so `--last` and retention count by the agents' clocks",
            "set message.timestamp.type=LogAppendTime",
        )
    yield from _durability_faults(found, wanted, replicas)
    yield from _retention_faults(found, wanted)
    if found.get("compression.type", "producer") not in {"producer", "uncompressed"}:
        yield Fault(
            WARN,
            f"has the brokers compress what is compressed already (compression.type={found['compression.type']})",
            "set compression.type=producer",
        )


def _durability_faults(found: Mapping[str, str], wanted: Mapping[str, str], replicas: int) -> Iterator[Fault]:
    in_step = _number(found, "min.insync.replicas")
    if in_step is not None and in_step > replicas:
        yield Fault(
            BAD,
            f"asks for {in_step} brokers in step and has {replicas} replicas: nothing can be appended",
            f"set min.insync.replicas={max(1, replicas - 1)}",
        )
    elif in_step is not None and in_step < int(wanted["min.insync.replicas"]):
        yield Fault(
            WARN,
            f"acknowledges what {in_step} of {replicas} replicas have, so that a broker's disk may take it along",
            f"set min.insync.replicas={wanted['min.insync.replicas']}",
        )
    if found.get("unclean.leader.election.enable") == "true":
        yield Fault(
            WARN,
            "lets a broker lead that lacks acknowledged entries",
            "set unclean.leader.election.enable=false",
        )


def _retention_faults(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[Fault]:
    keeps, shall = _number(found, "retention.ms"), int(wanted["retention.ms"])
    if keeps is not None and 0 <= keeps < shall:
        yield Fault(
            WARN,
            f"keeps entries for {keeps / DAY_MS:.3g} days, not {shall / DAY_MS:.3g}",
            f"set retention.ms={shall}, or journal.retention_days",
        )
    room = _number(found, "retention.bytes")
    if room is not None and room >= 0:
        yield Fault(
            WARN,
            f"removes entries before their time when a partition has {room} bytes (retention.bytes)",
            "set retention.bytes=-1",
        )


def _number(found: Mapping[str, str], name: str) -> int | None:
    try:
        return int(found[name])
    except (KeyError, ValueError):
        return None
