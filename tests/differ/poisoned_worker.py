"""The differ's processes with a comparison that some bodies hold up or kill: a program for tests, never imported.

    poisoned_worker.py worker|second_look HOME RUN …

Product code has no such hook; this program puts one around it and then is the process.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import sys
import time

from differ import rows, second_look, worker
from differ.compare import Compared, compare
from differ.context import Context
from echolane.exchange import Response

MEMORY = 2 << 30
SLOW_S = 0.9
"""More than the worker gives, less than the second look does."""
PATIENCE_S = 1.8


def poisoned(left: Response | str, right: Response | str, context: Context) -> Compared:
    """The real comparison, save for bodies that name a way to die, or to be slow."""
    body = b"" if isinstance(right, str) else right.body.data
    if b"poison:exit" in body:
        os._exit(7)
    if b"poison:fault" in body:
        ctypes.string_at(0)
    if b"poison:memory" in body:
        taken = []
        while True:
            taken.append(bytearray(10 << 30))
    if b"poison:loop" in body:
        while True:
            pass
    if b"poison:hold" in body:  # in one call that no handler of a signal can end
        sum(itertools.repeat(0))
    if b"poison:slow" in body:
        since = time.thread_time()
        while time.thread_time() - since < SLOW_S:
            pass
    return compare(left, right, context)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    second_look.patience = lambda _settings: PATIENCE_S
    rows.compare = poisoned
    sys.exit({"worker": worker, "second_look": second_look}[sys.argv[1]].main(sys.argv[2:]))
