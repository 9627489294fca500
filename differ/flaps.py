"""Which statuses come now and then in a run, and which changes they may excuse. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from differ.gathering import SIGNATURES_MAX

OVERLOADED = frozenset(("429", "502", "503", "504"))
"""Statuses by which a service, or who stands before it, says that it cannot answer now (RFC 9110, RFC 6585)."""


def flapping(changes: Iterable[str]) -> frozenset[str]:
    """The statuses that come now and then; of one that does and one of success, it is the other that is the exception.

    Whoever is overloaded says so now in one way and now in another.
    """
    statuses = {status for change in changes for status in change.split(">")}
    found = frozenset(status for status in statuses if not status.startswith("2")) or frozenset(statuses)
    return found if found.isdisjoint(OVERLOADED) else found | OVERLOADED


def unlike(signatures: Sequence[str] | set[str], flaps: frozenset[str]) -> bool:
    """Whether versions flap in a run, and none of the statuses of these changes is one that comes now and then."""
    if not flaps or not signatures or len(signatures) >= SIGNATURES_MAX:
        return False
    return flaps.isdisjoint(status for text in signatures for status in text.rpartition(":")[2].split(">"))
