"""Files that are on the disk whole or not at all, whatever is killed in the middle."""

from __future__ import annotations

import os
from pathlib import Path

from echolane.errors import unwritable


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


def sync_folder(folder: Path) -> None:
    """That a file is there, or has its name, is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
