"""The whole chain from recorded frame to stored result: CPU an exchange, all our processes together, and peak memory at two sizes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from bench import pool
from bench.parts import Table, cpu_s, median, nginx, peak_mib, running
from bench.peers import find
from bench.ports import free_port
from echolane import ids
from echolane.exchange import Exchange, Request, Response
from echolane.frame import EXCHANGES, frames_of
from echolane.home import Home
from echolane.journal import open_journal

SIZES = (10_000, 100_000)
CHANGED_EVERY = 10
"""One exchange in ten asks for what differs between base and branch."""
PROCESSES = ("run", "differ worker", "store owner")
ROUNDS_MAX = 3
"""A round takes most of a minute."""
RUN_WAIT_S = 600
OWNER_WAIT_S = 60.0
LOOK_S = 0.05
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Cost:
    """What one run cost."""

    count: int
    seconds: float
    cpu_s: float
    """Of all processes, by the kernel's account of them when they ended."""
    by_process: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """CPU by process as last seen alive, so a little less."""
    peaks: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def us(self) -> float:
        """CPU µs an exchange."""
        return self.cpu_s / self.count * 1e6


def recording(home: Path | Home, count: int, service: str = "bench", offsets_ns: Sequence[int] = ()) -> None:
    """A recording of ``count`` exchanges, written straight to the journal; ``offsets_ns``: when each was, from the first on."""
    journal = open_journal(home)
    topic = f"exchanges.{service}"
    journal.create(topic, 4)
    headers = [(b"Host", b"shop"), (b"User-Agent", b"bench/1"), (b"Accept", b"application/json")]
    now = time.time_ns()
    for begin in range(0, count, 500):
        items: list[Exchange] = []
        for n in range(begin, min(begin + 500, count)):
            kind = "changed" if n % CHANGED_EVERY == 0 else "1024"
            request = Request("GET", "http", "shop", f"{pool.path(kind, n)}?n={n}", "1.1", headers)
            at = now + (offsets_ns[n] if offsets_ns else n * 1000)
            answer = Response(200, "1.1", headers)
            items.append(Exchange(ids.uuid7(at), service, "a", 1, n, f"{n % 5000:016x}", at, 500, request, answer))
        partition = begin // 500 % 4
        times = [exchange.captured_at_ns for exchange in items]
        frames = [frame for frame, _ in frames_of(items, kind=EXCHANGES, partition=partition, times=times)]
        journal.append(topic, partition, frames)
    journal.close()


def role(pid: int, home: Path) -> str:
    """What a process of ours does for this home; empty for any other process."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return ""
    if str(home) not in words:
        return ""
    return "store owner" if "echolane.store.owner" in words else "differ worker" if "differ.worker" in words else "run"


class Watch(threading.Thread):
    """Peak memory and CPU of our processes, read twenty times a second while they live."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self.home = home
        self.cpu: dict[tuple[str, int], float] = {}
        self.peaks: dict[str, float] = defaultdict(float)
        self.over = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        known: dict[int, str] = {}
        while not self.over.wait(LOOK_S):
            for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
                # A fork that has not become its program yet looks like its parent, so roles are asked for until they fit.
                name = known.get(pid) or role(pid, self.home)
                if not name:
                    continue
                if name != "run":
                    known[pid] = name
                try:
                    self.peaks[name] = max(self.peaks[name], peak_mib(pid))
                    self.cpu[name, pid] = cpu_s([pid])
                except OSError:
                    continue


def one(base: int, branch: int, count: int) -> Cost:
    """One run from its start to the end of the last process."""
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        home = Path(name).resolve()
        recording(home, count)
        command = [sys.executable, "-m", "console.main", "run", "--service", "bench", "--home", str(home)]
        command += ["--base", f"http://127.0.0.1:{base}", "--branch", f"http://127.0.0.1:{branch}"]
        command += ["--concurrency", "32", "--json", str(home / "result.json")]
        watch = Watch(home)
        watch.start()
        begun = time.monotonic()
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
            code, spent, seconds = wait_for_all(process.pid, home, begun)
            process.returncode = code
            said.seek(0)
            words = said.read().decode("utf-8", "replace")[-300:]
        watch.over.set()
        watch.join()
        if code not in {0, 1}:
            raise RuntimeError(f"the run ended with {code}: {words}")
        check(orjson.loads((home / "result.json").read_bytes()), count)
        cost = Cost(count, seconds, spent, peaks=watch.peaks)
        for (process_name, _), cpu in watch.cpu.items():
            cost.by_process[process_name] += cpu
        return cost


