"""Which pushes start which runs: ``[[hooks]]`` of ``echolane.toml``. A secret never stands there, only where it is: a variable or a file.

A hook names two targets of its service (:mod:`console.api.targets`), so where a run may fire is written in one place. What a push brings is a
branch's name, which chooses a label of the host that stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType

from console.api.forge_names import GENERIC, GITEA, GITHUB, GITLAB
from console.api.forge_settings import Telling, app_of, telling_of
from console.api.messages import Name, RunRequest, Service, Span
from console.api.secrets_named import read_secret
from console.api.targets import HOLE, Configured, Target, tables_of
from echolane.addresses import Network, networks_of
from echolane.errors import UsageError

HOOKS_MAX = 1_000
SECRETS_MAX = 32
"""Different secrets of one forge: a delivery says whose it is only once it is believed, so each is tried, a few ms a MiB."""
WAIT_MAX_S = 6 * 3600.0
NAMES_MAX = 1_000


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hook as configured."""

    service: Service
    base: Name
    """The target of the released version."""
    branch: Name
    """The target of the branch; its URL and lane have `{branch}`."""
    forge: Literal["generic", "github", "gitlab", "gitea"] = GENERIC
    secret_env: str = ""
    secret_file: str = ""
    repositories: Annotated[list[str], Meta(max_length=NAMES_MAX)] = []
    """`OWNER/NAME`, as the forge calls them."""
    branches: Annotated[list[str], Meta(max_length=NAMES_MAX)] = msgspec.field(default_factory=lambda: ["*"])
    not_branches: Annotated[list[str], Meta(max_length=NAMES_MAX)] = []
    networks: Annotated[list[str], Meta(max_length=NAMES_MAX)] = []
    """In which the branch's address may be; without them a public one, or this machine where the URL says so."""
    ready: str = ""
    """A path that answers 2xx once the branch is there; without it, `/` has to answer less than 500 and not 404."""
    version_header: str = ""
    """A header of that answer that names the commit."""
    wait_s: Annotated[float, Meta(ge=1, le=WAIT_MAX_S)] = 600.0
    last: Span | UnsetType = UNSET
    pace: str | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    methods: Literal["safe", "all"] | UnsetType = UNSET
    token_env: str = ""
    """A token of the forge's API, by which it is told what became of pushes; without one it is told nothing."""
    token_file: str = ""
    app_id: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0
    """An application of GitHub, in the place of a token."""
    app_key_file: str = ""
    """Its private key, in PEM."""
    api: str = ""
    """Where that API is, where it is not the forge's public one."""
    api_networks: Annotated[list[str], Meta(max_length=NAMES_MAX)] = []
    """In which it may be; without them a public address, or this machine where the URL says so."""
    public_url: str = ""
    """Where people reach the pages; without it `api.url` of the settings."""
    context: Annotated[str, Meta(max_length=100)] = ""
    """What the status is called; without it `echolane/SERVICE`."""
    comment: bool = True
    """Whether the pull request of the branch has a comment."""
    checks: bool = True
    """Whether the commit has a check run with a note for each finding, where the forge has such: GitHub."""
    missed: bool = True
    """Whether its forge is asked, by that token, for pushes whose deliveries got lost."""

    @property
    def id(self) -> str:
        """What it is called in logs; there is one of each."""
        return f"{self.service}/{self.forge}"

    def wants(self, branch: str) -> bool:
        """Whether pushes of this branch start runs."""
        return any(fnmatchcase(branch, one) for one in self.branches) and not any(
            fnmatchcase(branch, one) for one in self.not_branches
        )

    def repository_of(self, named: str) -> str:
        """The repository of a push: a pipeline that says a branch is there names none, and where there is one only, it is that."""
        return named or (self.repositories[0] if len(self.repositories) == 1 else "")

    def request(self, branch: str) -> RunRequest:
        """What is asked for: the same as over the API. The name is checked by whoever calls: git's are more than the API takes."""
        return RunRequest(
            self.service,
            self.base,
            self.branch,
            branch_name=branch,
            last=self.last,
            pace=self.pace,
            concurrency=self.concurrency,
            methods=self.methods,
        )


@dataclass(frozen=True, slots=True)
class Armed:
    """A hook with its secret and its target."""

    hook: Hook
    target: Target
    networks: tuple[Network, ...]
    secret: bytes = field(default=b"", repr=False)
    telling: Telling | None = None
    """How its forge is told what became of pushes."""


