"""The stage of the tests that need a real sidecar."""

from __future__ import annotations

from tests.e2e.conftest import world

__all__ = ["world"]
