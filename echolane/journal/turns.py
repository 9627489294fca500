"""Taking turns between processes: a locked file that names its holder and is free the moment that process dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from echolane.errors import HomeError

TURN_WAIT_S = 10.0
"""How long one waits for a turn: a commit takes milliseconds, so ten seconds mean that the holder hangs."""
_POLL_S = 0.001


@contextmanager
def turn(path: Path, what: str, wait_s: float | None = None) -> Generator[None]:
    """Hold the lock at ``path`` for the block; HomeError names the process that does not give it up, in TURN_WAIT_S or ``wait_s``."""
    # Opened anew each time: a lock belongs to the open file, and one inherited by a forked child would exclude nobody.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_locked(descriptor, what, TURN_WAIT_S if wait_s is None else wait_s)
        try:
            try:
                os.pwrite(descriptor, f"{os.getpid():<15}\n".encode(), 0)
            except OSError:
                pass  # a full disk; the lock holds, it only cannot tell whose it is
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _wait_locked(descriptor: int, what: str, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise HomeError(
                    f"{_holder(descriptor)} has been writing {what} for {wait_s:.0f} s; look at it, or end it"
                ) from error
            time.sleep(_POLL_S)
        else:
            return


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 16, 0).decode("ascii", "replace").strip("\0 \n")
    if not pid.isdigit():
        return "another process"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    command = " ".join(b" ".join(words).decode("utf-8", "replace").split())
    return f"process {pid} (`{''.join(char for char in command if char.isprintable())[:80]}`)"
