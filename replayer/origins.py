"""Values that an answer brings into being, each with its place; and the value at such a place in another answer. Pure.

:func:`values` reads a recorded answer, :class:`Reader` a target's: the place found in the one is looked up in the other. Elements of a
list are found by a member that tells them apart (a name, not an id), else by their index.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple, cast

import orjson

from echolane.exchange import Given, Headers, Response
from replayer import jsonspans, markup, trees
from replayer.affinity import NEVER, STRONG, WEAK, is_tag, strength
from replayer.pieces import Piece, part_at, pieces, text_pieces
from replayer.places import TEXT_MAX

VALUES_MAX = 5_000
"""Values of one answer that are remembered; the first ones of a long list are those that a client goes on with."""
BODY_MAX = 1024 * 1024
"""Bytes of an answer's body that is read; as much as a recording keeps."""
ALIKE_MAX = 5_000
"""Elements of a target's list, or places of its page, among which the recorded value is looked for."""
WORDS_READ = 64 * 1024
"""Characters of plain text and of scripts in which words are looked for."""
_ANCHORED_MAX = 1_000
_WORDY = re.compile(r"[^0-9]{1,64}(?:[0-9]{1,3}[^0-9]{0,16})?")
"""A text that was written by somebody: few digits, not at its beginning."""
_REFERENCE = re.compile(r"[^0-9\s]{1,64}[0-9]{1,20}[^0-9\s]{0,16}")
"""``ref-17``: one number with something around it."""
JSON = "body:$"
"""The place of every value of a JSON body, and of what is read like one, until its path is shown."""
_NUMBERED = re.compile(r"\[[0-9]+\]")
_DULL = frozenset(
    b"""date content-length content-type content-encoding server connection keep-alive cache-control vary age expires pragma
    transfer-encoding accept-ranges allow via x-powered-by strict-transport-security content-security-policy x-frame-options
    x-content-type-options referrer-policy permissions-policy alt-svc content-language access-control-allow-origin
    access-control-allow-methods access-control-allow-headers access-control-max-age""".split()
)
Step = str | int | tuple[int, str, str]
"""A member, an index, or an index with the member and value that tell the element apart."""


class Found(NamedTuple):
    """A value of an answer."""

    place: str
    path: tuple[Step, ...]
    sub: str
    text: str
    name: str
    around: str
    """What holds it: the member above, the segment before."""


def shown(found: Found) -> str:
    """The place as it is shown and looked up; of JSON it is made only where it is needed."""
    return "body:" + jsonspans.place_of(tuple(map(_plain, found.path))) if found.place == JSON else found.place


def values(answer: Response) -> list[Found]:
    """The values of an answer that can tie anything, at most VALUES_MAX."""
    out: list[Found] = []
    for place, name, text in _headers(answer.headers):
        _cut(out, place, (), name, "", text)
    body = answer.body
    if not body.data or body.truncated or body.undecoded or len(body.data) > BODY_MAX:
        return out
    kind = trees.kind_of(answer)
    if kind == trees.TREE:
        called = trees.content_type_of(answer.headers)
        tree = trees.tree_of(body.data, called)
        _walk(out, tree, (), "", "")
        if not trees.has_words(tree, called):
            return out
        kind = trees.TEXT
    text = body.data.decode("utf-8", "surrogateescape")
    if kind == trees.MARKUP:
        xml = markup.is_xml(trees.content_type_of(answer.headers), text)
        for value in markup.values(text, xml=xml):
            _cut(out, f"body:{value.place}", (), value.name, "", value.text)
    if kind == trees.TEXT and strength(text.strip()) > NEVER:
        out.append(Found("body", (), "", text.strip(), "", ""))
    words = [piece for piece in _free_text(text, kind) if _is_worth("body", piece.text)]
    out += [Found("body", (), piece.sub, piece.text, "", "") for piece in words]
    return out[:VALUES_MAX]


def _free_text(text: str, kind: str) -> Iterator[Piece]:
    """Words of plain text, and of scripts in a page."""
    if kind == trees.MARKUP:
        text = markup.scripts(text[: markup.READ_MAX])
    elif kind != trees.TEXT:
        return
    yield from text_pieces(text[:WORDS_READ])


def _headers(headers: Headers) -> Iterator[tuple[str, str, str]]:
    """Place, name and text of each header that may hold something made by the service."""
    seen: Counter[str] = Counter()
    for name, value in headers:
        lower = name.lower()
        text = value.decode("latin-1")
        if lower == b"set-cookie":
            cookie, equals, rest = text.partition("=")
            if equals:
                yield f"header:set-cookie[{cookie.strip()}]", cookie.strip(), rest.partition(";")[0].strip()
        elif lower not in _DULL:
            label = lower.decode("latin-1")
            seen[label] += 1
            yield f"header:{label}" + (f"[{seen[label]}]" if seen[label] > 1 else ""), label, text


