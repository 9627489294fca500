"""How far a replay is: a bar with rate and time left on stderr, on a terminal only. :mod:`console.conduct` feeds it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

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

REDRAWS_PER_S = 8
"""Enough to look alive; each redraw costs the firing process about a millisecond."""


class RateColumn(ProgressColumn):
    """Exchanges per second over the last half minute."""

    def render(self, task: Task) -> Text:
        """``1,204/s``."""
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f}/s", style="progress.data.speed")


class Progress:
    """A context that shows how far the replay is; silent where nobody watches."""

    def __init__(self, console: Console | None = None, label: str = "replaying") -> None:
        self._console = console or Console(stderr=True)
        self._label = label
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def __repr__(self) -> str:
        return f"<Progress {self._label}, {'shown' if self._bar else 'silent'}>"

    def __enter__(self) -> Self:
        if self._console.is_terminal:
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
        if self._bar is not None:
            description = f"{self._label}, {told}" if told else self._label
            self._bar.update(self._task, completed=done, total=total, description=description)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
