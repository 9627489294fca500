"""The pages of what runs stand on, over HTTP."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec
from aiohttp import web

from console.api import calls, calls_state, page_states, reading, states
from console.api.context import Call
from console.api.messages import RecordingRequest, RecordingsQuery
from console.api.messages_state import CapturesQuery, NoiseQuery
from console.api.page_parts import html_page, to, word_of
from console.api.problems import Problem

S = TypeVar("S", bound=msgspec.Struct)


async def recorded(call: Call, wrong: str = "", status: int = 200) -> web.StreamResponse:
    """What is recorded, captures, recordings."""
    site, given = call.site, call.request.query
    only = {"service": given["service"]} if given.get("service") else {}
    captures = _asked(CapturesQuery, {**only, "cursor": given.get("cursor", "")})
    call.query = _asked(RecordingsQuery, {**only, "cursor": given.get("older", "")})
    recordings = await calls.list_recordings(call)  # of a service that is not the caller's to see it is a Problem
    services = [
        one.service for one in await site.read(reading.services, site, call.token) if one.recorded or one.targets
    ]
    told = page_states.Recorded(
        captures=await site.read(states.captures, site, call.token, captures),
        rules=[states.rules(site, name) for name in services if only.get("service", name) == name],
        recordings=recordings,
        service=only.get("service", ""),
        wrong=wrong,
    )
    return html_page(page_states.recorded(told, word=word_of(call), may_run=call.token.may("runner")), status=status)


async def keep(call: Call) -> web.StreamResponse:
    """Keep a window of what was recorded, by a form; where that is refused the page comes again, and says why."""
    fields = cast("dict[str, str]", call.body)
    try:
        call.body = _asked(
            RecordingRequest, {"service": fields.get("service", ""), "last": fields.get("last", "").strip()}
        )
        await calls.create_recording(call)
    except Problem as problem:
        if problem.code not in {"bad-request", "conflict", "not-found"}:
            raise
        return await recorded(call, problem.detail, problem.status)
    return to("/recordings#recordings")


async def noise(call: Call) -> web.StreamResponse:
    """A service's noise profiles, and the places of one."""
    name, given = await calls_state.service_of(call), call.request.query
    query = _asked(NoiseQuery, {"base": given.get("base", ""), "cursor": given.get("cursor", "")})
    kept = await call.site.read(states.profiles, call.site, name)
    told = await call.site.read(states.noise, call.site, name, query)
    return html_page(page_states.noise(told, kept, word=word_of(call)))


async def settings(call: Call) -> web.StreamResponse:
    """The settings in force."""
    return html_page(page_states.settings(states.settings(call.site, call.token), word=word_of(call)))


def _asked(kind: type[S], given: dict[str, Any]) -> S:
    """What an address or a form asks for; what is empty in it is not asked."""
    try:
        return msgspec.convert({name: text for name, text in given.items() if text}, kind)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", str(error)) from error
