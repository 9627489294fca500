"""On time: how late requests arrive at a fixed rate by an independent sink, and what of a core our firing process takes for it."""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from bench import clients
from bench.parts import Table, median
from bench.peers import find, how
from bench.shooting import shoot
from bench.sink import sink

RATES, SECONDS = (1000, 5000), 4
CPU_MAX = 0.20
"""Of a core, at 1,000 a second: what is promised."""
OURS, PEER = "echolane, one shot an exchange, masks on", "vegeta"


class _Figures:
    """What the rounds gave, by client and rate."""

    def __init__(self) -> None:
        self.p50: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.p99: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.cpu: dict[int, list[float]] = defaultdict(list)
        self.failed: dict[tuple[str, int], str] = {}

    def round(self, client: str, rate: int, folder: Path, number: int) -> None:
        """One client at one rate against a sink of its own; who fails has a row that says so."""
        try:
            with sink() as arrivals:
                if client == OURS:
                    home = folder / f"{rate}-{number}"
                    found = shoot(arrivals.port, home, exchanges=rate * SECONDS, rate=rate)
                    self.cpu[rate].append(found["cpu_s"] / found["seconds"])
                else:
                    with tempfile.TemporaryDirectory() as own:
                        clients.vegeta(arrivals.port, rate=rate, seconds=SECONDS, folder=Path(own))
        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            self.failed[client, rate] = str(error)[:160]
            return
        if len(arrivals.times_ns) < rate * SECONDS * 0.9:
            self.failed[client, rate] = f"only {len(arrivals.times_ns):,} of {rate * SECONDS:,} arrived"
            return
        p50, p99 = arrivals.lateness_us(rate)
        self.p50[client, rate].append(p50)
        self.p99[client, rate].append(p99)


def table(rounds: int = 5) -> Table:
    """Both clients at both rates, interleaved."""
    head = ["client", "requests/s", "lateness p50 µs, at arrival", "p99 µs", "p99 × echolane", "CPU, % of a core"]
    out = Table("13. On time", head)
    figures, lacks = _Figures(), find("vegeta") is None
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        for number in range(rounds):
            for rate in RATES:
                for client in (OURS,) if lacks else (OURS, PEER):
                    figures.round(client, rate, Path(name), number)
    for rate in RATES:
        for client in (OURS, PEER):
            p99 = median(figures.p99[client, rate])
            if not p99:
                why = figures.failed.get((client, rate)) or f"not here: {how('vegeta')}"
                out.rows.append([client, f"{rate:,}", why, "", "", ""])
                continue
            ours, cpu = median(figures.p99[OURS, rate]), median(figures.cpu[rate])
            times = f"{p99 / ours:.2f}" if ours else ""
            share = f"{cpu:.1%}" if client == OURS else ""
            out.rows.append(
                [client, f"{rate:,}", f"{median(figures.p50[client, rate]):,.0f}", f"{p99:,.0f}", times, share]
            )
    kept = median(figures.cpu[RATES[0]])
    verdict = "kept" if 0 < kept <= CPU_MAX else "not kept" if kept else "not measured"
    out.notes += [
        f"promised: at most {CPU_MAX:.0%} of a core at {RATES[0]:,}/s: {verdict}",
        "CPU is that of the whole firing process from its first due instant to its last observation: plan read, sent, kept, masked, written to the journal",
        "lateness at arrival: the n-th arrival at an independent sink against n / rate after the start that makes the least late one on time, the same for both",
    ]
    return out
