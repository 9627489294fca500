"""``echolane runs``: the runs of this home, newest first."""

from __future__ import annotations

import argparse
import time

import msgspec

from console import capacity_kept
from console.output import put, say, table
from console.show import find_run
from console.surroundings import home_of, same_place, store_of
from echolane import ids
from echolane.errors import UsageError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.lease import is_held
from echolane.runlog import CANCEL, INTERRUPTED, PAUSE, RESUME, RunLog
from echolane.runspec import RunSpec
from replayer.switch import Switch

WORDS = {"cancel": CANCEL, "pause": PAUSE, "resume": RESUME}
LISTED_MAX = 200
"""Rows shown; `--json` and the store have the rest."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=list(WORDS),
        help="cancel: end a run, within a second; pause, resume: of one that workers do (default: list runs)",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="which run")
    parser.add_argument("--service", help="only runs of this service")
    parser.add_argument(
        "--capacity", action="store_true", help="the capacities that `echolane capacity` evaluated instead"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """List runs with their state; a run whose process is gone is `interrupted`."""
    home = home_of(args)
    if args.action:
        if not args.run:
            raise UsageError(f"`runs {args.action}` needs a run; `echolane runs` lists them")
        return tell_workers(args, home)
    if args.capacity:
        return list_capacities(args, home)
    store = store_of(args, home)
    try:
        where = "WHERE service = {service:String}" if args.service else ""
        rows = store.query(
            "SELECT run, service, state, verdict, reason_code, toString(started_at) AS started_at FROM runs_v "  # noqa: S608 - constant text
            f"{where} ORDER BY started_at DESC",
            {"service": args.service} if args.service else {},
        )
    finally:
        store.close()
    for row in rows:
        row["state"] = state_of(home, str(row["run"]), str(row["state"]))
    if args.json:
        put(rows)
        return 0
    if not rows:
        say("no runs yet; start one with `echolane run`")
        return 0
    names = ["run", "service", "state", "verdict", "reason_code", "started_at"]
    table(names, [[str(row[name] or "") for name in names] for row in rows[:LISTED_MAX]])
    return 0


def list_capacities(args: argparse.Namespace, home: Home) -> int:
    """List what was evaluated."""
    with store_of(args, home) as store:
        rows = capacity_kept.listed(store, args.service)
    if args.json:
        put(rows)
    elif not rows:
        say("no capacities yet; evaluate one with `echolane capacity`")
    else:
        table(capacity_kept.HEADS, [capacity_kept.line(row) for row in rows[:LISTED_MAX]])
    return 0


def tell_workers(args: argparse.Namespace, home: Home) -> int:
    """Say a word about a run to its workers."""
    action: str = args.action
    with store_of(args, home) as store:
        row = find_run(store, args.run)
    run = str(row["run"])
    own = not msgspec.json.decode(str(row["spec"]), type=RunSpec).partitions
    if action == "cancel" and own and is_held(home.runs / f"{run}.lock"):
        Switch(home, run).cancel()
        say(f"cancelled run {run}; go on with: echolane run --resume {run}{same_place(args)}")
        return 0
    journal = open_journal(home)
    try:
        words = RunLog(journal, ids.uuid7(time.time_ns()))
        words.prepare()
        words.hear()
        shared = words.find(run)
        if shared is None or shared.ended:
            raise UsageError(f"no worker is at run {run}: it has ended, or is done by the command that asked for it")
        words.say(run, WORDS[action], INTERRUPTED.encode() if action == "cancel" else b"")
    finally:
        journal.close()
    say(f"told the workers of run {run}: {action}")
    return 0


def state_of(home: Home, run: str, state: str) -> str:
    """The state as a person would say it: a run that nobody drives any more was interrupted; one that workers share needs no driver."""
    if state == "shared":
        return "running"
    return "interrupted" if state == "running" and not is_held(home.path / "runs" / f"{run}.lock") else state
