"""What goes over the API of two runs beside each other."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from console.api.messages import LIMIT, Limit, Request, Seq, Verdict, Weighed

Change = Literal["new", "gone", "changed", "same"]


class CompareQuery(Request, frozen=True):
    """Which findings of two runs."""

    change: Change | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: Seq = 0


class RunSide(msgspec.Struct, frozen=True):
    """One of two runs."""

    run: str
    verdict: Verdict
    reason_code: str
    reason: str
    fidelity: float | None
    ledger: dict[str, Any]
    started_at: str
    finished_at: str


class FindingSide(msgspec.Struct, frozen=True):
    """A finding in one of two runs."""

    verdict: Weighed
    severity: str
    endpoints: int
    differing: int
    observed: int


class FindingPair(msgspec.Struct, frozen=True):
    """A finding in both runs."""

    id: str
    change: Change
    endpoint: str
    where: str
    kind: str
    before: FindingSide | None
    """Null where the run does not tell it; a verdict of `noise` or `expected` is no finding."""
    after: FindingSide | None


class Compared(msgspec.Struct, frozen=True):
    """Two runs of a service, and what of their findings is new in the second, gone, changed, and the same."""

    service: str
    before: RunSide
    after: RunSide
    counts: dict[str, int]
    """By change, of all findings."""
    total: int
    """That fit the filter."""
    findings: list[FindingPair]
    """New ones first, then gone, changed, the same; each the gravest first."""
    next: int | None
