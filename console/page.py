"""One self-contained HTML page per run."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from console.terminal import render


def render_page(result: Mapping[str, Any]) -> str:
    """The result as a page."""
    return f"<!doctype html><meta charset=utf-8><title>Echolane</title><pre>{escape(render(result))}</pre>"
