"""Read what :mod:`console.backing_up` wrote: make a home of it, or only look whether it is whole.

A home is made beside its place and moved there when every digest was compared, so there is all of it or nothing. A file is not believed:
what it may hold and where that may go is fixed here and in :mod:`echolane.archive`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from errno import EBUSY
from pathlib import Path
from typing import TypeVar

import msgspec

from console.backing_up import ABOUT, CONTENTS, FORMAT, HOME, About, Contents, Written
from echolane.archive import Member, Reading
from echolane.errors import HomeError, UsageError, unwritable
from echolane.journal.rebuilding import FILE_BYTES_MAX, Rebuilding, Unfitting
from echolane.store.migrate import migrations
from echolane.whole import sync_folder

TOLD_BYTES_MAX = 1024 * 1024
"""Of what a backup says of itself: a line for each service and table."""
MAGIC = b"\x28\xb5\x2f\xfd"
"""What zstd begins with."""
PLACE = ".restoring"
"""Where a home is made, at the end of its name; within it where it is a disk of its own, as the volume of a container."""
NOTHING = frozenset((PLACE, "lost+found"))
"""What an empty disk may hold."""
T = TypeVar("T")


class _Format(msgspec.Struct, frozen=True):
    """What every format has."""

    format: int
    echolane: str


def look_through(path: Path) -> Written:
    """Read a backup to its end; HomeError where it is not whole, or too new."""
    with _reading(path, None) as reading:
        return _gone_through(path, reading, lambda _: None)


def restore(path: Path, home: Path) -> Written:
    """Make a home of a backup.

    Raises:
        UsageError: there is something at the home's place already.
        HomeError: the backup is not whole, or the disk takes no more; then nothing is there.
    """
    home = home.resolve()
    _require_empty(home)
    with _place(home) as place, _reading(path, place) as reading, _for_its_owner():
        try:
            written = _gone_through(path, reading, _Making(reading, place).take)
            os.sync()  # a home can have a million files
        except OSError as error:
            raise unwritable(f"the home `{home}`", error) from error
        _put(place, home)
    return written


class _Making:
    """A home in the making."""

    def __init__(self, reading: Reading, place: Path) -> None:
        self._reading, self._place = reading, place
        self._journals = {name: Rebuilding(place / name) for name in ("journal", "spool")}

    def take(self, member: Member | None) -> None:
        """One member into its place; None at the end."""
        if member is None:
            for journal in self._journals.values():
                journal.finish()
            return
        folder, _, name = member.name.partition("/")
        if folder == HOME and name:
            self._file(member, self._place / name)
        elif folder in self._journals:
            if member.size > FILE_BYTES_MAX:
                raise self._reading.damaged(f"`{member.name}` is larger than any of ours")
            try:
                self._journals[folder].take(name, b"".join(member.pieces))
            except Unfitting as error:
                raise self._reading.damaged(str(error)) from error
        else:
            raise self._reading.damaged(f"`{member.name}` has no place in a home")

    def _file(self, member: Member, path: Path) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._reading.damaged(f"`{member.name}` is in it twice") from error
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.writelines(member.pieces)


def _gone_through(path: Path, reading: Reading, take: Callable[[Member | None], None]) -> Written:
    """Give each member to its taker, and None when all was compared; what the backup says of itself."""
    about: About | None = None
    contents: Contents | None = None
    files = size = 0
    for member in reading.members():
        files, size = files + 1, size + member.size
        if about is None:
            about = _about(path, reading, member)
        elif member.name == CONTENTS:
            contents = _told(reading, _bytes(reading, member), Contents)
        elif contents is not None:
            raise reading.damaged(f"`{member.name}` follows what should be last")
        else:
            take(member)
    if about is None or contents is None:
        raise reading.damaged("it does not say what is in it")
    take(None)
    return Written(about, contents, files, size)


def _about(path: Path, reading: Reading, member: Member) -> About:
    if member.name != ABOUT:
        raise UsageError(f"`{path}` is no backup of Echolane")
    data = _bytes(reading, member)
    found = _told(reading, data, _Format)
    if found.format > FORMAT:
        raise UsageError(_too_new(path, found.echolane, f"in format {found.format}", FORMAT))
    about = _told(reading, data, About)
    known = max(step.number for step in migrations())
    if about.tables > known:
        raise UsageError(_too_new(path, about.echolane, f"whose store has schema {about.tables}", known))
    return about


def _too_new(path: Path, version: str, what: str, known: int) -> str:
    return f"`{path}` was made by Echolane {version}, {what}; this one knows {known}: use that version or a newer one"


def _bytes(reading: Reading, member: Member) -> bytes:
    if member.size > TOLD_BYTES_MAX:
        raise reading.damaged(f"`{member.name}` is larger than any of ours")
    return b"".join(member.pieces)


def _told(reading: Reading, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise reading.damaged(f"what it says of itself cannot be read ({error})") from error


@contextmanager
def _reading(path: Path, folder: Path | None) -> Generator[Reading]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {error.strerror}") from error
    with file:
        if not file.read(4) == MAGIC:
            raise UsageError(f"`{path}` is no backup of Echolane")
        file.seek(0)
        reading = Reading(path, file, folder)
        try:
            yield reading
        finally:
            reading.close()


def _require_empty(home: Path) -> None:
    try:
        there = {path.name for path in home.iterdir()} if os.path.lexists(home) else set[str]()
    except OSError as error:
        raise UsageError(f"`{home}` cannot be a home: {error.strerror}; give another with --home") from error
    if there - (NOTHING if home.is_mount() else frozenset()):
        raise UsageError(f"`{home}` is not empty; restore into a new folder with --home, or move this one away first")


@contextmanager
def _for_its_owner() -> Generator[None]:
    """Whatever is made, also by those who are asked to, is readable by its owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _place(home: Path) -> Generator[Path]:
    """Where the home is made. What a restore has left there that was killed is removed; what is there at the end, too."""
    place = home / PLACE if home.is_mount() else home.with_name(f".{home.name}{PLACE}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise unwritable(f"`{place}`", error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HomeError(f"somebody else is restoring into `{home}`; wait until it ends") from error
        try:
            _emptied(place)
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)
    finally:
        os.close(descriptor)


def _emptied(place: Path) -> None:
    try:
        for path in place.iterdir():  # the folder itself stays: it is what is locked
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise unwritable(f"`{place}`", error) from error


def _put(place: Path, home: Path) -> None:
    """Move what was made to where it belongs: one step, but on a disk of its own, where it is one for each of a dozen names."""
    try:
        if place.parent == home:
            for path in sorted(place.iterdir()):
                path.rename(home / path.name)
            place.rmdir()
        else:
            place.rename(home)
        sync_folder(home.parent)
    except OSError as error:
        if error.errno == EBUSY:
            # A folder of the same disk that is mounted there looks like any other, and cannot be replaced.
            raise HomeError(
                f"`{home}` is where a folder is mounted; restore into the folder itself, by its own name"
            ) from error
        raise unwritable(f"the home `{home}`", error) from error
