"""What is known of the observations that a run sets aside: ``HOME/runs/RUN.attempts``, one line for each thing that happened.

The worker sets an observation aside that takes it long, and a death within a comparison does the same for the one it was at
(:mod:`differ.watch`). :mod:`differ.second_look` tries those again, alone; after :data:`ATTEMPTS_MAX` deaths one is a dead letter
(:mod:`differ.letters`). A line is on the disk before anything that relies on it: the worker commits positions beyond what it has
set aside, so a machine that stops must not forget it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from echolane.errors import HomeError, unwritable
from echolane.whole import sync_folder

ATTEMPTS_MAX = 3
"""Deaths at one observation: the first may be anybody's kill, the second bad luck, the third is the answer's own doing."""
ASIDE, DEATH, AGAIN, COMPARED, DEAD, GONE, CLOSED = "aside", "death", "again", "compared", "dead", "gone", "closed"
"""What may happen: set aside, a process died there, asked for again (``dlq retry``); then one of compared, dead letter, no longer in
the journal. ``closed`` is about the run: its verdict knows of all before."""
REASON_MAX = 400
"""Characters that a reason keeps: it is the last line of what a process said."""


class Place(NamedTuple):
    """Where an observation stands in its topic."""

    partition: int
    position: int
    record: int
    """Within the frame."""


NOWHERE = Place(0, 0, 0)


class _Line(msgspec.Struct, array_like=True):
    """One thing that happened."""

    what: str
    partition: int
    position: int
    record: int
    at_ns: int
    reason: str = ""
    process: int = 0
    entered: int = 0
    """With ``process``, which comparison a death ended: told twice it is still one."""
    tries: int = 0
    """With ``again``, how often it was asked for so far, where others may have asked too (:mod:`differ.shared_letters`)."""


class Attempt(msgspec.Struct):
    """What is known of one observation."""

    pending: bool = True
    """Whether it has no row yet that says what became of it."""
    deaths: int = 0
    """Since it was last asked for."""
    reason: str = ""
    tries: int = 0
    """How often it was asked for again: each gives a row of a higher version."""


class Attempts:
    """The file of one run, as this process knows it; :meth:`refresh` reads what others have added."""

    def __init__(self, folder: Path, run: str) -> None:
        self._path = folder / f"{run}.attempts"
        self._read = 0
        self._deaths: set[tuple[Place, int, int]] = set()
        self.found: dict[Place, Attempt] = {}
        self.closed = True
        """Whether the run was closed after all that was asked for again."""
        self.refresh()

    def refresh(self) -> None:
        """Read on."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise HomeError(f"`{self._path}` cannot be read: {error.strerror}") from error
        whole = data.rfind(b"\n") + 1  # what follows is being written, or was when the machine stopped
        try:
            for line in data[:whole].splitlines():
                self._take(msgspec.json.decode(line, type=_Line))
        except msgspec.MsgspecError as error:
            raise HomeError(
                f"`{self._path}` is damaged: {error}; remove it, and what was set aside in this run stays without a result"
            ) from error
        self._read += whole

    def _take(self, line: _Line) -> None:
        if line.what == CLOSED:
            self.closed = True
            return
        place = Place(line.partition, line.position, line.record)
        attempt = self.found.setdefault(place, Attempt())
        attempt.reason = line.reason or attempt.reason
        if line.what == DEATH:
            death = (place, line.process, line.entered)
            attempt.deaths += death not in self._deaths
            self._deaths.add(death)
        elif line.what == AGAIN:
            attempt.pending, attempt.deaths, self.closed = True, 0, False
            attempt.tries = line.tries or attempt.tries + 1
        elif line.what != ASIDE:
            attempt.pending = False

    @property
    def pending(self) -> list[Place]:
        """What waits for its second look, in the order of the journal."""
        return sorted(place for place, attempt in self.found.items() if attempt.pending)

    def add(
        self,
        what: str,
        place: Place = NOWHERE,
        reason: str = "",
        *,
        process: int = 0,
        entered: int = 0,
        tries: int = 0,
    ) -> None:
        """Something happened; on the disk when this returns."""
        line = _Line(what, *place, time.time_ns(), reason[:REASON_MAX], process, entered, tries)
        try:
            _append(self._path, msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise unwritable(f"`{self._path}`", error) from error
        self.refresh()


def _append(path: Path, line: bytes) -> None:
    """One whole line more, whoever else writes, and whatever a machine that stopped has left of its last one."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, 4096, max(0, size - 4096))
        if torn := len(tail) - (tail.rfind(b"\n") + 1):
            os.ftruncate(descriptor, size - torn)
        if os.write(descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not size:
        sync_folder(path.parent)
