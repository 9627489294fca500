"""Shared runs whose packets to the broker or to the store are dropped, or whose connections there are reset, by `iptables`.

All of it is in a network namespace of its own (:mod:`tests.e2e.netns`): a real broker, a bridge that speaks ClickHouse's protocol,
two workers of each kind, the targets and who asks. Seeded, and the seed printed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.broker import Broker
from bench.ports import free_port
from tests.e2e.netns import DROP, Net, dice_of
from tests.e2e.soak_parts import ROLES, Raw, asked, check_raw, check_views
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import World
from tests.store.bridge import Bridge, database_of
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
EXCHANGES, SESSIONS, RATE = 100, 20, 12
"""Slow enough that a run goes on for five seconds after its last fault has begun."""
LEASE_S = 4.0
CAREFUL = ("--concurrency", 8)
"""What is in the air when a partition changes hands comes again."""
BURSTS = 3
JOURNAL, STORE = "prefix=net.&wait_s=4", "wait_s=120&answer_s=2&connect_s=2"
"""The journal's patience is shorter than the network fails, so that who waits says so; the store is waited for, and that is said at once."""
TOLD = {"broker": "still waiting for run", "store": "does not answer"}
"""What who asked is told while nothing gets through."""


class Mixed(Stage):
    """A recording whose writes are not all at its end."""

    def writes(self, number: int) -> bool:
        """Whether an exchange is unsafe."""
        return (number // self.sessions + number) % 5 == 4


class Shared:
    """Runs of one recording that two replay and two diff workers do."""

    def __init__(self, world: World, broker: Broker, bridge: Bridge) -> None:
        self.world, self.ports = world, {"broker": broker.plain, "store": bridge.port}
        store = database_of(bridge, STORE)
        self.stage = Mixed(world, EXCHANGES, SESSIONS, broker.url(JOURNAL), LEASE_S, store)
        self.workers = [self.stage.worker(role, wait=False) for role in ROLES]
        self.asking: subprocess.Popen[bytes] | None = None

    @contextmanager
    def run(self) -> Iterator[None]:
        """A run that was asked for; one that has not ended with the block is given up."""
        for path in (*self.stage.logs, self.world.folder / "asking.log", self.world.folder / "result.json"):
            path.unlink(missing_ok=True)
        self.asking = asked(self.stage, "--workers", "shared", "--pace", f"{RATE}/s", "--wait", "120", *CAREFUL)
        try:
            yield
        finally:
            print(self.said())
            if self.asking.poll() is None:
                self.asking.terminate()
                self.asking.wait(WAIT_S)

    def goes_on(self) -> bool:
        """Whether nobody has ended it."""
        return self.asking is not None and self.asking.poll() is None

    def said(self) -> str:
        """What who asked was told."""
        return (self.world.folder / "asking.log").read_text("utf-8")

    def check(self) -> None:
        """It ends; everybody is still there; ledger, tables and views hold each exchange once, and no write came twice."""
        assert self.asking is not None
        code = self.asking.wait(WAIT_S)
        assert code in {1, 3}, self.said()
        assert [one.poll() for one in self.workers] == [None] * len(ROLES)
        result = self.stage.result()
        self.stage.check(result)
        self.stage.in_order()
        assert any(self.stage.writes(number) for number in self.stage.seen(self.stage.logs[0]))
        writes, again = self.stage.twice()
        assert writes == []
        raw = Raw(self.stage.store)
        more = check_raw(raw, result["run"], EXCHANGES)
        check_views(raw)
        raw.close()
        print(f"{again} shots came again, {more} rows replaced, {result['ledger']}")


@pytest.fixture(scope="module")
def shared(
    net: Net,
    broker_here: Broker,
    require_module: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shared]:
    """What all faults hurt, one after the other."""
    require_module("clickhouse_driver", "pip install 'echolane[clickhouse]'")
    world = World(tmp_path_factory.mktemp("shared"))
    bridge = Bridge(tmp_path_factory.mktemp("bridge"), free_port())
    try:
        bridge.start()
        yield Shared(world, broker_here, bridge)
    finally:
        world.end()
        bridge.kill()


@pytest.mark.parametrize("where", ["broker", "store"])
def test_a_shared_run_waits_for_a_network_that_drops_everything(shared: Shared, net: Net, where: str) -> None:
    """No packet passes until who asked is told that; then the same workers go on: one result for every exchange, and no write twice."""
    dice = dice_of(f"{DROP} {where}")
    with shared.run():
        shared.stage.wait_fired(dice.randint(5, EXCHANGES // 2))
        with net.fault(DROP, shared.ports[where]):
            net.wait_hit(shared.goes_on)
            failed = time.monotonic()
            wait_until(lambda: TOLD[where] in shared.said() or not shared.goes_on(), WAIT_S)
            assert shared.goes_on(), shared.said()
            print(f"told after {time.monotonic() - failed:.0f} s")
            time.sleep(dice.uniform(0.0, LEASE_S))
        healed = time.monotonic()
        shared.check()
        print(f"over {time.monotonic() - healed:.0f} s after the network was back")


@pytest.mark.parametrize("where", ["broker", "store"])
def test_a_shared_run_whose_connections_are_reset_comes_to_its_result(shared: Shared, net: Net, where: str) -> None:
    """Connections are reset at seeded moments, again and again: one result for every exchange, and no write twice."""
    dice, at = dice_of(f"reset {where}"), 0
    with shared.run():
        for _ in range(BURSTS):
            at += dice.randint(5, EXCHANGES // 2 // BURSTS)
            shared.stage.wait_fired(at)
            net.burst(dice, shared.ports[where], shared.goes_on)
        shared.check()
