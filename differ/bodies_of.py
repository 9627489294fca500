"""What a body is: JSON, NDJSON, server-sent events, XML, a form, text, bytes or nothing; by its content first, its label second."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec

from differ.jsons import LOSSY, PLAIN, NotJson, parse_with_duplicates, read
from differ.xmls import xml_tree
from echolane.exchange import Headers

EMPTY, JSON, NDJSON, SSE, XML, FORM, TEXT, BYTES = "empty", "json", "ndjson", "sse", "xml", "form", "text", "bytes"
FIELDS_MAX = 10_000
"""Fields of a form that are told apart; more are compared as text."""


_BLANKS = b" \t\r\n\xef\xbb\xbf"
OPENING = frozenset((b"{", b"["))


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """A body by its form, and its value there."""

    form: str
    value: Any
    holds: int = PLAIN
    """Of JSON: PLAIN, or MIXED where ``==`` may take 1, 1.0 and true for one another, or LOSSY where its numbers are exact ones."""


def media_of(headers: Headers) -> str:
    """The media type, lower case, without parameters."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.split(b";", 1)[0].strip().lower().decode("latin-1")
    return ""


def parsed(data: bytes, headers: Headers) -> Parsed:
    """The form and value of a body. Never raises."""
    if data[:1] in OPENING:  # almost always JSON
        try:
            value, holds = read(data)
            return Parsed(JSON, value, holds)
        except NotJson:
            pass
    begin = data.lstrip(_BLANKS)[:1]
    if not begin:
        return Parsed(EMPTY, None)
    media = media_of(headers)
    if (begin in OPENING or media.endswith("json")) and (found := _json(data)) is not None:
        return found
    if media == "text/event-stream":
        return Parsed(SSE, _events(data.decode("utf-8", "replace")))
    if begin == b"<" and media.endswith("xml") and "html" not in media:
        root = xml_tree(data)
        if root is not None:
            return Parsed(XML, root)
    if media == "application/x-www-form-urlencoded":
        found = _form(data)
        if found is not None:
            return found
    return _text(data, media)


def _json(data: bytes) -> Parsed | None:
    try:
        return Parsed(JSON, *read(data))
    except NotJson:
        lines = [line for line in data.split(b"\n") if line.strip()]
    if len(lines) < 2:
        return None
    try:
        read_lines = [read(line) for line in lines]
    except NotJson:
        return None
    found = Parsed(NDJSON, [value for value, _ in read_lines], max(holds for _, holds in read_lines))
    return exactly(found, data) if found.holds == LOSSY else found


def exactly(found: Parsed, data: bytes) -> Parsed:
    """The same JSON with exact numbers throughout."""
    if found.form == JSON:
        if found.holds == LOSSY:
            return found
        return Parsed(JSON, parse_with_duplicates(data), LOSSY)
    lines = [parse_with_duplicates(line) for line in data.split(b"\n") if line.strip()]
    return Parsed(NDJSON, lines, LOSSY)


def _events(text: str) -> list[dict[str, str]]:
    """Server-sent events: an object per event, its repeated fields joined by newlines."""
    events: list[dict[str, str]] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        event: dict[str, str] = {}
        for line in block.split("\n"):
            name, colon, value = line.partition(":")
            if colon and name:
                event[name] = f"{event[name]}\n{value.removeprefix(' ')}" if name in event else value.removeprefix(" ")
        if event:
            events.append(event)
    return events


def _form(data: bytes) -> Parsed | None:
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except (ValueError, UnicodeDecodeError):
        return None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Parsed(FORM, {name: values if len(values) > 1 else values[0] for name, values in fields.items()})


def _text(data: bytes, media: str) -> Parsed:
    try:
        return Parsed(TEXT, data.decode("utf-8"))
    except UnicodeDecodeError:
        return Parsed(TEXT, data.decode("latin-1")) if media.startswith("text/") else Parsed(BYTES, data)
