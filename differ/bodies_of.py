"""What a body is, by its content first, its label second.

JSON, NDJSON, server-sent events, XML, HTML, CSV, a form, multipart, protobuf, an image, text, bytes or nothing.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from differ.csvs import table_of
from differ.htmls import ELEMENTS, page_of
from differ.images import image_of
from differ.jsons import LOSSY, MIXED, PLAIN, NotJson, parse_with_duplicates, read
from differ.magics import described, text_of
from differ.multiparts import boundary_of, parts_of
from differ.protobufs import is_grpc, is_protobuf, messages_of
from differ.xmls import Node, xml_tree
from echolane.exchange import Headers

EMPTY, JSON, NDJSON, SSE, XML, FORM, TEXT, BYTES = "empty", "json", "ndjson", "sse", "xml", "form", "text", "bytes"
HTML, CSV, MULTIPART, PROTOBUF, IMAGE = "html", "csv", "multipart", "protobuf", "image"
HTMLS = frozenset(("text/html", "application/xhtml+xml"))
CSVS = frozenset(("text/csv", "application/csv", "text/tab-separated-values"))
EVENT_FIELDS = frozenset(("event", "data", "id", "retry"))
"""Those that a client reads (HTML, 9.2.6)."""
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
    why: str = ""
    """Of text and bytes: what the label says they are, and they could not be read as."""
    media: str = ""
    """Of text and bytes: their label."""


def content_type(headers: Headers) -> str:
    """The media type with its parameters, as it was sent; empty where none was."""
    return next((value.decode("latin-1") for name, value in headers if name.lower() == b"content-type"), "")


def media_of(headers: Headers) -> str:
    """The media type, lower case, without parameters."""
    return content_type(headers).split(";", 1)[0].strip().lower()


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
    if begin == b"<" and (root := _xml(data, media)) is not None:
        return Parsed(XML, root)
    return _labelled(data, media, headers) or _text(data, media)


def _labelled(data: bytes, media: str, headers: Headers) -> Parsed | None:
    """What the label says, or the beginning where there is no label; None where the content is something else."""
    if media == "text/event-stream":
        events = _events(text_of(data))
        return None if events is None else Parsed(SSE, events, MIXED)
    if media == "application/x-www-form-urlencoded":
        return _form(data)
    if media.startswith("multipart/") and (boundary := boundary_of(headers)) is not None:
        parts = parts_of(data, boundary, _part)
        return None if parts is None else Parsed(MULTIPART, parts, MIXED)
    if is_grpc(media) or is_protobuf(media):
        messages = messages_of(data, content_type(headers))
        return None if messages is None else Parsed(PROTOBUF, messages)
    image = image_of(data)
    if image is not None:
        return Parsed(IMAGE, image)
    if media in HTMLS or (not media and DOCUMENT.match(data)):
        page = page_of(text_of(data))
        return None if page is None else Parsed(HTML, page)
    if media in CSVS:
        table = table_of(text_of(data), media)
        return None if table is None else Parsed(CSV, table)
    return None


def labelled(found: Parsed, data: bytes, headers: Headers) -> Parsed:
    """The same body as what it is called; other than ``found`` where that is XML by its content alone."""
    media = media_of(headers)
    if found.form != XML or _is_xml(media):
        return found
    return _labelled(data, media, headers) or _text(data, media)


def _is_xml(media: str) -> bool:
    """Whether a label says XML; that of XHTML says HTML."""
    return media.endswith("xml") and "html" not in media


def _xml(data: bytes, media: str) -> Node | None:
    """The root of a document that is called XML, or is well-formed XML of another vocabulary than HTML; None for all else."""
    if _is_xml(media):
        return xml_tree(data)
    found = _ROOT.match(data, 0, ROOT_MAX)
    if found is None or (found[1].decode("ascii", "replace").lower() in ELEMENTS and b"xmlns" not in data[:ROOT_MAX]):
        return None
    root = xml_tree(data)
    return None if root is None or _is_markup(root, found[0], media) else root


def _is_markup(root: Node, begin: bytes, media: str) -> bool:
    """Whether a browser knows what this element is: by its namespace, else by its name."""
    prefix, _, _ = root.name.rpartition(":")
    namespace = root.attributes.get(f"xmlns:{prefix}" if prefix else "xmlns", "")
    if namespace:
        return namespace in MARKUP
    # An element that a page defines for itself (``<app-menu>``) has a hyphen in its name.
    own = media in HTMLS and "-" in root.name and b"<?xml" not in begin
    return own or root.name.lower() in ELEMENTS


ROOT_MAX = 4096
"""Bytes among which a document's first tag is looked for, behind declarations and comments."""
MARKUP = frozenset(("http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"))
"""Namespaces of what a page is made of."""
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*\?>\s*|<!--.*?-->\s*)*<([A-Za-z_][^\s/>]*)", re.DOTALL)
DOCUMENT = re.compile(rb"\s*<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)
"""How a page begins that is whole."""


def _part(content: bytes, headers: Headers) -> Any:
    """The value of the content of one part of a multipart body: JSON, a text, or what bytes are told by."""
    if content.lstrip(_BLANKS)[:1] in OPENING:
        try:
            return parse_with_duplicates(content)
        except NotJson:
            pass
    found = _text(content, media_of(headers))
    return found.value if found.form == TEXT else described(content)


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


def _events(text: str) -> list[dict[str, Any]] | None:
    """Server-sent events: an object per event, its repeated fields joined by newlines, its data as JSON where that is what they are.

    A line without a colon is a field without a value. None where no event has a field that a client reads: it is another text.
    """
    events: list[dict[str, Any]] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                lines.setdefault(name, []).append(value.removeprefix(" "))
        event: dict[str, Any] = {name: "\n".join(values) for name, values in lines.items()}
        if event:
            data = event.get("data", "")
            if data[:1] in {"{", "["}:
                try:
                    event["data"] = parse_with_duplicates(data.encode())
                except (NotJson, UnicodeEncodeError):
                    pass
            events.append(event)
    return None if events and not any(EVENT_FIELDS & event.keys() for event in events) else events


def _form(data: bytes) -> Parsed | None:
    try:
        pairs = parse_qsl(
            data.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="backslashreplace"
        )
    except (ValueError, UnicodeDecodeError):
        return None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return Parsed(FORM, {name: values if len(values) > 1 else values[0] for name, values in fields.items()})


def _text(data: bytes, media: str) -> Parsed:
    why = media if media in HTMLS or media in CSVS or media.startswith("multipart/") else ""
    try:
        return Parsed(TEXT, data.decode("utf-8"), why=why, media=media)
    except UnicodeDecodeError:
        text = media.startswith("text/")
        return Parsed(TEXT, text_of(data), why=why, media=media) if text else Parsed(BYTES, data, media=media)
