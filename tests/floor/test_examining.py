"""What `doctor` finds in a journal: on a real broker, in files, and in what agents wrote."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bench.broker import Broker
from echolane.checks import BAD, OK, SKEW_S, WARN, Check, clock, named, span
from echolane.clock import ManualClock
from echolane.exchange import Exchange, Request
from echolane.frame import EXCHANGES, encode_frame
from echolane.home import Home
from echolane.journal import Group, Journal, examining, kafka_examining, mending, open_journal
from echolane.journal.examining import Behind, agents, behind, lags
from echolane.journal.kafka_address import parse_address
from echolane.journal.kafka_examining import examine
from echolane.journal.kafka_settings import RECORD_BYTES_MAX, faults, settings_of

pytestmark = [pytest.mark.usefixtures("sockets"), pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]
PREFIXES = count(1)
S = 1_000_000_000
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
    address = parse_address(f"kafka://127.0.0.1:{broker.sasl}?wait_s=2&{query}")

    (said,) = examine(address, 4, environ={"ECHOLANE_KAFKA_PASSWORD": "wr0ng"})

    assert (said.check, said.state) == ("kafka", BAD)
    assert words in said.what
    assert "wr0ng" not in said.what + said.do


def test_an_address_that_nobody_is_at_is_one_line() -> None:
    """Where no broker answers there is nothing else to say."""
    (nobody,) = examine(parse_address("kafka://127.0.0.1:1?wait_s=1"), 4)

    assert (nobody.state, "no broker of 127.0.0.1:1 answers" in nobody.what) == (BAD, True)


def exchange(agent: str, epoch: int, seq: int, at_ns: int, **more: Any) -> Exchange:
    """One recorded exchange."""
    request = Request("GET", "http", "shop", "/", "1.1", [])
    return Exchange(f"{agent}-{epoch}-{seq}-{at_ns}", "shop", agent, epoch, seq, "s", at_ns, 1_000_000, request, **more)


Write = Callable[..., None]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Journal, ManualClock, Write]]:
    """A journal, its clock, and ``write(exchanges…)``, which appends a frame of them."""
    time_of = ManualClock()
    journal = open_journal(tmp_path / "home", clock=time_of)
    journal.create("exchanges.shop", 2)

    def write(*exchanges: Exchange, partition: int = 0) -> None:
        times = [one.captured_at_ns for one in exchanges]
        frame = encode_frame(exchanges, kind=EXCHANGES, partition=partition, first_ns=min(times), last_ns=max(times))
        journal.append("exchanges.shop", partition, [frame])

    yield journal, time_of, write
    journal.close()


def test_agents_with_a_name_and_a_clock_of_their_own_are_ok(recorded: tuple[Journal, ManualClock, Write]) -> None:
    """Restarts, losses, several agents, slow exchanges, a spool that is drained beside live ones and old imports are nothing to say."""
    journal, now, write = recorded
    for epoch in (1, 2):
        for seq in range(0, 60, 3):
            now.advance_s(20)
            for agent in ("aaaaaaaa", "bbbbbbbb"):
                write(exchange(agent, epoch, seq, now.wall_ns() - 20_000_000), partition=seq % 2)
    now.advance_s(4000)
    write(*(exchange("cccccccc", 1, seq, now.wall_ns() - (4000 - seq) * S) for seq in range(9)))
    write(exchange("cccccccc", 1, 9, now.wall_ns() - 1_000_000))
    write(exchange("dddddddd", 3, 0, now.wall_ns() - 10**9 * S, tags={"import": "x"}))

    assert wrong(list(agents(journal))) == []


@pytest.mark.parametrize(("off_s", "state", "words"), [(3600, BAD, "60 min ahead"), (-3600, WARN, "60 min old")])
def test_an_agent_whose_clock_is_an_hour_off_is_named(
    recorded: tuple[Journal, ManualClock, Write], off_s: int, state: str, words: str
) -> None:
    """Which agent, of which service, which way and by how much."""
    journal, now, write = recorded
    for seq in range(5):
        now.advance_s(1)
        write(exchange("aaaaaaaa", 1, seq, now.wall_ns() + off_s * S), exchange("bbbbbbbb", 1, seq, now.wall_ns() - S))

    (said,) = wrong(list(agents(journal)))

    assert said.state == state
    assert said.what.startswith("agent `aaaaaaaa` of service `shop`")
    assert words in said.what


@pytest.mark.parametrize("apart", [0, 5000])
def test_an_agent_at_two_places_is_named(recorded: tuple[Journal, ManualClock, Write], apart: int) -> None:
    """A home that was copied numbers exchanges twice: the same numbers, or two rows of them at the same time."""
    journal, now, write = recorded
    for seq in range(20):
        now.advance_s(5)
        write(exchange("aaaaaaaa", 2, seq, now.wall_ns() - S))
        write(exchange("aaaaaaaa", 2, apart + seq, now.wall_ns() - S + 1), partition=1)

    (said,) = wrong(list(agents(journal)))

    assert said.state == BAD
    assert "its home was copied" in said.what
    assert "ledger/agent.shop.json" in said.do


def test_a_group_that_is_behind_is_said_with_who_works_on_it(recorded: tuple[Journal, ManualClock, Write]) -> None:
    """Frames that nobody finished are counted, also those below what retention left; a run that is over needs nobody."""
    journal, now, write = recorded
    for seq in range(4):
        write(exchange("aaaaaaaa", 1, seq, now.wall_ns()), partition=seq % 2)
    journal.commit("differ", "exchanges.shop", 0, 1)
    journal.commit("done", "exchanges.shop", 0, 2)
    journal.commit("done", "exchanges.shop", 1, 2)

    found = behind(journal)

    assert found == [Behind(Group("differ", "exchanges.shop", 0), 3)]
    (said,) = lags(found, [])
    assert (said.state, "3 frames behind" in said.what, "nobody works on it" in said.what) == (WARN, True, True)
    assert [check.state for check in lags(found, ["shop"])] == [OK]
    member = journal.join("differ", "exchanges.shop", lease_s=60)
    (said,) = lags(behind(journal), [])
    member.leave()
    assert (said.state, "with 1 worker at it" in said.what) == (OK, True)


def test_files_without_an_owner_are_named_and_removed(tmp_path: Path) -> None:
    """What processes that died have left is said and, when asked, removed; a topic beside it is as it was."""
    home = tmp_path / "home"
    journal = open_journal(home)
    journal.create("t", 3)
    frame = encode_frame([], kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)
    journal.append("t", 1, [frame])
    folder = home / "journal"
    (folder / "half").mkdir()
    (folder / "half" / "x.db").write_bytes(b"x")
    (folder / "t" / "1-1").mkdir()
    (current,) = [path for path in (folder / "t").iterdir() if (path / "ends").exists()]
    (current / "index.db.damaged").write_bytes(b"x")

    said = list(mending.examine(folder, repair=False))
    assert [(check.check, check.state) for check in said] == [("journal half", WARN)] + [("journal t", WARN)] * 2
    assert all("--repair" in check.do for check in said)
    assert list(mending.examine(folder, repair=False)) == said
    mended = list(mending.examine(folder, repair=True))
    assert [check.what.endswith("it was removed") for check in mended] == [True] * 3
    assert list(mending.examine(folder, repair=True)) == []
    assert [entry.frame for entry in journal.read("t", 1)] == [frame]
    journal.close()


def test_a_topic_whose_name_is_damaged_is_named_anew(tmp_path: Path) -> None:
    """Its files say where it is and how many partitions it has, so nothing of it is lost."""
    journal = open_journal(tmp_path)
    journal.create("t", 3)
    frame = encode_frame([], kind=EXCHANGES, partition=0, first_ns=1, last_ns=1)
    journal.append("t", 2, [frame])
    journal.close()
    folder = tmp_path / "journal"
    (folder / "t" / "topic.json").write_bytes(b'{"partit')

    (said,) = mending.examine(folder, repair=False)
    assert (said.state, "is damaged" in said.what) == (BAD, True)
    (mended,) = mending.examine(folder, repair=True)
    assert "3 partitions" in mended.what

    journal = open_journal(tmp_path)
    assert journal.partitions("t") == 3
    assert [entry.frame for entry in journal.read("t", 2)] == [frame]
    journal.close()
    (folder / "t" / "topic.json").write_bytes(b"")
    (folder / "t" / "another").mkdir()
    (folder / "t" / "another" / "ends").write_bytes(bytes(64))
    (undecided,) = mending.examine(folder, repair=True)
    assert (undecided.state, "2 folders" in undecided.what) == (BAD, True)


def test_nothing_is_said_of_a_journal_that_is_not_there(tmp_path: Path) -> None:
    """A new home is a healthy one."""
    assert list(mending.examine(tmp_path / "none", repair=True)) == []
    journal = open_journal(tmp_path)
    assert list(examining.agents(journal)) == []
    assert [check.state for check in lags(behind(journal), [])] == [OK]
    journal.close()
