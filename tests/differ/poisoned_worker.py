"""The differ's worker with a comparison that some bodies kill: a program for the tests of dead letters, never imported.

Product code has no such hook; this program puts one around it and then is the worker.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from differ import rows, worker
from differ.compare import Compared, compare
from differ.context import Context
from echolane.exchange import Response

MEMORY = 2 << 30


def poisoned(left: Response | str, right: Response | str, context: Context) -> Compared:
    """The real comparison, save for bodies that name a way to die."""
    body = b"" if isinstance(right, str) else right.body.data
    if b"poison:exit" in body:
        os._exit(7)
    if b"poison:fault" in body:
        ctypes.string_at(0)
    if b"poison:memory" in body:
        taken = []
        while True:
            taken.append(bytearray(256 << 20))
    if b"poison:loop" in body:
        while True:
            pass
    return compare(left, right, context)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    worker.patience = lambda _settings: 0.3
    rows.compare = poisoned
    sys.exit(worker.main(sys.argv[1:]))
