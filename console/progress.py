"""How far a replay is: a bar with rate and time left on a terminal, lines of JSON for programs; on stderr.

:mod:`console.conduct` feeds it.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import orjson
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress as Bar,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from console.output import say

REDRAWS_PER_S = 8
"""Enough to look alive; each redraw costs the firing process about a millisecond."""


LINES_EVERY_S = 0.5
"""A program that reads lines wants to be told within two seconds, and a run of an hour should not fill a disk with them."""


class RateColumn(ProgressColumn):
    """Exchanges per second over the last half minute."""

    def render(self, task: Task) -> Text:
        """``1,204/s``."""
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f}/s", style="progress.data.speed")


class Progress:
    """A context that shows how far the replay is; silent where nobody watches."""

    def __init__(self, console: Console | None = None, label: str = "replaying", *, lines: bool = False) -> None:
        self._console = console or Console(stderr=True)
        self._lines, self._told_at = lines, 0.0
        self._label = label
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def __repr__(self) -> str:
        return f"<Progress {self._label}, {'shown' if self._bar else 'silent'}>"

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._lines:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                RateColumn(),
                TimeRemainingColumn(compact=True),
                console=self._console,
                refresh_per_second=REDRAWS_PER_S,
                transient=True,
            )
            self._task = self._bar.add_task(self._label, total=None)
            self._bar.start()
        return self

    def update(self, done: int, total: int, told: str = "") -> None:
        """So many of so many are done, and what is known so far."""
        if self._lines and (time.monotonic() - self._told_at >= LINES_EVERY_S or done == total):
            self._told_at = time.monotonic()
            say(orjson.dumps({"done": done, "total": total, "told": told}).decode())
        if self._bar is not None:
            description = f"{self._label}, {told}" if told else self._label
            self._bar.update(self._task, completed=done, total=total, description=description)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
