"""The front page over HTTP: services and runs, and the form that asks for one."""

from __future__ import annotations

from typing import cast

import msgspec
from aiohttp import web

from console.api import calls_runs, page_list, page_start, reading
from console.api.context import Call
from console.api.messages import RunRequest, RunsQuery
from console.api.page_parts import html_page, to, word_of
from console.api.page_start import Filled
from console.api.problems import Problem
from echolane import recordings
from echolane.errors import UsageError

NOTHING = Filled()
TOLD = {"bad-request", "forbidden", "not-found", "conflict"}
"""Problems of what was filled in; others are pages of their own."""


async def overview(call: Call, filled: Filled = NOTHING, status: int = 200) -> web.StreamResponse:
    """Services and runs; with what was wrong in a form that came."""
    query = runs_query(call)
    service = query.service if isinstance(query.service, str) else ""
    services = await call.site.read(reading.services, call.site, call.token)
    runs = await call.site.read(reading.runs, call.site, call.token, query)
    kept = await call.site.read(recordings.listed, call.site.home.recordings)
    shown = [one for one in services if not service or one.service == service]
    start = page_start.section(shown, kept, filled, word=word_of(call), may_run=call.token.may("runner"))
    text = page_list.overview(
        shown,
        runs,
        start,
        word=word_of(call),
        may_set=call.token.may("admin") and call.token.sees_all,
        service=service,
    )
    return html_page(text, status=status)


def runs_query(call: Call, service: str = "") -> RunsQuery:
    """Which runs an address asks for; of this service whatever it says, where one is named here."""
    given = {name: call.request.query[name] for name in ("service", "cursor") if call.request.query.get(name)}
    try:
        return msgspec.convert({**given, "service": service} if service else given, RunsQuery)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", str(error)) from error


async def start(call: Call) -> web.StreamResponse:
    """Start a run from a form; where that is refused the form comes again as it was filled in, and says why."""
    fields = cast("dict[str, str]", call.body)
    wanted, wrong = page_start.asked(fields)
    if wanted is None:
        return await overview(call, Filled(fields, wrong), 400)
    call.body = wanted
    try:
        state, _, _ = await calls_runs.create_run(call)
    except UsageError as error:
        return await overview(call, Filled(fields, {"branch_name": str(error)}), 400)
    except Problem as problem:
        if problem.code not in TOLD:
            raise
        return await overview(call, Filled(fields, {_field_of(problem, wanted): problem.detail}), problem.status)
    return to(f"/runs/{state.run}")


def _field_of(problem: Problem, wanted: RunRequest) -> str:
    """Which field a problem is of; empty where it is of none."""
    if problem.code == "forbidden":  # nothing else than writes is
        return "methods"
    named = problem.code == "not-found" and isinstance(wanted.recording, str) and wanted.recording in problem.detail
    return "recording" if named else ""
