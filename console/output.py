"""Where the console's words go: data to stdout, talk to stderr, foreign text without control characters."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def printable(text: str) -> str:
    """Foreign text for a terminal: what could move the cursor or recolour the screen is shown as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def say(text: str) -> None:
    """One line of talk."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table on stdout, aligned by its widest cells."""
    cells = [list(head), *[[printable(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201
