"""Values in HTML and XML: attributes, form fields and texts, each with a place and its span. Pure, linear, no tree is built.

What a browser or a client takes out of a page are values of attributes (links, hidden inputs, metas) and short texts. HTML names a
place by what identifies it (``input[csrf]@value``), XML by its path; the n-th of the same name has its number.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

TAGS_MAX = 20_000
READ_MAX = 256 * 1024
"""Characters of a page that are read: what a form or a list of links needs, in some milliseconds."""
TEXT_MAX = 512
"""Characters of a text node that can be one value."""
_TAG = re.compile(
    r"<(/?)([A-Za-z_][A-Za-z0-9_.:-]{0,63})((?:[^<>\"']++|\"[^\"]{0,8192}\"|'[^']{0,8192}'){0,256}+)>", re.DOTALL
)
"""Possessive and bounded: a page of unclosed quotes costs a kilobyte a tag, not all that follows."""
_ATTRIBUTE = re.compile(
    r"([A-Za-z_:@][A-Za-z0-9_.:-]{0,63})[ \t\r\n]*=[ \t\r\n]*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'<>=`]+))"
)
_VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
_IDENTIFIED = {
    "input": "name",
    "textarea": "name",
    "select": "name",
    "meta": "name",
    "button": "name",
    "form": "name",
    "param": "name",
}
_LINKS = frozenset(("href", "src", "action", "formaction", "data-url", "content"))
_VARIABLE = re.compile(r"(?=[^/?&=#]*[0-9])[^/?&=#]+")
_DULL = frozenset(
    ("class", "style", "type", "rel", "method", "lang", "charset", "xmlns", "width", "height", "role", "for")
)


class Value(NamedTuple):
    """One attribute or text."""

    place: str
    name: str
    """What it is called: the field's name, the attribute's or the element's."""
    text: str
    start: int
    end: int


def is_xml(content_type: str, text: str) -> bool:
    """Whether a markup is XML and not HTML."""
    return ("xml" in content_type and "html" not in content_type) or text.lstrip()[:5] == "<?xml"


def values(text: str, *, xml: bool) -> list[Value]:
    """Every value, in order."""
    text = text[:READ_MAX]
    return list(_of_xml(text) if xml else _of_html(text))


def scripts(text: str) -> str:
    """What the scripts of a page say, one after the other."""
    found: list[str] = []
    begin = text.find("<script")
    while begin >= 0:
        start = text.find(">", begin) + 1
        end = text.find("</script", start) if start else -1
        if end < 0:
            break
        found.append(text[start:end])
        begin = text.find("<script", end)
    return "\n".join(found)


def _of_html(text: str) -> Iterator[Value]:
    seen: Counter[str] = Counter()
    tag, last = "", 0
    for match in _tags(text):
        if tag and tag not in {"style", "script"}:
            yield from _text(text, last, match.start(), tag.lower(), f"{tag.lower()}", seen)
        closing, tag, last = bool(match[1]), match[2] or "", match.end()
        if not tag or closing:
            tag = ""
            continue
        attributes = {a[1].lower(): a for a in _ATTRIBUTE.finditer(match[3])}
        named = (
            attributes.get(_IDENTIFIED.get(tag.lower(), ""))
            or attributes.get("property")
            or attributes.get("http-equiv")
        )
        label = _value(named) if named else ""
        for name, found in attributes.items():
            if name in _DULL or (named is found) or not _value(found):
                continue
            value = html.unescape(_value(found))
            shape = label or (_VARIABLE.sub("*", value) if name in _LINKS else "")
            start = match.start(3) + found.start(found.lastindex or 2)
            place = _nth(f"{tag.lower()}[{shape}]@{name}" if shape else f"{tag.lower()}@{name}", seen)
            yield Value(place, label or name, value, start, start + len(_value(found)))


def _of_xml(text: str) -> Iterator[Value]:
    seen: Counter[str] = Counter()
    stack: list[str] = []
    last = 0
    for match in _tags(text):
        if stack:
            yield from _text(text, last, match.start(), stack[-1].rpartition("/")[2].partition("[")[0], stack[-1], seen)
        last = match.end()
        name = match[2]
        if not name:
            continue
        if match[1]:
            if stack:
                stack.pop()
            continue
        above = stack[-1] if stack else ""
        path = _nth(f"{above}/{name}", seen)
        for found in _ATTRIBUTE.finditer(match[3]):
            if found[1].startswith("xmlns") or not _value(found):
                continue
            start = match.start(3) + found.start(found.lastindex or 2)
            yield Value(
                f"{path}/@{found[1]}", found[1], html.unescape(_value(found)), start, start + len(_value(found))
            )
        if not match[3].rstrip().endswith("/") and len(stack) < 64:
            stack.append(path)


def _tags(text: str) -> Iterator[re.Match[str]]:
    for count, match in enumerate(_TAG.finditer(text)):
        if count >= TAGS_MAX:
            return
        yield match


def _text(text: str, start: int, end: int, name: str, place: str, seen: Counter[str]) -> Iterator[Value]:
    if end - start > TEXT_MAX:
        return
    raw = text[start:end]
    value = raw.strip()
    if value and name not in _VOID:
        begin = start + raw.index(value)
        yield Value(_nth(f"{place}/text()", seen), name, html.unescape(value), begin, begin + len(value))


def _nth(place: str, seen: Counter[str]) -> str:
    seen[place] += 1
    return place if seen[place] == 1 else f"{place}[{seen[place]}]"


def _value(found: re.Match[str]) -> str:
    return found[found.lastindex or 2]