def wait_for_all(pid: int, home: Path, begun: float) -> tuple[int, float, float]:
    """Exit code of the run, CPU seconds of it and all its descendants, seconds until the run itself ended.

    We are their subreaper, so the owner, which outlives the run that started it, is ours to wait for.
    """
    spent, seconds, code = 0.0, 0.0, 0
    deadline = begun + RUN_WAIT_S
    while time.monotonic() < deadline:
        try:
            ended, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not ended:
            time.sleep(0.01)
            continue
        if ended == pid:
            code, seconds = os.waitstatus_to_exitcode(status), time.monotonic() - begun
            deadline = time.monotonic() + OWNER_WAIT_S
        spent += usage.ru_utime + usage.ru_stime
        if seconds and not any(role(int(one), home) for one in os.listdir("/proc") if one.isdigit()):
            break
    return code, spent, seconds


def check(result: dict[str, object], count: int) -> None:
    """A chain that loses exchanges is not fast."""
    ledger = result["ledger"]
    wanted = -(-count // CHANGED_EVERY)
    if ledger["compared"] != count or ledger["unaccounted"] or ledger["different"] != wanted:
        raise RuntimeError(f"the ledger is off: {ledger}")


def table(rounds: int = 5) -> Table:
    """Both sizes, interleaved."""
    head = ["exchanges", "CPU µs an exchange", "run", "differ worker", "store owner", "exchanges/s"]
    head += ["peak MiB: run", "differ worker", "store owner"]
    out = Table("5. The whole chain, four shots an exchange, 1 KB answers", head)
    if not find("nginx"):
        out.notes.append("not run: needs nginx (apt-get install nginx-light)")
        return out
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    costs: dict[int, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder, base, branch = Path(name), free_port(), free_port()
        folder.chmod(0o755)
        with running(nginx(folder / "up", base, other=branch), base):
            costs = {size: [] for size in SIZES}
            for _ in range(min(rounds, ROUNDS_MAX)):
                for size in SIZES:
                    costs[size].append(one(base, branch, size))
    for size, found in costs.items():
        cells = [f"{median([cost.us for cost in found]):.0f}"]
        cells += [f"{median([cost.by_process[key] for cost in found]) / size * 1e6:.0f}" for key in PROCESSES]
        cells.append(f"{median([size / cost.seconds for cost in found]):,.0f}")
        cells += [f"{median([cost.peaks[key] for cost in found]):.0f}" for key in PROCESSES]
        out.rows.append([f"{size:,}", *cells])
    out.notes += notes(costs)
    return out


def notes(costs: dict[int, list[Cost]]) -> list[str]:
    """What a reader must know beside the rows."""
    small, large = (median([cost.cpu_s for cost in costs[size]]) for size in SIZES)
    growth = [
        f"{key} {median([c.peaks[key] for c in costs[SIZES[1]]]) / max(1, median([c.peaks[key] for c in costs[SIZES[0]]])):.2f}"
        for key in PROCESSES
    ]
    return [
        f"without what a run costs once (start of three processes, close): {(large - small) / (SIZES[1] - SIZES[0]) * 1e6:.0f} µs an exchange, from the two sizes' difference",
        f"peak memory at {SIZES[1]:,} ÷ at {SIZES[0]:,}: {', '.join(growth)}",
        "from `echolane run` to the end of its last process: plan, fire at four, observe, compare, store, close, result; CPU by the kernel's account, by process as last seen alive",
        f"the answers come from {pool.count(1024):,} distinct ones in a circle, more than the masker remembers",
        f"one exchange in {CHANGED_EVERY} differs in one field between base and branch; the ledger is checked: every exchange compared, the right number different",
    ]
