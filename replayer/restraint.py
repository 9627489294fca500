"""A target that asks for time: 429 or 503 with ``Retry-After`` (RFC 9110 §10.2.3), honoured within bounds. Pure.

All firing waits, since targets are fired at together. A safe request that was answered so is fired again afterwards, a few times at most;
a write never is. What the recording was answered so, too, is no request for time but the answer that was expected. All
instants are monotonic: a date in ``Retry-After`` is read against the answer's own ``Date``, so no clock of ours is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

from echolane.exchange import Headers
from echolane.observation import TARGETS

BUSY = frozenset({429, 503})
AGAIN_MAX = 3
"""Times that one exchange is fired again: a version that answers a route so each time is broken there, and that is its answer."""
WAIT_ALL_S = 300.0
"""What is waited for one target in all: beyond, its answers stand, and the run goes on."""


@dataclass(slots=True)
class Asked:
    """What one target asked for in a run."""

    times: int = 0
    waited_s: float = 0.0
    longest_s: float = 0.0
    again: int = 0
    """Requests fired again."""


@dataclass(slots=True)
class Restraint:
    """How long nothing is fired, because a target asked for it."""

    wait_max_s: float
    """The longest single wait; 0 honours none."""
    until_ns: int = 0
    """Nothing is fired before."""
    asked: list[Asked] = field(default_factory=lambda: [Asked() for _ in TARGETS])

    def __repr__(self) -> str:
        return f"<Restraint {sum(one.times for one in self.asked)} times asked>"

    def heard(self, index: int, headers: Headers, recorded: int, now_ns: int) -> bool:
        """A target is busy; whether it is given time, and its safe request goes out again."""
        if recorded in BUSY:
            return False
        seconds = retry_after(headers)
        one = self.asked[index]
        if seconds is None or not self.wait_max_s or one.waited_s >= WAIT_ALL_S:
            return False
        one.times += 1
        one.longest_s = max(one.longest_s, seconds)
        wait_s = min(seconds, self.wait_max_s, WAIT_ALL_S - one.waited_s)
        until_ns = now_ns + int(wait_s * 1e9)
        if until_ns > self.until_ns:
            # Many answers of one moment ask for the same time: it is waited once, and counted once.
            one.waited_s += (until_ns - max(now_ns, self.until_ns)) / 1e9
            self.until_ns = until_ns
        return True

    def told(self) -> dict[str, dict[str, float | int]]:
        """By target, what was asked and given; only those that asked."""
        return {
            name: {
                "times": one.times,
                "longest_s": round(one.longest_s, 3),
                "waited_s": round(one.waited_s, 3),
                "fired_again": one.again,
            }
            for name, one in zip(TARGETS, self.asked, strict=True)
            if one.times
        }


def retry_after(headers: Headers) -> float | None:
    """Seconds for which an answer asks; None where it asks for none that can be told."""
    found = _values(headers, b"retry-after")
    if len(found) != 1:
        return None
    text = found[0].strip().decode("latin-1")
    if text.isascii() and text.isdigit():
        return float(text[:12])
    asked, said = _date(text), [_date(value.decode("latin-1")) for value in _values(headers, b"date")]
    if asked is None or len(said) != 1 or said[0] is None:
        return None
    return max(0.0, (asked - said[0]).total_seconds())


def _values(headers: Headers, name: bytes) -> Sequence[bytes]:
    return [value for key, value in headers if key.lower() == name]


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo is not None else None


__all__ = ["AGAIN_MAX", "BUSY", "Asked", "Restraint", "retry_after"]
