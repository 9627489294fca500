"""The ledger: counters that survive kill -9, and the identities that must balance.

Counters live in a small mapped file per process (:class:`Counters`): an add is a store into shared memory, which the kernel keeps
when the process dies. :func:`capture_identities` and :func:`run_identities` say in words what does not balance.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echolane.errors import HomeError
from echolane.observation import TARGETS

SLOTS = 128
"""Names in one file: a dozen fixed ones and the reasons of drops, which are words of our own."""
OVERFLOW_SLOTS = 8
"""Of these, kept for ``name{other}``: where a reason goes that found no slot, so that sums over reasons stay exact."""
NAME_BYTES = 56
STEADY_TRIES = 10_000
"""Looks at counters that change: a second at most."""
_SLOT = NAME_BYTES + 8
_SIZE = SLOTS * _SLOT
_CELLS_PER_SLOT = _SLOT // 8
_U64 = struct.Struct("<Q")

Counts = dict[str, int]


class Counters:
    """Named counters in a mapped file. One thread writes, any number of processes read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if os.fstat(descriptor).st_size < _SIZE:
                    # Real blocks now: a mapped hole that cannot be filled later would be a SIGBUS on the client's path.
                    os.posix_fallocate(descriptor, 0, _SIZE)
                self._map = mmap.mmap(descriptor, _SIZE)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise HomeError(f"ledger `{path}` cannot be used: {error.strerror}") from error
        self._cells = memoryview(self._map).cast("Q")
        self._cell_of = {name: (at + NAME_BYTES) // 8 for name, at, _ in _slots(self._map)}

    def __repr__(self) -> str:
        return f"<Counters {self.path.name} {self.read()}>"

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter; a new name takes a free slot. Where there is none left, ``name{reason}`` counts as ``name{other}``."""
        cell = self._cell_of.get(name)
        self._cells[self._take(name) if cell is None else cell] += count

    def set(self, name: str, value: int) -> None:
        """Set a counter (a gauge such as ``spooled``)."""
        cell = self._cell_of.get(name)
        self._cells[self._take(name) if cell is None else cell] = value

    def get(self, name: str) -> int:
        """One counter's value; 0 when it was never touched."""
        cell = self._cell_of.get(name)
        return 0 if cell is None else self._cells[cell]

    def _take(self, name: str) -> int:
        """The cell of a name that is new to this process."""
        short = name.encode()[:NAME_BYTES].decode("utf-8", "ignore")
        cell = self._cell_of.get(short)
        if cell is not None:
            return cell
        used = len(self._cell_of)
        spare = f"{name.partition('{')[0][: NAME_BYTES - 7]}{{other}}"
        if used >= SLOTS - OVERFLOW_SLOTS and short != spare:
            return self._take(spare)
        if used >= SLOTS:
            raise HomeError(f"ledger `{self.path}` has no room for the name `{name}`; it holds {SLOTS}")
        data = short.encode()
        self._map[used * _SLOT : used * _SLOT + len(data)] = data
        self._cell_of[short] = used * _CELLS_PER_SLOT + NAME_BYTES // 8
        return self._cell_of[short]

    def read(self) -> Counts:
        """All counters."""
        return {name: value for name, _, value in _slots(self._map)}

    def close(self) -> None:
        """Unmap; the values stay in the file."""
        self._cells.release()
        self._map.close()


def _slots(data: mmap.mmap | bytes) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for at in range(0, _SIZE, _SLOT):
        name = bytes(data[at : at + NAME_BYTES]).rstrip(b"\0")
        if not name:
            break
        found.append((name.decode("utf-8", "replace"), at, _U64.unpack_from(data, at + NAME_BYTES)[0]))
    return found


def read_counters(path: Path) -> Counts:
    """The counters of a file that another process writes or wrote; empty when there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise HomeError(f"ledger `{path}` cannot be read: {error.strerror}") from error
    return {name: value for name, _, value in _slots(data.ljust(_SIZE, b"\0"))}


def steady_counters(path: Path) -> bytes:
    """The file of counters that another process writes, of one moment: it is read until two readings are the same.

    A reading takes some microseconds, in which little is counted.

    Raises:
        FileNotFoundError: there is none.
        HomeError: it never stood still.
    """
    before = b""
    for _ in range(STEADY_TRIES):
        found = path.read_bytes()
        if found == before:
            return found
        before = found
    raise HomeError(f"ledger `{path}` changed with each of {STEADY_TRIES} looks; try again")


def summed(counts: Mapping[str, int], name: str) -> int:
    """``name`` and every ``name{reason}``."""
    return sum(value for key, value in counts.items() if key == name or key.startswith(name + "{"))


def capture_identities(counts: Mapping[str, int]) -> list[str]:
    """What does not balance in a capture: seen = stored + spooled + Σ dropped{reason}."""
    seen, dropped = counts.get("seen", 0), summed(counts, "dropped")
    kept = counts.get("stored", 0) + counts.get("spooled", 0)
    if seen != kept + dropped:
        return [f"seen {seen} != stored and spooled {kept} + dropped {dropped}"]
    return []


def total(value: Any) -> int:
    """A count, or the sum of a table of counts at any depth."""
    return sum(map(total, value.values())) if isinstance(value, dict) else int(value or 0)  # pyright: ignore[reportUnknownArgumentType]


def run_identities(ledger: Mapping[str, Any]) -> list[str]:
    """What does not balance in a run's ledger (design §4); the shape is that of the result's JSON."""
    found = [f"{what}: {left} != {right}" for what, left, right in _equations(ledger) if left != right]
    if unaccounted := total(ledger.get("unaccounted")):
        found.append(f"unaccounted: {unaccounted} != 0")
    return found


def unaccounted(ledger: Mapping[str, Any]) -> int:
    """How far a run's ledger is from balance: what its equations miss or have too much, added up. 0 when it balances."""
    return sum(abs(left - right) for _, left, right in _equations(ledger))


def _equations(ledger: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    of = {key: total(value) for key, value in ledger.items()}

    def parts(*names: str) -> int:
        return sum(of.get(name, 0) for name in names)

    found = [
        ("selected = fired + skipped", parts("selected"), parts("fired", "skipped")),
        ("fired = compared + not_compared", parts("fired"), parts("compared", "not_compared")),
        (
            "compared = same + noise_only + undecided + different + uncomparable",
            parts("compared"),
            parts("same", "noise_only", "undecided", "different", "uncomparable"),
        ),
    ]
    for target in TARGETS:
        outcomes = sum(_at(ledger, key, target) for key in ("answered", "failed", "in_doubt", "spared"))
        found.append((f"fired = answered + failed + in_doubt + spared at {target}", parts("fired"), outcomes))
    return found


def _at(ledger: Mapping[str, Any], key: str, target: str) -> int:
    by_target: Mapping[str, Any] = ledger.get(key) or {}
    return total(by_target.get(target))
