"""Stands between Echolane and a copy it started: ends the whole copy when Echolane is gone, however it went.

Run as a program of its own with the standard library alone: ``python -I guard.py COMMAND``. The command runs through the shell in a
process group of its own, in the folder and environment it was given. End of file on stdin, SIGTERM or SIGINT end the group: first
SIGTERM, then SIGKILL. A kill -9 of Echolane closes the pipe too, which a signal at the death of the parent would not tell to
what the copy itself has started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
"""Orphans of the copy become children of the guard, which buries them; not every machine's first process does."""
PATIENCE_S = 3.0
"""How long a copy may take to end by itself; it has nothing to save."""
POLL_S = 0.2


def main() -> int:
    """Run the command until it ends or the leash is cut; its exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _cut)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    copy = subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], stdin=subprocess.DEVNULL, start_new_session=True)
    while copy.poll() is None:
        try:
            readable, _, _ = select.select([0], [], [], POLL_S)
            if readable and not os.read(0, 1):
                break
        except (OSError, ValueError):  # closed by a signal
            break
    end(copy)
    return copy.returncode if copy.returncode is not None else 1


def bury(copy: subprocess.Popen[bytes]) -> None:
    """Take leave of all of the group that has ended."""
    copy.poll()
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-copy.pid, os.WNOHANG)[0]:
            pass


def _cut(_number: int, _frame: object) -> None:
    """A signal cuts the leash."""
    with contextlib.suppress(OSError):
        os.close(0)


def end(copy: subprocess.Popen[bytes]) -> None:
    """End the copy's group, also what is left of it when its leader has ended."""
    deadline = time.monotonic() + PATIENCE_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(copy.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            bury(copy)
            os.killpg(copy.pid, 0)
            time.sleep(0.02)
        os.killpg(copy.pid, signal.SIGKILL)
        bury(copy)
    with contextlib.suppress(subprocess.TimeoutExpired):
        copy.wait(PATIENCE_S)


if __name__ == "__main__":
    sys.exit(main())
