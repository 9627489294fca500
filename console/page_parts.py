"""The fixed parts of a run's page: verdict, facts, account, targets, commands. Parts of :mod:`console.page`; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from console import words
from console.escapes import html, short
from console.words_lost import lost_line
from console.words_profile import profile_line

NAME_MAX, REASON_MAX, ADVICE_MAX = 300, 240, 600
LONG = 80
"""Characters from which a headline is set smaller."""
REASONS_MAX = 12
"""Reasons shown at one number of the account; there are about a dozen in all, a damaged result may have more."""
_CODE = re.compile(r"`([^`]{1,200})`")
TITLES = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive"}
ICONS = {
    "pass": '<path d="M4.5 10.5l3.6 3.6 7.4-8.2"/>',
    "fail": '<path d="M5.5 5.5l9 9m0-9l-9 9"/>',
    "inconclusive": '<path d="M10 4.5v6.6m0 3.4v.6"/>',
}
PARTS = {"groups": "Findings", "undecided": "Undecided", "noise": "Noise", "expected": "Expected"}
CLASSES = {
    "fired": "go",
    "skipped": "no",
    "compared": "go",
    "not compared": "no",
    "same": "same",
    "noise only": "noise",
}
TARGET_TITLES = {"base": "base", "control": "control", "branch": "branch", "branch_control": "branch control"}


def name(value: object, limit: int = NAME_MAX) -> str:
    """A short foreign text."""
    return html(short(str(value if value is not None else ""), limit))


def prose(text: str) -> str:
    """Our own sentence; what stands in back-ticks is code."""
    return _CODE.sub(r"<code>\1</code>", html(text))


def hero(result: words.Result) -> str:
    """The verdict in one sentence, what it rests on, and what to do when there is none."""
    verdict = words.verdict(result)
    reason = short(words.headline(result), REASON_MAX)
    size = " class='long'" if len(reason) > LONG else ""
    advice = words.advice(result)
    todo = f'<p class="advice"><b>What to do:</b> {prose(short(advice, ADVICE_MAX))}</p>' if advice else ""
    lost = lost_line(result)
    left_out = f'<p class="lede">{html(short(lost, REASON_MAX))}</p>' if lost else ""
    return (
        f'<section class="hero" aria-labelledby="verdict"><div class="say"><h1 id="verdict"{size}>'
        f'<span class="stamp"><svg viewBox="0 0 20 20" aria-hidden="true">{ICONS[verdict]}</svg>{TITLES[verdict]}</span>'
        f'<span class="sr">: </span><span>{html(reason[:1].upper() + reason[1:])}</span></h1>'
        f'<p class="lede">{html(words.summary(result))}</p>{left_out}{todo}{_versions(result)}</div>{_facts(result)}</section>'
    )


def _versions(result: words.Result) -> str:
    targets = words.section(result, "targets")

    def one(key: str) -> str:
        target = words.section(targets, key)
        lane = f' <span class="lane">lane {name(target["lane"])}</span>' if target.get("lane") else ""
        return f"<b>{key}</b> <code>{name(target.get('url') or 'not named')}</code>{lane}"

    profile = profile_line(result)
    said = f'<p class="versions">{html(short(profile[:1].upper() + profile[1:], REASON_MAX))}.</p>' if profile else ""
    return f'<p class="versions"><span>{one("base")}</span> <span><span class="to" aria-hidden="true">→</span> {one("branch")}</span></p>{said}'


def _facts(result: words.Result) -> str:
    found = words.findings(result, "groups")
    kinds = " · ".join(f"{number} {severity}" for severity, number in words.by_severity(found).items())
    ledger = words.ledger(result)
    broken = words.imbalance(ledger)
    low = result.get("fidelity") is not None and float(result["fidelity"]) < words.FIDELITY_MIN
    unknown = (
        "the recording has no answers to compare with"
        if result.get("fidelity") is None
        else "of base's answers are as recorded"
    )
    rate = words.section(result, "rates").get("fired_per_s")
    speed = f"{float(rate):,.0f} exchanges fired per second" if isinstance(rate, int | float) and rate else ""
    tiles = [
        ("Findings", f"{len(found):,}", kinds or "no regression", ""),
        ("Fidelity", words.fidelity(result), unknown, "bad" if low else ""),
        (
            "Account",
            "does not balance" if broken else "balanced",
            short(broken[0], 200) if broken else "every exchange is accounted for",
            "bad" if broken else "",
        ),
        ("Took", duration(words.seconds(result)), speed, ""),
    ]
    rows = "".join(
        f'<div class="{css}"><dt>{title}</dt><dd><b>{html(value)}</b> <span>{html(note)}</span></dd></div>'
        for title, value, note, css in tiles
    )
    return f'<dl class="facts">{rows}</dl>'


def duration(value: float) -> str:
    """``5.8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def outcome_bar(result: words.Result) -> str:
    """What became of the compared exchanges, as one bar with its numbers."""
    compared = words.account(words.ledger(result))[2]
    if not compared.whole:
        return ""
    return f'<section class="outcome" aria-label="Compared exchanges">{bar(compared, compared.whole)}{_legend(compared)}</section>'


