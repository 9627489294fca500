"""CSV and its kin as rows: what quoting, line ends and delimiters say in different words is the same. Pure, bounded."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import Any

import msgspec

from differ.difference import FORMAT
from differ.sink import Change, Sink
from differ.walk import Walk

CELLS_MAX = 100_000
"""Cells of a table that is compared by rows; a larger one is compared by lines, a third of a second at most being spent on reading."""
DELIMITERS = ",;\t|"
"""Tried in this order: the first that is most frequent in the first line outside of quotes."""
LINE_MAX = 4096
"""Characters of the first line that are looked at to know the delimiter; a header is shorter."""
_QUOTED = re.compile(r'"[^"]*"')
_NUMBERLIKE = re.compile(r"[-+.]?\d")


class Table(msgspec.Struct, gc=False):
    """The cells of a CSV text, row by row, and what stood between them."""

    text: str
    rows: list[list[str]]
    delimiter: str


def table_of(text: str, media: str) -> Table | None:
    """The rows of a text; None where it has too many cells or cannot be read as one table."""
    delimiter = "\t" if media == "text/tab-separated-values" else _delimiter(text)
    rows: list[list[str]] = []
    cells = 0
    try:
        for row in csv.reader(StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter):
            cells += len(row) or 1
            if cells > CELLS_MAX:
                return None
            if row:
                rows.append(row)
    except csv.Error:  # a field of more than 128 KiB
        return None
    return Table(text, rows, delimiter)


def _delimiter(text: str) -> str:
    line = _QUOTED.sub("", text[:LINE_MAX].lstrip().split("\n", 1)[0])
    return max(DELIMITERS, key=line.count)


def tables(sink: Sink, old: Table, new: Table, walk: Walk) -> None:
    """Emit what differs between two tables: rows as objects by the names of their columns, where both have names."""
    if old.delimiter != new.delimiter and max(len(table.rows[0]) for table in (old, new) if table.rows) > 1:
        sink.add("body", Change("format", FORMAT, old.delimiter, new.delimiter, "delimiter"))
    if not (has_header(old) and has_header(new)):
        walk.trees(old.rows, new.rows, "body:$")
        return
    heads = old.rows[0], new.rows[0]
    if heads[0] != heads[1] and sorted(heads[0]) == sorted(heads[1]):
        # Who reads by position reads another column now.
        sink.add("body:$", Change("order", FORMAT, *heads, "columns"))
    elif heads[0] != heads[1] and (not old.rows[1:] or not new.rows[1:]):
        sink.add("body:$", Change("value", FORMAT, *heads, "columns"))
    walk.trees(_objects(old), _objects(new), "body:$")


def has_header(table: Table) -> bool:
    """Whether the first row names the columns: texts, none like another, none empty, none a number."""
    if not table.rows:
        return False
    first = table.rows[0]
    return len(set(first)) == len(first) and not any(not cell or _NUMBERLIKE.match(cell) for cell in first)


def _objects(table: Table) -> list[dict[str, Any]]:
    """Rows by the names of their columns; cells beyond them by their number."""
    names = table.rows[0]
    longest = max(map(len, table.rows))
    names = [*names, *(f"column {number}" for number in range(len(names) + 1, longest + 1))]
    return [dict(zip(names, row, strict=False)) for row in table.rows[1:]]
