"""Ports for processes of tests and benchmarks, each given once: nobody else is given one between its choice and the process that listens on it."""

from __future__ import annotations

import os
import random
import re
import socket
from collections.abc import Iterator

LOWEST, HIGHEST = 12_000, 32_000
"""Below what Linux gives to clients' connections (``ip_local_port_range``), of which some thousand come and go while a process starts."""
TURNS = 16
"""Processes of one test run, each with every sixteenth port."""


def _numbers() -> Iterator[int]:
    """All ports of this process, round and round, from anywhere: another test run on this machine begins elsewhere."""
    place = re.search(r"\d+", os.environ.get("PYTEST_XDIST_WORKER", ""))
    mine = range(LOWEST + (int(place[0]) if place else 0) % TURNS, HIGHEST, TURNS)
    at = random.SystemRandom().randrange(len(mine))
    while True:
        yield mine[at % len(mine)]
        at += 1


_NUMBERS = _numbers()


def free_port() -> int:
    """A port that nobody listens on, and that nobody else is given meanwhile."""
    for port in _NUMBERS:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("there is always a next one")
