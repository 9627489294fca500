"""Recording proxies: CPU per recorded exchange, throughput at saturation, added latency, completeness of the record."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from bench.parts import LOAD_CPU, SIZES, TEST_CPU, Table, cpu_s, family, median, nginx, running, wrk
from bench.peers import find
from bench.pool import count
from bench.ports import free_port
from bench.proxies import SAME, Proxy, our_ledger, proxies, settle

SATURATION_S = 2
PASSIVE_WAIT_S = 3.0
"""GoReplay attaches in a moment, and takes two seconds to give a message up and one to flush its file."""


class Figures:
    """What the rounds of one proxy gave, by size of body."""

    def __init__(self) -> None:
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.first_cpu: dict[str, list[float]] = defaultdict(list)
        """Of its first process alone: for ourselves, the relay."""
        self.rate: dict[str, list[float]] = defaultdict(list)
        self.p50: dict[str, list[float]] = defaultdict(list)
        self.complete: dict[str, list[float]] = defaultdict(list)
        self.ledgers: list[dict[str, int]] = []
        self.errors: list[str] = []
        self.failed_requests = 0


def measure(proxy: Proxy, size: str, upstream: int, root: Path, found: Figures) -> None:
    """One start of one proxy: warm up, saturate with 64 connections, then the latency of one connection."""
    folder = Path(tempfile.mkdtemp(dir=root))
    folder.chmod(0o755)
    kind = SIZES[size]
    port = free_port() if proxy.command and not proxy.passive else upstream
    try:
        with ExitStack() as stack:
            pids: list[int] = []
            if proxy.command:
                command = proxy.command(folder, port, upstream)
                pid = stack.enter_context(running(command, port, cpu=TEST_CPU, stop=proxy.stop))
                time.sleep(PASSIVE_WAIT_S if proxy.passive else 0.2)
                pids = family(pid)
            loads = [wrk(port, kind, seconds=1, same=proxy.same)]
            if proxy.ours:
                settle(folder)
            seen = len_recorded(proxy, folder)
            before = [cpu_s([pid]) for pid in pids]
            loads.append(wrk(port, kind, seconds=SATURATION_S, same=proxy.same))
            relay = cpu_s(pids[:1]) - sum(before[:1])
            if proxy.ours:
                settle(folder)
            spent = cpu_s(pids) - sum(before)
            kept = len_recorded(proxy, folder) - seen
            loads.append(wrk(port, kind, seconds=1, connections=1, same=proxy.same))
            if proxy.passive:
                time.sleep(PASSIVE_WAIT_S)
        load = loads[1]
        found.rate[size].append(load.per_s)
        found.p50[size].append(loads[2].p50_us)
        found.failed_requests += sum(one.errors for one in loads)
        if pids:
            # Our recorder works for what it stores, the relay for what it carries; the others do both in one.
            rest = (spent - relay) / max(1, kept) if proxy.ours else (spent - relay) / load.requests
            found.first_cpu[size].append(relay / load.requests * 1e6)
            found.cpu[size].append((relay / load.requests + rest) * 1e6)
        if proxy.recorded:
            found.complete[size].append(proxy.recorded(folder) / sum(one.requests for one in loads))
        if proxy.ours:
            found.ledgers.append(our_ledger(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def len_recorded(proxy: Proxy, folder: Path) -> int:
    """Exchanges that our recorder has stored so far; 0 for the peers."""
    return our_ledger(folder).get("stored", 0) if proxy.ours else 0


def table(rounds: int = 5) -> Table:
    """The proxies, interleaved."""
    head = ["recorder", "CPU µs an exchange, 1 KB", "10 KB", "× echolane, 1 KB", "req/s at saturation, 1 KB", "10 KB"]
    head += ["added p50 µs, 1 KB", "10 KB", "recorded ÷ answered, 1 KB", "10 KB"]
    out = Table("1. Recording proxies", head)
    if not find("nginx") or not find("wrk"):
        out.notes.append("not run: needs nginx and wrk (apt-get install nginx-light wrk)")
        return out
    everyone = proxies()
    figures = {proxy.name: Figures() for proxy in everyone}
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        root, upstream = Path(name), free_port()
        root.chmod(0o755)
        with running(nginx(root / "up", upstream), upstream, cpu=LOAD_CPU):
            for _ in range(rounds):
                for proxy in everyone:
                    for size in SIZES:
                        if proxy.lacking or figures[proxy.name].errors:
                            continue
                        try:
                            measure(proxy, size, upstream, root, figures[proxy.name])
                        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
                            figures[proxy.name].errors.append(str(error)[:200])
    for proxy in everyone:
        out.rows.append(row(proxy, figures))
    out.notes += notes(figures)
    return out


def row(proxy: Proxy, figures: dict[str, Figures]) -> list[str]:
    """One proxy's medians."""
    own, ours, direct = figures[proxy.name], figures["echolane"], figures["direct"]
    if proxy.lacking or own.errors:
        return [proxy.name, f"not here: {proxy.lacking}" if proxy.lacking else f"failed: {own.errors[0]}", *[""] * 8]
    cells = [f"{median(own.cpu[size]):,.0f}" if proxy.command else "" for size in SIZES]
    base = median(ours.cpu["1 KB"])
    cells.append(f"{median(own.cpu['1 KB']) / base:.2f}" if proxy.command and base else "")
    cells += [f"{median(own.rate[size]):,.0f}" for size in SIZES]
    for size in SIZES:
        itself = median(direct.p50[size])
        cells.append(f"{median(own.p50[size]) - itself:,.0f}" if proxy.command else f"({itself:,.0f} itself)")
    cells += [span(own.complete[size]) for size in SIZES]
    return [proxy.name, *cells]


