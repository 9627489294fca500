"""A recording that can no longer be read whole, as a user meets it: counted, told, and no pass. Nothing is dropped in silence."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from itertools import count

import pytest

from bench.broker import Broker
from echolane.clock import SYSTEM
from echolane.exchange import Exchange
from echolane.frame import decode_frame
from echolane.journal import Journal
from echolane.journal.kafka_address import parse_address
from echolane.journal.sqlite import SqliteJournal
from tests.e2e.test_kill_switch import Target, targets
from tests.e2e.world import World

__all__ = ["targets"]
PREFIXES = count(1)
SESSIONS, COUNT = 3, 8
TOPIC = "exchanges.shop"
HARMS: dict[str, Callable[[bytes], bytes]] = {
    "damaged": lambda frame: frame[:-1] + bytes([frame[-1] ^ 1]),
    "newer": lambda frame: frame[:2] + b"\x09" + frame[3:],
}


def recorded(world: World, base: Target) -> None:
    """Three recordings of one session each, so that there are three frames at least."""
    for session in range(SESSIONS):
        world.record(base.server_address[1], [(f"/items/{session}/{n}", {}) for n in range(COUNT)])


def frames_of(journal: Journal, topic: str) -> list[tuple[int, int, bytes]]:
    """Partition, position and bytes of all frames."""
    partitions = range(journal.partitions(topic))
    return [(place, entry.position, entry.frame) for place in partitions for entry in journal.read(topic, place)]


def hurt(
    world: World, harm: Callable[[bytes], bytes], *, every: bool = False, topic: str = TOPIC
) -> tuple[int, int, int]:
    """Hurt the middle frame, or all; the partition and position of the middle one, and how many exchanges are lost."""
    journal = SqliteJournal(world.home / "journal", SYSTEM)
    found = frames_of(journal, topic)
    partition, position, middle = found[len(found) // 2]
    chosen = {frame for _, _, frame in found} if every else {middle}
    assert journal.rewrite(topic, lambda frame: harm(frame) if frame in chosen else None) == len(chosen)
    journal.close()
    return partition, position, sum(len(decode_frame(frame, Exchange)) for frame in chosen)


def test_an_intact_recording_loses_nothing(world: World, targets: list[Target]) -> None:
    """Its run passes, and nothing is said of what could not be read."""
    base, branch = targets
    recorded(world, base)
    done, result = world.run("--base", base.url, "--branch", branch.url)
    assert (done.code, result["verdict"]) == (0, "pass"), done.err
    assert "lost" not in result
    assert "could not be read" not in done.err


@pytest.mark.parametrize("why", HARMS)
def test_a_frame_that_cannot_be_read_keeps_a_run_from_passing(world: World, targets: list[Target], why: str) -> None:
    """The rest is compared and balances; the loss is said before the first shot and by the verdict, with what to do about it."""
    base, branch = targets
    recorded(world, base)
    partition, position, missing = hurt(world, HARMS[why])

    done, result = world.run("--base", base.url, "--branch", branch.url)

    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "ledger"), done.err
    assert result["ledger"]["selected"] == result["ledger"]["compared"] == SESSIONS * COUNT - missing
    counts = {"newer": 0, "damaged": 0, "expired": 0, why: 1}
    stretch = {"partition": partition, "first": position, "stop": position + 1, "why": why}
    assert result["lost"] == {"frames": 1, **counts, "stretches": [stretch], "more": 0}
    word = "damaged" if why == "damaged" else "of a newer format"
    said = f"1 frame of shop could not be read ({word}: partition {partition}, {position})"
    todo = "`echolane doctor` looks at the journal" if why == "damaged" else "update Echolane on this machine"
    assert result["reason"].startswith(f"{said}; {todo}")
    assert f"{said}: the verdict cannot be pass; {todo}" in done.err
    examined = world.call("doctor", "--home", world.home, "--only", "journal")
    assert ("frames of a newer format were set aside: 1" in examined.out) is (why == "newer"), examined.out
    assert ("1 damaged frames were set aside" in examined.out) is (why == "damaged"), examined.out
    shown = world.call("show", result["run"], "--json", "--home", world.home)
    assert json.loads(shown.out)["lost"] == result["lost"]


def test_the_load_of_a_capacity_says_what_it_is_made_without(world: World, targets: list[Target]) -> None:
    """What could not be read is said before the first request, and is in the result."""
    base, _ = targets
    recorded(world, base)
    hurt(world, HARMS["damaged"])
    path = world.folder / "capacity.json"
    words = ["capacity", "--service", "shop", "--home", world.home, "--target", base.url, "--json", path]

    done = world.call(*words, "--start", "50/s", "--max", "60/s", "--interval", "1s", "--hold", "1")

    result = json.loads(path.read_text())
    assert (result["lost"]["frames"], result["lost"]["damaged"]) == (1, 1), done.err
    assert "1 frame of shop could not be read" in done.err
    assert result["ledger"]["unaccounted"] == []
    assert result["ledger"]["due"] == result["ledger"]["fired"] + sum(result["ledger"]["skipped"].values())


def test_workers_that_share_a_run_know_what_is_lost(world: World, targets: list[Target]) -> None:
    """Who closes it was not there when it was planned, and says of it what its asker said."""
    base, branch = targets
    recorded(world, base)
    hurt(world, HARMS["damaged"])
    for role in ("replay", "diff"):
        world.start(sys.executable, "-m", "console.main", "worker", role, "--home", world.home)

    done, result = world.run("--base", base.url, "--branch", branch.url, "--workers", "shared")

    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "ledger"), done.err
    assert result["lost"]["damaged"] == 1
    assert done.err.count("1 frame of shop could not be read") == 2


def test_a_regression_stays_one_beside_what_was_lost(world: World, targets: list[Target]) -> None:
    """What was read shows it, so the run fails; the loss stands beside the verdict, in the terminal and on the page."""
    base, branch = targets
    recorded(world, base)
    hurt(world, HARMS["damaged"])
    branch.breaks_after = 0
    page, comment = world.folder / "page.html", world.folder / "comment.md"

    done, result = world.run("--base", base.url, "--branch", branch.url, "--html", page, "--markdown", comment)

    assert (done.code, result["verdict"]) == (1, "fail"), done.err
    assert result["lost"]["damaged"] == 1
    said = "1 frame of shop could not be read (damaged: partition "
    assert " ".join(done.err.split()).count(said) == 2
    assert said in page.read_text("utf-8")
    assert "1 frame of shop could not be read" in comment.read_text("utf-8")


def test_a_recording_of_which_nothing_can_be_read_is_not_empty(world: World, targets: list[Target]) -> None:
    """It is said what is lost and what to do, by a run and before one, and nothing is fired."""
    base, branch = targets
    recorded(world, base)
    hurt(world, HARMS["newer"], every=True)

    explained = world.call(
        *("run", "--service", "shop", "--home", world.home, "--base", base.url, "--branch", branch.url, "--explain")
    )
    comment = world.folder / "comment.md"
    done, result = world.run("--base", base.url, "--branch", branch.url, "--markdown", comment)

    assert "of a newer format: partition " in explained.err
    assert comment.read_text("utf-8").count("could not be read") == 1
    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "nothing-compared"), done.err
    assert "nothing is left to compare: " in result["reason"]
    assert "update Echolane on this machine" in result["reason"]
    assert "is empty" not in done.err
    assert result["lost"]["newer"] == result["lost"]["frames"] >= SESSIONS
    load = world.call("capacity", "--service", "shop", "--home", world.home, "--target", base.url)
    assert (load.code, "of a newer format: partition " in load.err) == (3, True), load.err
    assert (base.arrived, branch.arrived) == ([], [])


def test_what_a_broker_gives_that_is_no_frame_is_told_too(world: World, targets: list[Target], broker: Broker) -> None:
    """On Kafka, a run over a topic with a hurt record and one of a newer format says of both where they are, and does not pass."""
    base, branch = targets
    url = broker.url(f"prefix=lost{next(PREFIXES)}.")
    world.environ |= {"ECHOLANE_JOURNAL": url, "ECHOLANE_REPLAY_WORKERS": "own"}
    recorded(world, base)
    producer = importlib.import_module("kafka").KafkaProducer(bootstrap_servers=f"127.0.0.1:{broker.plain}")
    sound = b"EL\x01\x01\x01" + bytes(64)
    places = [
        producer.send(parse_address(url).prefix + TOPIC, harm(sound), key=b"k", partition=0).get(30).offset
        for harm in HARMS.values()
    ]
    producer.close()

    done, result = world.run("--base", base.url, "--branch", branch.url)

    assert (done.code, result["verdict"], result["reason_code"]) == (3, "inconclusive", "ledger"), done.err
    assert result["ledger"]["compared"] == SESSIONS * COUNT
    lost = [(one["partition"], one["first"], one["stop"], one["why"]) for one in result["lost"]["stretches"]]
    assert lost == [(0, places[0], places[0] + 1, "damaged"), (0, places[1], places[1] + 1, "newer")]
