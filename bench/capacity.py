"""The limit that `echolane capacity` finds, against a target whose limit is known exactly: so many workers of a fixed service time.

Service time and workers are drawn at random in every run, so that the limit is aligned to no step of the search. Stays above the limit
are told by the target's own log of arrivals: the queue that each of them found follows from it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.limited import Workers, limited
from bench.parts import LOAD_CPU, Table

INTERVAL_S = 2.0
WITHIN = 0.05
WAITED_S = 0.05
"""A request that found so long a queue came to a target above its limit."""
RUNS_A_ROUND = 2
SEED = 61126
RUN_WAIT_S = 900


def table(rounds: int = 5) -> Table:
    """Two runs a round, each at a target of its own."""
    heads = [
        "run",
        "workers × service",
        "true limit /s",
        "found /s",
        "found ÷ true",
        "95 % interval /s",
        "first limit",
        "voided",
        "longest stay above, s",
        "took s",
    ]
    out = Table("8. Capacity", heads)
    draw, errors, stays, unsure = random.Random(SEED), [], [], 0
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        home = Path(name) / "home"
        recorded(home)
        for number in range(1, rounds * RUNS_A_ROUND + 1):
            service_s, workers = draw.uniform(0.02, 0.05), draw.randint(2, 4)
            begun = time.monotonic()
            with limited(service_s, workers, cpu=LOAD_CPU) as target:
                result = evaluated(home, target.url, Path(name) / "capacity.json")
            stay = longest_above(target.times_ns, Workers(workers, service_s, 0))
            stays.append(stay)
            ratio = result["safe_rate_per_s"] / target.limit
            if result["state"] == "found":
                errors.append(abs(ratio - 1))
            else:
                unsure += 1
            voided = sum(one["state"] == "void" for one in result["intervals"])
            sure = result["confidence"] or {"low_per_s": 0.0, "high_per_s": 0.0}
            out.rows.append(
                [
                    str(number),
                    f"{workers} × {service_s * 1e3:.2f} ms",
                    f"{target.limit:.2f}",
                    f"{result['safe_rate_per_s']:.2f}",
                    f"{ratio:.3f}" if result["state"] == "found" else f"{ratio:.3f} ({result['state']})",
                    f"{sure['low_per_s']:.2f} to {sure['high_per_s'] or 0:.2f}",
                    (result["limit"] or {}).get("signal", ""),
                    str(voided),
                    f"{stay:.2f}",
                    f"{time.monotonic() - begun:.0f}",
                ]
            )
    near = sum(error <= WITHIN for error in errors)
    out.notes += [
        f"within {WITHIN:.0%} of the true limit: {near} of {len(out.rows)} runs ({unsure} gave no final answer); promised: 9 of 10",
        f"longest stay above the limit in any run: {max(stays):.2f} s; promised: no longer than one interval ({INTERVAL_S:g} s)",
        f"seed {SEED}; limits drawn at random, intervals of {INTERVAL_S:g} s, precision 2.5 %, searched from 10/s on",
    ]
    return out


def recorded(home: Path) -> None:
    """Some traffic, in the home's journal."""
    from echolane import ids
    from echolane.exchange import Exchange, Request, Response
    from echolane.frame import EXCHANGES, encode_frame
    from echolane.home import open_home
    from echolane.journal import open_journal
    from echolane.recordings import topic_of

    journal = open_journal(open_home(home).path)
    try:
        journal.create(topic_of("bench"), 1)
        now = time.time_ns()
        made = [
            Exchange(
                ids.uuid7(now + n),
                "bench",
                "0badcafe",
                1,
                n,
                f"{n % 50:016x}",
                now + n * 1_000_000,
                1_000,
                Request("GET", "http", "bench", f"/items/{n}", "1.1", [(b"Host", b"bench")]),
                Response(200, "1.1", []),
            )
            for n in range(200)
        ]
        journal.append(
            topic_of("bench"), 0, [encode_frame(made, kind=EXCHANGES, partition=0, first_ns=now, last_ns=now)]
        )
    finally:
        journal.close()


def evaluated(home: Path, url: str, path: Path) -> dict[str, Any]:
    """`echolane capacity` as a user calls it; its result."""
    words = ["capacity", "--service", "bench", "--home", str(home), "--target", url, "--json", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "console.main", *words, "--interval", f"{INTERVAL_S:g}s"],
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_WAIT_S,
    )
    if done.returncode not in {0, 3}:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])
    result: dict[str, Any] = json.loads(path.read_bytes())
    if result["ledger"]["unaccounted"]:
        raise RuntimeError(f"the ledger does not balance: {result['ledger']}")
    return result


def longest_above(times_ns: Sequence[int], target: Workers) -> float:
    """How long the longest stretch of arrivals lasted that found a queue, in seconds."""
    longest, begun = 0.0, None
    for time_ns in times_ns:
        now_s = time_ns / 1e9
        answered_s = target.take(now_s) or now_s
        if answered_s - now_s - target.service_s <= WAITED_S:
            begun = None
        else:
            begun = now_s if begun is None else begun
            longest = max(longest, now_s - begun)
    return longest
