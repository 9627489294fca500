"""Waiting for what must come: by its state, never by guessing how long it takes, for a machine may stand still for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(come: Callable[[], object], seconds: float = 180.0) -> None:
    """Wait for a condition; three minutes are far more than anything here takes, even beside a suite on two busy cores."""
    deadline = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
