"""``echolane config``: the settings in force and where each comes from; ``config explain KEY`` says what one means."""

from __future__ import annotations

import argparse

from console.output import put, table
from console.surroundings import settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("action", nargs="?", choices=["show", "check", "explain"], default="show")
    parser.add_argument("key", nargs="?", help="a setting, for example replay.concurrency (with explain)")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Read the settings (which checks them) and show them."""
    settings = settings_of(args)
    rows = settings.explain(args.key)
    if args.json:
        put([row._asdict() for row in rows])
    elif args.action != "check":
        table(["setting", "value", "from", "what"], [[r.key, str(r.value), r.source, r.what] for r in rows])
    return 0
