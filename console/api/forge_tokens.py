"""By which token a forge is asked: one that is given, or one that an application of GitHub gets for an hour.

That is asked for once and kept until shortly before its end. An application has an installation where a repository's owner let it
in; each repository has a token of its own, which is good for it alone. Who needs one that another asks for waits for that answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from console.api.app_keys import App
from console.api.deliveries import look, time_ns
from console.api.forge_client import ForgeClient, Trouble
from console.api.forge_settings import Telling
from console.api.forges import APPS
from echolane.errors import UsageError

if TYPE_CHECKING:
    from console.api.context import Site

EARLY_S = 300.0
"""So long before its end a token is renewed: telling one thing may take two minutes."""
LASTS_MAX_S = 3600.0
"""GitHub's last an hour; one that says longer is renewed all the same."""
Where = tuple[str, int, str]
"""An API, an application, and a repository that it is asked about."""


class Kept(NamedTuple):
    """A token, and until when by this machine's steady clock it is taken."""

    token: str
    until: float


class AppTokens:
    """The tokens of a server's applications; as many as the hooks name repositories. On the loop."""

    def __init__(self) -> None:
        self._kept: dict[Where, Kept] = {}
        self._one: dict[Where, asyncio.Lock] = {}

    def __repr__(self) -> str:
        return f"<AppTokens {len(self._kept)} kept>"

    async def of(self, site: Site, telling: Telling, app: App, repository: str) -> str:
        """The token of the application where this repository is; Trouble where it gets none."""
        where = (telling.api, app.id, repository)
        async with self._one.setdefault(where, asyncio.Lock()):
            kept = self._kept.get(where)
            if kept is None or time.monotonic() >= kept.until:
                kept = self._kept[where] = await _asked(site, telling, app, repository)
            return kept.token

    def spent(self, token: str) -> None:
        """A token was refused before its time: the next who needs one asks anew."""
        for where in [where for where, kept in self._kept.items() if kept.token == token]:
            del self._kept[where]


async def client_of(site: Site, telling: Telling, repository: str) -> ForgeClient:
    """Who asks a forge about a repository; Trouble where there is no token to be had."""
    try:
        if telling.app is None:
            token, spent = await site.read(telling.token), None
        else:
            token = await site.app_tokens.of(site, telling, telling.app, repository)
            spent = partial(site.app_tokens.spent, token)
    except UsageError as error:  # whoever renews the file will have it there again
        raise Trouble(str(error), away=True) from None
    return _client(telling, token, spent)


def _client(telling: Telling, token: str, spent: Callable[[], None] | None = None) -> ForgeClient:
    return ForgeClient(telling.forge, telling.api, token, telling.networks, spent)


async def _asked(site: Site, telling: Telling, app: App, repository: str) -> Kept:
    """Prove who we are, and get a token for where the repository is."""
    began = time.monotonic()
    client = _client(telling, await site.read(app.token, time.time()))
    try:
        place = look(await client.ask(APPS.installation, {"repository": repository}), "id")
    except Trouble as trouble:
        if trouble.status == 404:
            why = f"app {app.id} is not installed where {repository} is"
            raise Trouble(why, status=404, refused=True) from None
        raise
    if not isinstance(place, int):
        raise Trouble(f"{telling.api} does not say where app {app.id} is installed")
    name = repository.rpartition("/")[2]
    got = await client.answer(APPS.access, {"installation": str(place)}, {"repositories": [name]})
    token, end_ns = look(got.tree, "token"), time_ns(look(got.tree, "expires_at"))
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token or not end_ns:
        raise Trouble(f"{telling.api} gives app {app.id} no token that can be read")
    # By the forge's own clock where it tells that: ours may be off by more than the token lasts.
    lasts = end_ns / 1e9 - (got.at_s or time.time())
    return Kept(token, began + min(lasts, LASTS_MAX_S) - EARLY_S)
