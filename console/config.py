"""``echolane config``: the settings in force and where each comes from; ``config explain KEY`` says what one means.

``config schema`` prints the JSON Schema of ``echolane.toml`` (:mod:`console.config_schema`), whatever is in force.
"""

from __future__ import annotations

import argparse

import orjson

from console.output import put, table
from console.surroundings import settings_of


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=["show", "check", "explain", "schema"],
        default="show",
        help="show them, read them alone, say what one means; or the JSON Schema of echolane.toml (default: show)",
    )
    parser.add_argument("key", nargs="?", help="a setting, for example replay.concurrency (with explain)")
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Read the settings (which checks them) and show them."""
    if args.action == "schema":
        from console.config_schema import schema  # noqa: PLC0415 - loads what reads each table, which the others do not need

        print(orjson.dumps(schema(), option=orjson.OPT_INDENT_2).decode())  # noqa: T201
        return 0
    settings = settings_of(args)
    rows = settings.explain(args.key)
    if args.json:
        put([row._asdict() for row in rows])
    elif args.action != "check":
        table(["setting", "value", "from", "what"], [[r.key, str(r.value), r.source, r.what] for r in rows])
    return 0
