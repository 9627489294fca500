"""Signing in at an OpenID provider: to it with what ties the answer to this browser, and back with a code that it stands by.

The code is redeemed from server to server, the ID token checked (:mod:`console.api.oidc_tokens`), and what the person may looked up in the
configuration; then the session is one like any other. Neither code, token nor secret is logged or shown.
"""

from __future__ import annotations

import re
import time
from urllib.parse import quote, urlsplit

from aiohttp import web

from console.api.context import Call, Operation
from console.api.oidc_flow import FLOW_S, Astray, SignIn
from console.api.oidc_provider import Away
from console.api.oidc_settings import CALLBACK, Person
from console.api.oidc_tokens import Unproven
from console.api.page_parts import at_the_door, begin_session, inside, to
from console.api.pages import shown
from console.api.problems import Problem
from echolane import log

_CODE = re.compile(r"[ -~]{1,4096}")
_WORD = re.compile(r"[a-z_]{1,40}")


class _Refused(Exception):  # noqa: N818 - what somebody is
    """Somebody is not let in; the message is for them."""


def add_signin(app: web.Application) -> None:
    """Both ways."""
    for path, show in (("/signin", begin), (CALLBACK, back)):
        app.router.add_route("GET", path, shown(Operation("GET", path, f"page{path}", "", None, show)))


def _desk(call: Call) -> SignIn:
    if call.site.signin is None:
        raise Problem("not-found", "this server knows no provider to sign in at; log in with a token")
    return call.site.signin


async def begin(call: Call) -> web.StreamResponse:
    """Off to the provider."""
    signin = _desk(call)
    after = inside(call.request.query.get("next", "/"))
    base = urlsplit(signin.provided.base)
    name = urlsplit(f"//{call.request.host}").hostname
    if name != base.hostname and "here" not in call.request.query:
        # The provider sends people back to the server's own name, which has no cookie of another one. `here`: once, lest a proxy
        # that changes names sends them round for ever.
        return to(f"{signin.provided.base}/signin?here&next={quote(after, safe='')}")
    state, cookie = signin.flows.begin(after)
    try:
        response = to(await signin.provider.address(state, signin.flows.nonce(state), signin.flows.challenge(state)))
    except (Away, Unproven) as error:
        return _away(call, signin, after, error)
    response.set_cookie(
        signin.cookie, cookie, max_age=FLOW_S, httponly=True, secure=call.site.secure, samesite="Lax", path="/"
    )
    return response


async def back(call: Call) -> web.StreamResponse:
    """From the provider: a session, or the door and why."""
    signin = _desk(call)
    if wait := signin.rates.wait_s(f"address {call.request.remote}", time.monotonic()):
        seconds = str(int(wait) + 1)
        raise Problem(
            "too-many", f"too many sign-ins come back from here; try again in {seconds} s", {"Retry-After": seconds}
        )
    await call.site.read(call.site.audit.check)
    after = "/"
    try:
        after = inside(signin.flows.take(call.request.cookies.get(signin.cookie, ""), _given(call, "state")))
        response = await _admitted(call, signin, after)
    except Away as error:
        response = _away(call, signin, after, error)
    except (Astray, Unproven, _Refused) as error:
        call.what = call.what or f"refused: {error}"
        log.event("signin.refused", why=call.what)
        response = at_the_door(call, after, f"You could not be signed in: {error}.", status=403)
    response.del_cookie(signin.cookie, path="/", httponly=True, secure=call.site.secure, samesite="Lax")
    return response


async def _admitted(call: Call, signin: SignIn, after: str) -> web.Response:
    """A session for whom the provider vouches for and the configuration knows."""
    if error := _given(call, "error"):
        raise _Refused(f"the provider said {error if _WORD.fullmatch(error) else 'no'}")
    told = await signin.provider.metadata()
    issuer = _given(call, "iss")  # RFC 9207: an answer of one provider is not taken for another's
    if issuer != told.issuer and (issuer or told.authorization_response_iss_parameter_supported):
        raise _Refused("the answer is of another provider")
    code, state = _given(call, "code"), _given(call, "state")
    if not _CODE.fullmatch(code):
        raise _Refused("the provider sent no code")
    claims = await signin.provider.claims(code, signin.flows.verifier(state), signin.flows.nonce(state))
    person = signin.provided.person(claims)
    granted = signin.provided.granted(person)
    if granted is None:
        call.by, call.what = f"oidc {person.subject}", f"refused: no role for {person.subject}"
        raise _Refused(
            f"{signin.name} knows you as {person.name}, but nothing here is open to you; ask who runs this server"
        )
    token = await call.site.read(
        call.site.book.sign_in, person.subject, _name(person), *granted, signin.provided.settings.hours
    )
    call.who, call.what = token, f"session of {person.subject}"
    return begin_session(call, to(after), token)


def _name(person: Person) -> str:
    return person.name if person.name.isprintable() else person.subject


def _given(call: Call, name: str) -> str:
    """A parameter that is given once; empty where it is not."""
    values = call.request.query.getall(name, [])
    if len(values) > 1:
        raise _Refused(f"the answer has several {name}")
    return values[0] if values else ""


def _away(call: Call, signin: SignIn, after: str, error: Exception) -> web.Response:
    """The provider is away; who has a session keeps it."""
    if call.request.path == CALLBACK:
        call.what = "refused: the provider is away"
    log.event("signin.away", why=str(error))
    text = f"{signin.name} does not answer as it should, so nobody can sign in now: {error}. Try again in a while."
    return at_the_door(call, after, text, status=503, headers={"Retry-After": "10"})
