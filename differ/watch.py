"""Which comparison a process is at, so that one that holds it up, or ends it, is known and set aside.

Before a comparison its place goes into a small mapped file, which the kernel keeps however the process ends; whoever finds it there
after a death (the conductor, else the next worker) notes it (:func:`settle`). That file is never flushed to the disk: what it has to
outlive is a process. When the whole machine stops, it was not the answer that stopped it.

Two clocks run meanwhile, both of computing, so that a busy machine makes nobody suspect. The first asks politely: after
:data:`SOFT_S` the comparison ends with :class:`SetAside`, and its process goes on with the others. What sits in one call that nothing in
the process can end is ended by the kernel, with the process, after so much computing of its own (the kernel's work for it not counted,
of which one call has little).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import struct
import time
from pathlib import Path
from types import FrameType

from differ.attempts import DEATH, Attempts, Place
from differ.rows import PAIRS
from differ.walk import SIZE_TIMED
from echolane.errors import HomeError, unwritable
from echolane.settings import Differ

SOFT_S = 0.5
"""Computing that the worker gives to one exchange at once: half of the second that its neighbours may have to wait."""
HARD_S = 0.8
"""And what it may take at most: a process that is ended has to be started again within what is left."""
TICK_S = 0.05
"""How often it is looked whether the comparison is still the same."""
TAKEN_S = 120.0
"""How long one waits for another that is at the same work: as long as that may be at its last answer, on a machine that is busy."""
UNTIMED_CPU_S = 10.0
"""Seconds of computing for what is bounded by its size alone: pages, texts, headers, of all comparisons of one exchange; the
largest take a second or two each."""
_CELL = struct.Struct("<QQIQIQ")
"""Process, when it entered, partition, position, record within the frame, and last of all 1 while it is compared."""


class SetAside(BaseException):  # no fault; and what catches every Exception of a comparison must not catch it
    """A comparison took long; in words, where it is not by computing."""


class Watch:
    """Watches the comparisons of this process, one after the other. ``soft_s`` is None where nothing waits behind them."""

    def __init__(self, attempts: Attempts, path: Path, hard_s: float, soft_s: float | None = None) -> None:
        self._file = _taken(path)
        # Whoever wrote there is no more.
        settle(attempts, path, "it ended with its run")
        attempts.refresh()
        try:
            os.posix_fallocate(self._file, 0, _CELL.size)
            self._map = mmap.mmap(self._file, _CELL.size)
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
        self._process, self._hard_s = os.getpid(), hard_s
        self._ticks_max = 0 if soft_s is None else round(soft_s / TICK_S)
        self._ticks, self._open = 0, False
        self._before = signal.getsignal(signal.SIGPROF)
        if soft_s is not None:
            signal.signal(signal.SIGPROF, self._tick)
            # It repeats: an exception in a finaliser is swallowed, and the next tick raises it again.
            signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)

    def enter(self, place: Place) -> None:
        """From now on a death is this observation's, and it may be set aside."""
        _CELL.pack_into(self._map, 0, self._process, time.time_ns(), *place, 1)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._hard_s)
        self._ticks, self._open = 0, True

    def keep(self) -> None:
        """It was compared: what follows is not interrupted any more."""
        self._open = False

    def leave(self) -> None:
        """What was found is put down. The place stays, so that who looks sees that something goes on."""
        self._open = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self._map[_CELL.size - 8] = 0

    def _tick(self, _signal: int, _frame: FrameType | None) -> None:
        self._ticks += 1
        if self._open and self._ticks > self._ticks_max:
            raise SetAside

    def close(self) -> None:
        """Stop the clocks and let go of the file. An exception that ends the process within a comparison leaves its place there."""
        self._open = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if self._ticks_max:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, self._before)
        self._map.close()
        os.close(self._file)


def patience(settings: Differ) -> float:
    """Seconds of computing for one exchange that is looked at alone, beyond which the kernel ends the process.

    Every comparison ends itself sooner; what holds on for so long sits in one call that nothing in the process can end.
    """
    boxes = max(1.0, 2 * settings.decoded_bytes / SIZE_TIMED)
    return UNTIMED_CPU_S + len(PAIRS) * boxes * settings.time_ms / 1000


def settle(attempts: Attempts, path: Path, reason: str, ended: int | None = None) -> bool:
    """Note a death within a comparison, of the process that ``ended``, or of any for who has taken the file; whether there was one."""
    try:
        data = path.read_bytes() if path.exists() else b""
        if len(data) < _CELL.size:
            return False
        process, entered, *at, busy = _CELL.unpack_from(data)
        if not busy or ended not in {None, process}:
            return False
        attempts.add(DEATH, Place(*at), reason, process=process, entered=entered)
        with path.open("r+b") as file:
            file.write(bytes(_CELL.size))
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error
    return True


def _taken(path: Path) -> int:
    """The file, taken for as long as this process lives: one whose conductor was killed may still be at it."""
    deadline = time.monotonic() + TAKEN_S
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise HomeError(
                        f"another process still compares this run (`{path}` is taken); end it first"
                    ) from None
                time.sleep(TICK_S)
            else:
                return descriptor
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error
