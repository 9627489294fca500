"""The findings of a run as HTML: a row each, which opens to its evidence and samples. Parts of :mod:`console.page`; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from console import words
from console.escapes import html, short
from console.page_triage import Desk, said_line
from console.page_values import alone, preview, side_by_side
from console.words_place import exceptions, place
from console.words_reach import reach, where_told
from console.words_undecided import deciding
from echolane import ids

NAME_MAX, SENTENCE_MAX = 400, 1_000
"""Characters of a name or sentence; longer ones are attacks or accidents."""
LISTED_MAX = 30
"""Endpoints and places listed in one finding; the rest is counted."""
WHY = {
    "groups": "Why it counts",
    "undecided": "Why it is undecided",
    "noise": "Why it is noise",
    "expected": "Why it is expected",
}
SHORT = 40
"""Characters of a value that fit beside its caption."""
_ID = re.compile(r"[0-9A-Za-z-]{1,128}")
OPEN_PLACEHOLDER = "<!--samples-->"


def head(part: str, finding: words.Finding, desk: Desk | None = None) -> str:
    """A finding without its samples; :data:`OPEN_PLACEHOLDER` marks where they go."""
    severity = words.severity(finding)
    anchor = re.sub(r"[^A-Za-z0-9_-]", "", str(finding.get("id", "")))[:64]
    label = severity if part == "groups" else part
    chip = f'<span class="chip {label}">{label}</span>'
    say = (exchanges_link(finding, desk.run) + desk.form(finding)) if desk else ""
    at, traffic = where_told(finding)
    share = f'<span class="share">{html(traffic)}</span>' if traffic else ""
    return (
        f'<details class="finding" id="{part}-{anchor}" data-severity="{severity}">'
        f"<summary>{chip}"
        f'<span class="what"><span class="endpoint">{_name(at)}{share}</span>'
        f'<span class="where"><code>{_name(place(finding))}</code> '
        f'<span class="kind">{_name(words.kind(finding))}</span></span>{_why(part, finding)}{said_line(finding, desk)}</span>'
        f'<span class="preview">{_preview(finding)}</span>'
        f'<span class="often"><b>{words.seen(finding)}</b>{meter(finding.get("differing"), finding.get("observed"), "x")}</span>'
        "</summary>"
        f'<div class="inside">{_evidence(part, finding)}{_lists(finding)}{say}{OPEN_PLACEHOLDER}</div></details>\n'
    )


def exchanges_link(finding: words.Finding, run: str) -> str:
    """A way to all exchanges that a finding covers, on a server's page; as many as it says, where its places are all told."""
    number = int(finding.get("differing") or 0)
    places: Sequence[Any] = finding.get("places") or []
    id = words.text(finding, "id")  # noqa: A001 - what it is
    if not (run and number and places and _ID.fullmatch(id)):
        return ""
    told = finding.get("verdict") == "regression" and int(finding.get("places_count") or 0) <= len(places)
    text = f"All {number:,} exchanges" if told and number > 1 else "Its exchanges"
    return f'<p class="exchange all"><a href="/runs/{html(run)}/exchanges?finding={id}">{text}</a></p>'


def _why(part: str, finding: words.Finding) -> str:
    """What is no regression says at once why not."""
    reason = words.explanation(finding) if part != "groups" and not finding.get("triage") else ""
    reason = deciding(finding) if part == "undecided" else reason
    return f'<span class="why">{_sentence(reason)}</span>' if reason else ""


def _name(value: object) -> str:
    return html(short(str(value if value is not None else ""), NAME_MAX))


def _preview(finding: words.Finding) -> str:
    sample = next(iter(words.samples(finding)), None)
    if sample is None:
        return ""
    base, branch = preview(text_of(sample, "base"), text_of(sample, "branch"))
    return f'<span class="old"><span class="sr">base </span>{base}</span><span class="new"><span class="sr">branch </span>{branch}</span>'


def text_of(sample: Mapping[str, Any], name: str) -> str | None:
    """A sample's value; None where it is missing."""
    value = sample.get(name)
    return None if value is None else str(value)


def meter(part: object, whole: object, kind: str) -> str:
    """A share as a bar; the number stands beside it."""
    number, total = (float(value) if isinstance(value, int | float) else 0.0 for value in (part, whole))
    width = 0.0 if total <= 0 else max(min(number / total, 1.0) * 100, 1.5 if number > 0 else 0.0)
    return (
        f'<svg class="meter {kind}" aria-hidden="true"><rect class="rail" width="100%" height="100%"/>'
        f'<rect class="fill" width="{width:.1f}%" height="100%"/></svg>'
    )


