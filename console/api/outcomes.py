"""What a run that is over came to, as a word and a line for a forge, and as the text of a comment."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from console import words
from console.api.context import Site
from console.api.forges import Word
from console.api.notices import Notice
from console.api.reading import ONE
from console.escapes import markdown as escaped, short, visible
from console.markdown import REASON_MAX, markdown, marker
from echolane.errors import EXIT_INTERRUPTED
from echolane.store import Row

TEXT_MAX = 140
"""What GitHub takes as a status' description; the others take more."""
COMMIT_SHOWN = 12


class Outcome(NamedTuple):
    """How a push is."""

    word: Word
    text: str
    begun: bool = True
    """Whether there is a page of its run."""


def outcome_of(site: Site, run: str) -> Outcome:
    """What a run that is over came to. Waits for the store."""
    row = _row(site, run)
    result = _result(row)
    if result is not None:
        reason, told = words.text(result, "reason_code"), words.headline(result)
        verdict: Any = words.verdict(result)
        return Outcome("cancelled" if reason == "interrupted" else verdict, one_line(told))
    asked = site.launcher.find(run)
    if asked is not None and (asked.code in {EXIT_INTERRUPTED, -2} or (row and row["state"] == "interrupted")):
        return Outcome("cancelled", one_line(asked.said or "cancelled"))
    return Outcome("error", one_line((asked.said if asked else "") or "the run came to no result"))


def comment_text(site: Site, notice: Notice, url: str, limit: int) -> str:
    """The comment: what ``echolane show RUN --markdown FILE`` writes, and where its page is. Waits for the store."""
    row = _row(site, notice.run)
    result = _result(row)
    foot = f"\n[The run's page]({url}) · commit {notice.commit[:COMMIT_SHOWN]}\n"
    if result is None:
        service = notice.hook.partition("/")[0]
        about = escaped(short(notice.text, REASON_MAX))
        return f"{marker(service)}\n### ⚠️ Echolane: no result: {about}\n{foot}"[:limit]
    text = markdown(result)
    while len(text) + len(foot) > limit:
        text = text[: text.rstrip("\n").rfind("\n") + 1]
    return text + foot


def result_of(site: Site, run: str) -> dict[str, Any] | None:
    """A run's result; None where it has none. Waits for the store."""
    return _result(_row(site, run))


def one_line(text: str) -> str:
    """Text as a status' description."""
    return short(visible(" ".join(text.split())), TEXT_MAX)


def _result(row: Row | None) -> dict[str, Any] | None:
    return orjson.loads(row["result"]) if row is not None and row["result"] else None


def _row(site: Site, run: str) -> Row | None:
    rows = site.store.query(ONE, {"runs": [run]})
    return rows[0] if rows else None