def _walk(out: list[Found], node: Any, path: tuple[Step, ...], name: str, around: str) -> None:
    if len(out) >= VALUES_MAX or len(path) > jsonspans.DEPTH_MAX:
        return
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        for key, value in members.items():
            if name and len(members) == 1 and is_tag(key):
                _walk(out, value, (*path, key), name, around)
            else:
                _walk(out, value, (*path, key), key, name)
    elif isinstance(node, list):
        items = cast("list[Any]", node)
        anchor = _anchor(items)
        for index, value in enumerate(items):
            step: Step = (index, anchor, cast("dict[str, str]", value)[anchor]) if anchor else index
            _walk(out, value, (*path, step), name, around)
    elif isinstance(node, str):
        _cut(out, JSON, path, name, around, node)
    elif isinstance(node, int) and not isinstance(node, bool):
        out.append(Found(JSON, path, "", str(node), name, around))


def _cut(out: list[Found], place: str, path: tuple[Step, ...], name: str, around: str, text: str) -> None:
    """The value, and where it is made of parts, those."""
    if not text or len(text) > TEXT_MAX:
        return
    if _is_worth(place, text):
        out.append(Found(place, path, "", text, name, around))
    if text.isalnum() or not ("/" in text or '"' in text or _REFERENCE.fullmatch(text)):
        return
    for piece in pieces(text):
        if piece.sub and piece.name:
            in_query = " query:" in piece.sub and len(piece.text) > 3
            if in_query or _is_worth(place, piece.text):
                called = piece.name if piece.escape != 1 else name
                out.append(Found(place, path, piece.sub, piece.text, called, piece.name))
        elif piece.sub and _is_worth(place, piece.text):
            out.append(Found(place, path, piece.sub, piece.text, name, around))


def _is_worth(place: str, text: str) -> bool:
    """Whether a value can tie anything: no word, and no short one that stands in a text, which is full of numbers."""
    found = strength(text)
    if found == WEAK and (place == "body" or place.endswith("/text()") or "/text()[" in place):
        return place.startswith("body:/") or (len(text) > 4 and not text.isdigit())
    return found > NEVER


def _anchor(items: list[Any]) -> str:
    """A member whose texts tell all elements of a list apart and were written by somebody, not made by the service."""
    if not 2 <= len(items) <= _ANCHORED_MAX or not all(isinstance(item, dict) for item in items):
        return ""
    rows = cast("list[dict[str, Any]]", items)
    for key in list(rows[0])[:16]:
        texts = [row.get(key) for row in rows]
        if all(isinstance(text, str) and _WORDY.fullmatch(text) for text in texts) and len(set(texts)) == len(texts):
            return key
    return ""


def _plain(step: Step) -> str | int:
    return step[0] if isinstance(step, tuple) else step


