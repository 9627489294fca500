"""HTML as a tree, tolerantly: any text is a page, as it is to a browser. Linear in time, bounded in depth, elements and size.

Follows the parsing rules of the WHATWG standard as far as they decide what a page says: tags that may be left out are put in, void
elements have no content, scripts and styles hold text. Of the repair of wrongly nested tags it does only the closing.
"""

from __future__ import annotations

import re
from html import unescape

import msgspec

BYTES_MAX = 1024 * 1024
"""A larger page is compared by lines: an answer is kept up to three mebibytes, and Python reads some three of HTML in a second."""
NODES_MAX = 50_000
"""Elements, texts and attributes of a page; more are compared by lines."""
DEPTH_MAX = 128
"""Elements that nest deeper become siblings: each start tag looks this far for what it ends. Pages that people read stay below 50."""
NAME_MAX = 64
"""Characters of a tag's name that are kept; the longest name of the standard has 10, of custom elements few have 40."""

VOID = frozenset(
    ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
)
RAW = frozenset(("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"))
"""Elements whose content is text, up to their own end tag."""
UNESCAPED = frozenset(("textarea", "title"))
"""Of these, the ones in which entities count."""
KEPT = frozenset(("pre", "textarea", "script", "style", "xmp"))
"""Elements in which blanks count."""
_NAMES = """
a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br
button canvas caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed
fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image
img input ins isindex kbd keygen label legend li link listing main map mark marquee math menu menuitem meta meter
multicol nav nextid nobr noembed noframes noscript object ol optgroup option output p param picture plaintext pre
progress q rb rp rt rtc ruby s samp script search section select slot small source spacer span strike strong style sub
summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul var video wbr xmp
"""
ELEMENTS = frozenset(_NAMES.split())
"""Names of all elements of HTML, also of those that are obsolete, and of the roots of what is embedded there."""
_HEAD = frozenset(("title", "meta", "link", "base", "style", "script", "noscript", "template"))
_FOREIGN = frozenset(("svg", "math"))
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "details", "dialog", "div", "dl", "fieldset", "figcaption"),
        *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "menu", "nav", "ol"),
        *("p", "pre", "section", "table", "ul"),
    )
)
_ROWS = frozenset(("tbody", "thead", "tfoot"))
_CELLS = frozenset(("td", "th"))
_TABLE = frozenset(("table",))
_ENDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset(("li",)), frozenset(("ul", "ol", "menu"))),
    **dict.fromkeys(("dt", "dd"), (frozenset(("dt", "dd")), frozenset(("dl",)))),
    **dict.fromkeys(("option", "optgroup"), (frozenset(("option",)), frozenset(("select", "datalist")))),
    **dict.fromkeys(_CELLS, (_CELLS, frozenset(("tr", "table")))),
    "tr": (frozenset((*_CELLS, "tr")), _TABLE),
    **dict.fromkeys(_ROWS, (frozenset((*_ROWS, *_CELLS, "tr")), _TABLE)),
    **dict.fromkeys(_BLOCKS, (frozenset(("p",)), frozenset(("button", "table", *_CELLS, "caption", "object")))),
}
"""What a start tag ends, though no end tag was written, and which elements it does not look beyond."""

_MARKUP = re.compile(r"<(?:(?P<close>/?)(?P<name>[A-Za-z][^\s/>]*)|(?P<mark>!--|!|\?|/))")
# Possessive where a failure could be retried at each blank; a quote that is never closed fails once, being the last of its kind.
_ATTRIBUTE = re.compile(
    r"[\s/]*+(?P<name>[^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|(?P<plain>[^\s>]*)))?"
)
_ENDINGS = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in RAW}


