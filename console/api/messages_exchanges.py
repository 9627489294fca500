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
    rewrites: list[str]
    """What of the request was rewritten for this target, and why."""


class RequestTold(msgspec.Struct, frozen=True):
    """A request as it was recorded."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str | None
    """At most its first 16 KiB as text, with its content encoding undone; null where it is none."""
    bytes: int
    """Of the whole body on the wire."""
    truncated: bool
    """Whether the recording kept only the beginning of the body."""
    masked: list[str]
    """Where a value was masked when it was recorded: `target`, `header:cookie`, `body`."""
    sealed: bool
    """Whether the originals of what is masked are kept under the installation's seal, so that targets were sent those."""


class RecordedTold(msgspec.Struct, frozen=True):
    """What the service answered when it was recorded."""

    status: int
    headers: list[tuple[str, str]]
    body: str | None
    """As that of an answer."""
    bytes: int
    duration_us: int


Lack = Literal["gone", "erased", "given-up", "no-answer"]


class ExchangeTold(msgspec.Struct, frozen=True):
    """One exchange: what was asked, what was answered when it was recorded, what each target answers now, and what differs."""

    run: str
    exchange: Exchange
    recorded_status: int | None
    request: RequestTold | None
    request_lack: Lack | None
    """Why there is no `request`: the journal has it no longer, or it was erased."""
    recorded: RecordedTold | None
    recorded_lack: Lack | None
    """Why there is no `recorded`: `gone` and `erased` as above, `given-up` where a look at 64 MiB of the recording did not find it,
    `no-answer` where none was recorded."""
    answers: list[AnswerTold]
    """In the order base, control, branch, branch_control; none where it was skipped."""
    before: str | None
    """The exchange before it in the run, by its id."""
    after: str | None
