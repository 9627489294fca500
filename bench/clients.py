"""The peers of table 2: vegeta, GoReplay and aiohttp's client as load generators, each on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench import pool
from bench.parts import TEST_CPU, pinned
from bench.peers import find

AIOHTTP = """
import asyncio, sys, time, aiohttp
port, requests, pool = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        numbers = iter(range(requests))
        async def one():
            for n in numbers:
                async with session.get(f'http://127.0.0.1:{port}/1024/{n % pool}.json?n={n}') as answer:
                    await answer.read()
        begun, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*[one() for _ in range(64)])
        print(requests / (time.monotonic() - begun), (time.process_time() - cpu) / requests * 1e6)
asyncio.run(main())
"""
START_NS = 1_795_000_000_000_000_000
GOR_WAIT_S = 60


def aiohttp_client(port: int, requests: int) -> tuple[float, float]:
    """Requests a second with 64 connections on stock asyncio, and CPU µs each."""
    command = [*pinned(TEST_CPU), sys.executable, "-c", AIOHTTP, str(port), str(requests), str(pool.count(1024))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    rate, cpu = done.stdout.split()
    return float(rate), float(cpu)


def vegeta(port: int, *, rate: int, seconds: int, folder: Path) -> float:
    """Attack with distinct requests, at ``rate`` or as fast as 64 workers go; requests a second by its own report."""
    targets = folder / "vegeta.txt"
    if not targets.exists():
        targets.write_text("".join(f"GET http://127.0.0.1:{port}{pool.path('1024', n)}?n={n}\n" for n in range(20_000)))
    program = find("vegeta") or "vegeta"
    limit = ["-rate=0", "-max-workers=64"] if rate == 0 else [f"-rate={rate}"]
    attack = subprocess.run(
        [*pinned(TEST_CPU), program, "attack", *limit, f"-duration={seconds}s", f"-targets={targets}"],
        capture_output=True,
        check=True,
        timeout=120,
        env={**os.environ, "GOMAXPROCS": "1"},
    )
    report = subprocess.run(
        [program, "report", "-type=json"], input=attack.stdout, capture_output=True, check=True, timeout=120
    )
    found = json.loads(report.stdout)
    if found["success"] < 1:
        raise RuntimeError(f"vegeta: {found['errors'][:1]}")
    return float(found["throughput"])


def goreplay(port: int, *, rate: int, requests: int, folder: Path) -> None:
    """Replay a GoReplay file of distinct requests, read depth raised beyond it; a rate of 0 gives all one instant."""
    file = folder / f"trace-{rate}.gor"
    if not file.exists():
        with file.open("wb") as out:
            for n in range(requests):
                at = START_NS + (int(n * 1e9 / rate) if rate else 0)
                head = f"GET {pool.path('1024', n)}?n={n} HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n\r\n"
                out.write(f"1 {n:024x} {at} 0\n{head}\n🐵🙈🙉\n".encode())
    took_s = requests / rate if rate else 0
    command = [find("goreplay") or "goreplay", "--input-file", str(file), "--input-file-read-depth", "200000"]
    command += [
        "--output-http",
        f"http://127.0.0.1:{port}",
        "--output-http-workers",
        "64",
        "--output-http-timeout",
        "5s",
    ]
    command += ["--exit-after", f"{took_s * 1.5 + 3:g}s"]
    subprocess.run(
        [*pinned(TEST_CPU), *command],
        capture_output=True,
        check=False,
        timeout=GOR_WAIT_S,
        env={**os.environ, "GOMAXPROCS": "1"},
    )
