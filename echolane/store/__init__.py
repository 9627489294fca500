"""The column store of results: what every room reads and writes through one small Protocol.

``open_store(home)`` gives a :class:`Store` and asks nothing else of its caller. On one machine one process owns the embedded
engine (:mod:`echolane.store.owner`, started when none listens), everybody else talks to it over ``HOME/store.sock``
(:mod:`echolane.store.client`, messages in :mod:`echolane.store.wire`); the engine is behind one door, :mod:`echolane.store.chdb`.
Past one machine ``open_store(home, "clickhouse://…")`` gives a store on ClickHouse servers (:mod:`echolane.store.server`, behind
the door :mod:`echolane.store.clickhouse`). In both the tables are numbered SQL files in ``migrations/``
(:mod:`echolane.store.migrate`) and are told to users in ``docs/reference/data.md``.

Rows may arrive any number of times: each has an identity and a version, and the views (``results_v`` …) fold them. Count
through views, never through tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

TABLES = ("runs", "results", "samples", "noise", "findings", "triage", "capacities", "capacity_steps")
"""Tables that rooms insert into; each has its folding view, ``<table>_v``."""

RUNS_OVER = "SELECT run FROM runs_v WHERE state IN ('finished', 'failed') AND run IN {runs:Array(String)} ORDER BY run"
"""Which of some runs are over."""

Row = dict[str, Any]
Tell = Callable[[str], None]
"""Takes a line for the person who waits."""


def quiet(_: str) -> None:
    """Nobody waits."""


class QueryError(ValueError):
    """The engine refused a statement or a row: a fault of the caller, not of the home."""


class Store(Protocol):
    """Columns in, rows out. Safe to share between threads."""

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Store rows given as columns of equal length; durable when it returns, sent again if the owner dies.

        Integers are expected for times (nanoseconds since the epoch). Columns that are left out take their default.

        Raises:
            QueryError: an unknown table or column, columns of unequal length, or a value its column cannot hold.
            HomeError: the store cannot be used or has no room left.
        """
        ...

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """All rows of one statement. ``{name:Type}`` in it takes a parameter. Times come as integers of nanoseconds.

        Raises:
            QueryError: the statement or a parameter is wrong, or the answer is too large (:meth:`stream` it).
            HomeError: the store cannot be used.
        """
        ...

    def stream(self, sql: str, params: Mapping[str, object] | None = None, rows: int = 10_000) -> Iterator[list[Row]]:
        """Pages of at most ``rows`` rows, in bounded memory here and in the owner.

        If the owner dies in the middle the statement is run again and the pages already given are skipped, after a check that
        they are the same; so give the statement an ORDER BY.
        """
        ...

    def __enter__(self) -> Self:
        """Itself; leaving closes it."""
        ...

    def __exit__(self, *failure: object) -> None:
        """Close it."""
        ...

    def close(self) -> None:
        """Let go of the owner, which ends itself when nobody is left."""
        ...


def open_store(home: Path, address: str = "", *, tell: Tell = quiet, patient: bool = False) -> Store:
    """The store at ``address`` (``clickhouse://…``), else the one in ``home``: its owner is found, or started.

    ``tell`` hears that a server is waited for; ``patient`` waits for one that does not answer even the first word.

    Raises:
        UsageError: the address is none.
        StoreBusy: another program holds the store's files.
        StoreDown: no server answers.
        HomeError: the path or the server cannot be used (permissions, disk, damage, version).
    """
    # Late, so that a command which never opens the store does not pay for it.
    if address:
        from echolane.store.address import address_of  # noqa: PLC0415 - see above
        from echolane.store.server import ServerStore  # noqa: PLC0415 - see above

        return ServerStore(address_of(address, os.environ), tell=tell, patient=patient)
    from echolane.store.client import StoreClient  # noqa: PLC0415 - see above

    return StoreClient(home)


__all__ = ["RUNS_OVER", "TABLES", "QueryError", "Row", "Store", "Tell", "open_store", "quiet"]
