"""``echolane audit``: who changed what over the API, and whether anybody has changed the record of it."""

from __future__ import annotations

import argparse

from console.api.audit import Audit
from console.output import put, say, table
from console.surroundings import home_of
from differ.result import iso
from echolane.errors import EXIT_FAIL

SHOWN = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("action", choices=["list", "verify"], help="the newest entries; or check all of them")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """List entries, or check that none was changed, dropped, added or moved: exit 1 where one was."""
    audit = Audit(home_of(args))
    if args.action == "verify":
        count, faults = audit.verify()
        if args.json:
            put({"entries": count, "faults": faults})
        for fault in faults:
            say(f"{audit.path}: {fault}")
        if not faults:
            say(f"{count} entries, each as it was written")
        return EXIT_FAIL if faults else 0
    entries = audit.entries(SHOWN)
    if args.json:
        for entry in entries:
            put(entry)
        return 0
    names = ["actor", "operation", "service", "what", "status"]
    table(
        ["at", *names],
        [[iso(entry["at_ns"]), *(str(entry.get(name) or "") for name in names)] for entry in entries],
    )
    return 0
