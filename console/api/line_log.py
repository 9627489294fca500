"""A book on the disk: one line for each change, which is whole or not there; written anew when it has grown.

What a book is, its own class says: it takes changes in (``apply``) and gives all of it as one (``whole``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from echolane.errors import HomeError, unwritable

GROWN_BYTES = 8 * 1024 * 1024
"""A line is some hundred bytes; reading so much takes a fraction of a second."""


class Kept(Protocol):
    """A book that is made of changes."""

    def apply(self, change: Any) -> None:
        """What was kept once, as it is read again."""
        ...

    def whole(self) -> Any:
        """All of it."""
        ...


B = TypeVar("B", bound=Kept)
C = TypeVar("C", bound=msgspec.Struct)


class LineLog(Generic[B, C]):
    """The file. One thread at a time; one server of a home has it, which holds its lease."""

    def __init__(self, path: Path, book: Callable[[], B], change: type[C], what: str) -> None:
        self.path = path
        self._book, self._change, self._what = book, change, what
        self._least = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def empty(self) -> B:
        """A book in which nothing is."""
        return self._book()

    def load(self) -> B:
        """All that was kept, on a file that is written anew."""
        book = self.read()
        if self.path.exists():
            self._rewrite(book)
        return book

    def read(self) -> B:
        """All that was kept; the end of a line that a killed server did not write whole is dropped. Writes nothing: the disk may be full."""
        book = self._book()
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return book
        except OSError as error:
            raise unwritable(f"`{self.path}`", error) from error
        whole, _, _ = data.rpartition(b"\n")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                book.apply(msgspec.json.decode(line, type=self._change))
            except msgspec.DecodeError as error:
                raise HomeError(
                    f"`{self.path}` line {number} cannot be read ({error}); restore it, or remove it to forget {self._what}"
                ) from error
        return book

    def append(self, change: C, book: B) -> None:
        """Keep a change; it is on the disk when this returns."""
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                data = msgspec.json.encode(change) + b"\n"
                size = os.fstat(descriptor).st_size
                try:
                    if os.write(descriptor, data) != len(data):
                        raise OSError(28, "No space left on device")  # noqa: TRY301 - it is cut off below
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)
            if size > GROWN_BYTES + 2 * self._least:
                self._rewrite(book)
        except OSError as error:
            raise unwritable(f"`{self.path}`", error) from error

    def _rewrite(self, book: B) -> None:
        part = self.path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                file.write(msgspec.json.encode(book.whole()) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o600)
            self._least = part.stat().st_size
            part.replace(self.path)
        except OSError as error:
            raise unwritable(f"`{self.path}`", error) from error


class Desk(Generic[B, C]):
    """The book of one server: one change at a time, kept before it counts. On the loop."""

    def __init__(self, log: LineLog[B, C]) -> None:
        self._log = log
        self._one = asyncio.Lock()
        self.book = log.empty()
        self.changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.book!r}>"

    async def open(self) -> None:
        """Take up what another server left."""
        self.book = await asyncio.to_thread(self._log.load)

    async def _keep(self, change: C) -> None:
        try:
            await asyncio.to_thread(self._log.append, change, self.book)
        except BaseException:
            self.book = await asyncio.to_thread(self._log.read)  # what is not on the disk did not happen
            raise
