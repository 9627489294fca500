"""Other frames in the place of some, at the same positions: the one thing that changes what was appended.

Only erasing does that (:mod:`echolane.erasing`). SQLite overwrites what an update frees (``secure_delete``), the file is written anew
(``VACUUM``), since pages that were split before may hold copies, and its WAL is cut to nothing. That this is still to be done stands
in the file itself (``user_version``), in the transaction that changes it, so whoever comes after a kill finishes it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from echolane.errors import HomeError
from echolane.frame import FrameDamaged, check_frame
from echolane.journal import files

Change = Callable[[bytes], bytes | None]
"""Takes a frame; what is to stand in its place, or None to leave it."""
PAGE_KEYS = 64
"""Frames looked at between two looks at the disk: at most 64 MiB of usual ones are in memory."""
FOLD_WAIT_S = 30.0
"""How long readers may keep the WAL: they hold it for one page of entries, some milliseconds."""
_UNFINISHED = 1


def rewrite(connections: files.Connections, path: Path, change: Change) -> int:
    """Rewrite one segment; the caller has the turn to write its topic. How many frames were replaced."""
    try:
        with connections.using(str(path)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            count = _replaced(connection, change)
            if connection.execute("PRAGMA user_version").fetchone()[0] == _UNFINISHED:
                connection.execute("VACUUM")
                connection.execute("PRAGMA user_version=0")
                _fold(connection, path)
    except FileNotFoundError:  # retention took it
        return 0
    return count


def _replaced(connection: sqlite3.Connection, change: Change) -> int:
    count, last = 0, -1
    connection.execute("BEGIN IMMEDIATE")
    while True:
        query = "SELECT key, frame FROM frames WHERE key > ? ORDER BY key LIMIT ?"
        found = connection.execute(query, (last, PAGE_KEYS)).fetchall()
        if not found:
            break
        for key, frame in found:
            last = key
            try:
                check_frame(frame)
                after = change(frame)
            except (FrameDamaged, TypeError):
                continue  # nobody can read it; retention takes it
            if after is not None:
                connection.execute("UPDATE frames SET frame = ? WHERE key = ?", (after, key))
                count += 1
    if count:
        connection.execute(f"PRAGMA user_version={_UNFINISHED}")
    connection.execute("COMMIT")
    return count


def _fold(connection: sqlite3.Connection, path: Path) -> None:
    """Have the WAL in the file and cut to nothing: it holds what the pages were before."""
    deadline = time.monotonic() + FOLD_WAIT_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            connection.execute(f"PRAGMA user_version={_UNFINISHED}")
            raise HomeError(f"a reader has held {path} for {FOLD_WAIT_S:.0f} s; end it, and erase again")
        time.sleep(0.05)
