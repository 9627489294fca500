"""What goes over the API, as types: requests are checked against them, and :mod:`console.api.openapi` is made of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

LIMIT, LIMIT_MAX = 50, 200
"""Rows of a page: what a person reads, and what is answered within 200 ms."""
ID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$"
SERVICE = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"

Id = Annotated[str, Meta(pattern=ID, description="A UUID in lower case")]
Service = Annotated[str, Meta(pattern=SERVICE, description="A service: a DNS label")]
Name = Annotated[str, Meta(pattern=NAME, description="Letters, digits and inner `.`, `_`, `-`; at most 64")]
Span = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}(ms|s|m|h|d)$", description="A span of time, for example `30m`")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]
Seq = Annotated[int, Meta(ge=0, le=4_294_967_295)]
After = Annotated[str, Meta(pattern=r"^[0-9]{1,19}_[0-9A-Za-z-]{1,64}$")]
"""The time and the name of the thing after which a list goes on."""
Text = Annotated[str, Meta(min_length=1, max_length=512)]
State = Literal["queued", "running", "paused", "finished", "interrupted", "failed"]
Verdict = Literal["pass", "fail", "inconclusive"]
Weighed = Literal["regression", "undecided", "noise", "expected"]
Severity = Literal["breaking", "visible", "cosmetic"]
Role = Literal["viewer", "runner", "editor", "admin"]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends: a key that is not known is an error."""


class RunRequest(Request, frozen=True):
    """A run to be done. Targets are names of the server's configuration, never addresses."""

    service: Service
    base: Name
    """The target of the released version."""
    branch: Name
    """The target of the new version."""
    branch_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,127}$")] | UnsetType = UNSET
    """What the branch is called: for rules that are bound to it, and for `{branch}` in the target's URL and lane."""
    base_version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+:/@-]{0,127}$")] | UnsetType = UNSET
    """Which version base is: noise that runs learned of it is used by the next of that name."""
    recording: Id | UnsetType = UNSET
    """Only this recording; without it, and without `last`, all that is recorded."""
    last: Span | UnsetType = UNSET
    """Only what was recorded in the last span."""
    pace: Annotated[str, Meta(pattern=r"^(recorded|max|[1-9][0-9]{0,5}(x|/s))$")] | UnsetType = UNSET
    concurrency: Annotated[int, Meta(ge=1, le=4096)] | UnsetType = UNSET
    methods: Literal["safe", "all"] | UnsetType = UNSET
    """`all` includes writes: only where both targets are configured with `writes = true`."""


class HookRun(Request, frozen=True):
    """A branch that is to be run, as its hook of the configuration says."""

    service: Service
    branch: Annotated[str, Meta(min_length=1, max_length=250)]
    """As git calls it; `{branch}` of the target is its DNS label."""
    commit: Annotated[str, Meta(pattern=r"^[0-9a-f]{7,64}$")] | UnsetType = UNSET
    """So that one commit is run once; without it each call is a run of its own."""


class RecordingRequest(Request, frozen=True):
    """A window of what was recorded, to be kept by name."""

    service: Service
    last: Span | UnsetType = UNSET


class TokenRequest(Request, frozen=True):
    """A token to be made. It can have no more services than whoever makes it."""

    name: Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,78}[!-~])?$")]
    role: Role
    services: Annotated[list[Service], Meta(max_length=100)] = []
    """Which services it is for; none for all that whoever makes it has."""
    days: Annotated[int, Meta(ge=1, le=3650)] = 90


class RunsQuery(Request, frozen=True):
    """Which runs."""

    service: Service | UnsetType = UNSET
    state: State | UnsetType = UNSET
    verdict: Verdict | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,18}_[0-9a-f-]{36}$")] | UnsetType = UNSET
    """`next` of the page before."""


class FindingsQuery(Request, frozen=True):
    """Which findings of a run."""

    verdict: Weighed | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    decision: Literal["intended", "noise", "bug", "none"] | UnsetType = UNSET
    """What holds of it now, on the run's branch; `none` where nothing was said, or its day has passed."""
    kind: Text | UnsetType = UNSET
    where: Text | UnsetType = UNSET
    """A place that it covers, for example `body:$.price`."""
    endpoint: Text | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]{8,128}(_[0-9]{1,9})?$")] | UnsetType = UNSET
    """`next` of the page before."""


class PageQuery(Request, frozen=True):
    """Which page."""

    limit: Limit = LIMIT
    cursor: Seq = 0


class PushesQuery(Request, frozen=True):
    """Which pushes."""

    service: Service | UnsetType = UNSET
    limit: Limit = LIMIT


class RecordingsQuery(Request, frozen=True):
    """Which recordings."""

    service: Service | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: After | UnsetType = UNSET
    """`next` of the page before."""


class NoQuery(Request, frozen=True):
    """No parameters."""


class RunRow(msgspec.Struct, frozen=True):
    """A run in a list."""

    run: str
    service: str
    state: State
    verdict: Verdict | None
    reason_code: str | None
    started_at: str
    finished_at: str | None


