"""``echolane api``: open home, journal and store, and serve API and pages until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from aiohttp import web

from console.api.access import TokenBook
from console.api.audit import Audit
from console.api.connections import Patience
from console.api.context import Site
from console.api.gate import BODY_MAX, SITE, gate, served
from console.api.heads import HeadDesk, HeadLog
from console.api.hook_settings import read_hooks
from console.api.launching import Launcher
from console.api.missed_work import MissedWork
from console.api.notice_desk import NoticeDesk, NoticeLog
from console.api.notice_work import NoticeWork
from console.api.notify_desk import MessageDesk, MessageLog
from console.api.notify_settings import read_destinations
from console.api.notify_work import NotifyWork
from console.api.oidc_flow import SignIn
from console.api.oidc_settings import read_oidc
from console.api.pages import add_pages
from console.api.push_desk import PushDesk
from console.api.push_log import PushLog
from console.api.push_work import PushWork
from console.api.rates import Rates
from console.api.secrets_kept import secret
from console.api.sessions import Sessions
from console.api.shared import SharedRuns
from console.api.signin import add_signin
from console.api.table import OPERATIONS
from console.api.targets import read_targets
from console.clickhouse.door import opened
from console.config_place import config_file
from console.flags import host_port
from console.output import say
from console.surroundings import home_in, places_of, settings_of, store_of
from console.up_records import read_records
from echolane import log, service
from echolane.errors import UsageError
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.lease import held
from echolane.settings import Settings
from echolane.store import Store
from echolane.tracing import traced

EPILOG = """examples:
  echolane api
  echolane api --listen 0.0.0.0:8900 --url https://echolane.example
The first start prints a token of an admin, this once; `echolane token create` makes others."""
THREADS = 8
"""Calls that wait for store, journal and files at once; two cores answer no more."""
HOOKS_PER_S, HOOKS_BURST = 100.0, 2_000
"""Deliveries of one address: a thousand pushes a minute, and all that a forge held back while it could not deliver."""
DRAIN_S = 5.0
"""For answers that are on their way when the server stops; streams are told to end."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("--listen", metavar="HOST:PORT", help="where to listen (default: 127.0.0.1:8900)")
    parser.add_argument("--url", metavar="URL", help="the address by which people reach it, where that is another")


def execute(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    settings = settings_of(args, **{"api.listen": args.listen, "api.url": args.url})
    address = host_port(settings.api.listen)
    home = home_in(settings)
    log.to(home.log / "api.log")
    book = TokenBook(home)
    journal = open_journal(home)
    try:
        with traced(os.environ), store_of(args, home) as store, ThreadPoolExecutor(THREADS, "api") as pool:
            site = site_of(home, settings, store, journal, book, places_of(args, home), pool)
            if (first := book.create_first()) is not None:
                say(f"a token of an admin, told this once: {first}")
            with (
                held(home.path / "hooks" / "lock", "the pushes of this home")
                if site.hooks or site.notify
                else contextlib.nullcontext()
            ):
                service.run(lambda stop: serve(site, address, stop))
    finally:
        journal.close()
    say("stopped; runs that were not over are gone on with at the next start")
    return 0


def site_of(
    home: Home,
    settings: Settings,
    store: Store,
    journal: Journal,
    book: TokenBook,
    places: list[str],
    pool: ThreadPoolExecutor,
) -> Site:
    """What all calls share."""
    public = urlsplit(settings.api.url)
    listening = host_port(settings.api.listen)[0]
    toml = config_file()
    targets = read_targets(toml)
    provided = read_oidc(toml, settings, os.environ)
    key = secret(home, "session.key")
    names = {"localhost", "127.0.0.1", "::1", listening, public.hostname or "", *settings.api.hosts}
    return Site(
        home=home,
        settings=settings,
        store=store,
        journal=journal,
        book=book,
        audit=Audit(home),
        sessions=Sessions(key, book, people_only=settings.oidc.only),
        launcher=Launcher(home, store, places, settings.api.runs_at_once, settings.api.runs_queued),
        targets=targets,
        shared=SharedRuns(journal),
        rates=Rates(settings.api.rate_per_s, settings.api.burst),
        hooks=read_hooks(toml, targets, os.environ, settings.api.url),
        pushes=PushDesk(PushLog(home)),
        notices=NoticeDesk(NoticeLog(home)),
        heads=HeadDesk(HeadLog(home)),
        hook_rates=Rates(HOOKS_PER_S, HOOKS_BURST),
        pool=pool,
        records=read_records(toml, host_port(settings.api.listen)),
        notify=read_destinations(toml, os.environ),
        messages=MessageDesk(MessageLog(home)),
        hosts=frozenset(name.lower() for name in names if name and name not in {"0.0.0.0", "::"}),  # noqa: S104
        secure=public.scheme == "https",
        signin=SignIn(provided, key) if provided else None,
    )


async def serve(site: Site, address: tuple[str, int], stop: asyncio.Event) -> None:
    """API and pages, and the runs that they were asked for."""
    if site.notify:
        await site.messages.open()
    if site.hooks:
        await site.pushes.open()
        await site.notices.open()
        await site.heads.open()
    app = web.Application(middlewares=[gate], client_max_size=BODY_MAX)
    app[SITE] = site
    for operation in OPERATIONS:
        app.router.add_route(operation.method, operation.path, served(operation))
    add_pages(app)
    add_signin(app)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=DRAIN_S)
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - it was set up
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(Patience(runner.server), *address, reuse_address=True)
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"{address[0]}:{address[1]} cannot be listened on: {error.strerror}") from error
    say(f"API and pages on http://{address[0]}:{address[1]}; Ctrl-C ends them")
    log.event("api.started", at=time.time_ns())
    try:
        async with opened(site.settings, site.store), asyncio.TaskGroup() as tasks:
            tasks.create_task(site.launcher.work(stop))
            if site.notify:
                tasks.create_task(NotifyWork(site).work(stop))
            if site.hooks:
                tasks.create_task(PushWork(site).work(stop))
                tasks.create_task(NoticeWork(site).work(stop))
                tasks.create_task(MissedWork(site).work(stop))
            await stop.wait()
            site.stopping.set()
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await runner.cleanup()
    finally:
        server.close()
        await runner.cleanup()
        if site.signin is not None:
            await site.signin.provider.close()
