"""The verdict for a person on a terminal: what changed, how sure that is, and the account it rests on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from console.output import printable

SHOWN_MAX = 12
"""Findings printed; a screen holds no more, and the page has all."""
VALUE_CUT = 70
_PAINT = {"fail": "31;1", "pass": "32;1", "inconclusive": "33;1"}

Result = Mapping[str, Any]


def print_verdict(result: Result) -> None:
    """Print the verdict on stderr, in colour on a terminal."""
    print(render(result, colour=sys.stderr.isatty()), file=sys.stderr)  # noqa: T201 - talk


def render(result: Result, *, colour: bool = False) -> str:
    """The verdict as text. Every number is one of the result's."""
    verdict = str(result["verdict"])
    head = f"{verdict.upper()}: {result['reason']}"
    lines = [f"\x1b[{_PAINT[verdict]}m{head}\x1b[0m" if colour else head]
    groups = result["groups"]
    for group in groups[:SHOWN_MAX]:
        lines += finding_lines(group)
    if len(groups) > SHOWN_MAX:
        lines.append(f"  … and {len(groups) - SHOWN_MAX} more findings on the page")
    lines.append(summary(result))
    lines += ledger_lines(result["ledger"])
    return "\n".join(lines)


def finding_lines(group: Result) -> list[str]:
    """One finding: where, how often, how sure, and an example."""
    where = f"{group['endpoints']} endpoints" if group["endpoints"] > 1 else printable(str(group["endpoint"]))
    sure = "never in its controls" if group["basis"] == "deterministic" else f"q = {group['q_value']:.2g}"
    lines = [
        f"  {group['severity']:<8}  {printable(str(group['where']))}  {group['kind']}  in {where}",
        f"            {group['differing']} of {group['observed']} exchanges differ, {sure}",
    ]
    for sample in group["samples"][:1]:
        lines.append(f"            base   {shown(sample['base'])}")
        lines.append(f"            branch {shown(sample['branch'])}")
    return lines


def shown(value: str | None) -> str:
    """A value in one line."""
    if value is None:
        return "(missing)"
    text = printable(value)
    return text if len(text) <= VALUE_CUT else text[: VALUE_CUT - 1] + "…"


def summary(result: Result) -> str:
    """Noise, undecided, fidelity."""
    fidelity = "not known (no recorded answers)" if result["fidelity"] is None else f"{result['fidelity']:.1%}"
    return f"  noise: {len(result['noise'])} places, undecided: {len(result['undecided'])}, fidelity: {fidelity}"


def ledger_lines(ledger: Result) -> list[str]:
    """The account, as sums that can be checked by eye."""

    def table(name: str) -> str:
        found = ledger.get(name) or {}
        return "".join(f" + {reason} {count}" for reason, count in found.items()) or " + 0"

    lines = [
        f"  selected {ledger['selected']} = fired {ledger['fired']} + skipped:{table('skipped')[2:]}",
        f"  fired {ledger['fired']} = compared {ledger['compared']} + not compared:{table('not_compared')[2:]}",
        f"  compared {ledger['compared']} = same {ledger['same']} + noise {ledger['noise_only']} + undecided {ledger['undecided']}"
        f" + different {ledger['different']} + uncomparable:{table('uncomparable')[2:]}",
    ]
    if "unsafe-method" in (ledger.get("skipped") or {}):
        lines.append("  requests that write were skipped; include them with --methods all where the targets may be written to")
    if ledger["unaccounted"]:
        lines.append(f"  UNACCOUNTED: {ledger['unaccounted']}")
    return lines
