"""Groups with members on Kafka: the brokers' group protocol says who lives, :func:`~echolane.journal.sharing.balanced` who holds what.

A member is a consumer that reads nothing, in a thread of its own: entries are read by :mod:`echolane.journal.kafka_reading`, so slow work
never costs a seat, and a process that is stopped or dead is struck off by the brokers. The group's generation is the epoch in which a
partition came into hand. A commit goes out under the generation and the member's id as they were when it was checked, in one step
(:class:`_Seat`), so the brokers refuse it once the group has gone on.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from echolane import log
from echolane.errors import EcholaneError, Fenced, HomeError
from echolane.journal import Member
from echolane.journal.kafka_clients import Clients, Need
from echolane.journal.sharing import BEATS, balanced, fenced

POLL_S = 1.0
"""How long the member's thread is in the library at a time, or a third of the lease; leaving waits for it. The library gives up joining a
group where it runs out, and begins anew: with short ones, members on a busy machine join for ever."""
JOIN_TRY_S = 0.5


class Owned(msgspec.Struct, frozen=True):
    """What a member tells the one who shares out: what it holds, and since which generation it is in the group."""

    generation: int
    partitions: list[int]


class _Seat(NamedTuple):
    """A member's place as of one generation."""

    generation: int
    member: str
    held: dict[int, int]
    """Each partition with the generation in which it came into hand."""


NOWHERE = _Seat(-1, "", {})


def seated(before: _Seat, generation: int, member: str, partitions: Iterable[int]) -> _Seat:
    """The seat after a generation began. What was held in the very last one stays in hand; anything else may have been another's."""
    stayed = before.held if (before.generation, before.member) == (generation - 1, member) else {}
    return _Seat(generation, member, {partition: stayed.get(partition, generation) for partition in partitions})


def shared_out(owned: Mapping[str, Owned], partitions: int) -> dict[str, list[int]]:
    """What each member gets. Where two claim a partition, the one with the later generation is right."""
    holders: dict[int, str] = {}
    for member in sorted(owned, key=lambda name: (owned[name].generation, name)):
        holders |= dict.fromkeys(owned[member].partitions, member)
    shall = balanced(list(owned), holders, partitions)
    return {member: sorted(p for p, holder in shall.items() if holder == member) for member in owned}


class _Sharing:
    """The assignor as kafka-python wants it."""

    name = "echolane"
    version = 0

    def __init__(self, seat: Callable[[], _Seat]) -> None:
        self._seat, self._wire = seat, importlib.import_module("kafka.protocol.consumer.metadata")
        self._protocols = [importlib.import_module("kafka.coordinator.assignors.abstract").RebalanceProtocol.EAGER]

    def supported_protocols(self) -> list[Any]:
        """Everything is handed out anew each time; :func:`seated` knows what stayed."""
        return self._protocols

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member tells the others."""
        seat = self._seat()
        owned = msgspec.msgpack.encode(Owned(seat.generation, sorted(seat.held)))
        return self._wire.ConsumerProtocolSubscription(self.version, list(topics), owned)

    def assign(self, cluster: Any, members: Iterable[Any]) -> dict[str, Any]:
        """Share out; the brokers ask one of the members for it."""
        owned: dict[str, Owned] = {}
        topic = ""
        for member in members:
            (topic,) = member.metadata.topics
            try:
                owned[member.member_id] = msgspec.msgpack.decode(member.metadata.user_data or b"", type=Owned)
            except msgspec.DecodeError:
                owned[member.member_id] = Owned(-1, [])
        gets = shared_out(owned, len(cluster.partitions_for_topic(topic) or ()))
        return {
            member: self._wire.ConsumerProtocolAssignment(self.version, [(topic, partitions)], b"")
            for member, partitions in gets.items()
        }

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Told to the listener, too."""


