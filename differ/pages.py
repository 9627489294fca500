"""Two HTML pages: what differs in text, links, forms and attributes. Pure, linear in time.

Each node has a place of its own (``body:/html/body/p``, ``body:/html/body/a/@href``, ``body:/html/body/form/input[@name='q']/@value``),
so that a token, a timing or a noisy wording in one corner says nothing about the others; that a template was rewritten is one cause is
told where findings are folded (:mod:`differ.folding`). A place is made of names, and of the columns of tables: what is noise stands at one
place in all answers, so neither values nor other ranks are part of it (an item of a list stands now here, now there).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice

import msgspec

from differ.aligning import common_ends, parted
from differ.classes import timing_name
from differ.difference import EXCERPT_BYTES, FORMAT, PERMUTATION, VALUE
from differ.htmls import Element, Page
from differ.sink import MISSING, Change, Sink

WHERE_MAX = 512
"""Characters of a place; what is nested deeper is told at its container."""
SHOWN_MAX = 500
"""Characters of a changed node that are shown: a person recognises it."""
NAMED = frozenset(("input", "select", "textarea", "button", "meta", "form", "iframe", "slot"))
"""Elements that are told apart by their ``name``."""
DRAWN = {"nonce": "token", "integrity": "hash"}
"""Attributes whose value is random by its purpose, or a digest of what is loaded."""
CELLS = frozenset(("td", "th"))
COLUMNS_MAX = 64
"""Columns of a table that have a place each; those behind share one."""
_STEP = re.compile(r"[a-z][\w.:-]*(?:\(\))?")
_NAME = re.compile(r"[\w.:\[\]-]{1,64}")

Children = list[Element | str]
TextChange = Callable[[str, str], Change]
"""How two different texts differ."""


class _Apart(msgspec.Struct, gc=False):
    """One node that differs; a text that is None is not there."""

    where: str
    old: str | None
    new: str | None
    change: Change | None = None
    """Where both sides have a text."""


def pages(sink: Sink, old: Page, new: Page, change_of: TextChange) -> None:
    """Emit what differs between two pages."""
    found = _Walk(sink, change_of)
    if old.doctype != new.doctype:
        found.apart.append(_Apart("/html/doctype()", old.doctype, new.doctype))
    if digest(old.root) != digest(new.root):
        found.elements(old.root, new.root, "/html")
    for one in found.apart:
        sink.add(f"body:{one.where}", one.change or _one_sided(one))


def _one_sided(node: _Apart) -> Change:
    """A node that one page has not."""
    told = "added" if node.old is None else "missing"
    old, new = node.old and node.old[:EXCERPT_BYTES], node.new and node.new[:EXCERPT_BYTES]
    return Change("value", FORMAT, MISSING if old is None else old, MISSING if new is None else new, f"html:{told}")


def digest(node: Element) -> bytes:
    """16 bytes that two elements share when all that they hold is the same."""
    if not node.digest:
        parts = [child if isinstance(child, str) else digest(child) for child in node.children]
        whole = repr((node.name, sorted(node.attributes.items()), parts))
        node.digest = blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return node.digest


def shown(node: Element | str) -> str:
    """A node as a short text to look at."""
    if isinstance(node, str):
        return node[:SHOWN_MAX]
    attributes = "".join(f' {name}="{value}"' for name, value in islice(node.attributes.items(), 20))
    text = " ".join(child for child in islice(node.children, 20) if isinstance(child, str))
    inside = "…" if any(not isinstance(child, str) for child in node.children) else ""
    return f"<{node.name}{attributes}>{text[:SHOWN_MAX]}{inside}"[:SHOWN_MAX]


def below(where: str, node: Element) -> str:
    """The place of a child element: its name, and where that tells fields apart, the field's."""
    if len(where) > WHERE_MAX:
        return where
    name = node.attributes.get("name", "") if node.name in NAMED else ""
    step = node.name if _STEP.fullmatch(node.name) else "element()"
    return f"{where}/{step}[@name='{name}']" if _NAME.fullmatch(name) else f"{where}/{step}"


