"""The replayer: requests a second on one core to one fast target, and lateness at a fixed rate, against vegeta, wrk and aiohttp."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from bench.parts import Table, free_port, median, nginx, running, wrk

REQUESTS = 40_000
PACED_RATE, PACED_S = 1000, 4


def fire_ours(port: int, folder: Path, *, requests: int, rate: float = 0.0) -> dict[str, float]:
    """A process of its own that plans nothing and fires at one target: seconds, CPU seconds and lateness."""
    command = [sys.executable, "-m", "bench.firing", str(port), str(folder), str(requests), str(rate)]
    done = subprocess.run(
        ["taskset", "-c", "1", *command] if shutil.which("taskset") else command,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def fire(port: int, folder: Path, requests: int, rate: float) -> dict[str, float]:
    """Fire distinct requests at one target through the replayer itself; answers are kept and written to the journal."""
    from echolane import ids, service
    from echolane.exchange import Exchange, Request, WorkItem
    from echolane.frame import WORK, encode_frame
    from echolane.journal import open_journal
    from replayer.fire import Replay
    from replayer.options import ReplayOptions
    from replayer.targets import Target, resolve

    run = ids.uuid7(time.time_ns())
    journal = open_journal(folder)
    journal.create(f"work.{run}", 1)
    headers = [(b"Host", b"shop"), (b"User-Agent", b"bench/1"), (b"Accept", b"application/json")]
    for begin in range(0, requests, 64):
        items = [
            WorkItem(
                n,
                int(n * 1e9 / rate) if rate else 0,
                "GET /{id}.json",
                [],
                Exchange(
                    ids.uuid7(n),
                    "bench",
                    "a",
                    1,
                    n,
                    f"{n % 5000:016x}",
                    n,
                    1000,
                    Request("GET", "http", "shop", f"/1024.json?n={n}", "1.1", headers),
                ),
            )
            for n in range(begin, min(begin + 64, requests))
        ]
        journal.append(f"work.{run}", 0, [encode_frame(items, kind=WORK, partition=0, first_ns=0, last_ns=0)])

    async def go(stop: asyncio.Event) -> dict[str, float]:
        targets = await resolve([Target(0, f"http://127.0.0.1:{port}")])
        options = ReplayOptions(concurrency=64, paced=bool(rate))
        begun, cpu = time.monotonic(), time.process_time()
        summary = await Replay(journal, run, targets, options).run(stop, lambda _done, _total: None)
        return {
            "fired": summary.fired,
            "seconds": time.monotonic() - begun,
            "cpu_s": time.process_time() - cpu,
            "p50_us": summary.lateness_us_p50,
            "p99_us": summary.lateness_us_p99,
        }

    found = service.run(go)
    journal.close()
    return found


def fire_aiohttp(port: int, requests: int) -> float:
    """Requests a second of aiohttp's client with 64 connections, on one core."""
    code = f"""
import asyncio, time, aiohttp
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        left = iter(range({requests}))
        async def one():
            for n in left:
                async with session.get(f'http://127.0.0.1:{port}/1024.json?n={{n}}') as answer:
                    await answer.read()
        begun = time.monotonic()
        await asyncio.gather(*[one() for _ in range(64)])
        print({requests} / (time.monotonic() - begun))
asyncio.run(main())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        ["taskset", "-c", "1", *command] if shutil.which("taskset") else command,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def vegeta(port: int, *, rate: int, seconds: float, path: str) -> dict[str, float]:
    """Vegeta on one core: requests a second, and its own stamps' lateness at a rate."""
    pin = ["taskset", "-c", "1"] if shutil.which("taskset") else []
    target = f"GET http://127.0.0.1:{port}{path}\n"
    limit = ["-rate=0", "-max-workers=64"] if rate == 0 else [f"-rate={rate}"]
    attack = subprocess.run(
        [*pin, "vegeta", "attack", *limit, f"-duration={seconds}s"],
        input=target.encode(),
        capture_output=True,
        check=True,
        env={**os.environ, "GOMAXPROCS": "1"},
    )
    lines = subprocess.run(
        ["vegeta", "encode", "--to", "json"], input=attack.stdout, capture_output=True, check=True
    ).stdout.splitlines()
    stamps = sorted(stamp_ns(json.loads(line)["timestamp"]) for line in lines)
    found = {"per_s": len(stamps) / max(1e-9, (stamps[-1] - stamps[0]) / 1e9)}
    if rate:
        late = sorted((stamp - stamps[0]) - n * 1_000_000_000 // rate for n, stamp in enumerate(stamps))
        least = late[0]
        found |= {"p50_us": (late[len(late) // 2] - least) / 1e3, "p99_us": (late[len(late) * 99 // 100] - least) / 1e3}
    return found


def stamp_ns(text: str) -> int:
    """An RFC 3339 time with nanoseconds."""
    seconds, fraction = re.match(r"(.+?)(?:\.(\d+))?(?:Z|[+-]\d\d:\d\d)$", text).groups()
    return int(time.mktime(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))) * 1_000_000_000 + int(
        (fraction or "0").ljust(9, "0")
    )


def table(rounds: int = 5) -> Table:
    """Throughput and lateness, interleaved."""
    out = Table(
        "2. Replayer",
        ["client", "req/s on one core", "× echolane", "lateness p50 µs at 1,000/s", "p99 µs", "p99 × echolane"],
    )
    if not shutil.which("nginx") or not shutil.which("wrk"):
        out.notes.append("not run: needs nginx and wrk (apt-get install nginx-light wrk)")
        return out
    rates, p50, p99 = defaultdict(list), defaultdict(list), defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        with running(nginx(folder / "up", port), port, cpu=0):
            for number in range(rounds):
                ours = fire_ours(port, folder / f"fast{number}", requests=REQUESTS)
                rates["echolane"].append(ours["fired"] / ours["seconds"])
                paced = fire_ours(port, folder / f"paced{number}", requests=PACED_RATE * PACED_S, rate=PACED_RATE)
                p50["echolane"].append(paced["p50_us"])
                p99["echolane"].append(paced["p99_us"])
                rates["wrk (same request, nothing kept)"].append(wrk(port, "/1024.json", seconds=2, cpu=1).per_s)
                rates["aiohttp"].append(fire_aiohttp(port, 6000))
                if shutil.which("vegeta"):
                    rates["vegeta"].append(vegeta(port, rate=0, seconds=2, path="/1024.json")["per_s"])
                    late = vegeta(port, rate=PACED_RATE, seconds=PACED_S, path="/1024.json")
                    p50["vegeta"].append(late["p50_us"])
                    p99["vegeta"].append(late["p99_us"])
    best, late = median(rates["echolane"]), median(p99["echolane"])
    for client, values in rates.items():
        paced = (
            [
                f"{median(p50[client]):.0f}",
                f"{median(p99[client]):.0f}",
                f"{median(p99[client]) / late:.2f}" if late else "",
            ]
            if p99[client]
            else ["", "", ""]
        )
        out.rows.append([client, f"{median(values):,.0f}", f"{median(values) / best:.2f}", *paced])
    if not shutil.which("vegeta"):
        out.notes.append("vegeta is not here: go install github.com/tsenart/vegeta/v12@v12.13.0")
    out.notes.append(
        "echolane fires distinct requests through the whole replayer: plan read from the journal, answers kept and written to the journal"
    )
    out.notes.append(
        "lateness is each client's own send stamp against its schedule; vegeta's is measured from its earliest stamp, in its favour"
    )
    return out


if __name__ == "__main__":
    print(json.dumps(fire(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))))
