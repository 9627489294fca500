"""Where an answer ends: one HTTP/1 response out of a stream of bytes. Pure: bytes in, an :class:`Answer` out.

Written for the firing loop: an answer that arrives whole costs a few searches in its head, and its head is kept as bytes, so that
four equal answers are recognised without parsing any of them (:mod:`replayer.observing`). Anything that is not a response is
``garbage``, whatever a lenient parser might make of it; the rules are those of RFC 9112 §6.3. ``tests/replayer`` holds it
against httptools as the oracle.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from echolane.exchange import OBSERVED_BODY_KEPT
from replayer.answer import BY_CHUNKS, BY_CLOSE, BY_LENGTH, HEAD_BYTES_MAX, KNOWN, NO_BODY, Answer, Garbage, learn

INTERIM_MAX = 32
"""1xx answers before the final one; a server that sends more is not going to answer."""
_LINE_MAX = 512
"""A status line is shorter; a head whose first line does not end in CR LF within it uses bare line feeds."""
CHUNK_LINE_MAX = 4096
"""A chunk size with its extensions."""

_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_FIRST, _HEAD, _LENGTH, _CLOSE, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _DONE = range(9)
_STATE_OF = {BY_LENGTH: _LENGTH, BY_CLOSE: _CLOSE, BY_CHUNKS: _CHUNK_SIZE, NO_BODY: _DONE}


class _Hash(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""
        ...

    def digest(self) -> bytes:
        """The digest so far."""
        ...


def whole(data: bytes, *, head_only: bool) -> Answer | None:
    """The answer when ``data`` is exactly one, framed by its length, after which the connection stays open; else None.

    Most answers are; the others go through :class:`AnswerReader`, which gives the same result for these, too.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    known = KNOWN.get(head)
    if known is None:
        if _is_bare(head):
            return None
        known = learn(head)
    status, framed, left, alive = known
    if status < 200 or not alive:
        return None
    if head_only or framed == NO_BODY:
        return Answer(status, head) if len(data) == end + 4 else None
    if framed == BY_LENGTH and left == len(data) - end - 4 and left <= OBSERVED_BODY_KEPT:
        return Answer(status, head, data[end + 4 :], left)
    return None


