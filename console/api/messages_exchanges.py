"""What goes over the API of single exchanges, as types (see :mod:`console.api.messages`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from console.api.messages import LIMIT, Limit, Request, Seq, Text

Status = Annotated[int, Meta(ge=100, le=999)]


class ExchangesQuery(Request, frozen=True):
    """Which exchanges of a run."""

    verdict: Literal["same", "noise", "undecided", "different", "uncomparable", "skipped"] | UnsetType = UNSET
    endpoint: Text | UnsetType = UNSET
    """Method and template, for example `GET /items/{id}`."""
    method: Annotated[str, Meta(pattern=r"^[!-~]{1,32}$")] | UnsetType = UNSET
    path: Text | UnsetType = UNSET
    """A part of the request target with its query, as it was recorded."""
    base_status: Status | UnsetType = UNSET
    branch_status: Status | UnsetType = UNSET
    header: Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}(:[ -~]{0,400})?$")] | UnsetType = UNSET
    """Of an answer of base or branch, as `name`, or `name:value` where its value holds that; in any case of letters."""
    where: Text | UnsetType = UNSET
    """A place where base and branch differ, or differ below it: `body:$.items`, `header:etag`, `status`."""
    finding: Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]{1,128}$")] | UnsetType = UNSET
    """The id of a finding of the run: what differs at its places."""
    limit: Limit = LIMIT
    cursor: Seq = 0


class Exchange(msgspec.Struct, frozen=True):
    """One exchange as `show --exchanges --json` prints it."""

    exchange: str
    seq: int
    method: str
    target: str
    endpoint: str
    verdict: str
    reason: str | None
    differences: list[dict[str, Any]]


class Exchanges(msgspec.Struct, frozen=True):
    """A page of exchanges in recorded order."""

    run: str
    exchanges: list[Exchange]
    next: int | None
    """The `cursor` of the page after; also where a page has few or none because it has looked long enough. Null at the end."""
    unread: int = 0
    """Where a header is asked for: exchanges whose answers the journal has no longer, so that they are not found by it."""


class AnswerTold(msgspec.Struct, frozen=True):
    """What became of an exchange at one target."""

    target: Literal["base", "control", "branch", "branch_control"]
    outcome: str
    """`answered`, `failed:<reason>`, `in_doubt` or `spared:<reason>`."""
    status: int | None
    duration_us: int | None
    headers: list[tuple[str, str]] | None
    """Masked, as all that is kept; null where there was no answer, or the journal has it no longer."""
    body: str | None
    """At most its first 16 KiB as text, with its content encoding undone."""
    bytes: int | None
    """Of the whole body on the wire."""


class ExchangeTold(msgspec.Struct, frozen=True):
    """One exchange, what differs in it, and what each target answered."""

    run: str
    exchange: Exchange
    recorded_status: int | None
    answers: list[AnswerTold]
    """In the order base, control, branch, branch_control; none where it was skipped."""
