"""The whole chain from recorded frame to stored result: CPU an exchange, all our processes together, and peak memory at two sizes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.parts import Table, cpu_s, family, free_port, median, nginx, peak_mib, running
from echolane import ids
from echolane.exchange import Exchange, Request, Response
from echolane.frame import EXCHANGES, frames_of
from echolane.journal import open_journal

SIZES = (10_000, 100_000)


def recording(home: Path, count: int) -> None:
    """A recording of ``count`` exchanges with 1 KB answers, written straight to the journal."""
    journal = open_journal(home)
    journal.create("exchanges.bench", 4)
    headers = [(b"Host", b"shop"), (b"User-Agent", b"bench/1"), (b"Accept", b"application/json")]
    now = time.time_ns()
    for begin in range(0, count, 2000):
        items = [
            Exchange(
                ids.uuid7(now + n * 1000),
                "bench",
                "a",
                1,
                n,
                f"{n % 5000:016x}",
                now + n * 1000,
                500,
                Request("GET", "http", "shop", f"/1024.json?n={n}", "1.1", headers),
                Response(200, "1.1", headers),
            )
            for n in range(begin, min(begin + 2000, count))
        ]
        for frame, _ in frames_of(
            items, kind=EXCHANGES, partition=begin // 2000 % 4, times=[e.captured_at_ns for e in items]
        ):
            journal.append("exchanges.bench", begin // 2000 % 4, [frame])
    journal.close()


class Watch(threading.Thread):
    """Peak memory and CPU of a process family and of the store's owner, read while they live."""

    def __init__(self, pid: int, home: Path) -> None:
        super().__init__(daemon=True)
        self.pid, self.home = pid, home
        self.peaks: dict[str, float] = {}
        self.cpu: dict[int, float] = {}
        self.over = threading.Event()

    def run(self) -> None:
        """Look twenty times a second."""
        while not self.over.wait(0.05):
            owners = subprocess.run(
                ["pgrep", "-f", f"store.owner {self.home}"], capture_output=True, text=True, check=False
            ).stdout.split()
            try:
                pids = [*family(self.pid), *map(int, owners)]
            except OSError:
                continue
            for pid in pids:
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                    name = (
                        "store owner"
                        if "echolane.store.owner" in words
                        else "differ worker"
                        if "differ.worker" in words
                        else "run"
                    )
                    self.peaks[name] = max(self.peaks.get(name, 0.0), peak_mib(pid))
                    self.cpu[pid] = max(self.cpu.get(pid, 0.0), cpu_s([pid]))
                except OSError:
                    continue


def one(port: int, count: int) -> tuple[float, dict[str, float], float]:
    """One run: CPU µs an exchange, peak MiB by process, seconds."""
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        home = Path(name)
        recording(home, count)
        command = [
            sys.executable,
            "-m",
            "console.main",
            "run",
            "--service",
            "bench",
            "--home",
            str(home),
            "--base",
            f"http://127.0.0.1:{port}",
            "--branch",
            f"http://localhost:{port}",
            "--concurrency",
            "32",
            "--json",
            str(home / "result.json"),
        ]
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        watch = Watch(process.pid, home)
        watch.start()
        _, words = process.communicate(timeout=900)
        seconds = time.monotonic() - begun
        watch.over.set()
        watch.join()
        if process.returncode not in {0, 1}:
            raise RuntimeError(f"the run ended with {process.returncode}: {words.decode()[-300:]}")
        ledger = json.loads((home / "result.json").read_text())["ledger"]
        if ledger["compared"] != count or ledger["unaccounted"]:
            raise RuntimeError(f"the ledger is off: {ledger}")
        return sum(watch.cpu.values()) / count * 1e6, watch.peaks, seconds


def table(rounds: int = 3) -> Table:
    """Both sizes; the large one once."""
    out = Table(
        "5. The whole chain, four shots an exchange, 1 KB answers",
        ["exchanges", "CPU µs/exchange", "exchanges/s", "peak MiB run", "differ worker", "store owner"],
    )
    if not shutil.which("nginx"):
        out.notes.append("not run: needs nginx (apt-get install nginx-light)")
        return out
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        with running(nginx(folder / "up", port), port):
            for size in SIZES:
                found = [one(port, size) for _ in range(rounds if size == SIZES[0] else 1)]
                peaks = {
                    key: median([peak.get(key, 0.0) for _, peak, _ in found])
                    for key in ("run", "differ worker", "store owner")
                }
                rate = median([size / seconds for _, _, seconds in found])
                out.rows.append(
                    [
                        f"{size:,}",
                        f"{median([cpu for cpu, _, _ in found]):.0f}",
                        f"{rate:,.0f}",
                        *[f"{peaks[key]:.0f}" for key in ("run", "differ worker", "store owner")],
                    ]
                )
    out.notes.append(
        "from `echolane run` to its end: plan, fire, compare, store, close; start-up of all processes included; base and branch are two names of one server"
    )
    return out
