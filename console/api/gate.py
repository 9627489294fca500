"""The gate that every call passes, in this order: host, rate, access, size, types; then the handler; then the audit log.

What fails here never reaches a handler. Each failure is a problem (RFC 9457), and a page with its text for a browser that asked for one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast
from urllib.parse import quote, urlsplit

import msgspec
import orjson
from aiohttp import web

from console.api import page_list, problems
from console.api.access import Token
from console.api.connections import busy
from console.api.context import Call, Operation, Site
from console.api.dressing import dress
from console.api.page_parts import html_page
from console.api.problems import Problem
from console.api.sessions import COOKIE
from console.api.spans import answered, called
from echolane import log
from echolane.errors import HomeError, RefusedForSafety, UsageError

BODY_MAX = 1024 * 1024
"""Requests are a few hundred bytes; a hook of a forge may have hundreds of kilobytes."""
BODY_S = 30.0
"""Until a body must be whole."""
KEY_PATTERN = r"^[A-Za-z0-9_.:-]{8,128}$"
KEY = Annotated[str, msgspec.Meta(pattern=KEY_PATTERN)]
API = "/api/"
"""What is there is for programs, also where a browser asks."""
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
SITE = web.AppKey("site", Site)


@web.middleware
async def gate(request: web.Request, handler: Next) -> web.StreamResponse:
    """Around every call: who is asked for, errors as problems, and headers that browsers obey."""
    with busy(request.protocol), called(request):
        try:
            check_host(request)
            response = await handler(request)
        except Problem as problem:
            response = _told(request, problem)
        except web.HTTPException as error:
            response = _translated(request, error)
        except UsageError as error:
            response = _told(request, Problem("bad-request", str(error)))
        except RefusedForSafety as error:
            response = _told(request, Problem("forbidden", str(error)))
        except HomeError as error:
            response = _told(request, Problem("unavailable", str(error), {"Retry-After": "5"}))
        except Exception as error:  # noqa: BLE001 - a fault of ours is told as one, and the server goes on
            log.event("api.fault", path=request.path, error=f"{type(error).__name__}: {error}")
            response = _told(request, Problem("fault", "see HOME/log/api.log; please report it"))
        answered(response.status)
        if not response.prepared:
            dress(response)
        return response


def _told(request: web.Request, problem: Problem) -> web.StreamResponse:
    """The problem: a page for a person, whose browser asks for one; a page cannot load its style from a host that is none of ours."""
    asks = "text/html" in request.headers.get("Accept", "") and not request.path.startswith(API)
    if not asks or problem.code == "wrong-host":
        return problems.answer(problem)
    text = page_list.mistake(problem.title, problem.detail)
    return html_page(text, status=problem.status, headers=problem.headers)


def _translated(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
    detail = {
        404: "there is nothing at this address; /api/v1/openapi.json tells what there is",
        405: f"use {error.headers.get('Allow', 'another method')}",
        413: f"a body may have {BODY_MAX:,} bytes",
    }.get(error.status, error.reason)
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    problem = problems.of_status(error.status, detail)
    problem.headers.update(allow or {})
    return _told(request, problem)


def check_host(request: web.Request) -> None:
    """Problem where the server is called by a name that is none of its own: a page elsewhere whose name leads here."""
    try:
        name = (urlsplit(f"//{request.headers.get('Host', '')}").hostname or "").lower()
    except ValueError:
        name = ""
    if name not in request.app[SITE].hosts:
        raise Problem(
            "wrong-host", f"this server is not called `{name[:80]}`; api.url and api.hosts say what it is called"
        )


def served(operation: Operation) -> Next:
    """The operation as the HTTP library calls it."""

    async def answer(request: web.Request) -> web.StreamResponse:
        site = request.app[SITE]
        call = Call(site, request, None)
        status = 500
        try:
            signed = operation.admit is not None and not (operation.role and "Authorization" in request.headers)
            check_rate(call, signed=signed)
            if operation.changes and operation.guarded:
                await site.read(site.audit.check)
            await _admitted(call, operation) if signed else allow(call, operation)
            call.query = _query(request, operation)
            call.key = _key(request, operation)
            call.body = await _body(request, operation)
            response = await _finished(operation, await operation.handler(call))
            status = response.status
        except Problem as problem:
            status = problem.status
            raise
        except (UsageError, RefusedForSafety):
            status = 400
            raise
        finally:
            count = site.answered
            count[operation.name, status] = count.get((operation.name, status), 0) + 1
            if operation.changes and operation.guarded and status != 429:
                await site.read(note, call, operation, status)
        return response

    return answer


def note(call: Call, operation: Operation, status: int) -> None:
    """Write a call into the audit log."""
    actor = call.who.id if call.who else call.by or "nobody"
    where = call.request.remote or ""
    call.site.audit.note(
        actor=actor, operation=operation.name, service=call.service, what=call.what, status=status, address=where
    )


async def _admitted(call: Call, operation: Operation) -> None:
    """Let a signed call in; whoever signs wrongly is slowed down like any other caller."""
    assert operation.admit is not None  # noqa: S101 - it is asked for here only
    try:
        await operation.admit(call)
    except Problem as problem:
        if problem.status == 401:
            check_rate(call)
            call.who = None
        raise


def check_rate(call: Call, *, signed: bool = False) -> None:
    """Problem where a caller asks too fast: by its token, else by its address."""
    if signed:
        if wait := call.site.hook_rates.wait_s(f"address {call.request.remote}", time.monotonic()):
            seconds = str(int(wait) + 1)
            raise Problem("too-many", f"deliver again in {seconds} s", {"Retry-After": seconds})
        return
    call.who, call.cookie = _who(call.request)
    caller = f"token {call.who.id}" if call.who else f"address {call.request.remote}"
    wait = call.site.rates.wait_s(caller, time.monotonic())
    if wait:
        seconds = str(int(wait) + 1)
        raise Problem(
            "too-many", f"this {caller.partition(' ')[0]} asks too fast; go on in {seconds} s", {"Retry-After": seconds}
        )


def allow(call: Call, operation: Operation) -> None:
    """Problem where the caller may not call this operation."""
    if operation.role is None:
        return
    if call.who is None:
        challenge = {"WWW-Authenticate": 'Bearer realm="echolane"'}
        raise Problem("unauthorised", "send `Authorization: Bearer TOKEN`, with a token that holds", challenge)
    allow_role(call, operation)
    if (
        operation.changes
        and call.cookie
        and not call.site.sessions.is_word(call.cookie, call.request.headers.get("X-CSRF-Token", ""))
    ):
        raise Problem("forbidden", "a page's call must carry X-CSRF-Token; or send a token in Authorization")


def allow_role(call: Call, operation: Operation) -> None:
    """Problem where the caller's role is not enough."""
    if operation.role and not call.token.may(operation.role):
        raise Problem("forbidden", f"this needs the role {operation.role}; the token has {call.token.role}")


