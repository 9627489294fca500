"""Where a ClickHouse server is and who we are to it: ``clickhouse://user:password@host1:9000,host2:9000/database?secure=1``.

Pure: a text and an environment in, an :class:`Address` or one clear error out. A password is in no ``repr`` and no message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from echolane.errors import UsageError

SCHEME = "clickhouse://"
PASSWORD = "ECHOLANE_STORE_PASSWORD"  # noqa: S105 - the name of a variable
"""Takes the place of a password in the URL, which others can read in the list of processes when it is a flag's."""
PORT, SECURE_PORT = 9000, 9440
DATABASE = "echolane"
FORM = "clickhouse://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?secure=1"
COMPRESSIONS = ("none", "lz4", "zstd")
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_YES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_TEXTS, _SWITCHES = ("ca", "password_file", "compression"), ("secure", "verify")
_SPANS = {"wait_s": (0.0, 86_400.0), "answer_s": (0.1, 3600.0), "connect_s": (0.1, 60.0)}
OPTIONS = (*_SWITCHES, *_TEXTS, *_SPANS)


@dataclass(frozen=True, slots=True)
class Address:
    """One store, on any of its hosts."""

    hosts: tuple[tuple[str, int], ...]
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = DATABASE
    secure: bool = False
    verify: bool = True
    ca: str = ""
    """A file of certificates to trust, instead of the system's."""
    compression: str = "none"
    wait_s: float = 60.0
    """How long a store that was there is waited for: longer than a restart takes, shorter than a person's patience. A planned
    absence of half an hour wants 3600."""
    answer_s: float = 60.0
    """How long a server may be silent in the middle of a request. It tells its progress ten times a second while it reads, so
    only an insert may be silent, for as long as its disk takes."""
    connect_s: float = 5.0
    """How long each host has to accept and to say hello, before the next one is asked."""

    def __str__(self) -> str:
        """As a person may see it: without the password."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{SCHEME}{self.user}@{hosts}/{self.database}" + ("?secure=1" if self.secure else "")


def address_of(url: str, environ: Mapping[str, str]) -> Address:
    """The address in ``url``; UsageError says which part is wrong, and never what the password is."""
    if not url.startswith(SCHEME):
        raise UsageError(f"store `{hidden(url)}` is no address; use {FORM}, or nothing for the store in the home")
    rest, _, query = url.removeprefix(SCHEME).partition("?")
    credentials, at, place = rest.rpartition("@")
    hosts, _, path = (place if at else rest).partition("/")
    user, colon, password = credentials.partition(":")
    database = unquote(path.strip("/")) or DATABASE
    if not _NAME.fullmatch(database):
        raise UsageError(
            f"store `{hidden(url)}`: `{database}` is not the name of a database; use letters, digits and underscores"
        )
    options = _options(url, query)
    secure = bool(options.get("secure", False))
    found = tuple(_host(url, host, secure=secure) for host in hosts.split(","))
    file = str(options.pop("password_file", ""))
    return Address(
        hosts=found,
        user=unquote(user) or "default",
        password=unquote(password) if colon else _password(url, file, environ),
        database=database,
        **options,  # type: ignore[arg-type]
    )


def hidden(url: str) -> str:
    """A store's URL without its password, whatever else is wrong with it."""
    scheme, slashes, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not at:
        return url
    return f"{scheme}{slashes}{credentials.partition(':')[0]}{':***' if ':' in credentials else ''}@{place}"


def without_password(url: str) -> str:
    """A store's URL as it may be typed again."""
    return hidden(url).replace(":***@", "@", 1)


def _host(url: str, text: str, *, secure: bool) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    port = int(found[2] or (SECURE_PORT if secure else PORT)) if found else 0
    if not found or not 0 < port < 65_536:
        raise UsageError(f"store `{hidden(url)}`: `{text}` is not HOST or HOST:PORT; use {FORM}")
    return found[1].strip("[]"), port


def _options(url: str, query: str) -> dict[str, str | bool | float]:
    found: dict[str, str | bool | float] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        wrong = f"store `{hidden(url)}`: `{name}={text}`"
        if name in _SWITCHES:
            if text.lower() not in _YES:
                raise UsageError(f"{wrong} must be 1 or 0")
            found[name] = _YES[text.lower()]
        elif name in _SPANS:
            low, high = _SPANS[name]
            if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text) or not low <= float(text) <= high:
                raise UsageError(f"{wrong} must be seconds from {low:g} to {high:g}")
            found[name] = float(text)
        elif name in _TEXTS:
            if name == "compression" and text not in COMPRESSIONS:
                raise UsageError(f"{wrong} must be {', '.join(COMPRESSIONS)}")
            found[name] = text
        else:
            raise UsageError(f"{wrong} is no option of a store; known are {', '.join(OPTIONS)}")
    return found


def _password(url: str, file: str, environ: Mapping[str, str]) -> str:
    if not file:
        return environ.get(PASSWORD, "")
    try:
        return Path(file).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UsageError(f"store `{hidden(url)}`: the password's file `{file}` cannot be read: {why}") from error
