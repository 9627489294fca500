"""What `doctor` finds in a journal on a real broker."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bench.broker import Broker
from echolane.checks import BAD, OK, SKEW_S, WARN, Check, clock, named, span
from echolane.home import Home
from echolane.journal import kafka_examining, open_journal
from echolane.journal.kafka_address import parse_address
from echolane.journal.kafka_examining import examine
from echolane.journal.kafka_settings import RECORD_BYTES_MAX, faults, settings_of

pytestmark = [pytest.mark.usefixtures("sockets"), pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]
PREFIXES = count(1)
HARM = {
    "cleanup.policy": ["compact", "compact,delete"],
    "compression.type": ["zstd", "gzip"],
    "max.message.bytes": ["1048588", str(RECORD_BYTES_MAX - 1)],
    "message.timestamp.type": ["CreateTime"],
    "min.insync.replicas": ["4"],
    "retention.ms": ["3600000"],
    "retention.bytes": ["1000000"],
    "unclean.leader.election.enable": ["true"],
}
HARMS = st.sampled_from([(name, value) for name, values in HARM.items() for value in values])


@given(
    st.sampled_from(["exchanges.shop", "work.r", "observations.r", "intents.r"]),
    st.floats(0.1, 400),
    st.integers(1, 3),
    st.dictionaries(st.sampled_from(list(HARM)), st.integers(0, 1)),
)
def test_exactly_what_is_otherwise_is_a_fault(topic: str, days: float, replicas: int, harms: dict[str, int]) -> None:
    """A topic as Echolane makes it has no fault; each setting that was changed for the worse is one, and its name says how to set it back."""
    wanted = settings_of(topic, parse_address(f"kafka://h?retention_days={days}"), replicas)
    found = wanted | {name: HARM[name][which % len(HARM[name])] for name, which in harms.items()}
    short = int(wanted["retention.ms"]) > 3_600_000

    said = list(faults(found, wanted, replicas))

    assert len(said) == len([name for name in harms if name != "retention.ms" or short])
    assert all(any(name in fault.do for fault in said) for name in harms if name != "retention.ms" or short)
    assert {fault.state for fault in said} <= {WARN, BAD}


@given(st.floats(-1e6, 1e6), st.floats(0, 10))
def test_a_clock_is_called_off_only_beyond_doubt(ahead_s: float, doubt_s: float) -> None:
    """What the way there and back leaves open is never told as skew, and what is beyond it always."""
    said = clock("c", "it", ahead_s, doubt_s)

    assert (said.state == WARN) == (abs(ahead_s) > SKEW_S + doubt_s)
    assert (said.do != "") == (said.state == WARN)


def test_many_things_are_counted_and_spans_are_readable() -> None:
    """A line stays a line, whatever it is about."""
    assert named(map(str, range(9))) == "`0`, `1`, `2` and 6 more"
    assert [span(s) for s in (0.5, 100, 3600, 86_400, 864_000)] == ["0.5 s", "100.0 s", "60 min", "24 h", "10 days"]


class Shifted:
    """A clock that is off."""

    def __init__(self, by_s: float) -> None:
        self._by_ns = int(by_s * 1e9)

    def wall_ns(self) -> int:
        """What it shows."""
        return time.time_ns() + self._by_ns

    mono_ns = staticmethod(time.monotonic_ns)


@pytest.fixture
def url(broker: Broker) -> str:
    """The shared broker, with a prefix of the test's own."""
    return broker.url(f"prefix=x{next(PREFIXES)}.")


@pytest.fixture
def admin(broker: Broker) -> Iterator[Any]:
    """Somebody else on the cluster."""
    client = importlib.import_module("kafka").KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.plain}")
    yield client
    client.close()


def wrong(found: Sequence[Check]) -> list[Check]:
    """The checks that are not ok."""
    return [check for check in found if check.state != OK]


def test_a_cluster_as_it_should_be_has_no_fault(url: str, admin: Any) -> None:
    """Brokers and their version, topics as we made them and clocks are ok, and the topic that asked for the time is gone."""
    journal = open_journal(Home(Path("none"), url))
    for topic in ("exchanges.shop", "work.r", "observations.r", "intents.r"):
        journal.create(topic, 4)
    found = list(examine(parse_address(url), 4))
    journal.close()

    assert wrong(found) == []
    assert [check.check for check in found] == ["kafka brokers", "kafka topics", "kafka clocks"]
    assert "1 broker, Kafka 4.1:" in found[0].what
    assert found[1].what.startswith("4 begin with")
    prefix = parse_address(url).prefix
    deadline = time.monotonic() + 60
    while [name for name in admin.list_topics() if name.startswith(f"{prefix}doctor.")]:
        assert time.monotonic() < deadline, "the topic was left"
        time.sleep(0.1)


