"""The pages of a run's exchanges over HTTP: what was asked is in the address, so that a search can be kept and sent on."""

from __future__ import annotations

import msgspec
from aiohttp import web

from console.api import one_exchange, page_exchange, page_exchanges, reading, searching
from console.api.context import Call
from console.api.messages_exchanges import ExchangesQuery
from console.api.page_parts import html_page, word_of
from console.api.problems import Problem

FIELDS = (*(name for name, *_ in page_exchanges.FIELDS), "verdict")


async def search(call: Call) -> web.StreamResponse:
    """A search among the exchanges of a run; what cannot be looked for is said, and the form stays as it was filled in."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    given = {name: call.request.query.get(name, "").strip() for name in FIELDS}
    asked = {name: text for name, text in given.items() if text}
    cursor = call.request.query.get("cursor", "")
    wrong, page, found = "", searching.Page(), list[tuple[dict[str, object], dict[str, object]]]()
    try:
        query = msgspec.convert({**asked, **({"cursor": cursor} if cursor else {})}, ExchangesQuery, strict=False)
    except msgspec.ValidationError as error:
        wrong = str(error)
    else:
        try:
            finding = await call.site.read(reading.finding_asked, run, query.finding)
        except Problem as problem:
            if problem.code != "not-found":
                raise
            wrong = problem.detail
        else:
            page, found = await call.site.read(searching.found, call.site, run.id, searching.sought(query, finding))
    at = page_exchanges.At(page.next, page.unread, wrong)
    text = page_exchanges.search(run.id, run.service, asked, found, at, word=word_of(call))
    return html_page(text, status=400 if wrong else 200)


async def one(call: Call) -> web.StreamResponse:
    """One exchange."""
    run = await call.site.read(reading.run_of, call.site, call.token, call.path("run"))
    if run.result is None:
        raise Problem("no-result", f"run {run.id} has no result, so its exchanges have no verdicts yet")
    found = await call.site.read(one_exchange.whole, call.site, run.id, call.path("exchange"))
    targets = reading.result_of(run)["targets"]
    word = word_of(call)
    # What is compared for its views takes longer than others may wait for the loop.
    text = await call.site.read(lambda: page_exchange.one(found.told, found.request, run.service, targets, word=word))
    return html_page(text)
