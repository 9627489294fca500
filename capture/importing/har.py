"""HAR files, of any size: one pass that proves the whole file and notes where each entry is, one that reads them in the order of time.

:mod:`capture.importing.splitting` finds the entries, :mod:`capture.importing.entry` says what each means.
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import orjson

from capture.importing.entry import Limits, exchange_of, time_ns
from capture.importing.material import EXCHANGES_MAX, UNPARSEABLE, Imported
from capture.importing.packed import PIECE_BYTES, open_plain
from capture.importing.splitting import Broken, Element, Splitter
from echolane import log
from echolane.errors import UsageError


class HarSource:
    """One HAR file."""

    def __init__(self, path: Path, limits: Limits, number: int) -> None:
        self.notes: Counter[str] = Counter()
        self._path, self._limits, self._number = path, limits, number
        self._file = open_plain(path)
        self._starts, self._offsets, self._lengths = array("Q"), array("Q"), array("L")

    def check(self) -> None:
        """Read all of the file; UsageError names the byte at which it is no HAR."""
        splitter = Splitter()
        try:
            while piece := self._file.read(PIECE_BYTES):
                for element in splitter.feed(piece):
                    self._note(element)
            splitter.finish()
        except Broken as broken:
            raise UsageError(f"{self._path} is not a whole HAR: {broken}; {_advice(broken)}") from broken
        except OSError as error:
            raise UsageError(f"{self._path} cannot be read: {error.strerror}") from error

    def _note(self, element: Element) -> None:
        entry = _decoded(element.data, element.offset)
        start = time_ns(entry.get("startedDateTime"))
        if start is None:
            # Where it stands tells when it was, as near as anything can.
            self.notes["times-missing"] += 1
            start = self._starts[-1] if self._starts else 0
        if len(self._starts) >= EXCHANGES_MAX:
            raise Broken(element.offset, f"there are more than {EXCHANGES_MAX} entries")
        self._starts.append(start)
        self._offsets.append(element.offset)
        self._lengths.append(len(element.data))

    def exchanges(self) -> Iterator[Imported | str]:
        """Every entry's exchange, or the reason why it has none, by ``startedDateTime``."""
        order = range(len(self._starts))
        if any(later < earlier for earlier, later in zip(self._starts, self._starts[1:], strict=False)):
            order = sorted(order, key=self._starts.__getitem__)
        for place in order:
            offset = self._offsets[place]
            data = os.pread(self._file.fileno(), self._lengths[place], offset)
            try:
                entry = _decoded(data, offset)
            except Broken as broken:
                raise UsageError(
                    f"{self._path} was changed while it was imported ({broken}); import it again"
                ) from broken
            client = f"har {self._number} {entry.get('connection') or ''}"
            try:
                found = exchange_of(entry, self._starts[place], self._limits, client, self.notes)
            except (ValueError, OverflowError, TypeError, RecursionError) as error:
                log.event("entry.unparseable", file=str(self._path), byte=offset, error=type(error).__name__)
                found = UNPARSEABLE
            yield found

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _decoded(data: bytes, offset: int) -> dict[str, Any]:
    """The entry; Broken when it is no JSON object."""
    try:
        entry: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        entry = _lenient(data)
        if entry is None:
            raise Broken(offset + len(data[: error.pos]), f"this is not JSON ({error.msg})") from error
    if not isinstance(entry, dict):
        raise Broken(offset, "an entry is not an object, so this is no HAR")
    return cast("dict[str, Any]", entry)


def _lenient(data: bytes) -> object:
    """JSON with lone surrogates, which Python's and JavaScript's writers make of bytes that are no UTF-8; None for anything else."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _advice(broken: Broken) -> str:
    if "in the middle" in broken.what or "empty" in broken.what:
        return "it was cut, so export or copy it again"
    if "UTF-16" in broken.what:
        return "save it as UTF-8"
    if "more than" in broken.what or "larger than" in broken.what:
        return "split it into several files"
    return "export it again as HAR 1.2, or give --format when it is something else"
