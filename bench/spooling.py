"""The spool: a broker that is killed and comes back under steady traffic; what clients notice, and how fast the disk is emptied."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import threading
import time
from array import array
from pathlib import Path
from typing import NamedTuple

from bench import broker as kafka
from bench.parts import LOAD_CPU, TEST_CPU, Table, cpu_s, family, median, peak_mib, running
from bench.ports import free_port
from capture.account import total_ledger
from echolane.home import Home
from echolane.ledger import capture_identities

CONNECTIONS = 16
"""Each of a client of its own, so that sessions go to every partition."""
BEFORE_S, AWAY_S, AFTER_S = 4.0, 60.0, 4.0
DRAIN_WAIT_S = 180.0
PROMISED = 5.0
PHASES = ("before", "broker away", "spool being sent", "after")


class Offered(NamedTuple):
    """The traffic that goes on all the time."""

    what: str
    per_s: int
    size: int
    noise: bool = False


TRAFFIC = (
    Offered("1 KB of JSON", 1000, 1024),
    Offered("10 KB of JSON", 500, 10_240),
    Offered("10 KB that nothing compresses", 300, 10_240, noise=True),
)
"""What a busy service does, and what one Python client sends evenly. An agent that does nothing else records several times as much."""


class Load:
    """Requests at an even rate over some connections, in a thread; how long each took, by when it was due."""

    def __init__(self, port: int, offered: Offered) -> None:
        self.port, self.failed, self._offered = port, 0, offered
        self.due, self.took = array("d"), array("d")
        self._over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    async def _run(self) -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(self._client(number, start + number / self._offered.per_s))

    async def _client(self, client: int, due: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        size, number = self._offered.size, client
        words = b"GET /%d.json?n=%%d HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer client-number-%d-abcdef\r\n\r\n"
        words %= size, client
        while not self._over:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            number += CONNECTIONS
            began = time.monotonic()
            writer.write(words % number)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(size)
                self.failed += not head.startswith(b"HTTP/1.1 200")
            except (OSError, asyncio.IncompleteReadError):
                self.failed += 1
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.due.append(began)
            self.took.append(time.monotonic() - began)
            due += CONNECTIONS / self._offered.per_s
        writer.close()

    def stop(self) -> None:
        """End."""
        self._over = True
        self._thread.join(30)


class Round(NamedTuple):
    """What one outage gave, by phase."""

    p50_us: list[float]
    p99_us: list[float]
    stored_per_s: list[float]
    recorder_cpu: list[float]
    ratio: float
    """Exchanges sent from the disk a second, beside those that came."""
    waited: int
    back_s: float
    """From the broker's listening to the empty disk."""
    bytes_each: float
    peak_mib: float
    """Of the recorder, at the end."""
    shed: int
    failed: int


class Mark(NamedTuple):
    """A moment: when, what was stored by then, the CPU time of relay and recorder, and the ledger."""

    at: float
    stored: int
    cpu: float
    counts: dict[str, int]


class Stage:
    """A service, its recorder, a client at a steady rate, and a broker to kill."""

    def __init__(self, root: Path, stack: contextlib.ExitStack, offered: Offered) -> None:
        upstream, port = free_port(), free_port()
        self.broker = kafka.Broker(root / "broker")
        self.broker.start()
        stack.callback(self.broker.kill)
        command = [sys.executable, "-m", "bench.sink", str(upstream), str(offered.size)]
        stack.enter_context(running([*command, *(["noise"] if offered.noise else [])], upstream, cpu=LOAD_CPU))
        self.home = Home(root / "home", self.broker.url("wait_s=5"))
        flags = ["--service", "bench", "--home", str(self.home.path), "--journal", self.home.journal_url]
        words = [sys.executable, "-m", "console.main", "record", *flags, "--listen", f"127.0.0.1:{port}"]
        pid = stack.enter_context(running([*words, "--upstream", f"http://127.0.0.1:{upstream}"], port, cpu=TEST_CPU))
        self.pids = family(pid)
        self.load = Load(port, offered)
        self.marks: list[Mark] = []

    def mark(self) -> Mark:
        """Now."""
        counts = total_ledger(self.home, "bench")
        self.marks.append(Mark(time.monotonic(), counts["stored"], cpu_s(self.pids), counts))
        return self.marks[-1]

    def spans(self) -> list[tuple[Mark, Mark]]:
        """Begin and end of each phase; between the third and the fourth mark the broker starts."""
        return [(self.marks[a], self.marks[b]) for a, b in ((0, 1), (1, 2), (3, 4), (4, 5))]


