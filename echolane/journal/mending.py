"""What is left lying about in a journal of SQLite files, and setting it right. For ``echolane doctor`` and its ``--repair``.

An index that is damaged is made anew by whoever opens it (:mod:`echolane.journal.index`), and frames that cannot be read are set aside
by whoever meets them. Left for here are files without an owner, and a topic whose name's file is damaged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from echolane.checks import BAD, WARN, Check
from echolane.errors import unwritable
from echolane.journal.ends import CELL_BYTES
from echolane.journal.limits import PARTITIONS_MAX
from echolane.journal.sqlite import NAME, TopicSpec, fsync, turn_of_topics

_FILES = ("index.db.damaged", "index.db.new", "index.db.new-wal", "index.db.new-shm")


class Left(NamedTuple):
    """Something without an owner."""

    path: Path
    what: str


def examine(folder: Path, *, repair: bool) -> Iterator[Check]:
    """What is wrong with the files of a journal; with ``repair`` it is set right, and said so."""
    if not folder.is_dir():
        return
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        spec = _spec(place)
        if spec is None and (place / NAME).exists():
            yield (
                _named_anew(folder, place)
                if repair
                else Check(
                    f"journal {place.name}",
                    BAD,
                    f"{place / NAME} is damaged, so the topic cannot be opened",
                    "echolane doctor --repair makes it anew from the topic's files",
                )
            )
            continue
        for left in _left(place, spec):
            yield (
                _removed(folder, left)
                if repair
                else Check(
                    f"journal {place.name}", WARN, f"{left.path} is {left.what}", "echolane doctor --repair removes it"
                )
            )


def _spec(place: Path) -> TopicSpec | None:
    try:
        return msgspec.json.decode((place / NAME).read_bytes(), type=TopicSpec)
    except (OSError, msgspec.DecodeError):
        return None


def _left(place: Path, spec: TopicSpec | None) -> Iterator[Left]:
    if spec is None:
        yield Left(place, "left by a process that died while it made or removed the topic")
        return
    for path in sorted(place.iterdir()):
        if path.is_dir() and path.name != spec.folder:
            yield Left(path, "left by a process that died while it made or removed a topic of that name")
    for name in _FILES:
        if (path := place / spec.folder / name).exists():
            yield Left(path, "left from when the index was made anew")


def _removed(folder: Path, left: Left) -> Check:
    with turn_of_topics(folder):  # whoever makes or removes a topic has the turn, so nobody is at it now
        place = left.path if left.path.parent == folder else folder / left.path.relative_to(folder).parts[0]
        still = left.path.exists() and (left.path != place or not (place / NAME).exists())
        try:
            if still and left.path.is_dir():
                shutil.rmtree(left.path)
            elif still:
                left.path.unlink()
        except OSError as error:
            raise unwritable(f"`{left.path}`", error) from error
    return Check(f"journal {place.name}", WARN, f"{left.path} was {left.what}; it was removed")


def _named_anew(folder: Path, place: Path) -> Check:
    """The name's file says where a topic's files are and how many partitions it has; its files say the same."""
    check = f"journal {place.name}"
    folders = [path for path in place.iterdir() if (path / "ends").is_file()]
    sizes = [(path / "ends").stat().st_size // CELL_BYTES - 1 for path in folders]
    if len(folders) != 1 or not 0 < sizes[0] <= PARTITIONS_MAX:
        words = f"{place / NAME} is damaged, and {len(folders)} folders beside it could be the topic's"
        return Check(check, BAD, words, "restore it from a copy, or remove the folder and lose the topic")
    spec = TopicSpec(sizes[0], folders[0].name, folders[0].stat().st_ctime_ns)
    with turn_of_topics(folder):
        part = place / "topic.part"
        try:
            part.write_bytes(msgspec.json.encode(spec))
            fsync(part)
            part.rename(place / NAME)
            fsync(place)
        except OSError as error:
            raise unwritable(f"`{part}`", error) from error
    return Check(check, WARN, f"{place / NAME} was damaged; it was made anew: {spec.partitions} partitions")
