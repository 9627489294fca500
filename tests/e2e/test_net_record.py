"""A recorder before a real broker whose packets are dropped, or whose connections are reset, by `iptables`.

All of it is in a network namespace of its own (:mod:`tests.e2e.netns`). Seeded, and the seed printed.
"""

from __future__ import annotations

import re
import time

import pytest

from bench.broker import Broker
from echolane import ids
from echolane.journal import open_journal
from echolane.recordings import everything
from echolane.runspec import RunSpec, TargetInfo
from echolane.settings import Settings
from replayer.plan import planned
from tests.e2e.kills_parts import Load
from tests.e2e.netns import DROP, Net, dice_of
from tests.e2e.test_spool import Stage
from tests.e2e.world import World, stop

pytestmark = pytest.mark.slow
BURSTS = 4
AWAY_S = 5.0
"""For so long after that was told: what is tried meanwhile fails for good, which takes the three seconds of the stage's patience."""


@pytest.fixture
def stage(world: World, broker_here: Broker) -> Stage:
    """A service that is recorded onto that broker."""
    return Stage(world, broker_here)


def check_once(stage: Stage, load: Load) -> None:
    """What clients were answered is stored, each exchange once for whoever replays it, and every ledger balances."""
    answered = load.stop()
    stage.drained()
    assert stop(stage.world.started[-1], 60) == 0
    counts = stage.check()
    assert load.failed == 0
    assert counts == {"seen": len(answered), "stored": len(answered), "spooled": 0}
    kept = [one for partition in stage.kept() for one in partition]
    assert {one.request.target for one in kept} == answered
    journal = open_journal(stage.home)
    try:
        now_ns = 1_800_000_000 * 10**9
        recording = everything(journal, "shop", id="0badcafe", now_ns=now_ns)
        spec = RunSpec(ids.uuid7(now_ns), "shop", recording, [TargetInfo(f"http://127.0.0.1:{n}") for n in (1, 2)])
        summary, items = planned(journal, stage.home, spec, Settings())
        # What a broker took only after it was looked for, as of a connection that was given up, stands there twice.
        assert sum(1 for _ in items) == summary.selected == len(answered)
    finally:
        journal.close()
    print(f"{counts}, {len(kept) - len(answered)} stand twice\n{stage.words.read_text()}")


def test_a_recorder_whose_packets_vanish_loses_nothing(stage: Stage, net: Net) -> None:
    """Clients are served while no packet reaches the broker; it is said that none answers and where all waits, and all of it arrives."""
    stage.record()
    load = Load(stage.port, 1)
    stage.until(lambda counts: counts["stored"] > 50)
    with net.fault(DROP, stage.broker.plain):
        net.wait_hit()
        stage.until(lambda _: "no broker of" in stage.words.read_text())
        before = stage.ledger()["seen"]
        time.sleep(AWAY_S)
        stage.until(lambda counts: counts["seen"] > before + 100)
    stage.until(lambda _: not stage.on_disk())
    check_once(stage, load)

    words = stage.words.read_text()
    assert re.search(r"no broker of .* answers .*; what is recorded (waits|goes on waiting) in \S+/spool", words)
    assert re.search(r"the journal is back; \d+ exchanges are sent from the disk", words)
    assert "all that waited on the disk is in the journal" in words


def test_a_recorder_whose_connections_are_reset_loses_nothing(stage: Stage, net: Net) -> None:
    """Connections to the broker are reset at random moments: clients notice nothing, and each exchange is taken once."""
    dice = dice_of("record resets")
    stage.record()
    load = Load(stage.port, 1)
    for _ in range(BURSTS):
        least = stage.ledger()["stored"] + dice.randrange(1, 100)
        stage.until(lambda counts, least=least: counts["stored"] > least)
        net.burst(dice, stage.broker.plain)
    check_once(stage, load)
