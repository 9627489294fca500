"""The one door to chdb, the column engine that lives inside a process.

Only :mod:`echolane.store.owner` comes through here: chdb allows one process for a path. Foreign errors end at this door: what
comes out is :class:`~echolane.store.QueryError`, :class:`~echolane.errors.HomeError` or its children.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from echolane.errors import HomeError, StoreBusy
from echolane.store import QueryError
from echolane.store.literals import literal

DATABASE = "echolane"
"""The database that holds Echolane's tables; statements need not name it."""

SERVER_MEMORY_MAX = 1024 * 1024 * 1024
"""All statements together; beyond it the engine refuses rather than grows. At rest the owner holds 160-200 MiB, at work 200-300."""
QUERY_MEMORY_MAX, QUERY_MEMORY_FIRST = 512 * 1024 * 1024, 128 * 1024 * 1024
"""One statement, and what it may have at first: one that wants more is run again with short blocks. Sorting and grouping go to
the disk at 32 MiB, so a large answer is slow, not fatal."""
MARK_CACHE_BYTES = 16 * 1024 * 1024
"""Indexes of parts kept in memory. The default of 5 GiB is made for servers."""
ROOM_MIN = 8 * 1024 * 1024
"""A new store takes 1 MiB before its first row; the rest is room for others who write to the disk meanwhile."""

_BLOCK_ROWS, _BLOCK_ROWS_WIDE = 512, 32
"""Rows the engine handles at once. Folding holds a block of every part, so rows of 64 KiB need short ones; narrow rows read
fastest, and in less memory, with 512."""
PAGE_BYTES_MAX = 8 * 1024 * 1024
"""A page is sent when it is this large, however few its rows: two of them are in memory at a time."""

_SERVER = f"""<clickhouse>
    <max_server_memory_usage>{SERVER_MEMORY_MAX}</max_server_memory_usage>
    <mark_cache_size>{MARK_CACHE_BYTES}</mark_cache_size>
    <primary_index_cache_size>{MARK_CACHE_BYTES}</primary_index_cache_size>
    <background_pool_size>1</background_pool_size>
    <max_thread_pool_size>128</max_thread_pool_size>
    <max_thread_pool_free_size>4</max_thread_pool_free_size>
</clickhouse>
"""
_SESSION = {
    "max_memory_usage": QUERY_MEMORY_FIRST,
    "max_bytes_before_external_sort": QUERY_MEMORY_FIRST // 4,
    "max_bytes_before_external_group_by": QUERY_MEMORY_FIRST // 4,
    "max_threads": 2,
    "max_insert_threads": 1,
    # Rows that came twice are folded by the views and by merges; folding each insert by itself costs a third of it.
    "optimize_on_insert": 0,
    "max_bytes_ratio_before_external_sort": 0,
    "max_bytes_ratio_before_external_group_by": 0,
    "max_block_size": _BLOCK_ROWS,
    "date_time_output_format": "'unix_timestamp'",
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 0,
    "output_format_json_escape_forward_slashes": 0,
    "input_format_arrow_case_insensitive_column_matching": 0,
}
_PURGE = "SYSTEM JEMALLOC PURGE"
_FORMAT = "JSONCompactEachRowWithNamesAndTypes"
_NOT_STREAMED, _STREAM_ENDED = "Streaming query is not supported", "No active streaming query"
_CODE = re.compile(r"Code: (\d+)\. DB::\w+: (.*?)\s*$", re.DOTALL)
_FULL = {243}  # NOT_ENOUGH_SPACE
_OUT_OF_MEMORY = 241  # MEMORY_LIMIT_EXCEEDED
_HOME = {
    74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
    75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
    76,  # CANNOT_OPEN_FILE
    107,  # FILE_DOESNT_EXIST
    228,  # CANNOT_FSYNC
    40,  # CHECKSUM_DOESNT_MATCH
    252,  # TOO_MANY_PARTS
    1001,  # STD_EXCEPTION (std::filesystem and friends)
}


class _MemoryExceeded(HomeError):  # noqa: N818 - as the errors of the floor
    """A statement wanted more memory than it may have."""