def span(values: list[float]) -> str:
    """Median and extremes of shares."""
    return f"{median(values):.4f} [{min(values):.4f}-{max(values):.4f}]" if values else ""


def notes(figures: dict[str, Figures]) -> list[str]:
    """What a reader must know beside the rows."""
    ours, tap = figures["echolane"], figures["Envoy + tap"]
    relay = [median(ours.first_cpu[size]) for size in SIZES]
    said = [
        f"echolane's relay process alone: {relay[0]:.0f} µs at 1 KB, {relay[1]:.0f} µs at 10 KB; with its recorder, masks and seals on: the table"
    ]
    if tap.p50["1 KB"] and ours.p50["1 KB"]:
        added = [median(one.p50["1 KB"]) - median(figures["direct"].p50["1 KB"]) for one in (ours, tap)]
        said.append(f"added p50 at 1 KB, echolane ÷ Envoy with tap: {added[0] / max(0.1, added[1]):.2f}")
    total: dict[str, int] = defaultdict(int)
    for ledger in ours.ledgers:
        for name, value in ledger.items():
            total[name] += value
    dropped = {name: value for name, value in total.items() if name.startswith("dropped") and value}
    missing = total["seen"] - total["stored"] - total["spooled"] - sum(dropped.values())
    said.append(
        f"echolane's ledger over all rounds: seen {total['seen']:,} = stored {total['stored']:,} + dropped {sum(dropped.values()):,} "
        f"{dropped or ''}; unaccounted {missing:,}"
    )
    if failed := {name: one.failed_requests for name, one in figures.items() if one.failed_requests}:
        said.append(f"requests that failed under load: {failed}")
    return [
        *said,
        "recorded ÷ answered counts the record itself (our journal's frames, tap files, flows, GoReplay's requests) against wrk's count; above 1: in flight when wrk stopped",
        f"everybody is given the same distinct answers in a circle of {count(1024):,} of 1 KB, {count(10240):,} of 10 KB, more than the masker remembers; {SAME}: it remembers",
        "Envoy's tap writes one file per request, its costliest sink; plain Envoy stands beside it. GoReplay's CPU leaves out the kernel's copying of packets",
        "load generator and upstream on one core, the recorder with all its processes on the other; added p50: one connection, back to back, minus direct",
    ]
