"""A store on ClickHouse servers: connections to a host that answers, taken up again, and asked again, when one dies.

:func:`echolane.store.open_store` makes a :class:`ServerStore` for a ``clickhouse://`` address. One connection is
:mod:`echolane.store.clickhouse`; tables and views are those of the embedded store (:mod:`echolane.store.migrate`).
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Self, TypeVar

import orjson

from echolane.errors import HomeError, StoreDown
from echolane.store import QueryError, Row, Tell, quiet
from echolane.store.address import Address
from echolane.store.clickhouse import SUPPORTED, Connection
from echolane.store.literals import bound, quoted
from echolane.store.migrate import Migration, migrate, migrations
from echolane.store.patience import Patience
from echolane.store.rows import checked, pages, rows_of

T = TypeVar("T")

SLICE_ROWS_MAX = 65_536
"""An insert is cut into statements of so many rows: above the flush of a room (10 k), so that one becomes one part on the disk."""
BLOCK_ROWS = 512
"""Rows of one block of a stream: a row may be 64 KiB wide, and a block is whole in memory, there and here."""
ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""What :meth:`ServerStore.query` collects at most; larger answers are streamed."""
IDLE_MAX = 4
"""Connections kept for the next request; more than a process has threads that ask at once."""
IDLE_S = 60.0
"""After it a kept connection is not trusted: what stands between us and the server may have forgotten it."""
MIGRATORS_MAX = 3
"""Several processes may make the tables at once; the steps may run twice, but one may find the other's half done."""
_CHANGED = "the store's server went away and the rows changed while they were read; read them again"


