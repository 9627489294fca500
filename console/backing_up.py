"""Put a home into one file, while everything in it goes on; :mod:`console.restoring` makes a home of it.

Whatever refers to something is copied before what it refers to, so that what is restored is a home as a kill of all its processes could have
left it, at one moment. In this order:

1. how far groups have come, and everything small: whoever goes on from there does some work twice, which folds, and leaves none out;
2. the moment of the runs: nobody appends to their topics while the store is frozen, so its rows and the topics fit exactly;
3. dead letters, which are on the disk before their rows;
4. the moment of each service: nobody appends to its topic while its ledger is read, so both tell the same exchanges;
5. keys, which are there before what they open;
6. at leisure, what the moments fixed: the store's parts, then the topics up to where they went.
"""

from __future__ import annotations

import fcntl
import os
import resource
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO

import msgspec

from capture.account import copied, recorders, sessions
from console.run_lease import whole_lease
from differ.letters import ENDING
from differ.result import iso
from echolane import __version__
from echolane.archive import Packer, is_plain_name, packing
from echolane.clock import SYSTEM
from echolane.errors import HomeError, unwritable
from echolane.home import Home
from echolane.journal.copying import Copying, Cut, Noted, cut, noted, still
from echolane.journal.sqlite import SqliteJournal
from echolane.lease import held
from echolane.store.client import StoreClient
from echolane.store.freezing import SHADOW
from echolane.store.migrate import migrations
from echolane.whole import whole_file

FORMAT = 1
"""Of the file; grows when an older Echolane could no longer restore it."""
ABOUT, CONTENTS, HOME = "about.json", "contents.json", "home"
"""Its first member, its last but one, and the folder of the plain files."""
EXCHANGES, LEDGER = "exchanges.", "ledger"
AUDIT, AUDIT_HEAD = "access/audit.log", "access/audit.head"
NOT_STATE = frozenset(("journal", "store", "spool", "log", "up", "demo"))
"""Folders of a home that are copied otherwise, or that only tell what processes do now or have done."""
PASSING = (".lock", ".part", ".live", ".at", ".copies")
"""Endings of what belongs to a process that lives, or says how it is."""


class About(msgspec.Struct, frozen=True):
    """What one has to know before the rest is read."""

    format: int
    echolane: str
    """The version that made it."""
    made_at: str
    tables: int
    """The newest step of the store's tables that it knew."""
    holds: list[str]
    """`home`, `journal`, `store`."""


class Contents(msgspec.Struct, frozen=True):
    """What was copied."""

    exchanges: dict[str, int]
    """By service."""
    topics: int
    rows: dict[str, int]
    """By table, before they are folded."""


class Written(msgspec.Struct, frozen=True):
    """A backup that was made, or looked through."""

    about: About
    contents: Contents
    files: int
    bytes: int
    """Before they are packed."""


