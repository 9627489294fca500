"""What machinery asks: whether the server lives and is ready, and its numbers for Prometheus."""

from __future__ import annotations

from aiohttp import web

from console.api import missed_told, notify_work
from console.api.capture_told import captures
from console.api.context import Call, Site
from console.api.parts_told import parts_lacking, parts_told
from console.api.reading import recorded_services
from echolane import __version__
from echolane.errors import EcholaneError
from echolane.store import QueryError

RUNS = "SELECT service, state, verdict, count() AS n FROM runs_v GROUP BY service, state, verdict ORDER BY service, state, verdict"


async def livez(_call: Call) -> web.Response:
    """Whether the loop turns: what it stands on may be away, which a restart would not mend."""
    return web.Response(text="ok\n")


async def readyz(call: Call) -> web.Response:
    """Whether store and journal answer, and all parts of an `echolane up` are there, where the server is one of them."""
    if call.site.stopping.is_set():
        return web.Response(status=503, text="stopping\n")
    try:
        await call.site.read(_ask, call.site)
    except (EcholaneError, QueryError):
        return web.Response(status=503, text="store or journal do not answer\n")
    if lacking := await call.site.read(parts_lacking, call.site.home):
        return web.Response(status=503, text=f"{lacking} of the parts of `echolane up` are not up\n")
    return web.Response(text="ok\n")


def _ask(site: Site) -> None:
    site.store.query("SELECT 1")
    recorded_services(site)


async def metrics(call: Call) -> web.Response:
    """Numbers in Prometheus' text format, of the services that the token sees."""
    site = call.site
    rows = await site.read(site.store.query, RUNS)
    going, waiting = site.launcher.counts
    lines = [
        "# HELP echolane_build_info The version that runs.",
        "# TYPE echolane_build_info gauge",
        f'echolane_build_info{{version="{__version__}"}} 1',
        "# HELP echolane_runs Runs in the store by service, state and verdict.",
        "# TYPE echolane_runs gauge",
        *(
            f'echolane_runs{{service="{_text(row["service"])}",state="{_text(row["state"])}",verdict="{_text(row["verdict"])}"}} {row["n"]}'
            for row in rows
            if call.token.sees(str(row["service"]))
        ),
        "# HELP echolane_runs_going Runs that this server has done now.",
        "# TYPE echolane_runs_going gauge",
        f"echolane_runs_going {going}",
        "# HELP echolane_runs_waiting Runs in its queue.",
        "# TYPE echolane_runs_waiting gauge",
        f"echolane_runs_waiting {waiting}",
        "# HELP echolane_live_streams Clients that watch a run.",
        "# TYPE echolane_live_streams gauge",
        f"echolane_live_streams {site.streams}",
        *await site.read(captures, site.home, call.token),
        *await site.read(parts_told, site.home, call.token),
        *((*notify_work.numbers(site), *missed_told.numbers(site)) if call.token.sees_all else ()),
        "# HELP echolane_api_calls_total Calls by operation and status.",
        "# TYPE echolane_api_calls_total counter",
        *(
            f'echolane_api_calls_total{{operation="{name}",status="{status}"}} {number}'
            for (name, status), number in sorted(site.answered.items())
        ),
    ]
    return web.Response(
        text="\n".join(lines) + "\n", headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


def _text(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
