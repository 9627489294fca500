"""Gets a flight its connections, so that all its targets can be written to at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from replayer.connection import Connection, Pool
from replayer.flight import Flight

Shoot = Callable[[Flight, Sequence[int]], None]


def connect(pools: Sequence[Pool | None], flight: Flight, indexes: Sequence[int], shoot: Shoot) -> None:
    """Take a connection to each target, or open one; ``shoot`` once all are there or have failed."""
    missing: list[int] = []
    connections, safe = flight.connections, flight.safe
    for index in indexes:
        pool = pools[index]
        connection = pool.take(safe=safe) if pool else None
        connections[index] = connection
        if connection is None:
            missing.append(index)
    if not missing:
        shoot(flight, indexes)
        return
    flight.missing = len(missing)

    def opener(index: int) -> Callable[[Connection | None, str], None]:
        def opened(connection: Connection | None, failure: str) -> None:
            flight.connections[index] = connection
            flight.failures[index] = failure
            flight.missing -= 1
            if not flight.missing:
                shoot(flight, indexes)

        return opened

    for index in missing:
        pool = pools[index]
        if pool:
            pool.open(opener(index))
