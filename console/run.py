"""``echolane run``: replay a recording at base and branch and say what the branch changed.

This module reads the flags and turns them into a :class:`~echolane.runspec.RunSpec`; :mod:`console.conduct` carries it out.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import time
from pathlib import Path

import msgspec

from capture.account import spooled
from console.asking import WAIT_S, ask
from console.conduct import conduct
from console.firing_flags import add_firing_flags, firing_of
from console.flags import http_url, place_of, positive, service_name, time_span_ns
from console.output import say
from console.outputs import add_output_flags, check_outputs
from console.rewrites import explain_plan
from console.rules_in_force import rules_of_run
from console.show import find_run
from console.surroundings import home_in, settings_of, store_of
from console.triage_kept import of_run
from console.unbegun import Attempt, told
from echolane import ids, recordings
from echolane.addresses import networks_of
from echolane.authorities import with_hosts
from echolane.errors import UsageError
from echolane.home import Home
from echolane.journal import open_journal
from echolane.marks import lane_ok
from echolane.observation import TargetInfo
from echolane.protected import protected_of
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.tracing import TRACEPARENT, note, span, traced
from replayer.copies import commit_of
from replayer.pace import parse_pace
from replayer.switch import refuse_while_stopped
from replayer.targets import check_allowed, host_of

EPILOG = """examples:
  echolane run --service shop --base http://127.0.0.1:8001 --branch http://127.0.0.1:8002
  echolane run --service shop --base-cmd 'git:main ./serve {port}' --branch-cmd './serve {port}' --html verdict.html
  echolane run --resume RUN"""

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+:/@-]{0,127}")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command (design §6)."""
    parser.epilog = EPILOG
    parser.add_argument("--service", metavar="NAME", help="whose recording is replayed")
    for version, what in (("base", "the released version"), ("branch", "the new version")):
        either = parser.add_mutually_exclusive_group()
        either.add_argument(f"--{version}", metavar="URL", help=f"{what}, already running")
        either.add_argument(
            f"--{version}-cmd",
            metavar="CMD",
            help=f"starts fresh copies of {what}; {{port}} is filled in, `git:REF CMD` uses that commit",
        )
    parser.add_argument("--control", metavar="URL", help="a second instance of base (default: base is fired twice)")
    parser.add_argument(
        "--branch-control", metavar="URL", help="a second instance of branch (default: branch is fired twice)"
    )
    parser.add_argument("--lane", metavar="NAME", help="the lane that branch answers in")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--last", metavar="SPAN", help="only what was recorded in the last SPAN, for example 30m")
    chosen.add_argument("--recording", metavar="ID", help="only this recording (`echolane recordings`)")
    parser.add_argument(
        "--pace", metavar="P", help="recorded, 2x, 200/s, max, or a ramp: '10/s..500/s over 5m' (default: max)"
    )
    parser.add_argument("--concurrency", type=positive, metavar="N", help="requests in flight per target (default: 16)")
    add_firing_flags(parser)
    parser.add_argument("--methods", choices=["safe", "all"], help="safe fires GET, HEAD, OPTIONS only (default: safe)")
    add_place_flags(parser)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the order in which targets are fired (default: from the clock)"
    )
    parser.add_argument(
        "--branch-name",
        metavar="NAME",
        help="what the branch is called, for rules that are bound to it (default: as CI or git says)",
    )
    parser.add_argument(
        "--base-version",
        metavar="NAME",
        help="which version base is: what runs learn of its noise is used by the next of that name (default: the commit of `git:REF CMD`)",
    )
    parser.add_argument(
        "--stop-early",
        action="store_true",
        help="skip the rest once a change is sure (evidence that may be looked at any time)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="only say what would be fired, rewritten and skipped, and why; nothing is sent",
    )
    add_worker_flags(parser)
    parser.add_argument("--resume", metavar="RUN", help="go on with a run that was killed or interrupted")
    add_output_flags(parser, with_json=True)


def add_place_flags(parser: argparse.ArgumentParser) -> None:
    """Where it may fire."""
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a target outside this machine"
    )
    parser.add_argument(
        "--allow-writes", action="append", default=[], metavar="NAME", help="a target that may be written to"
    )
    parser.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="NAME=ADDRESS",
        help="where the target of that name is; its name is not looked up (default: where it leads when the run begins)",
    )
    parser.add_argument(
        "--networks",
        metavar="LIST",
        help="where the branch's name may lead: public, or also networks (10.0.0.0/8,fd00::/8); else it is refused (default: anywhere)",
    )


