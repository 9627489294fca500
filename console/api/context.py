"""What a handler works with: the site it is part of, the call it answers, and the operation that the call is of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar, cast

from aiohttp import web

from console.api.access import Token, TokenBook
from console.api.alone import Alone
from console.api.audit import Audit
from console.api.forge_tokens import AppTokens
from console.api.heads import HeadDesk
from console.api.hook_settings import Armed, Hooks
from console.api.launching import Launcher
from console.api.messages import NoQuery
from console.api.notice_desk import NoticeDesk
from console.api.notify_desk import MessageDesk
from console.api.notify_settings import Destination
from console.api.oidc_flow import SignIn
from console.api.problems import Problem
from console.api.push_desk import PushDesk
from console.api.rates import Rates
from console.api.sessions import Sessions
from console.api.shared import SharedRuns
from console.api.targets import Configured
from console.up_records import Recorded
from echolane.home import Home
from echolane.journal import Journal
from echolane.settings import Settings
from echolane.store import Store

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Site:
    """What all calls share."""

    home: Home
    settings: Settings
    store: Store
    journal: Journal
    book: TokenBook
    audit: Audit
    sessions: Sessions
    launcher: Launcher
    targets: Configured
    shared: SharedRuns
    rates: Rates
    hooks: Hooks
    pushes: PushDesk
    notices: NoticeDesk
    heads: HeadDesk
    hook_rates: Rates
    """Forges deliver faster than people ask, and from few addresses."""
    pool: Executor
    records: list[Recorded]
    """What `echolane up` records, as the configuration names it."""
    notify: dict[str, Destination]
    """Who is told when a verdict changes, by name."""
    messages: MessageDesk
    hosts: frozenset[str]
    """Names by which the server may be called."""
    secure: bool
    """Whether people reach it by https."""
    signin: SignIn | None = None
    """Where people sign in at a provider."""
    alone: Alone = field(default_factory=Alone)
    """Forges that want to be left alone."""
    app_tokens: AppTokens = field(default_factory=AppTokens)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0
    """Clients that watch a run live."""
    answered: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """How many calls by operation and status: as many as the table has rows, times a dozen."""

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Something that waits for the store, the journal or a file, beside the loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: function(*args, **kwargs))


@dataclass(slots=True)
class Call:
    """One call of an operation, checked and allowed."""

    site: Site
    request: web.Request
    who: Token | None
    query: Any = None
    body: Any = None
    key: str = ""
    """Its Idempotency-Key, where it has one."""
    cookie: str = ""
    """The session that it came with, where it came from a page."""
    service: str = ""
    """Whose thing it was about, for the audit log."""
    what: str = ""
    """Which one."""
    by: str = ""
    """Who calls, for the audit log, where that is no token."""
    armed: tuple[Armed, ...] = ()
    """The hooks whose secret signed it, where it is a delivery."""

    @property
    def token(self) -> Token:
        """Who calls, where the operation asks that."""
        return cast("Token", self.who)

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def see(self, service: str, what: str) -> None:
        """Problem unless the caller sees this service: what it may not see is not there."""
        self.service = service
        if not self.token.sees(service):
            raise Problem("not-found", f"there is no {what}, or this token is not for its service")


Handler = Callable[[Call], Awaitable[Any]]
Admit = Callable[[Call], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table (:mod:`console.api.table`)."""

    method: str
    path: str
    name: str
    summary: str
    role: str | None
    """The least role that may call it; None where it is for everybody."""
    handler: Handler
    answer: Any = None
    """The type of what it answers; None where that is told by ``kind``."""
    query: Any = NoQuery
    body: Any = None
    status: int = 200
    more: tuple[tuple[int, Any], ...] = ()
    """Other good answers."""
    problems: tuple[str, ...] = ()
    """Besides those of every operation."""
    keyed: bool = False
    """Whether it takes an Idempotency-Key."""
    kind: str = "application/json"
    admit: Admit | None = None
    """Checks a signature over the body, where no token is given; Problem where there is none that holds."""
    signature: str = ""
    """The header that it is in."""

    @property
    def guarded(self) -> bool:
        """Whether it is for those alone who show something."""
        return self.role is not None or self.admit is not None

    @property
    def changes(self) -> bool:
        """Whether it changes something, so that it is audited."""
        return self.method not in {"GET", "HEAD"}