class KafkaMember(Member):
    """One worker's seat in a group."""

    def __init__(self, clients: Clients, group: str, topic: str, full: str, lease_s: float) -> None:
        self._clients, self._group, self._topic, self._full, self._lease_s = clients, group, topic, full, lease_s
        self._seat, self._heard = NOWHERE, 0.0
        self._moved, self._left = threading.Condition(), threading.Event()
        self.error: EcholaneError | None = None
        self._consumer = clients.member(
            group,
            session_timeout_ms=int(lease_s * 1000),
            heartbeat_interval_ms=int(lease_s * 1000 / BEATS),
            # A member whose thread is stopped and goes on is struck off by its lease; its work has no say in it.
            max_poll_interval_ms=int(lease_s * 1000),
            partition_assignment_strategy=[lambda: _Sharing(lambda: self._seat)],
        )
        self._consumer.subscribe([full], listener=_listener(self))
        self._thread = threading.Thread(target=self._live, name=f"member-{group}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<KafkaMember {self.name or 'unseated'} of {self._group}, {len(self._seat.held)} held>"

    @property
    def name(self) -> str:
        """What the brokers call it; empty before it was seated."""
        return self._seat.member

    def _live(self) -> None:
        """Take part in the group until it leaves."""
        while not self._left.is_set():
            try:
                self._consumer.poll(timeout_ms=int(min(POLL_S, self._lease_s / BEATS) * 1000))
                self._heard = time.monotonic()
            except self._clients.errors.AuthorizationError as error:  # which no waiting changes
                self.error = self._clients.refusal(error, self._topic, Need("Read", self._group))
                break
            except self._clients.errors.KafkaError as error:
                log.event("member.unheard", group=self._group, error=str(error))
                self._left.wait(JOIN_TRY_S)
        self._consumer.close(autocommit=False, timeout_ms=int(self._lease_s * 1000))

    def seated(self, partitions: Iterable[Any]) -> None:
        """A generation began (called by the library)."""
        self._consumer.pause(*partitions)
        now = self._consumer.group_metadata()
        with self._moved:
            places = [place.partition for place in partitions]
            self._seat = seated(self._seat, now.generation_id, now.member_id, places)
            self._moved.notify_all()

    def lost(self) -> None:
        """The group went on without this member (called by the library)."""
        with self._moved:
            self._seat = NOWHERE
            self._moved.notify_all()

    def held(self) -> dict[int, int]:
        """Partitions it may work on now, each with its epoch; none when it slept past its lease.

        Raises:
            HomeError: its user may not be in the group.
        """
        if self.error is not None:
            raise self.error
        beats = self._consumer._coordinator.heartbeat  # noqa: SLF001 - when the brokers last answered is told nowhere else
        asleep = beats.session_timeout_expired() or time.monotonic() - self._heard > self._lease_s
        return {} if asleep else dict(self._seat.held)

    def commit_all(self, positions: Mapping[int, tuple[int, int]]) -> dict[int, Fenced]:
        """Commit what is held, in one request; what is not comes back. While the group changes, wait for its outcome."""
        deadline = time.monotonic() + 2 * self._lease_s
        left, refused = dict(positions), dict[int, Fenced]()
        while left:
            seat = self._seat
            lost = [partition for partition, (_, epoch) in left.items() if seat.held.get(partition) != epoch]
            gone = self._send(seat, {place: position for place, (position, _) in left.items() if place not in lost})
            with self._moved:
                if gone and not self._moved.wait_for(
                    lambda was=seat: self._seat is not was, deadline - time.monotonic()
                ):
                    lost += gone
            refused |= {partition: fenced(self._group, partition, left[partition][1]) for partition in lost}
            left = {partition: left[partition] for partition in gone if partition not in refused}
        return refused

    def _send(self, seat: _Seat, positions: Mapping[int, int]) -> list[int]:
        """Commit as a member of a generation; what is refused because the group is no longer in it, or is changing."""
        errors = self._clients.errors
        outrun = {
            kind.errno
            for kind in (errors.IllegalGenerationError, errors.UnknownMemberIdError, errors.RebalanceInProgressError)
        }
        left, gone = dict(positions), list[int]()

        def commit(admin: Any) -> None:
            request = self._request(seat, left)

            # The library's own commit takes the generation that is in force when it is sent, which is too late: what was
            # checked may be another's by then. So this request is its, and the way to the coordinator the admin client's.
            async def send() -> Any:
                node = await admin._find_coordinator_id(self._group)  # noqa: SLF001
                return await admin._manager.send(request, node_id=node)  # noqa: SLF001

            answers = [answer for topic in admin._manager.run(send).topics for answer in topic.partitions]  # noqa: SLF001
            codes = {answer.partition_index: answer.error_code for answer in answers}
            gone.extend(partition for partition in left if codes[partition] in outrun)
            wrong = [partition for partition in left if codes[partition] and codes[partition] not in outrun]
            for partition in left.keys() - wrong:
                del left[partition]  # not to be sent again where another one makes it be asked again
            if wrong:
                raise errors.for_code(codes[wrong[0]])

        if left:
            self._clients.asked(commit, self._topic, need=Need("Read", self._group))
        return gone

    def _request(self, seat: _Seat, positions: Mapping[int, int]) -> Any:
        """The library's request for a commit of a topic's partitions."""
        kind: Any = importlib.import_module("kafka.protocol.consumer").OffsetCommitRequest
        of_topic = kind.OffsetCommitRequestTopic
        partitions = [
            of_topic.OffsetCommitRequestPartition(
                partition_index=partition, committed_offset=position, committed_leader_epoch=-1, committed_metadata=""
            )
            for partition, position in positions.items()
        ]
        return kind(
            group_id=self._group,
            generation_id_or_member_epoch=seat.generation,
            member_id=seat.member,
            group_instance_id=None,
            retention_time_ms=-1,
            topics=[of_topic(name=self._full, partitions=partitions)],
            max_version=8,
        )

    def leave(self) -> None:
        """Let go of everything at once; the brokers tell the others."""
        self._left.set()
        self.lost()
        self._thread.join(2 * self._lease_s)
        if self._thread.is_alive():
            raise HomeError(
                f"a member of group `{self._group}` could not leave; it is struck off in {self._lease_s:g} s"
            )


def _listener(member: KafkaMember) -> Any:
    """What the library tells of changes."""
    base: Any = importlib.import_module("kafka").ConsumerRebalanceListener

    class Listener(base):
        """Hands on what matters."""

        def on_partitions_revoked(self, revoked: Any) -> None:
            """A change begins; what is held is decided when it ends."""

        def on_partitions_assigned(self, assigned: Any) -> None:
            """A change has ended."""
            member.seated(assigned)

        def on_partitions_lost(self, lost: Any) -> None:  # noqa: ARG002
            """Struck off."""
            member.lost()

    return Listener()
