"""``echolane recordings``: what has been recorded, and named parts of it (``recordings add --service S --last 30m``)."""

from __future__ import annotations

import argparse
import time

import orjson

from console.flags import service_name, time_span_ns
from console.output import put, say, table
from console.surroundings import home_of
from echolane import ids, recordings
from echolane.errors import Inconclusive, UsageError
from echolane.journal import open_journal


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("action", nargs="?", choices=["list", "add"], default="list")
    parser.add_argument("--service", help="the service to make a recording of (with add)")
    parser.add_argument(
        "--last", metavar="SPAN", help="only what was appended in the last SPAN, for example 30m (with add)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """List recordings and recorded services, or add a recording."""
    home = home_of(args)
    journal = open_journal(home)
    try:
        if args.action == "add":
            if not args.service:
                raise UsageError("recordings add needs --service NAME")
            now = time.time_ns()
            since = now - time_span_ns(args.last) if args.last else None
            chosen = recordings.everything(
                journal, service_name(args.service), id=ids.uuid7(now), now_ns=now, since_ns=since
            )
            if all(span.start >= span.stop for span in chosen.ranges):
                raise Inconclusive(f"nothing was recorded of `{args.service}` in that time, so there is no recording")
            recordings.save(home.recordings, chosen)
            print(orjson.dumps({"recording": chosen.id}).decode() if args.json else chosen.id)  # noqa: T201
            return 0
        services = sorted(name.removeprefix("exchanges.") for name in journal.topics() if name.startswith("exchanges."))
        found = recordings.listed(home.recordings)
    finally:
        journal.close()
    if args.json:
        rows = [{"recording": r.id, "service": r.service, "source": r.source, "exchanges": r.exchanges} for r in found]
        put({"services": services, "recordings": rows})
        return 0
    say(f"recorded services: {', '.join(services) or 'none yet; start with `echolane record` or `echolane import`'}")
    if found:
        table(
            ["recording", "service", "exchanges", "what"],
            [[r.id, r.service, "" if r.exchanges is None else str(r.exchanges), r.source] for r in found],
        )
    return 0