class Hooks:
    """The hooks of a server."""

    def __init__(self, armed: Sequence[Armed]) -> None:
        self._by_id = {one.hook.id: one for one in armed}

    def __repr__(self) -> str:
        return f"<Hooks {', '.join(self._by_id) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def __iter__(self) -> Iterator[Armed]:
        return iter(self._by_id.values())

    def find(self, id: str) -> Armed | None:  # noqa: A002
        """One hook."""
        return self._by_id.get(id)

    def of(self, forge: str) -> list[Armed]:
        """The hooks of one forge."""
        return [one for one in self._by_id.values() if one.hook.forge == forge]

    def of_service(self, service: str) -> Armed | None:
        """The hook by which a token starts runs of a service: its generic one, else its first."""
        found = [one for one in self._by_id.values() if one.hook.service == service]
        return next((one for one in found if one.hook.forge == GENERIC), found[0] if found else None)


def read_hooks(path: Path, targets: Configured, environ: Mapping[str, str], url: str = "") -> Hooks:
    """The hooks that the file names; UsageError says which one is wrong. ``url`` is where people reach the pages."""
    tables = tables_of(path, "hooks")
    if len(tables) > HOOKS_MAX:
        raise UsageError(f"{path}: there are {len(tables)} hooks; {HOOKS_MAX} may be")
    found: dict[str, Armed] = {}
    for number, one in enumerate(tables, 1):
        where = f"{path}: hook {number}"
        armed = _armed(one, where, targets, environ, url)
        if armed.hook.id in found:
            raise UsageError(f"{where}: service `{armed.hook.service}` has a hook of {armed.hook.forge} already")
        found[armed.hook.id] = armed
    for forge in (GENERIC, GITHUB, GITLAB, GITEA):
        if len({one.secret for one in found.values() if one.hook.forge == forge}) > SECRETS_MAX:
            raise UsageError(
                f"{path}: hooks of {forge} have more than {SECRETS_MAX} different secrets; let some share one"
            )
    return Hooks(list(found.values()))


def _armed(one: Any, where: str, targets: Configured, environ: Mapping[str, str], url: str) -> Armed:
    try:
        hook = msgspec.convert(one, Hook)
        msgspec.convert(msgspec.to_builtins(hook.request("x")), RunRequest)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error
    for name in (hook.base, hook.branch):
        if targets.find(hook.service, name) is None:
            raise UsageError(f"{where}: service `{hook.service}` has no target `{name}` in [[api_targets]]")
    target = cast("Target", targets.find(hook.service, hook.branch))
    _check_host(target, where)
    if hook.forge != GENERIC and not hook.repositories:
        raise UsageError(f'{where}: say which repositories may start runs: repositories = ["OWNER/NAME"]')
    if hook.ready and not re.fullmatch(r"/[!-~]{0,1000}", hook.ready):
        raise UsageError(f"{where}: ready `{hook.ready}` is no path; write /healthz, for example")
    if not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{0,64}", hook.version_header):
        raise UsageError(f"{where}: version_header `{hook.version_header}` is no name of a header")
    networks, api_networks = (
        networks_of(listed, f"{where}: {name}")
        for name, listed in (("networks", hook.networks), ("api_networks", hook.api_networks))
    )
    secret = _secret(hook, where, environ)
    app = app_of(hook.app_id, hook.app_key_file, where)
    if not (hook.token_env or hook.token_file or app):
        return Armed(hook, target, networks, secret)
    telling = telling_of(
        hook.forge,
        where,
        environ,
        token_env=hook.token_env,
        token_file=hook.token_file,
        app=app,
        api=hook.api,
        networks=api_networks,
        public_url=hook.public_url or url,
        context=hook.context or f"echolane/{hook.service}",
        comment=hook.comment,
        checks=hook.checks,
    )
    return Armed(hook, target, networks, secret, telling)


def _check_host(target: Target, where: str) -> None:
    """A branch's name may choose labels of a host, and never all of it: ``2130706433`` is a label, and an address."""
    for url in (target.url, target.control):
        host = urlsplit(url.replace(HOLE, "branch-hole")).hostname or ""
        last = host.rstrip(".").rpartition(".")[2]
        if "branch-hole" in last or ("branch-hole" in host and last.isdigit()):
            raise UsageError(f"{where}: target `{url}`: {HOLE} needs a domain behind it, {HOLE}.test.example")


def _secret(hook: Hook, where: str, environ: Mapping[str, str]) -> bytes:
    if not hook.secret_env and not hook.secret_file:
        if hook.forge == GENERIC:
            return b""  # called with a token
        raise UsageError(f"{where}: say where its secret is: secret_env or secret_file")
    return read_secret(where, environ, "secret", hook.secret_env, hook.secret_file).encode()
