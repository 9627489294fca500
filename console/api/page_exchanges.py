"""The pages of a run's exchanges: a search among them, and one of them. Pure; foreign text is escaped. They read without any script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

from console import words
from console.api.messages_exchanges import AnswerTold, ExchangeTold
from console.api.page_list import page
from console.escapes import html, shell, short
from console.page_findings import two_values
from console.page_parts import duration
from replayer.wire import SAFE_METHODS

NAME_MAX, SHOWN = 300, 2_000
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
    chosen = asked.get("verdict", "")
    options = "".join(f"<option{' selected' if one == chosen else ''}>{one}</option>" for one in VERDICTS)
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
        f'<a class="row pair" href="/runs/{html(run)}/exchanges/{html(str(line["exchange"]))}">{_chip(str(line["verdict"]))}'
        f"<b>{html(str(line['method']))} {html(short(str(line['target']), NAME_MAX))}</b>"
        f"<span>{named}{left}{why}</span>"
        f'<span class="sides">number {int(line["seq"]):,} · {_statuses(row)}</span></a>'
    )


def _chip(verdict: str) -> str:
    return f'<span class="chip {CHIPS.get(verdict, "none")}">{html(verdict)}</span>'


def _statuses(row: Mapping[str, Any]) -> str:
    statuses = [str(number) if number else "none" for number in row["statuses"]]
    if len(statuses) < 3:
        return "not fired"
    base, branch = statuses[0], statuses[2]
    return (
        base if base == branch else f'{base} <span aria-hidden="true">→</span><span class="sr"> then </span> {branch}'
    )


def one(told: ExchangeTold, service: str, targets: Mapping[str, Any], *, word: str) -> str:
    """One exchange: what differs, and what was answered."""
    line: Any = told.exchange
    run, name = html(told.run), f"{line['method']} {line['target']}"
    differences = "".join(_difference(one) for one in line["differences"])
    nothing = {"same": "Base and branch answered alike.", "skipped": "It was not fired."}.get(
        line["verdict"], "No place is kept."
    )
    reason = f" <span>{html(str(line['reason']))}</span>" if line["reason"] else ""
    main = (
        f'<section class="hero"><div class="say"><h1 class="long">{html(short(name, NAME_MAX))}</h1>'
        f'<p class="versions">{_chip(line["verdict"])}{reason} <span>{html(short(str(line["endpoint"]), NAME_MAX))}</span></p>'
        f'<p class="versions"><a href="/runs/{run}">Run of {html(service)}</a> '
        f'<span>number {line["seq"]:,} of <a href="/runs/{run}/exchanges">its exchanges</a></span> '
        f"<code>{html(str(line['exchange']))}</code></p></div></section>"
        f'<section id="differences"><h2>Differences <span class="count">{len(line["differences"]):,}</span></h2>'
        f"{differences or f'<p class=intro>{nothing}</p>'}</section>"
        f"{_at_targets(told)}{_answers(told.answers)}{_again(line, targets)}"
    )
    return page(f"{name[:80]}", main, word=word)


def _difference(one: Mapping[str, Any]) -> str:
    head = (
        f"<h3>{_chip(str(one['verdict']))} <code>{html(short(str(one['where']), NAME_MAX))}</code> "
        f"{html(words.kind(one))}</h3>"
    )
    return f'<div class="difference">{two_values(one["base"], one["branch"], head)}</div>'


def _at_targets(told: ExchangeTold) -> str:
    if not told.answers:
        return ""
    recorded = f" Recorded was {told.recorded_status}." if told.recorded_status else ""
    rows = "".join(
        f'<tr><th scope="row">{html(one.target.replace("_", " "))}</th><td>{html(one.outcome.replace("_", " "))}</td>'
        f"<td>{one.status or ''}</td><td>{duration_of(one)}</td></tr>"
        for one in told.answers
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("target", "outcome", "status", "took"))
    return (
        f'<section id="targets"><h2>At each target</h2><p class="intro">What became of the request.{recorded}</p>'
        f'<table class="accounts"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></section>'
    )


def duration_of(one: AnswerTold) -> str:
    """How long an answer took."""
    took = one.duration_us
    if took is None:
        return ""
    return f"{took / 1000:,.1f} ms" if took < 1_000_000 else duration(took / 1e6)


def _answers(answers: Sequence[AnswerTold]) -> str:
    """Heads and bodies of base and branch."""
    two = {one.target: one for one in answers if one.target in {"base", "branch"} and one.headers is not None}
    if not two:
        gone = "<p class=intro>The journal has the answers no longer, or there were none.</p>" if answers else ""
        return f'<section id="answers"><h2>Answers</h2>{gone}</section>' if answers else ""
    base, branch = two.get("base"), two.get("branch")
    shown = "".join(
        two_values(base and text(base), branch and text(branch), f"<h3>{title}</h3>")
        for title, text in (("Heads", _head), ("Bodies", _body))
    )
    left = "; ".join(
        f"{name} had {words.count(one.bytes or 0, 'byte')} on the wire" for name, one in two.items() if one.bytes
    )
    said = f"As they are kept: masked, content encoding undone. {left[:1].upper()}{left[1:]}{'.' if left else ''}"
    return f'<section id="answers"><h2>Answers</h2><p class="intro">{html(said)}</p>{shown}</section>'


def _head(one: AnswerTold) -> str:
    return _quoted("\n".join([f"status {one.status}", *(f"{name}: {value}" for name, value in one.headers or ())]))


def _body(one: AnswerTold) -> str:
    return _quoted("(no text)" if one.body is None else one.body)


def _quoted(text: str) -> str:
    """Text as the JSON text by which values are shown."""
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()


def _again(line: Mapping[str, Any], targets: Mapping[str, Any]) -> str:
    """The request as a command, for what changes nothing; credentials and bodies were masked, so it has none."""
    if line["method"] not in SAFE_METHODS:
        return ""
    rows = "".join(
        f'<div class="command"><span>{name}</span><code tabindex="0">{html(short(command(line, target), SHOWN))}</code></div>'
        for name in ("base", "branch")
        if (target := words.section(targets, name)).get("url")
    )
    return (
        f'<section id="again"><h2>Ask again</h2><p class="intro">Without what was masked: headers, cookies, credentials.</p>{rows}</section>'
        if rows
        else ""
    )


def command(line: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """The request as a line of ``sh``."""
    method = ["--head"] if line["method"] == "HEAD" else ["--request", str(line["method"])]
    lane = ["--header", f"baggage: lane={target['lane']}"] if target.get("lane") else []
    url = str(target["url"]).rstrip("/") + str(line["target"])
    return shell(["curl", "--globoff", "--path-as-is", *method, *lane, "--url", url])
