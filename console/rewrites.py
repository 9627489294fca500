"""What a run rewrites and why.

``echolane run --explain`` says it of a plan before anything is sent, ``echolane show RUN --rewrites`` of the shots that were fired.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace as with_fields

from console.credentials_told import Getting, gettings, number_identities, told
from console.escapes import terminal
from console.foretelling import Foretelling
from console.lost_told import say_lost
from console.output import put, say
from echolane import authorities
from echolane.credentials import AS_RECORDED
from echolane.exchange import WorkItem
from echolane.frame import FrameDamaged, decode_frame
from echolane.home import Home
from echolane.journal import open_journal
from echolane.observation import TARGETS, Observation
from echolane.runspec import RunSpec
from echolane.settings import Settings
from echolane.writes import REFUSED, WriteRule, rule_for
from replayer.identities import counts
from replayer.plan import planned
from replayer.wire import SAFE_METHODS


def explain_plan(home: Home, settings: Settings, spec: RunSpec) -> None:
    """Print every exchange of the plan: fired or skipped and why, and what of it will be rewritten. Nothing is sent or written."""
    journal = open_journal(home)
    tied = lacking = 0
    given = gettings(home, spec, settings)
    try:
        summary, items = planned(journal, home, spec, settings)  # or refused, before a line is told
        if any(counts(one.read) for one in given):
            number_identities(planned(journal, home, spec, settings)[1], given)
        for line in told(given) if any(one.read != AS_RECORDED for one in given) else ():
            sys.stdout.write(terminal(line) + "\n")
        foretelling = Foretelling(spec, settings, given)
        for line in (*authorities.told(spec.targets), *foretelling.before()):
            sys.stdout.write(terminal(line) + "\n")
        for item in items:
            tied += bool(item.takes)
            if not item.skip and any(one.lacks(item.exchange) for one in given):
                item = with_fields(item, skip="no-identity")  # noqa: PLW2901 - as it is going to be
                lacking += 1
            for line in (*plan_lines(item, spec.firing.writes, given), *foretelling.of(item)):
                sys.stdout.write(terminal(line) + "\n")
    finally:
        journal.close()
    say_lost(spec.service, summary.losses.lost(), "the verdict of a run could not be pass")
    if lacking:
        summary.skipped["no-identity"] = lacking
    skipped = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.skipped.items()))
    own = all(info.own_instance for info in spec.targets)
    say(
        f"{summary.to_fire} of {summary.selected} exchanges would be fired, {tied} of them with values that earlier answers give; "
        f"skipped: {skipped or 'none'}"
        + ("" if own else "; a control that is the same process as its version gets no writes")
    )


def plan_lines(item: WorkItem, writes: Sequence[WriteRule] = (), given: Sequence[Getting] = ()) -> Iterator[str]:
    """One exchange of a plan, as it is printed."""
    request = item.exchange.request
    what = f"{request.method} {request.target}"
    rule = None if request.method in SAFE_METHODS else rule_for(writes, request.method, request.target)
    if item.skip:
        yield f"{item.seq} skip {what}: {item.skip}" + (f" ({_why(rule)})" if rule and item.skip == REFUSED else "")
        return
    write = f" (a write; {_why(rule)})" if rule else " (a write)"
    yield f"{item.seq} fire {what}" + ("" if request.method in SAFE_METHODS else write)
    for take in item.takes:
        other = f" (or, as likely, {', '.join(take.whys[1 : take.tied])})" if take.tied > 1 else ""
        yield f"    {take.where} is {take.whys[0]}{other}"
    gets: dict[str, list[str]] = {}
    for one in given:
        if what := one.of(item.exchange):
            gets.setdefault(what, []).append(one.name)
    for what, names in gets.items():
        yield f"    {what} at {', '.join(names)}"


def _why(rule: WriteRule) -> str:
    return f"{rule.reason}; {rule.source}"


def print_rewrites(home: Home, run: Mapping[str, Any], *, as_json: bool) -> None:
    """Print every shot of a run that was rewritten, in the order of their answers."""
    for observation in _observed(home, str(run["run"])):
        given = {name: shot.rewrites for name, shot in zip(TARGETS, observation.shots, strict=False) if shot.rewrites}
        if not given:
            continue
        if as_json:
            line = {
                "exchange": observation.exchange,
                "seq": observation.seq,
                "method": observation.method,
                "target": observation.target,
                "attempt": observation.attempt,
                "rewrites": given,
            }
            put(line)
            continue
        sys.stdout.write(terminal(f"{observation.seq} {observation.method} {observation.target}") + "\n")
        for name, notes in given.items():
            for note in notes:
                sys.stdout.write(terminal(f"    {name}: {note}") + "\n")


def _observed(home: Home, run: str) -> Iterator[Observation]:
    journal = open_journal(home)
    topic = f"observations.{run}"
    try:
        if topic not in journal.topics():
            return
        for partition in range(journal.partitions(topic)):
            for entry in journal.read(topic, partition):
                try:
                    yield from decode_frame(entry.frame, Observation)
                except (FrameDamaged, msgspec.DecodeError):  # counted by the journal
                    continue
    finally:
        journal.close()
