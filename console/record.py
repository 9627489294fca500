"""``echolane record``: a sidecar reverse proxy that relays bytes and records on the side."""

from __future__ import annotations

import argparse

from capture.record import record
from console.flags import host_port, http_url, service_name
from console.output import put
from console.surroundings import home_of, settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("--service", required=True, metavar="NAME", help="what the recording is called (a DNS label)")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT", help="where clients connect to")
    parser.add_argument(
        "--upstream", required=True, metavar="URL", help="the service behind, for example http://127.0.0.1:8000"
    )
    parser.add_argument(
        "--no-seal", action="store_true", help="drop the originals of masked values for good instead of sealing them"
    )
    parser.add_argument("--json", action="store_true", help="print the ledger as JSON on stdout at the end")
    parser.epilog = "Ctrl-C or SIGTERM drains, prints the ledger and exits 0."


def execute(args: argparse.Namespace) -> int:
    """Record until SIGINT or SIGTERM."""
    service, listen = service_name(args.service), host_port(args.listen)
    upstream = http_url(args.upstream, "--upstream")
    settings = settings_of(args, seal=False if args.no_seal else None)
    counts = record(home_of(args), service, listen, upstream, settings)
    if args.json:
        put({"service": service, "counts": counts})
    return 0