class Element(msgspec.Struct, gc=False, eq=False):
    """One element, or a comment; its children are elements and texts, in order."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = msgspec.field(default_factory=list["Element | str"])
    digest: bytes = b""
    """Of all that it holds, once it was asked for (:mod:`differ.pages`)."""


class Page(msgspec.Struct, gc=False, eq=False):
    """A whole page: its text, and what a browser makes of it."""

    text: str
    doctype: str
    root: Element


class _TooMany(Exception):  # noqa: N818 - never leaves this module
    """More than NODES_MAX."""


def page_of(text: str) -> Page | None:
    """The page that a text is; None where it is too large to be read as one."""
    if len(text) > BYTES_MAX:
        return None
    builder, at = _Builder(), 0
    try:
        while (found := _MARKUP.search(text, at)) is not None:
            builder.text(text[at : found.start()])
            at = builder.markup(text, found)
        builder.text(text[at:])
    except _TooMany:
        return None
    return Page(text, builder.doctype, builder.root)


def plain(text: str) -> str:
    """A text without its entities; as it is where one of them is beyond all bounds."""
    if "&" not in text:
        return text
    try:
        return unescape(text)
    except ValueError:  # a number of thousands of digits
        return text


class _Builder:
    """Puts tags and texts into a tree."""

    def __init__(self) -> None:
        self.doctype = ""
        self.head, self.body = Element("head", {}), Element("body", {})
        self.root = Element("html", {}, [self.head, self.body])
        self.stack = [self.head]
        self.nodes = 0

    def markup(self, text: str, found: re.Match[str]) -> int:
        """What begins with this ``<``; where it ends."""
        if found["mark"] == "!--":
            return self._comment(text, found.end())
        if found["mark"] or found["close"]:
            end = text.find(">", found.end())
            end = len(text) if end < 0 else end
            if found["close"]:
                self.close(found["name"].lower()[:NAME_MAX])
            elif found["mark"] == "!" and text[found.end() : found.end() + 7].lower() == "doctype":
                self.doctype = self.doctype or " ".join(text[found.end() : end].lower().split())
            return end + 1
        name, (attributes, end) = found["name"].lower()[:NAME_MAX], _attributes(text, found.end())
        self._count(1 + len(attributes))
        self.open(name, attributes, closed=text[end - 1] == "/")
        return self._raw(text, end + 1, name) if name in RAW else end + 1

    def open(self, name: str, attributes: dict[str, str], *, closed: bool) -> None:
        """A start tag."""
        if name in {"html", "head", "body"}:
            node = {"html": self.root, "head": self.head, "body": self.body}[name]
            node.attributes = attributes | node.attributes
            if name == "body":
                self._into_body()
            return
        if name not in _HEAD and self.stack[0] is self.head:
            self._into_body()
        if name in _ENDS:
            self._end(*_ENDS[name])
        if name == "tr" and self.stack[-1].name == "table":
            self._push(Element("tbody", {}))
        node = Element(name, attributes)
        if name in VOID or (closed and any(one.name in _FOREIGN for one in self.stack)):
            self.stack[-1].children.append(node)
        else:
            self._push(node)

    def close(self, name: str) -> None:
        """An end tag; one without a start is none."""
        if name == "head":
            self._into_body()
        for index in range(len(self.stack) - 1, 0, -1):
            if self.stack[index].name == name:
                del self.stack[index:]
                return
        self._count(1)

    def text(self, text: str) -> None:
        """Text between tags: blanks in a row are one, save where they are meant."""
        if not text or text.isspace():
            return
        if self.stack[0] is self.head and len(self.stack) == 1:
            self._into_body()
        self._count(1)
        kept = any(one.name in KEPT for one in self.stack)
        self.stack[-1].children.append(plain(text).strip("\r\n") if kept else " ".join(plain(text).split()))

    def _comment(self, text: str, begin: int) -> int:
        end = text.find("-->", begin)
        end = len(text) if end < 0 else end
        self._count(1)
        self.stack[-1].children.append(Element("comment()", {}, [" ".join(text[begin:end].split())]))
        return end + 3

    def _raw(self, text: str, begin: int, name: str) -> int:
        """The content of an element that holds text only, and its end tag."""
        found = _ENDINGS[name].search(text, begin)
        end = len(text) if found is None else found.start()
        content = plain(text[begin:end]) if name in UNESCAPED else text[begin:end]
        content = content.strip() if name in KEPT else " ".join(content.split())
        if content:
            self._count(1)
            self.stack[-1].children.append(content)
        if self.stack[-1].name == name:  # else it was too deep to be one
            self.stack.pop()
        if found is None:
            return len(text)
        closing = text.find(">", end)
        return len(text) if closing < 0 else closing + 1

    def _into_body(self) -> None:
        if self.stack[0] is self.head:
            self.stack = [self.body]

    def _push(self, node: Element) -> None:
        self.stack[-1].children.append(node)
        if len(self.stack) < DEPTH_MAX:
            self.stack.append(node)

    def _end(self, ended: frozenset[str], beyond: frozenset[str]) -> None:
        """Close what a start tag ends by itself."""
        lowest = 0
        for index in range(len(self.stack) - 1, 0, -1):
            name = self.stack[index].name
            if name in beyond:
                break
            if name in ended:
                lowest = index
        if lowest:
            del self.stack[lowest:]

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            raise _TooMany


def _attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """The attributes of a start tag, the first of each name; and where its ``>`` stands."""
    found: dict[str, str] = {}
    while (one := _ATTRIBUTE.match(text, at)) is not None:
        name = one["name"].lower()[:NAME_MAX]
        if name not in found:
            value = plain((one["double"] or one["single"] or one["plain"] or "").strip())
            found[name] = " ".join(sorted(set(value.split()))) if name == "class" else value
        at = one.end()
    end = text.find(">", at)
    return found, len(text) if end < 0 else end
