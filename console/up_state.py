"""How the parts of an `echolane up` are, as it writes it down in ``HOME/up/parts.json`` and the server reads it for its probes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import msgspec

from echolane.home import Home
from echolane.up_settings import MARK

STARTING, UP, STILL, WAITING, HELD = "starting", "up", "still", "waiting", "held"
DRAINING, ENDED = "draining", "ended"


class PartState(msgspec.Struct, frozen=True):
    """One part."""

    name: str
    state: str
    """starting, up, still (no sign of life), waiting (it died and is started again), held (it died too often), draining or ended."""
    since_ns: int
    pid: int = 0
    restarts: int = 0
    why: str = ""
    """How it ended last."""
    service: str = ""
    """That it records."""


class UpState(msgspec.Struct, frozen=True):
    """All parts of one `echolane up`."""

    mark: str
    pid: int
    parts: list[PartState]


def write_state(home: Home, state: UpState) -> None:
    """Put it in the place of the one before. A disk that is full is no reason to stop anything."""
    path = home.path / "up" / "parts.json"
    part = path.with_suffix(".part")
    with contextlib.suppress(OSError):
        part.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
        part.replace(path)


def own_parts(home: Home) -> Sequence[PartState]:
    """The parts of the `echolane up` that this process is a part of; none where it is none."""
    mark = os.environ.get(MARK)
    if not mark:
        return []
    try:
        state = msgspec.json.decode((home.path / "up" / "parts.json").read_bytes(), type=UpState)
    except (OSError, msgspec.DecodeError):
        return []
    return state.parts if state.mark == mark else []
