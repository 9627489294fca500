"""``echolane capacity``: how much of a recording's traffic one target bears, found by raising its rate until a health rule breaks.

This module reads the flags and carries the evaluation out; :mod:`replayer.capacity` is what it conducts, :mod:`console.capacity_told`
and :mod:`console.capacity_page` show what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec.structs import replace as with_fields

from console.capacity_kept import keep
from console.capacity_told import WRITERS, interval_line, print_capacity
from console.flags import http_url, positive, service_name, time_span_ns
from console.lost_told import say_lost
from console.output import say
from console.outputs import check_outputs, write_outputs
from console.run_lease import run_held
from console.surroundings import home_in, settings_of, store_of
from echolane import ids, recordings, service
from echolane.authorities import with_hosts
from echolane.errors import (
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_INTERRUPTED,
    EXIT_PASS,
    EXIT_UNAVAILABLE,
    HomeError,
    TargetUnavailable,
    UsageError,
)
from echolane.home import Home
from echolane.journal import Journal, open_journal
from echolane.observation import TargetInfo
from echolane.protected import protected_of
from echolane.retention import expire_capacities
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.store import QueryError
from replayer.capacity.evaluate import INTERRUPTED, UNAVAILABLE, Health, evaluate
from replayer.capacity.prometheus import Prometheus, parse_metrics
from replayer.capacity.rate import Ammunition, rate_lever, survey
from replayer.capacity.result import result_of
from replayer.capacity.search import AT_LEAST, FOUND, NONE, Range
from replayer.connection import SWEEP_S
from replayer.feeding import work_items
from replayer.identities import keeper_of
from replayer.plan import make_plan, work_topic
from replayer.preparing import prepared_one
from replayer.probing import check_reachable
from replayer.switch import Switch, refuse_while_stopped
from replayer.targets import check_allowed

EPILOG = """examples:
  echolane capacity --service shop --target http://127.0.0.1:8001 --html capacity.html
  echolane capacity --service shop --target http://127.0.0.1:8001 --latency 'p95<=200ms' --at-least 150/s
  echolane capacity --service shop --target http://127.0.0.1:8001 --prometheus http://127.0.0.1:9090 \\
      --metric 'memory=process_resident_memory_bytes{job="shop"} <= 2e9'

