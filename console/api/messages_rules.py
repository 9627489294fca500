"""What is said over the API of the rules that hold, as types (see :mod:`console.api.messages`)."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from console.api.messages import LIMIT, Limit, Request
from console.api.messages_triage import Branch


class RulesQuery(Request, frozen=True):
    """Which rules."""

    branch: Branch | UnsetType = UNSET
    """Those that hold in a run of it; without one those of every branch."""
    limit: Limit = LIMIT
    cursor: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}(_[0-9]{1,9})?$")] | UnsetType = UNSET
    """`next` of the page before."""


class RuleTold(msgspec.Struct, frozen=True):
    """A rule that holds: what it explains, why, who answers for it, and until when."""

    rule: str
    where: str
    """A pattern over places."""
    kinds: list[str]
    """Of differences; empty for those its matcher is made for."""
    methods: list[str]
    endpoints: list[str]
    """Patterns over paths, or endpoints by name; empty for all."""
    status: list[str]
    """Of base's answer; empty for any."""
    matcher: str
    every_service: bool
    """Whether it names no service."""
    branch: str | None
    """A pattern over names of branches; null for all."""
    reason: str
    owner: str
    expires: str | None
    """The last day on which it holds; null where it has no end."""
    source: str
    """File and line, or the run in which it was said."""
    finding: str | None
    """Of which it was said; null for a rule of a file."""
    decision: str | None
    """`intended` or `noise`; null for a rule of a file."""


class RuleRefused(msgspec.Struct, frozen=True):
    """Something that was said of a finding and does not hold."""

    rule: str
    code: str
    """See docs/reference/rules.md."""
    source: str
    why: str


class RulesHeld(msgspec.Struct, frozen=True):
    """A page of rules: those of files in their order, then those of what was said, the newest first of each branch."""

    service: str
    rules: list[RuleTold]
    refused: list[RuleRefused]
    """Of what was said; `echolane rules check` tells it of files, with which no run begins."""
    next: str | None
    """The `cursor` of the page after; null at the end."""
