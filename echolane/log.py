"""Structured log events: one JSON object a line, for processes that nobody watches.

Events go to the file given at :func:`to`; before that, nowhere. Names are nouns and past participles (``recorder.started``), values
are numbers and texts of our own, never captured data.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import orjson

LOG_BYTES_MAX = 16 * 1024 * 1024
"""A log file is begun anew at this size (the former one is kept as ``.1``): a process that complains for weeks fills no disk."""

_lock = threading.Lock()
_descriptor = -1
_path: Path | None = None


def to(path: Path) -> None:
    """Write events to a file from now on; where that cannot be opened, nowhere."""
    global _path
    stop()
    with _lock:
        _path = path
        _open()


def stop() -> None:
    """Write no more events, and let go of the file."""
    global _descriptor, _path
    with _lock:
        if _descriptor >= 0:
            os.close(_descriptor)
        _descriptor, _path = -1, None


def event(name: str, **fields: object) -> None:
    """One event. A log that cannot be written is no reason to stop anything."""
    with _lock:
        if _descriptor < 0 or _path is None:
            return
        try:
            line = orjson.dumps({"at": time.time_ns(), "pid": os.getpid(), "event": name, **fields}, default=str)
            os.write(_descriptor, line + b"\n")  # one call: lines of several processes do not mix
            if os.fstat(_descriptor).st_size > LOG_BYTES_MAX:
                _path.replace(_path.with_suffix(".1"))
                os.close(_descriptor)
                _open()
        except (OSError, TypeError):  # a full disk; a value that JSON cannot hold
            pass


def _open() -> None:
    global _descriptor
    _descriptor = -1
    if _path is not None:
        try:
            _path.parent.mkdir(parents=True, exist_ok=True)
            _descriptor = os.open(_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:
            pass
