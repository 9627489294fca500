"""One forge asked over HTTP: at an address that was checked, nowhere it redirects to, and with what went wrong told without its token.

Every call looks the name up anew, checks all that it leads to by the rule that holds for branches (:mod:`console.api.readiness`), and
connects to one of those addresses: what was checked is what is connected to.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from console.api.deliveries import look
from console.api.forges import Forge, Row, path_of
from console.api.outgoing import WAIT_MAX_S, wait_of
from console.api.pinned import Pinned
from console.api.readiness import addresses_of
from console.escapes import short, visible
from echolane import __version__
from echolane.addresses import Network
from echolane.errors import RefusedForSafety

CALL_S, CONNECT_S = 20.0, 5.0
ANSWER_MAX = 32 * 1024 * 1024
"""A page of fifty comments of the longest there are has half of it."""
PAGES_MAX = 100
"""Five thousand comments; ours is among the first, for it is written when the first run ends."""
SPOKEN_S = 60.0
SAID_MAX = 200
"""Characters of a forge's own words."""


class Trouble(Exception):  # noqa: N818 - the word of style.md
    """A forge did not do what it was asked. ``wait_s``: not before so long, where it says that. ``status``: what it answered, where it did."""

    def __init__(
        self,
        why: str,
        *,
        wait_s: float = 0.0,
        away: bool = False,
        refused: bool = False,
        status: int = 0,
        never: bool = False,
    ) -> None:
        super().__init__(why)
        self.wait_s, self.status = wait_s, status
        self.away = away
        """Whether nothing else it is asked now would be done either."""
        self.refused = refused
        """Whether it answered that it will not."""
        self.never = never
        """Whether it would answer the same to the end."""


class Page(NamedTuple):
    """One page of a list, or another answer."""

    tree: Any
    more: bool
    """Whether it says that a next one is there."""
    etag: str
    """By which it can be asked whether it is another by now."""
    at_s: float
    """The forge's own time, in whole seconds; 0 where it does not say."""
    is_same: bool = False
    """Whether it is what it was, and not told again."""


class ForgeClient:
    """One forge's API, for one piece of work. ``spent`` is told when its token is none any more."""

    def __init__(
        self, forge: Forge, api: str, token: str, networks: Sequence[Network], spent: Callable[[], None] | None = None
    ) -> None:
        self._forge, self._api, self._token, self._networks, self._spent = forge, api, token, networks, spent

    def __repr__(self) -> str:
        return f"<ForgeClient {self._api}>"

    async def ask(self, row: Row, names: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Any:
        """What it answers; Trouble where that is nothing good."""
        return (await self.answer(row, names, body)).tree

    async def answer(self, row: Row, names: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Page:
        """The same, with what else an answer says."""
        return await self._asked(row, path_of(self._forge, row, names), body)

    async def pages(self, row: Row, names: Mapping[str, str]) -> AsyncIterator[list[Any]]:
        """A list, page by page, at most a hundred of them."""
        for page in range(1, PAGES_MAX + 1):
            found = await self.page(row, names, page)
            yield cast("list[Any]", found.tree)
            if not found.more:
                return

    async def page(self, row: Row, names: Mapping[str, str], number: int, etag: str = "") -> Page:
        """One page of a list; with the ``etag`` of what is known of it, only where it is another by now."""
        found = await self._asked(row, path_of(self._forge, row, names, number), None, etag)
        if row.within:
            found = found._replace(tree=look(found.tree, row.within))
        if not (found.is_same or isinstance(found.tree, list)):
            raise Trouble(f"{self._api} answers no list")
        return found

    async def _asked(self, row: Row, path: str, body: Mapping[str, Any] | None, etag: str = "") -> Page:
        try:
            host = urlsplit(self._api).hostname or ""
            found = await addresses_of(host, 0, self._networks, "api_networks")
        except RefusedForSafety as error:
            raise Trouble(str(error), refused=True) from None
        if not found:
            raise Trouble(f"the name of {self._api} has no address", away=True)
        header, before = self._forge.auth
        headers = {
            "User-Agent": f"echolane/{__version__}",
            "Accept": "application/json",
            **self._forge.headers,
            header: before + self._token,
            **({"If-None-Match": etag} if etag else {}),
        }
        connector = aiohttp.TCPConnector(resolver=Pinned(found), use_dns_cache=False, force_close=True)
        patience = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=patience, cookie_jar=aiohttp.DummyCookieJar()) as on,
                on.request(
                    row.method,
                    URL(self._api + path, encoded=True),
                    json=body,
                    headers=headers,
                    allow_redirects=False,
                ) as answer,
            ):
                data = await _bounded(answer.content)
                at_s = time_of(answer.headers.get("Date", ""))
                if answer.status == 304 and etag:
                    return Page(None, more=False, etag=etag, at_s=at_s, is_same=True)
                if answer.status not in row.good:
                    raise self._trouble(answer.status, answer.headers, data)
                return Page(orjson.loads(data), "next" in answer.links, answer.headers.get("ETag", ""), at_s)
        except (TimeoutError, aiohttp.ClientConnectionError) as error:
            word = f"did not answer within {CALL_S:g} s" if isinstance(error, TimeoutError) else "cannot be reached"
            raise Trouble(f"{self._api} {word} ({type(error).__name__})", away=True) from None
        except (aiohttp.ClientError, orjson.JSONDecodeError, ValueError) as error:
            raise Trouble(f"{self._api} answers what cannot be read ({type(error).__name__})") from None

    def _trouble(self, status: int, headers: Mapping[str, str], data: bytes) -> Trouble:
        if status == 401 and self._spent is not None:
            self._spent()
        return trouble_of(self._api, status, headers, said_by(data, self._token), time.time())


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """A body; ValueError where it is longer than any is."""
    parts = bytearray()
    async for part in content.iter_any():
        parts += part
        if len(parts) > ANSWER_MAX:
            raise ValueError
    return bytes(parts)


