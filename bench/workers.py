"""Runs that one, two and four workers of each kind share, on a real broker: how even the split is, what an exchange costs, what pace holds."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson

from bench import broker as kafka
from bench.chain import check, recording
from bench.parts import LOAD_CPU, TICKS, Table, family, median, nginx, running
from bench.peers import find
from bench.ports import free_port
from bench.sink import sink
from echolane.home import Home
from echolane.journal import open_journal
from echolane.runlog import Watching

COUNTS = (1, 2, 4)
SIZES = (4_000, 16_000)
"""What a run costs once (a process a diff worker, the group's beginning) is in both and not in their difference."""
RATE_PER_S, RATE_COUNT = 400, 3_200
RHYTHM_S, RHYTHM_COUNT = 8.0, 3_200
TARGETS = ("base", "control", "branch", "branch-control")
START_WAIT_S, RUN_WAIT_S, SETTLE_S = 60.0, 300.0, 60.0
LOOK_S = 0.05
ROUNDS_MAX = 3
"""A round takes some three minutes."""
ROLES = ("replay", "diff")


@dataclass
class Found:
    """What so many workers gave, a value a round."""

    us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """CPU µs an exchange by role, from the difference of the two sizes."""
    uneven: list[float] = field(default_factory=list[float])
    """How far the worker that fired most, or least, is from its even share; of the larger size."""
    rate: list[float] = field(default_factory=list[float])
    """Exchanges a second at base's own sink, ÷ those that were asked for."""
    rhythm: list[float] = field(default_factory=list[float])
    """How long the recorded rhythm took there, ÷ how long it was recorded for."""


def offsets_ns() -> list[int]:
    """An uneven rhythm: gaps as of independent clients, the same in every round."""
    dice = random.Random(5)
    at = list(accumulate(dice.expovariate(1.0) for _ in range(RHYTHM_COUNT)))
    return [int((one - at[0]) / (at[-1] - at[0]) * RHYTHM_S * 1e9) for one in at]


def cpu_with_children_s(pid: int) -> float:
    """CPU time of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


class Crew:
    """So many workers of each kind, in one home, and the runs that they are asked for."""

    def __init__(self, home: Home, count: int, store: str = "") -> None:
        self._home, self.count, self._store = home, count, store
        self._workers: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        """Start them, and wait until all listen."""
        logs: list[Path] = []
        for role in ROLES * self.count:
            logs.append(self._home.path / f"{role}-{len(logs)}.log")
            words = [sys.executable, "-m", "console.main", "worker", role, "--home", str(self._home.path)]
            with logs[-1].open("wb") as said:
                process = subprocess.Popen(
                    words, env=self._environ(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
                )
            self._workers.append((role, process))
        deadline = time.monotonic() + START_WAIT_S
        while not all("waits for runs" in path.read_text("utf-8", "replace") for path in logs):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the workers do not listen: {logs[0].read_text('utf-8', 'replace')[-300:]}")
            time.sleep(LOOK_S)

    def end(self) -> None:
        """End them in good order."""
        for _, process in self._workers:
            process.terminate()
        for _, process in self._workers:
            process.wait(SETTLE_S)

    def _environ(self) -> dict[str, str]:
        store = {"ECHOLANE_STORE": self._store} if self._store else {}
        return {**os.environ, "ECHOLANE_JOURNAL": self._home.journal_url, **store}

    def run(self, service: str, urls: dict[str, str], *flags: str) -> dict[str, Any]:
        """One run to its end; its result."""
        file = self._home.path / "result.json"
        command = [sys.executable, "-m", "console.main", "run", "--service", service, "--home", str(self._home.path)]
        command += [word for name, url in urls.items() for word in (f"--{name}", url)]
        done = subprocess.run(
            [*command, *flags, "--json", str(file)],
            env=self._environ(),
            capture_output=True,
            text=True,
            timeout=RUN_WAIT_S,
            check=False,
        )
        if done.returncode not in {0, 1}:
            raise RuntimeError(f"the run ended with {done.returncode}: {done.stderr[-300:]}")
        return dict(orjson.loads(file.read_bytes()))

    def cpu_s(self) -> dict[str, float]:
        """CPU of the workers so far by role, once the processes that they had for a run have ended."""
        deadline = time.monotonic() + SETTLE_S
        while any(len(family(process.pid)) > 1 for _, process in self._workers):
            if time.monotonic() > deadline:
                raise RuntimeError("a process of a run that is over does not end")
            time.sleep(LOOK_S)
        spent: dict[str, float] = defaultdict(float)
        for role, process in self._workers:
            spent[role] += cpu_with_children_s(process.pid)
        return spent

    def pids(self, role: str) -> list[int]:
        """The workers of a kind, and the processes that they have for runs."""
        return [pid for name, process in self._workers if name == role for pid in family(process.pid)]

    def shares(self, run: str) -> list[int]:
        """How many exchanges each replay worker fired."""
        journal = open_journal(self._home)
        try:
            watching = Watching(journal, run)
            watching.look()
        finally:
            journal.close()
        return [told.fired for told in watching.workers.values() if told.role == "replay"]


@contextlib.contextmanager
def crew(home: Home, count: int, store: str = "") -> Generator[Crew]:
    """Workers that listen, until the block ends; ``store``: where results go, if not into the home."""
    found = Crew(home, count, store)
    try:
        found.start()
        yield found
    finally:
        found.end()


def costs(one: Crew, urls: dict[str, str], found: Found) -> None:
    """As fast as it goes, at two sizes."""
    spent: list[dict[str, float]] = []
    for size in SIZES:
        before = one.cpu_s()
        result = one.run(f"bench-{size}", urls, "--pace", "max")
        check(result, size)
        after = one.cpu_s()
        spent.append({role: after[role] - before[role] for role in ROLES})
    for role in ROLES:
        found.us[role].append((spent[1][role] - spent[0][role]) / (SIZES[1] - SIZES[0]) * 1e6)
    shares, even = one.shares(result["run"]), SIZES[1] / one.count
    if len(shares) != one.count or sum(shares) != SIZES[1]:
        raise RuntimeError(f"{one.count} workers fired {shares} of {SIZES[1]} exchanges")
    found.uneven.append(max(abs(share - even) for share in shares) / even)


def paced(one: Crew, service: str, count: int, pace: str) -> float:
    """Seconds from the first to the last arrival at base, by the clock of a sink of its own."""
    with contextlib.ExitStack() as stack:
        sinks = {name: stack.enter_context(sink()) for name in TARGETS}
        urls = {name: f"http://127.0.0.1:{at.port}" for name, at in sinks.items()}
        ledger = one.run(service, urls, "--pace", pace)["ledger"]
    if ledger["compared"] != count or ledger["same"] != count or ledger["unaccounted"]:
        raise RuntimeError(f"the ledger is off: {ledger}")
    times = sinks["base"].times_ns
    if len(times) < count:  # probes may come besides
        raise RuntimeError(f"{len(times)} of {count} came to base")
    return (max(times) - min(times)) / 1e9


def measured(root: Path, broker: kafka.Broker, number: int, found: dict[int, Found]) -> None:
    """One round: each number of workers on a journal of its own."""
    for count in COUNTS:
        home = Home(root / f"home-{number}-{count}", broker.url(f"prefix=b{number}-{count}."))
        home.path.mkdir()
        for size in SIZES:
            recording(home, size, f"bench-{size}")
        recording(home, RATE_COUNT, "rate")
        recording(home, RHYTHM_COUNT, "rhythm", offsets_ns())
        port, other = free_port(), free_port()
        with crew(home, count) as one:
            with running(nginx(root / f"up-{number}-{count}", port, other=other), port, cpu=LOAD_CPU):
                costs(one, {"base": f"http://127.0.0.1:{port}", "branch": f"http://127.0.0.1:{other}"}, found[count])
            took_s = paced(one, "rate", RATE_COUNT, f"{RATE_PER_S}/s")
            found[count].rate.append((RATE_COUNT - 1) / took_s / RATE_PER_S)
            found[count].rhythm.append(paced(one, "rhythm", RHYTHM_COUNT, "recorded") / RHYTHM_S)


@contextlib.contextmanager
def ground() -> Generator[tuple[Path, kafka.Broker]]:
    """A folder and a broker for workers; RuntimeError where what they need is not here."""
    if lack := kafka.lacks():
        raise RuntimeError(f"Apache Kafka needs {lack}: {kafka.HINT}")
    if not find("nginx"):
        raise RuntimeError("needs nginx (apt-get install nginx-light)")
    kafka.install()
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        broker = kafka.Broker(root / "broker")
        try:
            broker.start()
            yield root, broker
        finally:
            broker.kill()


def table(rounds: int) -> Table:
    """Interleaved rounds of one, two and four workers."""
    found = {count: Found() for count in COUNTS}
    with ground() as (root, broker):
        for number in range(min(rounds, ROUNDS_MAX)):
            measured(root, broker, number, found)
    return told(found)


def told(found: dict[int, Found]) -> Table:
    """The figures, and whether they are what is promised."""
    head = [
        "workers of each kind",
        "CPU µs an exchange",
        "÷ one worker's",
        "replay",
        "diff",
        "furthest from an even share",
    ]
    out = Table("10. Workers that share a run, four shots an exchange", [*head, f"of {RATE_PER_S}/s", "of the rhythm"])
    costs_us = {count: sum(median(one.us[role]) for role in ROLES) for count, one in found.items()}
    for count, one in found.items():
        cells = [f"{costs_us[count]:.0f}", f"{costs_us[count] / max(1e-9, costs_us[COUNTS[0]]):.2f}"]
        cells += [f"{median(one.us[role]):.0f}" for role in ROLES]
        cells += [f"{median(one.uneven):.1%}", f"{median(one.rate):.1%}", f"{median(one.rhythm):.1%}"]
        out.rows.append([str(count), *cells])
    out.notes += [
        f"promised: shares within 10 %, CPU an exchange within 10 % of one worker's, rate and rhythm within 2 %; at worst here {worst(found, 'uneven'):.1%} from an even share, "
        f"{off(found, 'rate'):.1%} from the rate, {off(found, 'rhythm'):.1%} from the rhythm",
        f"CPU of the workers and of the processes that they start for a run, by the kernel's account: what the {SIZES[1]:,} exchanges of one run cost more than the {SIZES[0]:,} of another; "
        "the broker, the store's owner and who asked are not in it",
        f"rate and rhythm: the first to the last of {RATE_COUNT:,} and {RHYTHM_COUNT:,} arrivals at a sink of base's own, by the sink's clock, ÷ what was asked for",
        "everything is on one machine, so four workers have no more cores than one; the ledger is checked: every exchange compared, the right number different",
    ]
    return out


def worst(found: dict[int, Found], name: str) -> float:
    """The largest value of any round."""
    return max(value for one in found.values() for value in _values(one, name))


def off(found: dict[int, Found], name: str) -> float:
    """The furthest from 1 of any round."""
    return max(abs(value - 1.0) for one in found.values() for value in _values(one, name))


def _values(one: Found, name: str) -> Sequence[float]:
    return getattr(one, name)
