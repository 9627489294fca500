"""The journal's door on many machines: topics of a Kafka cluster, with its siblings ``kafka_*`` in this folder.

A topic stands on the cluster under the prefix of the address, a position is Kafka's offset, an append time is the broker's
(``LogAppendTime``, in milliseconds). What one append holds travels in one batch of an idempotent producer with ``acks=all``
(:mod:`echolane.journal.kafka_topic`), so it is stored whole or not at all, once however often the client sends it again. Reading is in
:mod:`echolane.journal.kafka_reading`, clients and errors in :mod:`echolane.journal.kafka_clients`.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from echolane.errors import HomeError
from echolane.journal import Entry, Group, Member, Told
from echolane.journal.kafka_address import Address
from echolane.journal.kafka_clients import RETRY_S, Clients, Need
from echolane.journal.kafka_members import KafkaMember
from echolane.journal.kafka_reading import MS_NS, Damage, Reading
from echolane.journal.kafka_settings import replicas_of, settings_of
from echolane.journal.kafka_topic import ASK_S, Topic
from echolane.journal.limits import check_frames, check_topic, no_partition, other_partitions
from echolane.journal.sharing import LEASE_S

LEARNED_S = 10.0
"""How long a broker may not know what was made here: it learns of it within a second, on a busy machine within some."""
GONE_WAIT_S = 10.0
"""How long removing a topic is waited for: every broker learns of it within a second."""
KNOWN_MAX = 64
"""Topics remembered; retention looks at hundreds, a process appends to two or three, and those that it appends to stay."""


class KafkaJournal:
    """The journal on a Kafka cluster. Safe to share between threads."""

    def __init__(self, address: Address) -> None:
        self._address, self._clients = address, Clients(address)
        self._specs: Any = importlib.import_module("kafka.admin")
        self._commit_of: Any = importlib.import_module("kafka.structs").OffsetAndMetadata
        self._damage = Damage(self._load_damage, self._save_damage)
        self._known: dict[str, Topic] = {}
        self._made: dict[str, float] = {}
        """Until when a broker may not know of topics that were made here."""
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"<KafkaJournal {self._address.shown}, prefix {self._address.prefix}>"

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic, or find it with the same number of partitions."""
        check_topic(topic, partitions)
        found = self._look(topic)
        if found is None:
            found = self._make(topic, partitions)
        if found.partitions != partitions:
            raise other_partitions(topic, found.partitions, partitions)

    def _make(self, topic: str, partitions: int) -> Topic:
        name, errors = self._address.prefix + topic, self._clients.errors
        brokers = len(self._clients.asked(lambda admin: admin.describe_cluster())["brokers"])
        replicas = replicas_of(self._address, brokers)
        spec: dict[str, Any] = {
            "num_partitions": partitions,
            "replication_factor": replicas,
            "configs": settings_of(topic, self._address, replicas),
        }

        def make(admin: Any) -> None:
            try:
                admin.create_topics({name: spec}, wait_for_metadata=True)
            except errors.TopicAlreadyExistsError:  # by another process, or by our own request that was sent again
                admin.wait_for_topics([name])

        try:
            self._clients.asked(make, topic, need=Need("Create"))
        except HomeError as error:
            if isinstance(error.__cause__, errors.InvalidReplicationFactorError):
                raise HomeError(
                    f"topic `{topic}` cannot have {replicas} replicas on {brokers} brokers; set kafka.replication"
                ) from error
            raise
        self._made_now(topic, self._address.wait_s)
        found = self._sought(topic)
        if found is None:
            raise HomeError(f"topic `{topic}` was removed from {self._address.shown} while it was made")
        self._made_now(topic, LEARNED_S)
        return found

    def _made_now(self, topic: str, wait_s: float) -> None:
        """From now on and for so long a broker that does not know a topic has not learned of it yet."""
        now = time.monotonic()
        with self._guard:
            self._made = {**{one: until for one, until in self._made.items() if until > now}, topic: now + wait_s}

    def topics(self) -> list[str]:
        """The names of all topics under the prefix, without it."""
        prefix = self._address.prefix
        names: list[str] = self._clients.asked(lambda admin: admin.list_topics())
        return sorted(
            name.removeprefix(prefix) for name in names if name.startswith(prefix) and len(name) > len(prefix)
        )

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        found = self._sought(topic)
        if found is None:
            raise self._missing(topic)
        return found.partitions

    def append(self, topic: str, partition: int, frames: Sequence[bytes]) -> list[int]:
        """Append and wait until every replica in step has it; the positions."""
        found = self._topic(topic, partition)
        check_frames(frames)
        return found.append(partition, frames) if frames else []

    def read(
        self, topic: str, partition: int, start: int = 0, stop: int | None = None, told: Told | None = None
    ) -> Iterator[Entry]:
        """Entries in order; what is damaged is set aside and counted."""
        found = self._topic(topic, partition)

        def entries() -> Iterator[Entry]:
            end = self._offset(found, partition, "LATEST")
            until = end if stop is None else min(stop, end)
            if start >= until:  # whoever tails comes often, and mostly nothing is new: it asks once
                return
            at = max(start, self._offset(found, partition, "EARLIEST"))
            if at >= until:
                return

            def set_aside(low: int, high: int, why: str) -> None:
                self._damage.set_aside(topic, partition, low, high, why)
                if told is not None:
                    told(low, high, why)

            def ask() -> None:
                if self._look(topic) is None:
                    raise self._missing(topic)

            yield from Reading(self._clients, self._place(found, partition), at, until, topic).entries(set_aside, ask)

        return entries()

    def begin(self, topic: str, partition: int) -> int:
        """The first position that retention has left."""
        return self._offset(self._topic(topic, partition), partition, "EARLIEST")

    def end(self, topic: str, partition: int) -> int:
        """The next position, of what every replica in step has."""
        return self._offset(self._topic(topic, partition), partition, "LATEST")

    def position_at(self, topic: str, partition: int, append_ns: int) -> int:
        """The first position appended at or after a wall time, or in the same millisecond; the end when there is none."""
        found = self._topic(topic, partition)
        return self._positions_at(found, [partition], append_ns)[partition]

    def commit(self, group: str, topic: str, partition: int, position: int) -> None:
        """Remember how far a group has come. A group with members (:meth:`join`) is left to them."""
        self._save(self.group_of(group, topic), topic, partition, position, "")

    def committed(self, group: str, topic: str, partition: int) -> int:
        """How far a group had come; 0 at first."""
        found = self._load(self.group_of(group, topic), topic, partition)
        return 0 if found is None else int(found.offset)

    def group_of(self, group: str, topic: str) -> str:
        """What Kafka calls a group: it belongs to one topic, so that members of another topic's work disturb nobody."""
        return f"{self._address.prefix}{group}:{topic}"

    def groups(self) -> list[Group]:
        """Groups under the prefix that have come somewhere, and how many members of each live."""
        prefix = self._address.prefix
        listed: list[dict[str, Any]] = self._clients.asked(lambda admin: admin.list_groups())
        found: dict[str, tuple[str, str]] = {}
        for one in listed:
            group, colon, topic = one["group_id"].removeprefix(prefix).rpartition(":")
            if colon and one["group_id"].startswith(prefix) and group != SET_ASIDE:
                found[one["group_id"]] = (group, topic)
        told: dict[str, Any] = self._clients.asked(lambda admin: admin.describe_groups(list(found))) if found else {}
        return sorted(Group(*place, len(told.get(name, {}).get("members", ()))) for name, place in found.items())

    def join(self, group: str, topic: str, lease_s: float = LEASE_S) -> Member:
        """Become a member of a group on a topic, by the brokers' group protocol."""
        found = self._topic(topic)
        return KafkaMember(self._clients, self.group_of(group, topic), topic, found.full, lease_s)

    def damaged(self, topic: str) -> int:
        """How many entries of a topic were set aside."""
        return self._damage.count(topic, self.partitions(topic))

    def aside(self, topic: str) -> list[tuple[int, int, int]]:
        """Where entries of a topic were set aside, but for the oldest of very many."""
        found = enumerate(self._damage.ranges(topic, self.partitions(topic)))
        return [(partition, *span) for partition, ranges in found for span in ranges.listed]

    def expire(self, topic: str, before_ns: int) -> int:
        """Remove what was appended before a wall time; how many entries. The newest of each partition stays."""
        found = self._topic(topic, fresh=True)
        partitions = range(found.partitions)
        wanted = self._positions_at(found, partitions, before_ns)
        spans = {
            partition: (self._offset(found, partition, "EARLIEST"), self._offset(found, partition, "LATEST"))
            for partition in partitions
        }
        reached = {partition: min(wanted[partition], end - 1) for partition, (_, end) in spans.items()}
        removed = {place: at for place, at in reached.items() if at > spans[place][0]}
        if removed:
            places = {self._place(found, partition): at for partition, at in removed.items()}
            self._clients.asked(lambda admin: admin.delete_records(places), topic, need=Need("Delete"))
        return sum(at - spans[partition][0] for partition, at in removed.items())

    def drop(self, topic: str) -> None:
        """Remove a topic, and wait until it is gone. Does nothing when there is none."""
        found = self._look(topic)
        if found is None:
            return
        with self._guard:
            self._known.pop(topic, None)
            self._made.pop(topic, None)
        found.close()
        errors = self._clients.errors

        def remove(admin: Any) -> None:
            try:
                admin.delete_topics([found.full])
            except errors.UnknownTopicOrPartitionError:
                pass  # by another process, or by our own request that was sent again

        self._clients.asked(remove, topic, need=Need("Delete"))
        deadline = time.monotonic() + GONE_WAIT_S
        while (left := self._look(topic)) is not None and left.identity == found.identity:
            if time.monotonic() > deadline:
                raise HomeError(
                    f"topic `{topic}` is still on {self._address.shown} {GONE_WAIT_S:g} s after it was removed"
                )
            time.sleep(0.02)

    def close(self) -> None:
        """Close every client."""
        with self._guard:
            known, self._known = list(self._known.values()), {}
        for found in known:
            found.close()
        self._clients.close()

    def _topic(self, topic: str, partition: int = 0, *, fresh: bool = False) -> Topic:
        """A topic as it was known before, or as it is now; HomeError when it or its partition is not there."""
        found = None if fresh else self._known.get(topic)
        if found is None or not 0 <= partition < found.partitions:
            found = self._sought(topic)
        if found is None:
            raise self._missing(topic)
        if not 0 <= partition < found.partitions:
            raise no_partition(topic, partition, found.partitions)
        return found

    def _sought(self, topic: str) -> Topic | None:
        """A topic as it is now. Each question may go to another broker: one that does not know yet what was just made here is asked again."""
        pause = RETRY_S[0]
        while (found := self._look(topic)) is None:
            if time.monotonic() + pause > self._made.get(topic, 0.0):
                return None
            time.sleep(pause)
            pause = min(pause * 2, RETRY_S[1])
        return found

    def _look(self, topic: str) -> Topic | None:
        """A topic as it is on the cluster now."""
        full = self._address.prefix + topic
        described: list[dict[str, Any]] = self._clients.asked(lambda admin: admin.describe_topics([full]), topic)
        one = next((one for one in described if one["name"] == full), None)
        code = one["error_code"] if one is not None else UNKNOWN_TOPIC
        if code == UNKNOWN_TOPIC or one is None:
            with self._guard:
                left = self._known.pop(topic, None)
            if left is not None:
                left.close()
            return None
        if code:
            raise self._clients.refusal(self._clients.errors.for_code(code)(), topic)
        return self._remembered(topic, full, len(one["partitions"]), str(one["topic_id"]))

    def _remembered(self, topic: str, full: str, partitions: int, identity: str) -> Topic:
        surplus: list[Topic] = []
        with self._guard:
            found = self._known.pop(topic, None)
            if found is None or found.identity != identity or found.partitions != partitions:
                surplus += [] if found is None else [found]
                found = Topic((topic, full), partitions, identity, self._clients, self._still_there)
            self._known[topic] = found  # the last one is the one used last
            if len(self._known) > KNOWN_MAX:
                for idle in [name for name, one in self._known.items() if one.idle and name != topic][:KNOWN_MAX]:
                    del self._known[idle]
        for one in surplus:
            one.close()
        return found

    def _still_there(self, known: Topic) -> None:
        """HomeError when a topic was removed, or made anew; nothing when that cannot be known now."""
        try:
            described = self._clients.asked(lambda admin: admin.describe_topics([known.full]), known.name, wait_s=ASK_S)
        except HomeError:
            return
        if not any(str(one["topic_id"]) == known.identity for one in described):
            with self._guard:
                if self._known.get(known.name) is known:
                    del self._known[known.name]
            raise self._missing(known.name)

    def _missing(self, topic: str) -> HomeError:
        return HomeError(f"there is no topic `{topic}` on {self._address.shown}")

    def _place(self, found: Topic, partition: int) -> Any:
        return self._clients.place(found.full, partition)

    def _offset(self, found: Topic, partition: int, which: str) -> int:
        """The first or the next offset of a partition, as asked."""
        place, spec = self._place(found, partition), getattr(self._specs.OffsetSpec, which)
        told = self._clients.asked(lambda admin: admin.list_partition_offsets({place: spec}), found.name)
        return int(told[place].offset)

    def _positions_at(self, found: Topic, partitions: Sequence[int], append_ns: int) -> dict[int, int]:
        at = self._specs.OffsetTimestamp(max(0, append_ns // MS_NS))
        places = {partition: self._place(found, partition) for partition in partitions}
        offsets = self._clients.asked(
            lambda admin: admin.list_partition_offsets(dict.fromkeys(places.values(), at)), found.name
        )
        return {
            partition: int(offsets[place].offset)
            if offsets[place].offset >= 0
            else self._offset(found, partition, "LATEST")
            for partition, place in places.items()
        }

    def _save(self, group: str, topic: str, partition: int, position: int, metadata: str) -> None:
        place = self._place(self._topic(topic, partition), partition)

        def save(admin: Any) -> None:
            (refused,) = admin.alter_group_offsets(group, {place: self._commit_of(position, metadata, -1)}).values()
            if refused is not self._clients.errors.NoError:
                raise refused

        try:
            self._clients.asked(save, topic, need=Need("Read", group))
        except HomeError as error:
            if isinstance(error.__cause__, self._clients.errors.UnknownMemberIdError):
                raise HomeError(
                    f"group `{group}` has members, and only they may commit; end its workers first"
                ) from error
            raise

    def _load(self, group: str, topic: str, partition: int) -> Any:
        """A group's commit; None when there is none."""
        place = self._place(self._topic(topic, partition), partition)
        need = Need("Describe", group)
        told = self._clients.asked(lambda admin: admin.list_group_offsets({group: [place]}), topic, need=need)
        found = told[group].get(place)
        return None if found is None or found.offset < 0 else found

    def _load_damage(self, topic: str, partition: int) -> str:
        found = self._load(self.group_of(SET_ASIDE, topic), topic, partition)
        return "" if found is None else str(found.metadata)

    def _save_damage(self, topic: str, partition: int, ranges: str) -> None:
        self._save(self.group_of(SET_ASIDE, topic), topic, partition, 0, ranges)


UNKNOWN_TOPIC = 3
"""Kafka's code for a topic that is not there."""
SET_ASIDE = "set-aside"
"""The group whose commits say what was set aside."""

__all__ = ["KafkaJournal"]
