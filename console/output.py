"""Where the console's words go: data to stdout, talk to stderr, foreign text without control characters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import orjson

from console.escapes import json_text, terminal


def say(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def put(value: object) -> None:
    """A value on stdout, as a line of JSON."""
    sys.stdout.buffer.write(json_text(orjson.dumps(value, default=str).decode()).encode() + b"\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table on stdout, aligned by its widest cells."""
    cells = [list(head), *[[terminal(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
