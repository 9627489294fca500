"""What was recorded of an exchange of a run is found in the journal wherever it stands, and where it is not, why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.broker import Broker
from console.api import masked, recorded
from echolane.erasing import emptied
from echolane.exchange import Body, Exchange, Request, Response, WorkItem
from echolane.frame import EXCHANGES, WORK, encode_frame
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.journal.kafka import KafkaJournal
from echolane.journal.kafka_address import parse_address
from echolane.keys import load_seal_keys
from echolane.masks import Masker
from echolane.recordings import Recording, everything
from replayer.plan import work_topic

RUN, SERVICE, COUNT, PARTITIONS = "01890000-0000-7000-8000-000000000000", "shop", 90, 3
HOUR_NS = 3_600_000_000_000


def exchange(number: int, at_ns: int) -> Exchange:
    """A recorded exchange whose answer says its number."""
    asked = Request("POST", "http", "shop.test", f"/{number}", "1.1", [(b"n", b"%d" % number)], Body(b"%d" % number, 1))
    answer = Response(200, "1.1", [(b"n", b"%d" % number)], Body(b"answer %d" % number, 8))
    return Exchange(f"e{number}", SERVICE, "0" * 8, 1, number, "", at_ns, 1000, asked, answer)


def written(journal: Journal, made: list[Exchange], size: int = 7, *, partitions: int = PARTITIONS) -> Recording:
    """The exchanges as recorded, and as the plan of a run has them; frames of ``size``."""
    topics = ((f"exchanges.{SERVICE}", EXCHANGES), (work_topic(RUN), WORK))
    for topic, kind in topics:
        journal.create(topic, partitions)
        for partition in range(partitions):
            mine = list(enumerate(made))[partition::partitions]
            for at in range(0, len(mine), size):
                part = [
                    one if kind == EXCHANGES else WorkItem(seq, 0, "", [], one) for seq, one in mine[at : at + size]
                ]
                times = [one.captured_at_ns for _, one in mine[at : at + size]]
                journal.append(
                    topic,
                    partition,
                    [encode_frame(part, kind=kind, partition=partition, first_ns=min(times), last_ns=max(times))],
                )
    return everything(journal, SERVICE, id="0" * 8, now_ns=0)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty one."""
    return open_journal(tmp_path)


@pytest.mark.parametrize("moved_ns", [-HOUR_NS * 1_000, 0, HOUR_NS])
@pytest.mark.parametrize("partitions", [1, PARTITIONS])
def test_each_exchange_is_found_whenever_it_was_seen(journal: Journal, partitions: int, moved_ns: int) -> None:
    """Request and answer of every exchange, imported long after it was seen or by a clock that is ahead, in one partition and in several."""
    now = time_of(journal)
    made = [exchange(number, now + moved_ns + number) for number in range(COUNT)]
    recording = written(journal, made, partitions=partitions)
    for seq, one in enumerate(made):
        assert recorded.planned(journal, RUN, seq, one.id) == one
        assert recorded.recorded(journal, recording, one) == one
    assert recorded.planned(journal, RUN, COUNT, "e0") == "gone"
    assert recorded.planned(journal, RUN, 0, "e1") == "gone"


@pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")
def test_exchanges_are_found_on_kafka_too(broker: Broker) -> None:
    """Request and answer, seen now and long before they were stored; what is not there is `gone`."""
    journal = KafkaJournal(parse_address(broker.url("prefix=recorded.&wait_s=30")))
    try:
        now = time_of(journal)
        made = [exchange(number, now + number - HOUR_NS * (number % 2)) for number in range(COUNT)]
        recording = written(journal, made)
        for seq, one in list(enumerate(made))[::17]:
            assert recorded.planned(journal, RUN, seq, one.id) == one
            assert recorded.recorded(journal, recording, one) == one
        assert recorded.planned(journal, RUN, COUNT, "e0") == "gone"
        assert recorded.recorded(journal, recording, exchange(COUNT, now)) == "gone"
    finally:
        journal.close()


