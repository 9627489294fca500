"""Pages over HTTP: who has no session is sent to the door; what changes something is a form with the session's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import parse_qs, urlsplit

import orjson
from aiohttp import web

from console.api import (
    calls_runs,
    comparing_runs,
    gate,
    openapi,
    page_compare,
    page_docs,
    page_list,
    pages_exchanges,
    pages_orders,
    pages_start,
    pages_states,
    pages_triage,
    reading,
    rerunning,
)
from console.api.context import Call, Operation
from console.api.gate import SITE
from console.api.page_parts import at_the_door, begin_session, html_page as _html, inside, to as _to, word_of
from console.api.problems import Problem
from console.api.sessions import COOKIE
from console.api.table import OPERATIONS
from console.page import render_page
from console.page_style import asset, policy, served_policy
from differ.result import iso
from echolane.errors import RefusedForSafety, UsageError

ASSETS = {
    "page.css": "text/css",
    "list.css": "text/css",
    **dict.fromkeys(("keys.js", "copy.js", "live.js"), "text/javascript"),
}
FORM_MAX = 16 * 1024
Shown = Callable[[Call], Awaitable[web.StreamResponse]]


def add_pages(app: web.Application) -> None:
    """All pages."""
    for method, path, show, role in (
        ("GET", "/", pages_start.overview, "viewer"),
        ("POST", "/runs", pages_start.start, "runner"),
        ("GET", "/runs/{run}", run, "viewer"),
        ("POST", "/runs/{run}/cancel", pages_orders.cancel, "runner"),
        ("POST", "/runs/{run}/pause", pages_orders.pause, "runner"),
        ("GET", "/runs/{run}/resume", pages_orders.ask_resume, "runner"),
        ("POST", "/runs/{run}/resume", pages_orders.resume, "runner"),
        ("GET", "/runs/{run}/findings", findings, "viewer"),
        ("GET", "/runs/{run}/findings/{finding}/triage", triage, "viewer"),
        ("POST", "/runs/{run}/findings/{finding}/triage", say, "editor"),
        ("GET", "/runs/{run}/rerun", ask_again, "runner"),
        ("POST", "/runs/{run}/rerun", rerun, "runner"),
        ("GET", "/runs/{run}/compare", choose, "viewer"),
        ("GET", "/runs/{run}/compare/{other}", compare, "viewer"),
        ("GET", "/runs/{run}/exchanges", pages_exchanges.search, "viewer"),
        ("GET", "/runs/{run}/exchanges/{exchange}", pages_exchanges.one, "viewer"),
        ("GET", "/recordings", pages_states.recorded, "viewer"),
        ("POST", "/recordings", pages_states.keep, "runner"),
        ("GET", "/services/{service}/noise", pages_states.noise, "viewer"),
        ("GET", "/settings", pages_states.settings, "admin"),
        ("POST", "/logout", logout, "viewer"),
        ("GET", "/login", door, None),
        ("POST", "/login", login, None),
        ("GET", "/api/v1/docs", docs, None),
        ("GET", "/assets/{file}", style, None),
    ):
        app.router.add_route(method, path, shown(Operation(method, path, f"page{path}", "", role, show)))


def shown(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A page as the HTTP library calls it; its errors are pages too."""

    async def answer(request: web.Request) -> web.StreamResponse:
        call = Call(request.app[SITE], request, None)
        status = 500
        try:
            gate.check_rate(call)
            if call.who is not None and not call.site.sessions.admits(call.who):
                call.who = None
            if operation.role and call.who is None:
                status = 303
                return gate.to_login(request) if operation.method == "GET" else _to("/login")
            if operation.changes:
                await call.site.read(call.site.audit.check)
                call.body = await _form(call, operation)
            gate.allow_role(call, operation)
            response = await operation.handler(call)
            status = response.status
        except (Problem, UsageError, RefusedForSafety) as error:
            title, status, headers = (
                (error.title, error.status, error.headers)
                if isinstance(error, Problem)
                else ("It cannot be done", 400, {})
            )
            response = _html(page_list.mistake(title, str(error)), status=status, headers=headers)
        finally:
            if (operation.changes and status not in {303, 429}) or call.what:
                await call.site.read(gate.note, call, operation, status)
        return response

    return answer


async def _form(call: Call, operation: Operation) -> dict[str, str]:
    """A form that came from one of our own pages."""
    site = call.request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = urlsplit(call.request.headers.get("Origin", "")).netloc
    if site not in {"same-origin", "none"} or origin not in {"", call.request.host}:
        raise Problem("forbidden", "a form must come from a page of this server")
    if call.request.content_type != "application/x-www-form-urlencoded":
        raise Problem("unsupported-type", "a form is application/x-www-form-urlencoded")
    data = await gate.whole(call.request)
    if len(data) > FORM_MAX:
        raise Problem("too-large", f"a form has at most {FORM_MAX:,} bytes")
    try:
        fields = {name: values[0] for name, values in parse_qs(data.decode(), max_num_fields=50).items()}
    except (UnicodeDecodeError, ValueError) as error:
        raise Problem("bad-request", "this is no form that can be read") from error
    if operation.role and not (call.cookie and call.site.sessions.is_word(call.cookie, fields.get("word", ""))):
        raise Problem("forbidden", "the form is of another session; open the page again")
    return fields


