"""The values of a request, each with its place and span, and the request with some of them replaced. Pure.

Values are path segments, members of the query, headers, cookies, and what a body holds: JSON strings and numbers, form and multipart
fields, attributes and texts of XML, a short text. Replacing edits spans: what is not replaced keeps its bytes.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus

from msgspec.structs import replace as with_fields

from echolane.exchange import Body, Headers, Request
from replayer import jsonspans, markup

TARGET, BODY = -2, -1
"""Parts of a request; a header is its place in the list."""
ATOMS_MAX = 2_000
"""Values of one request that are looked at; a request with more is an upload of data."""
TEXT_MAX = 8_192
"""Characters of one value; longer ones are contents, not names of things."""
PATH, FORM, RAW, STRING, NUMBER, XML = range(6)
"""How a value is written where it stands."""
_BOUNDARY = re.compile(r"(?i)boundary=(?:\"([^\"]+)\"|([^\s;,]+))")
_PART_NAME = re.compile(r"(?i)content-disposition:[^\r\n]*?[ ;]name=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")
_DULL = frozenset(
    b"""host user-agent accept accept-language accept-encoding accept-charset content-type content-length content-encoding connection
    cache-control pragma date upgrade-insecure-requests dnt te trailer transfer-encoding expect origin keep-alive range via
    traceparent tracestate baggage x-forwarded-for x-forwarded-proto x-forwarded-host forwarded priority""".split()
)
"""Headers that say how to talk, not about what."""


class Atom(NamedTuple):
    """One value of a request."""

    where: str
    """Its place: ``path[2]``, ``query:cursor``, ``header:if-match``, ``cookie:sid``, ``body:$.id``."""
    part: int
    start: int
    end: int
    codec: int
    text: str
    """Decoded."""
    name: str
    """What it is called; for a segment the one before it."""


def atoms(request: Request) -> list[Atom]:
    """The values of a request, at most ATOMS_MAX."""
    found: list[Atom] = []
    for atom in _all(request):
        if atom.text and len(atom.text) <= TEXT_MAX:
            found.append(atom)
            if len(found) >= ATOMS_MAX:
                break
    return found


def _all(request: Request) -> Iterator[Atom]:
    yield from target_atoms(request.target)
    kind = ""
    for place, (name, value) in enumerate(request.headers):
        lower = name.lower()
        if lower == b"content-type":
            kind = value.decode("latin-1")
        elif lower == b"cookie":
            yield from _cookies(place, value.decode("latin-1"))
        elif lower not in _DULL and not lower.startswith(b"sec-"):
            text = value.decode("latin-1")
            yield Atom(f"header:{lower.decode('latin-1')}", place, 0, len(text), RAW, text, lower.decode("latin-1"))
    body = request.body
    if body.data and not body.truncated and not body.undecoded:
        yield from _body(body.data.decode("utf-8", "surrogateescape"), kind)


def target_atoms(target: str) -> Iterator[Atom]:
    """Path segments and members of the query of a target or URL."""
    path, mark, query = target.partition("?")
    at, before = 0, ""
    scheme = path.find("://")
    if scheme > 0:  # what names the host is not a value
        at = path.find("/", scheme + 3)
        if at < 0:
            at = len(path)
    for index, segment in enumerate(path[at:].split("/")):
        text = unquote(segment)
        yield Atom(f"path[{index}]", TARGET, at, at + len(segment), PATH, text, before)
        before = text or before
        at += len(segment) + 1
    if mark:
        yield from _form(query.partition("#")[0], len(path) + 1, "query:", TARGET)


def _form(text: str, at: int, prefix: str, part: int) -> Iterator[Atom]:
    seen: Counter[str] = Counter()
    for member in text.split("&"):
        name, equals, value = member.partition("=")
        if equals:
            name = unquote_plus(name)
            seen[name] += 1
            where = f"{prefix}{name}" + (f"[{seen[name]}]" if seen[name] > 1 else "")
            start = at + len(member) - len(value)
            yield Atom(where, part, start, at + len(member), FORM, unquote_plus(value), name)
        at += len(member) + 1


def _cookies(place: int, text: str) -> Iterator[Atom]:
    at = 0
    for member in text.split(";"):
        name, equals, value = member.partition("=")
        if equals:
            inner = value.strip()
            start = at + len(name) + 1 + (value.index(inner) if inner else 0)
            yield Atom(f"cookie:{name.strip()}", place, start, start + len(inner), RAW, inner, name.strip())
        at += len(member) + 1


def _body(text: str, kind: str) -> Iterator[Atom]:
    lower = kind.lower()
    if "urlencoded" in lower:
        yield from _form(text, 0, "body:$.", BODY)
    elif lower.startswith("multipart/"):
        yield from _multipart(text, kind)
    elif "json" in lower or text.lstrip()[:1] in {"{", "["}:
        found = jsonspans.scalars(text)
        for scalar, name in zip(found, jsonspans.names(found), strict=True):
            codec = STRING if scalar.quoted else NUMBER
            where = "body:" + jsonspans.place_of(scalar.path)
            yield Atom(where, BODY, scalar.start, scalar.end, codec, scalar.text, name)
    elif "xml" in lower or text.lstrip()[:1] == "<":
        for value in markup.values(text, xml=True):
            yield Atom(f"body:{value.place}", BODY, value.start, value.end, XML, value.text, value.name)
    elif len(text) <= TEXT_MAX and "\x00" not in text:
        yield Atom("body", BODY, 0, len(text), RAW, text, "")


def _multipart(text: str, kind: str) -> Iterator[Atom]:
    named = _BOUNDARY.search(kind)
    if named is None:
        return
    mark = "--" + (named[1] or named[2])
    seen: Counter[str] = Counter()
    at = text.find(mark)
    while at >= 0:
        head = at + len(mark)
        at = text.find(mark, head)
        end = len(text) if at < 0 else at
        blank, size = text.find("\r\n\r\n", head, end), 4
        if blank < 0:
            blank, size = text.find("\n\n", head, end), 2
        if blank < 0:
            continue
        found = _PART_NAME.search(text, head, blank)
        name = (found[1] or found[2] or "") if found else ""
        while end > blank + size and text[end - 1] in "\r\n":
            end -= 1
        seen[name] += 1
        where = f"body:$.{name}" + (f"[{seen[name]}]" if seen[name] > 1 else "")
        yield Atom(where, BODY, blank + size, end, RAW, text[blank + size : end], name)


def edited(request: Request, edits: Sequence[tuple[Atom, str]]) -> Request:
    """The request with new texts at some of its atoms."""
    headers: Headers = list(request.headers)
    target, body = request.target, request.body
    text = body.data.decode("utf-8", "surrogateescape") if any(atom.part == BODY for atom, _ in edits) else ""
    for atom, new in sorted(edits, key=lambda edit: -edit[0].start):
        if atom.part == TARGET:
            target = _replaced(target, atom, new)
        elif atom.part == BODY:
            text = _replaced(text, atom, new)
        else:
            name, line = headers[atom.part]
            headers[atom.part] = (name, _replaced(line.decode("latin-1"), atom, new).encode("latin-1", "replace"))
    if text:
        data = text.encode("utf-8", "surrogateescape")
        body = Body(data, len(data), body.encoding, b"", False, "", body.chunked)
    return with_fields(request, target=target, headers=headers, body=body)


def _replaced(text: str, atom: Atom, new: str) -> str:
    return text[: atom.start] + _encoded(atom.codec, new, text[atom.start : atom.end]) + text[atom.end :]


def _encoded(codec: int, text: str, old: str) -> str:
    """A value as its place needs it; what the recorded one left unescaped in a query (``=``, ``/``) is left so."""
    if codec == PATH:
        return quote(text, safe="-._~!$&'()*+,;=:@")
    if codec == FORM:
        return quote(text, safe="-._~" + "".join(sign for sign in "=/:@,;!*'()$?" if sign in old))
    if codec in {STRING, NUMBER}:
        return jsonspans.written(text, quoted=codec == STRING)
    return html.escape(text, quote=True) if codec == XML else text
