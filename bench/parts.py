"""What the benchmarks share: servers as processes, their CPU time, load from wrk, medians and tables."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench import pool
from bench.peers import find

TICKS = os.sysconf("SC_CLK_TCK")
START_WAIT_S = 60.0
STOP_WAIT_S = 40.0
SIZES = {"1 KB": "1024", "10 KB": "10240"}
"""Kinds of answers in the pool (:mod:`bench.pool`)."""
LOAD_CPU, TEST_CPU = 0, 1
"""Load generators and upstreams have one core, what is measured the other, so that neither takes the other's time."""


@dataclass
class Table:
    """One table of the results."""

    title: str
    head: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"## {self.title}", "", "| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, "", *[f"- {note}" for note in self.notes], ""])


def median(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def p95(values: Sequence[float]) -> float:
    """The value that 95 in 100 do not exceed."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def pinned(cpu: int | None) -> list[str]:
    """The words before a command that keep it on one core; none where that cannot be."""
    return (
        ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    )


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """User and system time of processes so far, in seconds."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def peak_mib(pid: int) -> float:
    """The largest resident memory of a process, in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    *,
    cpu: int | None = None,
    stop: int = signal.SIGTERM,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> Generator[int]:
    """A server in a process group of its own until the block ends; its pid."""
    words = tempfile.TemporaryFile()  # noqa: SIM115 - closed below; a pipe that nobody reads would stop a talkative server
    process = subprocess.Popen(
        [*pinned(cpu), *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=words,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_WAIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    words.seek(0)
                    said = words.read().decode("utf-8", "replace").strip().splitlines() or ["no output"]
                    raise RuntimeError(f"{Path(command[0]).name} does not listen: {said[-1]}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.wait(timeout=STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        words.close()


def nginx(folder: Path, port: int, upstream: int | None = None, *, other: int | None = None) -> list[str]:
    """Nginx with one worker: the pool's answers as files, or a proxy before ``upstream``.

    On the port ``other`` the same answers are served, but for those under ``/changed``, in which one field differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if upstream is None:
        for name, total in zip(("one", "two") if other else ("one",), pool.TOTALS, strict=False):
            pool.write(folder / name, total)
    files = "root {root}; default_type application/json;"
    proxy = "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection '';"
    place = files.format(root=folder / "one") if upstream is None else proxy
    up = f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}" if upstream else ""
    second = ""
    if other:
        second = f"server {{ listen 127.0.0.1:{other}; location / {{ {files.format(root=folder / 'two')} }} }}"
    scratch = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000; open_file_cache max=100000; {up} {scratch}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ {place} }} }} {second} }}\n"
    )
    return [find("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests: int
    per_s: float
    p50_us: float
    errors: int


def wrk(
    port: int, kind: str, *, seconds: int, connections: int = 64, cpu: int | None = LOAD_CPU, same: bool = False
) -> Load:
    """Load from wrk on one core, for whole seconds: it knows no others. All answers of a kind in a circle, or the same one."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(pool.script(kind, same=same))
        script.flush()
        command = [find("wrk") or "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name]
        command = [*pinned(cpu), *command, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
    counted = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if done.returncode or not counted or not rate:
        raise RuntimeError(f"wrk failed: {(done.stdout + done.stderr).strip()[:200]}")
    found = re.search(r"50%\s+([\d.]+)(us|ms|s)", done.stdout)
    p50 = float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found[2]] if found else 0.0
    bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout)))
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    return Load(int(counted[1]), float(rate[1]), p50, bad + (sum(map(int, broken.groups())) if broken else 0))


def machine() -> str:
    """One line about this machine, without its name."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    version = ".".join(map(str, sys.version_info[:3]))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} × {model[1] if model else 'unknown CPU'}, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]}, Python {version}"