Exit code 0: found (and at least --at-least), 1: less than --at-least, 3: it cannot be told."""
RATE_MOST = 100_000.0
INTERVAL_LEAST_S, INTERVAL_MOST_S = 0.5, 600.0
FILES_KEPT = 64
"""Of the open files a process may have: for the journal and whatever else is open."""
CONNECTIONS = 1_000
_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")
_LATENCY = re.compile(r"p(\d{1,2}(?:\.\d+)?)\s*<=?\s*(\d+(?:\.\d+)?(?:ms|s))")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%?")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("--service", metavar="NAME", required=True, help="whose recording is fired")
    parser.add_argument("--target", metavar="URL", required=True, help="the one target whose capacity is evaluated")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--last", metavar="SPAN", help="only what was recorded in the last SPAN, for example 30m")
    chosen.add_argument("--recording", metavar="ID", help="only this recording (`echolane recordings`)")
    parser.add_argument("--start", default="10/s", metavar="RATE", help="where the search begins (default: 10/s)")
    parser.add_argument("--max", default="10000/s", metavar="RATE", help="never more than this (default: 10000/s)")
    parser.add_argument("--at-least", metavar="RATE", help="exit 1 when the target bears less")
    parser.add_argument("--interval", default="5s", metavar="SPAN", help="how long each rate is held (default: 5s)")
    parser.add_argument(
        "--precision", default="2.5%", metavar="PART", help="how close the bracket is drawn (default: 2.5%%)"
    )
    parser.add_argument(
        "--hold", type=positive, default=3, metavar="N", help="healthy intervals at what was found (default: 3)"
    )
    parser.add_argument(
        "--latency",
        default="p99<=500ms",
        metavar="RULE",
        help="of answers, from the instant each request was due (default: p99<=500ms)",
    )
    parser.add_argument(
        "--errors",
        default="1%",
        metavar="PART",
        help="no answer, 5xx or 429 where the recording has none (default: 1%%)",
    )
    parser.add_argument("--prometheus", metavar="URL", help="a Prometheus server that has the target's own metrics")
    parser.add_argument(
        "--metric", action="append", default=[], metavar="RULE", help="`NAME=QUERY <= BOUND` or `>=`; may be repeated"
    )
    parser.add_argument("--methods", choices=["safe", "all"], help="safe fires GET, HEAD, OPTIONS only (default: safe)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a target outside this machine"
    )
    parser.add_argument(
        "--allow-writes", action="append", default=[], metavar="NAME", help="a target that may be written to"
    )
    parser.add_argument(
        "--connections",
        type=positive,
        default=CONNECTIONS,
        metavar="N",
        help=f"requests in flight at most; more wait, and that is latency (default: {CONNECTIONS})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page")


def execute(args: argparse.Namespace) -> int:
    """Evaluate; its exit code."""
    check_outputs(args, WRITERS)
    asked = Asked(args)
    settings = settings_of(args)
    asked.methods = args.methods or settings.replay.methods
    protected = protected_of(settings.replay.protected)
    check_allowed(asked.url, args.allow_host, args.allow_writes, asked.methods, protected)
    home = home_in(settings)
    refuse_while_stopped(home)
    result = conduct(asked, args, home, settings)
    print_capacity(result)
    write_outputs(args, result, WRITERS)
    _keep(args, home, settings, result)
    return exit_code(result, asked.at_least)


def _keep(args: argparse.Namespace, home: Home, settings: Settings, result: dict[str, Any]) -> None:
    """Put it where `echolane runs` looks. Whatever hinders that, the result was told and its files are written: the exit code is its own."""
    kept = False
    try:
        with store_of(args, home) as store:
            keep(store, result)
            kept = True
            expire_capacities(store, time.time_ns(), settings.replay.capacities_days)
    except (HomeError, QueryError) as error:
        what = (
            "older evaluations could not be removed"
            if kept
            else "the evaluation is not among `echolane runs --capacity`"
        )
        say(f"{what}: {error}")


def exit_code(result: dict[str, Any], at_least: float) -> int:
    """What scripts are told."""
    state = result["state"]
    if state == INTERRUPTED:
        return EXIT_INTERRUPTED
    if state == UNAVAILABLE:
        return EXIT_UNAVAILABLE
    if state not in {FOUND, AT_LEAST, NONE}:
        return EXIT_INCONCLUSIVE
    if at_least and result["safe_rate_per_s"] < at_least:
        return EXIT_FAIL
    return EXIT_INCONCLUSIVE if state == NONE else EXIT_PASS


class Asked:
    """What was asked for, checked."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.service = service_name(args.service)
        self.url = http_url(args.target, "--target")
        self.methods = "safe"
        start, most = rate(args.start, "--start"), rate(args.max, "--max")
        if start > most:
            raise UsageError(f"--start {args.start} is above --max {args.max}")
        precision = share(args.precision, "--precision")
        if not 0.005 <= precision <= 0.5:
            raise UsageError(f"--precision {args.precision} must be between 0.5% and 50%")
        self.range = Range(start, most, precision=precision, holds=args.hold)
        self.seconds = time_span_ns(args.interval) / 1e9
        if not INTERVAL_LEAST_S <= self.seconds <= INTERVAL_MOST_S:
            raise UsageError(f"--interval {args.interval} must be between {INTERVAL_LEAST_S:g}s and 10m")
        self.at_least = rate(args.at_least, "--at-least") if args.at_least else 0.0
        self.metrics = parse_metrics(args.metric)
        if bool(self.metrics) != bool(args.prometheus):
            raise UsageError("--prometheus URL and --metric RULE go together: the server, and what is asked of it")
        self.prometheus: str | None = args.prometheus
        quantile, latency_ms = latency_rule(args.latency)
        self.health = Health(
            quantile, latency_ms, share(args.errors, "--errors"), others=[metric.rule for metric in self.metrics]
        )
        self.connections = connections(args.connections)


def rate(text: str, flag: str) -> float:
    """A rate such as 200/s."""
    found = _RATE.fullmatch(text.strip())
    if not found or not 0.1 <= float(found[1]) <= RATE_MOST:
        raise UsageError(
            f"{flag} `{text}` is no rate; use a number of requests a second such as 200/s, at most {RATE_MOST:,.0f}"
        )
    return float(found[1])


def share(text: str, flag: str) -> float:
    """A share such as 1%, as a fraction."""
    found = _PERCENT.fullmatch(text.strip())
    if not found or float(found[1]) > 100:
        raise UsageError(f"{flag} `{text}` is no share; use a percentage such as 1%")
    return float(found[1]) / 100


