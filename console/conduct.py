"""Carry out one run: plan, fire, compare, close, tell. The conductor of :mod:`replayer` and :mod:`differ`.

The replayer fires in this process; the differ's worker is a process of its own (:mod:`differ.worker`) that tails the run's
observations, so that comparing never delays a shot. Whatever ends the run early (Ctrl-C, a target that goes down), what was
done is compared, closed and accounted for, and ``--resume`` goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Generator
from contextlib import ExitStack
from itertools import islice
from typing import Any, cast

import msgspec
import orjson

from console.comparing import Sure, comparing
from console.lost_told import planned_spec
from console.output import say
from console.outputs import write_outputs
from console.progress import Progress
from console.run_lease import run_held
from console.surroundings import same_place, store_of
from console.terminal import print_verdict
from differ.close import close_run
from differ.letters import REASON
from differ.shared_letters import prepare
from differ.verdict import count
from echolane import service
from echolane.errors import (
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_UNAVAILABLE,
    StoreDown,
)
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.retention import expire, expire_capacities, expire_profiles
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.store import Store
from echolane.store.versions import version_after
from echolane.tracing import fail, note, span
from replayer.copies import started_copies
from replayer.fire import ReplaySummary, replay
from replayer.plan import make_plan
from replayer.probing import check_targets
from replayer.switch import Switch

EXITS = {"pass": EXIT_PASS, "fail": EXIT_FAIL, "inconclusive": EXIT_INCONCLUSIVE}
EXIT_OF_REASON = {"interrupted": EXIT_INTERRUPTED, "target-unavailable": EXIT_UNAVAILABLE}
NUMBERS_MAX = 100
"""Of a ledger, on a span: OpenTelemetry keeps 128 attributes, and drops the first of more."""


def conduct(args: argparse.Namespace, home: Home, settings: Settings, spec: RunSpec, *, resume: bool) -> int:
    """Carry the run out and write its outputs; the exit code of its verdict."""
    with ExitStack() as stack:
        stack.enter_context(run_held(home, spec.run))
        switch = Switch(home, spec.run)
        switch.take_back()
        stack.callback(switch.take_back)
        journal = open_journal(home)
        stack.callback(journal.close)
        store = stack.enter_context(store_of(args, home))
        if not resume:
            expire(journal, home.runs, time.time_ns(), settings.journal.retention_days)
            expire_profiles(store, time.time_ns())
            expire_capacities(store, time.time_ns(), settings.replay.capacities_days)
            with span("plan"):
                plan = make_plan(journal, home, spec, settings)
            spec = planned_spec(spec, plan)
        with span("start copies"):
            spec = stack.enter_context(started_copies(home, spec, say))
        spec = check_targets(home, spec, settings.replay.protected)
        prepare(home, journal, spec.run)
        save_run(store, spec, "running")
        try:
            summary = fire_and_compare(home, journal, settings, spec, lines=args.progress == "json")
            with span("close"):
                result = close_run(
                    store,
                    spec,
                    state=summary.state,
                    reason=summary.reason,
                    selected=summary.selected,
                    fired_per_s=summary.rate_per_s,
                    journal=journal,
                )
            result["timing"] |= {"retry_after": summary.retry_after, "concurrency": summary.concurrency}
            result |= {"paused": summary.paused} if summary.paused else {}
            save_run(store, spec, "finished" if summary.state == "finished" else "interrupted", result)
        except StoreDown as error:
            # What was observed is in the journal, so nothing is lost and nothing is fired twice.
            raise StoreDown(f"{error}; then: echolane run --resume {spec.run}{same_place(args)}") from error
    tell(args, result, summary)
    return EXIT_OF_REASON.get(result["reason_code"], EXITS[result["verdict"]])


def fire_and_compare(
    home: Home, journal: Journal, settings: Settings, spec: RunSpec, *, lines: bool = False
) -> ReplaySummary:
    """Fire the plan here while the worker compares beside; both have ended when this returns."""
    sure = Sure(home, spec)

    async def fire(stop: asyncio.Event) -> ReplaySummary:
        with Progress(lines=lines) as progress:

            def tell_progress(done: int, total: int) -> None:
                sure.look()
                progress.update(done, total, sure.told)

            return await replay(journal, home, spec, settings, stop, tell_progress, sure.decided)

    with comparing(home, spec, settings.store), span("fire"):
        return service.run(fire)


def save_run(store: Store, spec: RunSpec, state: str, result: dict[str, Any] | None = None) -> None:
    """The run's row; a later one replaces an earlier one."""
    now = time.time_ns()
    store.insert(
        "runs",
        {
            "run": [spec.run],
            "version": [version_after(store, "runs", spec.run)],
            "service": [spec.service],
            "state": [state],
            "started_at": [spec.started_at_ns],
            "finished_at": [now if result else 0],
            "verdict": [result["verdict"] if result else ""],
            "reason_code": [result["reason_code"] if result else ""],
            "spec": [msgspec.json.encode(spec).decode()],
            "result": [orjson.dumps(result).decode() if result else ""],
        },
    )


def tell(args: argparse.Namespace, result: dict[str, Any], summary: ReplaySummary) -> None:
    """Files first, then the verdict for a person."""
    note_outcome(result)
    write_outputs(args, result)
    print_verdict(result)
    for line in summary.paused:
        say(line)
    if dead := result["ledger"]["not_compared"].get(REASON):
        say(f"{count(dead, 'dead letter')}, not compared: echolane dlq ls --run {result['run']}{same_place(args)}")
    for line in summary.notes:
        say(line)
    if summary.state != "finished":
        say(f"go on with: echolane run --resume {result['run']}{same_place(args)}")
    else:
        say(f"every exchange: echolane show {result['run']} --exchanges{same_place(args)}")


def note_outcome(result: dict[str, Any]) -> None:
    """What the run came to, for its span. A verdict is none of our errors; a run that was cut short is one."""
    note(dict(islice(numbers(result["ledger"], "echolane.ledger"), NUMBERS_MAX)))
    note({"echolane.verdict": result["verdict"], "echolane.reason_code": result["reason_code"]})
    if result["reason_code"] in EXIT_OF_REASON:
        fail(result["reason_code"])


def numbers(ledger: dict[str, Any], name: str) -> Generator[tuple[str, int]]:
    """The numbers of a ledger, each by its way: ``echolane.ledger.answered.base``."""
    for key, value in ledger.items():
        if isinstance(value, dict):
            yield from numbers(cast("dict[str, Any]", value), f"{name}.{key}")
        elif isinstance(value, int):
            yield f"{name}.{key}", value
