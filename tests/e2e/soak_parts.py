"""A run under fire: what hurts workers, broker and server at random, and the readers that count afterwards without asking Echolane."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from bench.broker import Broker, Cluster
from echolane.home import Home
from echolane.journal import open_journal
from echolane.store.address import address_of
from tests.e2e.kills_parts import pids_of
from tests.e2e.workers_parts import WAIT_S, Stage
from tests.e2e.world import HERE

DYING = (str(HERE / "dying_cli.py"),)
POINTS = {"replay": ("intent", "append"), "diff": ("rows",)}
LOG_LINES = 25
STILL_S = 2 * WAIT_S
"""A run may stand still for so long: more than servers may take to come back."""
ROLES = ("replay", "replay", "diff", "diff")


def windows(happened: Mapping[str, int], window: int) -> int:
    """The most exchanges that may be fired again: the sum of the windows that were open when a partition changed hands.

    A replay worker that goes, and one that comes in its place or wakes up, leave one window each; a broker that goes may end the group's
    session with all replay workers. What happens to diff workers and to the store has nothing fired again.
    """
    replay = sum(times for name, times in happened.items() if name.startswith("replay"))
    brokers = sum(times for name, times in happened.items() if name.startswith("broker"))
    return window * (2 * replay + ROLES.count("replay") * brokers)


def stood_still(home: Path, since_ns: int, lease_s: float, slept: int) -> int:
    """How often replay workers lost what they had in hand though nothing was done to them.

    A busy machine or a broker's end kept them from being heard within their lease. By their own log: partitions that one loses within
    a lease are one time. Those who were put to sleep lose theirs by design.
    """
    times, last = 0, dict[str, int]()
    lines = [line for path in sorted((home / "log").glob("worker-replay*")) for line in path.read_bytes().splitlines()]
    for told in map(orjson.loads, filter(lambda line: line.startswith(b"{"), lines)):
        if told["event"] == "worker.fenced" and told["at"] >= since_ns:
            times += told["at"] - last.get(told["worker"], 0) > lease_s * 1e9
            last[told["worker"]] = told["at"]
    return max(0, times - slept)


class Mortal(Protocol):
    """A server that can be ended like by a power cut, and started again on its data. Its name's first word says of what kind it is."""

    def kill(self) -> None:
        """End it."""
        ...

    def start(self) -> None:
        """Start it, and wait until it listens and another one of its kind may be ended."""
        ...


class Node(NamedTuple):
    """A broker of a cluster, which promises nothing where a second one ends before the first is back."""

    cluster: Cluster
    broker: Broker

    def kill(self) -> None:
        """End it."""
        self.broker.kill()

    def start(self) -> None:
        """Start it, and wait until it has what the others have."""
        self.broker.start()
        self.cluster.wait_in_step()


class Shop(Stage):
    """Clients side by side that log in half way: what they bear from then on names another session, which they need."""

    FOUND = frozenset({("body:$.price", "value"), ("body:$.balance", "value")})

    def record(self, connection: http.client.HTTPConnection) -> None:
        """Every client brings a cookie of its own, and bears the one that its login gives from then on."""
        cookies = [f"sid=brought-along-{n:08d}-5f3a" for n in range(self.sessions)]
        for n in range(self.exchanges):
            client, turn = n % self.sessions, n // self.sessions
            method, path = "GET", f"/items/{n % 40 + 1}"
            if self.writes(n):
                method, path = "POST", "/login" if turn == self.login else f"/do/{n}"
            elif turn > self.login and turn % 2:
                path = "/mine"
            connection.request(method, f"{path}?n={n}", headers={"Cookie": cookies[client]})
            answer = connection.getresponse()
            answer.read()
            assert answer.status < 300, path
            if given := answer.headers["Set-Cookie"]:
                cookies[client] = given.partition(";")[0]

    def tell_logs(self) -> None:
        """Print what workers and asker said last, for whoever looks for why a run did not end."""
        for path in [self.world.folder / "asking.log", *sorted((self.world.home / "log").glob("worker*.log"))]:
            if path.exists():
                print(f"== {path.name}\n" + "\n".join(path.read_text("utf-8").splitlines()[-LOG_LINES:]))

    @property
    def login(self) -> int:
        """The turn in which every client logs in."""
        return self.exchanges // self.sessions // 2

    def writes(self, number: int) -> bool:
        """Whether an exchange is unsafe."""
        turn = number // self.sessions
        return turn % 5 == 4 or turn == self.login


