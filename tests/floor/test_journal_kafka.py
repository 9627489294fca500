"""The Kafka door where it is not like the other one: addresses, ways in, topics of others, records that are no frames."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bench.broker import PASSWORD, USER, Broker
from echolane.errors import EcholaneError, HomeError, UsageError
from echolane.frame import INTENTS, encode_frame
from echolane.home import Home
from echolane.journal import Journal, kafka_clients, open_journal
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import completed, parse_address
from echolane.journal.kafka_reading import Ranges
from echolane.observation import Intent
from echolane.settings import load

PREFIXES = count(1)
pytestmark = [pytest.mark.usefixtures("sockets"), pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]


def frame_of(number: int) -> bytes:
    """A sound frame."""
    return encode_frame([Intent(f"e{number}", 0, "", number)], kind=INTENTS, partition=0, first_ns=1, last_ns=2)


def journal_at(url: str) -> KafkaJournal:
    """The door at an address."""
    return KafkaJournal(parse_address(url))


@pytest.fixture
def url(broker: Broker) -> str:
    """The shared broker, with a prefix of the test's own."""
    return broker.url(f"prefix=k{next(PREFIXES)}.&wait_s=30")


@pytest.fixture
def journal(url: str) -> Iterator[KafkaJournal]:
    """A journal with topic ``t`` of two partitions."""
    with_topic = journal_at(url)
    with_topic.create("t", 2)
    yield with_topic
    with_topic.close()


@pytest.fixture
def admin(broker: Broker) -> Iterator[Any]:
    """What others do with the cluster."""
    client = importlib.import_module("kafka").KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{broker.plain}")
    yield client
    client.close()


@pytest.fixture
def put(broker: Broker) -> Iterator[Callable[[str, int, bytes | None], None]]:
    """``put(topic, partition, value)``: a record that did not come through the door."""
    producer = importlib.import_module("kafka").KafkaProducer(bootstrap_servers=f"127.0.0.1:{broker.plain}")
    yield lambda topic, partition, value: producer.send(topic, value, key=b"k", partition=partition).get(60)
    producer.close()


WRONG = {
    "kafka://": "HOST:PORT",
    "kafka://h:0": "HOST:PORT",
    "kafka://h:70000": "HOST:PORT",
    "kafka://a b": "HOST:PORT",
    "kafka://h1,,h2": "HOST:PORT",
    "kafka://u:secret@h": "holds a password",
    "kafka://h?colour=red": "unknown part `colour`",
    "kafka://h?tls=perhaps": "Expected `bool`",
    "kafka://h?sasl=kerberos&user=u": "must be plain, scram",
    "kafka://h?sasl=plain": "no kafka.user",
    "kafka://h?prefix=": "prefix",
    "kafka://h?prefix=_x": "prefix",
    "kafka://h?cert_file=c&tls=true": "go together",
    "kafka://h?ca_file=c": "need kafka.tls",
    "kafka://h?replication=99": "between 0 and 16",
    "kafka://h?wait_s=0": "between 1 and 3600",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_address_says_which_part_is_wrong(url: str) -> None:
    """A person who mistypes an address reads what to change, and no password is repeated to the terminal."""
    with pytest.raises(UsageError) as said:
        parse_address(url)

    assert WRONG[url] in str(said.value)
    assert "secret" not in str(said.value)


@given(
    st.lists(st.sampled_from(["h", "kafka-1.internal:9093", "10.0.0.1:9092", "[::1]:9092"]), min_size=1, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "user": st.sampled_from(["u", "a b&c", "ü"]),
            "password_file": st.sampled_from(["/run/p", "a?b=c&d"]),
            "tls": st.booleans(),
            "replication": st.integers(0, 16),
            "prefix": st.sampled_from(["p.", "echolane."]),
            "wait_s": st.floats(1, 3600),
        },
    ),
)
def test_a_completed_address_says_all_by_itself(servers: list[str], values: dict[str, Any]) -> None:
    """What settings add to an address arrives in another process, which is told the address alone."""
    full = completed("kafka://" + ",".join(servers), values)
    address = parse_address(full)

    assert {name: getattr(address, name) for name in values} == values
    assert completed(full, values) == full
    assert [server.split(":")[0] for server in address.servers] == [server.split(":")[0] for server in servers]


