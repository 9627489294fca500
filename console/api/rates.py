"""How fast one caller may ask: a bucket of tokens each, that fills again. Pure: time is an argument."""

from __future__ import annotations

from collections import OrderedDict

CALLERS_MAX = 10_000
"""Remembered; beyond that the one not heard for longest begins anew with a full bucket, some 2 MB in all."""


class Rates:
    """The buckets of all callers."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s, self._burst = per_s, float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Rates {self._per_s:g}/s, burst {self._burst:g}, {len(self._buckets)} callers>"

    def wait_s(self, caller: str, now_s: float) -> float:
        """0 where the caller may go on, which takes one; else after how long it may."""
        left = self._left(caller, now_s)
        self._buckets.pop(caller, None)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._per_s
        self._buckets[caller] = (left if wait else left - 1.0, now_s)
        if len(self._buckets) > CALLERS_MAX:
            self._buckets.popitem(last=False)
        return wait

    def let(self, caller: str, now_s: float) -> bool:
        """Whether the caller may go on; takes nothing."""
        return self._left(caller, now_s) >= 1.0

    def _left(self, caller: str, now_s: float) -> float:
        left, at = self._buckets.get(caller, (self._burst, now_s))
        return min(self._burst, left + max(0.0, now_s - at) * self._per_s)