class Fire:
    """Hurts workers, the broker and the store while a run goes on: so many events, spread over it."""

    def __init__(
        self, stage: Stage, dice: random.Random, lease_s: float, once: Mapping[str, Mortal], events: int
    ) -> None:
        self.stage, self.dice, self.lease_s = stage, dice, lease_s
        self.workers: list[tuple[str, subprocess.Popen[bytes]]] = [(role, self._worker(role)) for role in ROLES]
        self.happened: Counter[str] = Counter()
        self._once, self._threads = once, list[threading.Thread]()
        self._of_a_kind = {kind: threading.Lock() for kind in sorted({name.split()[0] for name in once})}
        self.troubles: list[str] = []
        """Servers that did not come back: then the ground has failed, and not what stands on it."""
        self._over = threading.Event()
        plan = ["worker"] * events
        for name, at in zip(once, dice.sample(range(1, events - 1), len(once)), strict=True):
            plan[at] = name
        self._plan = plan
        self._asleep: list[tuple[float, int]] = []

    def _worker(self, role: str) -> subprocess.Popen[bytes]:
        """A worker, one in three with a point at which it will die."""
        environ = self.stage.world.environ
        if self.dice.random() < 0.3:
            environ["DIES_AT"] = f"{self.dice.choice(POINTS[role])}:{self.dice.randint(1, 12)}"
        try:
            return self.stage.worker(role, wait=False, program=DYING)
        finally:
            environ.pop("DIES_AT", None)

    def rage(self, asking: subprocess.Popen[bytes]) -> None:
        """Until the run has ended. How long that takes is the machine's; that it stands still for so long is a fault."""
        deadline, moved_at = time.monotonic() + STILL_S, time.monotonic()
        gap, arrived = self.stage.exchanges // (len(self._plan) + 2), 0
        next_at = self.dice.randint(1, gap)
        while asking.poll() is None and not self.troubles:
            assert time.monotonic() < deadline, f"the run stands still at {arrived} after {dict(self.happened)}"
            self._wake()
            self._replace()
            before, arrived = arrived, self.stage.arrived()
            if arrived > before:
                deadline = time.monotonic() + STILL_S
            # What stands still because everybody is dead or asleep is hurt further, too, but not for ever.
            if self._plan and arrived and (arrived >= next_at or time.monotonic() - moved_at > self.lease_s):
                time.sleep(self.dice.uniform(0.0, 0.1))
                self._hurt(self._plan.pop(0))
                next_at, moved_at = arrived + self.dice.randint(1, gap), time.monotonic()
            time.sleep(0.05)
        self._over.set()
        for thread in self._threads:
            thread.join(WAIT_S)
        self._wake(everybody=True)

    def _replace(self) -> None:
        """Who died by itself, at its point, is followed by another one."""
        for index, (role, process) in enumerate(self.workers):
            if process.poll() is not None:
                self.happened[f"{role} died at its point" if process.returncode == -9 else f"{role} ended"] += 1
                self.workers[index] = (role, self._worker(role))

    def _hurt(self, what: str) -> None:
        if what in self._once:
            self._threads.append(threading.Thread(target=self._away, args=(what, self.dice.uniform(0.2, 2.0))))
            self._threads[-1].start()
            return
        index = self.dice.randrange(len(self.workers))
        role, process = self.workers[index]
        pid = process.pid
        if role == "diff" and self.dice.random() < 0.5:  # the one of its processes that compares
            pid = self.dice.choice([*pids_of(self.stage.world.home, "differ"), pid])
        if self.dice.random() < 0.6:
            self.happened[f"{role} killed"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if pid == process.pid:
                process.wait(10)
                self.workers[index] = (role, self._worker(role))
        else:
            self.happened[f"{role} slept"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            self._asleep.append((time.monotonic() + self.lease_s * self.dice.uniform(1.1, 1.6), pid))

    def _wake(self, *, everybody: bool = False) -> None:
        for one in list(self._asleep):
            if everybody or time.monotonic() > one[0]:
                self._asleep.remove(one)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one[1], signal.SIGCONT)

    def _away(self, what: str, seconds: float) -> None:
        with self._of_a_kind[what.split(maxsplit=1)[0]]:
            if self._over.is_set():
                return
            self.happened[f"{what} killed"] += 1
            self._once[what].kill()
            time.sleep(seconds)
            try:
                self._once[what].start()
            except Exception as error:
                self.troubles.append(f"{what} did not come back: {error}")

    def over(self) -> None:
        """End all workers."""
        for _, process in self.workers:
            process.kill()
            process.wait(10)


class Raw:
    """Reads the store's tables by the driver alone: no door, no view, no folding but Python's."""

    def __init__(self, url: str) -> None:
        from clickhouse_driver import Client

        address = address_of(url, os.environ)
        host = address.hosts[0]
        self._client: Any = Client(
            host[0], host[1], user=address.user, password=address.password, database=address.database
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What it answers."""
        return list(self._client.execute(sql))

    def close(self) -> None:
        """End."""
        self._client.disconnect()


def check_raw(raw: Raw, run: str, planned: int) -> int:
    """Every planned exchange has one result, folded here from the raw rows; how many rows there were more than that."""
    rows = raw.rows(f"SELECT id, version, seq, exchange, verdict, outcomes, statuses FROM results WHERE run = '{run}'")
    of: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    exchanges: dict[str, tuple[str, int]] = {}
    for name, version, seq, exchange, *content in rows:
        assert exchanges.setdefault(name, (exchange, seq)) == (exchange, seq), f"one identity, two exchanges: {name}"
        of[name][version].add(repr(content))
    assert len(of) == planned
    assert sorted(seq for _, seq in exchanges.values()) == list(range(planned))
    assert len({exchange for exchange, _ in exchanges.values()}) == planned
    # Rows of one version replace each other, so whichever stays must say the same.
    torn = {name: kinds for name, versions in of.items() if len(kinds := versions[max(versions)]) > 1}
    assert not torn, torn
    return len(rows) - planned


def check_views(raw: Raw) -> None:
    """No view shows anything twice, by the key of its table."""
    keys = dict(raw.rows("SELECT name, sorting_key FROM system.tables WHERE database = currentDatabase()"))
    views = [name for name in keys if name.endswith("_v")]
    assert {"runs_v", "results_v", "samples_v", "findings_v"} <= set(views)
    for view in views:
        key = keys.get(view.removesuffix("_v"))
        if view == "noise_v":
            key = "service, target, endpoint, `where`, facet"
        elif view == "noise_runs_v":
            key = keys["noise"]
        if key:
            ((count, different),) = raw.rows(f"SELECT count(), uniqExact(tuple({key})) FROM {view}")
            assert count == different, f"{view}: {count} rows, {different} keys ({key})"


def forget(stage: Stage, run: str) -> None:
    """Drop a run's topics: a broker that carries the partitions of many runs is slow for that alone."""
    journal = open_journal(Home(stage.world.home, stage.journal))
    try:
        for topic in journal.topics():
            if topic.endswith(run):
                journal.drop(topic)
    finally:
        journal.close()


def asked(stage: Stage, *words: object) -> subprocess.Popen[bytes]:
    """A run that workers do; what it says goes to a file."""
    with (stage.world.folder / "asking.log").open("ab") as said:
        return stage.world.start(sys.executable, "-m", "console.main", *stage.words(*words), stderr=said)
