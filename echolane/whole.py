"""Files that are on the disk whole or not at all, whatever is killed in the middle."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from echolane.errors import unwritable

_NOT_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
"""What a file system says that has no files without a name."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Put a file in the place of the one before, and return when the disk has it. ``mode``: as for :func:`os.open`.

    One writer at a time: the text is written beside it, under the name with ``.part`` for its last ending.

    Raises:
        HomeError: the disk takes no more, or the folder is not ours to write.
    """
    part = path.with_suffix(".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error


@contextmanager
def whole_file(path: Path) -> Generator[BinaryIO]:
    """A file of any size to write to, readable by its owner alone; it replaces what is at ``path`` when the block ends well.

    While it is written it has no name, so nothing of it is left by whoever is killed; where the file system has no such files, its
    name begins with a dot and ends with ``.part``.

    Raises:
        OSError: the disk takes no more, or the folder is not ours to write; then nothing is left.
    """
    part = path.with_name(f".{path.name}.part")
    named = False
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
    except OSError as error:
        if error.errno not in _NOT_NAMELESS:
            raise
        part.unlink(missing_ok=True)  # of somebody who was killed, or had others read what is written here
        descriptor, named = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), True
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            yield file
            file.flush()
            os.fsync(descriptor)
            if not named:
                part.unlink(missing_ok=True)  # of somebody who was killed between this step and the next
                _name(descriptor, part)
                named = True
        part.replace(path)
        sync_folder(path.parent)
    except BaseException:
        if named:
            part.unlink(missing_ok=True)
        raise


def _name(descriptor: int, path: Path) -> None:
    """Give an open file its name."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # With a folder given, the system's call is told to follow the link that stands for the open file; without, it is not.
        os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def sync_folder(folder: Path) -> None:
    """That a file is there, or has its name, is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
