"""With which credentials a target is fired at: ``[targets.NAME.credentials]`` of ``echolane.toml``, read and refused with its line.

The other keys of ``[targets.NAME]`` are read here too: ``host`` means what :mod:`echolane.authorities` says, ``origin`` that the target
may be where the recording comes from (:mod:`echolane.recorded_hosts`).

NAME is a target's role (``base``, ``control``, ``branch``, ``branch_control``), its host or host:port, or ``default``. Secrets never stand
in the file: it names the environment variable, the file or the command that has them.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import msgspec

from echolane.authorities import checked_host, chosen
from echolane.errors import UsageError
from echolane.observation import TARGETS

RECORDED, MASKED = "recorded", "masked"
STATIC, COMMAND, OAUTH2, LOGIN, JWT = "static", "command", "oauth2", "login", "jwt"
PROVIDERS = (RECORDED, MASKED, STATIC, COMMAND, OAUTH2, LOGIN, JWT)
IDENTITIES_MAX = 10_000
"""Identities of one target; each may be a variable or a file, and nobody writes more of them down."""
TIMEOUT_MAX_S = 300.0

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_TAKES = re.compile(r"cookies|cookie:[^\s;=]+|header:[!-~]+|body:\$.*")
_ALGORITHMS = ("HS256", "RS256", "ES256")
_COMMON = {"provider", "header", "scheme", "cookie", "share", "rest"}
_SECRET = {"env", "file"}
_OWN = {
    RECORDED: set[str](),
    MASKED: set[str](),
    STATIC: _SECRET | {"identities"},
    COMMAND: {"command", "timeout_s", "expires_s"},
    OAUTH2: {"token_url", "client_id", "client_secret_env", "client_secret_file", "scope", "audience", "timeout_s", "identities"},
    LOGIN: {"recording", "take", "timeout_s", "expires_s"},
    JWT: {"algorithm", "key_env", "key_file", "kid", "lifetime_s"},
}  # fmt: skip
_OF_IDENTITY = {STATIC: _SECRET, OAUTH2: {"client_id", "client_secret_env", "client_secret_file"}}


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One identity at a target: where its secret is."""

    env: str = ""
    file: str = ""
    client_id: str = ""
    client_secret_env: str = ""
    client_secret_file: str = ""


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the place of the recorded credentials at one target."""

    provider: str
    header: str = "Authorization"
    """The header in which requests present the credential."""
    scheme: str = "Bearer"
    """What stands before it; empty for nothing."""
    cookie: str = ""
    """The cookie in which they present it, instead of a header."""
    share: bool = False
    """Whether all recorded identities are this one; sessions of different users are then one user's at the target."""
    rest: str = ""
    """What other masked values a request holds are sent as: ``recorded``, ``masked``; empty for recorded on this machine only."""
    env: str = ""
    file: str = ""
    identities: list[Identity] = []
    command: str = ""
    timeout_s: float = 10.0
    expires_s: float = 0.0
    """Seconds after which it is asked for again; 0 for when it is refused."""
    token_url: str = ""
    client_id: str = ""
    client_secret_env: str = ""
    client_secret_file: str = ""
    scope: str = ""
    audience: str = ""
    recording: str = ""
    take: str = "cookies"
    algorithm: str = ""
    key_env: str = ""
    key_file: str = ""
    kid: str = ""
    lifetime_s: float = 300.0
    source: str = ""
    """File and line, for a person."""

    @property
    def place(self) -> str:
        """Where requests present it, in words: ``header authorization``, ``cookie sid``, ``cookies``."""
        if self.provider == LOGIN and self.take == "cookies":
            return "cookies"
        return f"cookie {self.cookie}" if self.cookie else f"header {self.header.lower()}"

    @property
    def replaces(self) -> bool:
        """Whether a provider gives what the recording had."""
        return self.provider not in {RECORDED, MASKED}

    def opens(self, *, loopback: bool) -> bool:
        """Whether seals are opened for the target: for all that a request holds, or all but what a provider gives."""
        if self.replaces:
            return loopback if not self.rest else self.rest == RECORDED
        return self.provider == RECORDED

    def configured(self) -> int | None:
        """How many identities there are; None where the provider has one for every recorded one, or all share one."""
        if self.share or self.provider in {COMMAND, JWT, LOGIN} or not self.replaces:
            return None
        return len(self.identities) or 1

    def identity(self, number: int) -> Identity:
        """The identity of that number, from 0, with what it has from the table itself."""
        own = self.identities[number] if number < len(self.identities) else Identity()
        has_secret = own.client_secret_env or own.client_secret_file
        return Identity(
            own.env or ("" if own.file else self.env),
            own.file or ("" if own.env else self.file),
            own.client_id or self.client_id,
            own.client_secret_env or ("" if has_secret else self.client_secret_env),
            own.client_secret_file or ("" if has_secret else self.client_secret_file),
        )


