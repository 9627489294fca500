"""Columns as callers give them and rows as they get them: pure, the same for the embedded store and for servers."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from echolane.store import QueryError, Row

PAGE_BYTES_MAX = 8 * 1024 * 1024
"""A page is given when it is this large, however few its rows: two of them are in memory at a time."""


class Block(NamedTuple):
    """Some rows as columns. Times are nanoseconds, texts are texts, tuples are lists."""

    names: list[str]
    columns: list[Sequence[Any]]
    rows: int
    size: int
    """Bytes of the texts in it, nearly."""


def checked(columns: Mapping[str, Sequence[Any]], types: Mapping[str, str], table: str) -> int:
    """How many rows there are.

    Raises:
        QueryError: a column that the table has not, or unequal lengths.
    """
    unknown = sorted(columns.keys() - types.keys())
    if unknown:
        raise QueryError(f"table {table} has no column {unknown[0]!r}; its columns are {', '.join(types)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise QueryError(f"columns for table {table} differ in length: {lengths}")
    return next(iter(lengths.values()), 0)


def rows_of(block: Block) -> list[Row]:
    """A block's rows."""
    names = block.names
    with uncollected():
        return [dict(zip(names, row, strict=True)) for row in zip(*block.columns, strict=True)]


def pages(blocks: Iterable[Block], rows: int) -> Generator[list[Row]]:
    """Pages of ``rows`` rows, fewer where PAGE_BYTES_MAX or the end comes first."""
    waiting: list[Row] = []
    size = 0
    for block in blocks:
        each = block.size // max(1, block.rows)
        for row in rows_of(block):
            waiting.append(row)
            size += each
            if len(waiting) >= rows or size >= PAGE_BYTES_MAX:
                yield waiting
                waiting, size = [], 0
    if waiting:
        yield waiting


@contextmanager
def uncollected() -> Generator[None]:
    """Without the cycle collector: a page is some 100,000 new lists, none of them in a cycle, and looking costs half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
