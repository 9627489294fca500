"""Secrets in request targets and forms: members of a query or form by name, path segments behind a telling one, parts of multipart.

Everything else in them (an e-mail in a path, a card in a form field) is found by its look (:mod:`echolane.masks.scan`), here on the
decoded value, since escapes hide it.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from echolane.masks.atoms import Atoms
from echolane.masks.edits import Edit, apply
from echolane.masks.fields import Fields
from echolane.masks.names import LONG, OPEN, TEXT, Names, is_key
from echolane.masks.pairs import Pairs, decoded
from echolane.masks.scan import FOLD, Looks

_SEGMENT_BYTES = 16  # ``/token/refresh`` is a route, ``/token/9f86d081884c7d65…`` a secret.
_SEGMENT = re.compile(rb"(?=[^/]*[0-9])[A-Za-z0-9_.~%=-]+")
_USERINFO = re.compile(rb"[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#@]+)(@[^/?#]*)")
_PART_NAME = re.compile(rb"(?i)content-disposition:[^\r\n]*?[ ;]name=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")
_BOUNDARY = re.compile(rb"(?i)boundary=(?:\"([^\"]+)\"|([^\s;,]+))")


class Forms:
    """Finds secrets in targets, urlencoded and multipart forms."""

    def __init__(self, atoms: Atoms, names: Names, looks: Looks, pairs: Pairs, fields: Fields) -> None:
        self._atoms = atoms
        self._names = names
        self._looks = looks
        self._pairs = pairs
        self._fields = fields

    def find_target(self, data: bytes, held: list[bytes]) -> list[Edit]:
        """Edits for a request target: user information, path, query."""
        edits: list[Edit] = []
        path = data.find(b"?")
        if path >= 0:
            self.find_members(data, path + 1, held, edits)
        else:
            path = len(data)
        if b"@" in data:
            user = _USERINFO.match(data, 0, path)
            if user is not None:
                edits.append(self._userinfo(user, held))
        self._find_path(data, path, held, edits)
        edits += self._looks.find(data)
        return edits

    def find_members(self, data: bytes, at: int, held: list[bytes], edits: list[Edit]) -> None:
        """Edits for ``name=value&…`` from ``at`` on."""
        judge = self._names.judge
        for member in data[at:].split(b"&"):
            equals = member.find(b"=")
            if equals > 0:
                kind = judge(member[:equals])
                raw = member[equals + 1 :]
                start, end = at + equals + 1, at + len(member)
                if kind != OPEN and raw:
                    self._member(raw, kind, Edit(start, end, raw), held, edits)
                elif b"%" in raw or b"+" in raw:
                    self._escaped(raw, start, end, held, edits)
            elif b"%" in member:
                self._escaped(member, at, at + len(member), held, edits)
            at += len(member) + 1

    def find_multipart(self, data: bytes, content_type: bytes, held: list[bytes]) -> list[Edit]:
        """Edits for the parts of a multipart body; none where it names no boundary."""
        named = _BOUNDARY.search(content_type)
        if named is None:
            return []
        mark = b"--" + (named[1] or named[2])
        edits: list[Edit] = []
        at = data.find(mark)
        while at >= 0:
            head = at + len(mark)
            following = data.find(mark, head)
            end = len(data) if following < 0 else following
            self._part(data, head, end, held, edits)
            at = following
        return edits

    def _part(self, data: bytes, head: int, end: int, held: list[bytes], edits: list[Edit]) -> None:
        blank, size = data.find(b"\r\n\r\n", head, end), 4
        if blank < 0:
            blank, size = data.find(b"\n\n", head, end), 2
        if blank < 0:
            return
        named = _PART_NAME.search(data, head, blank)
        kind = self._names.judge(named[1] or named[2] or b"") if named else OPEN
        start = blank + size
        while end > start and data[end - 1] in b"\r\n":
            end -= 1
        value = data[start:end]
        if kind in {OPEN, LONG} or not value:
            if value[:1] in {b"{", b"["}:
                shifted = self._pairs.find_json(value, held)
                edits += [Edit(start + edit.start, start + edit.end, edit.mask) for edit in shifted]
            return
        edits.append(Edit(start, end, self._pairs.string(value, kind, held)))

    def _find_path(self, data: bytes, end: int, held: list[bytes], edits: list[Edit]) -> None:
        """Segments behind one that says what they are, and matrix parameters (``;jsessionid=…``)."""
        segments = data[:end].split(b"/")
        if len(max(segments, key=len)) < _SEGMENT_BYTES and 59 not in data:
            return
        judge = self._names.judge
        at = 0
        before = OPEN
        for segment in segments:
            if before != OPEN and len(segment) >= _SEGMENT_BYTES and _SEGMENT.fullmatch(segment):
                edits.append(Edit(at, at + len(segment), self._fields.atom(segment, held)))
            before = judge(segment) if segment and not segment.isdigit() else OPEN
            if b";" in segment:
                place = at
                for member in segment.split(b";"):
                    name, equals, value = member.partition(b"=")
                    if equals and value and judge(name) != OPEN:
                        start = place + len(name) + 1
                        edits.append(Edit(start, start + len(value), self._fields.atom(value, held)))
                    place += len(member) + 1
            at += len(segment) + 1

    def _userinfo(self, found: re.Match[bytes], held: list[bytes]) -> Edit:
        """User and password before a host; the claim takes the host in, lest it be read as that of an e-mail."""
        user, colon, password = found[1].partition(b":")
        mask = self._fields.atom(user, held) + colon + self._fields.atom(password, held)
        return Edit(found.start(1), found.end(), mask + found[2])

    def _member(self, raw: bytes, kind: int, place: Edit, held: list[bytes], edits: list[Edit]) -> None:
        value = decoded(raw)
        if (kind == LONG and not is_key(value)) or (kind == TEXT and value.isdigit()):
            return
        if kind > LONG or b" " in value:
            mask = self._pairs.string(value, kind, held)
            edits.append(place if mask == value else Edit(place.start, place.end, quote(mask, safe="").encode()))
            return
        edits.append(Edit(place.start, place.end, self._fields.atom(raw, held)))

    def _escaped(self, raw: bytes, start: int, end: int, held: list[bytes], edits: list[Edit]) -> None:
        """A member whose value hides something under its escapes: a card in groups, a URL with a token of its own."""
        value = decoded(raw)
        if value == raw:
            return
        inner = self._looks.find(value)
        if 61 in value or 58 in value:
            inner += self._pairs.find_text(value, value.translate(FOLD), held)
        # What is found in place, escapes and all (e-mails), is better left there: only those around it would change spelling.
        if inner and len(self._looks.find(raw)) < len(inner):
            masked, undo = apply(value, inner)
            if undo:
                edits.append(Edit(start, end, quote(masked, safe="/:?&=+,;").encode()))
