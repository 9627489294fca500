"""``echolane rules``: check what is written, explain a place, tell what rules would hide in past runs, propose and write out rules."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from console.config_place import config_file
from console.escapes import terminal
from console.flags import positive, service_name
from console.output import put, say, table
from console.rules_export import of_triage, proposed, proposed_of_profile
from console.rules_impact import Impact, impacts
from console.rules_in_force import rules_now, told
from console.show import find_run
from console.surroundings import home_of, store_of
from console.triage_kept import newest as newest_said, services, today
from console.triage_rules import over
from differ.profile_rows import newest
from differ.rules import kinds_of, out_of_scope
from differ.rules_places import NoPlace, covers, pattern_of, steps_of
from echolane.errors import EXIT_USAGE, UsageError
from echolane.rules import KINDS, Rule, version_of

EPILOG = """examples:
  echolane rules check
  echolane rules explain 'body:$.items[*].price' --endpoint 'GET /items/{id}' --kind value
  echolane rules impact --last 20
  echolane rules export latest > proposed.toml
  echolane rules export --profile --service shop --owner team-shop >> echolane.toml
  echolane rules export --triage --service shop >> echolane.toml"""
PROPOSED_DAYS = 90
"""A proposed rule holds for a quarter: long enough to be of use, short enough to be looked at again."""
LAST = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=["check", "explain", "impact", "export"], help="what to do")
    parser.add_argument("what", nargs="?", metavar="WHERE|RUN", help="a place (with explain), a run (with export)")
    parser.add_argument(
        "--endpoint", metavar="E", help="only rules in scope there, for example 'GET /items/{id}' (with explain)"
    )
    parser.add_argument("--kind", metavar="K", help="only rules of this kind of difference (with explain)")
    parser.add_argument(
        "--last", type=positive, metavar="N", help=f"how many runs to look at (with impact; default: {LAST})"
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="from what runs have learned of base's noise, instead of a run (with export)",
    )
    parser.add_argument(
        "--triage", action="store_true", help="what was said of findings and stands, instead of a run (with export)"
    )
    parser.add_argument(
        "--service",
        type=service_name,
        metavar="S",
        help="whose (with export --profile and --triage; default: of triage all)",
    )
    parser.add_argument(
        "--base-version", metavar="NAME", help="of which version (with export --profile; default: the one learned last)"
    )
    parser.add_argument(
        "--owner", metavar="NAME", help="who answers for the rules (with export --profile; default: to be filled in)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on stdout")


def execute(args: argparse.Namespace) -> int:
    """Do one of the four; 2 when a rule is refused or the command makes no sense."""
    return {"check": check, "explain": explain, "impact": impact, "export": export}[args.action](args)


def check(args: argparse.Namespace) -> int:
    """Every rule and every refusal."""
    rules, refusals = rules_now()
    if args.json:
        put({"version": version_of(rules) or None, "rules": shown(rules), "refused": [r._asdict() for r in refusals]})
    elif rules:
        table(["rule", "where", "matcher", "owner", "until", "from"], [row(rule) for rule in rules])
    for refusal in refusals:
        say(terminal(told(refusal)))
    toml = config_file()
    if toml.with_name("rules").is_dir() and not toml.exists():
        say("the folder rules/ is not read: it is ours only beside an echolane.toml, which may be empty")
    say(f"{counted(len(rules), 'rule')}, {len(refusals)} refused" + (f", version {version_of(rules)}" if rules else ""))
    return EXIT_USAGE if refusals else 0


def row(rule: Rule) -> list[str]:
    """A rule as a row of the table."""
    until = rule.expires or "permanent"
    return [
        rule.name,
        rule.where,
        rule.matcher,
        rule.owner,
        f"{until}, {rule.branch}" if rule.branch else until,
        rule.source,
    ]


def shown(rules: Sequence[Rule]) -> list[Any]:
    """Rules as JSON."""
    return [
        orjson.loads(orjson.dumps({name: getattr(rule, name) for name in rule.__struct_fields__})) for rule in rules
    ]


def explain(args: argparse.Namespace) -> int:
    """Which rules apply to a place, and which field keeps the others away."""
    if not args.what:
        raise UsageError("explain needs a place, for example `echolane rules explain 'body:$.price'`")
    sensible(args.what, args.endpoint, args.kind)
    rules, refusals = rules_now()
    rows = [(rule, why_not(rule, args.what, args.endpoint, args.kind)) for rule in rules]
    about = [(rule, why) for rule, why in rows if why != "where"]
    if args.json:
        put(
            [
                {"rule": rule.name, "applies": not why, "unless": why or None, "source": rule.source}
                for rule, why in about
            ]
        )
        return 0
    if about:
        rows_shown = [
            [rule.name, f"no: another {why}" if why else "yes", *row(rule)[1:], rule.reason] for rule, why in about
        ]
        table(["rule", "applies", "where", "matcher", "owner", "until", "from", "reason"], rows_shown)
    if not any(not why for _, why in about):
        say(terminal(f"no rule applies to {args.what}" + (f"; {len(refusals)} are refused" if refusals else "")))
    return 0


def sensible(where: str, endpoint: str | None, kind: str | None) -> None:
    """Refuse what no difference has, of which "no rule applies" would be said whatever the rules are."""
    if steps_of(where) == (where,):  # in no known way, or of one step
        try:
            pattern_of(where)
        except NoPlace as error:
            raise UsageError(f"{where!r} is no place: {error}") from error
    if endpoint and " /" not in endpoint:
        raise UsageError(f"--endpoint is {endpoint!r}; it must be a method and a path, for example 'GET /items/{{id}}'")
    if kind and kind not in KINDS:
        raise UsageError(f"--kind is {kind!r}; known are {', '.join(KINDS)}")


def why_not(rule: Rule, where: str, endpoint: str | None, kind: str | None) -> str:
    """The field by which a rule is not about a difference; empty when it is."""
    if not covers(pattern_of(rule.where), steps_of(where)):
        return "where"
    if kind and kind not in kinds_of(rule):
        return "kinds"
    return out_of_scope(rule, endpoint, None) if endpoint else ""


def impact(args: argparse.Namespace) -> int:
    """What each rule would hide in the last runs."""
    rules, refusals = rules_now()
    with store_of(args, home_of(args)) as store:
        found, runs = impacts(store, rules, args.last or LAST)
    if args.json:
        put({"runs": runs, "rules": [one.json() for one in found]})
    else:
        table(["rule", "in the last " + counted(len(runs), "run")], [[one.rule.name, sentence(one)] for one in found])
    for refusal in refusals:
        say(terminal(told(refusal)))
    return EXIT_USAGE if refusals else 0


def sentence(one: Impact) -> str:
    """What one rule would hide, in words."""
    if not one.differences:
        return "hides nothing"
    findings, grave = len(one.findings), len(one.regressions)
    text = f"hides {counted(one.differences, 'difference')} in {counted(findings, 'finding')} of {counted(len(one.runs), 'run')}"
    text += f", {grave} of them a regression" if grave == 1 else f", {grave} of them regressions" if grave else ""
    return text + (f"; of {one.unsure} more the rows keep too little to tell" if one.unsure else "")


def export(args: argparse.Namespace) -> int:
    """Rules for what a run found to be noise, or what runs have learned of base, as TOML on stdout."""
    if args.profile + args.triage + bool(args.what) != 1:
        raise UsageError("export needs a run, --profile or --triage, for example `echolane rules export latest`")
    expires = (datetime.now(UTC).date() + timedelta(days=PROPOSED_DAYS)).isoformat()
    with store_of(args, home_of(args)) as store:
        if args.profile:
            service, profile = newest(store, args.service or "", args.base_version or "")
            sys.stdout.write(proposed_of_profile(service, profile, expires, args.owner or ""))
            return 0
        if args.triage:
            said = [
                one
                for name in ([args.service] if args.service else services(store))
                for one in newest_said(store, name)
            ]
            sys.stdout.write(of_triage([one for one in said if not over(one, today())]))
            return 0
        run = find_run(store, args.what)
    if not run["result"]:
        raise UsageError(f"run {run['run']} has no result yet; `echolane run --resume {run['run']}` goes on with it")
    sys.stdout.write(proposed(orjson.loads(run["result"]), expires))
    return 0


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