def add_worker_flags(parser: argparse.ArgumentParser) -> None:
    """Who does the run, and what programs that ask for it want to know."""
    parser.add_argument(
        "--workers",
        choices=["own", "shared", "auto"],
        help="own: this command's processes do it; shared: workers do; auto: workers where the journal is on Kafka",
    )
    parser.add_argument(
        "--wait",
        type=positive,
        default=WAIT_S,
        metavar="SECONDS",
        help=f"how long to wait for workers when none is heard (default: {WAIT_S:.0f})",
    )
    parser.add_argument("--run-id", metavar="ID", help="the id of the new run, a UUID version 7 (default: a new one)")
    parser.add_argument(
        "--progress",
        choices=["auto", "json"],
        default="auto",
        help="auto: a bar, on a terminal only; json: a line on stderr twice a second, with done and total",
    )


def execute(args: argparse.Namespace) -> int:
    """Carry the run out; its exit code."""
    with traced(os.environ, say), span("echolane run", parent=os.environ.get(TRACEPARENT, "")):
        check_outputs(args)
        with told(args) as attempt:
            return carried_out(args, attempt)


def carried_out(args: argparse.Namespace, attempt: Attempt) -> int:
    """Read what is asked for, and do it; the exit code."""
    settings = settings_of(args)
    if args.resume:
        if args.explain:
            raise UsageError(
                "--explain goes with a new run; `echolane show RUN --rewrites` tells what one has rewritten"
            )
        home = home_in(settings)
        refuse_while_stopped(home)
        spec = attempt.known(resumed(args, home))
        note({"echolane.run": spec.run, "echolane.service": spec.service})
        return (ask if spec.partitions else conduct)(args, home, settings, spec, resume=True)
    attempt.targets = targets = targets_of(args)
    home = home_in(settings)
    if args.run_id:
        check_new(args, home)
    if not args.recording and (waiting := spooled(home, service_name(args.service))):
        say("; ".join(filter(None, (f"not in this run: {waiting[0]}", waiting[1]))))
    spec = attempt.known(spec_of(args, home, settings, targets))
    note({"echolane.run": spec.run, "echolane.service": spec.service})
    if args.explain:
        explain_plan(home, settings, spec)
        return 0
    refuse_while_stopped(home)
    return (ask if spec.partitions else conduct)(args, home, settings, spec, resume=False)


def partitions_of(args: argparse.Namespace, settings: Settings) -> int:
    """How many parts workers share the run in; 0 where it is done here."""
    workers = args.workers or settings.replay.workers
    if workers == "own" or (workers == "auto" and not settings.journal_url):
        return 0
    # One exchange after another has no parts.
    strict = (args.concurrency or settings.replay.concurrency) == 1
    return 1 if strict else settings.replay.partitions


def targets_of(args: argparse.Namespace) -> list[TargetInfo]:
    """The four targets, checked for sense and safety before anything is touched."""
    if not args.service:
        raise UsageError("--service NAME is needed: whose recording is to be replayed?")
    found: list[TargetInfo] = []
    for version, control in (("base", "control"), ("branch", "branch_control")):
        url, command, twin = getattr(args, version), getattr(args, f"{version}_cmd"), getattr(args, control)
        lane = lane_name(args.lane) if version == "branch" else None
        twin_flag = f"--{control.replace('_', '-')}"
        if command:
            if twin:
                raise UsageError(f"{twin_flag} goes with --{version}; --{version}-cmd starts its control itself")
            if "{port}" not in command:
                raise UsageError(
                    f"--{version}-cmd needs {{port}} where the port goes, for example `./serve --port {{port}}`"
                )
            found += [TargetInfo("", lane, own_instance=True, managed=True)] * 2
            continue
        if not url:
            raise UsageError(f"--{version} URL or --{version}-cmd CMD is needed")
        first = http_url(url, f"--{version}")
        second = http_url(twin, twin_flag) if twin else first
        if twin and second == first:
            raise UsageError(f"{twin_flag} is the same address as --{version}; leave it out to fire {version} twice")
        found += [TargetInfo(first, lane), TargetInfo(second, lane, own_instance=bool(twin))]
    base, branch = found[0], found[2]
    if base.url and place_of(base.url) == place_of(branch.url) and not args.lane:
        both = base.url if base.url == branch.url else f"{base.url}, which {branch.url} is too"
        raise UsageError(f"--base and --branch are both {both}; give two addresses, or --lane for the branch")
    return found


def lane_name(text: str | None) -> str | None:
    """A lane's name, which stands in headers."""
    if text is not None and not lane_ok(text):
        raise UsageError(f"--lane is {text!r}; use 1-63 letters, digits and inner `.`, `_` or `-`, for example feat-1")
    return text


