"""The page of one finding's triage: what was said, what else a word would hide, and the form; what a person says comes in here, too."""

from __future__ import annotations

from typing import cast

import msgspec

from console.api import page_finding_list, page_list, reading, triaging
from console.api.context import Call
from console.api.messages_triage import LAST, Elsewhere, Preview, PreviewQuery, TriageRequest
from console.api.problems import Problem
from console.escapes import html, short
from console.page_findings import exchanges_link
from console.page_triage import LINE_MAX, Desk, form, said_line, sayable
from console.triage_kept import standing, told_said
from console.words import count, endpoint, kind
from console.words_place import place

SECTIONS = {"regression": "groups"}
"""By verdict, where it is not called so."""
FIELDS = ("decision", "note", "owner", "expires", "branch")


async def desk_of(call: Call, run: str, service: str, word: str) -> Desk:
    """What stands of the findings of a run, and whether this reader may say more."""
    branch = await call.site.read(triaging.branch_of_run, call.site, run)
    found = await call.site.read(standing, call.site.store, service, branch)
    said = {name: told_said(one) for name, one in found.items()}
    return Desk(said, run, word, call.token.name, branch, call.token.may("editor"))


async def shown(call: Call, word: str, wrong: str = "") -> str:
    """The page."""
    at = await call.site.read(triaging.seen, call.site, call.token, call.path("run"), call.path("finding"))
    desk = await desk_of(call, at.run.id, at.run.service, word)
    told = None
    if sayable(at.finding):
        told = await call.site.read(triaging.preview, call.site, call.token, at, PreviewQuery())
    finding = at.finding
    said = said_line(finding, desk)
    why = f'<p class="wrong" role="alert">{html(short(wrong, LINE_MAX))}</p>' if wrong else ""
    say = form(desk, finding, ahead=False) if desk.may and sayable(finding) else ""
    main = (
        f'<section class="hero"><div class="say"><h1 class="long">{html(short(endpoint(finding), 300))}</h1>'
        f'<p class="versions"><span><code>{html(short(place(finding), 300))}</code> {html(kind(finding))}</span></p>'
        f'<p class="versions"><a href="/runs/{html(at.run.id)}">Run of {html(at.run.service)}</a> <code>{html(at.run.id)}</code></p>'
        f"{f'<p>{said}</p>' if said else ''}{why}</div></section>{exchanges_link(finding, at.run.id)}{say}{_preview(told)}"
    )
    return page_list.page(f"Triage of {place(finding)}", main, word=word)


def _preview(told: Preview | None) -> str:
    """What it would hide, in words."""
    if told is None:
        text = "A rule in git explains this finding; change that rule."
        return f'<section id="preview"><h2>What it would hide</h2><p class="intro">{text}</p></section>'
    if told.refused:
        text = f"It would be refused ({told.refused}): {told.why}"
        return f'<section id="preview"><h2>What it would hide</h2><p class="wrong">{html(text)}</p></section>'
    looked = f"the last {count(len(told.runs), 'run')}" if len(told.runs) != 1 else "the only run"
    grave = f"{told.regressions:,} of them {'a regression' if told.regressions == 1 else 'regressions'}"
    text = f"In {looked} of the service (at most {LAST} are looked at) it would hide {count(told.differences, 'difference')}"
    text += f" in {count(told.findings, 'finding')}, {grave}, by {count(told.rules, 'rule')}: in every run, said to be noise; in those of"
    text += " its branch alone, said to be intended. A bug hides nothing."
    text += f" Of {told.unsure:,} more the store keeps too little to tell." if told.unsure else ""
    others = (
        f'<div class="rows">{"".join(map(_other, told.others))}</div>' if told.others else '<p class="intro">None.</p>'
    )
    return (
        f'<section id="preview"><h2>What it would hide</h2><p class="intro">{html(text)}</p>'
        f'<h3>Other findings <span class="count">{len(told.others)}</span></h3>{others}</section>'
    )


def _other(one: Elsewhere) -> str:
    word = "fail" if one.regression else "none"
    return (
        f'<a class="row" href="/runs/{html(one.run)}"><span class="chip {word}">{"regression" if one.regression else "no regression"}</span>'
        f"<b>{html(short(one.endpoint or one.finding, 200))}</b><span><code>{html(short(one.where, 200))}</code> {html(one.kind)}</span>"
        f"<span>run <code>{html(one.run)}</code></span></a>"
    )


async def listed(call: Call, word: str) -> str:
    """A page of the findings of a run."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    result = await call.site.read(reading.result_of, run)
    try:
        given = {name: text for name, text in call.request.query.items() if text}
        query = msgspec.convert(given, page_finding_list.ListQuery, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", str(error)) from error
    desk = await desk_of(call, run.id, run.service, word)
    return await call.site.read(lambda: page_finding_list.listed(result, query, desk, word=word))


async def said(call: Call) -> str:
    """Say what the form says, and where the run's page has the finding; Problem where that is refused."""
    fields = cast("dict[str, str]", call.body)
    try:
        wanted = msgspec.convert({name: fields[name] for name in FIELDS if fields.get(name)}, TriageRequest)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", str(error)) from error
    at = await call.site.read(triaging.seen, call.site, call.token, call.path("run"), call.path("finding"))
    call.service, call.what = at.run.service, f"{wanted.decision}: finding {at.finding['id']} of run {at.run.id}"
    await call.site.read(triaging.decide, call.site, call.token, at, wanted, "", "")
    return f"{SECTIONS.get(at.finding['verdict'], at.finding['verdict'])}-{at.finding['id']}"
