"""Signs of life of this process, for who started it and looks whether it stands still (:mod:`console.up_signs`).

A sign is one byte in a pipe. Nobody waits for it: where nobody reads, or nobody has asked for signs, it is not given.
"""

from __future__ import annotations

import contextlib
import os
import time

EVERY_S = 1.0
"""How often a loop says that it turns."""
LONG_TIMES = 10
"""So many times longer than a turn of a loop may take what is announced as long: waits for journal and store, and the close of a run."""
TURNS, LONG = b".", b"L"

_descriptor = -1
_given: tuple[bytes, float] = (b"", 0.0)


def to(descriptor: int) -> None:
    """Give signs there from now on. What this process starts does not inherit it: its signs would be taken for ours."""
    global _descriptor
    os.set_inheritable(descriptor, False)
    os.set_blocking(descriptor, False)
    _descriptor = descriptor


def is_watched() -> bool:
    """Whether somebody asked for signs."""
    return _descriptor >= 0


def sign(*, long: bool = False) -> None:
    """The loop turns; or what begins now may take ``LONG_TIMES`` as long."""
    global _given
    if _descriptor < 0:
        return
    kind, now = LONG if long else TURNS, time.monotonic()
    if kind == _given[0] and now - _given[1] < EVERY_S / 2:
        return  # a loop may turn many times a second
    _given = kind, now
    with contextlib.suppress(OSError):  # full, as who reads stands still itself; or it is gone
        os.write(_descriptor, kind)
