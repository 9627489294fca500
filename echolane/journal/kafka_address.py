"""Where a Kafka journal is and how it is reached: ``kafka://[USER@]HOST[:PORT][,HOST[:PORT]…][?NAME=VALUE&…]``.

The names behind ``?`` are those of the settings ``kafka.*``, which fill in what the URL leaves out. A password has no place in a
URL, which others see in the list of processes: it comes from ``ECHOLANE_KAFKA_PASSWORD`` or a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from echolane.errors import UsageError

SCHEME = "kafka://"
PASSWORD = "ECHOLANE_KAFKA_PASSWORD"  # noqa: S105 - the name of a variable
SASL = ("plain", "scram-sha-256", "scram-sha-512")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_PORT = 9092


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a cluster is reached and used: the settings ``kafka.*``; what the journal's URL says itself goes before."""

    user: str = ""
    password_file: str = ""
    sasl: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "echolane."
    replication: int = 0
    wait_s: float = 30.0


class Address(Options, frozen=True, kw_only=True):
    """A cluster, and how Echolane uses it."""

    servers: list[str]
    retention_days: float = 7.0

    @property
    def shown(self) -> str:
        """The brokers, for messages."""
        return ",".join(self.servers)

    @property
    def protocol(self) -> str:
        """What Kafka calls the way in: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        wire = "SSL" if self.tls else "PLAINTEXT"
        return f"SASL_{wire}" if self.sasl else wire

    def password(self, environ: Mapping[str, str] = os.environ) -> str:
        """The password of the user; UsageError when it is nowhere."""
        if self.password_file:
            try:
                return Path(self.password_file).read_text("utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"kafka.password_file `{self.password_file}` cannot be read: {error}") from error
        if PASSWORD not in environ:
            raise UsageError(
                f"Kafka user `{self.user}` has no password; set {PASSWORD}, or kafka.password_file to a file with it"
            )
        return environ[PASSWORD]


def parse_address(url: str) -> Address:
    """The address that a URL names; UsageError says which part of it is wrong."""
    rest, _, query = url.removeprefix(SCHEME).partition("?")
    user, at, hosts = rest.rpartition("@")
    if ":" in user:
        raise UsageError(
            f"the journal's URL holds a password, which others can see; set {PASSWORD} or kafka.password_file instead"
        )
    values: dict[str, Any] = {"servers": list(_servers(hosts.rstrip("/")))}
    if at:
        values["user"] = user
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in Address.__struct_fields__ or name == "servers":
            known = ", ".join(field for field in Address.__struct_fields__ if field != "servers")
            raise UsageError(f"the journal's URL has an unknown part `{name}`; known: {known}")
        values[name] = value
    try:
        address = msgspec.convert(values, Address, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"the journal's URL is wrong: {error}") from error
    return _checked(address)


def _servers(text: str) -> Iterable[str]:
    for server in text.split(","):
        found = _SERVER.fullmatch(server.strip())
        if not found or not 0 < int(found[2] or _PORT) < 65536:
            raise UsageError(
                f"the journal's URL needs HOST:PORT of a broker, not `{server}`; "
                "for example kafka://kafka-1:9092,kafka-2:9092"
            )
        yield f"{found[1]}:{found[2] or _PORT}"


def _checked(address: Address) -> Address:
    if address.user and not address.sasl:
        address = msgspec.structs.replace(address, sasl="scram-sha-512")
    if address.sasl and address.sasl not in SASL:
        raise UsageError(f"kafka.sasl is `{address.sasl}`; it must be {', '.join(SASL)} or empty")
    if address.sasl and not address.user:
        raise UsageError(f"kafka.sasl is `{address.sasl}`, but there is no kafka.user")
    if not _PREFIX.fullmatch(address.prefix):
        raise UsageError(f"kafka.prefix `{address.prefix}` must be 1 to 48 letters, digits, dots and hyphens")
    if bool(address.cert_file) != bool(address.key_file):
        raise UsageError("kafka.cert_file and kafka.key_file go together")
    if not address.tls and (address.ca_file or address.cert_file):
        raise UsageError("kafka.ca_file and kafka.cert_file need kafka.tls = true")
    for name, value, low, high in (
        ("replication", address.replication, 0, 16),
        ("retention_days", address.retention_days, 0.04, 36_500),
        ("wait_s", address.wait_s, 1, 3600),
    ):
        if not low <= value <= high:
            raise UsageError(f"kafka.{name} is {value:g}; it must be between {low:g} and {high:g}")
    return address


def completed(url: str, values: Mapping[str, Any]) -> str:
    """The URL with what it leaves out filled in, so that it says all there is to say to another process."""
    parse_address(url)
    rest, _, query = url.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "@" in rest:
        given["user"] = ""  # it stands before the hosts
    added = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if name not in given and value != msgspec.structs.asdict(_DEFAULT)[name]
    }
    whole = query + ("&" if query and added else "") + urlencode(added, quote_via=quote)
    full = f"{rest}?{whole}" if whole else rest
    parse_address(full)
    return full


_DEFAULT = Address(servers=[])
