"""What is left of an `echolane up`, and the guard that sees to it when that is killed: ``python -P -m console.up_guard ID DRAIN_S LOG``.

Every process that an `echolane up` starts, and what those start, carries its mark in the environment (``ECHOLANE_UP=ID:HOME``), whatever
session or group it goes into and whoever its parent has become. So the whole tree is found by one look at ``/proc``; groups would miss the
processes with sessions of their own, and a pipe or a signal at the parent's death reaches none that hangs.

The guard itself has no mark. It hears from its `echolane up` by a pipe: a word when that ends in good order, end of file when it was killed.
Then the parts have been told by the kernel (:mod:`console.up_part`) and drain; what outlasts the time for that is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from echolane import log
from echolane.up_settings import MARK

OVER = b"over\n"
"""The word of an `echolane up` that has ended in good order."""
LOOK_S = 0.2
KILLING_S = 10.0
"""For which the guard goes on killing: what the kernel does not let go of, nobody can end."""


def mark_of(id: str, home: Path) -> str:  # noqa: A002
    """The value that tells a tree's processes from all others."""
    return f"{id}:{os.path.realpath(home)}"


def marked(mark: str) -> list[int]:
    """Living processes of this user, but for this one, with this mark; one that begins with ``:`` is that of any `echolane up` of a home."""
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return sorted(pid for pid in pids if pid != os.getpid() and _carries(pid, mark))


def _carries(pid: int, mark: str) -> bool:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()  # of a zombie it is empty
    except OSError:
        return False
    wanted = os.fsencode(mark)
    name = f"{MARK}=".encode()
    given = next((item.removeprefix(name) for item in environ.split(b"\0") if item.startswith(name)), None)
    return given is not None and (given.endswith(wanted) if mark.startswith(":") else given == wanted)


def _orphans(mark: str) -> list[int]:
    """Processes with a mark that nobody tells to end: what started them is gone, and parts hear from the kernel or from `echolane up`."""
    pids = marked(mark)
    return [pid for pid in pids if not _is_part(pid) and _parent(pid) not in pids]


def _is_part(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"console.up_part" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0


def _signal(pids: list[int], mark: str, number: signal.Signals) -> list[int]:
    """Send a signal to those of these processes that still are there and have the mark; which those were."""
    told: list[int] = []
    for pid in pids:
        with contextlib.suppress(OSError):
            process = os.pidfd_open(pid)
            try:
                if _carries(pid, mark):  # still the same one: its number is not given to another while we hold it
                    signal.pidfd_send_signal(process, number)
                    told.append(pid)
            finally:
                os.close(process)
    return told


def kill_marked(mark: str) -> list[int]:
    """Kill all processes with a mark; which those were."""
    return _signal(marked(mark), mark, signal.SIGKILL)


def _no() -> bool:
    return False


def see_off(mark: str, seconds: float, given_up: Callable[[], bool] = _no) -> list[int]:
    """Wait until all processes with a mark have ended, and kill those that have not after so long; which those were.

    A run whose server was killed is told to end, once: it closes what it has, and can be gone on with.
    Nothing is done any more once it is given up.
    """
    deadline, told = time.monotonic() + seconds, set[int]()
    while marked(mark) and time.monotonic() < deadline and not given_up():
        told.update(_signal([pid for pid in _orphans(mark) if pid not in told], mark, signal.SIGTERM))
        time.sleep(LOOK_S)
    killed: list[int] = []
    deadline = time.monotonic() + KILLING_S
    # Again and again: one may have been starting another.
    while not given_up() and (now := kill_marked(mark)) and time.monotonic() < deadline:
        killed += [pid for pid in now if pid not in killed]
        time.sleep(LOOK_S)
    return killed


def main(mark: str, drain_s: float, log_path: Path) -> int:
    """Wait for the end of an `echolane up`, and see off what it leaves when it was killed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with what it guards
    heard = b""
    while data := os.read(0, 64):
        heard = (heard + data)[-len(OVER) :]
    if heard == OVER:
        return 0
    log.to(log_path)
    left = marked(mark)
    log.event("up.died", left=left)
    log.event("up.seen-off", killed=see_off(mark, drain_s))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])))
