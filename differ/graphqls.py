"""GraphQL answers: an error says which one it is, although the status stays 200 and the data around it is JSON like any other."""

from __future__ import annotations

from typing import Any, cast

from differ.classes import format_of

ERRORS = "body:$.errors"
NAMED_MAX = 3
"""Errors that a signature names; one cause rarely has more."""
MESSAGE_MAX = 60


def named(errors: Any) -> str:
    """The signature of ``errors`` that came or went: their messages, since another error is another finding; empty where they have none."""
    told = messages(errors)
    return f"errors:{'|'.join(told)}" if told else ""


def messages(errors: Any) -> list[str]:
    """The messages of a list of errors (GraphQL, section 7.1.2), times, ids and numbers masked; empty where it is none."""
    if not isinstance(errors, list):
        return []
    objects = [cast("dict[str, Any]", error) for error in cast("list[Any]", errors)[:100] if isinstance(error, dict)]
    texts = [error.get("message") for error in objects]
    found = {format_of(text)[:MESSAGE_MAX] for text in texts if isinstance(text, str)}
    return sorted(found)[:NAMED_MAX]
