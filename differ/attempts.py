"""Which observation the worker is at, so that one that kills it again and again is set aside: a dead letter.

Before a comparison its place goes into a small mapped file, ``HOME/runs/RUN.at``, which the kernel keeps however the process ends.
Whoever finds it there after a death (the conductor, else the next worker) counts it in ``RUN.attempts``; an observation at which
workers died :data:`ATTEMPTS_MAX` times is never compared again and told in ``RUN.dead.ndjson``.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from differ.rows import PAIRS
from differ.walk import SIZE_TIMED
from echolane.errors import HomeError, unwritable
from echolane.observation import Observation
from echolane.settings import Differ

ATTEMPTS_MAX = 3
"""Deaths at one observation: the first may be anybody's kill, the second bad luck, the third is the answer's own doing."""
UNTIMED_CPU_S = 10.0
"""Seconds of computing for what is bounded by its size alone: pages, texts, headers, of all comparisons of one exchange; the
largest take a second or two each."""
REASON = "dead-letter"
_CELL = struct.Struct("<QIQIQ")
"""Process, partition, position, record within the frame, and last of all 1 while it is compared."""


class Place(NamedTuple):
    """Where an observation stands in its topic."""

    partition: int
    position: int
    record: int
    """Within the frame."""


class Attempt(msgspec.Struct, array_like=True):
    """The deaths at one observation, and how the last process ended."""

    partition: int
    position: int
    record: int
    deaths: int
    reason: str


class Attempts:
    """The durable counter of one run. Used by one worker; :func:`settle` by whoever saw it die."""

    def __init__(self, folder: Path, run: str, cpu_s: float = UNTIMED_CPU_S) -> None:
        self._run, self._folder, self._cpu_s = run, folder, cpu_s
        self.counted = settle(folder, run, "ended with its run", newcomer=True)
        path = folder / f"{run}.at"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _CELL.size)
                self._map = mmap.mmap(descriptor, _CELL.size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
        self._process = os.getpid()

    def enter(self, place: Place) -> None:
        """From now on a death is this observation's; beyond its time the kernel ends the process."""
        _CELL.pack_into(self._map, 0, self._process, *place, 1)
        signal.setitimer(signal.ITIMER_PROF, self._cpu_s)

    def leave(self) -> None:
        """It was compared."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        _CELL.pack_into(self._map, 0, 0, 0, 0, 0, 0)

    def is_dead(self, place: Place) -> bool:
        """Whether it is not to be compared again."""
        found = self.counted.get(place)
        return found is not None and found.deaths >= ATTEMPTS_MAX

    def letter(self, place: Place, observation: Observation) -> Observation:
        """The observation as one that cannot be compared, told in the run's file of dead letters."""
        told = {
            "run": self._run,
            "exchange": observation.exchange,
            "seq": observation.seq,
            "endpoint": observation.endpoint,
            "topic": f"observations.{self._run}",
            **place._asdict(),
            "deaths": self.counted[place].deaths,
            "reason": self.counted[place].reason,
            "digest": blake2b(msgspec.msgpack.encode(observation), digest_size=16).hexdigest(),
        }
        path, line = self._folder / f"{self._run}.dead.ndjson", msgspec.json.encode(told) + b"\n"
        try:
            # A worker that dies before its rows are stored meets the letter again.
            if not path.exists() or line not in path.read_bytes():
                with path.open("ab") as file:
                    file.write(line)
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
        return msgspec.structs.replace(observation, not_compared=REASON)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()


def patience(settings: Differ) -> float:
    """Seconds of computing for one exchange, beyond which the kernel ends the process.

    Every comparison ends itself sooner; what holds on for so long sits in one call that nothing in the process can end.
    """
    boxes = max(1.0, 2 * settings.decoded_bytes / SIZE_TIMED)
    return UNTIMED_CPU_S + len(PAIRS) * boxes * settings.time_ms / 1000


def settle(folder: Path, run: str, reason: str, *, newcomer: bool = False) -> Mapping[Place, Attempt]:
    """All deaths so far, one more counted where a process that is no more was within a comparison.

    A ``newcomer`` has compared nothing yet: its own number in the file is that of a dead one before it, as happens in containers.
    """
    path, cell = folder / f"{run}.attempts", folder / f"{run}.at"
    try:
        counted = {
            Place(one.partition, one.position, one.record): one
            for one in (msgspec.json.decode(path.read_bytes(), type=list[Attempt]) if path.exists() else [])
        }
        data = cell.read_bytes() if cell.exists() else b""
        if len(data) < _CELL.size:
            return counted
        process, *at, busy = _CELL.unpack_from(data)
        if not busy or (_lives(process) and not (newcomer and process == os.getpid())):
            return counted
        place = Place(*at)
        deaths = counted[place].deaths if place in counted else 0
        counted[place] = Attempt(*place, deaths + 1, reason)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(list(counted.values())))
        part.replace(path)
        cell.write_bytes(bytes(_CELL.size))
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error
    except msgspec.MsgspecError as error:
        raise HomeError(
            f"`{path}` is damaged: {error}; remove it, and the deaths of workers are counted anew"
        ) from error
    return counted


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def deaths_of(folder: Path, run: str, reason: str) -> int:
    """All deaths within comparisons of a run, the last one counted now."""
    return sum(one.deaths for one in settle(folder, run, reason).values())
