"""What the benchmarks share: servers as processes, their CPU time, load from wrk, medians and tables."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
START_WAIT_S = 20.0


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


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


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
def running(command: Sequence[str], port: int, *, cpu: int | None = None, stop: int = signal.SIGTERM) -> Generator[int]:
    """A server in a process group of its own until the block ends; its pid."""
    pinned = (
        ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    )
    process = subprocess.Popen(
        [*pinned, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
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
                    os.killpg(process.pid, signal.SIGKILL)
                    words = process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
                    raise RuntimeError(f"{command[0]} does not listen: {words[-1:] or 'no output'}") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        if process.poll() is None:
            process.send_signal(stop)
            try:
                process.communicate(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def nginx(folder: Path, port: int, upstream: int | None = None) -> list[str]:
    """Nginx with one worker: static bodies of 1 KB and 10 KB, or a proxy before ``upstream``."""
    folder.mkdir(parents=True, exist_ok=True)
    for size in (1024, 10240):
        item = '{"id": 12345, "name": "an item of the list", "price": 12.5, "tags": ["a", "b"]}'
        body = "[" + ",".join([item] * (size // (len(item) + 1))) + "]"
        (folder / f"{size}.json").write_text(body.ljust(size))
    place = (
        "root . ; default_type application/json;"
        if upstream is None
        else "proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection '';"
    )
    pool = f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}" if upstream else ""
    (folder / "nginx.conf").write_text(
        f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"events {{ worker_connections 1024; }}\nhttp {{ access_log off; keepalive_requests 1000000; open_file_cache max=10; {pool}\n"
        f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ {place.replace('root .', f'root {folder}')} }} }} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


@dataclass(frozen=True)
class Load:
    """What wrk measured."""

    requests: int
    per_s: float
    p50_us: float
    errors: int


def wrk(port: int, path: str, *, seconds: float, connections: int = 64, cpu: int | None = 0) -> Load:
    """Load from wrk on one core."""
    pinned = (
        ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    )
    command = [
        *pinned,
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        f"http://127.0.0.1:{port}{path}",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", text)[1])
    found = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    p50 = float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found[2]] if found else 0.0
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(requests, float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), p50, int(bad[1]) if bad else 0)


def machine() -> str:
    """One line about this machine."""
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} × {model[1] if model else 'unknown CPU'}, Linux {os.uname().release}, Python {'.'.join(map(str, __import__('sys').version_info[:3]))}"
