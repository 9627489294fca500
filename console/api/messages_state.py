"""What is said over the API of what runs stand on: captures and their rules, noise profiles, settings."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from console.api.messages import LIMIT, After, Limit, Request, Service


class CapturesQuery(Request, frozen=True):
    """Which captures."""

    service: Service | UnsetType = UNSET
    limit: Limit = LIMIT
    cursor: After | UnsetType = UNSET
    """`next` of the page before."""


class CaptureTold(msgspec.Struct, frozen=True):
    """One start of a recorder (or an import) in this home, and its ledger: `seen = stored + spooled + dropped`."""

    service: str
    agent: str
    """Who records the service in this home."""
    epoch: int
    """Which of its starts."""
    alive: bool
    """Whether somebody still carries exchanges of it."""
    began_at: str | None
    """Null where the home was restored since."""
    seen: int
    stored: int
    spooled: int
    """On their way, or on the disk for a journal that is away."""
    dropped: dict[str, int]
    """By reason."""
    lost: int
    """Those of `dropped` that were not left out on purpose (`filtered`, `sampled`, `replayed`)."""
    notes: dict[str, int]
    """What was seen besides: `upgraded`, `upstream-refused`, `forged-marks`."""


class Captures(msgspec.Struct, frozen=True):
    """A page of captures, the newest first."""

    captures: list[CaptureTold]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class CaptureRule(msgspec.Struct, frozen=True):
    """What is recorded of a service at one address. Credentials and personal data are masked always."""

    listen: str | None
    """Where clients connect to; null for a recorder that is started by hand."""
    upstream: str | None
    seal: bool
    """Whether originals of masked request values are kept, encrypted."""
    sampling: float
    """Share of sessions that are recorded."""
    methods: list[str]
    """Empty for all."""
    paths: list[str]
    """Prefixes; empty for all."""
    not_paths: list[str]
    request_body_kept: int
    """Bytes."""
    answer_body_kept: int
    """Bytes."""


class CaptureRules(msgspec.Struct, frozen=True):
    """What this server's configuration records of a service: one rule for each `[[up.record]]` of it, else what `capture.*` says for all."""

    service: str
    rules: list[CaptureRule]


class ProfileTold(msgspec.Struct, frozen=True):
    """What runs have learned of one version's own noise."""

    version: str | None
    """Null where base had no name in those runs."""
    base: str
    """The name, or how base was reached or started; `base` of the list of its places."""
    runs: int
    """Those whose evidence is taken, 50 at most."""
    exchanges: int
    """Of which base and its control answered."""
    first_seen: str
    last_seen: str
    age_days: float
    in_use: bool
    """Whether the next run of this version takes it, or it is older than `differ.profile_days`."""


class Profiles(msgspec.Struct, frozen=True):
    """The noise profiles of a service, that which was learned last first; 100 at most."""

    service: str
    profiles: list[ProfileTold]


class NoiseQuery(Request, frozen=True):
    """Of which version, and which page."""

    base: Annotated[str, Meta(min_length=1, max_length=2048)] | UnsetType = UNSET
    """`base` of a profile; without it the one that was learned last."""
    limit: Limit = LIMIT
    cursor: Annotated[str, Meta(pattern=r"^[0-9]{1,6}$")] | UnsetType = UNSET
    """`next` of the page before."""


class NoisyPlace(msgspec.Struct, frozen=True):
    """A place at which a version differs from itself."""

    endpoint: str
    where: str
    kinds: list[str]
    klass: str = msgspec.field(name="class")
    """What kind of value varies there; empty where none is known."""
    differing: int
    observed: int
    """Exchanges of which base and its control answered at the endpoint."""
    last_seen: str


class Noise(msgspec.Struct, frozen=True):
    """A page of what a profile knows to differ by itself, those first that differ most often."""

    service: str
    profile: ProfileTold | None
    """Null where none is kept."""
    total: int
    places: list[NoisyPlace]
    next: str | None
    """The `cursor` of the page after; null at the end."""


class SettingTold(msgspec.Struct, frozen=True):
    """A setting in force."""

    setting: str
    value: Any
    source: str
    """Where it comes from: a flag, the environment, `echolane.toml`, or `default`."""
    what: str


class SettingsTold(msgspec.Struct, frozen=True):
    """The settings of the server, for tokens of every service; none for others."""

    settings: list[SettingTold]
