"""What a broker says of each partition of one commit of many, on a real broker some of whose words are changed on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from bench.broker import Broker
from echolane.errors import HomeError
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address
from echolane.journal.kafka_members import KafkaMember
from tests.waiting import wait_until

PREFIXES = count(1)
LEASE_S = 6.0
LOADING, GENERATION, UNKNOWN_TOPIC = 14, 22, 3
pytestmark = [pytest.mark.usefixtures("sockets"), pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]


class Overheard:
    """The admin client of a member, whose answers to commits are changed: one table of codes for each answer."""

    def __init__(self, member: KafkaMember, changes: list[Mapping[int, int]]) -> None:
        self.sent: list[list[int]] = []
        self._changes, real = changes, member._clients

        def asked(question: Callable[[Any], Any], *args: Any, **named: Any) -> Any:
            return real.asked(lambda admin: question(self._heard(admin)), *args, **named)

        member._clients = SimpleNamespace(asked=asked, errors=real.errors)  # type: ignore[assignment]

    def _heard(self, admin: Any) -> Any:
        def send(request: Any, **named: Any) -> Any:
            self.sent.append([one.partition_index for one in request.topics[0].partitions])
            return admin._manager.send(request, **named)

        def run(work: Any) -> Any:
            answer = admin._manager.run(work)
            codes = self._changes.pop(0) if self._changes else {}
            for one in answer.topics[0].partitions:
                one.error_code = codes.get(one.partition_index, one.error_code)
            return answer

        return SimpleNamespace(
            _find_coordinator_id=admin._find_coordinator_id, _manager=SimpleNamespace(send=send, run=run)
        )


@pytest.fixture
def journal(broker: Broker) -> Iterator[KafkaJournal]:
    """A journal with topic ``t`` of four partitions."""
    opened = KafkaJournal(parse_address(broker.url(f"prefix=many{next(PREFIXES)}.")))
    opened.create("t", 4)
    yield opened
    opened.close()


@pytest.fixture
def member(journal: KafkaJournal) -> Iterator[KafkaMember]:
    """The only member of group ``g``, which holds everything."""
    joined = journal.join("g", "t", LEASE_S)
    assert isinstance(joined, KafkaMember)
    wait_until(lambda: len(joined.held()) == 4)
    yield joined
    joined.leave()


def places(journal: KafkaJournal) -> list[int]:
    """Where the group is in each partition."""
    return [journal.committed("g", "t", partition) for partition in range(4)]


def test_all_partitions_travel_in_one_request(journal: KafkaJournal, member: KafkaMember) -> None:
    """A commit of many is one request, whatever it holds; one of nothing is none."""
    heard, held = Overheard(member, []), member.held()

    assert member.commit_all({partition: (partition + 1, held[partition]) for partition in range(4)}) == {}
    assert member.commit_all({}) == {}
    assert (heard.sent, places(journal)) == ([[0, 1, 2, 3]], [1, 2, 3, 4])


def test_what_a_broker_cannot_do_yet_is_asked_again_alone(journal: KafkaJournal, member: KafkaMember) -> None:
    """A partition that has to wait is sent again; what was accepted is not, lest it be set back."""
    heard, held = Overheard(member, [{1: LOADING, 3: LOADING}, {3: LOADING}]), member.held()

    assert member.commit_all({partition: (5, held[partition]) for partition in range(4)}) == {}
    assert (heard.sent, places(journal)) == ([[0, 1, 2, 3], [1, 3], [3]], [5, 5, 5, 5])


def test_what_a_broker_refuses_of_a_generation_is_refused_alone(journal: KafkaJournal, member: KafkaMember) -> None:
    """A partition that the broker refuses comes back as fenced when no other generation comes; the others are committed, also behind it."""
    heard, held = Overheard(member, [{0: GENERATION, 2: LOADING}]), member.held()
    member._lease_s = 0.5  # how long it waits for another generation

    refused = member.commit_all({partition: (6, held[partition]) for partition in range(4)})

    assert {partition: str(error) for partition, error in refused.items()} == {
        0: f"partition 0 of group `{member._group}` is no longer held in epoch {held[0]}; nothing was committed"
    }
    assert heard.sent == [[0, 1, 2, 3], [2]]
    assert places(journal)[1:] == [6, 6, 6]


def test_another_error_of_one_partition_is_said_and_the_others_are_committed(
    journal: KafkaJournal, member: KafkaMember
) -> None:
    """What is neither fenced nor passing is said as before: one line; the other partitions of the request are committed."""
    Overheard(member, [{1: UNKNOWN_TOPIC}])
    held = member.held()

    with pytest.raises(HomeError, match="there is no topic `t`"):
        member.commit_all({partition: (7, held[partition]) for partition in range(4)})
    assert [places(journal)[partition] for partition in (0, 2, 3)] == [7, 7, 7]