def test_an_address_says_more_than_the_settings(tmp_path: Path) -> None:
    """What the URL says goes before the settings of the same name; the short form of the setting works everywhere."""
    file = tmp_path / "echolane.toml"
    file.write_text(
        'journal = "kafka://me@one?prefix=mine."\n[kafka]\nuser = "other"\nprefix = "theirs."\nwait_s = 7\n'
    )

    found = parse_address(load({}, {}, file).journal_url)
    by_environment = load({}, {"ECHOLANE_JOURNAL": "kafka://two"}, tmp_path / "none")
    by_flag = load({"journal.url": "sqlite"}, {"ECHOLANE_JOURNAL": "kafka://two"}, file)

    assert (found.servers, found.user, found.prefix, found.wait_s) == (["one:9092"], "me", "mine.", 7)
    assert by_environment.journal_url == "kafka://two"
    assert by_flag.journal_url == ""
    with pytest.raises(UsageError, match="must be `sqlite` or `kafka://HOST:PORT"):
        load({"journal.url": "amqp://x"}, {}, file)


WAYS_IN = {
    "plain": ("127.0.0.1:{plain}", ""),
    "tls": ("127.0.0.1:{tls}?tls=1&ca_file={ca}", ""),
    "scram": ("alice@127.0.0.1:{sasl}", PASSWORD),
    "sasl plain": ("alice@127.0.0.1:{sasl}?sasl=plain", PASSWORD),
}
SHUT_OUT = {
    "nobody listens": ("127.0.0.1:{nobody}", "", "no broker of 127.0.0.1:.* answers .*ECONNREFUSED"),
    "no such host": ("nowhere.invalid", "", "no broker of nowhere.invalid:9092 answers"),
    "wrong password": ("alice@127.0.0.1:{sasl}", "wrong", "user `alice`: a wrong user or password"),
    "wrong password, plain": ("alice@127.0.0.1:{sasl}?sasl=plain", "wrong", "user `alice`: a wrong user or password"),
    "another mechanism": ("alice@127.0.0.1:{sasl}?sasl=scram-sha-256", PASSWORD, "another kafka.sasl"),
    "no user": ("127.0.0.1:{sasl}", "", "kafka.user"),
    "no password": ("alice@127.0.0.1:{sasl}", None, "set ECHOLANE_KAFKA_PASSWORD"),
    "plain to TLS": ("127.0.0.1:{tls}", "", r"kafka\.tls"),
    "TLS to plain": ("127.0.0.1:{plain}?tls=1&ca_file={ca}", "", "TLS failed"),
    "an authority we do not know": ("127.0.0.1:{tls}?tls=1", "", "TLS failed: .*look at kafka.ca_file"),
    "no such file": ("127.0.0.1:{tls}?tls=1&ca_file=/none", "", "files for TLS to Kafka cannot be used"),
}