def spec_of(args: argparse.Namespace, home: Home, settings: Settings, targets: list[TargetInfo]) -> RunSpec:
    """The run that was asked for."""
    service, methods = service_name(args.service), args.methods or settings.replay.methods
    protected = protected_of(settings.replay.protected)
    for target in targets:
        if not target.managed:
            check_allowed(target.url, args.allow_host, args.allow_writes, methods, protected)
    pace = args.pace or settings.replay.pace
    parse_pace(pace)
    firing = firing_of(args, settings)
    if firing.dry_run_header and methods == "safe":
        raise UsageError("--dry-run says how writes are fired, so it goes with --methods all; --explain sends nothing")
    rules, branch_name = rules_of_run(service, args.branch_name)
    with store_of(args, home) as store:
        said, branch_name = of_run(store, service, branch_name, rules, os.environ)
    now = time.time_ns()
    journal = open_journal(home)
    try:
        if args.recording:
            chosen = recordings.load(home.recordings, args.recording)
            if chosen.service != service:
                raise UsageError(f"recording `{chosen.id}` is of service `{chosen.service}`, not of `{service}`")
        else:
            since = now - time_span_ns(args.last) if args.last else None
            chosen = recordings.everything(journal, service, id=ids.uuid7(now), now_ns=now, since_ns=since)
    finally:
        journal.close()
    return RunSpec(
        run=args.run_id or ids.uuid7(now),
        service=service,
        recording=chosen,
        targets=with_hosts(targets, settings.hosts),
        pace=pace,
        concurrency=args.concurrency or settings.replay.concurrency,
        methods=methods,
        allow_hosts=args.allow_host,
        allow_writes=args.allow_writes,
        networks=networks_named(args.networks),
        addresses=pinned(args.pin, targets),
        protected=settings.replay.protected,
        seed=args.seed if args.seed is not None else now & 0xFFFFFFFF,
        base_cmd=args.base_cmd or "",
        branch_cmd=args.branch_cmd or "",
        folder=os.getcwd(),  # noqa: PTH109 - the caller's folder as the shell names it
        started_at_ns=now,
        differ=settings.differ,
        rules=[*rules, *said.rules],
        triage=said.decisions,
        branch_name=branch_name,
        stop_early=args.stop_early,
        firing=firing,
        base_version=version_name(args),
        partitions=partitions_of(args, settings),
    )


def check_new(args: argparse.Namespace, home: Home) -> None:
    """UsageError where an id is none for a new run, or is that of a run that has begun."""
    if not ids.UUID7.fullmatch(args.run_id):
        raise UsageError(f"--run-id `{args.run_id}` is no UUID version 7 in lower case")
    with store_of(args, home) as store:
        if any(
            row["spec"] for row in store.query("SELECT spec FROM runs_v WHERE run = {run:String}", {"run": args.run_id})
        ):
            raise UsageError(f"there is a run `{args.run_id}` already; --resume goes on with one")


def networks_named(text: str | None) -> list[str] | None:
    """The networks of ``--networks``; none of them where only public addresses are meant."""
    if text is None:
        return None
    found = [one.strip() for one in text.split(",") if one.strip() != "public"]
    networks_of(found, "--networks")
    return found


def pinned(pins: list[str], targets: list[TargetInfo]) -> list[str]:
    """Where each target is, as ``--pin`` says; none where it says nothing. UsageError for a pin that is none or pins nothing."""
    given: dict[str, str] = {}
    for pin in pins:
        name, _, address = pin.partition("=")
        try:
            at = str(ipaddress.ip_address(address))
        except ValueError as error:
            raise UsageError(f"--pin is `{pin}`; use NAME=ADDRESS, for example shop.test.internal=10.0.0.7") from error
        if given.setdefault(name.lower(), at) != at:
            raise UsageError(
                f"--pin says of `{name}` that it is at {given[name.lower()]} and at {at}; one name has one place in a run"
            )
    hosts = ["" if target.managed else host_of(target.url) for target in targets]
    if unknown := sorted(set(given) - set(hosts)):
        raise UsageError(f"--pin names `{unknown[0]}`, which is the host of no target of this run")
    return [given.get(host, "") for host in hosts] if given else []


def version_name(args: argparse.Namespace) -> str:
    """What base's version is called: as it was told, else the commit it is started from; empty where neither is known."""
    name = args.base_version
    if name is not None:
        if not VERSION.fullmatch(name):
            raise UsageError(
                f"--base-version is {name!r}; it must be a name such as 2.4.1 or a commit, at most 128 characters"
            )
        return name
    return commit_of(Path.cwd(), args.base_cmd) if args.base_cmd else ""


def resumed(args: argparse.Namespace, home: Home) -> RunSpec:
    """The spec of a run that did not end; UsageError when it did."""
    store = store_of(args, home)
    try:
        row = find_run(store, args.resume)
    finally:
        store.close()
    if row["state"] == "finished":
        raise UsageError(f"run {row['run']} is finished; `echolane show {row['run']}` shows it")
    if not row["spec"]:
        raise UsageError(f"run {row['run']} never began, so it cannot be gone on with; run it anew")
    return msgspec.json.decode(str(row["spec"]), type=RunSpec)
