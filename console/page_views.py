"""Two values in one column of lines and as a tree, beside the two columns of :mod:`console.page_findings`. Pure HTML, no script.

Each view is a ``<details>``: a keyboard reaches and opens it, and closed it takes one line. What was kept of a value may be its
beginning alone: both views say so, and tell nothing of what is behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from console import words
from console.escapes import html, short
from console.page_json import Node, Twin, called, compared, tree
from console.page_unified import Line, Stretch, stretches, unified
from console.page_values import INLINE_MAX, excerpt, indented, unquoted
from console.page_xml import markup

CUT = "…"
"""The end of a value of which only the beginning is kept; no JSON ends so (:mod:`differ.sink`, :mod:`differ.samples`)."""
SHOWN_MAX = 300
"""Characters of a value of the tree that are shown at once; a longer one opens."""
LINES_SHOWN, ITEMS_SHOWN = 2_000, 500
"""Lines of one view, and places of the other; more are counted. A reader is lost long before, and so is a browser with thousands of boxes."""
SIGNS = {"removed": "-", "added": "+"}
LEFT_OUT = (
    f"Where “{CUT}” stands in it, words that both have may be left out: long texts are kept by what changed in them."
)


MISSES_MAX = 5
"""Views that find no room before we stop trying: each is compared anew, in up to 0.3 s where values are long."""


@dataclass(slots=True)
class Room:
    """What a page has left for views, which show nothing that its samples do not."""

    size: int
    """Bytes."""
    work: int
    """Characters of values that may still be compared."""
    misses: int = 0

    def views(self, base: str | None, branch: str | None) -> str:
        """:func:`of_values` of a sample, as long as there is room; empty after that."""
        if self.misses >= MISSES_MAX:
            return ""
        self.work -= len(base or "") + len(branch or "")
        found = of_values(base, branch) if self.work >= 0 else ""
        size = len(found.encode("utf-8"))
        if size > self.size:
            self.misses += 1
            return ""
        self.size -= size
        return found


class Source(NamedTuple):
    """One side: its text, and whether only the beginning of it is kept."""

    text: str
    cut: bool


def of_values(base: str | None, branch: str | None) -> str:
    """Views of two values of a sample, which are JSON; nothing where there is nothing to see by them."""
    if base is None or branch is None:
        return ""
    texts = all(value.startswith('"') for value in (base, branch))
    gaps = texts and any(f"{CUT} " in value or f" {CUT}" in value for value in (base, branch))
    one, two = (_source(value, text=texts) for value in (base, branch))
    return _views(one, two, LEFT_OUT if gaps else "")


def of_texts(base: str | None, branch: str | None, kept_bytes: int) -> str:
    """Views of two texts of which at most ``kept_bytes`` are kept, such as bodies."""
    if base is None or branch is None:
        return ""
    one, two = (_kept(text, cut=len(text.encode("utf-8", "replace")) >= kept_bytes) for text in (base, branch))
    return _views(one, two, "")


def _source(value: str, *, text: bool) -> Source:
    cut = value.endswith(CUT)
    value = value[: -len(CUT)] if cut else value
    return _kept(unquoted(value) if text else value, cut=cut)


def _kept(text: str, *, cut: bool) -> Source:
    """As much of a text as is shown beside the other, too."""
    shown, left_out = excerpt(text)
    return Source(shown, cut or left_out > 0)


def _views(one: Source, two: Source, note: str) -> str:
    if one.text == two.text:
        return ""
    json, xml = _json(one, two), _xml(one, two)
    texts = _laid_out(one.text, two.text) if json else (one.text, two.text)
    lined = any("\n" in text for text in texts)
    twin = json or xml
    if not lined and not (twin and max(map(len, texts)) > INLINE_MAX):
        return ""  # a line against a line: two columns show all of it
    cut = " and ".join(name for name, side in (("base", one), ("branch", two)) if side.cut)
    said = _note(f"Only the beginning is kept of {cut}." if cut else "") + _note(note)
    views = _view("Unified", said, _lines(*texts, cut)) if lined else ""
    if twin:
        views += _view("Tree", said, _Tree().all(twin))
    return f'<div class="views">{views}</div>'


def _json(one: Source, two: Source) -> Twin | None:
    """What became of the members, where both are JSON with such."""
    old, new = tree(one.text, cut=one.cut), tree(two.text, cut=two.cut)
    return compared(old, new) if old is not None and new is not None and (old.kind or new.kind) else None


def _xml(one: Source, two: Source) -> Twin | None:
    """What became of the elements, where both are XML of one root."""
    old, new = markup(one.text, cut=one.cut), markup(two.text, cut=two.cut)
    return compared(old.node, new.node, old.key) if old and new and old.key == new.key else None


def _note(text: str) -> str:
    return f'<p class="note">{html(text)}</p>' if text else ""


def _laid_out(old: str, new: str) -> tuple[str, str]:
    """Both as lines; as they came where both are short, or one would be all indentation."""
    if max(len(old), len(new)) <= INLINE_MAX:
        return old, new
    laid = indented(old), indented(new)
    grown = any(len(text) > INLINE_MAX and after == text for text, after in zip((old, new), laid, strict=True))
    return (old, new) if grown else laid


def _view(name: str, said: str, body: str) -> str:
    return (
        f'<details class="view"><summary>{name}</summary>{said}'
        f'<div class="value {name.lower()}" tabindex="0" role="region" aria-label="{name.lower()} view">{body}</div></details>'
    )


def _lines(old: str, new: str, cut: str) -> str:
    """``cut``: whose end is not kept, in words."""
    lines = unified(old, new)
    if all(line.sign == " " for line in lines):
        return '<span class="none">Line by line they are alike: they differ in white space.</span>'
    if lines[-1].sign == " " and not lines[-1].text:
        lines.pop()  # both end with a line feed
    last = max(place for place, line in enumerate([Line(" ", ()), *lines]) if line.sign == " ")
    behind = lines[last:] if cut else []
    out = [_stretch(each) for each in stretches(lines[: min(len(lines) - len(behind), LINES_SHOWN)])]
    if behind:
        out.append(f'<span class="cut">The end of {cut} is not kept, so these lines may be alike:</span>')
        out += map(_line, behind[: max(0, LINES_SHOWN - last)])
    return "".join(out) + _more(len(lines) - LINES_SHOWN, "more line")


def _more(number: int, what: str) -> str:
    if number <= 0:
        return ""
    return f'<span class="cut">{words.count(number, what)} {"is" if number == 1 else "are"} left out here</span>'


def _stretch(stretch: Stretch) -> str:
    shown = "".join(map(_line, stretch.lines))
    if not stretch.folded:
        return shown
    return f'<details class="gap"><summary>{words.count(len(stretch.lines), "line")} alike</summary>{shown}</details>'


def _line(line: Line) -> str:
    """Its sign is text, as in a file of ``diff -u``, so that no colour has to be seen and a copy is one."""
    tag = {" ": "span", "-": "del", "+": "ins"}[line.sign]
    text = "".join(
        f"<b>{html(piece.text, chr(9))}</b>" if piece.changed else html(piece.text, "\t") for piece in line.pieces
    )
    return f'<{tag} class="line">{line.sign}{text}\n</{tag}>'


class _Tree:
    """A tree on its way into the page."""

    def __init__(self) -> None:
        self._shown = 0

    def all(self, twin: Twin) -> str:
        """The whole of it."""
        if twin.state == "same":
            return '<span class="none">No member differs: the order of members does, or white space.</span>'
        items = self._item(twin)
        return f"<ul>{items}</ul>{_more(self._shown - ITEMS_SHOWN, 'more place')}"

    def _item(self, twin: Twin) -> str:
        """One place that is not alike on both sides."""
        self._shown += 1
        name = f"<code>{html(twin.key)}</code>: " if twin.key else ""
        if twin.twins:
            items = "".join(self._items(twin.twins))
            if (not name or (twin.old and twin.old.markup)) and (own := called(twin.old)):
                name = f"{name}<code>{html(short(own, INLINE_MAX))}</code>: "
            return f"<li><details open><summary>{name}{_title(twin)}</summary><ul>{items}</ul></details></li>"
        return f"<li>{_leaf(twin, name)}</li>" if self._shown <= ITEMS_SHOWN else ""

    def _items(self, twins: Sequence[Twin]) -> Iterator[str]:
        """Those that differ, each; neighbours that do not, as one fold with their number."""
        for same, some in groupby(twins, lambda twin: twin.state == "same"):
            if not same:
                yield from map(self._item, some)
            elif self._shown < ITEMS_SHOWN:
                yield _folded(list(some))


def _title(twin: Twin) -> str:
    """What it is, and how much of it changed."""
    states = Counter(each.state for each in twin.twins)
    changed = len(twin.twins) - states["same"] - states["cut"]
    kind = {"{": "object", "<": "element"}.get(twin.old.kind if twin.old else "", "list")
    cut = f", {states['cut']:,} not kept" if states["cut"] else ""
    return f"{kind}, {changed:,} of {len(twin.twins):,} changed{cut}"


def _leaf(twin: Twin, name: str) -> str:
    """A place without places of its own. Its sign says what became of it."""
    one, two = twin.old, twin.new
    if one is not None and two is not None:
        if twin.state == "cut":
            return f'? {name}{_value(one)} <span class="none">alike as far as it is kept</span>'
        return f"~ {name}<del>{_value(one)}</del> <ins>{_value(two)}</ins>"
    value = _value(one or two or Node(()))
    if twin.state == "cut":
        return f'? {name}{value} <span class="none">behind what is kept of {"branch" if one else "base"}</span>'
    tag = "del" if one else "ins"
    return f'{SIGNS[twin.state]} {name}<{tag} class="all">{value}</{tag}>'


def _folded(alike: Sequence[Twin]) -> str:
    xml = alike[0].old is not None and alike[0].old.markup
    shown = ("\n" if xml else ",\n").join(map(_alike, alike))
    title = f"{words.count(len(alike), 'part' if xml else 'member' if alike[0].key else 'element')} alike"
    return f'<li><details class="gap"><summary>{title}</summary>{html(shown, chr(10) + chr(9))}</details></li>'


def _alike(twin: Twin) -> str:
    """A place that is alike on both sides; an element of XML says its name itself."""
    named = twin.key and not (twin.old and twin.old.kind == "<")
    return f"{twin.key}: {_laid(twin.old)}" if named else _laid(twin.old)


def _laid(node: Node | None) -> str:
    text = node.text if node else ""
    return indented(text) if len(text) > INLINE_MAX and node and not node.markup else text


def _value(node: Node) -> str:
    """A value as it was written; a long one is folded."""
    laid = _laid(node)
    text = html(laid, "\n\t") or '<span class="none">nothing</span>'
    if len(laid) <= SHOWN_MAX:
        return text
    begin = html(laid[:INLINE_MAX].split("\n", 1)[0])
    return f'<details class="long"><summary>{begin}… {len(laid):,} characters</summary>{text}</details>'
