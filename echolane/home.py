"""The home: the folder in which one installation keeps its journal, store, keys and ledgers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from echolane.errors import HomeError

FOLDERS = ("journal", "store", "ledger", "keys", "templates", "recordings", "runs", "log")


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one home, and where its journal is."""

    path: Path
    journal_url: str = ""
    """A cluster's address (:mod:`echolane.journal.kafka_address`); empty for SQLite in the home."""

    @property
    def journal(self) -> Path:
        """The journal's topics."""
        return self.path / "journal"

    @property
    def journal_place(self) -> str:
        """Where the journal is, for messages."""
        return self.journal_url.partition("?")[0] or str(self.journal)

    @property
    def store(self) -> Path:
        """The store's files, which its owner alone touches."""
        return self.path / "store"

    @property
    def store_socket(self) -> Path:
        """Where the store's owner listens."""
        return self.path / "store.sock"

    @property
    def ledger(self) -> Path:
        """Mapped counters, a file per process and purpose."""
        return self.path / "ledger"

    @property
    def keys(self) -> Path:
        """Seal and mark keys, readable by their owner alone."""
        return self.path / "keys"

    @property
    def templates(self) -> Path:
        """Endpoint templates, a file per service."""
        return self.path / "templates"

    @property
    def recordings(self) -> Path:
        """Recordings, a file each."""
        return self.path / "recordings"

    @property
    def runs(self) -> Path:
        """Leases of runs, their worktrees, and which exchanges hold up or end their comparing."""
        return self.path / "runs"

    @property
    def spool(self) -> Path:
        """What recorders keep while the journal is away."""
        return self.path / "spool"

    @property
    def log(self) -> Path:
        """What processes without a terminal have to say."""
        return self.path / "log"


def open_home(path: Path, journal_url: str = "") -> Home:
    """The home at ``path``, made when it is missing; HomeError when it cannot be written."""
    path = path.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            (path / name).mkdir(exist_ok=True, mode=0o700 if name == "keys" else 0o777)
    except OSError as error:
        raise HomeError(
            f"home `{path}` cannot be used: {error.filename or path}: {error.strerror}; give another with --home"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise HomeError(f"home `{path}` cannot be written by this user; change its owner or give another with --home")
    return Home(path, journal_url)
