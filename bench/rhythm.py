"""Whether a recorded rhythm is kept to its end: ``python -m bench.rhythm --minutes 10``.

A recording of so many minutes with gaps as of independent users is imported and replayed by ``echolane run --pace recorded`` at four
sinks, each of which notes when a request arrived. Said is how far the span of the arrivals is from that of the recording, at its end
and at the worst of its tenths. Exit 1 where it is further than what is promised.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.clients import START_NS
from bench.sink import sink

DRIFT_MAX = 0.001
"""Of the time since the beginning: what is promised."""
ROLES = ("base", "control", "branch", "branch-control")
ECHOLANE = (sys.executable, "-m", "console.main")


class Kept(NamedTuple):
    """How a rhythm was kept."""

    planned_s: float
    took_s: float
    worst: float
    """The furthest from the recording at the end of any tenth, as a part of the time since the beginning."""
    p99_ms: float
    """Lateness of single requests, against the first."""

    @property
    def drift(self) -> float:
        """At the end."""
        return abs(self.took_s - self.planned_s) / self.planned_s


def kept(planned_ns: Sequence[int], arrived_ns: Sequence[int]) -> Kept:
    """How arrivals keep the instants of a recording; both in order, and as many. Pure."""
    if len(planned_ns) != len(arrived_ns) or len(planned_ns) < 2:
        raise RuntimeError(f"{len(arrived_ns):,} of {len(planned_ns):,} requests arrived")
    late = [
        (there - arrived_ns[0]) - (here - planned_ns[0]) for here, there in zip(planned_ns, arrived_ns, strict=True)
    ]
    size = len(late)
    tenths = [max(1, size * n // 10) - 1 or 1 for n in range(1, 11)]
    worst = max(abs(late[at]) / max(1, planned_ns[at] - planned_ns[0]) for at in tenths)
    span = (planned_ns[-1] - planned_ns[0]) / 1e9
    return Kept(span, span + late[-1] / 1e9, worst, sorted(map(abs, late))[size * 99 // 100] / 1e6)


def recording(path: Path, minutes: float, per_s: float, seed: int) -> list[int]:
    """A GoReplay file of requests with gaps as of independent users; the instants."""
    chance, at, instants = random.Random(seed), 0.0, list[int]()
    with path.open("wb") as out:
        while at <= minutes * 60:
            instants.append(START_NS + int(at * 1e9))
            head = f"GET /1024.json?n={len(instants)} HTTP/1.1\r\nHost: shop\r\n\r\n"
            out.write(f"1 {len(instants):024x} {instants[-1]} 0\n{head}\n🐵🙈🙉\n".encode())
            at += chance.expovariate(per_s)
    return instants


def measure(minutes: float, per_s: float, seed: int) -> Kept:
    """Record, replay, and look at when base's sink was asked."""
    with tempfile.TemporaryDirectory(prefix="echolane-bench-") as name:
        folder = Path(name)
        instants = recording(folder / "rhythm.gor", minutes, per_s, seed)
        _call("import", folder / "rhythm.gor", "--service", "shop", "--home", folder / "home")
        with ExitStack() as sinks:
            arrivals = [sinks.enter_context(sink()) for _ in ROLES]
            flags = [
                word
                for role, one in zip(ROLES, arrivals, strict=True)
                for word in (f"--{role}", f"http://127.0.0.1:{one.port}")
            ]
            words = ["--service", "shop", "--home", folder / "home", "--pace", "recorded", *flags]
            _call("run", *words, "--json", folder / "result.json", seconds=minutes * 60 + 300)
        fired = json.loads((folder / "result.json").read_bytes())["ledger"]["fired"]
        if fired != len(instants):
            raise RuntimeError(f"{fired:,} of {len(instants):,} exchanges were fired")
        # A probe of whether somebody is there is no request, so what arrived is what was fired.
        return kept(instants, sorted(arrivals[0].times_ns))


def _call(*words: object, seconds: float = 300.0) -> None:
    done = subprocess.run([*ECHOLANE, *map(str, words)], capture_output=True, text=True, check=False, timeout=seconds)
    if done.returncode not in {0, 1, 3}:  # a verdict of whatever kind
        raise RuntimeError((done.stderr.strip().splitlines() or ["no output"])[-1])


def main() -> int:
    """Measure, print, and say whether the promise is kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.rhythm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the recording is (default: 10)")
    parser.add_argument("--per-s", type=float, default=50.0, help="requests a second on average (default: 50)")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    if options.minutes <= 0 or options.per_s <= 0:
        parser.error("--minutes and --per-s must be above 0")
    try:
        found = measure(options.minutes, options.per_s, options.seed)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"rhythm failed: {error}", file=sys.stderr)
        return 2
    print(f"recorded {found.planned_s:.3f} s, replayed {found.took_s:.3f} s: {found.drift:.4%} off at its end")
    print(f"worst of its tenths {found.worst:.4%}, single requests p99 {found.p99_ms:.2f} ms off")
    held = found.drift <= DRIFT_MAX
    print(f"promised: within {DRIFT_MAX:.1%} to its end: {'kept' if held else 'not kept'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