async def run(call: Call) -> web.StreamResponse:
    """A run: its page, or how far it is."""
    found = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    result = None if found.goes_on else found.result
    if result is None:
        state = await call.site.read(reading.state_told, call.site, found)
        may = call.token.may("runner")
        orders = pages_orders.orders_of(found) if may else []
        return _html(page_list.on_its_way(state, word=word_of(call), orders=orders, may_run=may))
    desk = await pages_triage.desk_of(call, found.id, found.service, word_of(call))
    links = [
        (f"/runs/{found.id}/findings", "List its findings"),
        (f"/runs/{found.id}/exchanges", "Search its exchanges"),
    ]
    if call.token.may("runner"):
        links += [(f"/runs/{found.id}/resume", "Go on with it")] if pages_orders.resumes(found) else []
        links.append((f"/runs/{found.id}/rerun", "Run it again"))
    if before := await call.site.read(comparing_runs.run_before, call.site, found):
        links.append((f"/runs/{before}/compare/{found.id}", "Compare with the run before"))
    links.append((f"/runs/{found.id}/compare", "Compare with another run"))
    text = await call.site.read(render_page, result, home="/", desk=desk, links=links)
    return _html(text, csp=f"{served_policy() if desk.may else policy()}; frame-ancestors 'none'")


async def findings(call: Call) -> web.StreamResponse:
    """The findings of a run, a page at a time."""
    return _html(await pages_triage.listed(call, word_of(call)))


async def triage(call: Call) -> web.StreamResponse:
    """What a finding is said to be, and what else that would hide."""
    return _html(await pages_triage.shown(call, word_of(call)))


async def say(call: Call) -> web.StreamResponse:
    """Say what a finding is, by a form; where that is refused the form comes again, and says why."""
    try:
        anchor = await pages_triage.said(call)
    except Problem as problem:
        if problem.code not in {"bad-request", "refused-rule", "conflict"}:
            raise
        return _html(await pages_triage.shown(call, word_of(call), problem.detail), status=problem.status)
    return _to(f"/runs/{call.path('run')}#{anchor}")


async def ask_again(call: Call) -> web.StreamResponse:
    """Whether a run is to be done again."""
    found = await calls_runs.run_of_path(call)
    call.what = ""  # nothing is done yet
    state = await call.site.read(reading.state_told, call.site, found)
    return _html(page_list.rerun(state, word=word_of(call)))


async def rerun(call: Call) -> web.StreamResponse:
    """Do a run again from its page."""
    state, _, _ = await rerunning.rerun_run(call)
    return _to(f"/runs/{state.run}")


async def choose(call: Call) -> web.StreamResponse:
    """Which run is set beside another."""
    found = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    query = pages_start.runs_query(call, found.service)
    runs = await call.site.read(reading.runs, call.site, call.token, query)
    started = iso(int(found.row["started"]))
    return _html(page_compare.choice(found.id, found.service, started, runs, word=word_of(call)))


async def compare(call: Call) -> web.StreamResponse:
    """Two runs beside each other."""
    before, after = await comparing_runs.results_of(call)
    return _html(await call.site.read(page_compare.compared, before, after, word=word_of(call)))


async def door(call: Call) -> web.StreamResponse:
    """Where people say who they are; whose session has ended is told so."""
    ended = call.who is None and bool(call.request.cookies.get(COOKIE))
    wrong = "Your session has ended; log in again to go on." if ended else ""
    return at_the_door(call, inside(call.request.query.get("next", "/")), wrong)


async def login(call: Call) -> web.StreamResponse:
    """A session for who has a token."""
    fields = cast("dict[str, str]", call.body)
    token = await call.site.read(call.site.book.find, fields.get("token", "").strip())
    after = inside(fields.get("next", "/"))
    if token is None:
        return at_the_door(call, after, "This token is unknown, revoked or expired.", status=403)
    if not call.site.sessions.admits(token):
        return at_the_door(call, after, "Pages of this server take no token; sign in instead.", status=403)
    call.who, call.what = token, "session"
    return begin_session(call, _to(after), token)


async def logout(call: Call) -> web.StreamResponse:
    """Forget the session; one that began at a provider ends, wherever its cookie has got to."""
    if call.token.subject:
        call.what = f"end of the session of {call.token.subject}"
        await call.site.read(call.site.book.revoke, call.token.id)
    response = _to("/login")
    response.del_cookie(COOKIE, path="/", httponly=True, secure=call.site.secure, samesite="Lax")
    return response


async def docs(call: Call) -> web.StreamResponse:
    """The operations of the API, for a person; as open as their document."""
    document = orjson.loads(openapi.document(OPERATIONS))
    base = call.site.settings.api.url or f"http://{call.request.host}"
    return _html(await call.site.read(page_docs.docs, document, base))


async def style(call: Call) -> web.StreamResponse:
    """Styles and scripts."""
    kind = ASSETS.get(call.path("file"))
    if kind is None:
        raise web.HTTPNotFound
    return web.Response(
        text=asset(call.path("file")),
        headers={"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "public, max-age=300"},
    )
