"""Secrets that show by their name: ``"password": "…"`` in JSON, ``token=…`` in text, ``<secret>…</secret>`` in XML, HTML forms.

JSON is not parsed: it is split at its colons, which costs a few microseconds a kilobyte and finds the keys of whole, cut, nested
(JSON in a string) and line-delimited JSON alike; only the value behind a secret key is read. Which names are secret is said by
:mod:`echolane.masks.names`, what a header-like value (``Bearer …``, ``a=1; b=2``) holds by :mod:`echolane.masks.fields`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import orjson

from echolane.masks.atoms import Atoms
from echolane.masks.edits import Edit
from echolane.masks.names import AUTHORIZATION, COOKIE, LONG, OPEN, SECRET, SET_COOKIE, TEXT, Names, is_key
from echolane.masks.scan import FOLD

_KEY = re.compile(rb'"([^"]*+)":')
_LOOSE = re.compile(rb':(?<!":)(?: |(?<=[ \t\r\n]:))')
"""A colon that is not behind a quote and has a blank beside it."""
_SPACED = re.compile(rb'"[ \t\r\n]+:')
_VALUE = re.compile(rb'[ \t\r\n]*(?:(\\*)"|-?([0-9][0-9.eE+-]*)|([\[{]))')
_STRING = re.compile(rb"(?:[^\"\\]++|\\.?)*+", re.DOTALL)
_TOKEN = re.compile(
    rb'(?P<string>"(?:[^"\\]++|\\.?)*+)"?(?P<key>[ \t\r\n]*:)?|-?(?P<number>[0-9][0-9.eE+-]*)|(?P<bracket>[\[\]{}])',
    re.DOTALL,
)
_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?)?")
_COUNTS = re.compile(
    rb"exp|iat|nbf|ttl|count|length|size|version|index|limit|max|min|total|level"
    rb"|[A-Za-z_]*(?:_at|At|_in|In|_age|Age|_count|Count|[Ee]xpir(?:es|y)|[Tt]imeout)"
)
_UNICODE_KEY = re.compile(rb'"((?:[^"\\]|\\.)*\\u(?:[^"\\]|\\.)*)"[ \t\r\n]*:')

_WORD_LEFT = re.compile(rb"[A-Za-z0-9_.\[\]%-]*")
_WORD_RIGHT = re.compile(rb"[A-Za-z0-9_\]%-]*")
_TEXT_VALUE = re.compile(
    rb"""(?:\\*["'])?[ \t]{0,2}(?:=>|[=:])[ \t]{0,2}"""
    rb"""(?:(\\*["'])|([0-9]{1,19}(?:[ -][0-9]{1,19}){1,4}(?![0-9A-Za-z])|[^\s"'&;,<>(){}\\|]+))"""
)
_SCHEME = re.compile(
    rb"(?i)(bearer|basic|digest|token|apikey|negotiate|aws4-hmac-sha256)(?:[ ]|%20|\+)+([^\s\"'<>&\\]+)"
)
_XML_VALUE = re.compile(rb"[^<>]{0,200}>[ \t\r\n]*([^<>]+?)[ \t\r\n]*<")
_ATTRIBUTE = re.compile(rb"""(?i)[\s"'](?:value|content)[ ]?=[ ]?(?:\\*"([^"\\]+)|'([^']+)'|([^\s"'>\\]+))""")
_NAMED = re.compile(rb"""(?i)(?:name|id|property|key)[ ]?=[ ]?\\*["']?$""")
_TAG_BYTES = 2048  # A tag with a longer attribute is no form field.
_CODE_VALUES = frozenset((b"true", b"false", b"null", b"none", b"undefined", b"None", b"True", b"False", b"required"))


class _Text(NamedTuple):
    """A text that is searched, and where to put what is found."""

    data: bytes
    edits: list[Edit]
    held: list[bytes]
    in_json: bool
    """Whether a bare quote ends a string of JSON, so that no mask may reach across it."""


class Pairs:
    """Finds the values of secret names; ``header`` masks a value that is written like a header's."""

    def __init__(self, atoms: Atoms, names: Names, header: Callable[[int, bytes, list[bytes]], bytes]) -> None:
        self._atoms = atoms
        self._names = names
        self._header = header

    def find_json(self, data: bytes, held: list[bytes]) -> list[Edit]:
        """Edits for the values of secret keys; values are added to ``held``."""
        keys = _KEY.findall(data)
        edits: list[Edit] = []
        # Where every colon stands behind a whole key, none stands behind a blank or in a text.
        others = len(keys) != data.count(b":")
        whole = not others or len(keys) == data.count(b'":')
        loose = others and _LOOSE.search(data) is not None
        if not (whole and self._names.open.issuperset(keys)):
            self._split_keys(data, edits, held)
        if loose and (b" :" in data or ((10 in data or 9 in data or 13 in data) and _SPACED.search(data) is not None)):
            self._spaced_keys(data, edits, held)
        if 92 in data and b"\\u" in data:
            for found in _UNICODE_KEY.finditer(data):
                kind = self._names.judge(plain(found[1]))
                if kind != OPEN:
                    self._json_value(data, found.end(), kind, edits, held)
        # Texts inside: `"next": "/items?token=…"`, `"error": "bad password: …"`.
        if 61 in data or (loose and (texts := data.count(b": ")) and texts != data.count(b'": ')):
            edits += self.find_text(data, data.translate(FOLD), held, in_json=True)
        return edits

    def _split_keys(self, data: bytes, edits: list[Edit], held: list[bytes]) -> None:
        """What stands behind each key, also behind one whose first quote was cut off."""
        judge = self._names.judge
        at = 0
        pieces = data.split(b'":')
        pieces.pop()  # what follows the last colon is no key
        for piece in pieces:
            key = piece.rpartition(b'"')[2]
            at += len(piece) + 2
            kind = judge(key)
            if kind != OPEN:
                self._json_value(data, at, kind, edits, held, len(key) - len(key.rstrip(b"\\")))

    def find_text(self, data: bytes, fold: bytes, held: list[bytes], *, in_json: bool = False) -> list[Edit]:
        """Edits for ``name=value``, ``name: value``, XML elements and HTML fields with secret names.

        ``in_json`` leaves quoted names to :meth:`find_json`.
        """
        text = _Text(data, [], held, in_json)
        seen: set[int] = set()
        for stem in self._names.stems:
            at = fold.find(stem)
            while at >= 0:
                start, end = self._word(data, at, at + len(stem))
                if end not in seen:
                    seen.add(end)
                    kind = self._names.judge(data[start:end])
                    if kind != OPEN and not (in_json and data[end : end + 1] in _QUOTES):
                        self._text_value(text, start, end, kind)
                at = fold.find(stem, end)
        return text.edits

    def string(self, raw: bytes, kind: int, held: list[bytes]) -> bytes:
        """The masked text of a string value as it stands between its quotes."""
        value = plain(raw) if b"\\" in raw else raw
        if kind == LONG and not is_key(value):
            return raw
        if kind > LONG or (b" " in value and _SCHEME.match(value)):
            mask = self._header(kind if kind > LONG else AUTHORIZATION, value, held)
            if mask != value and raw is not value:  # it was written with escapes, so it is again
                mask = orjson.dumps(mask.decode("utf-8", "replace"))[1:-1]
        else:
            held.append(value)
            mask = self._atoms.mask(value)
        return raw if mask == value else mask

    def _spaced_keys(self, data: bytes, edits: list[Edit], held: list[bytes]) -> None:
        for found in _SPACED.finditer(data):
            key = data[data.rfind(b'"', 0, found.start()) + 1 : found.start()]
            kind = self._names.judge(key)
            if kind != OPEN:
                self._json_value(data, found.end(), kind, edits, held)

    def _json_value(
        self, data: bytes, at: int, kind: int, edits: list[Edit], held: list[bytes], level: int = 0
    ) -> None:
        """The value behind a secret key; ``level`` is how many backslashes its quotes have, for JSON in a string."""
        found = _VALUE.match(data, at)
        if found is None or (found[1] is not None and len(found[1]) != level):
            return
        if found[3]:
            if kind != LONG and not level:
                self._inside(data, found.start(3), kind, edits, held)
        elif found[2]:
            if kind not in {TEXT, LONG}:
                edits.append(Edit(*found.span(2), self._atoms.mask(found[2])))
                held.append(found[2])
        elif found[1] is not None:
            start, end = found.end(), _string_end(data, found.end(), found[1])
            if end > start and data[start:end] not in _CODE_VALUES:
                edits.append(Edit(start, end, self.string(data[start:end], kind, held)))

    def _inside(self, data: bytes, at: int, kind: int, edits: list[Edit], held: list[bytes]) -> None:
        """Everything in an array or object under a secret name, save times and counts, which are no secrets but are compared."""
        depth = 0
        key = b""
        for found in _TOKEN.finditer(data, at):
            bracket = found["bracket"]
            if bracket:
                depth += 1 if bracket in b"[{" else -1
                key = b"" if bracket == b"[" else key
                if depth <= 0:
                    return
            elif found["key"] is not None:
                key = found["string"][1:]
            elif found["string"] is not None:
                start, end = found.start("string") + 1, found.end("string")
                if end > start and not _TIME.fullmatch(data, start, end) and not _COUNTS.fullmatch(key):
                    edits.append(Edit(start, end, self.string(data[start:end], kind, held)))
            elif kind != TEXT and not (key and _COUNTS.fullmatch(key)):
                edits.append(Edit(*found.span("number"), self._atoms.mask(found["number"])))

    def _word(self, data: bytes, start: int, end: int) -> tuple[int, int]:
        """The whole word around a hit."""
        floor = max(0, start - 64)
        left = _WORD_LEFT.match(data[floor:start][::-1])
        right = _WORD_RIGHT.match(data, end)
        begin = start - (left.end() if left else 0)
        if begin > floor and data[begin - 1] == 0x5C and begin < start:  # the letter of an escape: \npassword=
            begin += 1
        return begin, right.end() if right else end

    def _text_value(self, text: _Text, start: int, end: int, kind: int) -> None:
        """The value of the secret name between ``start`` and ``end``, if one follows."""
        data = text.data
        found = _TEXT_VALUE.match(data, end)
        if found is not None:
            self._assigned(text, found, kind)
            return
        before = data[max(0, start - 24) : start]
        if before.endswith((b"<", b":")) and kind != LONG:
            element = _XML_VALUE.match(data, end)
            if element is not None and not (text.in_json and _QUOTE.search(element[1])):
                text.edits.append(Edit(*element.span(1), self.string(element[1], kind, text.held)))
        elif _NAMED.search(before):
            opening, closing = (
                data.rfind(b"<", max(0, start - _TAG_BYTES), start),
                data.find(b">", end, end + _TAG_BYTES),
            )
            if opening >= 0 and closing >= 0:
                for value in _ATTRIBUTE.finditer(data, opening, closing):
                    group = value.lastindex or 1
                    text.edits.append(Edit(*value.span(group), self.string(value[group], kind, text.held)))

    def _assigned(self, text: _Text, found: re.Match[bytes], kind: int) -> None:
        """A value behind ``=`` or ``:``."""
        data = text.data
        cookies = kind in {COOKIE, SET_COOKIE}
        if found[1]:
            start = found.end()
            end = data.find(found[1], start)
            # An open quote that is not closed in its line closes something: prose has apostrophes, JSON ends its strings.
            if (
                end < 0
                or data.find(b"\n", start, end) >= 0
                or (text.in_json and (found[1] in _BARE or b'"' in data[start:end]))
            ):
                return
        else:
            start, end = found.span(2)
            if cookies and (line := _LINE.match(data, start)):
                end = line.end()
            if scheme := _SCHEME.match(data, start):
                start, end = scheme.span(2)
        value = data[start:end]
        if not value or value in _CODE_VALUES or (kind == TEXT and value.isdigit()):
            return
        if not found[1] and self._is_prose(data, found, value):
            return
        # Without quotes only one word is at hand, not the list of parameters that credentials may be.
        kind = SECRET if kind > LONG and not (found[1] or cookies) else kind
        text.edits.append(Edit(start, end, self.string(value, kind, text.held)))

    def _is_prose(self, data: bytes, found: re.Match[bytes], value: bytes) -> bool:
        """Whether ``Invalid token: expected a string`` is a sentence, not a pair."""
        sign = data[found.start() : found.start(2)]
        if b"=" in sign or not sign.endswith((b" ", b"\t")) or any(48 <= char <= 57 for char in value):
            return False
        name = data[max(0, found.start() - 12) : found.start()].lower()
        return len(value) < 16 and not any(word in name for word in _ALWAYS_SAID)


_ALWAYS_SAID = (b"pass", b"pwd", b"secret")
"""Behind these even a plain word is a secret."""
_QUOTES = frozenset((b'"', b"\\"))
_BARE = frozenset((b'"', b"'"))
_QUOTE = re.compile(rb'["\\]')
_LINE = re.compile(rb"[^\r\n\"'<>\\]+")


def plain(raw: bytes) -> bytes:
    """What a JSON string's text stands for; itself if it is none."""
    try:
        text = orjson.loads(b'"' + raw + b'"')
    except orjson.JSONDecodeError:
        return raw
    return text.encode("utf-8") if isinstance(text, str) else raw


def decoded(raw: bytes) -> bytes:
    """What a member of a query or form stands for."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    return unquote_to_bytes(raw) if b"%" in raw else raw


def _string_end(data: bytes, start: int, escape: bytes) -> int:
    """Where a string ends whose quotes are written with this many backslashes."""
    if not escape:
        found = _STRING.match(data, start)
        return found.end() if found else start
    quote = escape + b'"'
    end = data.find(quote, start)
    while end > start and data[end - 1] == 0x5C:
        end = data.find(quote, end + len(quote))
    return len(data) if end < 0 else end
