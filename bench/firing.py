"""The replayer: requests a second on one core to one fast target, and lateness at a fixed rate as an independent sink sees it."""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench import clients
from bench.parts import LOAD_CPU, TEST_CPU, Table, median, nginx, running, wrk
from bench.peers import find, how
from bench.pool import count
from bench.ports import free_port
from bench.shooting import shoot
from bench.sink import Arrivals, sink

EXCHANGES = 16_000
RATE, PACED_S = 1000, 4
PACED = RATE * PACED_S
OURS = "echolane, as `run` fires (four shots, masks on)"
ONE_SHOT = "echolane, one shot an exchange, masks on"
SAME = "echolane, as `run` fires, one answer again and again"
BARE = "echolane, one shot, masks off"


class Figures:
    """What the rounds gave, by client."""

    def __init__(self) -> None:
        self.rate: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.p50: dict[str, list[float]] = defaultdict(list)
        self.p99: dict[str, list[float]] = defaultdict(list)
        self.own_p99: list[float] = []
        self.failed: dict[str, str] = {}

    def attempt(self, client: str, what: Callable[[], None]) -> None:
        """A peer that fails has a row that says so; it does not end the others' measurement."""
        if client not in self.failed:
            try:
                what()
            except (RuntimeError, OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
                self.failed[client] = str(error)[:160]

    def paced(self, client: str, arrivals: Arrivals) -> None:
        """Lateness of one paced run."""
        if len(arrivals.times_ns) < PACED * 0.9:
            raise RuntimeError(f"only {len(arrivals.times_ns):,} of {PACED:,} paced requests arrived")
        p50, p99 = arrivals.lateness_us(RATE)
        self.p50[client].append(p50)
        self.p99[client].append(p99)


def throughput(figures: Figures, port: int, folder: Path, number: int) -> None:
    """One round as fast as each goes, against nginx."""

    def ours(client: str, *, masked: bool, shots: int, same: bool = False) -> None:
        home = folder / f"fast-{number}-{masked}-{shots}-{same}"
        exchanges = EXCHANGES // (2 if shots > 1 else 1)
        found = shoot(port, home, exchanges=exchanges, masked=masked, shots=shots, same=same)
        figures.rate[client].append(found["requests"] / found["seconds"])
        figures.cpu[client].append(found["cpu_s"] / found["requests"] * 1e6)

    def wrk_() -> None:
        figures.rate["wrk"].append(wrk(port, "1024", seconds=2, cpu=TEST_CPU).per_s)

    def vegeta() -> None:
        figures.rate["vegeta"].append(clients.vegeta(port, rate=0, seconds=2, folder=folder))

    def aiohttp_() -> None:
        rate, cpu = clients.aiohttp_client(port, 5000)
        figures.rate["aiohttp client"].append(rate)
        figures.cpu["aiohttp client"].append(cpu)

    figures.attempt(OURS, lambda: ours(OURS, masked=True, shots=4))
    figures.attempt(SAME, lambda: ours(SAME, masked=True, shots=4, same=True))
    figures.attempt("wrk", wrk_)
    figures.attempt(ONE_SHOT, lambda: ours(ONE_SHOT, masked=True, shots=1))
    if find("vegeta"):
        figures.attempt("vegeta", vegeta)
    figures.attempt(BARE, lambda: ours(BARE, masked=False, shots=1))
    figures.attempt("aiohttp client", aiohttp_)


def lateness(figures: Figures, folder: Path, number: int) -> None:
    """One round at a fixed rate, each client against a sink of its own."""

    def ours() -> None:
        with sink() as arrivals:
            found = shoot(arrivals.port, folder / f"paced-{number}", exchanges=PACED, rate=RATE)
        figures.own_p99.append(found["p99_us"])
        figures.paced(ONE_SHOT, arrivals)

    def vegeta() -> None:
        with sink() as arrivals, tempfile.TemporaryDirectory() as own:
            clients.vegeta(arrivals.port, rate=RATE, seconds=PACED_S, folder=Path(own))
        figures.paced("vegeta", arrivals)

    def goreplay() -> None:
        # Its throughput is told by the sink too: it has no report of its own.
        with sink() as arrivals:
            clients.goreplay(arrivals.port, rate=0, requests=6000, folder=folder)
        figures.rate["GoReplay"].append(arrivals.per_s())
        with sink() as arrivals:
            clients.goreplay(arrivals.port, rate=RATE, requests=PACED, folder=folder)
        figures.paced("GoReplay", arrivals)

    figures.attempt(ONE_SHOT, ours)
    if find("vegeta"):
        figures.attempt("vegeta", vegeta)
    if find("goreplay"):
        figures.attempt("GoReplay", goreplay)


def table(rounds: int = 5) -> Table:
    """Throughput and lateness, interleaved."""
    head = ["client", "req/s on one core", "CPU µs a request", "× echolane's req/s"]
    head += [f"lateness p50 µs at {RATE:,}/s, at arrival", "p99 µs", "p99 × echolane"]
    out = Table("2. Replayer", head)
    if not find("nginx") or not find("wrk"):
        out.notes.append("not run: needs nginx and wrk (apt-get install nginx-light wrk)")
        return out
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        for number in range(rounds):
            with running(nginx(folder / "up", port), port, cpu=LOAD_CPU):
                throughput(figures, port, folder, number)
            lateness(figures, folder, number)
    best, late = median(figures.rate[OURS]), median(figures.p99[ONE_SHOT])
    for client in (OURS, SAME, ONE_SHOT, BARE, "wrk", "vegeta", "GoReplay", "aiohttp client"):
        program = {"vegeta": "vegeta", "GoReplay": "goreplay"}.get(client)
        if client in figures.failed or (program and not find(program)):
            why = figures.failed.get(client) or f"not here: {how(program or '')}"
            out.rows.append([client, why, *[""] * 5])
            continue
        rate, p99 = median(figures.rate[client]), median(figures.p99[client])
        cells = [f"{rate:,.0f}", f"{median(figures.cpu[client]):.0f}" if figures.cpu[client] else ""]
        cells.append(f"{rate / best:.2f}" if best else "")
        cells += (
            [f"{median(figures.p50[client]):,.0f}", f"{p99:,.0f}", f"{p99 / late:.2f}"] if p99 and late else [""] * 3
        )
        out.rows.append([client, *cells])
    out.notes += notes(figures)
    return out


def notes(figures: Figures) -> list[str]:
    """What a reader must know beside the rows."""
    said: list[str] = []
    ours, vegeta = median(figures.p99[ONE_SHOT]), median(figures.p99["vegeta"])
    if ours and vegeta:
        rounds = ", ".join(
            f"{a:,.0f}/{b:,.0f}" for a, b in zip(figures.p99[ONE_SHOT], figures.p99["vegeta"], strict=False)
        )
        said.append(
            f"lateness p99, echolane ÷ vegeta: {ours / vegeta:.2f} (rounds: {rounds} µs); by echolane's own stamps {median(figures.own_p99):,.0f} µs"
        )
    return [
        *said,
        "echolane fires distinct requests through the whole replayer: plan read from the journal, answers kept, observed and written to the journal; wrk asks for the same paths, without a number of their own, and keeps nothing",
        f"the target gives everybody distinct answers in a circle of {count(1024):,}, more than the masker remembers; {SAME}: it remembers",
        "vegeta and GoReplay fire distinct requests too (GOMAXPROCS=1; GoReplay with --input-file-read-depth 200000 and 64 workers, its req/s told by the sink); target for the others: nginx on the other core",
        "lateness at arrival: the n-th arrival at an independent sink against n / rate after the start that makes the least late one on time, the same for every client",
    ]
