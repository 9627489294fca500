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
NAME_BYTES = 56
_SLOT = NAME_BYTES + 8
_SIZE = SLOTS * _SLOT
_U64 = struct.Struct("<Q")

Counts = dict[str, int]


class Counters:
    """Named counters in a mapped file. One writer; any number of readers."""

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
        self._at = {name: at for name, at, _ in _slots(self._map)}

    def __repr__(self) -> str:
        return f"<Counters {self.path.name} {self.read()}>"

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter; a new name takes a free slot, and ``other`` when there is none."""
        at = self._at.get(name)
        if at is None:
            at = self._take(name)
        _U64.pack_into(self._map, at, _U64.unpack_from(self._map, at)[0] + count)

    def set(self, name: str, value: int) -> None:
        """Set a counter (a gauge such as ``spooled``)."""
        at = self._at.get(name)
        _U64.pack_into(self._map, at if at is not None else self._take(name), value)

    def get(self, name: str) -> int:
        """One counter's value; 0 when it was never touched."""
        at = self._at.get(name)
        return _U64.unpack_from(self._map, at)[0] if at is not None else 0

    def _take(self, name: str) -> int:
        data = name.encode()[:NAME_BYTES]
        if len(self._at) >= SLOTS - 1 and name != "other":
            return self._at["other"] if "other" in self._at else self._take("other")
        at = len(self._at) * _SLOT
        self._map[at : at + len(data)] = data
        self._at[name] = at + NAME_BYTES
        return at + NAME_BYTES

    def read(self) -> Counts:
        """All counters."""
        return {name: value for name, _, value in _slots(self._map)}

    def close(self) -> None:
        """Unmap; the values stay in the file."""
        self._map.close()


def _slots(data: mmap.mmap | bytes) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for at in range(0, _SIZE, _SLOT):
        name = bytes(data[at : at + NAME_BYTES]).rstrip(b"\0")
        if not name:
            break
        found.append((name.decode("utf-8", "replace"), at + NAME_BYTES, _U64.unpack_from(data, at + NAME_BYTES)[0]))
    return found


def read_counters(path: Path) -> Counts:
    """The counters of a file that another process writes or wrote; empty when there is no such file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return {name: value for name, _, value in _slots(data.ljust(_SIZE, b"\0"))}


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
    of = {key: total(value) for key, value in ledger.items()}

    def get(name: str, _: int = 0) -> int:
        return of.get(name, 0)

    identities = [
        ("selected = fired + skipped", get("selected", 0), get("fired", 0) + get("skipped", 0)),
        ("fired = compared + not_compared", get("fired", 0), get("compared", 0) + get("not_compared", 0)),
        (
            "compared = same + noise_only + undecided + different + uncomparable",
            get("compared", 0),
            sum(get(name, 0) for name in ("same", "noise_only", "undecided", "different", "uncomparable")),
        ),
        ("unaccounted = 0", get("unaccounted", 0), 0),
    ]
    for target in TARGETS:
        parts = sum(total((ledger.get(key) or {}).get(target)) for key in ("answered", "failed", "in_doubt", "spared"))
        identities.append((f"fired = answered + failed + in_doubt + spared at {target}", get("fired", 0), parts))
    return [f"{what}: {one} != {other}" for what, one, other in identities if one != other]
