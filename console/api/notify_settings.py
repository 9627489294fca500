"""Who is told when a verdict changes: ``[[notify]]`` of ``echolane.toml``. A secret never stands there, only where it is: a variable or a file.

The address of a Slack webhook is a secret itself, so it is read from there, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from console.api.messages import Name, Verdict
from console.api.secrets_named import read_secret
from console.api.targets import structs_of, tables_of
from echolane.addresses import Network, networks_of
from echolane.errors import UsageError
from replayer.targets import is_loopback

NOTIFY_MAX = 100
"""Each of them is looked at for each verdict."""
NAMES_MAX = 1_000
Patterns = Annotated[list[str], Meta(max_length=NAMES_MAX)]


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One who is told, as configured."""

    name: Name
    """What it is called in logs; there is one of each."""
    kind: Literal["webhook", "slack"] = "webhook"
    url: str = ""
    url_env: str = ""
    url_file: str = ""
    secret_env: str = ""
    secret_file: str = ""
    services: Patterns = msgspec.field(default_factory=lambda: ["*"])
    branches: Patterns = msgspec.field(default_factory=lambda: ["*"])
    not_branches: Patterns = []
    verdicts: Annotated[list[Verdict], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["pass", "fail", "inconclusive"]
    )
    """Which ones are told. Without ``inconclusive`` runs that reach no verdict are looked over."""
    networks: Patterns = []
    """In which it may be; without them a public address, or this machine where the URL says so."""

    def wants(self, service: str, branch: str) -> bool:
        """Whether it is told of this branch."""
        return _fits(service, self.services) and _fits(branch, self.branches) and not _fits(branch, self.not_branches)


@dataclass(frozen=True, slots=True)
class Destination:
    """One who is told, with what is secret."""

    notify: Notify
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    networks: tuple[Network, ...]


def read_destinations(path: Path, environ: Mapping[str, str]) -> dict[str, Destination]:
    """Those that the file names, by name; UsageError says which one is wrong."""
    tables = tables_of(path, "notify")
    if len(tables) > NOTIFY_MAX:
        raise UsageError(f"{path}: there are {len(tables)} tables [[notify]]; {NOTIFY_MAX} may be")
    found: dict[str, Destination] = {}
    for where, notify in structs_of(path, "notify", tables, Notify):
        if notify.name in found:
            raise UsageError(f"{where}: there is a notify called `{notify.name}` already")
        found[notify.name] = _destination(notify, where, environ)
    return found


def _destination(notify: Notify, where: str, environ: Mapping[str, str]) -> Destination:
    if sum(map(bool, (notify.url, notify.url_env, notify.url_file))) != 1:
        raise UsageError(f"{where}: give its address once: url, url_env or url_file")
    if notify.kind == "slack" and notify.url:
        raise UsageError(f"{where}: who has the address of a Slack webhook can write there: give url_env or url_file")
    url = notify.url or read_secret(where, environ, "url", notify.url_env, notify.url_file)
    _check(url, where, secure=notify.kind == "slack")
    secret = b""
    if notify.kind == "webhook":
        if not (notify.secret_env or notify.secret_file):
            raise UsageError(f"{where}: say where the secret is that it is signed with: secret_env or secret_file")
        secret = read_secret(where, environ, "secret", notify.secret_env, notify.secret_file).encode()
    elif notify.secret_env or notify.secret_file:
        raise UsageError(f'{where}: Slack takes no signature; a secret goes with kind = "webhook"')
    return Destination(notify, url, secret, networks_of(notify.networks, f"{where}: networks"))


def _check(url: str, where: str, *, secure: bool) -> None:
    """UsageError where this is no address that can be called; its text is not told, it may be secret."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isascii()
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or not url.isprintable() or " " in url or parts.username is not None:
        raise UsageError(f"{where}: its address is none; write https://HOST/PATH, without a user")
    if secure and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise UsageError(f"{where}: its address begins with http:, and is a secret; write https:")


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