class ServerStore:
    """The :class:`~echolane.store.Store` on servers. Safe to share between threads; a fork gets connections of its own."""

    def __init__(
        self,
        address: Address,
        *,
        tell: Tell = quiet,
        patient: bool = False,
        oldest: tuple[int, int] = SUPPORTED,
        steps: list[Migration] | None = None,
    ) -> None:
        """Connect, and bring the tables to the shape of this version.

        A server that is not there is told at once, ``patient`` or not at all: a new name is more often wrong than early.
        ``oldest`` and ``steps`` are for the tests of the wire on a server that does not know our tables' types.

        Raises:
            StoreDown: no host answers.
            HomeError: one does, and is too old, will not have us, has no such database, or has tables of a newer version.
        """
        self.address = address
        self._tell = tell
        self._oldest = oldest
        self._hosts = list(address.hosts)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Connection]] = []
        self._process = os.getpid()
        self._types: dict[str, dict[str, str]] = {}
        self._closed = False
        self._steps = migrations() if steps is None else steps
        if patient:
            self._retrying(self._make_tables)
            return
        try:
            connection = self._connect()
            try:
                self._make_tables(connection)
            except BaseException:
                connection.close()
                raise
        except StoreDown as error:
            raise StoreDown(f"the store {address} does not answer ({error}); see that it runs") from error
        self._give_back(connection)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._idle)} connections"
        return f"<ServerStore at {self.address}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the server."""
        self._closed = True
        self._drop_idle()

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """See :meth:`echolane.store.Store.insert`."""
        types = self._columns_of(table)
        total = checked(columns, types, table)
        for start in range(0, total, SLICE_ROWS_MAX):
            whole = total <= SLICE_ROWS_MAX
            part = columns if whole else {n: v[start : start + SLICE_ROWS_MAX] for n, v in columns.items()}
            self._insert_part(table, part, types)

    def _insert_part(self, table: str, part: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> None:
        # The same token goes with every try. Replicated tables know it; any other stores the rows again, and the views fold them.
        # Drawn by the system: of a generator that a caller seeds two inserts would get one name, and the rows of the second be dropped.
        token = os.urandom(16).hex()
        try:
            self._retrying(lambda connection: connection.insert(table, part, token))
        except (UnicodeEncodeError, TypeError, AttributeError, ValueError, OverflowError) as error:
            if isinstance(error, QueryError):
                raise
            from echolane.store.columns import clean  # noqa: PLC0415 - pyarrow costs 0.2 s, and most inserts are well formed

            cleaned = clean(part, types, table)
            if not isinstance(error, UnicodeEncodeError):
                raise QueryError(f"table {table}: {error}") from error
            self._retrying(lambda connection: connection.insert(table, cleaned, token))

    def query(self, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
        """See :meth:`echolane.store.Store.query`."""
        statement = bound(sql, params or {})

        def collect(connection: Connection) -> list[Row]:
            rows: list[Row] = []
            size = 0
            for block in connection.blocks(statement):
                size += block.size
                if size > ANSWER_BYTES_MAX:
                    raise QueryError(f"the answer is larger than {ANSWER_BYTES_MAX} bytes; use stream() for it")
                rows += rows_of(block)
            return rows

        return self._retrying(collect)

    def stream(self, sql: str, params: Mapping[str, object] | None = None, rows: int = 10_000) -> Generator[list[Row]]:
        """See :meth:`echolane.store.Store.stream`."""
        statement = bound(sql, params or {})
        given, digest = 0, b""
        patience = self._patience()
        while True:
            connection = self._take(patience)
            whole, count = False, 0
            try:
                running = hashlib.blake2b(digest_size=16)
                for count, page in enumerate(pages(connection.blocks(statement, BLOCK_ROWS), rows), start=1):
                    running.update(orjson.dumps(page, default=str))
                    if count > given:
                        given, digest = count, running.digest()
                        patience = self._patience()
                        yield page
                    elif count == given and running.digest() != digest:
                        raise HomeError(_CHANGED)
                if count < given:
                    raise HomeError(_CHANGED)
                whole = True
            except StoreDown as error:
                patience.failed(error)
                self._turn()
            finally:
                # An abandoned or broken conversation is in the middle of something: it cannot be used again.
                if whole:
                    self._give_back(connection)
                else:
                    connection.close()
            if whole:
                patience.succeeded()
                return

    def _columns_of(self, table: str) -> dict[str, str]:
        known = self._types.get(table)
        if known is None:
            known = self._types[table] = self._retrying(lambda connection: connection.columns(table))
        return known

    def _make_tables(self, connection: Connection) -> None:
        """Bring the tables to the shape that this version knows; a user who may only read finds them so, or is told."""
        for attempt in range(1, MIGRATORS_MAX + 1):
            try:
                # Asked before anything is made: a newer store is refused, and one that is as it should be is not written to.
                if newest_of(connection, self.address.database) != max(
                    (step.number for step in self._steps), default=0
                ):
                    migrate(connection, self._steps)
            except QueryError as error:
                if attempt == MIGRATORS_MAX:
                    raise HomeError(f"the tables of the store {self.address} could not be made: {error}") from error
                time.sleep(attempt * random.uniform(0.2, 0.6))  # noqa: S311 - another process may be making them
            else:
                return

    def _retrying(self, talk: Callable[[Connection], T]) -> T:
        """Have one conversation, again and with another host if this one ends in the middle of it."""
        patience = self._patience()
        while True:
            connection = self._take(patience)
            try:
                result = talk(connection)
            except StoreDown as error:
                connection.close()
                self._drop_idle()
                self._turn()
                patience.failed(error)
                continue
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
            patience.succeeded()
            return result

    def _patience(self) -> Patience:
        return Patience(str(self.address), self.address.wait_s, self._tell)

    def _take(self, patience: Patience) -> Connection:
        if self._closed:
            raise HomeError(f"the store {self.address} was closed by this program")
        if self._process != os.getpid():
            # After a fork the connections belong to the parent: two processes on one would garble it. Not closed: the
            # driver would say goodbye on the parent's behalf.
            self._lock, self._idle, self._process = threading.Lock(), [], os.getpid()
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept and time.monotonic() - kept[0] < IDLE_S:
                return kept[1]
            if kept:
                kept[1].close()
                continue
            try:
                return self._connect()
            except StoreDown as error:
                patience.failed(error)

    def _connect(self) -> Connection:
        """A connection to the first host that answers, beginning with the one that did last."""
        why: list[str] = []
        for _ in range(len(self._hosts)):
            try:
                return Connection(self.address, self._hosts[0], self._oldest)
            except StoreDown as error:
                why.append(str(error))
                self._turn()
        raise StoreDown("; ".join(why))

    def _turn(self) -> None:
        """The next host first."""
        with self._lock:
            self._hosts.append(self._hosts.pop(0))

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < IDLE_MAX and not self._closed:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()


def newest_of(connection: Connection, database: str) -> int:
    """The number of the latest step that the tables have seen; 0 for a database without any."""
    named = f"database = {quoted(database)} AND name = 'migrations'"
    if not connection.run(f"SELECT name FROM system.tables WHERE {named}"):  # noqa: S608 - a quoted name
        return 0
    return int(connection.run("SELECT max(number) FROM migrations").strip() or 0)