AS_RECORDED = Credentials(RECORDED)


def credentials_of(targets: Mapping[str, Credentials], role: str, authority: str, *, loopback: bool) -> Credentials:
    """The credentials of one target: by role (a control has its version's), by address, by default."""
    return chosen(targets, role, authority) or Credentials(RECORDED if loopback else MASKED)


class Targets(NamedTuple):
    """The ``[targets]`` of the file, each key by the names of its targets."""

    targets: dict[str, Credentials]
    hosts: dict[str, str]
    origins: dict[str, bool]


def read_targets(table: Any, place: Callable[[str], str]) -> Targets:
    """What is said of targets; ``place`` names file and line of a key. UsageError says which value is wrong."""
    if not isinstance(table, dict):
        raise UsageError(f"{place('targets')}: `targets` is a table, for example [targets.branch.credentials]")
    found, hosts, origins = Targets({}, {}, {})
    for name, target in cast("dict[str, Any]", table).items():
        where = f"targets.{name}"
        _known_name(name, place(where))
        if not isinstance(target, dict):
            raise UsageError(f"{place(where)}: `{where}` is a table, for example [{where}.credentials]")
        for key, value in cast("dict[str, Any]", target).items():
            if key == "credentials":
                found[name.lower()] = _read(value, f"{where}.credentials", place)
            elif key == "host":
                hosts[name.lower()] = checked_host(value, f"{where}.host", place(f"{where}.host"))
            elif key == "origin":
                origins[name.lower()] = _truth(value, f"{where}.origin", place)
            else:
                raise UsageError(
                    f"{place(f'{where}.{key}')}: unknown setting `{where}.{key}`{_meant(key, ['credentials', 'host', 'origin'])}"
                )
    return Targets(found, hosts, origins)


def _truth(value: Any, where: str, place: Callable[[str], str]) -> bool:
    if isinstance(value, bool):
        return value
    raise UsageError(f"{place(where)}: `{where}` is {value!r}; use true or false")


def _known_name(name: str, place: str) -> None:
    if name in {*TARGETS, "default", "localhost"} or re.fullmatch(
        r"[\w-]+(\.[\w-]+)+(:\d+)?|[\w.-]+:\d+|\[[0-9a-fA-F:]+\](:\d+)?", name
    ):
        return
    raise UsageError(
        f"{place}: `targets.{name}` names no target; use {', '.join(TARGETS)}, default, or a host{_meant(name, [*TARGETS, 'default'])}"
    )


def _read(value: Any, where: str, place: Callable[[str], str]) -> Credentials:
    if isinstance(value, str):
        value = {"provider": value}
    if not isinstance(value, dict):
        raise UsageError(f'{place(where)}: `{where}` is a table, or "recorded" or "masked"')
    table = cast("dict[str, Any]", value)
    provider = table.get("provider", "")
    if provider not in PROVIDERS:
        wrong = f"{provider!r} is no provider" if provider else "`provider` is missing"
        raise UsageError(
            f"{place(where + '.provider')}: {wrong} in `{where}`; use one of {', '.join(PROVIDERS)}{_meant(str(provider), PROVIDERS)}"
        )
    allowed = _COMMON | _OWN[provider] if _OWN[provider] else {"provider"}
    for key in table:
        if key not in allowed:
            raise UsageError(
                f"{place(f'{where}.{key}')}: unknown setting `{where}.{key}` of provider {provider}{_meant(key, allowed)}"
            )
    try:
        read = msgspec.convert(table, Credentials, strict=True)
    except msgspec.ValidationError as error:
        at = re.search(r"`\$\.(\w+)", str(error))
        raise UsageError(f"{place(f'{where}.{at[1]}' if at else where)}: `{where}`: {error}") from error
    line = place(where)
    if wrong := _wrong(read):
        raise UsageError(f"{place(f'{where}.{wrong[0]}')}: `{where}`: {wrong[1]}")
    return msgspec.structs.replace(read, source=line)


