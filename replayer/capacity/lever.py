"""The seam: what turns the load of one target up and down. The evaluation knows nothing else of it.

The lever of this room fires a recording at a rate (:mod:`replayer.capacity.rate`). A lever that shifts the weight of live traffic to one
instance measures the same signals from that instance's metrics, and its ``rest`` gives the weight back.
"""

from __future__ import annotations

from typing import Protocol

from replayer.capacity.rules import Interval


class Lever(Protocol):
    """Turns load."""

    @property
    def unit(self) -> str:
        """What a level counts, for a person: ``requests/s``."""
        ...

    async def hold(self, level: float, seconds: float) -> Interval:
        """Keep this level for one interval and say what was measured; it may end sooner when a rule is broken for certain."""
        ...

    async def rest(self) -> str:
        """No load of ours; returns when the target is done with what it had, or why it is taken for dead. May be called at any time."""
        ...

    def release(self) -> None:
        """No load of ours from this instant, without waiting for anything: the hand that lets go when we are interrupted."""
        ...
