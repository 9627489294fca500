"""Opening SQLite files of the journal, and their errors in our words."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from echolane.errors import HomeError, JournalFull

BUSY_WAIT_S = 10.0
"""How long a writer waits for another one: a commit takes milliseconds, so ten seconds mean that the holder hangs."""


def connect(path: Path, schema: str | None) -> sqlite3.Connection:
    """A connection in WAL mode with full durability; ``schema`` is executed when given (idempotent statements)."""
    connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if schema:
            connection.executescript(schema)
            connection.commit()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def translated(place: Path) -> Generator[None]:
    """SQLite's and the system's errors as ours: full disk, a path that cannot be used, a holder that hangs, damage."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "full" in text or "disk I/O" in text:
            raise JournalFull(f"no room left for the journal at {place} ({text}); free some space") from error
        if "locked" in text or "busy" in text:
            raise HomeError(f"another process has held {place} for {BUSY_WAIT_S:.0f} s; find and end it") from error
        raise HomeError(f"journal at {place} cannot be used: {text}") from error
    except sqlite3.DatabaseError as error:
        raise HomeError(f"journal at {place} is damaged ({error}); `echolane doctor` says more") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise JournalFull(f"no room left for the journal at {place}; free some space") from error
        raise HomeError(f"journal at {place} cannot be used: {error.strerror}") from error