def back_up(home: Home, path: Path, now_ns: int, *, store_elsewhere: bool) -> Written:
    """Write the backup of a home, whole or not at all.

    Raises:
        HomeError: a place cannot be read or written, somebody erases in the home, or a writer hangs.
    """
    holds = ["home", *([] if home.journal_url else ["journal"]), *([] if store_elsewhere else ["store"])]
    about = About(FORMAT, __version__, iso(now_ns), max(step.number for step in migrations()), holds)
    _take_descriptors()
    with ExitStack() as stack:
        stack.enter_context(_alone(home))
        try:
            out = stack.enter_context(whole_file(path))
            packer = stack.enter_context(packing(out, path.parent, now_ns // 1_000_000_000))
            packer.add(ABOUT, msgspec.json.encode(about))
            backup = _Backup(home, packer, holds)
            backup.copy(stack)
            contents = backup.contents()
            packer.add(CONTENTS, msgspec.json.encode(contents))
            written = Written(about, contents, packer.files, packer.bytes)
            stack.close()
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
    return written


class _Backup:
    """One backup on its way."""

    def __init__(self, home: Home, packer: Packer, holds: list[str]) -> None:
        self._home, self._packer, self._holds = home, packer, holds
        self._exchanges: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._topics = 0

    def contents(self) -> Contents:
        """What was copied up to now."""
        return Contents(dict(sorted(self._exchanges.items())), self._topics, dict(sorted(self._rows.items())))

    def copy(self, stack: ExitStack) -> None:
        """Everything, in the order that the module tells."""
        journal = spool = None
        if "journal" in self._holds:
            journal = SqliteJournal(self._home.journal, SYSTEM)
            stack.callback(journal.close)
            if self._home.spool.is_dir():  # of a time when the journal was elsewhere
                spool = SqliteJournal(self._home.spool, SYSTEM)
                stack.callback(spool.close)
        # Started, where it must be, before others wait: nobody appends while it freezes.
        store = stack.enter_context(StoreClient(self._home.path)) if "store" in self._holds else None
        topics = {} if journal is None else _noted(journal)
        spooled = {} if spool is None else _noted(spool)
        self._small()
        frozen, cuts = None, dict[str, Cut]()
        with ExitStack() as moment:
            if journal is not None:
                moment.enter_context(still(journal, _of_runs(topics), lambda: _of_runs(_noted(journal, topics))))
            if store is not None:
                frozen = stack.enter_context(store.frozen())
            cuts |= {name: cut(one) for name, one in topics.items() if not name.startswith(EXCHANGES)}
        self._letters()
        if journal is not None:
            cuts |= self._services(journal, topics)
        self._all_of(_files(self._home.keys, self._left))
        if frozen is not None:
            self._store(frozen.name, frozen.tables)
        for name, one in sorted(cuts.items()):
            self._topic("journal", name, one)
        for name, one in sorted(spooled.items()):
            self._topic("spool", name, cut(one))

    def _small(self) -> None:
        """Every plain file of the home that is copied as it stands; ledgers go with the journal."""
        for path in _files(self._home.path, self._left):
            if path == self._home.path / AUDIT:
                self._audit(path)
            else:
                self._all_of([path])

    def _all_of(self, paths: Iterable[Path]) -> None:
        for path in paths:
            self._file(path, path.relative_to(self._home.path))

    def _left(self, here: Path, name: str) -> bool:
        """Whether something is copied otherwise, or passes."""
        if name == "lock" or name.endswith(PASSING):
            return True
        if here == self._home.path:
            return name in NOT_STATE or name == "keys" or (name == LEDGER and "journal" not in self._holds)
        if here == self._home.ledger:
            return name.startswith(("capture.", "agent."))
        return (here == self._home.runs and name.endswith(ENDING)) or here / name == self._home.path / AUDIT_HEAD

    def _audit(self, path: Path) -> None:
        """The log and its head, which must agree: nobody appends while the head is read."""
        with _opened(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            size = os.fstat(file.fileno()).st_size
            head = self._home.path / AUDIT_HEAD
            data = head.read_bytes() if head.exists() else b""
            fcntl.flock(file, fcntl.LOCK_UN)
            self._packer.take(f"{HOME}/{AUDIT}", file, size)
        if data:
            self._packer.add(f"{HOME}/{AUDIT_HEAD}", data)

    def _letters(self) -> None:
        self._all_of(sorted(self._home.runs.glob(f"*{ENDING}")))

    def _services(self, journal: SqliteJournal, topics: dict[str, Noted]) -> dict[str, Cut]:
        """The moment of each service: where its topic ends, and what its sessions have counted."""
        found: dict[str, Cut] = {}
        recorded = {name for name in journal.topics() if name.startswith(EXCHANGES)}
        counted = {f"{EXCHANGES}{name}" for name in recorders(self._home)}
        for name in sorted(recorded | counted):
            # Asked for in the moment, in which none is made: its topic is there with its first entry.
            with still(journal, [], lambda name=name: _named(journal, topics, name)):
                ledgers = [copied(session) for session in sessions(self._home, name.removeprefix(EXCHANGES))]
                for one in _named(journal, topics, name):
                    found[name] = cut(one)
            for ledger in ledgers:
                for file, data in ledger.items():
                    self._packer.add(f"{HOME}/{LEDGER}/{file}", data)
        # Who a session's agent is stands on the disk before its counters do.
        self._all_of(_files(self._home.ledger, lambda _, name: not name.startswith("agent.") or name.endswith(PASSING)))
        return found

    def _store(self, name: str, tables: dict[str, str]) -> None:
        """The frozen parts, and what makes tables of them: their definitions, which only the start of an owner changes."""
        engine = self._home.store / "chdb"
        for pattern in ("metadata/*.sql", "store/*/*/*.sql", "store/*/*/format_version.txt"):
            for path in sorted(engine.glob(pattern)):
                self._file(path, path.relative_to(self._home.path))
        shadow = engine / SHADOW / name
        for path in _files(shadow):
            own = path.relative_to(shadow)
            if own.name == "count.txt" and len(own.parts) == 5:  # store/abc/UUID/PART/count.txt
                self._rows[tables.get(own.parts[2], "?")] += int(path.read_text("ascii"))
            if not self._file(path, Path("store", "chdb", own)):
                raise HomeError("the store's owner ended while its parts were copied; make the backup again")

    def _topic(self, folder: str, name: str, moment: Cut) -> None:
        copying = Copying(name, moment)
        for file, data in copying.files():
            self._packer.add(f"{folder}/{file}", data)
        self._topics += 1
        if folder == "journal" and name.startswith(EXCHANGES):
            self._exchanges[name.removeprefix(EXCHANGES)] += copying.records

    def _file(self, path: Path, name: Path) -> bool:
        """A plain file of the home, as long as it is now; False where it has gone."""
        told = f"{HOME}/{name.as_posix()}"
        if not is_plain_name(told):
            raise HomeError(f"`{path}` has a name that a backup does not take; rename it, or move it out of the home")
        try:
            with _opened(path) as file:
                self._packer.take(told, file, os.fstat(file.fileno()).st_size)
        except FileNotFoundError:
            return False
        return True


def _noted(journal: SqliteJournal, known: dict[str, Noted] | None = None) -> dict[str, Noted]:
    """All topics; of them those that are new, which become known. One that is removed meanwhile is none."""
    found: dict[str, Noted] = {}
    for name in journal.topics():
        try:
            if known is None or name not in known:
                found[name] = noted(journal, name)
        except HomeError:
            if name in journal.topics():
                raise
    if known is not None:
        known |= found
    return found


def _named(journal: SqliteJournal, topics: dict[str, Noted], name: str) -> list[Noted]:
    """The topic of this name, where there is one."""
    if name not in topics and name in journal.topics():
        topics[name] = noted(journal, name)
    return [topics[name]] if name in topics else []


def _of_runs(topics: dict[str, Noted]) -> list[Noted]:
    return [one for name, one in topics.items() if not name.startswith(EXCHANGES)]


def _files(folder: Path, without: Callable[[Path, str], bool] | None = None) -> Iterator[Path]:
    """Plain files below a folder, in an order; ``without`` is asked of what a folder holds."""

    def wanted(here: Path, names: list[str]) -> list[str]:
        return sorted(name for name in names if without is None or not without(here, name))

    for parent, folders, names in os.walk(folder, onerror=_unreadable):
        here = Path(parent)
        folders[:] = wanted(here, folders)
        for path in (here / name for name in wanted(here, names)):
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path
            except FileNotFoundError:
                continue


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise HomeError(f"`{error.filename}` cannot be read: {error.strerror}") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise HomeError(f"`{path}` cannot be read: {error.strerror}") from error


def _alone(home: Home) -> AbstractContextManager[None]:
    """Nobody erases meanwhile: a backup that was half before and half behind it would bring back what is gone."""
    lock = whole_lease(home)
    try:
        lock.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise unwritable(f"`{lock.parent}`", error) from error
    return held(lock, "erasing in this home, or a backup of it,")


def _take_descriptors() -> None:
    """As many as the system gives: each topic takes two for the moment, and a home has four for each run."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
