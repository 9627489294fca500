"""A run as a comment on a pull request: at most 60 lines, the verdict first. Pure.

The first line is a comment that names the service, so that a bot finds and edits its one comment instead of adding another.
Words come from :mod:`console.words`, quoting from :mod:`console.escapes`.
"""

from __future__ import annotations

from console import words
from console.escapes import markdown as escaped, markdown_code as code, short, telling
from console.words_lost import lost_line
from console.words_place import exceptions, place
from console.words_reach import where_told

LINES_MAX = 60
ENDPOINTS_MAX = 12
FINDINGS_MAX = 5
NAME_MAX, VALUE_MAX, REASON_MAX = 100, 60, 400
"""Characters: a table stays readable, and the whole stays far below the 65,536 that hosts take in one comment."""
ICONS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️"}


def markdown(result: words.Result) -> str:
    """The whole comment."""
    verdict = words.verdict(result)
    lines = [
        marker(words.text(result, "service")),
        f"### {ICONS[verdict]} Echolane: {verdict}: {escaped(short(words.headline(result), REASON_MAX))}",
        "",
        escaped(words.summary(result)),
        "",
        f"{_targets(result)} · fidelity {words.fidelity(result)}",
        "",
    ]
    if lost := lost_line(result):
        lines += [escaped(short(lost, REASON_MAX)), ""]
    if advice := words.advice(result):
        lines += [f"**What to do:** {escaped(short(advice, REASON_MAX))}", ""]
    found = words.findings(result, "groups")
    if found:
        lines += [*_findings(found), "", *_endpoints(found), ""]
    lines += _account(result)
    return "\n".join(lines[:LINES_MAX]) + "\n"


def marker(service: str) -> str:
    """The first line, by which a bot finds its comment of this service."""
    plain = "".join(char for char in service if char == "-" or (char.isascii() and char.isalnum()))
    return f"<!-- echolane {plain[:63].strip('-')} -->"


def _name(value: object) -> str:
    return code(short(str(value), NAME_MAX))


def _targets(result: words.Result) -> str:
    targets = words.section(result, "targets")
    names: list[str] = []
    for name in ("base", "branch"):
        target = words.section(targets, name)
        lane = f" in lane {_name(target['lane'])}" if target.get("lane") else ""
        names.append(f"{name} {_name(target.get('url') or 'not named')}{lane}")
    return f"{_name(words.text(result, 'service'))}: {' → '.join(names)}"


def _findings(found: list[words.Finding]) -> list[str]:
    lines = ["| | endpoint and place | kind | differs in | base → branch |", "|---|---|---|---|---|"]
    for finding in found[:FINDINGS_MAX]:
        at, traffic = where_told(finding)
        where = f"{_name(at)}{escaped(traffic)}<br>{_name(place(finding))}"
        if but := exceptions(finding):
            where += f"<br>{escaped(short(but, VALUE_MAX + NAME_MAX))}"
        sample = next(iter(words.samples(finding)), None)
        pair = "" if sample is None else _pair(sample.get("base"), sample.get("branch"))
        kind = escaped(short(words.text(finding, "kind"), 20)) + (
            f"<br>{known}" if (known := words.known(finding)) else ""
        )
        lines.append(f"| **{words.severity(finding)}** | {where} | {kind} | {words.seen(finding)} | {pair} |")
    if len(found) > FINDINGS_MAX:
        lines += ["", f"and {words.count(len(found) - FINDINGS_MAX, 'more finding')}."]
    return lines


def _pair(base: object, branch: object) -> str:
    texts = telling(base, branch, VALUE_MAX)
    return " → ".join("*missing*" if text is None else code(short(text, VALUE_MAX)) for text in texts)


def _endpoints(found: list[words.Finding]) -> list[str]:
    rows = words.endpoints_by_severity(found)
    lines = ["| findings at | breaking | visible | cosmetic |", "|---|--:|--:|--:|"]
    for name, counts in rows[:ENDPOINTS_MAX]:
        title = "several endpoints at once" if name == "*" else _name(name)
        numbers = " | ".join(str(counts[key]) if counts[key] else "" for key in words.SEVERITIES)
        lines.append(f"| {title} | {numbers} |")
    if len(rows) > ENDPOINTS_MAX:
        lines.append(f"| and {words.count(len(rows) - ENDPOINTS_MAX, 'more endpoint')} | | | |")
    return lines


def _account(result: words.Result) -> list[str]:
    ledger = words.ledger(result)
    sums = words.account(ledger)
    lines = [
        f"**Account** ({escaped(short(words.balance(ledger), REASON_MAX))}): {' · '.join(map(words.sum_text, sums))}"
    ]
    if reasons := "; ".join(filter(None, map(words.reasons_text, sums))):
        lines[-1] += f"<br>{escaped(short(reasons, REASON_MAX))}"
    if hint := words.skipped_hint(ledger):
        lines[-1] += f"<br>{hint}"
    others = ", ".join(f"{len(words.findings(result, name)):,} {name}" for name in ("undecided", "noise", "expected"))
    return [*lines, "", f"Besides: {others}. Run {_name(words.text(result, 'run'))}"]
