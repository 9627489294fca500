"""How often a run of base against itself fails: the level of a verdict. ``python -m bench.accuracy_level`` writes bench/LEVEL.md.

Two parts: what four instances of each pair's base really answered, under random labels (:mod:`bench.accuracy_permutations`), and services
that keep their values (:mod:`bench.accuracy_kept`).
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path

from bench.accuracy_kept import kept
from bench.accuracy_permutations import permuted
from bench.accuracy_report import Permuted
from bench.parts import machine

PERMUTATIONS, RUNS = 1000, 100


def table(found: Permuted, what: str) -> str:
    """One line for each way, and every run that failed."""
    lines = [f"| {what} | runs | fail | inconclusive |", "|---|---|---|---|"]
    lines += [
        f"| {way} | {runs:,} | {found.fails[way]} | {found.inconclusive[way]} |" for way, runs in found.runs.items()
    ]
    lines.append(
        f"| all | {sum(found.runs.values()):,} | {sum(found.fails.values())} | {sum(found.inconclusive.values())} |"
    )
    return "\n".join([*lines, "", *[f"- {one}" for one in found.shown or ["none failed"]]])


def main() -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy_level", description="how often base against itself fails"
    )
    parser.add_argument("--seed", default="echolane")
    parser.add_argument("--permutations", type=int, default=PERMUTATIONS, help="of what was captured, over all pairs")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each service that keeps its values")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("LEVEL.md"))
    options = parser.parse_args()
    begun = time.monotonic()
    labels, simulated = permuted(options.permutations, options.seed), kept(options.runs, options.seed)
    now = datetime.datetime.now(datetime.UTC)
    text = f"""# The level of a verdict

Written by `python -m bench.accuracy_level` (after `python -m bench.accuracy_answers`). Every run here is base against itself, so every
`fail` is false; wanted: at most 1 in 500.

## 1. What four instances of each pair's base answered, under random labels

*instances*: whole instances change their names, so that what is constant in one stays with it; *answers*: the four answers to each
request are shuffled by themselves. Each run takes another four fifths of a workload.

{table(labels, "labels of")}

## 2. Services that draw a value and keep it

{table(simulated, "kept")}

Measured {now:%Y-%m-%d %H:%M} UTC in {time.monotonic() - begun:.0f} s on {machine()}, seed `{options.seed}`.
"""
    print(text)
    options.out.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