def _wrong(read: Credentials) -> tuple[str, str] | None:
    """The key that is wrong and why, None where all is well."""
    if not _TOKEN.fullmatch(read.header):
        return "header", f"`header` is {read.header!r}, which is no header's name"
    if re.search(r"[^!-~]", read.scheme):
        return "scheme", "`scheme` is a word such as Bearer, or empty"
    if read.rest not in {"", RECORDED, MASKED}:
        return "rest", f"`rest` is {RECORDED} or {MASKED}"
    if read.cookie and not _TOKEN.fullmatch(read.cookie):
        return "cookie", f"`cookie` is {read.cookie!r}, which is no cookie's name"
    if not 0.1 <= read.timeout_s <= TIMEOUT_MAX_S:
        return "timeout_s", f"`timeout_s` must be between 0.1 and {TIMEOUT_MAX_S:g}"
    if read.expires_s < 0 or not 1 <= read.lifetime_s <= 86_400:
        return "lifetime_s" if read.expires_s >= 0 else "expires_s", "a time in seconds is out of bounds"
    if len(read.identities) > IDENTITIES_MAX:
        return "identities", f"more than {IDENTITIES_MAX:,} identities"
    if read.share and len(read.identities) > 1:
        return "share", "`share` says that all recorded identities are one, and `identities` has several"
    allowed = _OF_IDENTITY.get(read.provider, set[str]())
    for one in read.identities:
        foreign = [name for name in one.__struct_fields__ if getattr(one, name) and name not in allowed]
        if foreign:
            return "identities", f"an identity of provider {read.provider} has no `{foreign[0]}`"
    return _CHECKS[read.provider](read) if read.provider in _CHECKS else None


def _one_of(read: Credentials, env: str, file: str) -> tuple[str, str] | None:
    for number in range(len(read.identities) or 1):
        identity = read.identity(number)
        if bool(getattr(identity, env)) == bool(getattr(identity, file)):
            which = f" (identity {number + 1})" if read.identities else ""
            return (
                "identities" if read.identities else "provider",
                f"needs either `{env}` or `{file}`{which}: where the secret is",
            )
    return None


def _static(read: Credentials) -> tuple[str, str] | None:
    return _one_of(read, "env", "file")


def _command(read: Credentials) -> tuple[str, str] | None:
    try:
        words = shlex.split(read.command)
    except ValueError as error:
        return "command", f"`command` cannot be read ({error})"
    return None if words else ("provider", "needs `command`: what prints the credential")


def _oauth2(read: Credentials) -> tuple[str, str] | None:
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", read.token_url):
        return "token_url", "needs `token_url`: https://HOST/PATH, without user and password"
    if not all(read.identity(number).client_id for number in range(len(read.identities) or 1)):
        return "provider", "needs `client_id`"
    return _one_of(read, "client_secret_env", "client_secret_file")


def _login(read: Credentials) -> tuple[str, str] | None:
    if not read.recording:
        return "provider", "needs `recording`: the ID of a recording that holds the logins (`echolane recordings`)"
    if not _TAKES.fullmatch(read.take):
        return "take", "`take` is cookies, cookie:NAME, header:NAME or body:$.PATH"
    return None


def _jwt(read: Credentials) -> tuple[str, str] | None:
    if read.algorithm not in _ALGORITHMS:
        return "algorithm", f"`algorithm` is one of {', '.join(_ALGORITHMS)}"
    if bool(read.key_env) == bool(read.key_file):
        return "provider", "needs either `key_env` or `key_file`: where the key is"
    return None


_CHECKS = {STATIC: _static, COMMAND: _command, OAUTH2: _oauth2, LOGIN: _login, JWT: _jwt}


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""
