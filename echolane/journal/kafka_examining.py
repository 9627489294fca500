"""What may be wrong with a Kafka cluster and our topics on it, for ``echolane doctor``.

It reads, and appends an entry per broker to a topic of its own, which it removes: a broker tells its clock in no other way, and an append
proves that one may.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from echolane import checks
from echolane.checks import BAD, OK, WARN, Check, named
from echolane.clock import SYSTEM, Clock
from echolane.errors import EcholaneError
from echolane.ids import uuid7
from echolane.journal.kafka_address import Address
from echolane.journal.kafka_clients import Clients, Need
from echolane.journal.kafka_settings import Fault, faults, replicas_of, settings_of
from echolane.journal.kafka_topic import WRITE
from echolane.journal.sharing import LEASE_S

OLDEST = (2, 5)
"""The oldest brokers whose protocol has all that the door asks for."""
CONNECT_S = 3.0
"""A broker that lives accepts in milliseconds; each one that does not costs the person who waits so long."""
TRIAL = "doctor."
"""How the topics begin that are made and removed here."""
TRIAL_LEFT_MS = 600_000
"""A topic of a doctor that was killed is removed by the next one that finds it older than this."""
TRIAL_KEPT_MS = 3_600_000
UNREAD = Fault(WARN, "has settings that this user may not read", "grant DescribeConfigs on it")
UNREAD_BROKER = Fault(WARN, "have settings that this user may not read", "grant DescribeConfigs on the cluster")


class _Broker(NamedTuple):
    """One broker as the cluster tells it to clients."""

    id: int
    host: str
    port: int

    @property
    def place(self) -> str:
        """Where clients reach it."""
        return f"{self.host}:{self.port}"


def examine(
    address: Address, partitions: int, *, clock: Clock = SYSTEM, environ: Mapping[str, str] = os.environ
) -> Iterator[Check]:
    """Every check of a cluster. ``partitions`` is what a new service's topic gets."""
    try:
        clients = Clients(address, environ)
    except EcholaneError as error:
        yield Check("kafka", BAD, str(error), "see docs/how-to/run-on-kafka-and-clickhouse.md#when-something-is-wrong")
        return
    try:
        cluster: dict[str, Any] = clients.asked(lambda admin: admin.describe_cluster())
        brokers = [_Broker(int(one["broker_id"]), one["host"], int(one["port"])) for one in cluster["brokers"]]
        away = [broker for broker in brokers if not _accepts(broker.host, broker.port)]
        yield from _brokers(clients, brokers, away)
        yield from _guarded("kafka settings", _broker_settings(clients, brokers))
        yield from _guarded("kafka topics", _topics(clients, partitions, len(brokers)))
        near = [broker for broker in brokers if broker not in away]
        yield from _guarded("kafka clocks", _clocks(clients, near, clock))
    except EcholaneError as error:
        yield Check("kafka", BAD, str(error), "try it again; if it stays, look at the brokers' logs")
    finally:
        clients.close()


def _guarded(check: str, found: Iterator[Check]) -> Iterator[Check]:
    """What is refused here is said, and the rest is looked at all the same."""
    try:
        yield from found
    except EcholaneError as error:
        yield Check(check, WARN, f"could not be looked at: {error}")


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError:
        return False
    return True


def _brokers(clients: Clients, brokers: Sequence[_Broker], away: Sequence[_Broker]) -> Iterator[Check]:
    address = clients.address
    versions = {broker: _version(clients, broker) for broker in brokers if broker not in away}
    told = sorted({version for version in versions.values() if version})
    words = " and ".join(".".join(map(str, version)) for version in told) or "of an unknown version"
    keep = replicas_of(address, len(brokers))
    where = ", ".join(broker.place for broker in brokers)
    count = "1 broker" if len(brokers) == 1 else f"{len(brokers)} brokers"
    yield Check(
        "kafka brokers", OK, f"{count}, Kafka {words}: {where}; a new topic has {keep} replica{'s' * (keep != 1)}"
    )
    for broker, version in versions.items():
        if version and version < OLDEST:
            old, need = ".".join(map(str, version)), ".".join(map(str, OLDEST))
            yield Check("kafka brokers", BAD, f"{broker.place} is Kafka {old}", f"Echolane needs {need} or newer")
    for broker in away:
        yield Check(
            "kafka brokers",
            BAD,
            f"broker {broker.id} tells clients to come to {broker.place}, which does not accept connections from here",
            "start it, or set its advertised.listeners to an address that agents and workers reach",
        )
    if keep > len(brokers):
        yield Check(
            "kafka brokers",
            BAD,
            f"kafka.replication asks for {keep} replicas of {len(brokers)} brokers, so no topic can be made",
            "set kafka.replication lower, or start more brokers",
        )
    places = {broker.place for broker in brokers}
    silent = [
        server
        for server in address.servers
        if server not in places and not _accepts(server.rpartition(":")[0].strip("[]"), int(server.rpartition(":")[2]))
    ]
    if silent:
        yield Check(
            "kafka brokers",
            WARN,
            f"of the addresses in the journal's URL {named(silent)} accept no connections",
            "take them out of it, or start them",
        )


