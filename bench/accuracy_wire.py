"""Raw answers of the accuracy bench: bytes, and where the values of a JSON text begin and end, so that one is changed alone.

Nothing here knows the differ (a test holds it): who plants a change and who looks for it share no code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import md5
from html.parser import HTMLParser

Pairs = tuple[tuple[bytes, bytes], ...]
DEPTH_MAX = 200
"""Nesting of a JSON text that is scanned; real answers have a dozen levels."""
_TOKEN = re.compile(rb'[ \t\r\n]*([{}\[\],:]|"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)', re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_KINDS = {b"{": "object", b"[": "array", b'"': "string", b"t": "bool", b"f": "bool", b"n": "null"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said: status, headers as sent, body; or why it said nothing."""

    status: int
    headers: Pairs
    body: bytes
    incomplete: bool = False
    """The body is shorter than announced."""
    failed: str = ""
    """Why there is no answer; then all else is empty."""


@dataclass(slots=True)
class Span:
    """One value of a JSON text."""

    kind: str
    start: int
    end: int
    path: str
    """As a result writes places: ``$.items[*].price``."""
    lead: int
    """Where its key begins, or the value itself in a list."""
    key: str = ""
    parent: Span | None = None
    children: list[Span] = field(default_factory=list["Span"])

    def raw(self, body: bytes) -> bytes:
        """Its text."""
        return body[self.start : self.end]

    def walk(self) -> Iterator[Span]:
        """It and all under it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


class NoJson(Exception):  # noqa: N818 - an answer, no fault
    """The bytes are no JSON value."""


@lru_cache(maxsize=512)
def spans(body: bytes) -> Span | None:
    """The values of a JSON text; None when it is something else. The same object each time: nobody changes it."""
    if body[:1] not in (b"{", b"["):
        return None
    try:
        root, end = _value(body, 0, "$", None, 0)
    except (NoJson, UnicodeDecodeError):
        return None
    return None if body[end:].strip() else root


def _token(body: bytes, at: int) -> tuple[bytes, int, int]:
    found = _TOKEN.match(body, at)
    if found is None:
        raise NoJson
    return found[1], found.start(1), found.end(1)


def _value(body: bytes, at: int, path: str, parent: Span | None, depth: int) -> tuple[Span, int]:
    token, start, end = _token(body, at)
    span = Span(_KINDS.get(token[:1], "number"), start, end, path, start, "", parent)
    if depth > DEPTH_MAX or token in (b"}", b"]", b",", b":"):
        raise NoJson
    if token not in (b"{", b"["):
        return span, end
    closing = b"}" if token == b"{" else b"]"
    token, _, after = _token(body, end)
    while token != closing:
        token, _, after = _token(body, end)
        key, lead = "", -1
        if closing == b"}":
            if token[:1] != b'"':
                raise NoJson
            key, lead = token[1:-1].decode(), after - len(token)
            colon, _, end = _token(body, after)
            if colon != b":":
                raise NoJson
        child, end = _value(body, end, path + (step(key) if closing == b"}" else "[*]"), span, depth + 1)
        child.key, child.lead = key, lead if lead >= 0 else child.start
        span.children.append(child)
        token, _, after = _token(body, end)
        if token == b",":
            end = after
        elif token != closing:
            raise NoJson
    span.end = after
    return span, after


def step(key: str) -> str:
    """One key as a step of a place."""
    return "." + key if _PLAIN.fullmatch(key) else f"['{key}']"


def put(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The text with pieces replaced: start, end, new text; pieces do not overlap."""
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        body = body[:start] + new + body[end:]
    return body


def cut(child: Span) -> tuple[int, int, bytes]:
    """The edit that takes a member or element out, and one comma with it."""
    siblings = child.parent.children if child.parent else []
    index = next(n for n, one in enumerate(siblings) if one is child)
    if index + 1 < len(siblings):
        return child.lead, siblings[index + 1].lead, b""
    return (siblings[index - 1].end if index else child.lead), child.end, b""


def add(parent: Span, text: bytes, index: int | None = None) -> tuple[int, int, bytes]:
    """The edit that puts a member or element in, at the end or before another."""
    if not parent.children:
        return parent.start + 1, parent.start + 1, text
    if index is None or index >= len(parent.children):
        return parent.children[-1].end, parent.children[-1].end, b"," + text
    lead = parent.children[index].lead
    return lead, lead, text + b","


def get(answer: Answer, name: bytes) -> bytes | None:
    """The first line of a header; None without one."""
    return next((value for key, value in answer.headers if key.lower() == name), None)


def with_header(answer: Answer, name: bytes, value: bytes | None) -> Answer:
    """A header with another value, in its place; appended when it is not there; None takes all its lines out."""
    if value is None:
        return replace(answer, headers=tuple(pair for pair in answer.headers if pair[0].lower() != name.lower()))
    if get(answer, name.lower()) is None:
        return replace(answer, headers=(*answer.headers, (name, value)))
    done, out = False, list[tuple[bytes, bytes]]()
    for key, old in answer.headers:
        out.append((key, value) if key.lower() == name.lower() and not done else (key, old))
        done = done or key.lower() == name.lower()
    return replace(answer, headers=tuple(out))


def media(answer: Answer) -> str:
    """The media type without parameters, lower case."""
    return (get(answer, b"content-type") or b"").split(b";")[0].strip().lower().decode("latin-1")


def sealed(answer: Answer, *, etag: bool = False) -> Answer:
    """Content-Length, and an ETag derived from the body, as a server sets them last. A truncated answer announces more."""
    if answer.failed or answer.incomplete:
        return answer
    if get(answer, b"content-length") is not None:
        answer = with_header(answer, b"Content-Length", str(len(answer.body)).encode())
    return with_header(answer, b"ETag", digest(answer.body)) if etag else answer


def digest(body: bytes) -> bytes:
    """A strong validator, the way web frameworks make it."""
    return b'"' + md5(body, usedforsecurity=False).hexdigest().encode() + b'"'


class _Tags(HTMLParser):
    """Texts and attributes by the names of the tags around them."""

    VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"))

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.found: dict[str, list[str]] = {}

    def _note(self, path: str, text: str) -> None:
        self.found.setdefault(path, []).append(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One element more."""
        self._note("/".join((*self.stack, tag)), "")
        for name, value in attrs:
            self._note("/".join((*self.stack, tag, "@" + name)), value or "")
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Back to where it began."""
        if tag in self.stack:
            while self.stack.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Text of the innermost element."""
        if data.strip():
            self._note("/".join((*self.stack, "#text")), data.strip())


@lru_cache(maxsize=64)
def tags(body: bytes) -> dict[str, list[str]]:
    """An HTML page as lists of texts by path."""
    reader = _Tags()
    reader.feed(body.decode("utf-8", "replace"))
    return reader.found