class Page(NamedTuple):
    """Some rows of an answer: one JSON array per line."""

    names: list[str]
    types: list[str]
    rows: int
    lines: bytes


class Session:
    """One conversation with the engine. Not shared between threads; different sessions run side by side."""

    def __init__(self, native: Any, path: Path) -> None:
        self._native = native
        self._path = path
        self._types: dict[str, dict[str, str]] = {}
        for name, value in _SESSION.items():
            self.run(f"SET {name} = {value}")

    def run(self, sql: str) -> bytes:
        """One statement without parameters; its answer as tab separated text."""
        with _translated(self._path):
            return bytes(self._native.query(sql, "TabSeparated").bytes())

    def use(self) -> None:
        """From here on statements mean the tables of Echolane's database."""
        self.run(f"USE {DATABASE}")

    def columns(self, table: str) -> dict[str, str]:
        """A table's columns and their types, in order."""
        known = self._types.get(table)
        if known is None:
            sql = "SELECT name, type FROM system.columns WHERE database = {d:String} AND table = {t:String} ORDER BY position"
            pages = self.pages(sql, {"d": DATABASE, "t": table}, rows=10_000)
            known = {name: kind for page in pages for name, kind in map(orjson.loads, page.lines.splitlines())}
            if not known:
                raise QueryError(f"there is no table {table!r} in the store")
            self._types[table] = known
        return known

    def insert(self, table: str, names: Sequence[str], file: int) -> None:
        """Rows as an Arrow IPC stream in ``file``, on the disk when this returns. What came twice is there twice."""
        known = self.columns(table)
        if unknown := [name for name in names if name not in known]:
            raise QueryError(f"table {table} has no column {unknown[0]!r}; its columns are {', '.join(known)}")
        listed = ", ".join(f"`{name}`" for name in names)
        # The engine reads the file by itself, without the interpreter's lock.
        with _translated(self._path):
            self._native.query(
                f"INSERT INTO `{table}` ({listed}) FROM INFILE '/proc/self/fd/{file}' FORMAT ArrowStream",
                "TabSeparated",
            )

    def pages(self, sql: str, params: Mapping[str, Any], rows: int) -> Generator[Page]:
        """The answer in pages of ``rows`` rows, fewer where PAGE_BYTES_MAX or the end comes first.

        Where a page ends depends on the rows alone, so the same answer always has the same pages.
        """
        given = False
        try:
            for page in self._pages(sql, params, rows):
                given = True
                yield page
        except _MemoryExceeded:
            if given:
                raise
        else:
            return
        self.run(_PURGE)
        self.run(f"SET max_block_size = {_BLOCK_ROWS_WIDE}, max_memory_usage = {QUERY_MEMORY_MAX}")
        try:
            yield from self._pages(sql, params, rows)
        finally:
            self.run(f"SET max_block_size = {_BLOCK_ROWS}, max_memory_usage = {QUERY_MEMORY_FIRST}")

    def _pages(self, sql: str, params: Mapping[str, Any], rows: int) -> Generator[Page]:
        waiting: list[bytes] = []
        size = 0
        names: list[str] = []
        types: list[str] = []
        for chunk in self._chunks(sql, {name: literal(value) for name, value in params.items()}):
            first, second, *lines = chunk.splitlines(keepends=True)
            names, types = orjson.loads(first), orjson.loads(second)
            for line in lines:
                waiting.append(line)
                size += len(line)
                if len(waiting) >= rows or size >= PAGE_BYTES_MAX:
                    yield Page(names, types, len(waiting), b"".join(waiting))
                    waiting, size = [], 0
        if waiting:
            yield Page(names, types, len(waiting), b"".join(waiting))

    def _chunks(self, sql: str, params: dict[str, str]) -> Generator[bytes]:
        """The engine's own pieces of an answer, each with a line of names and one of types before its rows."""
        try:
            answer = self._native.send_query(sql, _FORMAT, params=params)
        except RuntimeError as error:
            if _NOT_STREAMED not in str(error):
                raise translate(error, self._path) from error
            # Statements that change or describe something are refused as streams before they are run.
            with _translated(self._path):
                data = bytes(self._native.query(sql, _FORMAT, params=params).bytes())
            if data:
                yield data
            return
        under_way = True
        try:
            while under_way:
                data = self._fetch(answer)
                under_way = bool(data)
                if data:
                    yield data
        except (QueryError, HomeError):
            under_way = False
            raise
        finally:
            if under_way:  # the reader has had enough
                self._native.streaming_cancel_query(answer)

    def _fetch(self, answer: Any) -> bytes:
        with _translated(self._path):
            try:
                chunk = self._native.streaming_fetch_result(answer)
            except RuntimeError as error:
                if _STREAM_ENDED in str(error):  # an answer without rows ends so
                    return b""
                raise
            return bytes(chunk.bytes()) if chunk is not None and chunk.size() else b""

    def close(self) -> None:
        """End the conversation."""
        self._native.close()


