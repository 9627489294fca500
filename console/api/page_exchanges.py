"""The page of a run's exchanges: a search among them (:mod:`console.api.page_exchange` is one). Pure; foreign text is escaped.

It reads without any script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from console import words
from console.api.page_list import choices, page
from console.escapes import html, short

NAME_MAX = 300
PLACES_NAMED = 3
VERDICTS = ("different", "undecided", "noise", "same", "uncomparable", "skipped")
CHIPS = {"different": "fail", "regression": "fail", "undecided": "undecided", "uncomparable": "inconclusive"}
"""Verdicts whose chip has a colour of its own."""
RANKS = {"regression": 0, "undecided": 1}
"""Which differences of an exchange are named first."""
FIELDS = (
    ("path", "Path holds", "/items/3", 512),
    ("method", "Method", "GET", 32),
    ("endpoint", "Endpoint", "GET /items/{id}", 512),
    ("where", "Differs at", "body:$.price", 512),
    ("base_status", "Status at base", "200", 3),
    ("branch_status", "Status at branch", "500", 3),
    ("header", "Header of an answer", "etag or server:nginx", 500),
    ("finding", "Of the finding", "its id", 128),
)


@dataclass(frozen=True, slots=True)
class At:
    """How far a search came."""

    next: int | None = None
    unread: int = 0
    wrong: str = ""
    """Why it was not made."""


Found = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
"""Each as `show --exchanges` prints it, and its row."""


def search(run: str, service: str, asked: Mapping[str, str], found: Found, at: At, *, word: str) -> str:
    """The form, as it was filled in, and what fits."""
    why = f'<p class="wrong" role="alert">{html(short(at.wrong, 500))}</p>' if at.wrong else ""
    count = f"{len(found):,}{', and more' if at.next is not None else ''}"
    none = "None so far." if at.next is not None else "No exchange fits."
    rows = "".join(_row(run, line, row) for line, row in found) or f'<p class="row">{none}</p>'
    gone = (
        f"The journal has no longer what {words.count(at.unread, 'exchange')} answered, so no header of them is known."
    )
    gone = f'<p class="note">{gone}</p>' if at.unread else ""
    more = ""
    if at.next is not None:
        address = f"/runs/{run}/exchanges?{urlencode({**asked, 'cursor': at.next})}#found"
        more = f'<p class="more"><a href="{html(address)}" rel="next">Go on from number {at.next:,} of the run</a></p>'
    of = f'<a href="/runs/{html(run)}">Run of {html(service)}</a>'
    return page(
        f"{service}: exchanges",
        '<section class="hero"><div class="say"><h1>Exchanges of a run</h1>'
        f'<p class="versions">{of} <code>{html(run)}</code></p></div></section>'
        f"{_form(run, asked)}{why}"
        f'<section id="found"><h2>Found <span class="count">{count}</span></h2><div class="rows">{rows}</div>{gone}{more}</section>',
        word=word,
    )


def _form(run: str, asked: Mapping[str, str]) -> str:
    fields = "".join(
        f'<label>{title}<input name="{name}" value="{html(short(asked.get(name, ""), limit))}" maxlength="{limit}" '
        f'placeholder="{html(example)}"></label>'
        for name, title, example, limit in FIELDS
    )
    options = choices(((one, one) for one in VERDICTS), asked.get("verdict", ""))
    return (
        f'<form class="start search" role="search" method="get" action="/runs/{html(run)}/exchanges">{fields}'
        f'<label>Verdict<select name="verdict"><option value="">any</option>{options}</select></label><button>Search</button></form>'
    )


def _row(run: str, line: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    gravest = sorted(line["differences"], key=lambda one: RANKS.get(one["verdict"], len(RANKS)))
    places = list(dict.fromkeys(str(one["where"]) for one in gravest))
    named = " ".join(f"<code>{html(short(one, NAME_MAX))}</code>" for one in places[:PLACES_NAMED])
    left = f" and {len(places) - PLACES_NAMED:,} more" if len(places) > PLACES_NAMED else ""
    why = html(str(line["reason"] or "")) if not places else ""
    return (
        f'<a class="row pair" href="/runs/{html(run)}/exchanges/{html(str(line["exchange"]))}">{chip(str(line["verdict"]))}'
        f"<b>{html(str(line['method']))} {html(short(str(line['target']), NAME_MAX))}</b>"
        f"<span>{named}{left}{why}</span>"
        f'<span class="sides">number {int(line["seq"]):,} · {_statuses(row)}</span></a>'
    )


def chip(verdict: str) -> str:
    """A verdict as a coloured word."""
    return f'<span class="chip {CHIPS.get(verdict, "none")}">{html(verdict)}</span>'


def _statuses(row: Mapping[str, Any]) -> str:
    statuses = [str(number) if number else "none" for number in row["statuses"]]
    if len(statuses) < 3:
        return "not fired"
    base, branch = statuses[0], statuses[2]
    return (
        base if base == branch else f'{base} <span aria-hidden="true">→</span><span class="sr"> then </span> {branch}'
    )