def _evidence(part: str, finding: words.Finding) -> str:
    table = "".join(
        f"<tr><th scope='row'>{name}</th><td>{words.share(finding.get(number), finding.get(whole))}</td>"
        f"<td class='bar'>{meter(finding.get(number), finding.get(whole), 'c' if rank else 'x')}</td></tr>"
        for rank, (name, number, whole) in enumerate(words.COMPARISONS)
    )
    reasons = [deciding(finding)] if part == "undecided" and deciding(finding) != words.explanation(finding) else []
    told = ", ".join(filter(None, (reach(finding), exceptions(finding))))
    reasons += [words.explanation(finding), told, words.basis(finding), words.greedy(finding)]
    notes = "".join(f"<p>{_sentence(reason)}</p>" for reason in reasons if reason)
    return (
        f'<div class="evidence"><table><caption>How often it differs</caption>{table}</table>'
        f'<div class="notes"><h4>{WHY[part]}</h4>{notes}</div></div>'
    )


def _sentence(text: str) -> str:
    return html(words.sentence(short(text, SENTENCE_MAX)))


def _lists(finding: words.Finding) -> str:
    out = ""
    names: Sequence[Any] = finding.get("endpoint_names") or []
    number = int(finding.get("endpoints") or 1)
    if number > 1 and names:
        out += _listed(words.count(number, "endpoint"), names, number)
    excepted: Sequence[Any] = finding.get("exceptions") or []
    if excepted:
        number = int(finding.get("exceptions_count") or len(excepted))
        out += _listed(f"{words.count(number, 'endpoint')} with this place where it does not show", excepted, number)
    places: Sequence[Any] = finding.get("places") or []
    number = int(finding.get("places_count") or len(places))
    if number > 1 and places:
        out += _listed(words.count(number, "place"), places, number)
    return out


def _listed(title: str, names: Sequence[Any], number: int) -> str:
    shown = "".join(f"<li><code>{_name(name)}</code></li>" for name in names[:LISTED_MAX])
    more = number - min(len(names), LISTED_MAX)
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    return f'<details class="listed"><summary>{title}</summary><ul>{shown}{rest}</ul></details>'


def sample(one: Mapping[str, Any], run: str = "") -> str:
    """One sample: both values side by side, and what the controls said where it is known.

    ``run``: its id where a server has it, so that a link leads to the sample's exchange.
    """
    old, new = text_of(one, "base"), text_of(one, "branch")
    head = f'<p class="exchange">{_exchange(one, run)}</p>{_rewrites(one)}'
    return two_values(old, new, head, _controls(one, old, new))


def two_values(old: str | None, new: str | None, before: str = "", after: str = "") -> str:
    """What base and branch have at one place, side by side, between what stands above and below it."""
    sides = "".join(
        f'<figure class="{css}"><figcaption><b>{name}</b> <span>{value.shape}</span></figcaption>'
        f'<div class="value"{_scroller(name) if value.long else ""}>{value.body}</div></figure>'
        for name, css, value in zip(("base", "branch"), ("old", "new"), side_by_side(old, new), strict=True)
    )
    size = " short" if all(len(value or "") <= SHORT and "\n" not in (value or "") for value in (old, new)) else ""
    return f'<div class="sample{size}">{before}<div class="sides">{sides}</div>{after}</div>'


def _rewrites(one: Mapping[str, Any]) -> str:
    """What base and branch were sent instead of the recorded values, and why."""
    given = words.rewrites(one)
    return "".join(
        f'<p class="exchange">rewritten for {name}: {" · ".join(f"<code>{_name(note)}</code>" for note in notes)}</p>'
        for name, notes in given.items()
    )


def _scroller(name: str) -> str:
    """A box that scrolls can be reached and named without a mouse."""
    return f' tabindex="0" role="region" aria-label="value of {name}"'


def _exchange(one: Mapping[str, Any], run: str) -> str:
    parts: list[str] = []
    if one.get("method") or one.get("target"):
        parts.append(f"<code>{_name(one.get('method'))} {_name(one.get('target'))}</code>")
    if one.get("seq") is not None:
        parts.append(f"number {_name(one['seq'])} of the run")
    exchange = f"exchange <code>{_name(one.get('exchange'))}</code>"
    if all(map(ids.UUID7.fullmatch, (run, str(one.get("exchange"))))):
        exchange = f'<a href="/runs/{run}/exchanges/{one["exchange"]}">{exchange}</a>'
    parts.append(exchange)
    return " · ".join(parts)


def _controls(one: Mapping[str, Any], base: str | None, branch: str | None) -> str:
    """Controls that agree take one line; one that does not is shown."""
    agreeing: list[str] = []
    boxes = ""
    for name, twin, value in (("control", "base", base), ("branch_control", "branch", branch)):
        if name not in one:
            continue
        title = name.replace("_", " ")
        control = text_of(one, name)
        if control == value:
            agreeing.append(f"{title} answered as {twin} did")
        else:
            caption = f"<figcaption><b>{title}</b> <span>differs from {twin}</span></figcaption>"
            boxes += f'<figure>{caption}<div class="value">{alone(control)}</div></figure>'
    line = f'<p class="agree">{"; ".join(agreeing)}.</p>' if agreeing else ""
    return line + (f'<div class="sides controls">{boxes}</div>' if boxes else "")
