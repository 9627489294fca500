"""Pushes on the disk: ``HOME/hooks/pushes.log`` (:mod:`console.api.line_log`)."""

from __future__ import annotations

from console.api.line_log import LineLog
from console.api.pushes import Book, Change
from echolane.home import Home


class PushLog(LineLog[Book, Change]):
    """The file of one home."""

    def __init__(self, home: Home) -> None:
        super().__init__(home.path / "hooks" / "pushes.log", Book, Change, "all pushes")
