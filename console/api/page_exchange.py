"""The page of one exchange of a run: what was asked, what was answered when it was recorded and now, and a command that asks again.

Pure; foreign text is escaped. It reads without any script; ``copy.js`` copies the command, ``keys.js`` goes to its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from console import words
from console.api import curl
from console.api.messages_exchanges import AnswerTold, ExchangeTold, Lack, RecordedTold, RequestTold
from console.api.page_exchanges import NAME_MAX, chip
from console.api.page_list import page
from console.escapes import html, short
from console.page_findings import two_values
from console.page_parts import duration
from console.page_values import alone
from console.page_views import Room, of_texts
from differ.difference import EXCERPT_BYTES
from echolane.exchange import Request
from replayer.wire import SAFE_METHODS

LACKS: dict[Lack, str] = {
    "gone": "The journal has it no longer.",
    "erased": "It was erased, because it belonged to somebody who had that done.",
    "given-up": "It was not found in as much of the recording as is looked at for one page.",
    "no-answer": "No answer was recorded.",
}
"""Why something of the recording is not there, in words."""
VIEWS_BYTES, VIEWED_MAX = 1_000_000, 200_000
"""Bytes of views of a page, and characters of values that are compared for them: six pairs of the longest, two seconds at worst."""


def one(told: ExchangeTold, request: Request | None, service: str, targets: Mapping[str, Any], *, word: str) -> str:
    """One exchange; ``request``: with every byte that is kept, for the command."""
    line: Any = told.exchange
    run, name = html(told.run), f"{line['method']} {line['target']}"
    room = Room(VIEWS_BYTES, VIEWED_MAX)
    differences = "".join(_difference(one, room) for one in line["differences"])
    nothing = {"same": "Base and branch answered alike.", "skipped": "It was not fired."}.get(
        line["verdict"], "No place is kept."
    )
    reason = f" <span>{html(str(line['reason']))}</span>" if line["reason"] else ""
    main = (
        f'<section class="hero"><div class="say"><h1 class="long">{html(short(name, NAME_MAX))}</h1>'
        f'<p class="versions">{chip(line["verdict"])}{reason} <span>{html(short(str(line["endpoint"]), NAME_MAX))}</span></p>'
        f'<p class="versions"><a href="/runs/{run}">Run of {html(service)}</a> '
        f'<span>number {line["seq"]:,} of <a href="/runs/{run}/exchanges">its exchanges</a></span> '
        f"<code>{html(str(line['exchange']))}</code></p>{_beside(told)}</div></section>"
        f'<section id="differences"><h2>Differences <span class="count">{len(line["differences"]):,}</span></h2>'
        f"{differences or f'<p class=intro>{nothing}</p>'}</section>"
        f"{_request(told)}{_recorded(told)}{_at_targets(told)}{_answers(told.answers)}{_again(told, request, targets)}"
    )
    return page(f"{name[:80]}", main, word=word, copies=True)


def _beside(told: ExchangeTold) -> str:
    """Links to the exchanges before and after it in the run."""
    links = [
        f'<a href="/runs/{html(told.run)}/exchanges/{html(there)}" rel="{rel}">{said}</a>'
        for there, rel, said in ((told.before, "prev", "Exchange before"), (told.after, "next", "Next exchange"))
        if there
    ]
    return f'<p class="versions">{" ".join(links)}</p>' if links else ""


def _difference(one: Mapping[str, Any], room: Room) -> str:
    head = (
        f"<h3>{chip(str(one['verdict']))} <code>{html(short(str(one['where']), NAME_MAX))}</code> "
        f"{html(words.kind(one))}</h3>"
    )
    views = room.views(one["base"], one["branch"])
    return f'<div class="difference">{two_values(one["base"], one["branch"], head)}{views}</div>'


def _request(told: ExchangeTold) -> str:
    """What was asked: as it was recorded, and what was made of it for base and branch."""
    asked = told.request
    if asked is None:
        return _part("request", "Request", LACKS[told.request_lack or "gone"])
    said = ["As it was recorded, content encoding undone.", _masks(asked)]
    rewritten = "".join(
        f'<p class="exchange">rewritten for {one.target}: {_notes(one.rewrites)}</p>'
        for one in told.answers
        if one.target in {"base", "branch"} and one.rewrites
    )
    if asked.truncated:
        said.append("Only the beginning of its body was kept.")
    first = f"{asked.method} {asked.target}"
    return _part("request", "Request", " ".join(filter(None, said)), rewritten + _message("request", first, asked))


def _notes(rewrites: Sequence[str]) -> str:
    return " · ".join(f"<code>{html(short(note, NAME_MAX))}</code>" for note in rewrites)


def _masks(asked: RequestTold) -> str:
    if not asked.masked:
        return "Some of it was masked." if asked.sealed else ""
    where = ", ".join(place.replace(":", " ", 1) for place in asked.masked)
    kept = (
        "a run sends the originals, which are sealed"
        if asked.sealed
        else "no originals are kept, so a run sends the masks"
    )
    return f"Masked when it was recorded: {short(where, NAME_MAX)}; {kept}."


def _recorded(told: ExchangeTold) -> str:
    """What the service answered when it was recorded."""
    answer = told.recorded
    if answer is None:
        known = f" Its status was {told.recorded_status}." if told.recorded_status else ""
        return _part("recorded", "Recorded answer", LACKS[told.recorded_lack or "gone"] + known)
    said = f"What the service answered then, in {_took(answer.duration_us)}: masked, content encoding undone."
    return _part("recorded", "Recorded answer", said, _message("recorded answer", f"status {answer.status}", answer))


def _part(name: str, title: str, said: str, shown: str = "") -> str:
    return f'<section id="{name}"><h2>{title}</h2><p class="intro">{html(said)}</p>{shown}</section>'


def _message(what: str, first: str, one: RequestTold | RecordedTold) -> str:
    """Head and body of a message, side by side."""
    size = words.count(one.bytes, "byte") + " on the wire" if one.bytes else ""
    body = '<span class="none">none</span>' if not one.bytes and not one.body else alone(_body(one))
    sides = "".join(
        f"<figure><figcaption><b>{title}</b> <span>{beside}</span></figcaption>"
        f'<div class="value" tabindex="0" role="region" aria-label="{title} of the {what}">{value}</div></figure>'
        for title, beside, value in (("head", "", alone(_head(first, one.headers))), ("body", size, body))
    )
    return f'<div class="sample"><div class="sides">{sides}</div></div>'


def _at_targets(told: ExchangeTold) -> str:
    if not told.answers:
        return ""
    recorded = f" Recorded was {told.recorded_status}." if told.recorded_status else ""
    rows = "".join(
        f'<tr><th scope="row">{html(one.target.replace("_", " "))}</th><td>{html(one.outcome.replace("_", " "))}</td>'
        f"<td>{one.status or ''}</td><td>{_took(one.duration_us)}</td></tr>"
        for one in told.answers
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("target", "outcome", "status", "took"))
    return (
        f'<section id="targets"><h2>At each target</h2><p class="intro">What became of the request.{recorded}</p>'
        f'<table class="accounts"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></section>'
    )


def _took(took: int | None) -> str:
    """How long an answer took, in microseconds."""
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
        for title, text in (("Heads", _answer_head), ("Bodies", _body))
    )
    shown += of_texts(base and base.body, branch and branch.body, EXCERPT_BYTES)
    left = "; ".join(
        f"{name} had {words.count(one.bytes or 0, 'byte')} on the wire" for name, one in two.items() if one.bytes
    )
    said = f"As they are kept: masked, content encoding undone. {left[:1].upper()}{left[1:]}{'.' if left else ''}"
    return f'<section id="answers"><h2>Answers</h2><p class="intro">{html(said)}</p>{shown}</section>'


def _answer_head(one: AnswerTold) -> str:
    return _head(f"status {one.status}", one.headers or ())


def _head(first: str, headers: Sequence[tuple[str, str]]) -> str:
    return _quoted("\n".join([first, *(f"{name}: {value}" for name, value in headers)]))


def _body(one: AnswerTold | RequestTold | RecordedTold) -> str:
    return _quoted("(no text)" if one.body is None else one.body)


def _quoted(text: str) -> str:
    """Text as the JSON text by which values are shown."""
    return orjson.dumps(text.encode("utf-8", "replace").decode()).decode()


def _again(told: ExchangeTold, request: Request | None, targets: Mapping[str, Any]) -> str:
    """The request as a command, at base and at branch as they were fired at."""
    asked = told.request
    if asked is None or request is None:
        return ""
    if why := curl.refusal(request):
        return _part("again", "Ask again", why)
    rows = "".join(
        f'<div class="command"><span>{name}</span><code tabindex="0">{html(curl.command(request, target, asked.masked), chr(10))}</code>'
        '<button type="button" class="copy" hidden>Copy</button></div>'
        for name in ("base", "branch")
        if (target := words.section(targets, name)).get("url")
    )
    said = "The request as it was recorded, at the address that was fired at."
    said += "" if request.method in SAFE_METHODS else " It is a write: it changes what the target keeps."
    said += " What is masked stands as its mask: put your own in its place." if asked.masked or asked.sealed else ""
    return _part("again", "Ask again", said, rows) if rows else ""
