"""One builder at a time: tests run in several processes, and each may be the first that needs a part."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTS = Path(__file__).resolve().parents[1] / ".parts"
"""Where what is built or fetched for the tests is kept."""


@contextmanager
def by_turns(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made; wait while another process builds there. Its end, however it comes, frees the lock."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