def bar(line: words.Line, scale: int) -> str:
    """Parts of a line as a stacked bar; what is not zero is seen, however small."""
    whole = max(scale, line.total, 1)
    widths = [(part, max(number / whole * 100, 0.7) if number else 0.0) for part, number, _ in line.parts]
    excess = max(sum(width for _, width in widths) - 100.0, 0.0)
    largest = max(width for _, width in widths)
    left = 0.0
    rects: list[str] = []
    for part, width in widths:
        drawn = width - excess if width == largest and excess else width
        excess = 0.0 if width == largest else excess
        if drawn > 0:
            rects.append(f'<rect class="{_css(part)}" x="{left:.2f}%" width="{drawn:.2f}%" height="100%"/>')
        left += drawn
    return (
        f'<svg class="stack" aria-hidden="true"><rect class="rail" width="100%" height="100%"/>{"".join(rects)}</svg>'
    )


def _css(part: str) -> str:
    return CLASSES.get(part, part)


def _legend(line: words.Line) -> str:
    items = "".join(
        f'<li><svg class="key" aria-hidden="true"><rect class="{_css(part)}" width="100%" height="100%"/></svg><b>{number:,}</b> {part}</li>'
        for part, number, _ in line.parts
    )
    return f'<ul class="legend">{items}</ul>'


def account(result: words.Result) -> str:
    """The ledger as sums that a reader can check."""
    ledger: Mapping[str, Any] = words.ledger(result)
    lines = words.account(ledger)
    broken = words.imbalance(ledger)
    sums = "".join(_sum(line, lines[0].whole) for line in lines)
    state = (
        "It does not balance: " + html(short("; ".join(broken), 600)) if broken else "Every exchange is accounted for."
    )
    hint = f"<p class='note'>{html(words.skipped_hint(ledger))}.</p>" if words.skipped_hint(ledger) else ""
    return (
        f'<section id="account"><h2>Account</h2><p class="{"off" if broken else "even"}">{state}</p>'
        f'<div class="sums">{sums}</div>{hint}<h3>At each target</h3>{_targets(result, ledger)}</section>'
    )


def _sum(line: words.Line, scale: int) -> str:
    mark = (
        '<span class="ok">✓ balanced</span>'
        if line.balanced
        else f'<span class="off">✗ the parts come to {line.total:,}</span>'
    )
    parts = ' <span class="op">+</span> '.join(
        f'<span class="term {_css(part)}"><b>{number:,}</b> {part}{_reasons(reasons)}</span>'
        for part, number, reasons in line.parts
    )
    return (
        f'<div class="sum"><p><span class="term whole"><b>{line.whole:,}</b> {line.name}</span> <span class="op">=</span> {parts} {mark}</p>'
        f"{bar(line, scale)}</div>"
    )


def _reasons(reasons: Sequence[tuple[str, int]]) -> str:
    given = [(reason, number) for reason, number in reasons if number]
    if not given:
        return ""
    shown = ", ".join(f"{number:,} {name(reason, 60)}" for reason, number in given[:REASONS_MAX])
    more = sum(number for _, number in given[REASONS_MAX:])
    rest = f", {more:,} for {len(given) - REASONS_MAX:,} other reasons" if more else ""
    return f' <span class="reasons">({shown}{rest})</span>'


def _targets(result: words.Result, ledger: Mapping[str, Any]) -> str:
    targets = words.section(result, "targets")
    body = ""
    for key, line in words.by_target(ledger):
        target = words.section(targets, key)
        lane = f' <span class="lane">lane {name(target["lane"])}</span>' if target.get("lane") else ""
        cells = "".join(
            f'<td data-name="{part}"><b>{number:,}</b>{_reasons(reasons)}</td>' for part, number, reasons in line.parts
        )
        total = f"{line.total:,} ✓" if line.balanced else f"{line.total:,} ✗ fired {line.whole:,}"
        body += (
            f'<tr><th scope="row">{TARGET_TITLES[key]}<code>{name(target.get("url") or "not named")}</code>{lane}</th>{cells}'
            f'<td data-name="fired" class="{"ok" if line.balanced else "off"}"><b>{total}</b></td></tr>'
        )
    heads = "".join(
        f'<th scope="col">{title}</th>'
        for title in ("target", "answered", "+ failed", "+ in doubt", "+ spared", "= fired")
    )
    return f'<table class="targets"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def commands(result: words.Result) -> str:
    """What to type next."""
    rows = "".join(
        f'<div class="command"><span>{title}</span><code tabindex="0">{name(line, 2_000)}</code>'
        '<button type="button" class="copy" hidden>Copy</button></div>'
        for title, line in words.commands(result)
    )
    rates = "".join(
        f"<li>{name(key.replace('_per_s', ' per second').replace('_', ' '))}: <b>{name(value)}</b></li>"
        for key, value in list(words.section(result, "rates").items())[:REASONS_MAX]
    )
    facts = {"run": "run", "started": "started_at", "finished": "finished_at"}
    times = "".join(f"<li>{title} <b>{name(result.get(key))}</b></li>" for title, key in facts.items())
    return f'<section id="next"><h2>Go on from here</h2>{rows}<ul class="rates">{times}{rates}</ul></section>'