class _Walk:
    """Goes through two trees in step."""

    def __init__(self, sink: Sink, change_of: TextChange) -> None:
        self.apart: list[_Apart] = []
        self._sink, self._change_of = sink, change_of

    def elements(self, old: Element, new: Element, where: str) -> None:
        """Two elements of one name that are not the same."""
        if old.attributes != new.attributes:
            self._attributes(old, new, where)
        if old.name == "tr" and self._columns(old.children, new.children, where):
            return
        olds, news, moved = _unlike(old.children, new.children)
        if moved is not None:
            change = Change("order", VALUE, *moved, "order", flags=PERMUTATION)
            self.apart.append(_Apart(where, None, None, change))
        for one, two in _pairs(olds, news):
            if isinstance(one, Element) and isinstance(two, Element):
                self.elements(one, two, below(where, one))
            elif isinstance(one, str) and isinstance(two, str):
                self._texts(where, one, two, timed=_timed(old))
            else:
                self._one_sided(where, one, two)

    def _columns(self, olds: Children, news: Children, where: str) -> bool:
        """Two rows of as many cells, column by column; False where they are none. A cell's place says its column, counted from one."""
        if len(olds) != len(news):
            return False
        rows: list[tuple[Element, Element]] = []
        for one, two in zip(olds, news, strict=True):
            if not (
                isinstance(one, Element) and isinstance(two, Element) and one.name == two.name and one.name in CELLS
            ):
                return False
            rows.append((one, two))
        for column, (one, two) in enumerate(rows, 1):
            if digest(one) != digest(two):
                place = below(where, one)
                self.elements(
                    one, two, f"{place}[{column}]" if column <= COLUMNS_MAX and len(where) <= WHERE_MAX else place
                )
        return True

    def _attributes(self, old: Element, new: Element, where: str) -> None:
        for name in [*old.attributes, *(n for n in new.attributes if n not in old.attributes)]:
            one, two = old.attributes.get(name), new.attributes.get(name)
            if one == two:
                continue
            place = f"{where}/@{name if _STEP.fullmatch(name) else '*'}"
            if one is None or two is None:
                self.apart.append(_Apart(place, one, two))
            else:
                self._texts(place, one, two, DRAWN.get(name, ""), timed=name in {"value", "content"} and _timed(old))

    def _texts(self, where: str, old: str, new: str, klass: str = "", *, timed: bool = False) -> None:
        if self._sink.echoed(old, new):
            return
        change = self._change_of(old, new)
        if klass:
            change = Change("value", VALUE, old, new, klass, klass)
        elif timed and change.facet == VALUE:
            change.klass = change.klass or "time"
        self.apart.append(_Apart(where, old, new, change))

    def _one_sided(self, where: str, old: Element | str | None, new: Element | str | None) -> None:
        node = new if old is None else old
        place = below(where, node) if isinstance(node, Element) else where
        self.apart.append(_Apart(place, None if old is None else shown(old), None if new is None else shown(new)))


def _timed(node: Element) -> bool:
    """Whether an element says by its id, class or name that it holds a measurement."""
    names = " ".join(node.attributes.get(name, "") for name in ("id", "class", "name"))
    return any(timing_name(f".{name[:64]}") for name in names.split()[:8])


def _unlike(old: Children, new: Children) -> tuple[Children, Children, tuple[list[str], list[str]] | None]:
    """Children that only one side has; and those that both have, where they stand in another order."""
    olds, news = ([child if isinstance(child, str) else digest(child) for child in side] for side in (old, new))
    begin, end = common_ends(olds, news)
    spans = range(begin, len(old) - end), range(begin, len(new) - end)
    common = Counter(olds[index] for index in spans[0]) & Counter(news[index] for index in spans[1])
    one, shared = parted(spans[0], olds, common)
    two, also = parted(spans[1], news, common)
    same = [olds[index] for index in shared] == [news[index] for index in also]
    moved = None
    if not same:
        moved = [shown(old[index]) for index in shared[:100]], [shown(new[index]) for index in also[:100]]
    return [old[index] for index in one], [new[index] for index in two], moved


def _pairs(old: Children, new: Children) -> list[tuple[Element | str | None, Element | str | None]]:
    """Which nodes belong together: those of one name and identity, then those of one name, each in order."""
    found: list[tuple[Element | str | None, Element | str | None]] = []
    for kin in (_identity, _name):
        groups = _grouped(old, kin), _grouped(new, kin)
        rest_old, rest_new = list[Element | str](), list[Element | str]()
        for name in [*groups[0], *(n for n in groups[1] if n not in groups[0])]:
            olds, news = groups[0].get(name, []), groups[1].get(name, [])
            both = min(len(olds), len(news))
            found += zip(olds[:both], news[:both], strict=True)
            rest_old += olds[both:]
            rest_new += news[both:]
        old, new = rest_old, rest_new
    found += [(node, None) for node in old]
    found += [(None, node) for node in new]
    return found


def _grouped(nodes: Children, kin: Callable[[Element | str], str]) -> dict[str, Children]:
    groups: dict[str, Children] = defaultdict(list)
    for node in nodes:
        groups[kin(node)].append(node)
    return groups


def _identity(node: Element | str) -> str:
    """The name of a node and what it says it is."""
    if isinstance(node, str):
        return ""
    return repr((node.name, *(node.attributes.get(name) for name in ("name", "id", "property", "rel"))))


def _name(node: Element | str) -> str:
    if isinstance(node, str):
        return ""
    # A field is another field when it has another name.
    return f"{node.name} {node.attributes.get('name', '')}" if node.name in NAMED else node.name
