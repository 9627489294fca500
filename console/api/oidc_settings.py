"""Whom the pages take a provider's word for: ``[oidc]`` of the settings, and ``[[oidc.roles]]``, which say what they may here.

A row gives one role at some services to a group, an e-mail address or a domain. Of the rows that fit, the first tells the role; later ones of
the same role add their services. So nobody gets a role at a service that no row gives it at. Who fits no row is refused.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from console.api.access import EVERY
from console.api.messages import SERVICE, Role
from console.api.targets import structs_of, tables_of
from echolane.errors import UsageError
from echolane.settings import Settings
from echolane.signin import SECRET, Oidc
from replayer.targets import is_loopback

ROWS_MAX = 1_000
SECRET_MAX = 4_096
TEXT_MAX = 256
CALLBACK = "/signin/callback"
Text = Annotated[str, Meta(max_length=TEXT_MAX)]


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of ``[[oidc.roles]]``: whom it is for (one of three), and what they get."""

    role: Role
    services: Annotated[list[Text], Meta(min_length=1, max_length=ROWS_MAX)]
    """`*` for all, also those to come."""
    group: Text = ""
    email: Text = ""
    domain: Text = ""
    """What stands behind the @ of an e-mail address, whole."""

    def fits(self, person: Person) -> bool:
        """Whether it is for this one."""
        if self.group:
            return self.group in person.groups
        email = person.email.lower()
        if self.email:
            return email == self.email.lower()
        name, _, domain = email.rpartition("@")
        return bool(name) and domain == self.domain.lower()


class Person(NamedTuple):
    """Somebody, as a verified ID token tells."""

    subject: str
    email: str
    """Empty where the provider has not verified it: then anybody may have written it there."""
    groups: frozenset[str]

    @property
    def name(self) -> str:
        """What they are called in lists."""
        return self.email or self.subject


class Granted(NamedTuple):
    """What somebody may."""

    role: str
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provided:
    """A provider as configured, all of it checked."""

    settings: Oidc
    base: str
    """The address by which people reach this server, without a slash at its end."""
    rows: tuple[Row, ...]
    tls: ssl.SSLContext | None
    secret: str = field(default="", repr=False)

    @property
    def callback(self) -> str:
        """Where the provider sends people back to."""
        return self.base + CALLBACK

    def person(self, claims: Mapping[str, Any]) -> Person:
        """Who the claims are about."""
        verified = claims.get("email_verified") in {True, "true"} if _is_plain(claims.get("email_verified")) else False
        email = claims.get("email")
        plain = isinstance(email, str) and email.isprintable() and len(email) <= TEXT_MAX
        return Person(str(claims["sub"]), cast("str", email) if verified and plain else "", self._groups(claims))

    def granted(self, person: Person) -> Granted | None:
        """What the rows give them; None for nothing."""
        found = [row for row in self.rows if row.fits(person)]
        if not found:
            return None
        services = {service for row in found if row.role == found[0].role for service in row.services}
        return Granted(found[0].role, (EVERY,) if EVERY in services else tuple(sorted(services)))

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        name = self.settings.groups_claim
        value: Any = claims.get(name)
        if value is None and "." in name:
            value = claims
            for part in name.split("."):
                value = cast("dict[str, Any]", value).get(part) if isinstance(value, dict) else None
        listed = cast("list[Any]", value) if isinstance(value, list) else [value]
        return frozenset(one for one in listed if isinstance(one, str))


def read_oidc(path: Path, settings: Settings, environ: Mapping[str, str]) -> Provided | None:
    """The provider that the settings name, None for none; UsageError says what is wrong."""
    oidc = settings.oidc
    tables = tables_of(path, "oidc.roles")
    if not oidc.issuer:
        if tables or oidc.only:
            raise UsageError("[oidc] says who may sign in, but no oidc.issuer: who is to know them?")
        return None
    check_url(oidc.issuer, "oidc.issuer", "it is asked who people are")
    if not oidc.client_id or len(oidc.client_id) > TEXT_MAX:
        raise UsageError(f"oidc.client_id: say what this server is called at {oidc.issuer}")
    if "openid" not in oidc.scopes or any(not one or not one.isascii() or " " in one for one in oidc.scopes):
        raise UsageError(f"oidc.scopes: {oidc.scopes} needs `openid`, and each scope is one word")
    return Provided(oidc, _base(settings), _rows(path, tables), _tls(oidc), _secret(oidc, environ))


def check_url(url: str, what: str, why: str) -> None:
    """UsageError unless nobody on the way can read or change what goes there: https, or this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{what} `{url}` is no URL: {error}") from error
    if not host or parts.query or parts.fragment or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise UsageError(f"{what} `{url}` must be https://HOST, perhaps with a path")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UsageError(f"{what} `{url}` must begin with https://, since {why} (http:// for this machine alone)")


def _base(settings: Settings) -> str:
    base = settings.api.url.rstrip("/") or f"http://{settings.api.listen}"
    check_url(base, "api.url (which [oidc] needs)", "people are sent back there with a code that lets them in")
    return base


def _rows(path: Path, tables: Sequence[Any]) -> tuple[Row, ...]:
    if len(tables) > ROWS_MAX:
        raise UsageError(f"{path}: there are {len(tables)} [[oidc.roles]]; {ROWS_MAX} may be")
    if not tables:
        raise UsageError(
            f"{path}: without [[oidc.roles]] nobody could sign in; give a group, an email or a domain a role"
        )
    found: list[Row] = []
    for where, row in structs_of(path, "oidc.roles", tables, Row):
        if sum(map(bool, (row.group, row.email, row.domain))) != 1:
            raise UsageError(f"{where}: say whom it is for by one of group, email and domain")
        if "@" in row.domain or (row.email and "@" not in row.email):
            raise UsageError(f"{where}: email is NAME@DOMAIN, domain what stands behind the @")
        if wrong := [one for one in row.services if one != EVERY and not re.fullmatch(SERVICE, one)]:
            raise UsageError(f"{where}: services: `{wrong[0]}` is no service; write its name, or `*` for all")
        found.append(row)
    return tuple(found)


def _tls(oidc: Oidc) -> ssl.SSLContext | None:
    if not oidc.issuer.startswith("https:"):
        return None
    try:
        return ssl.create_default_context(cafile=oidc.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"oidc.ca_file `{oidc.ca_file}` cannot be read: {error}") from error


def _secret(oidc: Oidc, environ: Mapping[str, str]) -> str:
    text, place = environ.get(SECRET, ""), f"variable {SECRET}"
    if oidc.client_secret_file:
        if text:
            raise UsageError(f"give oidc.client_secret_file or {SECRET}, not both")
        place = f"file {oidc.client_secret_file}"
        try:
            with open(oidc.client_secret_file, "rb") as file:  # noqa: PTH123 - its beginning alone is read
                text = file.read(SECRET_MAX + 2).decode().strip(" \t\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the client's secret cannot be read from {place}: {error}") from error
        if not text:
            raise UsageError(f"the {place} holds no secret; leave oidc.client_secret_file out for a public client")
    if len(text) > SECRET_MAX or not text.isprintable():
        raise UsageError(f"the client's secret in {place} must be one line of at most {SECRET_MAX} characters")
    return text


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | str)
