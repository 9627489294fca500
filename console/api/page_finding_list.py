"""The findings of a run, a page at a time, so that each of them can be reached however many there are. Pure; foreign text is escaped.

A row is that of the run's own page (:mod:`console.page_findings`), with the first of its samples and, while there is room, its views.
"""

from __future__ import annotations

from typing import Any, Literal, get_args
from urllib.parse import urlencode

from msgspec import UNSET, UnsetType

from console import words
from console.api.messages import Request, Seq, Severity, Weighed
from console.api.page_list import choices, page
from console.escapes import html
from console.page import NO_SAMPLE
from console.page_findings import OPEN_PLACEHOLDER, head, sample, text_of
from console.page_parts import PARTS
from console.page_triage import Desk
from console.page_views import Room
from console.triage_kept import holds

ROWS = 50
"""Findings of a page: with a sample each at most two megabytes, as a run's own page has."""
VIEWS_BYTES, VIEWED_MAX = 1_000_000, 300_000
"""Bytes of views of a page, half of what its samples may take, and characters that are compared for them: a person waits for this page."""
VERDICTS: tuple[Weighed, ...] = get_args(Weighed)
SAID = {"nothing": "nothing", "intended": "intended", "noise": "noise", "bug": "a bug"}


class ListQuery(Request, frozen=True):
    """Which findings."""

    verdict: Weighed | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    said: Literal["nothing", "intended", "noise", "bug"] | UnsetType = UNSET
    """What stands of them."""
    cursor: Seq = 0
    """How many that fit come before; a result stays as it is, so no place moves between two pages."""


def listed(result: words.Result, query: ListQuery, desk: Desk, *, word: str) -> str:
    """The form, as it was filled in, and a page of what fits."""
    run, service = words.text(result, "run"), words.text(result, "service")
    fit = [(part, one) for part in PARTS for one in words.findings(result, part) if _fits(one, query, desk)]
    asked = {
        name: str(value) for name in ("verdict", "severity", "said") if (value := getattr(query, name)) is not UNSET
    }
    shown = fit[query.cursor : query.cursor + ROWS]
    room = Room(VIEWS_BYTES, VIEWED_MAX)
    rows = "".join(_row(part, one, desk, run, room) for part, one in shown) or '<p class="row">No finding fits.</p>'
    last = query.cursor + len(shown)
    span = f"{query.cursor + 1:,} to {last:,} of {len(fit):,}" if 0 < len(shown) < len(fit) else f"{len(fit):,}"
    ways = ""
    if query.cursor:
        ways += _way(run, asked, max(query.cursor - ROWS, 0), "prev", "Those before")
    if last < len(fit):
        ways += _way(run, asked, last, "next", "Those after")
    of = f'<a href="/runs/{html(run)}">Run of {html(service)}</a>'
    return page(
        f"{service}: findings",
        '<section class="hero"><div class="say"><h1>Findings of a run</h1>'
        f'<p class="versions">{of} <code>{html(run)}</code></p></div></section>{_form(run, asked)}'
        f'<section id="found"><h2>Findings <span class="count">{span}</span></h2><div class="list">{rows}</div>'
        f'<p class="more ways">{ways}</p></section>',
        word=word,
    )


def _fits(finding: words.Finding, query: ListQuery, desk: Desk) -> bool:
    stands = holds(desk.said.get(words.text(finding, "id"))) or "nothing"
    return (
        query.verdict in {UNSET, finding["verdict"]}
        and query.severity in {UNSET, words.severity(finding)}
        and query.said in {UNSET, stands}
    )


def _row(part: str, finding: words.Finding, desk: Desk, run: str, room: Room) -> str:
    first: Any = next(iter(words.samples(finding)), None)
    views = room.views(text_of(first, "base"), text_of(first, "branch")) if first else ""
    shown = sample(first, run) + views if first else NO_SAMPLE
    return head(part, finding, desk).replace(OPEN_PLACEHOLDER, shown, 1)


def _way(run: str, asked: dict[str, str], cursor: int, rel: str, text: str) -> str:
    query = urlencode({**asked, **({"cursor": str(cursor)} if cursor else {})})
    return f'<a href="/runs/{html(run)}/findings{"?" if query else ""}{html(query)}" rel="{rel}">{text}</a> '


def _form(run: str, asked: dict[str, str]) -> str:
    fields = ""
    for name, title, options in (
        ("verdict", "Verdict", {word: word for word in VERDICTS}),
        ("severity", "Severity", {word: word for word in words.SEVERITIES}),
        ("said", "Said to be", SAID),
    ):
        listing = choices(options.items(), asked.get(name, ""))
        fields += f'<label>{title}<select name="{name}"><option value="">any</option>{listing}</select></label>'
    return (
        f'<form class="start search" role="search" method="get" action="/runs/{html(run)}/findings">{fields}'
        "<button>Show</button></form>"
    )
