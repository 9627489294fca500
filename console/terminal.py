"""The verdict for a person at a terminal, or as plain text in a log. Pure but for the console it prints to.

80 columns are enough; colour only adds to words (rich honours ``NO_COLOR``). Foreign text loses its control characters in
:mod:`console.escapes`. Words come from :mod:`console.words`.
"""

from __future__ import annotations

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from console import words
from console.escapes import short, telling, terminal
from console.words_lost import lost_line
from console.words_place import exceptions, place
from console.words_profile import profile_line
from console.words_reach import where_told
from console.words_timing import timing_lines
from console.words_undecided import deciding

FINDINGS_MAX = 8
"""One screen; the page and ``show --json`` have all."""
UNDECIDED_MAX = 3
"""What is undecided comes after what is wrong, and shares the screen with it."""
WIDTH_MAX = 110
"""Longer lines are harder to read, however wide the window is."""
PLAIN_WIDTH = 100
REASON_MAX, SUMS_MAX = 600, 400
INDENT = " " * 10
STYLES = {"pass": "bold black on green", "fail": "bold white on red", "inconclusive": "bold black on yellow"}
SEVERITY_STYLES = {"breaking": "bold red", "visible": "yellow", "cosmetic": "dim"}
_RULER = Console(width=WIDTH_MAX, color_system=None)
"""Measures text (wide characters count twice); it never prints."""


def print_verdict(result: words.Result, console: Console | None = None) -> None:
    """Say the verdict on stderr: in colour on a terminal, plain elsewhere."""
    out = console or Console(stderr=True)
    width = min(out.width, WIDTH_MAX) if out.is_terminal else PLAIN_WIDTH
    for line in verdict_lines(result, width):
        line.rstrip()
        out.print(line, highlight=False, soft_wrap=True)


def plain_verdict(result: words.Result, width: int = PLAIN_WIDTH) -> str:
    """The same words without colour, for logs."""
    return "\n".join(line.plain.rstrip() for line in verdict_lines(result, width)) + "\n"


def verdict_lines(result: words.Result, width: int) -> list[Text]:
    """All lines, none wider than ``width``."""
    verdict = words.verdict(result)
    reason = terminal(short(words.headline(result), REASON_MAX))
    lines = [Text(), *_wrapped(Text.assemble((f" {verdict.upper()} ", STYLES[verdict]), f" {reason}"), width)]
    lines += _wrapped(Text(words.summary(result)), width)
    if lost := lost_line(result):
        lines += _wrapped(Text(terminal(lost)), width)
    if advice := words.advice(result):
        lines += [Text(), *_wrapped(Text(terminal(advice)), width)]
    found = words.findings(result, "groups")
    for finding in found[:FINDINGS_MAX]:
        lines += [Text(), *_finding(finding, width)]
    if len(found) > FINDINGS_MAX:
        kinds = ", ".join(f"{number:,} {name}" for name, number in words.by_severity(found[FINDINGS_MAX:]).items())
        lines += [Text(), Text(f"and {words.count(len(found) - FINDINGS_MAX, 'more finding')}: {kinds}")]
    lines += _undecided(words.findings(result, "undecided"), width)
    return [*lines, Text(), *_account(result, width), Text()]


def _undecided(found: list[words.Finding], width: int) -> list[Text]:
    """What is undecided, with what would decide it."""
    lines: list[Text] = []
    for finding in found[:UNDECIDED_MAX]:
        lines += [Text(), *_head("undecided", "bold yellow", finding, width)]
        if how := deciding(finding):
            lines.append(Text.assemble(INDENT, (_cut(how, width - len(INDENT)), "dim")))
    more = len(found) - UNDECIDED_MAX
    return [*lines, Text(), Text(f"and {more:,} more undecided")] if more > 0 else lines


def _head(label: str, style: str, finding: words.Finding, width: int) -> list[Text]:
    """Where a finding is, what changed there and how often."""
    room = width - len(INDENT)
    kind = _cut(words.text(finding, "kind"), 14)
    facts = "  ".join(["", kind, words.seen(finding), *filter(None, [words.known(finding)])])
    where = _cut(place(finding), max(room - cell_len(facts), 20))
    at, traffic = where_told(finding)
    return [
        Text.assemble((f"{label:<10}", style), _cut(at, room - cell_len(traffic)), (traffic, "dim")),
        Text.assemble(INDENT, (where, "bold"), facts),
    ]


def _finding(finding: words.Finding, width: int) -> list[Text]:
    severity, room = words.severity(finding), width - len(INDENT)
    lines = _head(severity, SEVERITY_STYLES[severity], finding, width)
    if but := exceptions(finding):
        lines.append(Text.assemble(INDENT, (_cut(but, room), "dim")))
    for sample in words.samples(finding)[:1]:
        base, branch = _pair(sample.get("base"), sample.get("branch"), room - 3)
        lines.append(Text.assemble(INDENT, (base, "red"), (" → ", "dim"), (branch, "green")))
    if note := words.greedy(finding):
        lines.append(Text.assemble(INDENT, (_cut(note, room), "dim")))
    return lines


def _pair(base: object, branch: object, room: int) -> tuple[str, str]:
    """Both values in one line; a short one leaves its room to the other."""
    half = room // 2
    wide = cell_len(str(base)[:room]) > room
    texts = telling(base, branch, half // 2 if wide else half)
    shown = ["(missing)" if text is None else terminal(short(text, 4 * room)) for text in texts]
    left = max(half, room - cell_len(shown[1]))
    first = _cut(shown[0], left)
    return first, _cut(shown[1], room - cell_len(first))


def _cut(text: str, room: int) -> str:
    plain = terminal(short(text, 4 * room))
    if cell_len(plain) <= room:
        return plain
    begin = chop_cells(plain, room - 1)[0]
    # Joined characters are narrower together than their parts, so a cut among them can be a cell too wide.
    while begin and cell_len(begin) > room - 1:
        begin = begin[:-1]
    return begin + "…"


def _account(result: words.Result, width: int) -> list[Text]:
    ledger = words.ledger(result)
    lines: list[Text] = []
    for line in words.account(ledger):
        lines += _wrapped(Text(words.sum_text(line)), width, "    ")
        if reasons := words.reasons_text(line):
            lines += _wrapped(Text(terminal(short(f"  {reasons}", SUMS_MAX)), style="dim"), width, "    ")
    if hint := words.skipped_hint(ledger):
        lines += _wrapped(Text(f"  {hint}", style="dim"), width, "    ")
    if profile := profile_line(result):
        lines += _wrapped(Text(terminal(short(profile, SUMS_MAX))), width, "    ")
    for line in timing_lines(result):
        lines += _wrapped(Text(terminal(short(line, SUMS_MAX))), width, "    ")
    rate = words.section(result, "rates").get("fired_per_s")
    facts = [
        f"account {terminal(short(words.balance(ledger), SUMS_MAX))}",
        f"fidelity {words.fidelity(result)}",
        *([f"{float(rate):,.0f} fired/s"] if isinstance(rate, int | float) and rate else []),
        *(f"{len(words.findings(result, name)):,} {name}" for name in ("undecided", "noise", "expected")),
    ]
    style = "bold red" if words.imbalance(ledger) else ""
    return [*lines, *_wrapped(Text(" · ".join(facts), style=style), width, "    ")]


def _wrapped(text: Text, width: int, indent: str = "") -> list[Text]:
    """A paragraph as lines of at most ``width``; later lines are indented."""
    first, *rest = text.wrap(_RULER, max(width - len(indent), 20), overflow="fold") or [Text()]
    return [first, *(Text(indent) + line for line in rest)]
