"""A run as one self-contained HTML page: verdict, findings with samples, noise, account. Pure.

The page needs no network and admits none (:mod:`console.page_style` has the policy); every recorded value in it is escaped
text (:mod:`console.escapes`); it has at most 5 MB, and says what was left out to stay below. Its fixed parts are in
:mod:`console.page_parts`, findings in :mod:`console.page_findings`, values in :mod:`console.page_values`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console import words
from console.escapes import html
from console.page_findings import OPEN_PLACEHOLDER, head, sample, text_of
from console.page_parts import PARTS, account, commands, hero, name, outcome_bar
from console.page_style import SCRIPTS, asset, favicon, policy, served_policy
from console.page_timing import has_times, times
from console.page_triage import Desk
from console.page_views import Room
from echolane import __version__

PAGE_BYTES = 4_900_000
"""Of the 5 MB that mail and CI artefact viewers take without a fuss; the rest is for what is joined last."""
HEADS_BYTES = {"groups": 1_600_000, "undecided": 400_000, "noise": 400_000, "expected": 200_000}
"""Rows of findings come before samples: all that changed is more than all examples of some of it."""
MANY = 20
"""Findings from which on even a narrow screen has room for a filter."""
MISSES_MAX = 40
"""Samples in a row that no longer fit before we stop trying: laying out what is then thrown away takes time."""
VIEWED_MAX = 1_000_000
"""Characters of values that are compared for the views of one page: thirty pairs of the longest, some seconds at worst."""
INTROS = {
    "groups": "What the branch changed: it differs from base more than either version differs from itself.",
    "undecided": "These differ more often than the controls do, but not often enough to be sure.",
    "noise": "Each of these differs between two copies of one version too, or follows from something else: it is not about the branch.",
    "expected": "Differences that a rule of yours explains.",
}
EMPTY = {
    "groups": "No regression was found.",
    "without": "None was found so far; without a verdict that says little.",
    "undecided": "Nothing is undecided.",
    "noise": "No version differed from itself.",
    "expected": "No rule explained a difference.",
}
SAYING = ", <kbd>i</kbd> <kbd>x</kbd> <kbd>b</kbd> say that it is intended, noise, a bug"
NO_SAMPLE = '<p class="note">This page has no sample of it.</p>'
API = '<a href="/api/v1/docs">HTTP API</a>'
"""In the foot of each page of a server."""
LOGO = (
    '<svg class="logo" viewBox="0 0 28 20" aria-hidden="true"><path d="M1 6h11m4 0h3m4 0h4"/><path d="M1 14h5m4 0h3m4 0h10"/>'
    '<circle cx="14" cy="6" r="2.2"/><circle cx="8" cy="14" r="2.2"/></svg>'
)


@dataclass(slots=True)
class Part:
    """One list of findings on its way into the page."""

    key: str
    findings: list[words.Finding]
    heads: list[str] = field(default_factory=list[str])
    samples: list[list[str]] = field(default_factory=list[list[str]])
    samples_left_out: int = 0


def render_page(
    result: words.Result, *, home: str = "", desk: Desk | None = None, links: Sequence[tuple[str, str]] = ()
) -> str:
    """The whole page; ``home`` is where a server has the list that it belongs to, ``desk`` what is said of its findings since.

    ``links``: what else a server offers, by address and words.
    """
    parts = [Part(key, words.findings(result, key)) for key in PARTS]
    for part in parts:
        _fill_heads(part, desk)
    forms = desk is not None and desk.may
    before, after = _before(result, parts, home, links, forms=forms), _after(result, home, forms=forms)
    heads = sum(size(text) + len(NO_SAMPLE) for part in parts for text in part.heads)
    room = PAGE_BYTES - size(before) - size(after) - heads
    run = words.text(result, "run") if home else ""
    _fill_samples(parts, room, run)
    return "".join([before, *(_section(part, words.verdict(result), run) for part in parts), after])


def size(text: str) -> int:
    """Bytes in the file."""
    return len(text.encode("utf-8"))


def _fill_heads(part: Part, desk: Desk | None) -> None:
    room = HEADS_BYTES[part.key]
    for finding in part.findings:
        text = head(part.key, finding, desk)
        room -= size(text)
        if room < 0:
            break
        part.heads.append(text)
        part.samples.append([])


def _fill_samples(parts: list[Part], room: int, run: str) -> None:
    """The first sample of every finding before the second of any; ``run`` where a server has their exchanges."""
    misses = 0
    for rank in range(words.SAMPLES_MAX):
        for part in parts:
            for index in range(len(part.heads)):
                samples = words.samples(part.findings[index])
                if rank >= len(samples):
                    continue
                text = sample(samples[rank], run) if misses < MISSES_MAX and _floor(samples[rank]) < room else ""
                if text and size(text) <= room:
                    room -= size(text)
                    part.samples[index].append(text)
                    misses = 0
                else:
                    misses += 1
                    part.samples_left_out += 1
    _fill_views(parts, room)


def _fill_views(parts: list[Part], room: int) -> None:
    """What is left of the room goes to other views of the samples."""
    left = Room(room, VIEWED_MAX)
    for rank in range(words.SAMPLES_MAX):
        for part in parts:
            for index, shown in enumerate(part.samples):
                if rank < len(shown):
                    one = words.samples(part.findings[index])[rank]
                    shown[rank] += left.views(text_of(one, "base"), text_of(one, "branch"))


def _floor(one: Mapping[str, Any]) -> int:
    """Bytes that a sample takes at least."""
    return sum(min(len(str(one.get(key) or "")), words.EXCERPT_BYTES // 4) for key in ("base", "branch"))


def _section(part: Part, verdict: str, run: str) -> str:
    number = len(part.findings)
    title = f'<h2>{PARTS[part.key]} <span class="count">{number:,}</span></h2>'
    if not number:
        empty = "without" if part.key == "groups" and verdict == "inconclusive" else part.key
        return f'<section id="{part.key}" class="none-here">{title}<p class="intro">{EMPTY[empty]}</p></section>\n'
    rows = "".join(
        text.replace(OPEN_PLACEHOLDER, "".join(samples) or NO_SAMPLE, 1)
        for text, samples in zip(part.heads, part.samples, strict=True)
    )
    tools = _tools(part) if part.key == "groups" else ""
    return (
        f'<section id="{part.key}"><div class="title">{title}{tools}</div><p class="intro">{INTROS[part.key]}</p>'
        f'<div class="list">{rows}</div>{_left_out(part, run)}</section>\n'
    )


def _tools(part: Part) -> str:
    """Filters; the script shows them, since without it they could do nothing."""
    kinds = "".join(
        f'<button type="button" class="chip {name}" data-show="{name}" aria-pressed="true">{number:,} {name}</button>'
        for name, number in words.by_severity(part.findings[: len(part.heads)]).items()
    )
    size = " many" if len(part.heads) > MANY else ""
    return (
        f'<div class="tools{size}" hidden>{kinds}<input type="search" placeholder="Filter" aria-label="Filter findings">'
        '<button type="button" id="all" aria-expanded="false">Open all</button></div>'
    )


def _left_out(part: Part, run: str) -> str:
    """What found no room, and where it is: a server has a list of all findings."""
    said: list[str] = []
    if missing := len(part.findings) - len(part.heads):
        said.append(f"{words.count(missing, 'more finding')}")
    if part.samples_left_out:
        said.append(f"{words.count(part.samples_left_out, 'sample')} of the findings above")
    if not said:
        return ""
    what = " and ".join(said)
    where = "<code>echolane show RUN --json</code> has all."
    if run:
        where = f'<a href="/runs/{html(run)}/findings">The list of its findings</a> has each; {where}'
    return f'<p class="left-out">To stay small, this page leaves out {what}. {where}</p>'


def _before(
    result: words.Result, parts: list[Part], home: str, offers: Sequence[tuple[str, str]], *, forms: bool
) -> str:
    verdict = words.verdict(result)
    brand = (
        f'<a class="brand" href="{home}">{LOGO}Echolane</a>' if home else f'<span class="brand">{LOGO}Echolane</span>'
    )
    links = "".join(
        f'<a href="#{part.key}">{PARTS[part.key]} <b>{len(part.findings):,}</b></a>' for part in parts if part.findings
    )
    timed = '<a href="#times">Times</a>' if has_times(result) else ""
    offered = "".join(f'<a href="{html(address)}">{html(text)}</a>' for address, text in offers)
    more = f'<p class="offers">{offered}</p>' if offered else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{served_policy() if forms else policy()}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<meta name="referrer" content="no-referrer">'
        f'<title>{verdict}: {name(result.get("service"))} · Echolane</title><link rel="icon" href="{favicon(verdict)}">'
        f"<style>{asset('page.css')}</style></head>\n"
        f'<body class="{verdict}"><a class="skip" href="#groups">Skip to the findings</a>'
        f'<header class="top">{brand}<span class="service">{name(result.get("service"), 80)}</span>'
        f'<nav aria-label="Parts of this page">{links}<a href="#account">Account</a>{timed}</nav></header>\n'
        f"<main>{hero(result)}{more}{outcome_bar(result)}\n"
    )


def _after(result: words.Result, home: str, *, forms: bool) -> str:
    api = f"{API}. " if home else ""
    return (
        f"{account(result)}\n{times(result)}\n{commands(result)}</main>\n"
        f"<footer>Written by Echolane {__version__}. Values are masked as they were recorded. {api}"
        '<span class="keys" hidden>Keys: <kbd>j</kbd> <kbd>k</kbd> next and previous finding, '
        "<kbd>n</kbd> <kbd>p</kbd> those not decided, "
        f"<kbd>Enter</kbd> opens, <kbd>/</kbd> filters{SAYING if forms else ''}.</span></footer>"
        f"{''.join(f'<script>{asset(file)}</script>' for file in SCRIPTS)}</body></html>\n"
    )
