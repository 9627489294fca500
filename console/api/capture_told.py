"""The ledgers of this home's captures as numbers for Prometheus: what was seen, what was stored, what is on its way, what was lost and why.

Gauges, since they are sums over the sessions that are kept: where an old one is forgotten they fall, and a counter that falls
would be taken for one that began anew. Ask how they changed with ``delta()``.
"""

from __future__ import annotations

from capture.account import SPOOLED, ledger_of, recorders, sessions
from console.api.access import Token
from echolane.errors import EcholaneError
from echolane.home import Home

SESSIONS_READ = 1000
"""Of one service, the newest; as many as are kept."""
DROPPED = "dropped{"


def captures(home: Home, token: Token) -> list[str]:
    """Lines of Prometheus' text format, of the services that the token sees."""
    outcomes: list[str] = []
    dropped: list[str] = []
    alive_of: list[str] = []
    for service in filter(token.sees, recorders(home)):
        total: dict[str, int] = {}
        alive = 0
        for session in sessions(home, service)[-SESSIONS_READ:]:
            try:
                counts = ledger_of(session)
            except (EcholaneError, OSError):
                continue  # it is being forgotten
            alive += session.lives
            for name, value in counts.items():
                total[name] = total.get(name, 0) + value
        label = f'service="{service}"'
        outcomes += [
            f'echolane_capture_exchanges{{{label},outcome="{name}"}} {total.get(name, 0)}'
            for name in ("seen", "stored", SPOOLED)
        ]
        dropped += [
            f'echolane_capture_dropped{{{label},reason="{name.removeprefix(DROPPED).removesuffix("}")}"}} {value}'
            for name, value in sorted(total.items())
            if name.startswith(DROPPED)
        ]
        alive_of.append(f"echolane_capture_recorders{{{label}}} {alive}")
    return [
        "# HELP echolane_capture_exchanges Exchanges of this home's captures: seen, stored, and spooled on their way.",
        "# TYPE echolane_capture_exchanges gauge",
        *outcomes,
        "# HELP echolane_capture_dropped Exchanges that were not kept, by reason; filtered, sampled and replayed ones on purpose.",
        "# TYPE echolane_capture_dropped gauge",
        *dropped,
        "# HELP echolane_capture_recorders Recorders of this home that live.",
        "# TYPE echolane_capture_recorders gauge",
        *alive_of,
    ]
