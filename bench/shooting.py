"""Our replayer in a process of its own, as table 2 measures it: ``python -m bench.shooting PORT HOME EXCHANGES RATE MASKED SHOTS SAME``.

A plan of distinct requests is in the journal beforehand; read, prepare, fire, keep, observe and write are timed. With ``MASKED`` every
answer goes through the masker as in ``echolane run``; answers are distinct (:mod:`bench.pool`), with ``SAME`` all one. With four shots each exchange goes to the target four times, as ``run`` fires it at base,
branch and their controls: then one plan item, one observation and one masking (when the answers are the same bytes) serve four requests.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import pool
from bench.parts import TEST_CPU, pinned

PER_FRAME = 64


def shoot(
    port: int,
    folder: Path,
    *,
    exchanges: int,
    rate: float = 0.0,
    masked: bool = True,
    shots: int = 1,
    same: bool = False,
) -> dict[str, float]:
    """Fire from a fresh process on one core; its figures."""
    arguments = [str(port), str(folder), str(exchanges), str(rate), str(int(masked)), str(shots), str(int(same))]
    done = subprocess.run(
        [*pinned(TEST_CPU), sys.executable, "-m", "bench.shooting", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])
    return json.loads(done.stdout)


def plan(folder: Path, exchanges: int, rate: float, *, same: bool) -> tuple[object, str]:
    """A journal with the work of a run; the journal and the run."""
    from echolane import ids
    from echolane.exchange import Exchange, Request, WorkItem
    from echolane.frame import WORK, encode_frame
    from echolane.journal import open_journal

    run = ids.uuid7(time.time_ns())
    journal = open_journal(folder)
    journal.create(f"work.{run}", 1)
    headers = [(b"Host", b"shop"), (b"User-Agent", b"bench/1"), (b"Accept", b"application/json")]
    for begin in range(0, exchanges, PER_FRAME):
        items: list[WorkItem] = []
        for n in range(begin, min(begin + PER_FRAME, exchanges)):
            request = Request("GET", "http", "shop", f"{pool.path('1024', 0 if same else n)}?n={n}", "1.1", headers)
            exchange = Exchange(ids.uuid7(n), "bench", "a", 1, n, f"{n % 5000:016x}", n, 1000, request)
            items.append(WorkItem(n, int(n * 1e9 / rate) if rate else 0, "GET /1024/{id}.json", [], exchange))
        journal.append(f"work.{run}", 0, [encode_frame(items, kind=WORK, partition=0, first_ns=0, last_ns=0)])
    return journal, run


def fire(
    port: int, folder: Path, exchanges: int, rate: float, masked: bool, shots: int, *, same: bool
) -> dict[str, float]:
    """Plan and fire."""
    from echolane import service
    from echolane.exchange import Response
    from echolane.masks import Masker
    from replayer.fire import Replay
    from replayer.options import ReplayOptions
    from replayer.targets import Target, resolve

    journal, run = plan(folder, exchanges, rate, same=same)
    masker = Masker(b"m" * 32)

    def mask(response: Response, secrets: Sequence[bytes]) -> Response:
        return masker.response(response, secrets).response

    async def go(stop: asyncio.Event) -> dict[str, float]:
        targets = await resolve([Target(n, f"http://127.0.0.1:{port}") for n in range(shots)])
        options = ReplayOptions(concurrency=64, paced=bool(rate), mask=mask if masked else None)
        replay = Replay(journal, run, targets, options)
        begun, cpu = time.monotonic(), time.process_time()
        summary = await replay.run(stop, lambda _done, _total: None)
        seconds, cpu_s = time.monotonic() - begun, time.process_time() - cpu
        if summary.shots != exchanges * shots:
            raise RuntimeError(f"fired {summary.shots} of {exchanges * shots} shots: {summary.reason}")
        found = {"requests": summary.shots, "seconds": seconds, "cpu_s": cpu_s}
        return found | {"p50_us": summary.lateness_us_p50, "p99_us": summary.lateness_us_p99}

    try:
        return service.run(go)
    finally:
        journal.close()


if __name__ == "__main__":
    port, folder, exchanges, rate, masked, shots, same = sys.argv[1:]
    print(
        json.dumps(
            fire(int(port), Path(folder), int(exchanges), float(rate), masked == "1", int(shots), same=same == "1")
        )
    )
