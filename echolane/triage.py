"""Triage: what somebody said of a finding, kept in the store so that it stays said (``docs/how-to/triage.md``).

``intended`` and ``noise`` are rules of the next runs of the service, read and refused like those of files (:mod:`console.triage_rules`);
``bug`` changes no verdict and is told beside the finding; ``open`` takes back what was said. A run's spec holds what was in force when it
began, so that a run that is resumed has what it began with.
"""

from __future__ import annotations

import msgspec

INTENDED, NOISE, BUG, OPEN = "intended", "noise", "bug", "open"
WORDS = (INTENDED, NOISE, BUG, OPEN)
RULING = frozenset((INTENDED, NOISE))
"""Words that are rules."""


class Scope(msgspec.Struct, frozen=True, array_like=True):
    """Differences that a decision is about: one kind at one place of some endpoints."""

    where: str
    kind: str
    endpoints: list[str]
    """Method and template: ``GET /items/{id}``."""
    changes: list[str] = []
    """Signatures of these very changes; empty for any change of the kind."""
    beside: list[str] = []
    """Signatures of the change of status or of the whole body that they follow from; empty where they stand for themselves."""
    coarse: bool = False
    """Whether the type changes with it in a way that no rule explains."""


class Decision(msgspec.Struct, frozen=True):
    """One word about one finding of a service, of one branch or of all."""

    service: str
    finding: str
    decision: str
    owner: str
    note: str
    by: str
    """Who said it: a token's id."""
    who: str
    """What that token is called."""
    at_ns: int
    run: str
    """The run in which it was seen."""
    where: str
    kind: str
    expires: str = ""
    """The last day on which it holds, ISO 8601; empty where it has no end."""
    branch: str = ""
    """Of which it was said; empty for all."""
    scope: list[Scope] = []
