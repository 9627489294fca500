"""Propose rules for what a run found to be noise, as TOML with the evidence beside each. Pure.

A proposal has no owner: somebody fills it in and so answers for it; until then `echolane rules check` refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from console.words import controls, listed, seen, text
from differ.rules_reading import Written, read
from differ.rules_refusing import faults
from echolane.rules import IGNORE, IGNORE_ORDER, Rule

MATCHERS = {"value": IGNORE, "format": IGNORE, "order": IGNORE_ORDER}
"""Kinds that a rule is proposed for. Presence, type and status that vary are for a person to look at."""
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
    lines = [
        f"# {text(finding, 'kind')} at {text(finding, 'endpoint')}: differs in {seen(finding)}; {controls(finding)}",
    ]
    if why := _refused(fields):
        return "\n".join([*lines, f"# not proposed: {fields['where']}: {why}", ""])
    lines.append("[[rules]]")
    for name, value in fields.items():
        lines.append(f"{name} = {value if name == 'expires' else quoted(value)}" + ("  # fill in" if not value else ""))
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


def quoted(value: object) -> str:
    """A text of TOML on one line; JSON's escapes are TOML's."""
    return json.dumps(str(value), ensure_ascii=True).replace("\x7f", "\\u007f")
