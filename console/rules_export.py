"""Propose rules for what a run found to be noise, or a profile knows, as TOML with the evidence beside each. Pure.

A proposal has no owner unless one is named: somebody fills it in and so answers for it; until then `echolane rules check` refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from console.triage_rules import toml_fields
from console.words import controls, count, listed, seen, text
from differ.difference import VALUE
from differ.profiles import Profile
from differ.result import iso
from differ.rules_reading import Written, read
from differ.rules_refusing import RULES_MAX, faults
from echolane.rules import IGNORE, IGNORE_ORDER, Rule
from echolane.triage import Decision

MATCHERS = {"value": IGNORE, "format": IGNORE, "order": IGNORE_ORDER}
"""Kinds that a rule is proposed for. Presence, type and status that vary are for a person to look at."""
PROPOSED_MAX = RULES_MAX // 2
"""Places of a profile for which rules are proposed: a place may need two."""
Result = Mapping[str, Any]


def proposed(result: Result, expires: str) -> str:
    """A TOML text: one rule for each place that was noise at each endpoint, one at many endpoints where the finding spans them."""
    run, service = text(result, "run"), text(result, "service")
    head = (
        f"# Proposed by `echolane rules export {run}` from the noise of that run at `{service}`.\n"
        "# Keep what you know to be noise, fill in who answers for it, and have it checked: echolane rules check\n"
    )
    parts = [head]
    done: set[tuple[str, str, str]] = set()
    for finding in listed(result, "noise"):
        if finding.get("rule"):
            continue
        for place in listed(finding, "places") or [finding["where"]]:
            for fields in _proposals(service, finding, str(place), expires):
                key = (fields.get("endpoint", ""), fields["where"], fields["matcher"])
                if key not in done:
                    done.add(key)
                    parts.append(_table(fields, finding))
    return "\n".join(parts)


def proposed_of_profile(service: str, profile: Profile, expires: str, owner: str = "") -> str:
    """A TOML text: a rule for each place at each endpoint that a profile knows to differ by itself, those that differ most first."""
    version = profile.version if profile.named else "no name"
    runs = count(profile.runs, "run")
    head = (
        f"# Proposed by `echolane rules export --profile` from what {runs} learned of `{service}`,\n"
        f"# version {one_line(version)}.\n"
        "# Keep what you know to be noise, fill in who answers for it, and have it checked: echolane rules check\n"
    )
    parts = [head]
    rows = [
        (profile.known(endpoint, where, VALUE), endpoint, where)
        for endpoint, where in profile.places
        if endpoint in profile.endpoints
    ]
    rows.sort(key=lambda row: (-row[0].differing / max(1, row[0].observed), row[1], row[2]))
    for known, endpoint, where in rows[:PROPOSED_MAX]:
        for matcher in dict.fromkeys(MATCHERS.get(kind, "") for kind in sorted(known.kinds)):
            kinds = [kind for kind in sorted(known.kinds) if MATCHERS.get(kind, "") == matcher]
            evidence = f"base differs from itself in {known.differing} of {known.observed} exchanges of {runs}"
            method, _, path = endpoint.partition(" ")
            fields = {
                "service": service,
                "method": method,
                "endpoint": path,
                "where": where,
                "matcher": matcher,
                "reason": f"{evidence}, last on {iso(profile.last_ns)[:10]}",
                "owner": owner,
                "expires": expires,
            }
            parts.append(_written(fields, f"# {', '.join(kinds)} at {one_line(endpoint)}: {evidence}"))
    if len(rows) > PROPOSED_MAX:
        parts.append(
            f"# not proposed: {len(rows) - PROPOSED_MAX} more places that differ less; a repository has at most {RULES_MAX} rules\n"
        )
    return "\n".join(parts)


def of_triage(decisions: Sequence[Decision]) -> str:
    """A TOML text: the rules that were said in triage and stand, the newest first, as they hold in runs."""
    head = (
        "# Said in triage: written by `echolane rules export --triage`, to be kept in git. Then say `open` of these findings,\n"
        "# since what stands twice is told by the rule in git alone.\n"
    )
    parts = [head]
    for one in decisions:
        what = f"# finding {one.finding}: {one.decision}, said by {one_line(one.who)} on {iso(one.at_ns)[:10]} in run {one.run}"
        parts += [_written(dict(fields), what) for fields in toml_fields(one)]
    return "\n".join(parts)


def _proposals(service: str, finding: Mapping[str, Any], where: str, expires: str) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in listed(finding, "endpoint_names")]
    for name in names if len(names) == 1 else [""]:
        method, _, path = name.partition(" ")
        scope = {"method": method, "endpoint": path} if name else {}
        yield {
            "service": service,
            **scope,
            "where": where,
            "matcher": MATCHERS.get(text(finding, "kind"), ""),
            "reason": text(finding, "explanation") or "a version differs from itself here",
            "owner": "",
            "expires": expires,
        }


def _table(fields: dict[str, Any], finding: Mapping[str, Any]) -> str:
    what = f"# {text(finding, 'kind')} at {one_line(text(finding, 'endpoint'))}: differs in {seen(finding)}; {controls(finding)}"
    return _written(fields, what)


def _written(fields: dict[str, Any], what: str) -> str:
    """A rule below the line that says what it is about; only that where it would be refused."""
    if why := _refused(fields):
        return f"{what}\n# not proposed: {one_line(fields['where'])}: {one_line(why)}\n"
    lines = [what, "[[rules]]"]
    for name, value in fields.items():
        text = f"[{', '.join(map(quoted, cast('list[object]', value)))}]" if isinstance(value, list) else quoted(value)
        lines.append(f"{name} = {value if name == 'expires' else text}" + ("  # fill in" if not value else ""))
    return "\n".join([*lines, ""])


def _refused(fields: dict[str, Any]) -> str:
    """Why such a rule would be refused even with an owner; empty when it would not."""
    if not fields["matcher"]:
        return "a change of this kind is for a person to look at"
    rule = read(Written({**fields, "owner": "?"}, "", 0))
    if not isinstance(rule, Rule):
        return rule.text
    first = next(faults(rule, "", ()), None)
    return f"{first.code}: {first.text}" if first else ""


def one_line(foreign: str) -> str:
    """A foreign text as part of a comment: what would end the line, or is nothing to see, is written as TOML writes it."""
    return quoted(foreign)[1:-1]


def quoted(value: object) -> str:
    """A text of TOML on one line; JSON's escapes are TOML's."""
    return json.dumps(str(value), ensure_ascii=True).replace("\x7f", "\\u007f")
