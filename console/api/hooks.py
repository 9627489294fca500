"""Deliveries that start runs: who signed them, what they are about, and that each is answered at once and worked on later."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from typing import cast

from console.api import gate
from console.api.context import Call, Site
from console.api.forge_names import GENERIC
from console.api.hook_settings import Armed
from console.api.messages import HookRun, HookTold, Pushes, PushesQuery, PushTold
from console.api.missed_told import looks_told
from console.api.notices_told import forge_told
from console.api.problems import Problem
from console.api.pushes import Push, Step, TooMany
from console.api.signatures import STALE_S, is_fresh, is_signed_standard
from console.api.targets import filled
from echolane import ids
from echolane.tracing import here

BUSY_S = 60
ID_MAX = 200
"""Characters of a delivery's id; those of the forges are UUIDs."""
NAME_MAX = 250
_NO_BRANCH = re.compile(r"\.\.|@\{|//|[ ~^:?*\[\\]|^[-/.]|[/.]$|\.lock$|\.lock/|/\.")
"""What git allows in no branch's name."""


async def admit_standard(call: Call) -> None:
    """Let in what is signed as Standard Webhooks say with the secret of a generic hook."""
    id, stamp, given = (call.request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))  # noqa: A001
    if not id or not given:
        raise unsigned("send `Authorization: Bearer TOKEN`, or webhook-id, webhook-timestamp and webhook-signature")
    body = await gate.whole(call.request)
    armed = await call.site.read(signers, call, GENERIC, lambda one: is_signed_standard(one, id, stamp, body, given))
    if not armed:
        raise unsigned("webhook-signature is not that of id, time and body with the secret of a hook")
    if not is_fresh(stamp, time.time()):
        raise unsigned(f"webhook-timestamp is more than {STALE_S} s from the time here")
    call.armed, call.by = armed, f"hook {armed[0].hook.id}"


def unsigned(detail: str) -> Problem:
    """What is answered to who has no secret."""
    return Problem("unauthorised", detail, {"WWW-Authenticate": 'Bearer realm="echolane"'})


def signers(call: Call, forge: str, signed: Callable[[bytes], bool]) -> tuple[Armed, ...]:
    """The hooks of a forge whose secret signed a delivery; every secret is tried, so that the time does not say which."""
    found = call.site.hooks.of(forge)
    good = {secret for secret in {one.secret for one in found if one.secret} if signed(secret)}
    return tuple(one for one in found if one.secret in good)


async def run(call: Call) -> HookTold:
    """Have a branch run, whoever says so."""
    wanted = cast("HookRun", call.body)
    if call.who is not None:
        call.see(wanted.service, f"hook of service `{wanted.service}`")
        armed = call.site.hooks.of_service(wanted.service)
        call.by = call.token.id
    else:
        armed = next((one for one in call.armed if one.hook.service == wanted.service), None)
        call.service = wanted.service if armed else ""
    if armed is None:
        raise Problem(
            "not-found", f"there is no hook of service `{wanted.service}`; [[hooks]] of echolane.toml names them"
        )
    now = time.time_ns()
    id = call.request.headers.get("webhook-id", "") if call.who is None else call.key  # noqa: A001
    delivery = digest(armed.hook.id, call.by, id or ids.uuid7(now))
    commit = wanted.commit if isinstance(wanted.commit, str) else f"call-{delivery[:16]}"
    return await taken(call, [armed], "", wanted.branch, Step("", commit, now), [delivery])


async def taken(
    call: Call, armed: list[Armed], repository: str, branch: str, step: Step, deliveries: list[str]
) -> HookTold:
    """Keep what a delivery says of a branch, for each hook that it is for, and say what will come of it."""
    check_branch(branch)
    wanting = [one for one in armed if one.hook.wants(branch)]
    if not wanting:
        return HookTold("no hook is for this branch: see branches and not_branches", [])
    call.service = call.service or wanting[0].hook.service
    try:
        kept = await keep(call.site, wanting, repository, branch, step, deliveries, by=call.by)
    except TooMany:
        detail = "as many pushes wait as may; deliver it again later"
        raise Problem("too-many", detail, {"Retry-After": str(BUSY_S)}) from None
    if kept is None:
        return HookTold("this delivery was taken in before", [])
    call.what = f"{branch[:80]}@{step.after[:12]}"
    if not step.after:
        return HookTold("the branch is deleted: its runs that are not over are given up", [])
    return HookTold("taken in", [told(call.site, push) for push in kept])


async def keep(
    site: Site, wanting: list[Armed], repository: str, branch: str, step: Step, deliveries: list[str], *, by: str
) -> list[Push] | None:
    """Keep a step of a branch for hooks that want it; None where it was taken in before. UsageError and TooMany as they are raised."""
    for one in wanting:
        filled(one.target.url + one.target.lane, branch)  # UsageError where nothing of the name is left
    now = time.time_ns()
    pushes = [
        (
            Push(one.hook.id, one.hook.service, repository, branch, step.after, now, ids.uuid7(now), by, trace=here()),
            step,
        )
        for one in wanting
    ]
    for one in wanting:  # first, so that a delivery that cannot be kept, and comes again, has it done again
        await site.notices.look_again(one.hook.id, one.hook.repository_of(repository), branch)
    return await site.pushes.take(pushes, deliveries)


def check_branch(name: str) -> None:
    """Problem where this is no branch's name: what git refuses, and what cannot be shown."""
    if not 0 < len(name) <= NAME_MAX or not name.isprintable() or _NO_BRANCH.search(name):
        raise Problem("bad-request", "branch: this is no name that git allows for a branch")


def digest(*parts: str | bytes) -> str:
    """A delivery's name in the book, of bounded length."""
    one = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        one.update(len(data).to_bytes(8, "big") + data)
    return one.hexdigest()[:32]


def told(site: Site, push: Push) -> PushTold:
    """A push as it is told."""
    forge = forge_told(site, push)
    return PushTold(
        push.service, push.repository, push.branch, push.commit, push.run, push.state, push.why, push.at_ns, forge
    )


async def list_pushes(call: Call) -> Pushes:
    """The newest pushes of services that the token sees."""
    query = cast("PushesQuery", call.query)
    if isinstance(query.service, str):
        call.see(query.service, f"service `{query.service}`")
    found = [
        told(call.site, push)
        for push in reversed(call.site.pushes.book.pushes.values())
        if call.token.sees(push.service) and (query.service == push.service or not isinstance(query.service, str))
    ]
    service = query.service if isinstance(query.service, str) else ""
    return Pushes(found[: query.limit], looks_told(call.site, call.token.sees, service))