def outage(root: Path, offered: Offered) -> Round:
    """One round: steady load, the broker killed, AWAY_S later started, until the disk is empty."""
    with contextlib.ExitStack() as stack:
        stage = Stage(root, stack, offered)
        spool = stage.home.spool
        time.sleep(1.0)  # the first request, the first send
        stage.mark()
        time.sleep(BEFORE_S)
        stage.mark()
        stage.broker.kill()
        time.sleep(AWAY_S)
        taken = sum(path.stat().st_size for path in spool.glob("*/*/0*"))
        away = stage.mark()
        stage.broker.start()
        listens = time.monotonic()
        deadline = listens + DRAIN_WAIT_S
        while total_ledger(stage.home, "bench")["stored"] == away.stored and time.monotonic() < deadline:
            time.sleep(0.01)
        begun = stage.mark()
        while any(spool.glob("*/topic.json")) and time.monotonic() < deadline:
            time.sleep(0.01)
        emptied = stage.mark()
        time.sleep(AFTER_S)
        last = stage.mark()
        stage.load.stop()
        peak = max(peak_mib(pid) for pid in stage.pids)
    if last.stored == away.stored:
        raise RuntimeError(f"the spool was not sent: {last.counts}")
    if wrong := capture_identities(last.counts):
        raise RuntimeError(f"the ledger does not balance: {wrong}")
    took = [
        sorted(took for due, took in zip(stage.load.due, stage.load.took, strict=True) if begin.at <= due < end.at)
        or [0.0]
        for begin, end in stage.spans()
    ]
    stored = [(end.stored - begin.stored) / max(1e-9, end.at - begin.at) for begin, end in stage.spans()]
    return Round(
        [one[len(one) // 2] * 1e6 for one in took],
        [one[len(one) * 99 // 100] * 1e6 for one in took],
        stored,
        [(end.cpu - begin.cpu) / max(1e-9, end.at - begin.at) for begin, end in stage.spans()],
        stored[2] / offered.per_s,
        begun.counts["spooled"] + begun.stored - away.stored,
        emptied.at - listens,
        taken / max(1, away.counts["spooled"]),
        peak,
        sum(value for name, value in last.counts.items() if name.startswith("dropped{")),
        stage.load.failed,
    )


def table(rounds: int) -> Table:
    """Outages, one after the other, of each kind of traffic in turn."""
    if lack := kafka.lacks():
        raise RuntimeError(f"Apache Kafka needs {lack}: {kafka.HINT}")
    kafka.install()
    found: dict[Offered, list[Round]] = {offered: [] for offered in TRAFFIC}
    for _ in range(rounds):
        for offered in TRAFFIC:
            with tempfile.TemporaryDirectory(prefix="echolane-bench-") as folder:
                found[offered].append(outage(Path(folder), offered))
    return told(found)


def told(found: dict[Offered, list[Round]]) -> Table:
    """The figures, and whether they are what is promised."""
    head = ["traffic", "while", "clients' p50, µs", "p99, µs", "stored on the broker, exchanges/s"]
    shown = Table(f"7. A broker that is away for {AWAY_S:.0f} s", [*head, "CPU of relay and recorder, cores"])
    for offered, rounds in found.items():
        for at, phase in enumerate(PHASES):
            cells = [
                f"{offered.per_s:,}/s of {offered.what}",
                phase,
                f"{median([one.p50_us[at] for one in rounds]):,.0f}",
            ]
            cells += [f"{median([one.p99_us[at] for one in rounds]):,.0f}"]
            cells += [f"{median([one.stored_per_s[at] for one in rounds]):,.0f}"]
            shown.rows.append([*cells, f"{median([one.recorder_cpu[at] for one in rounds]):.2f}"])
    for offered, rounds in found.items():
        ratios = [one.ratio for one in rounds]
        shown.notes.append(
            f"{offered.what}: sent at {median(ratios):.1f} times the rate at which traffic comes meanwhile (rounds: {', '.join(f'{one:.1f}' for one in ratios)}), and all of it was there "
            f"{median([one.back_s for one in rounds]):.1f} s after the broker's listening; {median([one.waited for one in rounds]):,.0f} exchanges waited, "
            f"{median([one.bytes_each for one in rounds]):,.0f} bytes of the disk each; the recorder's peak {max(one.peak_mib for one in rounds):.0f} MiB; "
            f"shed and counted {sum(one.shed for one in rounds)}, requests of clients that failed {sum(one.failed for one in rounds)}"
        )
    shown.notes += [
        f"promised: at least {PROMISED:g} times the live rate, and clients that notice nothing; each round's ledger balances: what was seen is stored, on its way, or counted as shed",
        "what is stored while the spool is sent includes what came meanwhile, which stands behind it; the broker is on the same machine, and its start takes "
        "its share of both cores; the client is one Python process, whose own delays are in its figures",
    ]
    return shown
