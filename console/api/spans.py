"""A call as a span, by the stable conventions of OpenTelemetry for HTTP servers.

The path is told as its operation has it (``/api/v1/runs/{run}``) and never as it came, and neither are queries, headers, bodies and
addresses: who may read traces need not be who may read what is here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from aiohttp import web

from echolane.tracing import fail, is_on, note, span

METHODS = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
"""Those that the conventions know; any other is told as `_OTHER`, so that callers cannot make names."""


def called(request: web.Request) -> AbstractContextManager[None]:
    """The span of a call, which goes on with the caller's trace where it names one."""
    if not is_on():
        return nullcontext()
    method = request.method if request.method in METHODS else "_OTHER"
    told = {"http.request.method": method, "url.scheme": request.scheme}
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else ""  # empty where there is nothing at the address
    told |= {"http.route": route} if route else {}
    name = f"{'HTTP' if method == '_OTHER' else method} {route}".rstrip()
    return span(name, told, parent=request.headers.get("traceparent", ""), server=True)


def answered(status: int) -> None:
    """How the call came out. What a caller did wrong is no error of the server."""
    note({"http.response.status_code": status})
    if status >= 500:
        fail(str(status))
