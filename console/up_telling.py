"""What `echolane up` says: by a thread of its own, so that a terminal that stands still, or is gone, never holds up who keeps the parts."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time

LINES_MAX = 1000
"""Lines that wait while nobody takes them, 4 MB at most; then the newer ones are lost, and it is said how many."""
FLUSH_S = 2.0
"""For what was said last, at the end."""
POLL_S = 0.01

_lines: queue.Queue[str] = queue.Queue(LINES_MAX)
_lost = 0
_thread: threading.Thread | None = None
"""Of this process: there is one stderr."""


def tell(text: str) -> None:
    """One line on stderr, soon. From the main thread only."""
    global _lost, _thread
    if _thread is None:
        _thread = threading.Thread(target=_write_all, name="telling", daemon=True)
        _thread.start()
    try:
        _lines.put_nowait(text)
    except queue.Full:
        _lost += 1


def flush() -> None:
    """Wait until all is said, but not for a terminal that takes nothing."""
    deadline = time.monotonic() + FLUSH_S
    while _lines.unfinished_tasks and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _write_all() -> None:
    global _lost
    while True:
        text = _lines.get()
        lost, _lost = _lost, 0
        note = f"({lost} lines were not shown: nobody took them)\n" if lost else ""
        # Not through sys.stderr: its lock, held by a thread that waits for ever, would end the process badly.
        data = f"{note}{text}\n".encode("utf-8", "replace")
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(2, data) :]
        _lines.task_done()
