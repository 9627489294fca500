"""What a run is told from its page: stop, pause, go on; by the same code as over the API."""

from __future__ import annotations

from aiohttp import web

from console.api import calls_runs, page_list, reading
from console.api.context import Call
from console.api.page_parts import html_page, to, word_of
from console.api.problems import Problem


def orders_of(run: reading.Run) -> list[str]:
    """What a run can be told as it is. Only workers can hold a run; where it is done by one process there is no button that cannot work."""
    if resumes(run):
        return ["resume", *(["cancel"] if run.goes_on else [])]
    if not run.goes_on:
        return []
    held = run.state == "running" and run.row["state"] == "shared"
    return [*(["pause"] if held else []), "cancel"]


def resumes(run: reading.Run) -> bool:
    """Whether there is something to go on with."""
    return run.state == "paused" or (run.state == "interrupted" and bool(run.row["began"]))


async def cancel(call: Call) -> web.StreamResponse:
    """Cancel a run from its page."""
    await calls_runs.cancel_run(call)
    return to(f"/runs/{call.path('run')}")


async def pause(call: Call) -> web.StreamResponse:
    """Hold a run from its page."""
    await calls_runs.pause_run(call)
    return to(f"/runs/{call.path('run')}")


async def ask_resume(call: Call) -> web.StreamResponse:
    """Whether a run is to go on; a run that was interrupted may have a page of its result, which has no room for a form."""
    run = await calls_runs.run_of_path(call)
    call.what = ""  # nothing is done yet
    if not resumes(run):
        raise Problem("conflict", f"run {run.id} is {run.state}, so there is nothing to go on with")
    state = await call.site.read(reading.state_told, call.site, run)
    return html_page(page_list.resume(state, word=word_of(call)))


async def resume(call: Call) -> web.StreamResponse:
    """Go on with a run from its page."""
    await calls_runs.resume_run(call)
    return to(f"/runs/{call.path('run')}")
