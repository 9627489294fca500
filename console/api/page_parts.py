"""What pages are answered with: a page, a way elsewhere in this server, a session that begins, and the door."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from console.api import page_list
from console.api.access import Token
from console.api.context import Call
from console.api.sessions import COOKIE, HOURS

ENDED_S = 24 * 3600
"""For so long after its end a browser keeps a session's cookie, by which the door knows that there was one, and says so."""


def html_page(text: str, *, status: int = 200, headers: Any = None, csp: str = page_list.POLICY) -> web.Response:
    """A page, with the policy that it keeps to."""
    return web.Response(
        text=text, status=status, content_type="text/html", headers={**(headers or {}), "Content-Security-Policy": csp}
    )


def to(path: str) -> web.Response:
    """Go on there."""
    return web.Response(status=303, headers={"Location": path})


def word_of(call: Call) -> str:
    """The word of the caller's session, which forms must bring back."""
    return call.site.sessions.word(call.cookie) if call.cookie else ""


def inside(path: str) -> str:
    """A path of this server: another site's address becomes the front page."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if safe and len(path) <= 2_000 else "/"


def begin_session(call: Call, response: web.Response, token: Token) -> web.Response:
    """The response with the cookie of a new session."""
    holds_s = (token.expires_at_ns - token.created_at_ns) / 1e9
    response.set_cookie(
        COOKIE,
        call.site.sessions.begin(token),
        max_age=int(min(HOURS * 3600, holds_s)) + ENDED_S,
        httponly=True,
        secure=call.site.secure,
        samesite="Lax",
        path="/",
    )
    return response


def at_the_door(call: Call, after: str, wrong: str = "", *, status: int = 200, headers: Any = None) -> web.Response:
    """The page that asks who somebody is, and says what was wrong."""
    signin = call.site.signin
    text = page_list.door(
        after, wrong, provider=signin.name if signin else "", takes_token=signin is None or not signin.only
    )
    return html_page(text, status=status, headers=headers)
