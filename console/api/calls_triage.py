"""Triage over the API: say what a finding is, see what was said, and what else it would hide."""

from __future__ import annotations

import hashlib
from hashlib import blake2b
from typing import Any, cast

import msgspec

from console import triage_kept
from console.api import paging, reading, triaging
from console.api.context import Call
from console.api.messages_triage import Decisions, DecisionsQuery, Preview, PreviewQuery, TriageRequest
from console.api.problems import Problem
from echolane.triage import Decision


async def decide(call: Call) -> Any:
    """Say what a finding is: it is kept when this answers, and holds from the next run on."""
    wanted = cast("TriageRequest", call.body)
    at = await _seen(call)
    call.what = f"{wanted.decision}: finding {at.finding['id']} of run {at.run.id}"
    text = msgspec.json.encode([at.run.id, at.finding["id"], wanted], order="sorted")
    fingerprint = hashlib.sha256(text).hexdigest()
    key = hashlib.sha256(f"{call.token.id}:{call.key}".encode()).hexdigest() if call.key else ""
    if key and (before := await call.site.read(triage_kept.by_key, call.site.store, key)) is not None:
        if before[1] != fingerprint:
            raise Problem(
                "key-reused", f"this key said something of finding {before[0].finding} already; take a new key"
            )
        return triaging.told(before[0]), 200, {"Idempotency-Replayed": "true"}
    one = await call.site.read(triaging.decide, call.site, call.token, at, wanted, key, fingerprint)
    return triaging.told(one), 201, {}


async def preview(call: Call) -> Preview:
    """What a decision would hide."""
    at = await _seen(call)
    return await call.site.read(triaging.preview, call.site, call.token, at, cast("PreviewQuery", call.query))


async def list_of_run(call: Call) -> Decisions:
    """What stands of the findings of a run."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    return _page(await call.site.read(triaging.of_run, call.site, run), cast("DecisionsQuery", call.query))


async def list_of_service(call: Call) -> Decisions:
    """What stands of a service."""
    service = call.path("service")
    call.see(service, f"service `{service[:64]}`")
    if all(one.service != service for one in await call.site.read(reading.services, call.site, call.token)):
        raise Problem("not-found", f"there is no service `{service[:64]}`, or this token is not for it")
    return _page(await call.site.read(triaging.of_service, call.site, service), cast("DecisionsQuery", call.query))


async def _seen(call: Call) -> triaging.Seen:
    at = await call.site.read(triaging.seen, call.site, call.token, call.path("run"), call.path("finding"))
    call.service, call.what = at.run.service, at.run.id
    return at


def _page(found: list[Decision], query: DecisionsQuery) -> Decisions:
    fit = [one for one in found if not isinstance(query.decision, str) or one.decision == query.decision]
    page, more = paging.newest_first(fit, lambda one: (one.at_ns, _name(one)), query.cursor, query.limit)
    return Decisions([triaging.told(one) for one in page], more)


def _name(one: Decision) -> str:
    """What a decision is about: a finding, of a branch or of all."""
    return blake2b(f"{one.finding}\0{one.branch}".encode(), digest_size=8).hexdigest()
