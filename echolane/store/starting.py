"""Start the store's owner in the background and hear from it how that went (for :mod:`echolane.store.client`)."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from enum import Enum
from pathlib import Path

import echolane
from echolane.errors import HomeError, StoreBusy
from echolane.up_settings import MARK

_STARTING = threading.Lock()
"""Threads of one process start one owner, not one each."""


class Outcome(Enum):
    """What came of starting an owner."""

    READY = "ready"
    BUSY = "busy"
    """Another one lives already."""
    DIED = ""
    """It ended without a word: killed, by somebody or for want of memory."""


def start_owner(home: Path, deadline: float) -> Outcome:
    """Start an owner in the background and wait, until ``deadline`` (monotonic), for its word.

    Raises:
        StoreBusy: another program has the store's files open.
        HomeError: the home cannot be used.
    """
    with _STARTING:
        # It forks into the background by itself, so the process we started ends at once and leaves no zombie behind.
        starter = subprocess.Popen(
            [sys.executable, "-P", "-m", "echolane.store.owner", str(home), "--detach"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
        with starter:
            assert starter.stdout is not None  # noqa: S101 - a pipe was asked for
            heard = _hear(starter.stdout.fileno(), deadline)
    kind, _, message = heard.strip().rpartition("\n")[2].partition(" ")
    if not message and kind in {outcome.value for outcome in Outcome}:
        return Outcome(kind)
    if kind in {"home", "busy"}:
        raise (StoreBusy if kind == "busy" else HomeError)(message)
    raise HomeError(f"the store's owner did not start: {kind} {message} (see {home / 'log' / 'store.log'})")


def _hear(descriptor: int, deadline: float) -> str:
    """What the owner says until it is ready or gone."""
    heard = b""
    while (left_s := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([descriptor], [], [], left_s)
        data = os.read(descriptor, 65_536) if readable else b""
        if not data:
            break
        heard += data
    return heard.decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """The owner must find the same Echolane that starts it, also from a checkout that is not installed.

    It belongs to no `echolane up`: it serves the whole home and ends by itself.
    """
    environ = {name: value for name, value in os.environ.items() if name != MARK}
    root = str(Path(echolane.__file__).parents[1])
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if root.endswith("site-packages") or root in known:
        return environ
    return {**environ, "PYTHONPATH": os.pathsep.join([*known, root])}
