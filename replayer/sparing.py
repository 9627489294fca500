"""Which targets get an exchange, and why the others are spared: controls cost load, and writes reach only instances of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from replayer.flight import PLACES, Flight
from replayer.parts import Sampling, every
from replayer.targets import Target

CONTROLS = (1, 3)


class Sparing:
    """Decides it for one exchange after the other."""

    def __init__(self, targets: Sequence[Target | None], sampling: Sampling) -> None:
        self._present = [index for index, target in enumerate(targets) if target is not None]
        self._twins = [i for i in CONTROLS if (target := targets[i]) is not None and not target.own_instance]
        """Controls that are the same process as their version."""
        self._sampling = sampling
        self.uneven = bool(self._twins) or sampling is not every
        """Whether some flights leave targets out."""
        self._nth: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Sparing of {len(self._present)} targets>"

    def whom(self, flight: Flight) -> list[int]:
        """The targets that get this flight; decided when it is first asked."""
        if flight.whom is None:
            flight.whom = self._decided(flight)
        return flight.whom

    def _decided(self, flight: Flight) -> list[int]:
        """The others are spared, with the reason."""
        indexes = self._present
        reason = ""
        spare: Sequence[int] = ()
        if not flight.safe:
            reason, spare = "unsafe", self._twins
        elif self._sampling is not every:
            endpoint = flight.item.endpoint
            if not self._sampling(endpoint, self._nth[endpoint]):
                reason, spare = "sampled", CONTROLS
            self._nth[endpoint] += 1
        if len(indexes) < PLACES:
            flight.spared = ["" if i in indexes else "sampled" for i in range(PLACES)]
        if not spare:
            return indexes
        for index in spare:
            flight.spared[index] = reason
        return [index for index in indexes if index not in spare]


__all__ = ["CONTROLS", "Sparing"]