def address_of(pattern: str, broker: Broker, password: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address of the shared broker."""
    monkeypatch.delenv("ECHOLANE_KAFKA_PASSWORD", raising=False)
    if password is not None:
        monkeypatch.setenv("ECHOLANE_KAFKA_PASSWORD", password)
    return "kafka://" + pattern.format(plain=broker.plain, sasl=broker.sasl, tls=broker.tls, ca=broker.ca, nobody=1)


@pytest.mark.parametrize("way", WAYS_IN)
def test_every_way_in_works(way: str, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain, with TLS, with a user by PLAIN or SCRAM: all clients of the door come in by the same way."""
    pattern, password = WAYS_IN[way]
    url = address_of(pattern, broker, password, monkeypatch)
    with_prefix = journal_at(url + ("&" if "?" in url else "?") + f"prefix=k{next(PREFIXES)}.")
    try:
        with_prefix.create("t", 1)
        assert with_prefix.append("t", 0, [frame_of(1)]) == [0]
        assert [entry.frame for entry in with_prefix.read("t", 0)] == [frame_of(1)]
    finally:
        with_prefix.close()


@pytest.mark.parametrize("why", SHUT_OUT)
def test_who_is_shut_out_reads_why(why: str, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong address, password, mechanism or certificate: one line that says what and where, within seconds."""
    pattern, password, words = SHUT_OUT[why]
    url = address_of(pattern, broker, password, monkeypatch)

    with pytest.raises(EcholaneError, match=words) as said:
        journal_at(url + ("&" if "?" in url else "?") + "wait_s=20")

    assert "wrong" not in str(said.value).replace("a wrong user or password", "")
    assert PASSWORD not in str(said.value)
    assert not [thread.name for thread in threading.enumerate() if thread.name == "kafka-io-echolane"]


def test_a_password_may_stand_in_a_file(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file goes before the environment; one that cannot be read is named."""
    monkeypatch.setenv("ECHOLANE_KAFKA_PASSWORD", "wrong")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")

    journal_at(f"kafka://{USER}@127.0.0.1:{broker.sasl}?password_file={tmp_path}/password").close()
    with pytest.raises(UsageError, match=r"password_file .*/none` cannot be read"):
        journal_at(f"kafka://{USER}@127.0.0.1:{broker.sasl}?password_file={tmp_path}/none")


def test_without_the_client_the_command_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka is an extra: who asks for it without having it reads what to install."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(kafka_clients.importlib, "import_module", absent)
    with pytest.raises(HomeError, match=r"pip install 'echolane\[kafka\]'"):
        open_journal(Home(Path("none"), "kafka://127.0.0.1:1"))


def test_a_new_topic_is_made_for_frames(journal: KafkaJournal, url: str, admin: Any) -> None:
    """Records of 16 MiB, the broker's own clock, and the settings' retention; topics of a run are kept for a week at least."""
    short = journal_at(url + "&retention_days=1")
    short.create("exchanges.shop", 1)
    short.create("work.run", 1)
    prefix = parse_address(url).prefix
    resource = importlib.import_module("kafka.admin").ConfigResource
    found: dict[str, dict[str, str]] = {}
    for name in ("t", "exchanges.shop", "work.run"):
        configs = admin.describe_configs([resource("TOPIC", prefix + name)], config_filter="all")
        listed = next(iter(next(iter(configs.values())).values())) if isinstance(configs, dict) else configs[0]
        found[name] = {key: value["value"] for key, value in listed.items()}
    short.close()

    assert int(found["t"]["max.message.bytes"]) > 16 * 1024 * 1024
    assert {one["message.timestamp.type"] for one in found.values()} == {"LogAppendTime"}
    assert {one["cleanup.policy"] for one in found.values()} == {"delete"}
    assert [int(found[name]["retention.ms"]) / 86_400_000 for name in found] == [7, 1, 7]


def test_a_broker_that_learns_of_a_new_topic_later_is_waited_for(
    journal: KafkaJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One broker makes it, another one is asked, which does not know it yet: that is no topic that was removed."""
    looks, look = count(1), journal._look
    monkeypatch.setattr(journal, "_look", lambda topic: None if next(looks) < 4 else look(topic))
    journal.create("late", 3)

    assert next(looks) == 5
    assert journal.partitions("late") == 3


def test_each_broker_may_learn_of_a_new_topic_later(journal: KafkaJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question after may go to a broker that does not know what another one has told already; what nobody made is missing at once."""
    journal.create("late", 3)
    looks, look = count(1), journal._look
    monkeypatch.setattr(journal, "_look", lambda topic: None if next(looks) < 4 else look(topic))

    assert journal.partitions("late") == 3
    assert next(looks) == 5
    with pytest.raises(HomeError, match="`never`"):
        journal.partitions("never")
    assert next(looks) == 7
    journal.drop("late")
    with pytest.raises(HomeError, match="`late`"):
        journal.partitions("late")


def test_topics_of_others_are_left_alone(journal: KafkaJournal, admin: Any, url: str) -> None:
    """On a cluster that many use, only what stands under our prefix is ours."""
    foreign = f"foreign.{parse_address(url).prefix}exchanges.theirs"
    admin.create_topics({foreign: {"num_partitions": 1, "replication_factor": 1}})

    assert journal.topics() == ["t"]


def test_a_topic_that_others_made_differently_is_said(journal: KafkaJournal, admin: Any, url: str) -> None:
    """Another number of partitions, too small a limit for records, more copies than brokers: each says what to do."""
    prefix = parse_address(url).prefix
    admin.create_topics({prefix + "exchanges.shop": {"num_partitions": 6, "replication_factor": 1}})

    with pytest.raises(HomeError, match=r"`exchanges.shop` has 6 partitions, not 4"):
        journal.create("exchanges.shop", 4)
    big = encode_frame([Intent("e", 0, os.urandom(1 << 20).hex(), 1)], kind=INTENTS, partition=0, first_ns=1, last_ns=1)
    with pytest.raises(HomeError, match=r"takes smaller records .* max.message.bytes"):
        journal.append("exchanges.shop", 0, [big])
    assert journal.end("exchanges.shop", 0) == 0
    greedy = journal_at(url + "&replication=3")
    with pytest.raises(HomeError, match=r"cannot have 3 replicas on 1 brokers; set kafka.replication"):
        greedy.create("u", 1)
    greedy.close()


def test_the_largest_frame_passes(journal: KafkaJournal) -> None:
    """A frame of 16 MiB, which one record may be, and many at once arrive whole."""
    frame = encode_frame(
        [Intent("e", 0, os.urandom(8_300_000).hex(), 1)], kind=INTENTS, partition=0, first_ns=1, last_ns=1
    )
    padded = frame_of(0)

    assert 8_000_000 < len(frame) < 16 * 1024 * 1024
    assert journal.append("t", 0, [frame, padded, frame, frame]) == [0, 1, 2, 3]
    assert [entry.frame == frame for entry in journal.read("t", 0)] == [True, False, True, True]


def test_what_is_no_frame_is_set_aside_once(
    journal: KafkaJournal, url: str, put: Callable[[str, int, bytes | None], None]
) -> None:
    """Records of others, empty ones, hurt frames and those of a newer Echolane are left out, and counted once for all readers."""
    topic = parse_address(url).prefix + "t"
    sound = frame_of(1)
    hurt = sound[:-1] + bytes([sound[-1] ^ 1])
    newer = sound[:2] + b"\x09" + sound[3:]
    journal.append("t", 1, [sound])
    for value in (b"hello", None, hurt, newer):
        put(topic, 1, value)
    journal.append("t", 1, [sound])
    put(topic, 1, b"")
    other = journal_at(url)

    for reader in (journal, other, journal):
        assert [entry.position for entry in reader.read("t", 1)] == [0, 5]
    assert (journal.damaged("t"), other.damaged("t")) == (5, 5)
    assert other.aside("t") == [(1, 1, 5), (1, 6, 7)]
    other.close()


def test_nothing_is_read_from_a_topic_that_goes_away(journal: KafkaJournal, url: str) -> None:
    """A reader in the middle of a topic that is removed ends with the reason."""
    journal.append("t", 0, [os.urandom(0) or frame_of(n) for n in range(3)])
    for _ in range(40):
        journal.append(
            "t",
            0,
            [
                encode_frame(
                    [Intent("e", 0, os.urandom(100_000).hex(), 1)] * 2, kind=INTENTS, partition=0, first_ns=1, last_ns=1
                )
            ]
            * 3,
        )
    reading = journal.read("t", 0)
    next(reading)
    other: Journal = journal_at(url)
    other.drop("t")

    with pytest.raises(HomeError, match="no topic `t`"):
        list(reading)
    other.close()


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 30)), max_size=60), st.booleans())
def test_ranges_count_each_position_once(ranges: list[tuple[int, int]], kept: bool) -> None:
    """However ranges overlap and in whatever order they come, a position counts once, also after being kept as text."""
    found, model = Ranges(), set[int]()
    for first, length in ranges:
        before = len(model)
        model |= set(range(first, first + length))
        assert found.add(first, first + length) == (len(model) > before)
        if kept:
            found = Ranges(found.text())

    assert found.count == len(model)


def test_more_ranges_than_there_is_room_for_are_kept_as_a_sum() -> None:
    """A partition with thousands of hurt places keeps its count, within what Kafka keeps of a commit."""
    found = Ranges()
    for position in range(0, 4_000, 2):
        found.add(position, position + 1)
        if position % 100 == 0:
            found = Ranges(found.text())

    assert found.count == 2_000
    assert len(found.text()) < 4096
    assert Ranges(found.text()).count == 2_000
    assert not found.add(0, 10)


def test_who_finds_nothing_new_has_asked_once(journal: KafkaJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that tails costs the brokers one question where nothing is new; where something is, it is read as ever."""
    journal.append("t", 0, [frame_of(1)])
    asked, ask = list[str](), journal._clients.asked
    monkeypatch.setattr(journal._clients, "asked", lambda *args, **how: (asked.append(args[1]), ask(*args, **how))[1])

    assert list(journal.read("t", 0, 1)) == []
    assert asked == ["t"]
    assert [entry.position for entry in journal.read("t", 0)] == [0]
