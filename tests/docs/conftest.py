"""The stage of the tests of the whole, for the tutorial."""

from __future__ import annotations

from tests.e2e.conftest import world

__all__ = ["world"]
