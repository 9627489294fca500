"""JSON text as a tree of its own tokens, and what became of each member of a tree. Pure; :mod:`console.page_views` shows it.

A parser would round ``1e400``, make one of ``1.0`` and ``1``, and drop a key that comes twice, so nothing is parsed into values
here: a member is the stretch of text that stands for it. Text of which only the beginning is kept is read as far as it goes, and
what stands behind its end is never told as missing. Trees of XML (:mod:`console.page_xml`) are compared here, too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from console.page_unified import LINES_MAX, anchors
from console.page_values import JSON_TOKEN
from differ.keying import KEYS
from differ.longest import common

DEPTH_MAX = 32
"""Levels that are told apart; a value below them is one text. Nobody reads deeper, and browsers nest elements to some 500 levels."""
_SCALAR = re.compile(
    r'"(?:[^"\\]|\\.)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|NaN|-?Infinity', re.DOTALL
)
_SIGNS = frozenset("]},:")
_CLOSING = {"{": "}", "[": "]"}

State = Literal["same", "changed", "removed", "added", "cut"]
"""``cut``: as far as both are kept nothing differs, or one side is not kept as far."""


class Node(NamedTuple):
    """A value of the text."""

    tokens: Sequence[str]
    """All its tokens, in order; white space between them is left out."""
    members: Sequence[Member] = ()
    """Of an object or a list that is not too deep."""
    cut: bool = False
    """Whether its end is not kept."""
    kind: str = ""
    """``{``, ``[``, ``<`` for an element, or nothing for what has no members to look at."""
    markup: bool = False
    """Whether it is of XML: its text is laid out already, and its members have names."""

    @property
    def text(self) -> str:
        """Its text without white space between its tokens."""
        return "".join(self.tokens)


class Member(NamedTuple):
    """What an object or a list holds; in a list the key is empty. In an element it is ``@name`` of an attribute, or an element's name."""

    key: str
    node: Node


class Twin(NamedTuple):
    """A place of both texts, or of one."""

    key: str
    state: State
    old: Node | None
    new: Node | None
    twins: Sequence[Twin] = ()
    """Of an object or a list that changed inside."""


class _NotJson(Exception):  # noqa: N818 - it never leaves this module
    """The text is none."""


def tree(text: str, *, cut: bool = False) -> Node | None:
    """JSON as its tokens; None where the text is no JSON. ``cut``: whether its end is missing."""
    tokens = [token for token in JSON_TOKEN.findall(text) if not token.isspace()]
    if not tokens:
        return None
    try:
        node, end = _value(tokens, 0, cut, 0)
    except _NotJson:
        return None
    return node if end == len(tokens) else None


def _value(tokens: Sequence[str], at: int, cut: bool, depth: int) -> tuple[Node, int]:
    if at >= len(tokens):
        return _ended(cut), at
    first = tokens[at]
    if first in _CLOSING:
        if depth >= DEPTH_MAX:
            return _whole(tokens, at, cut)
        return _members(tokens, at, cut, depth)
    last = cut and at == len(tokens) - 1
    if first in _SIGNS or not (last or _SCALAR.fullmatch(first)):
        raise _NotJson
    return Node(tokens[at : at + 1], cut=last), at + 1


def _ended(cut: bool) -> Node:
    """What stands behind the last token."""
    if not cut:
        raise _NotJson
    return Node((), cut=True)


def _members(tokens: Sequence[str], begin: int, cut: bool, depth: int) -> tuple[Node, int]:
    opening, at = tokens[begin], begin + 1
    members: list[Member] = []
    while at < len(tokens) and tokens[at] != _CLOSING[opening]:
        if members:
            if tokens[at] != ",":
                raise _NotJson
            at += 1
        key = ""
        if opening == "{" and at < len(tokens):
            key, at = tokens[at], at + 1
            if not key.startswith('"') or (at < len(tokens) and tokens[at] != ":"):
                raise _NotJson
            at += 1
        if at >= len(tokens):
            _ended(cut)
            at = len(tokens)
            break
        node, at = _value(tokens, at, cut, depth + 1)
        members.append(Member(key, node))
    if at >= len(tokens):
        return Node(tokens[begin:], members, _ended(cut).cut, opening), at
    return Node(tokens[begin : at + 1], members, kind=opening), at + 1


def _whole(tokens: Sequence[str], begin: int, cut: bool) -> tuple[Node, int]:
    """A value that is too deep to look into."""
    depth = 0
    for at in range(begin, len(tokens)):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(tokens[at], 0)
        if depth == 0:
            return Node(tokens[begin : at + 1]), at + 1
    _ended(cut)
    return Node(tokens[begin:], cut=True), len(tokens)


def compared(old: Node, new: Node, key: str = "") -> Twin:
    """What became of a value, member by member; the order of an object's members is none of it."""
    if old.tokens == new.tokens:
        return Twin(key, "cut" if old.cut or new.cut else "same", old, new)
    texts = _lone(old), _lone(new)
    if texts[0] is not None and texts[1] is not None:
        return compared(texts[0], texts[1], key)
    if old.kind != new.kind or not old.kind:
        return Twin(key, "cut" if _goes_on(old, new) or _goes_on(new, old) else "changed", old, new)
    twins = list({"{": _objects, "[": _lists, "<": _elements}[old.kind](old, new))
    states = {twin.state for twin in twins}
    state: State = "changed" if states - {"same", "cut"} else "cut" if old.cut or new.cut else "same"
    return Twin(key, state, old, new, twins)


def _goes_on(cut: Node, other: Node) -> bool:
    """Whether all that is kept of a value is the beginning of another."""
    return cut.cut and other.text.startswith(cut.text)


def _objects(old: Node, new: Node) -> Iterator[Twin]:
    """Members of one key belong together; of a key that comes again the second to the second."""
    news = dict(zip(_keys(new), new.members, strict=True))
    for key, member in zip(_keys(old), old.members, strict=True):
        yield _pair(member, news.pop(key, None), old, new)
    for member in news.values():
        yield _pair(None, member, old, new)


def _keys(node: Node) -> list[tuple[str, int]]:
    met: Counter[str] = Counter()
    out: list[tuple[str, int]] = []
    for member in node.members:
        met[member.key] += 1
        out.append((member.key, met[member.key]))
    return out


def _pair(one: Member | None, two: Member | None, old: Node, new: Node) -> Twin:
    """Two members, or one that the other side has not, or of which its end is not kept."""
    if one is not None and two is not None:
        return compared(one.node, two.node, one.key)
    if one is not None:
        return Twin(one.key, "cut" if new.cut else "removed", one.node, None)
    assert two is not None  # noqa: S101 - of no pair both are missing
    return Twin(two.key, "cut" if old.cut else "added", None, two.node)


def _elements(old: Node, new: Node) -> Iterator[Twin]:
    """Attributes as the members of an object: a tag is kept whole or not at all. Then what stands between the tags, in order."""
    tags: list[Node] = []
    held: list[Node] = []
    for node in (old, new):
        count = sum(member.key.startswith("@") for member in node.members)
        tags.append(node._replace(members=node.members[:count], cut=False))
        held.append(node._replace(members=node.members[count:]))
    yield from _objects(*tags)
    yield from _lists(*held)


def _lists(old: Node, new: Node) -> Iterator[Twin]:
    """Elements that are equal belong together, then those of one name, then those that stand at one place between these."""
    ones, twos = old.members, new.members
    # What is kept in part may be any element that begins so: it is equal to none.
    places = anchors(
        *([(one.key, one.node.text, one.node.cut and side) for one in each] for side, each in ((1, ones), (2, twos)))
    )
    i = j = 0
    for up, down in [*places, (len(ones), len(twos))]:
        last = up == len(ones) and down == len(twos)
        yield from _between(ones[i:up], twos[j:down], old, new, last=last)
        if up < len(ones) and down < len(twos):
            yield compared(ones[up].node, twos[down].node, ones[up].key)
        i, j = up + 1, down + 1


def _between(ones: Sequence[Member], twos: Sequence[Member], old: Node, new: Node, *, last: bool) -> Iterator[Twin]:
    """Elements of which none has an equal one."""
    names = [_name(one) for one in ones], [_name(two) for two in twos]
    named = all(names[0]) and all(names[1]) and max(map(len, names)) <= LINES_MAX
    places = common(*names) if named else _at_places(ones, twos)
    i = j = 0
    whole = Node((), cut=False)
    for up, down in [*places, (len(ones), len(twos))]:
        ending = last and up == len(ones) and down == len(twos)
        sides = (old, new) if ending else (whole, whole)
        yield from (_pair(one, None, *sides) for one in ones[i:up])
        yield from (_pair(None, two, *sides) for two in twos[j:down])
        if up < len(ones) and down < len(twos):
            yield compared(ones[up].node, twos[down].node, ones[up].key)
        i, j = up + 1, down + 1


def _at_places(ones: Sequence[Member], twos: Sequence[Member]) -> list[tuple[int, int]]:
    return [(at, at) for at, (one, two) in enumerate(zip(ones, twos, strict=False)) if one.key == two.key]


def _name(member: Member) -> str:
    """By what an element is known again: its own name, and of XML its tag's before that."""
    own = called(member.node)
    return f"<{member.key}> {own}" if member.node.markup and not member.node.cut else own


def _lone(node: Node) -> Node | None:
    """The text of an XML element that holds nothing else, or nothing at all."""
    if node.kind != "<" or any(member.key for member in node.members) or len(node.members) > 1:
        return None
    return node.members[0].node._replace(cut=node.cut) if node.members else Node(("",), cut=node.cut, markup=True)


def called(node: Node | None) -> str:
    """By which member an element names itself, and how; nothing where it does not, or is not kept whole."""
    if node is None or node.cut:
        return ""
    if node.markup:
        texts = {one.key: _lone(one.node) or one.node for one in node.members}
        held = {key: text.text for key, text in texts.items() if key and not text.kind}
        return next((f"{key}: {held[key]}" for name in KEYS for key in (f"@{name}", name) if key in held), "")
    held = {one.key: one.node.text for one in node.members if not one.node.members}
    return next((f"{key}: {held[key]}" for name in KEYS if (key := f'"{name}"') in held), "")
