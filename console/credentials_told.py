"""What ``echolane run --explain`` says of credentials: which target gets which, from where, and who has none. Never a secret."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from echolane.credentials import COMMAND, JWT, LOGIN, OAUTH2, RECORDED, STATIC, Credentials, credentials_of
from echolane.exchange import Exchange, WorkItem
from echolane.home import Home
from echolane.observation import TARGETS
from echolane.runspec import RunSpec
from echolane.settings import Settings
from replayer.identities import Numbering, counts
from replayer.sources import logins_of
from replayer.targets import host_of, is_loopback
from replayer.wearing import presents


@dataclass(slots=True)
class Getting:
    """What one target gets."""

    name: str
    read: Credentials
    local: bool
    identities: int | None
    numbers: dict[str, int] = field(default_factory=dict[str, int])

    def of(self, exchange: Exchange) -> str:
        """What an exchange gets at this target, in words; empty where it gets none of these, or what was recorded."""
        read = self.read
        if not read.replaces or not presents(read, exchange.request.headers):
            return ""
        if not counts(read):
            return f"{read.place} is a {read.provider} credential"
        number = self.numbers.get(exchange.session)
        if number is None or (self.identities is not None and number >= self.identities):
            return ""
        return f"{read.place} is the {read.provider} credential of identity {number + 1}"

    def lacks(self, exchange: Exchange) -> bool:
        """Whether there is no identity for an exchange."""
        return counts(self.read) and presents(self.read, exchange.request.headers) and not self.of(exchange)


def gettings(home: Home, spec: RunSpec, settings: Settings) -> list[Getting]:
    """What each target of a run gets; copies are started on this machine."""
    found: list[Getting] = []
    for name, info in zip(TARGETS, spec.targets, strict=True):
        local = info.managed or is_loopback(host_of(info.url))
        read = credentials_of(settings.targets, name, urlsplit(info.url).netloc, loopback=local)
        identities = len(logins_of(home, read)) if read.provider == LOGIN else read.configured()
        found.append(Getting(name, read, local, identities))
    return found


def number_identities(items: Iterable[WorkItem], given: Sequence[Getting]) -> None:
    """Find out which recorded identity is which."""
    numberings = [(one, Numbering(one.read)) for one in given if counts(one.read)]
    for item in items:
        for _, numbering in numberings:
            numbering.see(item)
    for one, numbering in numberings:
        one.numbers = numbering.numbers()


def told(given: Sequence[Getting]) -> Iterator[str]:
    """One line for each kind of credentials, with the targets that get it."""
    lines: dict[str, list[str]] = {}
    for one in given:
        lines.setdefault(_what(one), []).append(one.name)
    for what, names in lines.items():
        yield f"{', '.join(names)}: {what}"


def _what(one: Getting) -> str:
    read = one.read
    if not read.replaces:
        return "recorded credentials" if read.provider == RECORDED else "no credentials: masks stand in their place"
    others = "" if read.opens(loopback=one.local) else "; other secrets are masks"
    whose = (
        "one for all recorded identities"
        if read.share
        else "signed for each"
        if read.provider == JWT
        else _counted(one)
    )
    return f"{read.place} from {_source(read)} ({read.source}), {whose}{others}"


def _counted(one: Getting) -> str:
    recorded = len(one.numbers)
    if one.identities is None:
        return f"one for each of {recorded} recorded identities"
    missing = max(0, recorded - one.identities)
    said = f"{one.identities} for {recorded} recorded identities"
    return f"{said}: what the other {missing} sent is skipped (no-identity)" if missing else said


def _source(read: Credentials) -> str:
    """Where it comes from, without arguments: they may hold what should not be shown."""
    if read.provider == STATIC:
        first = read.identity(0)
        return f"the variable {first.env}" if first.env else f"the file {first.file}"
    if read.provider == COMMAND:
        return f"the command `{shlex.split(read.command)[0]}`"
    if read.provider == OAUTH2:
        return f"the token endpoint {read.token_url.partition('?')[0]}"
    if read.provider == LOGIN:
        return f"the logins of recording {read.recording}"
    return f"the recorded token, signed anew ({read.algorithm})"
