"""Recordings: a chosen set of exchanges of one service, as ranges of the journal.

A recording is a few numbers in ``HOME/recordings/ID.json``; the exchanges stay where they are. ``import`` makes one of what it
stored, ``recordings add`` one of a window of time, and a run without a selection takes everything of its service.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from echolane.errors import UsageError
from echolane.journal import Journal

RECORDINGS_MAX = 10_000
"""Files looked at when listing; far above what a person keeps, and it bounds `recordings` on a damaged home."""
_ID = re.compile(r"[0-9a-f-]{8,36}")


class Range(msgspec.Struct, frozen=True):
    """Positions ``start`` to ``stop`` (exclusive) of one partition."""

    partition: int
    start: int
    stop: int


class Recording(msgspec.Struct, frozen=True):
    """A set of exchanges: every frame of ``ranges``, and of those the exchanges that carry ``tags``."""

    id: str
    service: str
    created_at_ns: int
    source: str
    """In words: ``everything``, ``last 30m``, ``import of traffic.har``."""
    ranges: list[Range]
    tags: dict[str, str] = {}
    exchanges: int | None = None
    """How many, where that was counted."""


def topic_of(service: str) -> str:
    """The topic of a service's exchanges."""
    return f"exchanges.{service}"


def everything(journal: Journal, service: str, *, id: str, now_ns: int, since_ns: int | None = None) -> Recording:  # noqa: A002
    """All that is recorded of a service, or what was appended since ``since_ns`` (wall clock)."""
    topic = topic_of(service)
    if topic not in journal.topics():
        known = sorted(name.removeprefix("exchanges.") for name in journal.topics() if name.startswith("exchanges."))
        hint = f"recorded here: {', '.join(known)}" if known else "nothing has been recorded in this home"
        raise UsageError(f"service `{service}` has no recording; {hint}")
    ranges = [
        Range(
            partition,
            journal.position_at(topic, partition, since_ns) if since_ns is not None else 0,
            journal.end(topic, partition),
        )
        for partition in range(journal.partitions(topic))
    ]
    return Recording(id, service, now_ns, "everything" if since_ns is None else "a window", ranges)


def save(folder: Path, recording: Recording) -> None:
    """Write a recording where :func:`load` finds it, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{recording.id}.part"
    part.write_bytes(msgspec.json.encode(recording))
    part.replace(folder / f"{recording.id}.json")


def load(folder: Path, id: str) -> Recording:  # noqa: A002
    """The recording of that id; UsageError when there is none."""
    path = folder / f"{id}.json"
    if not _ID.fullmatch(id) or not path.is_file():
        raise UsageError(f"there is no recording `{id}`; `echolane recordings` lists them")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recording)
    except msgspec.DecodeError as error:
        raise UsageError(f"recording `{id}` cannot be read ({error}); remove {path}") from error


def is_kept(folder: Path, recording: Recording) -> bool:
    """Whether somebody chose it to last: then its frames should be there still, all of them."""
    return (folder / f"{recording.id}.json").is_file()


def listed(folder: Path) -> list[Recording]:
    """All recordings, oldest first; unreadable files are left out (``doctor`` names them)."""
    found: list[Recording] = []
    for path in sorted(folder.glob("*.json"))[:RECORDINGS_MAX]:
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Recording))
        except (OSError, msgspec.DecodeError):
            continue
    return sorted(found, key=lambda recording: recording.created_at_ns)


def unreadable(folder: Path) -> list[Path]:
    """The files of recordings that :func:`listed` leaves out."""
    found: list[Path] = []
    for path in sorted(folder.glob("*.json"))[:RECORDINGS_MAX]:
        try:
            msgspec.json.decode(path.read_bytes(), type=Recording)
        except (OSError, msgspec.DecodeError):
            found.append(path)
    return found
