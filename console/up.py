"""``echolane up``: what is recorded, the API and the pages, and workers, as one tree of processes that is kept going and ends whole."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
from collections.abc import Sequence

from console.api.access import TokenBook
from console.config_place import config_file
from console.flags import host_port
from console.surroundings import home_in, places_of, settings_of
from console.up_parts import Plan
from console.up_records import Recorded, names_of, read_records
from console.up_state import HELD
from console.up_telling import flush, tell
from console.up_tree import Tree
from echolane import log, service
from echolane.errors import UsageError
from echolane.home import Home
from echolane.lease import held
from echolane.settings import Settings

EPILOG = """examples:
  echolane up
  echolane up --listen 0.0.0.0:8900 --url https://echolane.example
Services that are recorded stand in [[up.record]] of echolane.toml. Ctrl-C or SIGTERM drains and exits 0; a second one ends at once."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("--listen", metavar="HOST:PORT", help="where API and pages listen (default: 127.0.0.1:8900)")
    parser.add_argument("--url", metavar="URL", help="the address by which people reach them, where that is another")


def execute(args: argparse.Namespace) -> int:
    """Keep everything going until SIGINT or SIGTERM; 0 when all of it drained, 130 when something had to be killed."""
    settings = settings_of(args, **{"api.listen": args.listen, "api.url": args.url})
    records = read_records(config_file(), host_port(settings.api.listen))
    home = home_in(settings)
    with held(home.path / "up" / "lock", "`echolane up` of this home"):
        log.to(home.log / "up.log")
        token = FirstToken(home)
        plans = plans_of(args, home, settings, records)

        def told(tree: Tree) -> None:
            for line in block(home, settings, records, tree, token.words(args)):
                tell(line)

        tree = Tree(home, settings.up, plans, told)

        async def main(stop: asyncio.Event) -> int:
            return await tree.run(stop)

        try:
            code = service.run(main)
        finally:
            tree.end_at_once()  # whatever is left: nothing after an end in good order
            token.tell()
            flush()
    if tree.refused:
        raise UsageError(tree.refused)
    tell("stopped; runs that were not over are gone on with at the next start")
    flush()
    return code


def plans_of(args: argparse.Namespace, home: Home, settings: Settings, records: Sequence[Recorded]) -> list[Plan]:
    """All parts, each the command that a person would give."""
    places = places_of(args, home)
    plans = [
        Plan(name, (*record.words, *places), f"recording {record.service} on", record.environ, record.service)
        for name, record in zip(names_of(list(records)), records, strict=True)
    ]
    shared = settings.replay.workers == "shared" or (settings.replay.workers == "auto" and bool(settings.journal_url))
    for role, number in (("replay", settings.up.replay_workers), ("diff", settings.up.diff_workers)):
        for one in range(1, number + 1) if shared else ():
            name = f"worker {role}" + (f" {one}" if number > 1 else "")
            plans.append(Plan(name, ("worker", role, *places), f"{role} worker"))
    given = [f"--{flag}={value}" for flag, value in (("listen", args.listen), ("url", args.url)) if value]
    return [*plans, Plan("api", ("api", *given, *places), "API and pages on")]


def block(home: Home, settings: Settings, records: Sequence[Recorded], tree: Tree, login: str) -> list[str]:
    """What is where, once every part has started."""
    lines = [
        f"Echolane is up: process {os.getpid()}, home {home.path}",
        f"  pages and API  {settings.api.url or f'http://{settings.api.listen}'}",
        f"  log in with    {login}",
    ]
    lines += [f"  records        {r.service}: clients connect to {r.listen}, {r.upstream} answers" for r in records]
    if not records:
        lines.append("  records        nothing yet; [[up.record]] of echolane.toml names services")
    workers = [plan.name for plan in tree.plans if plan.words[0] == "worker"]
    lines.append(f"  runs           by {', '.join(workers) or 'a process of its own each'}")
    lines += [f"  held           {part.name} {part.why}" for part in tree.states if part.state == HELD]
    return [*lines, "  ends           with Ctrl-C or SIGTERM, in good order; a second one does not wait"]


class FirstToken:
    """The token of an admin that a new home gets: told once, whatever becomes of the start."""

    def __init__(self, home: Home) -> None:
        self._text = TokenBook(home).create_first()

    def words(self, args: argparse.Namespace) -> str:
        """What to log in with, for the block."""
        text, self._text = self._text, None
        if text is not None:
            return f"{text} (a token of an admin, told this once)"
        home = f" --home {shlex.quote(str(args.home))}" if args.home else ""
        return f"a token; `echolane token create NAME --role admin{home}` makes one"

    def tell(self) -> None:
        """Say it where there was no block."""
        if self._text is not None:
            tell(f"a token of an admin, told this once: {self._text}")
            self._text = None
