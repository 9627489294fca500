"""Run the benchmarks and write ``bench/RESULTS.md``."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path

from bench import capture, chain, comparing, firing, storing
from bench.parts import Table, machine

TABLES: dict[str, Callable[[int], Table]] = {
    "capture": capture.table,
    "firing": firing.table,
    "comparing": comparing.table,
    "storing": storing.table,
    "chain": chain.table,
}


def main() -> int:
    """Measure what was asked for; all tables are written, those not measured now are left out."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("tables", nargs="*", default=[], help=f"which of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the figures are their medians")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(TABLES)}")
    wanted = options.tables or list(TABLES)
    head = [
        "# Measured results",
        "",
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC · {machine()}",
        "",
        f"Command: `python -m bench {' '.join(wanted)} --rounds {options.rounds}`. Medians of interleaved rounds on a machine that others share: "
        "ratios within one table count, absolute numbers do not.",
        "",
    ]
    parts: list[str] = []
    for name in wanted:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        text = TABLES[name](options.rounds).markdown()
        print(text, flush=True)
        parts.append(text)
        options.out.write_text("\n".join([*head, *parts]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
