"""A frozen store: all its parts as they are at one moment, as hard links below ``chdb/shadow``, for somebody who copies them.

The owner (:mod:`echolane.store.owner`) freezes for a client and thaws when that client has gone, however it went; what an owner leaves
that was killed, the next one removes. So a freeze keeps the disk's blocks for as long as somebody copies, and no longer.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

SHADOW = "shadow"
"""Where the engine puts the links, in a folder for each freeze."""
_TABLES = """SELECT toString(uuid) AS uuid, name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name"""


class Runner(Protocol):
    """What carries out a statement: a session of :mod:`echolane.store.chdb`."""

    def run(self, sql: str) -> bytes:
        """One statement; its answer as tab separated text."""
        ...


class Freezer:
    """Inserts side by side, or one freeze alone: what is frozen is of one moment."""

    def __init__(self, folder: Path) -> None:
        """Remove what an owner has left that was killed; there is none but us."""
        self._folder = folder
        self._changed = threading.Condition()
        self._inserting = 0
        self._freezing = False
        shutil.rmtree(folder / SHADOW, ignore_errors=True)

    def __repr__(self) -> str:
        return f"<Freezer of {self._folder}, {self._inserting} inserts>"

    @contextmanager
    def inserting(self) -> Generator[None]:
        """An insert is under way; waits for a freeze, which takes milliseconds, or a second for many thousand parts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._freezing)
            self._inserting += 1
        try:
            yield
        finally:
            with self._changed:
                self._inserting -= 1
                self._changed.notify_all()

    @contextmanager
    def frozen(self, session: Runner) -> Generator[tuple[str, dict[str, str]]]:
        """The name of a freeze, which lasts as long as the block, and its tables: names by the folders they are in."""
        name = os.urandom(8).hex()
        try:
            with self._alone():
                tables = dict(line.split("\t") for line in session.run(_TABLES).decode().splitlines())
                for table in tables.values():
                    session.run(f"ALTER TABLE `{table}` FREEZE WITH NAME '{name}'")
            yield name, tables
        finally:
            shutil.rmtree(self._folder / SHADOW / name, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Generator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._freezing)
            self._freezing = True
            self._changed.wait_for(lambda: not self._inserting)
        try:
            yield
        finally:
            with self._changed:
                self._freezing = False
                self._changed.notify_all()
