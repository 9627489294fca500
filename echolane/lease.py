"""A lease is a locked file: held while its process lives, free the moment that process dies, however it died."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from echolane.errors import HomeError, unwritable

LOOKS, LOOK_S = 9, 0.001
"""Who asks whether a lease is held has it for some microseconds, or until the machine goes on with it: one look is not enough to tell that
somebody has. Each pause is twice as long as the one before: a quarter of a second in all, which nobody notices who is refused."""


@contextmanager
def held(path: Path, what: str) -> Generator[None]:
    """Hold the lease at ``path`` until the block ends; HomeError names the process that holds it already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(f"`{path}`", error) from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise HomeError(f"{what} is in the hands of process {holder}; wait until it ends") from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except OSError as error:
            raise unwritable(f"`{path}`", error) from error
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """BlockingIOError where somebody else has it, and keeps it."""
    for look in range(LOOKS - 1):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_S * 2**look)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lease at ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(
            descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB
        )  # shared: two who ask do not take each other for a holder
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def tell_holder(path: Path, number: signal.Signals) -> bool:
    """Send a signal to the process that holds the lease at ``path``; False where none does, or it has not said yet who it is."""
    try:
        pid = int(path.read_text("ascii"))
        process = os.pidfd_open(pid)
    except (OSError, ValueError, OverflowError):
        return False
    try:
        # Whoever it is, it cannot be another one now; and it holds the lease after it was taken hold of.
        if not is_held(path) or path.read_text("ascii") != str(pid):
            return False
        signal.pidfd_send_signal(process, number)
    except OSError:
        return False
    finally:
        os.close(process)
    return True