class Reader:
    """A target's answer, read where it is asked for, however often: a list of things may be asked for each of them."""

    def __init__(self, answer: Response) -> None:
        body = answer.body
        whole = not (answer.incomplete or body.truncated or body.undecoded or len(body.data) > BODY_MAX)
        self._answer = answer
        self._data = body.data if whole else b""
        self._rows: dict[tuple[int, str], dict[str, int]] = {}
        self._texts: dict[tuple[str | Step, ...], list[str]] = {}
        self._alike: dict[tuple[str | Step, ...], frozenset[str | None]] = {}
        self._cut: dict[str, dict[str, str]] = {}

    def value(self, given: Given) -> str | None:
        """What this answer has where the recorded one had the value; None where there is nothing like it.

        One of many is the element that the text beside it names, else the one with the recorded value, wherever it stands now,
        else the one at the same index; but that is no evidence for a short value.
        """
        if given.place == "body" and given.sub:
            return self._words.get(given.sub)
        if given.value and not self._is_named(given):
            texts = self._of_all(given)
            if given.value in self._parts_of_all(given, texts):
                return given.value
            if len(texts) > 1 and strength(given.value) < STRONG:
                return None
        return self._part(given, self._whole(given))

    def _part(self, given: Given, text: str | None) -> str | None:
        if text is None or not given.sub:
            return text
        cut = self._cut.get(text)
        if cut is None:
            cut = self._cut[text] = {piece.sub: piece.text for piece in reversed(pieces(text))}
        return part_at(cut, given.sub)

    def _is_named(self, given: Given) -> bool:
        """Whether every list on the way has the element that the recording names."""
        node = self._tree if given.path else None
        for step in given.path:
            if isinstance(step, int):
                return False
            if isinstance(step, tuple):
                found = self._index_of(node, step)
                if found < 0:
                    return False
                node = cast("list[Any]", node)[found]
            else:
                node = cast("dict[str, Any]", node).get(step) if isinstance(node, dict) else None
        return bool(given.path)

    def _of_all(self, given: Given) -> list[str]:
        """The values of all elements, or of all places of a page that are alike."""
        key = _alike(given)
        texts = self._texts.get(key)
        if texts is None:
            if given.path:
                texts = _all_at(self._tree, given.path)
            else:
                texts = [text for at, text in self._markup.items() if unnumbered(at) == key[0]][:ALIKE_MAX]
            self._texts[key] = texts
        return texts

    def _parts_of_all(self, given: Given, texts: list[str]) -> frozenset[str | None]:
        key = (*_alike(given), given.sub)
        parts = self._alike.get(key)
        if parts is None:
            parts = self._alike[key] = frozenset(self._part(given, text) for text in texts)
        return parts

    def _whole(self, given: Given) -> str | None:
        place = given.place
        if place.startswith("header:"):
            return next((text for at, _, text in _headers(self._answer.headers) if at == place), None)
        if place.startswith("body:$"):
            return self._at(given.path)
        if place == "body":
            return self._text.strip() if trees.kind_of(self._answer) == trees.TEXT else None
        return self._markup.get(place)

    def _at(self, path: list[Step]) -> str | None:
        node = self._tree
        for step in path:
            if isinstance(step, str):
                node = cast("dict[str, Any]", node).get(step) if isinstance(node, dict) else None
                continue
            if not isinstance(node, list):
                return None
            items = cast("list[Any]", node)
            index = step if isinstance(step, int) else self._index_of(items, step)
            index = step[0] if isinstance(step, tuple) and index < 0 else index
            if index >= len(items):
                return None
            node = items[index]
        return _text_of(node)

    def _index_of(self, node: Any, step: tuple[int, str, str]) -> int:
        """Where the element with this member is; -1 where none or several have it."""
        if not isinstance(node, list):
            return -1
        key = (id(cast("list[Any]", node)), step[1])  # the tree lives as long as this
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = {}
            for at, item in enumerate(cast("list[Any]", node)):
                text = cast("dict[str, Any]", item).get(step[1]) if isinstance(item, dict) else None
                if isinstance(text, str):
                    rows[text] = -1 if text in rows else at
        return rows.get(step[2], -1)

    @cached_property
    def _tree(self) -> Any:
        return trees.tree_of(self._data, trees.content_type_of(self._answer.headers))

    @cached_property
    def _text(self) -> str:
        return self._data.decode("utf-8", "surrogateescape")

    @cached_property
    def _markup(self) -> dict[str, str]:
        xml = markup.is_xml(trees.content_type_of(self._answer.headers), self._text)
        return {f"body:{value.place}": value.text for value in markup.values(self._text, xml=xml)}

    @cached_property
    def _words(self) -> dict[str, str]:
        kind = trees.kind_of(self._answer)
        if kind == trees.TREE and trees.has_words(self._tree, trees.content_type_of(self._answer.headers)):
            kind = trees.TEXT
        return {piece.sub: piece.text for piece in _free_text(self._text, kind)}


def _alike(given: Given) -> tuple[str | Step, ...]:
    """What is one place in all elements of its lists."""
    if given.path:
        return tuple(step if isinstance(step, str) else 0 for step in given.path)
    return (unnumbered(given.place),)


def _all_at(node: Any, path: list[Step]) -> list[str]:
    """The texts at a path in every element of every list on the way."""
    nodes = [node]
    for step in path:
        if isinstance(step, str):
            nodes = [cast("dict[str, Any]", one).get(step) for one in nodes if isinstance(one, dict)]
        else:
            nodes = [item for one in nodes if isinstance(one, list) for item in cast("list[Any]", one)[:ALIKE_MAX]]
            nodes = nodes[:ALIKE_MAX]
    return [text for text in map(_text_of, nodes) if text is not None]


def _text_of(node: Any) -> str | None:
    if node is None or isinstance(node, bool | float | dict | list):
        return None  # a fraction, or a number too large for the parser: not what it was
    return node if isinstance(node, str) else orjson.dumps(node).decode()


def unnumbered(place: str) -> str:
    """A place of a page without the numbers that tell it from others like it."""
    return _NUMBERED.sub("", place)