def _who(request: web.Request) -> tuple[Token | None, str]:
    site = request.app[SITE]
    header = request.headers.get("Authorization")
    if header is not None:
        kind, _, text = header.partition(" ")
        return (site.book.find(text.strip()) if kind.lower() == "bearer" else None), ""
    cookie = request.cookies.get(COOKIE, "")
    token = site.sessions.token(cookie) if cookie else None
    return token, cookie if token else ""


def _query(request: web.Request, operation: Operation) -> Any:
    names = list(request.query)
    if len(names) != len(set(names)):
        raise Problem("bad-request", "a parameter is given twice")
    try:
        return msgspec.convert(dict(request.query), operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", f"parameters: {error}") from error


def _key(request: web.Request, operation: Operation) -> str:
    text = request.headers.get("Idempotency-Key")
    if text is None or not operation.keyed:
        return ""
    try:
        msgspec.convert(text, KEY)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", f"Idempotency-Key needs 8 to 128 of A-Z a-z 0-9 _ . : -: {error}") from error
    return text


async def _body(request: web.Request, operation: Operation) -> Any:
    if operation.body is None:
        return None
    if request.content_type != "application/json":
        raise Problem("unsupported-type", "send the body as application/json")
    data = await whole(request)
    try:
        given = msgspec.json.decode(data)
        if isinstance(given, dict):  # 30.0 is a whole number in JSON, and no int for the types
            pairs = cast("dict[str, Any]", given).items()
            given = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in pairs}
        return msgspec.convert(given, operation.body)
    except RecursionError as error:
        raise Problem("bad-request", "body: it is nested too deeply") from error
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("bad-request", f"body: {error}") from error


async def whole(request: web.Request) -> bytes:
    """The body, within its size and its time."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as error:
        raise Problem("too-slow", f"a body must be whole within {BODY_S:.0f} s", {"Connection": "close"}) from error


async def _finished(operation: Operation, answer: Any) -> web.StreamResponse:
    """What a handler gave, as a response."""
    if isinstance(answer, web.StreamResponse):
        return answer
    status, headers = operation.status, dict[str, str]()
    if isinstance(answer, tuple):
        answer, status, headers = cast("tuple[Any, int, dict[str, str]]", answer)
    return web.Response(
        status=status,
        body=orjson.dumps(msgspec.to_builtins(answer)),
        headers={"Content-Type": operation.kind, **headers},
    )


def to_login(request: web.Request) -> web.Response:
    """Send a person to the page that asks for a token, and back afterwards."""
    return web.Response(status=303, headers={"Location": f"/login?next={quote(request.path_qs, safe='')}"})