def time_of(date: str) -> float:
    """A header's time, in seconds; 0 where it cannot be read. Pure."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def said_by(data: bytes, secret: str = "") -> str:
    """What an answer says of itself, as one line of bounded length, without a secret; empty where it is no JSON."""
    try:
        tree = orjson.loads(data)
    except orjson.JSONDecodeError:
        return ""
    found = look(tree, "message") or look(tree, "error")
    text = found if isinstance(found, str) else orjson.dumps(found).decode() if found else ""
    if secret:  # before it is cut: the half of a token that is left would not be found
        text = text.replace(secret, "[token]")
    return short(visible(" ".join(text[: 4 * SAID_MAX].split())), SAID_MAX)


def trouble_of(api: str, status: int, headers: Mapping[str, str], said: str, now_s: float) -> Trouble:
    """What an answer means that is nothing good, and how long to wait where it says so: Retry-After, or a limit's end. Pure."""
    why = f"{api} answers {status}{': ' if said else ''}{said}"
    # GitHub's second limit may come without a header; it asks for a minute then.
    spoken = status == 403 and "rate limit" in said.lower()
    limited = status == 429 or spoken or (status == 403 and ("Retry-After" in headers or is_used_up(headers)))
    if limited or status == 503:
        wait = left_alone_s(headers, now_s, limited=limited)
        return Trouble(why, wait_s=wait or (SPOKEN_S if spoken else 0.0), away=True, status=status)
    if 300 <= status < 400:
        said = "redirects are not followed: write where it leads as `api`"
        return Trouble(f"{why}; {said}", refused=True, status=status)
    # A conflict is with somebody who changes the same thing at this moment.
    return Trouble(why, refused=400 <= status < 500 and status not in {408, 409, 425}, status=status)


def is_used_up(headers: Mapping[str, str]) -> bool:
    """Whether the calls that one has are used up."""
    return any(headers.get(f"{name}-Remaining", "").strip() == "0" for name in ("X-RateLimit", "RateLimit"))


def left_alone_s(headers: Mapping[str, str], now_s: float, *, limited: bool) -> float:
    """Seconds for which a forge asks to be left alone, within bounds; 0 where it asks nothing."""
    if text := headers.get("Retry-After", "").strip():
        return wait_of(text, now_s)
    found = 0.0
    for name in ("X-RateLimit-Reset", "RateLimit-Reset") if limited else ():
        text = headers.get(name, "").strip()
        if text.isascii() and text.isdigit():
            # The time of the limit's end, or (RFC drafts) the seconds until then.
            found = float(text) - (now_s if len(text) > 8 else 0.0)
    return min(max(found, 0.0), WAIT_MAX_S)
