"""What goes over the API about triage, as types (see :mod:`console.api.messages`)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from console.api.messages import LIMIT, After, Limit, Request

Word = Literal["intended", "noise", "bug", "open"]
Line = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
"""One line that is not blank."""
NOTE_MAX, OWNER_MAX = 500, 80
LAST, LAST_MAX = 10, 20
"""Runs that a preview looks at: each is read whole, as far as it has the finding's places."""
Branch = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,127}$")]


class TriageRequest(Request, frozen=True):
    """What is said of a finding."""

    decision: Word
    """`intended`: expected on the run's branch; `noise`: noise in every run; `bug`: stays what it is, and is known; `open`: nothing is said."""
    note: Annotated[str, Meta(pattern=Line, min_length=1, max_length=NOTE_MAX)]
    """Why, in one line."""
    owner: Annotated[str, Meta(pattern=Line, min_length=1, max_length=OWNER_MAX)] | UnsetType = UNSET
    """Who answers for it; without one what the token is called."""
    expires: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] | UnsetType = UNSET
    """The last day on which it holds; without one 90 days from now, and for `bug` no end."""
    branch: Branch | UnsetType = UNSET
    """With `intended`: of which branch; without one that of the run, where it is known."""


class PreviewQuery(Request, frozen=True):
    """What would be said, and how far back to look."""

    decision: Literal["intended", "noise"] = "noise"
    branch: Branch | UnsetType = UNSET
    last: Annotated[int, Meta(ge=1, le=LAST_MAX)] = LAST


class DecisionsQuery(Request, frozen=True):
    """Which decisions."""

    decision: Literal["intended", "noise", "bug"] | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: After | UnsetType = UNSET
    """`next` of the page before."""


class DecisionTold(msgspec.Struct, frozen=True):
    """What was said of a finding, and of what it is said."""

    service: str
    finding: str
    decision: Word
    branch: str | None
    """Of which it was said; null for all."""
    owner: str
    note: str
    expires: str | None
    expired: bool
    by: str
    """The token with which it was said."""
    who: str
    """What that token was called."""
    at: str
    run: str
    """The run in which it was said."""
    where: str
    kind: str
    places: list[str]
    endpoints: list[str]
    """At most 50 of each."""


class Decisions(msgspec.Struct, frozen=True):
    """A page of decisions that stand, the newest first."""

    decisions: list[DecisionTold]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class Elsewhere(msgspec.Struct, frozen=True):
    """Another finding that would be hidden."""

    run: str
    finding: str
    """Its id, or place and kind where it is none by now."""
    endpoint: str
    where: str
    kind: str
    regression: bool


class Preview(msgspec.Struct, frozen=True):
    """What a decision would hide in past runs of the service, as `echolane rules impact` tells it."""

    run: str
    finding: str
    decision: Word
    refused: str | None
    """The code by which it would be refused (docs/reference/rules.md); null where it would not."""
    why: str | None
    rules: int
    """As which it would be kept."""
    runs: list[str]
    """That were looked at, the newest first."""
    differences: int
    unsure: int
    """Differences of which the store keeps too little to tell."""
    findings: int
    regressions: int
    others: list[Elsewhere]
    """Findings other than this one, at most 50."""
