"""``echolane show RUN``: a run's result again, as JSON, page or report, its exchanges one a line, or one finding in detail."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from console.explain import explanation, print_explanation
from console.output import put
from console.outputs import WRITERS, Writers, add_output_flags, write_outputs
from console.page import render_page
from console.page_triage import Desk
from console.rewrites import print_rewrites
from console.surroundings import home_of, store_of
from console.terminal import print_verdict
from console.triage_kept import standing, told_said
from differ.result import exchange_lines
from echolane.errors import UsageError
from echolane.runspec import RunSpec
from echolane.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument("run", metavar="RUN", help="a run's id, or the beginning of one; `latest` for the newest")
    parser.add_argument("--exchanges", action="store_true", help="every exchange in recorded order")
    parser.add_argument(
        "--explain", metavar="FINDING", help="every detail of one sample of a finding (its id, or the beginning)"
    )
    parser.add_argument(
        "--rewrites", action="store_true", help="every request that was rewritten for a target, and why"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON on stdout (NDJSON with --exchanges and --rewrites)"
    )
    parser.add_argument("--format", choices=list(WRITERS), help="print the result on stdout in this form")
    add_output_flags(parser, with_json=False)


def execute(args: argparse.Namespace) -> int:
    """Print the result; the exit code says whether it could be shown, not what the verdict was."""
    if args.format and (args.json or args.exchanges or args.rewrites or args.explain):
        raise UsageError("--format prints the result, so it goes without --json, --exchanges, --rewrites and --explain")
    home = home_of(args)
    store = store_of(args, home)
    try:
        run = find_run(store, args.run)
        result = orjson.loads(run["result"]) if run["result"] else None
        if args.exchanges:
            for line in exchange_lines(store, str(run["run"])):
                put(line)
            return 0
        if args.rewrites:
            print_rewrites(home, run, as_json=args.json)
            return 0
        if result is None:
            raise UsageError(
                f"run {run['run']} has no result yet; `echolane run --resume {run['run']}` goes on with it"
            )
        if args.explain:
            found = explanation(home, store, run, args.explain)
            if args.json:
                put(found)
            else:
                print_explanation(found)
            return 0
        writers: Writers = {**WRITERS, "html": lambda told: render_page(told, desk=desk_of(store, run))}
        if args.format:
            sys.stdout.buffer.write(writers[args.format](result).encode("utf-8"))
        elif args.json:
            put(result)
        else:
            print_verdict(result)
        write_outputs(args, result, writers)
    finally:
        store.close()
    return 0


def desk_of(store: Store, run: Mapping[str, Any]) -> Desk:
    """What stands of the findings of a run, for a page that only tells it."""
    branch = msgspec.json.decode(str(run["spec"]), type=RunSpec).branch_name if run["spec"] else ""
    return Desk({name: told_said(one) for name, one in standing(store, str(run["service"]), branch).items()})


def find_run(store: Store, text: str) -> dict[str, Any]:
    """The run a person meant; UsageError when none or several match."""
    if text == "latest":
        rows = store.query("SELECT * FROM runs_v ORDER BY started_at DESC LIMIT 1")
    else:
        rows = store.query(
            "SELECT * FROM runs_v WHERE startsWith(run, {run:String}) ORDER BY started_at DESC LIMIT 2", {"run": text}
        )
    if not rows:
        raise UsageError(f"there is no run `{text}`; `echolane runs` lists them")
    if len(rows) > 1:
        raise UsageError(f"`{text}` is the beginning of several runs; give more of it")
    return rows[0]
