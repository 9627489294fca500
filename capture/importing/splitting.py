"""Split the JSON text of a HAR into the elements of ``log.entries[]``, piece by piece. Pure: bytes in, elements out.

A HAR may be gigabytes large, so it is never parsed as a whole: regular expressions that run in C find where each value ends, and only that
value is held. What an element says is not looked at here (:mod:`capture.importing.har` decodes it), nor is its inside checked.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import orjson

ENTRY_BYTES_MAX = 64 * 1024 * 1024
"""One value of a HAR; the largest seen hold an answer of some 40 MB in base64. It bounds the memory of an import."""
_BOM = b"\xef\xbb\xbf"
_PLAIN = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
"""Everything up to the next bracket, or to a string that does not end in what is here."""
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR = re.compile(rb'[^\s,\]}{\["]*+')
_BLANK = re.compile(rb"[ \t\r\n]*+")
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPEN, _CLOSE = b"{[", b"}]"

START, KEY, COLON, VALUE, AFTER, ELEMENT, END = range(7)
ROOT, LOG, ENTRIES = range(3)
"""How deep: in the file's object, in its ``log``, in that one's ``entries``."""


class Broken(ValueError):  # noqa: N818 - a file is
    """The text is no HAR, or not all of one."""

    def __init__(self, position: int, what: str) -> None:
        super().__init__(f"byte {position}: {what}")
        self.position, self.what = position, what


class Element(NamedTuple):
    """One element of ``log.entries[]`` and the byte at which it begins."""

    offset: int
    data: bytes


class Splitter:
    """Feed the text in pieces of any size; call ``finish`` at its end."""

    def __init__(self, limit: int = ENTRY_BYTES_MAX) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._base = 0  # where the buffer begins in the file
        self._at = 0  # what is before it in the buffer has been dealt with
        self._state, self._level = START, ROOT
        self._key = ""
        self._first = True  # whether a closing bracket may come although a key or an element is expected
        self._entries_seen = False
        # The value that is being read: how far, how deep, and whether in the middle of a string.
        self._scan, self._depth, self._in_string = -1, 0, False

    def feed(self, data: bytes) -> list[Element]:
        """The elements that end in this piece. Raises Broken where the text is no HAR."""
        self._buffer += data
        found: list[Element] = []
        while self._step(found):
            pass
        if self._at:
            del self._buffer[: self._at]
            self._base += self._at
            self._scan = self._scan - self._at if self._scan >= 0 else -1
            self._at = 0
        return found

    def finish(self) -> None:
        """The text has ended; Broken when it ended too early or held no ``log.entries``."""
        size = self._base + len(self._buffer)
        if self._state == START and not bytes(self._buffer).strip():
            raise Broken(size, "the file is empty")
        if self._state != END:
            raise Broken(size, "the file ends in the middle of its JSON")
        if not self._entries_seen:
            raise Broken(0, "there is no `log.entries`")

    def _step(self, found: list[Element]) -> bool:
        """Deal with one token or value; False when more text is needed."""
        if self._scan >= 0:
            return self._value(found)
        if self._state == START and not self._begin():
            return False
        blank = _BLANK.match(self._buffer, self._at)
        self._at = blank.end() if blank else self._at
        del blank  # it would keep the buffer from being cut
        if self._at >= len(self._buffer):
            return False
        char = self._buffer[self._at]
        if self._state in {KEY, ELEMENT, VALUE}:
            return self._expected(char)
        self._token(char)
        return True

    def _begin(self) -> bool:
        """Pass the byte order mark; False when it may not be here in full yet."""
        if self._base or self._at:
            return True
        head = bytes(self._buffer[:3])
        if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise Broken(0, "the text is UTF-16, not UTF-8")
        if head == _BOM:
            self._at = 3
        return head == _BOM or not _BOM.startswith(head)

    def _expected(self, char: int) -> bool:
        """A key, an element or the value of a key begins here, or an empty object or list ends."""
        if self._state == VALUE:
            wanted = {(ROOT, "log"): ord("{"), (LOG, "entries"): ord("[")}.get((self._level, self._key))
            if wanted is not None:
                if char != wanted:
                    kind = "an object" if self._level == ROOT else "a list"
                    raise self._broken(f"`{self._key}` is not {kind}, so this is no HAR")
                self._descend()
                return True
        elif char == (ord("]") if self._state == ELEMENT else ord("}")) and self._first:
            self._token(char)
            return True
        elif self._state == KEY and char != _QUOTE:
            raise self._broken("a name in quotes was expected")
        if char in b",:]}":
            raise self._broken("a value was expected")
        self._scan, self._depth, self._in_string = self._at, 0, False
        return True

    def _descend(self) -> None:
        self._level += 1
        self._at += 1
        self._first = True
        self._entries_seen = self._entries_seen or self._level == ENTRIES
        self._state = ELEMENT if self._level == ENTRIES else KEY

    def _token(self, char: int) -> None:
        """One character of the frame around the values."""
        if self._state == START and char == ord("{"):
            self._state = KEY
        elif self._state == COLON and char == ord(":"):
            self._state = VALUE
        elif self._state == AFTER and char == ord(","):
            self._state, self._first = (ELEMENT if self._level == ENTRIES else KEY), False
        elif self._state in {AFTER, KEY, ELEMENT} and char == ord("]" if self._level == ENTRIES else "}"):
            self._state = END if self._level == ROOT else AFTER
            self._level -= 1
        elif self._state == START:
            raise self._broken("a HAR begins with `{`")
        elif self._state == END:
            raise self._broken("there is more after the end of the JSON")
        else:
            raise self._broken(f"{chr(char)!r} was not expected")
        self._at += 1

    def _value(self, found: list[Element]) -> bool:
        """Go on with the value that has begun; False when it does not end in what is here."""
        end = self._value_end()
        if (end if end >= 0 else len(self._buffer)) - self._at > self._limit:
            raise self._broken(f"one value is larger than {self._limit // (1024 * 1024)} MiB")
        if end < 0:
            return False
        data = bytes(memoryview(self._buffer)[self._at : end])
        if self._state == ELEMENT:
            found.append(Element(self._base + self._at, data))
            self._state = AFTER
        else:
            try:
                value = orjson.loads(data)
            except orjson.JSONDecodeError as error:
                raise Broken(self._base + self._at + error.pos, f"this is not JSON ({error.msg})") from error
            if self._state == KEY:
                self._key = value
            self._state = COLON if self._state == KEY else AFTER
        self._at, self._scan = end, -1
        return True

    def _value_end(self) -> int:
        """Where the value ends in the buffer, or -1 when that is not known yet."""
        buffer, at, size = self._buffer, self._scan, len(self._buffer)
        while True:
            if self._in_string:
                at = _end(_STRING, buffer, at)
                if at >= size or buffer[at] == _BACKSLASH:
                    break
                at += 1
                self._in_string = False
                if self._depth == 0:
                    return at
            if self._depth == 0 and buffer[at] not in b'"{[':
                at = _end(_SCALAR, buffer, at)
                self._scan = at if at < size else self._at
                return at if at < size else -1
            at = _end(_PLAIN, buffer, at) if self._depth else at
            if at >= size:
                break
            char = buffer[at]
            at += 1
            if char == _QUOTE:
                self._in_string = True
            elif char in _OPEN:
                self._depth += 1
            elif char in _CLOSE:
                self._depth -= 1
                if self._depth == 0:
                    return at
        self._scan = at
        return -1

    def _broken(self, what: str) -> Broken:
        return Broken(self._base + self._at, what)


def _end(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    """How far a pattern that matches everything goes. The match dies here: while it lives the buffer cannot be cut."""
    found = pattern.match(buffer, at)
    return found.end() if found else at