def test_topics_that_others_made_are_held_against_ours(url: str, admin: Any) -> None:
    """Each setting that is otherwise is a line that names its topics, how bad it is, and what to set."""
    prefix = parse_address(url).prefix
    harmed = {
        "exchanges.two": ({"num_partitions": 2}, BAD, "set journal.partitions=2"),
        "exchanges.compacted": ({"configs": {"cleanup.policy": "compact"}}, BAD, "set cleanup.policy=delete"),
        "exchanges.small": (
            {"configs": {"max.message.bytes": "1000000"}},
            BAD,
            f"set max.message.bytes={RECORD_BYTES_MAX}",
        ),
        "exchanges.short": ({"configs": {"retention.ms": "3600000"}}, WARN, "set retention.ms=604800000"),
        "exchanges.sent": (
            {"configs": {"message.timestamp.type": "CreateTime"}},
            WARN,
            "set message.timestamp.type=LogAppendTime",
        ),
        "exchanges.stuck": ({"configs": {"min.insync.replicas": "2"}}, BAD, "set min.insync.replicas=1"),
    }
    address = parse_address(url)
    for topic, (how, _, _) in harmed.items():
        configs = settings_of(topic, address, 1) | how.get("configs", {})
        spec = {"num_partitions": how.get("num_partitions", 4), "replication_factor": 1, "configs": configs}
        admin.create_topics({prefix + topic: spec}, wait_for_metadata=True)
    for topic, partitions in (("work.r", 4), ("observations.r", 3)):
        spec = {"num_partitions": partitions, "replication_factor": 1, "configs": settings_of(topic, address, 1)}
        admin.create_topics({prefix + topic: spec}, wait_for_metadata=True)

    found = list(examine(address, 4))

    for topic, (_, state, do) in harmed.items():
        assert [
            (check.state, re.split(r" for |, or |; ", check.do)[0])
            for check in wrong(found)
            if f"`{prefix}{topic}`" in check.what
        ] == [(state, do)], found
    (unlike,) = [check for check in wrong(found) if "other numbers of partitions" in check.what]
    assert unlike.what.startswith(f"`{prefix}observations.r`, `{prefix}work.r` have")
    assert len(wrong(found)) == len(harmed) + 1


def test_settings_that_may_not_be_read_are_not_called_right(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brokers leave out what a user may not see; that is said, and nothing is claimed of it."""
    journal = open_journal(Home(Path("none"), url))
    journal.create("exchanges.shop", 4)
    journal.close()
    monkeypatch.setattr(kafka_examining, "_configs", lambda *_: {})

    said = wrong(list(examine(parse_address(url), 4)))

    assert [(one.state, "may not read" in one.what) for one in said] == [(WARN, True), (WARN, True)], said
    assert {"brokers" in one.what for one in said} == {True, False}


def test_brokers_that_cannot_do_what_is_asked_of_them_are_bad(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More replicas than brokers, group members that brokers will not let live so shortly, topics that make themselves."""
    address = parse_address(url + "&replication=3")
    strict = {"1": {"group.min.session.timeout.ms": "30000", "auto.create.topics.enable": "true"}}
    monkeypatch.setattr(kafka_examining, "_configs", lambda _, kind, __: strict if kind == "broker" else {})

    found = wrong(list(examine(address, 4)))

    assert [(check.check, check.state) for check in found] == [
        ("kafka brokers", BAD),
        ("kafka settings", WARN),
        ("kafka settings", BAD),
    ]
    assert "3 replicas of 1 brokers" in found[0].what
    assert "set auto.create.topics.enable=false" in found[1].do
    assert "set group.min.session.timeout.ms=10000 or less" in found[2].do


def test_a_broker_that_clients_are_sent_to_and_cannot_reach_is_bad(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that tells clients an address which does not lead there from here: which broker, which address, what to set."""
    monkeypatch.setattr(kafka_examining, "_accepts", lambda _host, _port: False)

    found = wrong(list(examine(parse_address(url), 4)))

    assert [(check.check, check.state) for check in found] == [("kafka brokers", BAD)]
    assert "broker 1 tells clients to come to 127.0.0.1:" in found[0].what
    assert "advertised.listeners" in found[0].do


@pytest.mark.parametrize(("by_s", "where"), [(3600.0, "60 min behind"), (-3600.0, "60 min ahead of")])
def test_brokers_of_another_time_are_said(url: str, by_s: float, where: str) -> None:
    """An hour between the brokers' clock and ours is said with its size and direction, seen from us."""
    found = [check for check in examine(parse_address(url), 4, clock=Shifted(by_s)) if check.check == "kafka clocks"]

    (said,) = found
    assert (said.state, where in said.what) == (WARN, True), said


def test_what_a_killed_doctor_left_is_removed(url: str, admin: Any) -> None:
    """A topic of an earlier doctor goes with the next one; one of a doctor that may be at it stays."""
    prefix = parse_address(url).prefix
    old, young = (f"{prefix}doctor.{_uuid(time.time() - age)}" for age in (3600, 5))
    foreign = f"{prefix}doctor.who"
    for name in (old, young, foreign):
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)

    assert wrong(list(examine(parse_address(url), 4))) == []
    deadline = time.monotonic() + 60
    while (left := {name for name in admin.list_topics() if name.startswith(f"{prefix}doctor.")}) != {young, foreign}:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _uuid(at_s: float) -> str:
    stamp = f"{int(at_s * 1000):012x}"
    return f"{stamp[:8]}-{stamp[8:]}-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("query", "words"),
    [("user=alice&sasl=plain", "ends the connection of user `alice`"), ("user=bob&sasl=scram-sha-512", "user `bob`")],
)
def test_credentials_that_are_refused_are_one_line(broker: Broker, query: str, words: str) -> None:
    """A wrong password or user is told as that, without the password."""
    address = parse_address(f"kafka://127.0.0.1:{broker.sasl}?wait_s=20&{query}")

    (said,) = examine(address, 4, environ={"ECHOLANE_KAFKA_PASSWORD": "wr0ng"})

    assert (said.check, said.state) == ("kafka", BAD)
    assert words in said.what
    assert "wr0ng" not in said.what + said.do


def test_an_address_that_nobody_is_at_is_one_line() -> None:
    """Where no broker answers there is nothing else to say."""
    (nobody,) = examine(parse_address("kafka://127.0.0.1:1?wait_s=1"), 4)

    assert (nobody.state, "no broker of 127.0.0.1:1 answers" in nobody.what) == (BAD, True)