def _version(clients: Clients, broker: _Broker) -> tuple[int, ...]:
    """What a broker's protocol says that it is; empty where it does not say."""
    try:
        found = clients.asked(lambda admin: admin.get_broker_version_data(broker.id))
    except EcholaneError:
        return ()
    return tuple(found.broker_version)


def _configs(clients: Clients, kind: str, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The settings of brokers or topics, by name."""
    module: Any = importlib.import_module("kafka.admin")
    wanted = [module.ConfigResource(kind, name) for name in names]
    found: dict[str, Any] = clients.asked(
        lambda admin: admin.describe_configs(wanted, config_filter="all"), need=Need("DescribeConfigs")
    )
    return {
        name: {key: str(one["value"]) for key, one in values.items() if one["value"] is not None}
        for name, values in found.get(kind, {}).items()
    }


def _broker_settings(clients: Clients, brokers: Sequence[_Broker]) -> Iterator[Check]:
    found = _configs(clients, "broker", [str(broker.id) for broker in brokers])
    by_fault: dict[Fault, list[str]] = {}
    for broker in brokers:
        settings = found.get(str(broker.id), {})
        if not settings:
            by_fault.setdefault(UNREAD_BROKER, []).append(broker.place)
        if settings.get("auto.create.topics.enable") == "true":
            fault = Fault(WARN, "make a topic of every mistyped name", "set auto.create.topics.enable=false")
            by_fault.setdefault(fault, []).append(broker.place)
        lease = int(settings.get("group.min.session.timeout.ms", "0"))
        if lease > LEASE_S * 1000:
            fault = Fault(
                BAD,
                f"let no group member live by less than {lease} ms; workers live by {LEASE_S * 1000:.0f}",
                f"set group.min.session.timeout.ms={LEASE_S * 1000:.0f} or less",
            )
            by_fault.setdefault(fault, []).append(broker.place)
    for fault, places in by_fault.items():
        yield Check("kafka settings", fault.state, f"brokers {named(places)} {fault.what}", fault.do)


def _topics(clients: Clients, partitions: int, brokers: int) -> Iterator[Check]:
    prefix = clients.address.prefix
    names: list[str] = clients.asked(lambda admin: admin.list_topics())
    ours = sorted(name for name in names if name.startswith(prefix) and not name.startswith(prefix + TRIAL))
    if not ours:
        yield Check("kafka topics", OK, f"none begins with `{prefix}` yet; the first recording makes one")
        return
    described: list[dict[str, Any]] = clients.asked(lambda admin: admin.describe_topics(ours))
    settings = _configs(clients, "topic", ours)
    by_fault: dict[Fault, list[str]] = {}
    for one in described:
        topic = one["name"].removeprefix(prefix)
        replicas = min((len(part["replica_nodes"]) for part in one["partitions"]), default=0)
        wanted = settings_of(topic, clients.address, replicas)
        found = [*faults(settings[one["name"]], wanted, replicas)] if settings.get(one["name"]) else [UNREAD]
        found += _shape(topic, one["partitions"], partitions, (replicas, replicas_of(clients.address, brokers)))
        for fault in found:
            by_fault.setdefault(fault, []).append(one["name"])
    for fault, unlike in _unlike_runs(described, prefix).items():
        by_fault.setdefault(fault, []).extend(unlike)
    yield Check("kafka topics", OK, f"{len(ours)} begin with `{prefix}`; {_told(by_fault)}")
    for fault, places in by_fault.items():
        yield Check("kafka topics", fault.state, f"{named(places)} {fault.what}", fault.do)


def _told(by_fault: Mapping[Fault, Sequence[str]]) -> str:
    wrong = {name for names in by_fault.values() for name in names}
    told = "1 is not as it should be" if len(wrong) == 1 else f"{len(wrong)} are not as they should be"
    return told if wrong else "all are as Echolane makes them"


def _shape(
    topic: str, parts: Sequence[Mapping[str, Any]], partitions: int, replicas: tuple[int, int]
) -> Iterator[Fault]:
    """Partitions, and where their replicas are."""
    if topic.startswith("exchanges.") and len(parts) != partitions:
        yield Fault(
            BAD,
            f"has {len(parts)} partitions, and journal.partitions is {partitions}: agents will not record into it",
            f"set journal.partitions={len(parts)} for everybody; a topic's partitions are never changed",
        )
    if any(part["leader_id"] < 0 for part in parts):
        yield Fault(BAD, "has partitions that no broker leads", "start the brokers that have their replicas")
    elif any(len(part["isr_nodes"]) < len(part["replica_nodes"]) for part in parts):
        yield Fault(WARN, "has replicas that are behind or away", "start the brokers that are down, or wait for them")
    if replicas[0] < replicas[1]:
        yield Fault(
            WARN,
            f"stands on {replicas[0]} of the {replicas[1]} brokers that a new topic would have",
            "reassign it (kafka-reassign-partitions.sh), or set kafka.replication to what you want",
        )


def _unlike_runs(described: Iterable[Mapping[str, Any]], prefix: str) -> dict[Fault, list[str]]:
    """A run's work, observations and intents have as many partitions as each other."""
    runs: dict[str, dict[str, int]] = {}
    for one in described:
        kind, _, run = one["name"].removeprefix(prefix).partition(".")
        if kind in {"work", "observations", "intents"}:
            runs.setdefault(run, {})[one["name"]] = len(one["partitions"])
    fault = Fault(BAD, "have other numbers of partitions than their run's other topics", "run it anew; remove them")
    unlike = [name for counts in runs.values() if len(set(counts.values())) > 1 for name in counts]
    return {fault: unlike} if unlike else {}


def _clocks(clients: Clients, brokers: Sequence[_Broker], clock: Clock) -> Iterator[Check]:
    """Append to each broker; what it writes down as the time is its clock's."""
    prefix = clients.address.prefix
    _remove_left(clients, prefix + TRIAL, clock)
    if not brokers:
        return
    bare = f"{TRIAL}{uuid7(clock.wall_ns())}"
    topic = prefix + bare
    configs = settings_of(TRIAL, clients.address, 1) | {"retention.ms": str(TRIAL_KEPT_MS)}
    spec = {"assignments": {index: [broker.id] for index, broker in enumerate(brokers)}, "configs": configs}
    clients.asked(lambda admin: admin.create_topics({topic: spec}, wait_for_metadata=True), bare, need=Need("Create"))
    try:
        producer = clients.producer()
        try:
            for index, broker in enumerate(brokers):
                ahead_s, doubt_s = _asked_time(clients, producer, (topic, index), clock)
                yield checks.clock("kafka clocks", f"broker {broker.place}", ahead_s, doubt_s)
        finally:
            clients.abandon(producer)
    finally:
        with contextlib.suppress(EcholaneError):  # the next one removes it
            clients.asked(lambda admin: admin.delete_topics([topic]), bare)


def _asked_time(clients: Clients, producer: Any, place: tuple[str, int], clock: Clock) -> tuple[float, float]:
    """How far a broker's clock is ahead of ours, and by how much that may be wrong. The first append finds the way, the second is timed."""
    topic, partition = place
    ahead_s = doubt_s = 0.0
    for _ in range(2):
        with clients.translated(topic.removeprefix(clients.address.prefix), WRITE):
            before, begun = clock.wall_ns(), time.monotonic_ns()
            sent = producer.send(topic, b"what time is it?", partition=partition)
            producer.flush(timeout=clients.address.wait_s)
            took_ns = time.monotonic_ns() - begun
            if not sent.succeeded():
                raise sent.exception
            doubt_s = took_ns / 2e9
            ahead_s = sent.value.timestamp / 1e3 - (before / 1e9 + doubt_s)
    return ahead_s, doubt_s


def _remove_left(clients: Clients, prefix: str, clock: Clock) -> None:
    """Topics of a doctor that was killed."""
    now_ms = clock.wall_ns() // 1_000_000
    names: list[str] = clients.asked(lambda admin: admin.list_topics())
    left = [
        name
        for name in names
        if name.startswith(prefix) and _begun_ms(name.removeprefix(prefix)) < now_ms - TRIAL_LEFT_MS
    ]
    if left:
        clients.asked(lambda admin: admin.delete_topics(left), need=Need("Delete"))


def _begun_ms(identity: str) -> int:
    """When a UUIDv7 was made."""
    try:
        return int(identity.replace("-", "")[:12], 16)
    except ValueError:
        return 1 << 62  # none of ours
