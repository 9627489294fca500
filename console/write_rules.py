"""``[[writes]]`` of ``echolane.toml``: which writes a run may fire, each rule with its reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, cast

from console.config_place import config_file
from echolane.errors import UsageError
from echolane.writes import WriteRule, checked_route

RULES_MAX = 1_000
"""More than anybody keeps by hand; each unsafe request is held against all of them."""
REASON_MAX = 400
KEYS = {"route": str, "fire": bool, "reason": str}
"""What a rule has, all of it."""
_HEAD = re.compile(r"\s*\[\[\s*\"?writes\"?\s*\]\]")


def write_rules(path: Path | None = None) -> list[WriteRule]:
    """The rules in force, in their order; UsageError names the line of one that is none."""
    path = path or config_file()
    try:
        text = path.read_text("utf-8")
        tree = tomllib.loads(text)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:  # settings have been read from it, and said the same
        raise UsageError(f"{path} cannot be read: {error}") from error
    found: Any = tree.get("writes", [])
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _HEAD.match(line)]
    if not isinstance(found, list):
        raise UsageError(f"{path}: `writes` is a list of rules; each begins with [[writes]]")
    rules = cast("list[Any]", found)
    if len(rules) > RULES_MAX:
        raise UsageError(f"{path} has {len(rules)} rules for writes; at most {RULES_MAX} are kept")
    return [
        _rule(rule, f"{path} line {lines[index]}" if index < len(lines) else str(path))
        for index, rule in enumerate(rules)
    ]


def _rule(written: Any, source: str) -> WriteRule:
    fields = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    if unknown := sorted(fields.keys() - KEYS):
        raise UsageError(f"{source}: a rule for writes has no `{unknown[0]}`; it has {', '.join(KEYS)}")
    for key, kind in KEYS.items():
        if not isinstance(fields.get(key), kind) or fields[key] == "":
            what = "true or false" if kind is bool else "a text"
            raise UsageError(f"{source}: a rule for writes needs `{key}`, {what}")
    if len(fields["reason"]) > REASON_MAX:
        raise UsageError(f"{source}: a reason has at most {REASON_MAX} characters")
    try:
        route = checked_route(fields["route"])
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error
    return WriteRule(route, fields["fire"], fields["reason"], source)