def latency_rule(text: str) -> tuple[float, float]:
    """Quantile and milliseconds of a rule such as ``p99<=500ms``."""
    found = _LATENCY.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise UsageError(f"--latency `{text}` is no rule; use a percentile and a bound such as p99<=500ms")
    bound_ms = time_span_ns(found[2]) / 1e6
    if not bound_ms:
        raise UsageError(f"--latency `{text}` allows no time at all; use a bound above 0 such as p99<=500ms")
    return float(found[1]) / 100, bound_ms


def connections(wanted: int) -> int:
    """As many as were asked for, as far as this process may open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + FILES_KEPT <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + FILES_KEPT, hard))
        return wanted
    room = max(1, soft - FILES_KEPT)
    if room < wanted:
        say(f"only {room:,} of {wanted:,} connections: this process may open {soft:,} files (`ulimit -n`)")
    return min(wanted, room)


def conduct(asked: Asked, args: argparse.Namespace, home: Home, settings: Settings) -> dict[str, Any]:
    """Plan, evaluate, clear away; the result."""
    with ExitStack() as stack:
        journal = open_journal(home)
        stack.callback(journal.close)
        spec = _spec_of(asked, args, home, journal, settings)
        stack.enter_context(run_held(home, spec.run))
        topic = work_topic(spec.run)
        stack.callback(journal.drop, topic)
        plan = make_plan(journal, home, spec, settings)
        spec = with_fields(spec, addresses=_check_reachable(with_fields(spec, origins=plan.origins)))
        lost = plan.losses.lost()
        say_lost(asked.service, lost, "the load is made of the others")
        ammunition = survey(lambda: work_items(journal, topic), writes=asked.methods == "all")
        found = service.run(lambda stop: _evaluated(asked, spec, home, journal, settings, ammunition, stop))
        return {**found, "lost": lost.result()} if lost.frames else found


def _spec_of(asked: Asked, args: argparse.Namespace, home: Home, journal: Journal, settings: Settings) -> RunSpec:
    now = time.time_ns()
    if args.recording:
        chosen = recordings.load(home.recordings, args.recording)
        if chosen.service != asked.service:
            raise UsageError(f"recording `{chosen.id}` is of service `{chosen.service}`, not of `{asked.service}`")
    else:
        since = now - time_span_ns(args.last) if args.last else None
        chosen = recordings.everything(journal, asked.service, id=ids.uuid7(now), now_ns=now, since_ns=since)
    return RunSpec(
        run=ids.uuid7(now),
        service=asked.service,
        recording=chosen,
        targets=with_hosts([TargetInfo(asked.url)], settings.hosts),
        concurrency=asked.connections,
        methods=asked.methods,
        allow_hosts=args.allow_host,
        allow_writes=args.allow_writes,
        protected=settings.replay.protected,
        started_at_ns=now,
    )


def _check_reachable(spec: RunSpec) -> list[str]:
    try:
        return check_reachable(spec, protected_of(spec.protected))
    except TargetUnavailable as error:  # which names it as the base of a run
        raise TargetUnavailable(f"target{str(error).removeprefix('base')}") from error


def _heed(switch: Switch, stop: asyncio.Event) -> None:
    """The kill switch is what Ctrl-C is; looked at for as long as the loop runs."""
    if why := switch.thrown():
        say(why)
        stop.set()
    else:
        asyncio.get_running_loop().call_later(SWEEP_S, _heed, switch, stop)


async def _evaluated(
    asked: Asked,
    spec: RunSpec,
    home: Home,
    journal: Journal,
    settings: Settings,
    ammunition: Ammunition,
    stop: asyncio.Event,
) -> dict[str, Any]:
    target, options = await prepared_one(home, spec, settings)
    keeper = await asyncio.to_thread(
        keeper_of, journal, work_topic(spec.run), [target, None, None, None], options.sources, options.original
    )
    ammunition = replace(ammunition, keeper=keeper)
    named = {"service": asked.service, "target": asked.url, "recording": spec.recording.id, "run": spec.run}
    with ThreadPoolExecutor(1, "prometheus") as thread:
        metrics = Prometheus(asked.prometheus, asked.metrics, thread) if asked.prometheus else None
        if metrics is not None:
            await metrics.read()  # what cannot be read is told before anything is fired
        _heed(Switch(home, spec.run), stop)
        async with rate_lever(spec.run, target, options, ammunition, asked.health, stop) as lever:
            found = await evaluate(
                lever,
                asked.range,
                asked.health,
                asked.seconds,
                stop,
                metrics,
                lambda told: say(interval_line(told)),
            )
        if found.state == UNAVAILABLE:
            found.reason = f"{asked.url} {found.reason}"
        return result_of(found, lever.account, ammunition.skipped, named, asked.seconds)
