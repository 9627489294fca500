"""A store that is away while a shared run goes on, or for all of it: how fast workers make up for it, and the memory they wait in.

The run goes at an even rate, which is the live rate. Results go through the ClickHouse door and the tests' bridge before the engine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import broker as kafka
from bench.chain import check, recording
from bench.parts import LOAD_CPU, Table, median, nginx, peak_mib, running
from bench.ports import free_port
from bench.workers import Crew, crew, ground
from echolane.home import Home
from echolane.store import Store, open_store

if TYPE_CHECKING:
    from tests.store.bridge import Bridge

RATE_PER_S = 300
"""Exchanges of 1 KB, four shots each: 1,200 answers a second are half of what the run's own processes can fire on two cores."""
AWAY_S, GOES_ON_S = 30.0, 15.0
"""How long the store is away, and how long the run goes on after it has come back."""
CASES = {"for the rest of the run": 0.0, f"{AWAY_S:.0f} s, the run goes on": GOES_ON_S}
WAIT_S = 180.0
LOOK_S = 0.1
ROUNDS_MAX = 3
"""A round takes some two minutes."""
PROMISED = 5.0
LAG_S = 2.0
"""A worker that has caught up is so far behind at most: it stores twice a second, and how many were fired is told once a second."""


class Round(NamedTuple):
    """What one absence gave."""

    waited: int
    """Exchanges that were fired and had no row when the store came back."""
    first_s: float
    """From the store's listening to the first row."""
    rows_per_s: float
    """From the store's listening until no more waits than LAG_S of traffic."""
    before_mib: float
    """The most memory that a process of the diff worker had when the store came back."""
    after_mib: float
    took_s: float


class Stage(NamedTuple):
    """What a run stands on."""

    crew: Crew
    bridge: Bridge
    asking: Future[dict[str, Any]]
    store: Store
    count: int

    def latest(self) -> str:
        """The run, once it has begun."""
        for _ in self._looks("no run begins"):
            if rows := self.store.query("SELECT run FROM runs_v"):
                return str(rows[0]["run"])
        raise AssertionError

    def fired(self, run: str) -> int:
        """How many exchanges were fired by now, as the workers tell it once a second."""
        return sum(self.crew.shares(run))

    def rows(self, run: str) -> int:
        """How many have a row."""
        asked = "SELECT uniqExact(exchange) AS n FROM results WHERE run = {run:String}"
        return int(self.store.query(asked, {"run": run})[0]["n"])

    def peak(self) -> float:
        """The most memory that one of the diff worker's processes has had so far, in MiB."""
        peaks = [0.0]
        for pid in self.crew.pids("diff"):
            with contextlib.suppress(OSError):
                peaks.append(peak_mib(pid))
        return max(peaks)

    def _looks(self, what: str) -> Generator[None]:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if self.asking.done():
                self.asking.result()
            yield
            time.sleep(LOOK_S)
        raise RuntimeError(f"{what} within {WAIT_S:.0f} s")

    def absence(self) -> Round:
        """Take the store away when the run has begun, bring it back, and wait until the backlog is worked off."""
        run = self.latest()
        for _ in self._looks("nothing is compared"):
            if had := self.rows(run):
                break
        self.bridge.kill()
        left = time.monotonic() + AWAY_S
        while time.monotonic() < left:
            time.sleep(LOOK_S)
        before = self.peak()
        self.bridge.start()
        listens = time.monotonic()
        begun = had = self.rows(run)
        waited = min(self.count, self.fired(run)) - had
        first_s = 0.0
        for _ in self._looks("the backlog is not worked off"):
            rows, now = self.rows(run), time.monotonic()
            if rows > had and not first_s:
                first_s = now - listens
            if rows >= self.count or rows >= self.fired(run) - LAG_S * RATE_PER_S:
                break
        took_s = now - listens
        after = self.peak()
        for _ in self._looks("the run does not end"):
            if self.asking.done():
                break
        check(self.asking.result(), self.count)
        return Round(waited, first_s, (rows - begun) / took_s, before, after, took_s)


def one(root: Path, broker: kafka.Broker, goes_on_s: float, name: str) -> Round:
    """A home and a store of their own."""
    from tests.store.bridge import Bridge, database_of

    count = int(RATE_PER_S * (AWAY_S + goes_on_s))
    home = Home(root / name, broker.url(f"prefix={name}."))
    home.path.mkdir()
    recording(home, count)
    base, branch = free_port(), free_port()
    bridge = Bridge(root / f"store-{name}", free_port())
    with contextlib.ExitStack() as stack:
        stack.callback(bridge.kill)
        bridge.start()
        url = database_of(bridge)
        stack.enter_context(running(nginx(root / f"up-{name}", base, other=branch), base, cpu=LOAD_CPU))
        store = stack.enter_context(open_store(home.path, f"{url}wait_s=600"))
        workers = stack.enter_context(crew(home, 1, url))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        urls = {"base": f"http://127.0.0.1:{base}", "branch": f"http://127.0.0.1:{branch}"}
        flags = ("--pace", f"{RATE_PER_S}/s", "--store", f"{url}wait_s=600")
        asking = pool.submit(workers.run, "bench", urls, *flags)
        return Stage(workers, bridge, asking, store, count).absence()


def table(rounds: int) -> Table:
    """Absences of both kinds, interleaved."""
    found: dict[str, list[Round]] = {case: [] for case in CASES}
    with ground() as (root, broker):
        for number in range(min(rounds, ROUNDS_MAX)):
            for at, (case, goes_on_s) in enumerate(CASES.items()):
                found[case].append(one(root, broker, goes_on_s, f"c{number}-{at}"))
    return told(found)


def told(found: dict[str, list[Round]]) -> Table:
    """The figures, and whether they are what is promised."""
    head = ["the store is away", "exchanges that waited", "first row after, s", "worked off in, s", "exchanges/s"]
    head += ["÷ the live rate", "rounds", "diff worker's peak before, MiB", "after, MiB"]
    title = f"15. A store that is away, {RATE_PER_S} exchanges of 1 KB a second at four shots"
    out = Table(title, head)
    for case, rounds in found.items():
        ratios = [one.rows_per_s / RATE_PER_S for one in rounds]
        cells = [f"{median([one.waited for one in rounds]):,.0f}", f"{median([one.first_s for one in rounds]):.1f}"]
        cells += [f"{median([one.took_s for one in rounds]):.1f}", f"{median([one.rows_per_s for one in rounds]):,.0f}"]
        cells += [f"{median(ratios):.1f}", ", ".join(f"{ratio:.1f}" for ratio in ratios)]
        cells += [f"{median([one.before_mib for one in rounds]):.0f}", f"{max(one.after_mib for one in rounds):.0f}"]
        out.rows.append([case, *cells])
    out.notes += [
        f"promised: at least {PROMISED:g} times the live rate, nothing lost. Everything counts from the moment at which the store listens, so the worker's pause before "
        f"its next try, too; the backlog is worked off when no more waits than {LAG_S:g} s of traffic, which is what is on its way at any time; what came meanwhile counts as worked off",
        "one replay worker, one diff worker, a real broker, the tests' bridge before the engine as the store (Python, with fsync), all on one machine",
        "the ledger is checked: every exchange compared, the right number different",
    ]
    return out
