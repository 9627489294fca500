"""Everything else over the API: services, recordings, findings, exchanges, tokens, the audit log."""

from __future__ import annotations

import re
import time
from typing import Any, cast

from msgspec import UNSET

from console.api import one_exchange, paging, reading, searching, triaging
from console.api.access import EVERY, Token
from console.api.context import Call
from console.api.messages import (
    Entries,
    Entry,
    Findings,
    FindingsQuery,
    PageQuery,
    RecordingRequest,
    Recordings,
    RecordingsQuery,
    RecordingTold,
    Role,
    Services,
    ServiceTold,
    TokenMade,
    TokenRequest,
    Tokens,
    TokenTold,
)
from console.api.messages_exchanges import Exchanges, ExchangesQuery, ExchangeTold
from console.api.problems import Problem
from console.flags import time_span_ns
from differ.result import iso
from echolane import ids, recordings
from echolane.journal import Journal

ENTRIES_MAX = 200
_TOKEN_ID = re.compile(r"[0-9a-f]{12}")


async def list_services(call: Call) -> Services:
    """Every service that the token sees."""
    return Services(await call.site.read(reading.services, call.site, call.token))


async def show_service(call: Call) -> ServiceTold:
    """One service."""
    name = call.path("service")
    for service in await call.site.read(reading.services, call.site, call.token):
        if service.service == name:
            return service
    raise Problem("not-found", f"there is no service `{name[:64]}`, or this token is not for it")


async def list_recordings(call: Call) -> Recordings:
    """A page of recordings, the newest first."""
    query = cast("RecordingsQuery", call.query)
    if isinstance(query.service, str):
        call.see(query.service, f"service `{query.service}`")
    found = await call.site.read(recordings.listed, call.site.home.recordings)
    fit = [
        r
        for r in found
        if call.token.sees(r.service) and (not isinstance(query.service, str) or r.service == query.service)
    ]
    page, more = paging.newest_first(fit, lambda one: (one.created_at_ns, one.id), query.cursor, query.limit)
    return Recordings([_recording(one) for one in page], more)


async def show_recording(call: Call) -> RecordingTold:
    """One recording."""
    for found in await call.site.read(recordings.listed, call.site.home.recordings):
        if found.id == call.path("recording"):
            call.see(found.service, f"recording `{found.id}`")
            return _recording(found)
    raise Problem(
        "not-found", f"there is no recording `{call.path('recording')[:64]}`, or this token is not for its service"
    )


async def create_recording(call: Call) -> Any:
    """Keep a window of what was recorded by name."""
    wanted = cast("RecordingRequest", call.body)
    call.see(wanted.service, f"service `{wanted.service}`")
    if wanted.service not in await call.site.read(reading.recorded_services, call.site):
        raise Problem("not-found", f"nothing is recorded of service `{wanted.service}`")
    last = wanted.last if isinstance(wanted.last, str) else ""
    chosen = await call.site.read(_chosen, call.site.journal, wanted.service, last)
    if all(span.start >= span.stop for span in chosen.ranges):
        raise Problem("conflict", f"nothing was recorded of `{wanted.service}` in that time")
    await call.site.read(recordings.save, call.site.home.recordings, chosen)
    call.what = chosen.id
    return _recording(chosen), 201, {"Location": f"/api/v1/recordings/{chosen.id}"}


def _chosen(journal: Journal, service: str, last: str) -> recordings.Recording:
    now = time.time_ns()
    since = now - time_span_ns(last) if last else None
    return recordings.everything(journal, service, id=ids.uuid7(now), now_ns=now, since_ns=since)


def _recording(found: recordings.Recording) -> RecordingTold:
    return RecordingTold(found.id, found.service, iso(found.created_at_ns), found.source, found.exchanges)


