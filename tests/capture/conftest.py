"""The stage of the tests that need a real sidecar, and the desk of those of the spool."""

from __future__ import annotations

from tests.capture.spool_parts import open_desk
from tests.e2e.conftest import world

__all__ = ["open_desk", "world"]