class Runs(msgspec.Struct, frozen=True):
    """A page of runs, newest first."""

    runs: list[RunRow]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class RunState(msgspec.Struct, frozen=True):
    """How far a run is."""

    schema: Literal["echolane/run-state/1"]
    run: str
    service: str
    state: State
    verdict: Verdict | None
    reason_code: str | None
    said: str | None
    """Why it did not come to a result, or what it waits for beside its turn, in a line for a person."""
    started_at: str
    finished_at: str | None
    done: int
    """Exchanges with a result so far."""
    total: int | None
    """Exchanges that were selected; null before that is known."""


class Result(msgspec.Struct, frozen=True):
    """The result of a run; docs/reference/result.md tells every key."""

    schema: Literal["echolane/run/1"]
    run: str
    service: str
    verdict: Verdict
    reason_code: str
    reason: str
    targets: dict[str, Any]
    fidelity: float | None
    ledger: dict[str, Any]
    groups: list[dict[str, Any]]
    noise: list[dict[str, Any]]
    expected: list[dict[str, Any]]
    undecided: list[dict[str, Any]]
    started_at: str
    finished_at: str
    rates: dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """A finding as the result has it; docs/reference/result.md tells every key."""

    id: str
    endpoint: str
    endpoints: int
    where: str
    kind: str
    verdict: Weighed
    severity: str
    differing: int
    observed: int
    samples: list[dict[str, Any]]


class Findings(msgspec.Struct, frozen=True):
    """A page of findings: regressions first, then undecided, noise, expected, each as the result orders them."""

    run: str
    total: int
    """That fit the filters."""
    findings: list[Finding]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class TargetTold(msgspec.Struct, frozen=True):
    """A configured target."""

    name: str
    url: str
    """`{branch}` stands for the branch's name, as far as a host may have it."""
    lane: str | None
    control: str | None
    writes: bool


class ServiceTold(msgspec.Struct, frozen=True):
    """A service: what is recorded of it, where it can be fired at, and its newest run."""

    service: str
    recorded: bool
    runs: int
    latest: RunRow | None
    targets: list[TargetTold]


class Services(msgspec.Struct, frozen=True):
    """All services that the token sees."""

    services: list[ServiceTold]


class RecordingTold(msgspec.Struct, frozen=True):
    """A recording: a chosen set of exchanges."""

    recording: str
    service: str
    created_at: str
    source: str
    exchanges: int | None


class Recordings(msgspec.Struct, frozen=True):
    """A page of recordings, newest first."""

    recordings: list[RecordingTold]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class TokenTold(msgspec.Struct, frozen=True):
    """A token without its secret."""

    id: str
    name: str
    role: Role
    services: list[str]
    created_at: str
    expires_at: str
    revoked_at: str | None
    by: str


class Tokens(msgspec.Struct, frozen=True):
    """Tokens of services that the asking token sees."""

    tokens: list[TokenTold]


class TokenMade(msgspec.Struct, frozen=True):
    """A new token, with its text, which is told this once."""

    token: TokenTold
    secret: str


class Entry(msgspec.Struct, frozen=True):
    """A call that was to change something."""

    seq: int
    at: str
    actor: str
    """A token's id, `shell`, or `nobody`."""
    operation: str
    service: str | None
    what: str | None
    status: int


class Entries(msgspec.Struct, frozen=True):
    """The newest entries of the audit log."""

    entries: list[Entry]


class Told(msgspec.Struct, frozen=True):
    """It was done, or said to those who do it."""

    run: str
    told: str


class ForgeTold(msgspec.Struct, frozen=True):
    """What a forge was told of a push: the commit's status and check run, and the comment on the pull request of its branch."""

    status: Literal["none", "due", "told", "given-up"]
    comment: Literal["none", "due", "told", "no-pull-request", "given-up"]
    why: str
    """What went wrong last, where something is due or given up."""
    check: Literal["none", "due", "told", "given-up"] = "none"


class PushTold(msgspec.Struct, frozen=True):
    """A commit of a branch that was pushed."""

    service: str
    repository: str
    branch: str
    commit: str
    run: str
    """The run that it starts: not there before its state is `asked`, and never where it is `superseded` or `failed`."""
    state: Literal["waiting", "asked", "ended", "superseded", "failed"]
    why: str
    at_ns: int
    forge: ForgeTold | None = None
    """What its forge was told of it; null where it is told nothing."""


class HookTold(msgspec.Struct, frozen=True):
    """What comes of a delivery."""

    said: str
    pushes: list[PushTold]


class LookTold(msgspec.Struct, frozen=True):
    """How a forge was asked for pushes of a repository whose deliveries got lost, since the server was started."""

    service: str
    repository: str
    at_ns: int
    """When it last answered; 0 for never."""
    heads: int
    """Branches that were there then."""
    found: int
    """Pushes that no delivery had told."""
    why: str
    """What went wrong at the last look."""


class Pushes(msgspec.Struct, frozen=True):
    """Pushes, the newest first."""

    pushes: list[PushTold]
    looks: list[LookTold] = []
    """Looks at forges for pushes whose deliveries got lost, those with trouble first."""
