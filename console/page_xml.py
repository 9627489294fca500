"""XML text as a tree of its own text, for the tree view of :mod:`console.page_views`; :mod:`console.page_json` says what became of it. Pure.

A parser says where elements, texts and comments begin; what is shown between is the text as it came, so ``&amp;`` and ``&#38;`` stay
apart (that of :mod:`differ.xmls` keeps what they mean, and not where they stood). Text with a document type is no tree here: what its
entities stand for would be shown, or would fill memory. White space between elements is none of it. Text of which only the beginning
is kept is read as far as it goes, as JSON is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from console.page_json import DEPTH_MAX, Member, Node

_TAG = re.compile(rb"""<(?:[^>"']|"[^"]*"|'[^']*')*>""")
_ATTRIBUTE = re.compile(r"""(?<=\s)([^\s=/<>"']++)\s*+=\s*+(?:"([^"]*)"|'([^']*)')""")
"""Looked for behind white space alone, lest a name of thousands of characters is read from each of them on."""
_UNFINISHED = re.compile(r"<.*|&[^;]*\Z", re.DOTALL)
"""What the end of a text that is cut may hold of the next tag or entity."""


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """A document type."""


class _Event(NamedTuple):
    """Something that begins in the text."""

    kind: str
    """``start``, ``end``, ``text``, or ``other``: a comment or a processing instruction."""
    at: int
    name: str = ""


@dataclass(slots=True)
class _Open:
    """An element whose end is not met yet."""

    name: str
    begin: int
    members: list[Member] = field(default_factory=list[Member])
    tokens: list[str] = field(default_factory=list[str])


def markup(text: str, *, cut: bool = False) -> Member | None:
    """The root element and its name; None where the text is no well-formed XML, or has a document type. ``cut``: whether its end is missing."""
    if not text.lstrip().startswith("<"):
        return None
    data = text.encode("utf-8", "surrogatepass")
    events = _events(data, cut)
    return None if events is None else _root(data, events, cut)


def _events(data: bytes, cut: bool) -> list[_Event] | None:
    """All that begins in the text, in order."""
    parser = expat.ParserCreate("utf-8")  # it was read before, whatever its declaration says
    found: list[_Event] = []

    def met(kind: str, name: str = "") -> None:
        found.append(_Event(kind, parser.CurrentByteIndex, name))

    def start(name: str, _: object) -> None:
        met("start", name)

    def doctype(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: met("end", name)
    parser.CharacterDataHandler = lambda _: met("text")
    parser.StartCdataSectionHandler = parser.EndCdataSectionHandler = lambda: met("text")
    parser.CommentHandler = lambda _: met("other")
    parser.ProcessingInstructionHandler = lambda _target, _data: met("other")
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, not cut)
    except (expat.ExpatError, _Refused):
        return None
    return found


def _root(data: bytes, events: list[_Event], cut: bool) -> Member | None:
    top = _Open("", 0)
    stack = [top]
    at = 0
    while at < len(events):
        event, after = events[at], at + 1
        if event.kind == "start":
            stack.append(_begun(data, event))
        elif event.kind == "end":
            _closed(stack, data, event)
        elif len(stack) > 1:  # what stands around the root is not compared
            while event.kind == "text" and after < len(events) and events[after].kind == "text":
                after += 1
            end = events[after].at if after < len(events) else len(data)
            _held(stack[-1], _text(data[event.at : end]), cut=cut and after >= len(events))
        at = after
    while len(stack) > 1:
        _put(stack, len(data), data, cut=True)
    return top.members[0] if top.members else None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _begun(data: bytes, event: _Event) -> _Open:
    """An element with its attributes."""
    tag = _TAG.match(data, event.at)
    text = _text(tag[0]) if tag else ""
    element = _Open(event.name, event.at, tokens=[text])
    for name, one, other in _ATTRIBUTE.findall(text):
        element.members.append(Member(f"@{name}", Node((one or other,), markup=True)))
    return element


def _held(element: _Open, text: str, *, cut: bool) -> None:
    """A text or a comment within an element."""
    text = _UNFINISHED.sub("", text) if cut else text
    if text.strip():
        element.tokens.append(text)
        element.members.append(Member("", Node((text,), cut=cut, markup=True)))


def _closed(stack: list[_Open], data: bytes, event: _Event) -> None:
    empty = stack[-1].tokens[0].endswith("/>")  # then its end is where the next thing begins
    tag = None if empty else _TAG.match(data, event.at)
    if tag:
        stack[-1].tokens.append(_text(tag[0]))
    _put(stack, tag.end() if tag else event.at, data, cut=False)


def _put(stack: list[_Open], end: int, data: bytes, *, cut: bool) -> None:
    """Put an element into the one that holds it; as one text where it is too deep to look into."""
    element = stack.pop()
    above = stack[-1]
    if len(stack) > DEPTH_MAX + 1:
        return  # what holds it is one text, too
    if len(stack) > DEPTH_MAX:
        node = Node((_text(data[element.begin : end]),), cut=cut, markup=True)
    else:
        node = Node(element.tokens, element.members, cut, "<", markup=True)
    above.tokens += node.tokens
    above.members.append(Member(element.name, node))
