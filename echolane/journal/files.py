"""SQLite files of the journal: opening and pooling connections, and telling damage from a full disk from a holder that hangs.

Used by :mod:`echolane.journal.index`, :mod:`echolane.journal.segments` and :mod:`echolane.journal.writing`.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from echolane.errors import EcholaneError, HomeError, JournalFull

BUSY_WAIT_S = 10.0
"""How long a writer waits for another one: a commit takes milliseconds, so ten seconds mean that the holder hangs."""
IDLE_MAX = 16
"""Idle connections kept by one process: a handful of topics are in use at a time, and each costs 3 descriptors and ≤ 1 MiB."""
WAL_BYTES_KEPT = 64 * 1024 * 1024
"""A WAL that a stopped reader let grow is cut back to this at the next checkpoint."""

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_READ_DAMAGE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}
_CANNOT_WRITE = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMMAP,
}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def code_of(error: sqlite3.Error) -> int:
    """SQLite's extended error code; 0 for what the Python module raises by itself."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file's content is at fault, not the disk's room or another process."""
    code = code_of(error)
    return code & 0xFF in _DAMAGE or code in _READ_DAMAGE or is_wholly_damaged(error)


def is_wholly_damaged(error: sqlite3.Error) -> bool:
    """Whether nothing of the file can be read: its header or its schema is gone."""
    return code_of(error) & 0xFF == sqlite3.SQLITE_NOTADB or "no such table" in str(error)


def create(path: Path, schema: str, page_bytes: int = 4096) -> None:
    """A new database file in WAL mode with a schema."""
    connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(f"BEGIN;{schema};COMMIT")
    finally:
        connection.close()


def remove(path: Path) -> None:
    """Unlink a database file with its WAL and shared memory."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Connections:
    """The open files of one process: taken for one transaction, given back, closed when idle for too long.

    Kept by inode, so a file that was replaced or removed is never read or written through an old connection.
    """

    def __init__(self) -> None:
        self._idle: OrderedDict[tuple[str, int], list[sqlite3.Connection]] = OrderedDict()
        self._count = 0
        self._guard = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Connections {self._count}/{IDLE_MAX} idle, {'closed' if self._closed else 'open'}>"

    @contextmanager
    def using(self, path: str) -> Generator[sqlite3.Connection]:
        """A connection of one's own while the block lasts. FileNotFoundError when there is no such file."""
        key = (path, os.stat(path).st_ino)  # noqa: PTH116 - on the way of every commit; a Path costs ten times as much
        connection = self._taken(key) or _opened(Path(path))
        try:
            yield connection
        except BaseException:
            connection.close()  # rolls back what was not committed
            raise
        self._given_back(key, connection)

    def _taken(self, key: tuple[str, int]) -> sqlite3.Connection | None:
        with self._guard:
            if self._closed:
                raise HomeError("the journal is closed")
            held = self._idle.get(key)
            if not held:
                return None
            self._count -= 1
            connection = held.pop()
            if not held:
                del self._idle[key]
            return connection

    def _given_back(self, key: tuple[str, int], connection: sqlite3.Connection) -> None:
        surplus: list[sqlite3.Connection] = []
        with self._guard:
            if self._closed:
                surplus.append(connection)
            else:
                self._idle.setdefault(key, []).append(connection)
                self._idle.move_to_end(key)
                self._count += 1
                while self._count > IDLE_MAX:
                    oldest = next(iter(self._idle))
                    surplus.append(self._idle[oldest].pop(0))
                    self._count -= 1
                    if not self._idle[oldest]:
                        del self._idle[oldest]
        for each in surplus:
            each.close()

    def close_below(self, folder: Path | None = None) -> None:
        """Close the idle connections to files of a folder, or all of them for good."""
        with self._guard:
            self._closed = self._closed or folder is None
            keys = [key for key in self._idle if folder is None or Path(key[0]).is_relative_to(folder)]
            surplus = [connection for key in keys for connection in self._idle.pop(key)]
            self._count -= len(surplus)
        for each in surplus:
            each.close()


def _opened(path: Path) -> sqlite3.Connection:
    """A connection to a file that is there; read-only when the disk has no room for its shared memory."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        primary = code_of(error) & 0xFF
        if is_damage(error) or primary not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}:
            raise
        if wal.exists() and wal.stat().st_size:
            raise
        # Nothing waits in a WAL, so the file alone is the whole truth and can be read without shared memory.
        connection = sqlite3.connect(
            uri.replace("mode=rw", "immutable=1"), uri=True, isolation_level=None, check_same_thread=False
        )
        _prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.text_factory = bytes  # a damaged record may claim to be text that is none
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-1024")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")


@contextmanager
def translated(place: Path) -> Generator[None]:
    """SQLite's and the system's errors as ours: full disk, a path that cannot be used, a holder that hangs, damage."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_our_words(place, error) from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise JournalFull(f"no room left for the journal at {place}; free some space") from error
        if isinstance(error, FileNotFoundError):
            raise HomeError(f"{error.filename or place} of the journal is gone; was its topic removed?") from error
        raise HomeError(f"journal at {place} cannot be used: {error.strerror}") from error


def _in_our_words(place: Path, error: sqlite3.Error) -> EcholaneError:
    code = code_of(error)
    primary = code & 0xFF
    if is_damage(error):
        return HomeError(f"journal at {place} is damaged ({error}); `echolane doctor` says more")
    if primary == sqlite3.SQLITE_FULL or code in _CANNOT_WRITE:
        return JournalFull(f"no room left for the journal at {place} ({error}); free some space")
    if primary in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return HomeError(f"another process has held {place} for {BUSY_WAIT_S:.0f} s; find and end it")
    return HomeError(f"journal at {place} cannot be used: {error}")
