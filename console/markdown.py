"""A comment for a pull request: verdict first, at most 60 lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TOP = 5
VALUE_CUT = 80
Result = Mapping[str, Any]


def escaped(text: object) -> str:
    """Foreign text as plain words: nothing in it is markup, a mention or a link."""
    flat = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text)))
    flat = flat[: VALUE_CUT - 1] + "…" if len(flat) > VALUE_CUT else flat
    return re.sub(r"([\\`*_{}\[\]()#+!|~<>&@-])", lambda found: f"&#{ord(found[0])};", flat)


def markdown(result: Result) -> str:
    """The result as a comment."""
    ledger, groups = result["ledger"], result["groups"]
    mark = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}[result["verdict"]]
    lines = [f"### {mark} Echolane: {result['verdict']} – {escaped(result['reason'])}", ""]
    if groups:
        lines += ["| severity | where | kind | in | differing |", "|---|---|---|---|---|"]
        for group in groups[:TOP]:
            place = f"{group['endpoints']} endpoints" if group["endpoints"] > 1 else escaped(group["endpoint"])
            of = f"{group['differing']} of {group['observed']}"
            lines.append(f"| {group['severity']} | {escaped(group['where'])} | {group['kind']} | {place} | {of} |")
        lines.append("")
        for group in groups[:TOP]:
            for sample in group["samples"][:1]:
                values = ("missing" if sample[side] is None else escaped(sample[side]) for side in ("base", "branch"))
                lines.append("- {}: {} → {}".format(escaped(group["where"]), *values))
        if len(groups) > TOP:
            lines.append(f"- … and {len(groups) - TOP} more findings")
        lines.append("")
    lines.append(
        f"{ledger['selected']} selected, {ledger['fired']} fired, {ledger['compared']} compared: {ledger['same']} same, "
        f"{ledger['noise_only']} noise, {ledger['undecided']} undecided, {ledger['different']} different; "
        f"{ledger['unaccounted']} unaccounted"
    )
    return "\n".join(lines) + "\n"
