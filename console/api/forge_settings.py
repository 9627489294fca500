"""How a hook's forge is told what became of pushes: where its API is, by which token, and what it is told.

A token never stands in the configuration, only where it is: a variable or a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from console.api.app_keys import App
from console.api.forge_names import GITHUB
from console.api.forges import FORGES, Forge
from echolane.addresses import Network
from echolane.errors import UsageError
from replayer.targets import is_loopback

TOKEN_MAX = 4_096
URL_MAX = 1_000
_TOKEN = re.compile(r"[!-~]{8,}")


@dataclass(frozen=True, slots=True)
class Telling:
    """How one forge is told."""

    forge: Forge
    api: str
    """Without a slash at its end."""
    networks: tuple[Network, ...]
    public_url: str
    """Where people reach the pages, without a slash at its end."""
    context: str
    comment: bool
    checks: bool
    """Whether a commit has a check run."""
    token_file: str = ""
    fixed: str = field(default="", repr=False)
    app: App | None = None
    """Whose token it is told by, where that is an application's."""

    def token(self) -> str:
        """The token that is given; of a file as it is now, for some are renewed by the hour. UsageError where there is none."""
        return self.fixed or _from_file(self.token_file)


def telling_of(  # noqa: PLR0913 - as many as there are settings
    name: str,
    where: str,
    environ: Mapping[str, str],
    *,
    token_env: str,
    token_file: str,
    app: App | None,
    api: str,
    networks: tuple[Network, ...],
    public_url: str,
    context: str,
    comment: bool,
    checks: bool,
) -> Telling:
    """How the forge of this name is told; UsageError says what of it is wrong."""
    forge = FORGES.get(name)
    if forge is None:
        raise UsageError(f"{where}: a hook without a forge has nobody to tell; leave its token or app out")
    if token_env and token_file:
        raise UsageError(f"{where}: give token_env or token_file, not both")
    _check_app(name, where, app, given=bool(token_env or token_file))
    if not (api or forge.api):
        raise UsageError(f'{where}: say where the API of {name} is: api = "https://{name}.example/api/v1"')
    if not public_url:
        raise UsageError(f"{where}: say where people reach the pages: public_url here, or api.url of the settings")
    if not context.isprintable():
        raise UsageError(f"{where}: context {context!r} has characters that cannot be shown")
    try:
        fixed = _checked(environ.get(token_env, ""), f"variable {token_env}") if token_env else ""
        _ = app.key() if app else fixed or _from_file(token_file)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    checked = _url(api or forge.api, f"{where}: api", guarded=True)
    public = _url(public_url, f"{where}: public_url")
    checks = checks and forge.checks is not None
    return Telling(forge, checked, networks, public, context, comment, checks, token_file, fixed, app)


def app_of(id: int, key_file: str, where: str) -> App | None:  # noqa: A002 - as the setting is called, but for its app_
    """The application of a hook; None where it has none."""
    if bool(id) != bool(key_file):
        raise UsageError(f"{where}: an app has app_id and app_key_file; give both, or neither")
    return App(id, key_file) if id else None


def _check_app(name: str, where: str, app: App | None, *, given: bool) -> None:
    if app is not None and name != GITHUB:
        raise UsageError(f"{where}: app_id and app_key_file are for github; give {name} a token_env or token_file")
    if app is not None and given:
        raise UsageError(f"{where}: give a token or an app, not both")


def _url(text: str, where: str, *, guarded: bool = False) -> str:
    """A URL that paths are put behind. ``guarded``: a token goes there, so never in clear over a network."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{where} `{text[:URL_MAX]}` is no URL ({error})") from error
    plain = not (parts.query or parts.fragment or "@" in parts.netloc) and text.isascii() and text.isprintable()
    if parts.scheme not in {"http", "https"} or not host or not plain or " " in text or len(text) > URL_MAX:
        raise UsageError(f"{where} `{text[:URL_MAX]}` is none; write https://HOST, or https://HOST/PATH")
    if guarded and parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{where} `{text}` would be sent the token in clear; use https://")
    return text.rstrip("/")


def _from_file(name: str) -> str:
    place = f"file {name}"
    try:
        with Path(name).open("rb") as file:
            text = file.read(TOKEN_MAX + 2).decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise UsageError(f"the token cannot be read from {place}: {error.strerror}") from error
    return _checked(text, place)


def _checked(text: str, place: str) -> str:
    if len(text) > TOKEN_MAX or not _TOKEN.fullmatch(text):
        raise UsageError(f"the token in {place} needs 8 to {TOKEN_MAX} visible characters in one line")
    return text
