"""A run watched live: server-sent events that tell how far it is, until it has ended, who watches may no longer, or the server stops.

Whether token and session hold is asked each time before anything is sent, and each second where nothing is, so who may see it no longer
gets nothing that was read after that, and is told so within two seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import NamedTuple

import msgspec
from aiohttp import web

from console.api import problems, reading
from console.api.access import Token
from console.api.context import Call
from console.api.dressing import dress
from console.api.messages import RunState
from console.api.page_list import login_for
from console.api.problems import Problem
from echolane.errors import HomeError

LOOK_S = 1.0
"""Live pages lag by two seconds at most."""
QUIET_S = 15.0
"""After so long without a change a comment is sent, so that nothing between takes the connection for dead."""
AWAY_S = 5.0
"""Between two looks at a store that is away. The stream stays open: a browser gives up for good one that is answered with an error."""
AWAY = b": the store does not answer\n\n"
STREAMS_MAX = 64
"""Watched at a time: each asks the store once a second."""


async def watch_run(call: Call) -> web.StreamResponse:
    """Send the state of a run whenever it changes; the event `ended` is the last, or `denied`."""
    site = call.site
    run = await site.read(reading.run_of, site, call.token, call.path("run"))
    if site.streams >= STREAMS_MAX:
        raise Problem(
            "too-many", f"{STREAMS_MAX} clients watch already; ask for the state instead", {"Retry-After": "10"}
        )
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    dress(response)
    site.streams += 1
    try:
        await response.prepare(call.request)
        with contextlib.suppress(ConnectionError):  # who watched has left
            await _tell(call, run.id, response)
    finally:
        site.streams -= 1
    return response


async def _tell(call: Call, run: str, response: web.StreamResponse) -> None:
    site = call.site
    before: RunState | None = None
    said_at = time.monotonic()
    await response.write(b"retry: 3000\n\n")
    while not site.stopping.is_set():
        found = await _found(call, run)
        if await site.read(_watching, call) is None:
            await response.write(b"event: denied\ndata: " + problems.told(_denied(call, run)) + b"\n\n")
            return
        if found is None:
            await response.write(AWAY)
        elif found.state != before:
            name = b"state" if found.goes_on else b"ended"
            await response.write(b"event: " + name + b"\ndata: " + msgspec.json.encode(found.state) + b"\n\n")
            before, said_at = found.state, time.monotonic()
        elif time.monotonic() - said_at > QUIET_S:
            await response.write(b": still there\n\n")
            said_at = time.monotonic()
        if found is not None and not found.goes_on:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S if found is not None else AWAY_S):
                await site.stopping.wait()


class _Found(NamedTuple):
    """How a run is, and whether it changes by itself."""

    state: RunState
    goes_on: bool


async def _found(call: Call, run: str) -> _Found | None:
    """How a run is; None while the store does not tell."""
    site = call.site
    try:
        found = await site.read(reading.run_of, site, call.token, run)
        return _Found(await site.read(reading.state_told, site, found), found.goes_on)
    except HomeError:
        return None


def _watching(call: Call) -> Token | None:
    """Who watches, while that token holds and, of a page, the session that it was opened in."""
    return call.site.sessions.token(call.cookie) if call.cookie else call.site.book.by_id(call.token.id)


def _denied(call: Call, run: str) -> Problem:
    """Why no more is told, and what to do."""
    if call.cookie:
        return Problem("unauthorised", f"the session has ended; log in again at {login_for(run)}")
    return Problem("unauthorised", "the token is revoked or has expired; watch again with one that holds")
