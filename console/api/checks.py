"""A commit's check run, as GitHub's REST API takes it: how far its run is, the verdict, and a note for each regression. Pure.

A finding is at a place of an answer and in no file of the repository, so a note is at the path that SARIF gives it too
(:mod:`console.sarif`): the address that answers. What is inconclusive asks for a person and is not neutral, for that would let a
pull request through without a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console import words
from console.api.forges import FINAL, Word
from console.escapes import sarif as escaped, short
from console.sarif import message_of, path_of
from console.words_place import place

AT_ONCE = 50
"""Notes of one request; each request adds to those that are there."""
NOTES_MAX = 500
"""Ten requests: the gravest come first, and the page has all."""
TEXT_MAX = 65_535
"""Characters of a summary or a text."""
TITLE_MAX = 255
NOWHERE = ".github"
"""The path of what has none: GitHub itself notes there what is in no file."""
CONCLUSIONS: Mapping[Word, str] = {
    "pass": "success",
    "fail": "failure",
    "inconclusive": "action_required",
    "error": "action_required",
    "cancelled": "cancelled",
}
LEVELS = {"breaking": "failure", "visible": "warning", "cosmetic": "notice"}


def notes_of(result: words.Result) -> list[dict[str, Any]]:
    """A note for each regression, the gravest first, in an order that stays."""
    return [_note(finding) for finding in words.findings(result, "groups")[:NOTES_MAX]]


def _note(finding: words.Finding) -> dict[str, Any]:
    said = short(f"{words.severity(finding)}: {place(finding)}: {words.kind(finding)}", TITLE_MAX)
    return {
        "path": path_of(finding) or NOWHERE,
        "start_line": 1,
        "end_line": 1,
        "annotation_level": LEVELS[words.severity(finding)],
        "title": short(escaped(said), TITLE_MAX),
        "message": message_of(finding),
    }


def check_of(word: Word, told: Mapping[str, str], notes: list[dict[str, Any]], *, whole: bool = True) -> dict[str, Any]:
    """A check run with some of its notes, completed by the request that makes it ``whole``.

    ``told`` has name, run, url, title, summary and text.
    """
    output: dict[str, Any] = {"title": told["title"], "summary": told["summary"][:TEXT_MAX]}
    if told["text"]:
        output["text"] = told["text"][:TEXT_MAX]
    if notes:
        output["annotations"] = notes
    body: dict[str, Any] = {
        "name": told["name"],
        "external_id": told["run"],
        "details_url": told["url"],
        "status": "queued" if word == "waiting" else "in_progress",
        "output": output,
    }
    if word in FINAL and whole:
        body |= {"status": "completed", "conclusion": CONCLUSIONS[word]}
    return body
