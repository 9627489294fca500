"""Whom the firing tells and asks: the observer and the intents of a run, or what stands in for them where nothing is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from echolane.observation import Observation
from replayer.flight import Flight


class Taking(Protocol):
    """Who is told what came of each flight (:class:`replayer.observing.Observer` writes it down)."""

    full: bool

    def take(self, flight: Flight) -> None:
        """It has landed."""
        ...

    def add(self, observation: Observation, size: int = 0) -> None:
        """Nothing more is to come of it."""
        ...


class Asking(Protocol):
    """Who is asked before an unsafe request is fired (:class:`replayer.intents.Intents` asks the journal)."""

    def ask(self, exchange: str, indexes: Sequence[int], attempt: int, granted: Callable[[bool], None]) -> None:
        """Ask whether it may be fired at these targets."""
        ...
