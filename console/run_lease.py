"""The lease of a run, which is not taken while somebody's data is erased: a run holds copies of what is to leave.

Who erases takes its own lease first and then looks for those of runs (:mod:`console.erasing`); a run takes its own first and then looks for
that one. So of two that begin at once, one at least sees the other.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from console.output import say
from echolane.errors import HomeError
from echolane.home import Home
from echolane.lease import held, is_held

WAIT_S = 600.0
"""An erasure goes through all that is in the home, a gigabyte in half a minute; one that takes longer than this is told."""
LOOK_S = 0.5


def erasing_lease(home: Home) -> Path:
    """Held while somebody erases."""
    return home.path / "erasures" / "lock"


def whole_lease(home: Home) -> Path:
    """Held while somebody erases or makes a backup, each of which excludes the other; runs go on beside a backup."""
    return home.path / "erasures" / "whole.lock"


@contextmanager
def run_held(home: Home, run: str) -> Generator[None]:
    """Hold the lease of a run, once nobody erases.

    Raises:
        HomeError: another process holds it, or an erasure does not end.
    """
    deadline, told = time.monotonic() + WAIT_S, False
    while True:
        with held(home.runs / f"{run}.lock", f"run {run}"):
            if not is_held(erasing_lease(home)):
                yield
                return
        # Given back while it waits: the next erasure of the same command would take it for a run that goes on.
        if time.monotonic() > deadline:
            raise HomeError(
                f"somebody's data has been erased from this home for {WAIT_S:.0f} s, and no run begins meanwhile; try again later"
            )
        if not told:
            told = True
            say("somebody's data is being erased from this home; the run begins when that is done")
        time.sleep(LOOK_S)