class AnswerReader:
    """Reads one answer. ``feed`` says whether it is whole; then ``answer`` is it and ``keep_alive`` whether another may follow."""

    __slots__ = (
        "_buffer",
        "_hash",
        "_head_only",
        "_interim",
        "_kept",
        "_left",
        "_parts",
        "_state",
        "answer",
        "keep_alive",
    )

    def __init__(self, *, head_only: bool = False) -> None:
        self.answer = Answer()
        self.keep_alive = False
        self._head_only = head_only
        self._state = _FIRST
        self._buffer: bytes = b""
        self._parts: list[bytes] = []
        self._kept = 0
        self._left = 0
        self._hash: _Hash | None = None
        self._interim = 0

    def feed(self, data: bytes) -> bool:
        """Take in bytes; True when the answer is whole. Raises :class:`Garbage`."""
        if self._state <= _HEAD:
            rest = self._read_head(data)
            if rest is None:
                return False
            if self._state == _DONE:
                self.keep_alive = self.keep_alive and not rest
                return True
            data = rest
        if self._state == _LENGTH:
            return self._read_length(data)
        if self._state == _CLOSE:
            self._keep(data)
            return False
        return self._read_chunks(data)

    def end(self) -> bool:
        """The stream has ended; True when that (or what came before) makes an answer, perhaps an incomplete one."""
        if self._state <= _HEAD:
            return False
        self.keep_alive = False
        if self._state != _DONE:
            self.answer.incomplete = self._state != _CLOSE
            self._finish()
        return True

    def cut(self) -> bool:
        """The stream broke off (reset); True when at least the head was whole."""
        if self._state <= _HEAD:
            return False
        if self._state != _DONE:
            self.answer.incomplete = True
            self._finish()
        self.keep_alive = False
        return True

    def _read_head(self, data: bytes) -> bytes | None:
        """What follows the head, or None while it is not whole. Skips interim answers."""
        while True:
            if self._buffer:
                data = self._buffer + data
            end, gap = data.find(b"\r\n\r\n"), 4
            if end < 0 or _is_bare(data):
                end, gap = _lenient_end(data, end)
            if end < 0:
                if self._state == _FIRST:
                    _check_beginning(data)
                if len(data) > HEAD_BYTES_MAX:
                    raise Garbage("too-large")
                self._buffer = data
                return None
            self._buffer = b""
            if self._begin(data[:end]):
                return data[end + gap :]
            self._interim += 1
            data = data[end + gap :]
            if self._interim > INTERIM_MAX:
                raise Garbage
            if not data:
                return None

    def _begin(self, head: bytes) -> bool:
        """Settle how the body is framed; False for an interim answer."""
        status, framed, left, alive = KNOWN.get(head) or learn(head)
        if status < 200 and status != 101:
            return False
        answer = self.answer
        answer.status, answer.head = status, head
        if self._head_only:
            framed = NO_BODY
        answer.chunked = framed == BY_CHUNKS
        self._state, self._left, self.keep_alive = _STATE_OF[framed], left, alive
        return True

    def _read_length(self, data: bytes) -> bool:
        size = len(data)
        if size < self._left:
            self._left -= size
            self._keep(data)
            return False
        if size > self._left:
            self.keep_alive = False  # bytes nobody asked for
            data = data[: self._left]
        self._keep(data)
        self._finish()
        return True

    def _read_chunks(self, data: bytes) -> bool:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at, size = 0, len(data)
        while True:
            if self._state == _CHUNK_DATA:
                take = min(self._left, size - at)
                self._keep(data[at : at + take])
                at += take
                self._left -= take
                if self._left:
                    return False
                self._state = _CHUNK_END
            end = data.find(b"\n", at)
            if end < 0:
                self._buffer = data[at:]
                limit = HEAD_BYTES_MAX if self._state == _TRAILERS else CHUNK_LINE_MAX
                if len(self._buffer) > limit:
                    raise Garbage
                return False
            line = data[at:end].removesuffix(b"\r")
            at = end + 1
            if self._chunk_line(line):
                if at < size:
                    self.keep_alive = False
                self._finish()
                return True

    def _chunk_line(self, line: bytes) -> bool:
        """One line between chunks; True when it was the last."""
        if self._state == _CHUNK_END:
            if line:
                raise Garbage
            self._state = _CHUNK_SIZE
            return False
        if self._state == _CHUNK_SIZE:
            text = line.partition(b";")[0].strip(b" \t")
            if not _HEX.fullmatch(text):
                raise Garbage
            self._left = int(text, 16)
            self._state = _CHUNK_DATA if self._left else _TRAILERS
            return False
        if not line:
            return True
        self.answer.trailers += line + b"\r\n"
        if len(self.answer.trailers) > HEAD_BYTES_MAX:
            raise Garbage("too-large")
        return False

    def _keep(self, data: bytes) -> None:
        """Keep the beginning of the body; of the rest only its length and the digest of all."""
        self.answer.size += len(data)
        room = OBSERVED_BODY_KEPT - self._kept
        if len(data) <= room and self._hash is None:
            if data:
                self._parts.append(data)
                self._kept += len(data)
            return
        if self._hash is None:
            self._hash = hashlib.blake2b(digest_size=16)
            for part in self._parts:
                self._hash.update(part)
            self._parts.append(data[:room])
            self._kept += room
        self._hash.update(data)

    def _finish(self) -> None:
        parts = self._parts
        self.answer.body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._hash is not None:
            self.answer.digest = self._hash.digest()
        self._state = _DONE


def _lenient_end(data: bytes, strict: int) -> tuple[int, int]:
    """End of a head whose lines end with a bare line feed (as old CGI programs send them), and the width of its gap."""
    found = [(at, len(mark)) for mark in (b"\n\n", b"\n\r\n") if (at := data.find(mark)) >= 0]
    if strict >= 0:
        found.append((strict, 4))
    return min(found, default=(-1, 0))


def _is_bare(data: bytes) -> bool:
    """Whether the first line ends with a bare line feed."""
    at = data.find(b"\n", 0, _LINE_MAX)
    return at > 0 and data[at - 1] != 13


def _check_beginning(data: bytes) -> None:
    """Refuse early what cannot become a response, so that a chatty non-HTTP server does not cost a timeout."""
    beginning = data[:7]
    if not b"HTTP/1.".startswith(beginning):
        raise Garbage