class Engine:
    """The engine of one folder. It is opened once in a process and gives sessions."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, relative to the working folder: its name then needs no quoting in chdb's connection string.

        Raises:
            StoreBusy: another process has it open.
            HomeError: it cannot be read or written.
        """
        self._path = path
        config = path.with_suffix(".xml")
        with _translated(path):
            if not path.exists():
                _require_room(path.parent)
            config.write_text(_SERVER)
            here = Path.cwd()
            # chdb changes the working folder while it is imported, so it is imported before threads start.
            import chdb  # noqa: PLC0415 - a third of a second that only the owner pays

            os.chdir(here)
            native: Any = chdb._chdb  # noqa: SLF001 - the layer above adds notebook progress, nothing we use
            self._connect = native.connect
            self._address = f"{path}?config-file={config}"
            self._first = Session(self._connect(self._address), path)
        self._first.run(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
        self._first.use()

    @property
    def first(self) -> Session:
        """The session that keeps the engine open; for migrations, before others are served."""
        return self._first

    def session(self) -> Session:
        """A new conversation."""
        with _translated(self._path):
            session = Session(self._connect(self._address), self._path)
        session.use()
        return session

    def connection(self) -> Any:
        """A bare connection, for readers whose sessions have other limits (:mod:`echolane.store.guarded`)."""
        with _translated(self._path):
            return self._connect(self._address)

    def give_back_memory(self) -> None:
        """Return to the system what statements have used; the allocator would keep most of it, up to some hundred MiB."""
        self._first.run(_PURGE)
        ctypes.CDLL(None).malloc_trim(0)

    def close(self) -> None:
        """Let go of the folder."""
        self._first.close()


@contextlib.contextmanager
def _translated(path: Path) -> Generator[None]:
    """Foreign errors end here."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise translate(error, path) from error


def _require_room(folder: Path) -> None:
    """Refuse to make a store where there is little room: the engine leaves definitions cut short, and never opens them again."""
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < ROOM_MIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_locked(path: Path) -> bool:
    """Whether an engine holds the lock it keeps on its ``status`` file."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def translate(error: Exception, path: Path) -> Exception:
    """What an error of the engine means for a user: one line, with the value and what to do."""
    text = " ".join(str(error).split())
    found = _CODE.search(text)
    code = int(found[1]) if found else 0
    said = found[2] if found else text
    if "EmbeddedServer" in text:
        if _is_locked(path / "status"):
            return StoreBusy(f"the store {path.absolute()} is open in another program; end that one and run this again")
        return HomeError(
            f"the store {path.absolute()} is damaged; log/store.log of its home says more; move it away to begin anew"
        )
    if code in _FULL or "No space left on device" in text or getattr(error, "errno", 0) == errno.ENOSPC:
        return HomeError(f"there is no room left for the store {path.absolute()}; free some space and run it again")
    if isinstance(error, OSError):
        return HomeError(f"the store {path.absolute()} cannot be used: {error.strerror or error}")
    if code == _OUT_OF_MEMORY:
        return _MemoryExceeded(
            f"a statement wanted more than {QUERY_MEMORY_MAX >> 20} MiB of the store's memory: {said}"
        )
    if code in _HOME or not found:
        return HomeError(f"the store {path.absolute()} cannot be used: {said}")
    return QueryError(said)
