"""The kill run: workers die and sleep at random, the broker and the store are killed, and every exchange has one result.

Three seeds of a 2,000-exchange form in the suite; ``make soak`` runs the full form (10,000 exchanges) with ``SEEDS`` seeds (20), both with
twenty events. Each seed is printed, and ``ECHOLANE_SEED`` has the first one again; ``ECHOLANE_SOAK=400`` looks at it quickly.
Both forms run on three brokers that keep every entry together (``ECHOLANE_BROKERS``), of which each is killed, one after the other.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import broker as kafka
from bench.ports import free_port
from tests.e2e.kills_parts import SEED
from tests.e2e.soak_parts import (
    Fire,
    Mortal,
    Node,
    Raw,
    Shop,
    asked,
    check_raw,
    check_views,
    forget,
    stood_still,
    windows,
)
from tests.e2e.world import World
from tests.store.bridge import Bridge, database_of

EXCHANGES = int(os.environ.get("ECHOLANE_SOAK", "2000"))
SEEDS = int(os.environ.get("ECHOLANE_SEEDS", "3"))
BROKERS = int(os.environ.get("ECHOLANE_BROKERS", "3"))
SESSIONS = 40
EVENTS = 20 if EXCHANGES >= 2000 else 5
"""Each costs the start of a process or two, which is most of what the suite's form costs."""
LEASE_S = 4.0
"""Longer than a busy machine keeps a member from saying that it lives: one that is struck off for that changes hands without end."""
CONCURRENCY = 8
WINDOW = 2 * CONCURRENCY
"""Exchanges of one worker that are in the air or have landed and are on their way to the disk."""
RATE = 250
"""Exchanges a second when nothing happens."""


class Ground(NamedTuple):
    """What all seeds share: the recording and the targets, a broker and a store."""

    shop: Shop
    cluster: kafka.Cluster
    bridge: Bridge

    def mortals(self, seed: int) -> dict[str, Mortal]:
        """Who is killed once beside the workers: the store, and every broker, or the seed's own where there are few events."""
        nodes = [(number, Node(self.cluster, node)) for number, node in enumerate(self.cluster.nodes, 1)]
        chosen = nodes if len(nodes) + 3 < EVENTS else [nodes[seed % len(nodes)]]
        return {**{f"broker {number}": node for number, node in chosen}, "store": self.bridge}


class Grounds:
    """The ground that seeds stand on, made anew where servers of it did not come back."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders, self._ended, self._ground = folders, ExitStack(), None

    def ground(self) -> Ground:
        """The one that stands."""
        if self._ground is None:
            self._ground = self._ended.enter_context(standing(self._folders.mktemp("soak")))
        return self._ground

    def end(self) -> None:
        """End it; the next one is another."""
        self._ground = None
        self._ended.close()


@contextmanager
def standing(folder: Path) -> Iterator[Ground]:
    """A world whose brokers and store may be killed."""
    world, cluster, bridge = (
        World(folder),
        kafka.Cluster(folder / "kafka", BROKERS),
        Bridge(folder / "bridge", free_port()),
    )
    try:
        cluster.start()
        bridge.start()
        store = database_of(bridge, "wait_s=120&answer_s=5&connect_s=2")
        shop = Shop(world, EXCHANGES, SESSIONS, cluster.url("prefix=soak."), LEASE_S, store)
        yield Ground(shop, cluster, bridge)
    finally:
        world.end()
        bridge.kill()
        cluster.kill()


@pytest.fixture(scope="module")
def grounds(
    require_module: Callable[..., str], lacking: Callable[[str], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grounds]:
    """What all seeds share."""
    require_module("kafka", "pip install 'kafka-python[crc32c]'")
    require_module("clickhouse_driver", "pip install 'echolane[clickhouse]'")
    if lack := kafka.lacks():
        lacking(f"needs {lack} for Apache Kafka: {kafka.HINT}")
    kafka.install()
    made = Grounds(tmp_path_factory)
    yield made
    made.end()


def burnt(ground: Ground, seed: int) -> tuple[Fire, int]:
    """A run under fire, and the exit code of who asked for it."""
    shop = ground.shop
    for log in shop.logs:
        log.unlink(missing_ok=True)
    fire = Fire(shop, random.Random(f"soak {seed}"), LEASE_S, ground.mortals(seed), EVENTS)
    asking = asked(shop, "--workers", "shared", "--pace", f"{RATE}/s", "--wait", "120", "--concurrency", CONCURRENCY)
    try:
        fire.rage(asking)
    finally:
        fire.over()
        if asking.poll() is None:  # then it cancels its run, which would be the next seed's, too
            asking.terminate()
        if asking.returncode not in {1, 3}:
            shop.tell_logs()
            print(f"{ground.cluster.lagging()[:20]}\n{ground.cluster.words()}")
    return fire, asking.returncode


@pytest.mark.parametrize("seed", range(SEED, SEED + SEEDS), ids=lambda seed: f"seed{seed - SEED}")
def test_every_exchange_has_one_result_whatever_dies(grounds: Grounds, seed: int) -> None:
    """Kills and sleeps of workers, brokers and store killed once: results = planned, none twice, no write twice, few reads again."""
    print(f"ECHOLANE_SEED={seed} ECHOLANE_SOAK={EXCHANGES}", flush=True)
    begun, since_ns = time.monotonic(), time.time_ns()
    ground = grounds.ground()
    fire, code = burnt(ground, seed)
    if fire.troubles:  # a Kafka or a store that does not start again says nothing of us
        print(f"the ground is made anew: {fire.troubles}", flush=True)
        grounds.end()
        ground, since_ns = grounds.ground(), time.time_ns()
        fire, code = burnt(ground, seed)
    shop = ground.shop
    assert not fire.troubles, "\n".join(fire.troubles)
    assert code in {1, 3}, (shop.world.folder / "asking.log").read_text("utf-8")[-2000:]
    result = shop.result()

    shop.check(result)
    shop.in_order()
    writes, again = shop.twice()
    assert writes == []
    events = sum(fire.happened.values())
    assert events >= 3, f"the run was over before anything happened: {dict(fire.happened)}"
    still = stood_still(shop.world.home, since_ns, LEASE_S, fire.happened["replay slept"])
    fire.happened["replay stood still"] += still
    most = len(shop.logs) * windows(fire.happened, WINDOW)
    assert again <= most, f"{again} shots came again, {most} could after {dict(fire.happened)}"
    raw = Raw(shop.store)
    more = check_raw(raw, result["run"], EXCHANGES)
    check_views(raw)
    raw.close()
    forget(shop, result["run"])
    took_s = time.monotonic() - begun
    print(
        f"{took_s:.0f} s, {dict(fire.happened)}, {again} shots again of {most}, {more} rows replaced, {result['ledger']}"
    )
