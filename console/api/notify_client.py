"""Hand one message in over HTTP: at an address that was checked, nowhere it redirects to, signed as Standard Webhooks say.

Every attempt looks the name up anew, checks all that it leads to by the rule that holds for targets (:mod:`console.api.readiness`), and
connects to one of those addresses: what was checked is what is connected to. What went wrong is told without the address, which may be secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from console.api.notify_settings import Destination
from console.api.outgoing import wait_of
from console.api.pinned import Pinned
from console.api.readiness import addresses_of
from console.api.signatures import standard_signature
from echolane import __version__
from echolane.errors import RefusedForSafety

CALL_S, CONNECT_S = 15.0, 5.0
"""Standard Webhooks give a receiver 15 to 30 seconds."""


class NotTold(Exception):  # noqa: N818 - the word of style.md
    """A message was not taken. ``wait_s``: not before so long, where that is said; ``refused``: it was answered, with a no."""

    def __init__(self, why: str, *, wait_s: float = 0.0, refused: bool = False) -> None:
        super().__init__(why)
        self.wait_s, self.refused = wait_s, refused


def headers_of(destination: Destination, id: str, body: bytes, now_s: float) -> dict[str, str]:  # noqa: A002
    """The headers of a message. The time is that of the attempt, so that a late one is no replay."""
    found = {"User-Agent": f"echolane/{__version__}", "Content-Type": "application/json"}
    if destination.secret:
        stamp = str(int(now_s))
        signature = standard_signature(destination.secret, id, stamp, body).decode("ascii")
        found |= {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature}
    return found


async def hand_in(destination: Destination, id: str, body: bytes, now_s: float) -> None:  # noqa: A002
    """Hand a message in; NotTold where it was not taken."""
    host = urlsplit(destination.url).hostname or ""
    try:
        found = await addresses_of(host, 0, destination.networks, "networks")
    except RefusedForSafety as error:
        raise NotTold(str(error), refused=True) from None
    if not found:
        raise NotTold("its name has no address")
    connector = aiohttp.TCPConnector(resolver=Pinned(found), use_dns_cache=False, force_close=True)
    patience = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=patience, cookie_jar=aiohttp.DummyCookieJar()) as on,
            on.post(
                URL(destination.url, encoded=True),
                data=body,
                headers=headers_of(destination, id, body, now_s),
                allow_redirects=False,
            ) as answer,
        ):
            # What it says besides its status is of no use, and may be long, so it is not read.
            status, headers = answer.status, answer.headers
    except TimeoutError:
        raise NotTold(f"it did not answer within {CALL_S:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotTold(f"it cannot be reached ({type(error).__name__})") from None
    if not 200 <= status < 300:
        raise trouble_of(status, headers, now_s)


def trouble_of(status: int, headers: Mapping[str, str], now_s: float) -> NotTold:
    """What an answer means that is no good one. Pure."""
    if status in {429, 503}:
        return NotTold(f"it answers {status}", wait_s=wait_of(headers.get("Retry-After", ""), now_s))
    if 300 <= status < 400:
        return NotTold(f"it answers {status}; redirects are not followed: write where it leads", refused=True)
    return NotTold(f"it answers {status}", refused=400 <= status < 500 and status not in {408, 425})