def time_of(journal: Journal) -> int:
    """Wall clock of the journal."""
    journal.create("clock", 1)
    journal.append("clock", 0, [encode_frame([], kind=EXCHANGES, partition=0, first_ns=0, last_ns=0)])
    return next(iter(journal.read("clock", 0))).append_ns


def test_what_retention_took_is_gone_and_the_rest_is_told(journal: Journal) -> None:
    """Recording and plan go apart; of either the journal's word is `gone`, never an error."""
    one = exchange(1, 1)
    recording = written(journal, [one])
    journal.drop(f"exchanges.{SERVICE}")
    assert recorded.planned(journal, RUN, 0, "e1") == one
    assert recorded.recorded(journal, recording, one) == "gone"
    journal.create(f"exchanges.{SERVICE}", 1)  # recorded anew, in fewer partitions
    assert recorded.recorded(journal, recording, one) == "gone"
    journal.drop(work_topic(RUN))
    assert recorded.planned(journal, RUN, 0, "e1") == "gone"


def test_what_was_erased_says_so(journal: Journal) -> None:
    """Of an exchange that somebody had erased nothing is told but that."""
    one = exchange(1, 1)
    recording = written(journal, [exchange(0, 0), emptied(one)])
    assert recorded.planned(journal, RUN, 1, "e1") == "erased"
    assert recorded.recorded(journal, recording, one) == "erased"


def test_a_look_that_takes_too_long_is_given_up(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound of bytes the answer is that it was given up, not that there is none; within it, what is there."""
    made = [exchange(number, number) for number in range(COUNT)]
    recording = written(journal, made, partitions=1)
    monkeypatch.setattr(recorded, "LOOKED_MAX", 2_000)
    assert recorded.recorded(journal, recording, made[0]) == made[0]
    assert recorded.recorded(journal, recording, made[-1]) == "given-up"


def test_a_frame_that_is_damaged_hides_only_its_own(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search by halves goes past frames that the journal leaves out."""
    made = [exchange(number, number) for number in range(COUNT)]
    written(journal, made, partitions=1)
    read = journal.read
    broken = {3, 20, 21, 42}

    def without(topic: str, partition: int, start: int = 0, stop: int | None = None) -> object:
        return (entry for entry in read(topic, partition, start, stop) if entry.position not in broken)

    monkeypatch.setattr(journal, "read", without)
    found = [recorded.planned(journal, RUN, seq, one.id) for seq, one in enumerate(made)]
    assert found == [one if seq // 7 not in broken else "gone" for seq, one in enumerate(made)]


@pytest.mark.parametrize("given", [True, False])
def test_places_that_hold_masks_are_named(tmp_path: Path, given: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of this installation's keys, old ones too, in target, headers and body; without keys none, and none are made."""
    home, keep = Home(tmp_path / "home"), Home(tmp_path / "keys")
    keys = load_seal_keys(keep.keys, {})
    plain = Request(
        "POST",
        "http",
        "shop.test",
        "/x?token=abcdefgh12345678&page=2",
        "1.1",
        [
            (b"Cookie", b"sid=s3cr3tvalue99; theme=dark"),
            (b"Authorization", b"Bearer abc.def-123456789"),
            (b"X-Plain", b"mkaaaaaaaaaaaaaa1234"),
        ],
        Body(b'{"password": "hunter2hunter2", "n": 1}', 38),
    )
    request = Masker(keys.current.mask_key()).request(plain).request
    asked: Callable[[], list[str]] = lambda: masked.places((keep if given else home).keys, request)  # noqa: E731 - twice below
    if not given:
        assert asked() == []
        assert not (home.keys / "seal.key").exists()
        monkeypatch.setenv("ECHOLANE_SEAL_KEY", "0" * 64 + "," + keys.current.secret.hex())
        masked._known.cache_clear()
    assert asked() == ["target", "header:cookie", "header:authorization", "body"]
