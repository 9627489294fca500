"""GraphQL answers: an error says which one it is, although the status stays 200 and the data around it is JSON like any other."""

from __future__ import annotations

from typing import Any, cast

import orjson

from differ.classes import format_of
from differ.sink import MISSING, Sink

ERRORS = "body:$.errors"
NAMED_MAX = 3
"""Errors that a signature names; one cause rarely has more."""
MESSAGE_MAX = 60


def name_errors(sink: Sink) -> None:
    """Give ``errors`` that came or went the texts of their messages as a signature, so that another error is another finding."""
    for kind in ("added", "missing"):
        change = sink.found.get((ERRORS, kind))
        if change is None:
            continue
        told = messages(change.new if change.old is MISSING else change.old)
        if told:
            change.signature = "errors:" + "|".join(told)


def messages(errors: Any) -> list[str]:
    """The messages of a list of errors (GraphQL, section 7.1.2), times, ids and numbers masked; empty where it is none."""
    if isinstance(errors, bytes):  # as it stood in the body
        try:
            errors = orjson.loads(errors)
        except orjson.JSONDecodeError:
            return []
    if not isinstance(errors, list):
        return []
    objects = [cast("dict[str, Any]", error) for error in cast("list[Any]", errors)[:100] if isinstance(error, dict)]
    texts = [error.get("message") for error in objects]
    found = {format_of(text)[:MESSAGE_MAX] for text in texts if isinstance(text, str)}
    return sorted(found)[:NAMED_MAX]
