"""What kind of body an answer has, and the bodies that are members and lists: JSON, and what is read as if it were. Pure.

Lines of JSON are the list of them, events (SSE) a list of objects with ``id``, ``event`` and ``data``, a form is an object with its members,
and a call with JSON in it (JSONP) is that JSON. So one walk and one way to align two answers (:mod:`replayer.origins`) serve all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson

from echolane.exchange import Headers, Response

TREE, MARKUP, TEXT = "tree", "markup", "text"
"""Kinds of bodies."""
ITEMS_MAX = 5_000
"""Lines, events and members that are read; as many as values of one answer are remembered."""
_LINES = ("ndjson", "jsonl", "json-seq", "json-lines", "jsonlines", "stream+json", "x-json-stream")
"""What is in the names of types that are a line of JSON after the other."""
_CALL = re.compile(rb"\s*(?:/\*\*/\s*)?(?:typeof [\w$.]{1,200} ?===? ?'function' ?&& ?)?[A-Za-z_$][\w$.]{0,200}\s*\(")
"""How a call with JSON in it begins; what stands before it keeps others from reading it as something else."""
_END = re.compile(rb"\)\s*;?\s*\Z")
_BREAK = re.compile(r"\r\n|\n|\r")


def kind_of(answer: Response) -> str:
    """``tree``, ``markup`` or ``text``; empty for what is not read."""
    data, called = answer.body.data, content_type_of(answer.headers)
    start = data[:64].lstrip()[:1]
    if "json" in called or start in {b"{", b"["} or "urlencoded" in called or "event-stream" in called:
        return TREE
    if start == b"<" or "html" in called or "xml" in called:
        return MARKUP
    if _is_script(called) and _CALL.match(data):
        return TREE
    return TEXT if called.startswith("text/") or not called else ""


def content_type_of(headers: Headers) -> str:
    """The label of a body, in lower case."""
    return next((value.decode("latin-1").lower() for name, value in headers if name.lower() == b"content-type"), "")


def tree_of(data: bytes, called: str) -> Any:
    """The body as JSON would have it; None for what cannot be read so."""
    if "event-stream" in called:
        return _events(data)
    if any(name in called for name in _LINES):
        return _lines(data)
    if (found := _json(data)) is not None:
        return found
    if "urlencoded" in called:
        return _form(data)
    if (call := _CALL.match(data)) and (end := _END.search(data, max(call.end(), len(data) - 64))):
        return _json(data[call.end() : end.start()])
    first, line, rest = data.partition(b"\n")
    return _lines(data) if line and rest.strip() and isinstance(_json(first), dict | list) else None


def has_words(tree: Any, called: str) -> bool:
    """Whether words are looked for beside what the tree holds: in events that carry texts, and in a script that is no call with JSON."""
    if "event-stream" in called:
        events = cast("list[dict[str, Any]]", tree)
        return all(isinstance(event.get("data", ""), str) for event in events)
    return _is_script(called) and tree is None


def _is_script(called: str) -> bool:
    return "javascript" in called or "ecmascript" in called


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _lines(data: bytes) -> list[Any] | None:
    """A line that is none keeps its place, so that those behind it keep theirs."""
    rows = [row for line in data.split(b"\n", ITEMS_MAX)[:ITEMS_MAX] if (row := line.strip(b"\x1e \t\r"))]
    found = [_json(row) for row in rows]
    return found if any(one is not None for one in found) else None


def _form(data: bytes) -> dict[str, Any] | None:
    """Names with their values; a name that comes again has a list of them."""
    found: dict[str, Any] = {}
    part = data.decode("utf-8", "replace")  # what is kept of it is written as UTF-8
    members = "&".join(part.strip().split("&", ITEMS_MAX)[:ITEMS_MAX])
    for name, value in parse_qsl(members, errors="replace", max_num_fields=ITEMS_MAX):
        known = found.get(name)
        if known is None:
            found[name] = value
        elif isinstance(known, list):
            cast("list[str]", known).append(value)
        else:
            found[name] = [known, value]
    return found or None


def _events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream, with what of each is JSON read (HTML, 9.2.6)."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    return list(islice(_each_event(text), ITEMS_MAX))


def _each_event(text: str) -> Iterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    data: list[str] = []
    for line in [*_BREAK.split(text, ITEMS_MAX * 4)[: ITEMS_MAX * 4], ""]:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name in {"id", "event"}:
                event[name] = value
        elif event or data:
            if data:
                whole = "\n".join(data)
                read = _json(whole.encode()) if whole[:1] in {"{", "["} else None
                event["data"] = whole if read is None else read
            yield event
            event, data = {}, []
