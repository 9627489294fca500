"""Run the benchmarks and write ``bench/RESULTS.md``."""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    brokers,
    capacity,
    capture,
    catchup,
    chain,
    comparing,
    faithful,
    firing,
    hooks,
    peers,
    punctual,
    serving,
    spooling,
    storing,
    watching,
    workers,
)
from bench.parts import Table, machine

TABLES: dict[str, Callable[[int], Table]] = {
    "capture": capture.table,
    "firing": firing.table,
    "comparing": comparing.table,
    "storing": storing.table,
    "chain": chain.table,
    "brokers": brokers.table,
    "spooling": spooling.table,
    "capacity": capacity.table,
    "hooks": hooks.table,
    "workers": workers.table,
    "serving": serving.table,
    "watching": watching.table,
    "punctual": punctual.table,
    "faithful": faithful.table,
    "catchup": catchup.table,
}
HEAD = """# Measured results

Written by `make bench`. Within one table everybody is measured in one invocation, interleaved; figures are medians over the rounds.
Machines like this one are shared, so ratios within a table count and absolute numbers do not.
"""


def main() -> int:
    """Measure what was asked for; tables that are not measured now stay as they were."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("tables", nargs="*", default=[], help=f"which of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds; the figures are their medians")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(TABLES)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    kept = sections(options.out)
    failed = 0
    for name in options.tables or TABLES:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            made = TABLES[name](options.rounds)
        except (RuntimeError, OSError) as error:
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
            failed += 1
            continue
        made.notes.append(
            f"measured {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC in {time.monotonic() - begun:.0f} s "
            f"on {machine()}: `python -m bench {name} --rounds {options.rounds}`"
        )
        text = made.markdown()
        print(text, flush=True)
        kept[number_of(text)] = text
        options.out.write_text(
            "\n".join([HEAD, f"Peers: {peers.versions()}.\n", *[kept[number] for number in sorted(kept)]]), "utf-8"
        )
    return 1 if failed else 0


def number_of(section: str) -> int:
    """The number in a table's title."""
    found = re.match(r"## (\d+)\. ", section)
    return int(found[1]) if found else 0


def sections(path: Path) -> dict[int, str]:
    """The tables of an earlier run, by number; a later one of the same number wins."""
    if not path.exists():
        return {}
    parts = re.split(r"^(?=## )", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {number_of(part): part.rstrip() + "\n" for part in parts if number_of(part)}


if __name__ == "__main__":
    sys.exit(main())
