"""The other parts of the `echolane up` that a server is a part of, for its probes and its metrics."""

from __future__ import annotations

from console.api.access import Token
from console.up_state import UP, own_parts
from echolane.home import Home


def parts_lacking(home: Home) -> int:
    """How many parts are not up. Which ones, ``HOME/up/parts.json`` tells, and the metrics: probes show no token."""
    return sum(part.state != UP and part.name != "api" for part in own_parts(home))


def parts_told(home: Home, token: Token) -> list[str]:
    """Lines for Prometheus, of parts that record what the token sees, or no one service; none outside of an `echolane up`."""
    parts = [part for part in own_parts(home) if not part.service or token.sees(part.service)]
    if not parts:
        return []
    return [
        "# HELP echolane_up_part_up Whether a part of `echolane up` is up.",
        "# TYPE echolane_up_part_up gauge",
        *(f'echolane_up_part_up{{part="{part.name}"}} {int(part.state == UP)}' for part in parts),
        "# HELP echolane_up_part_restarts_total How often it was started again.",
        "# TYPE echolane_up_part_restarts_total counter",
        *(f'echolane_up_part_restarts_total{{part="{part.name}"}} {part.restarts}' for part in parts),
    ]