async def list_findings(call: Call) -> Findings:
    """A page of the findings of a run."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    query = cast("FindingsQuery", call.query)
    holding = await call.site.read(triaging.holding, call.site, run) if query.decision is not UNSET else {}
    return reading.findings(reading.result_of(run), query, holding)


async def show_finding(call: Call) -> Any:
    """One finding, as the result has it."""
    return reading.finding_of(await _result(call), call.path("finding"))


async def list_exchanges(call: Call) -> Exchanges:
    """A page of the exchanges of a run, in recorded order."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    query = cast("ExchangesQuery", call.query)
    finding = await call.site.read(reading.finding_asked, run, query.finding)
    return await call.site.read(searching.exchanges, call.site, run.id, query, finding)


async def show_exchange(call: Call) -> ExchangeTold:
    """One exchange, with what each target answered."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    return await call.site.read(one_exchange.told, call.site, run.id, call.path("exchange"))


async def list_exchanges_of_finding(call: Call) -> Exchanges:
    """A page of the exchanges that differ at the places of a finding."""
    result = await _result(call)
    finding = reading.finding_of(result, call.path("finding"))
    query = cast("PageQuery", call.query)
    return await call.site.read(searching.exchanges_of, call.site, result["run"], finding, query)


async def _result(call: Call) -> dict[str, Any]:
    return reading.result_of(await call.site.read(reading.run_of, call.site, call.token, call.path("run")))


async def list_tokens(call: Call) -> Tokens:
    """Tokens that are for no other services than the caller's."""
    found = await call.site.read(call.site.book.listed)
    return Tokens([_token(token) for token in found if _within(token.services, call.token)])


async def create_token(call: Call) -> Any:
    """Make a token; its text is told in the answer, and never again."""
    wanted = cast("TokenRequest", call.body)
    services = list(wanted.services) or call.token.services
    for service in services:
        if service != EVERY:
            call.see(service, f"service `{service}`")
    book = call.site.book
    token, text = await call.site.read(
        book.create, wanted.name, wanted.role, services, float(wanted.days), by=call.token.id
    )
    call.what = token.id
    return TokenMade(_token(token), text), 201, {}


async def revoke_token(call: Call) -> TokenTold:
    """End a token at once, also in the middle of what it watches."""
    id = call.path("token")  # noqa: A001 - what it is
    found = (
        {token.id: token for token in await call.site.read(call.site.book.listed)} if _TOKEN_ID.fullmatch(id) else {}
    )
    if id not in found or not _within(found[id].services, call.token):
        raise Problem("not-found", f"there is no token `{id[:64]}`, or it is for services that yours is not for")
    call.what = id
    if id == call.token.id:
        raise Problem(
            "conflict",
            "a token cannot end itself, lest nobody is left; another admin's can, or `echolane token revoke`",
        )
    return _token(await call.site.read(call.site.book.revoke, id))


def _within(services: list[str], token: Token) -> bool:
    return token.sees_all or all(service != EVERY and token.sees(service) for service in services)


def _token(token: Token) -> TokenTold:
    return TokenTold(
        id=token.id,
        name=token.name,
        role=cast("Role", token.role),
        services=token.services,
        created_at=iso(token.created_at_ns),
        expires_at=iso(token.expires_at_ns),
        revoked_at=iso(token.revoked_at_ns) if token.revoked_at_ns else None,
        by=token.by,
    )


async def list_audit(call: Call) -> Entries:
    """The newest entries about services that the token sees; those about none are for tokens of every service."""
    entries = await call.site.read(call.site.audit.entries, ENTRIES_MAX)
    return Entries(
        [
            Entry(
                seq=entry["seq"],
                at=iso(entry["at_ns"]),
                actor=str(entry.get("actor", "")),
                operation=str(entry.get("operation", "")),
                service=entry.get("service") or None,
                what=entry.get("what") or None,
                status=int(entry.get("status", 0)),
            )
            for entry in entries
            if call.token.sees_all or (entry.get("service") and call.token.sees(entry["service"]))
        ]
    )
