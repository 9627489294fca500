"""Runs over the API: ask for one, list them, read one, and tell those who do it to stop, pause or go on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec

from console.api import reading
from console.api.context import Call, Site
from console.api.launching import ENDED, Asked, QueueFull
from console.api.messages import RunRequest, Runs, RunsQuery, RunState, Told
from console.api.problems import Problem
from console.api.targets import Target, words as target_words
from console.run_lease import erasing_lease
from echolane import ids, recordings
from echolane.lease import is_held
from echolane.runlog import CANCEL, PAUSE, RESUME

BUSY_S = 60
"""After so long there may be room in the queue: a run takes minutes."""


async def list_runs(call: Call) -> Runs:
    """A page of runs."""
    return await call.site.read(reading.runs, call.site, call.token, cast("RunsQuery", call.query))


async def show_run(call: Call) -> Any:
    """The result of a run, or how far it is."""
    run = await run_of_path(call)
    if run.goes_on:
        return await call.site.read(reading.state_told, call.site, run), 202, {"Retry-After": "2"}
    return reading.result_of(run)


async def show_state(call: Call) -> RunState:
    """How far a run is, or how it ended."""
    return await call.site.read(reading.state_told, call.site, await run_of_path(call))


async def create_run(call: Call) -> Any:
    """Ask for a run: it is kept and will be done when this answers."""
    wanted = cast("RunRequest", call.body)
    call.see(wanted.service, f"service `{wanted.service}`")
    fingerprint = hashlib.sha256(msgspec.json.encode(wanted, order="sorted")).hexdigest()

    def flags() -> list[str]:
        if wanted.service not in reading.recorded_services(call.site):
            raise Problem("not-found", f"nothing is recorded of service `{wanted.service}`")
        return flags_of(call.site, wanted)

    return await once(call, wanted.service, fingerprint, flags)


async def once(call: Call, service: str, fingerprint: str, flags: Callable[[], list[str]]) -> Any:
    """Ask for a run, once for each Idempotency-Key; ``flags`` are looked up beside the loop."""
    key = hashlib.sha256(f"{call.token.id}:{call.key}".encode()).hexdigest() if call.key else ""
    if key and (before := call.site.launcher.known(key)) is not None:
        return await _again(call, before, fingerprint)
    words = await call.site.read(flags)
    if key and (before := call.site.launcher.known(key)) is not None:  # asked twice at once
        return await _again(call, before, fingerprint)
    now = time.time_ns()
    asked = Asked(ids.uuid7(now), service, call.token.id, now, words, key, fingerprint)
    call.what = asked.run
    await _queued(call, asked)
    return await _told(call, asked.run, 201)


async def _again(call: Call, before: Asked, fingerprint: str) -> Any:
    if before.fingerprint != fingerprint:
        raise Problem("key-reused", f"this key asked for run {before.run} with another body; take a new key")
    call.what = before.run
    return await _told(call, before.run, 200, {"Idempotency-Replayed": "true"})


async def _told(call: Call, run: str, status: int, more: dict[str, str] | None = None) -> Any:
    state = await call.site.read(lambda: reading.state_told(call.site, reading.run_of(call.site, call.token, run)))
    return state, status, {"Location": f"/api/v1/runs/{run}", **(more or {})}


async def _queued(call: Call, asked: Asked) -> None:
    if await call.site.read(is_held, erasing_lease(call.site.home)):
        raise Problem("conflict", "somebody's data is being erased, and no run begins meanwhile; ask again in a while")
    try:
        await call.site.launcher.ask(asked)
    except QueueFull:
        detail = f"{call.site.launcher.counts[1]} runs wait already; ask again in a while"
        raise Problem("too-many", detail, {"Retry-After": str(BUSY_S)}) from None


def flags_of(site: Site, wanted: RunRequest) -> list[str]:
    """The flags of ``echolane run`` for a request; Problem where it names what is not there."""
    base, branch = (_target(site, wanted.service, name) for name in (wanted.base, wanted.branch))
    # Said in any case: a run of the server writes only where that is checked here, whatever the settings say.
    methods = wanted.methods if isinstance(wanted.methods, str) else site.settings.replay.methods
    writes = methods == "all"
    if writes and not (base.writes and branch.writes):
        raise Problem(
            "forbidden", "methods `all` writes to both targets, and they are not both configured with writes = true"
        )
    if isinstance(wanted.recording, str):
        if isinstance(wanted.last, str):
            raise Problem("conflict", "give `recording` or `last`, not both")
        folder = site.home.recordings
        if not any(r.id == wanted.recording and r.service == wanted.service for r in recordings.listed(folder)):
            raise Problem("not-found", f"there is no recording `{wanted.recording}` of service `{wanted.service}`")
    name = wanted.branch_name if isinstance(wanted.branch_name, str) else ""
    flags = target_words(base, branch, name, writes=writes)
    given = {
        "branch-name": wanted.branch_name,
        "base-version": wanted.base_version,
        "recording": wanted.recording,
        "last": wanted.last,
        "pace": wanted.pace,
        "concurrency": wanted.concurrency,
        "methods": methods,
    }
    return flags + [f"--{flag}={value}" for flag, value in given.items() if isinstance(value, str | int)]


def _target(site: Site, service: str, name: str) -> Target:
    target = site.targets.find(service, name)
    if target is None:
        known = (
            ", ".join(one.name for one in site.targets.of(service))
            or "none; [[api_targets]] of echolane.toml names them"
        )
        raise Problem("not-found", f"service `{service}` has no target `{name}`; known: {known}")
    return target


async def cancel_run(call: Call) -> Any:
    """Fire no more of a run, and close it with what was done."""
    run = await _going(call)
    if await call.site.read(call.site.shared.say, run.id, CANCEL, b"interrupted") or await call.site.launcher.cancel(
        run.id
    ):
        return Told(run.id, "cancel"), 202, {}
    raise Problem("conflict", f"run {run.id} is done by a command elsewhere, which alone can end it")


async def pause_run(call: Call) -> Any:
    """Hold a run that workers do."""
    run = await _going(call)
    if await call.site.read(call.site.shared.say, run.id, PAUSE):
        return Told(run.id, "pause"), 202, {}
    raise Problem(
        "conflict", f"run {run.id} is done by one process, not by workers, so it cannot be held; cancel and resume it"
    )


async def resume_run(call: Call) -> Any:
    """Go on with a run that was paused or interrupted."""
    run = await run_of_path(call)
    call.what = run.id
    if run.state == "paused" and await call.site.read(call.site.shared.say, run.id, RESUME):
        return Told(run.id, "resume"), 202, {}
    asked = call.site.launcher.find(run.id)
    if run.state != "interrupted" or not run.row["began"]:
        raise Problem("conflict", f"run {run.id} is {run.state}, so there is nothing to go on with")
    if asked is not None and asked.state != ENDED:
        raise Problem("conflict", f"run {run.id} is taken up already")
    await _queued(call, Asked(run.id, run.service, call.token.id, time.time_ns(), ["--resume", run.id]))
    await call.site.pushes.mark(run.id, "ended", "asked")  # where it is that of a push, which has no verdict yet
    return Told(run.id, "resume"), 202, {}


async def run_of_path(call: Call) -> reading.Run:
    """The run that a call is about; Problem where the caller does not see one."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    call.service, call.what = run.service, run.id
    return run


async def _going(call: Call) -> reading.Run:
    run = await run_of_path(call)
    if not run.goes_on:
        raise Problem("conflict", f"run {run.id} is {run.state} already")
    return run
