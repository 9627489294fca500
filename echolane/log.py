"""Structured log events: one JSON object a line, for processes that nobody watches.

Events go to the stream or file given at :func:`to`; before that, nowhere. Names are nouns and past participles
(``recorder.started``), values are numbers and texts of our own, never captured data.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TextIO

import orjson

LOG_BYTES_MAX = 16 * 1024 * 1024
"""A log file is begun anew at this size (the former one is kept as ``.1``): a process that complains for weeks fills no disk."""

_lock = threading.Lock()
_sink: TextIO | None = None
_path: Path | None = None


def to(path: Path) -> None:
    """Write events to a file from now on."""
    global _sink, _path
    with _lock:
        path.parent.mkdir(parents=True, exist_ok=True)
        _path, _sink = path, path.open("a", encoding="utf-8", buffering=1)


def event(name: str, **fields: object) -> None:
    """One event. A log that cannot be written is no reason to stop anything."""
    global _sink
    with _lock:
        if _sink is None:
            return
        line = orjson.dumps({"at": time.time_ns(), "pid": os.getpid(), "event": name, **fields}, default=str).decode()
        try:
            _sink.write(line + "\n")
            if _path is not None and _sink.tell() > LOG_BYTES_MAX:
                _sink.close()
                _path.replace(_path.with_suffix(".1"))
                _sink = _path.open("a", encoding="utf-8", buffering=1)
        except (OSError, ValueError):
            _sink = None
