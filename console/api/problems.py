"""Errors as RFC 9457 tells them: one JSON object with a type, a title, a status and a detail that says what to do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson
from aiohttp import web

TYPE = "urn:echolane:problem:"
KIND = "application/problem+json"
TITLES = {
    "bad-request": (400, "The request cannot be understood"),
    "unauthorised": (401, "A token is needed"),
    "forbidden": (403, "This token may not do that"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This method is not for this address"),
    "too-slow": (408, "The request did not come in time"),
    "conflict": (409, "The state of the thing does not allow it"),
    "no-result": (409, "The run has no result"),
    "too-large": (413, "The request is too large"),
    "unsupported-type": (415, "The body has another type than wanted"),
    "wrong-host": (421, "This server is not called that"),
    "key-reused": (422, "The Idempotency-Key was used for another request"),
    "refused-rule": (422, "This could hide more than was meant"),
    "too-many": (429, "Too many requests"),
    "fault": (500, "A fault of Echolane"),
    "unavailable": (503, "What this needs does not answer"),
}
"""Every problem there is: its status and its title."""


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is an error."""

    def __init__(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code, self.detail, self.headers = code, detail, dict(headers or {})
        self.status, self.title = TITLES[code]


class ProblemDetails(msgspec.Struct, frozen=True):
    """What went wrong (RFC 9457)."""

    type: str
    """`urn:echolane:problem:CODE`."""
    title: str
    status: int
    detail: str
    """What, which value, what to do."""


def answer(problem: Problem) -> web.Response:
    """The problem as a response."""
    return web.Response(status=problem.status, body=told(problem), headers={**problem.headers, "Content-Type": KIND})


def told(problem: Problem) -> bytes:
    """The problem as JSON, in one line."""
    details = ProblemDetails(TYPE + problem.code, problem.title, problem.status, problem.detail)
    return orjson.dumps(msgspec.to_builtins(details))


def of_status(status: int, detail: str) -> Problem:
    """The problem that a status of the HTTP library stands for."""
    code = next((name for name, (number, _) in TITLES.items() if number == status), None)
    return Problem(code or ("bad-request" if status < 500 else "fault"), detail)
