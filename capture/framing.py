"""Where HTTP/1 messages end: one direction of a connection, bytes in, messages out. Pure.

Followed only as far as recording needs (RFC 9112): a head is kept as bytes and checked once, a body is taken out of its chunks. What two
parsers could read differently (length and chunks, two lengths, folded lines, NUL or a bare CR or LF, names that are no token, chunks that
end elsewhere than they say) raises :class:`Unframeable`: such bytes are relayed untouched and not recorded. :mod:`capture.exchanging` pairs
requests with answers, :mod:`capture.relay` moves the bytes.
"""

from __future__ import annotations

import hashlib
import re

HEAD_BYTES_MAX = 64 * 1024
"""Servers stop at 8 to 64 KiB; it also bounds what a client that never ends its head makes us hold."""
CHUNK_LINE_MAX = 4096
"""A chunk's size and extensions; nobody sends more, and it bounds what is held of an unfinished line."""
TRAILER_BYTES_MAX = 64 * 1024
KNOWN_BYTES_MAX = 4096
"""Of header lines remembered for each connection."""
LENGTH_DIGITS_MAX = 18  # below 2**63, where parsers begin to differ

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# `[^\r]` is the one negated set that `re` runs fast; NUL and bare LF, which it lets through, are searched for apart.
_LINES = rb"(?:" + _TOKEN + rb":[^\r]*+\r\n)*+\r\n"
# Inner blanks of a target are kept (clients send them), blanks at its ends are what parsers differ about.
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ((?! )[^\r]+(?<! )) HTTP/1\.([01])\r\n" + _LINES)
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ((?! )[^\r\n\0]+(?<! )) HTTP/1\.([01])\r\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: [^\r]*+)?\r\n" + _LINES)
_CHUNK_ASKED = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n\0]*)?")
_CHUNK_ANSWERED = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")  # some servers pad sizes with blanks
_TRAILER = re.compile(_TOKEN + rb":[^\r\n\0]*+")
_HEAD_END = b"\r\n\r\n"
_LENGTH, _CODING = b"\r\ncontent-length:", b"\r\ntransfer-encoding:"

HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, UNTIL_CLOSE = range(7)


class Unframeable(Exception):  # noqa: N818 - reads as what happened
    """These bytes have no end that every parser would agree on."""


class Budget:
    """Bytes of messages that are held for recording, over all connections."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def __repr__(self) -> str:
        return f"<Budget {self.held}/{self.limit} bytes>"


NO_BUDGET = Budget(1 << 62)
"""For who has one message at a time."""


class Message:
    """One message as far as it has come; ``body`` is without chunks and kept up to a limit, ``size`` and ``digest`` are of all of it.

    Defaults stand on the class: most messages change few of them, and this is made twice an exchange.
    """

    method: bytes = b""
    old: bool = False
    """Of a request: whether it is HTTP/1.0."""
    status: int = 0
    body: bytes | bytearray = b""
    size: int = 0
    trailers: bytes = b""
    chunked: bool = False
    truncated: bool = False
    complete: bool = False
    shed: bool = False
    """Whether there was no room to hold it, so that its exchange cannot be recorded."""
    began_ns: int = 0
    answer: Message | None = None
    """Of a request: its answer, as far as it has come."""
    _hash: hashlib.blake2b | None = None

    def __init__(self, head: bytes, budget: Budget) -> None:
        self.head, self.budget = head, budget
        self.held = len(head)
        budget.held += self.held

    def __repr__(self) -> str:
        line = self.head.partition(b"\r\n")[0][:60]
        return f"<Message {line!r} {self.size} bytes{', complete' if self.complete else ''}>"

    def add(self, data: bytes, limit: int) -> None:
        """Body bytes, without chunk framing."""
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)
            return
        if self.shed:
            return
        budget = self.budget
        if budget.held + len(data) > budget.limit:
            self.shed, self.body = True, b""
            self.release()
            return
        self.held += len(data)
        budget.held += len(data)
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytearray):
            self.body += data
        else:
            self.body = bytearray(self.body) + data
        if self.size > limit:
            self.truncated = True
            self._hash = hashlib.blake2b(self.body, digest_size=16)
            self.body = bytes(self.body[:limit])
            budget.held -= self.held
            self.held = len(self.head) + limit
            budget.held += self.held

    def release(self) -> None:
        """Give back what is held: the exchange goes on to the recorder, or nowhere."""
        self.budget.held -= self.held
        self.held = 0

    @property
    def digest(self) -> bytes:
        """Of the whole body, when it was cut."""
        return b"" if self._hash is None else self._hash.digest()


class Framer:
    """Finds the messages of one direction. ``requests``: whether it is the client's; ``limit``: bytes of a body that are kept."""

    def __init__(self, *, requests: bool, limit: int, budget: Budget = NO_BUDGET) -> None:
        self._budget, self._requests, self._limit = budget, requests, limit
        self._pattern = _REQUEST if requests else _ANSWER
        self._state = HEAD
        self._buffer: bytearray = bytearray()
        """A head, or a line between chunks, whose end has not come."""
        self._known = b""
        """Header lines of the last request without a body: clients repeat theirs from request to request, and they need no second look."""
        self._left = 0
        self._trailer_bytes = 0
        self.message: Message | None = None
        """The last message that began."""

    @property
    def partial(self) -> bool:
        """Whether a head has begun and not ended."""
        return self._state == HEAD and bool(self._buffer)

    def forget(self) -> None:
        """Follow no further, and hold nothing."""
        self._state, self._buffer, self.message = HEAD, bytearray(), None

    def head(self, data: bytes) -> tuple[Message | None, bytes]:
        """Feed bytes while waiting for a head: the message that begins, and the bytes behind its head."""
        start = 0
        if self._buffer:
            buffer = self._buffer
            start = max(0, len(buffer) - 3)
            buffer += data
            if buffer.find(_HEAD_END, start) < 0:
                if len(buffer) > HEAD_BYTES_MAX:
                    raise Unframeable("the head is too long")
                return None, b""
            data, self._buffer, start = bytes(buffer), bytearray(), 0
        elif self._known and data.endswith(self._known):
            found = _REQUEST_LINE.fullmatch(data, 0, len(data) - len(self._known))
            if found is not None:
                message = self.message = Message(data, self._budget)
                message.method, message.complete = found[1], True
                return message, b""
        found = self._pattern.match(data)
        if found is None:
            while self._requests and data.startswith(b"\r\n", start):  # empty lines before a request are ignored (§2.2)
                start += 2
            if data.find(_HEAD_END, start) < 0 and len(data) - start <= HEAD_BYTES_MAX:
                self._buffer += data[start:]
                return None, b""
            found = self._pattern.match(data, start)
            if found is None:
                raise Unframeable("the head is not HTTP/1")
        head, rest = found[0], data[found.end() :]
        # No bare LF (every CR has its own, says the pattern), no NUL.
        if len(head) > HEAD_BYTES_MAX or head.count(b"\n") != head.count(b"\r") or 0 in head:
            raise Unframeable("the head is not HTTP/1")
        message = self.message = Message(head, self._budget)
        if self._requests:
            message.method, message.old = found[1], found[3] == b"0"
        else:
            message.status = int(found[1])
        return message, rest

    def begin_body(self, message: Message, *, bodiless: bool = False) -> None:
        """Decide how the body of ``message`` ends; ``bodiless``: it has none, whatever its head says."""
        if bodiless:
            message.complete = True
            return
        head = message.head
        lower = head.lower()
        at = lower.find(_LENGTH)
        if _CODING in lower:
            # In requests, length and chunks, or chunks in HTTP/1.0, are the classic ways to make parsers disagree. In answers chunks
            # overrule a length (§6.3), and all clients do as this says.
            if not _is_chunked(head, lower) or (self._requests and (at >= 0 or message.old)):
                raise self._refused(message, "Transfer-Encoding is ambiguous")
            message.chunked = True
            self._state = CHUNK_SIZE
        elif at >= 0:
            self._begin_length(message, lower, at)
        elif self._requests:
            message.complete = True
            self._known = head[head.find(b"\r\n") + 2 :] if len(head) <= KNOWN_BYTES_MAX else b""
        else:
            self._state = UNTIL_CLOSE

    def _begin_length(self, message: Message, lower: bytes, at: int) -> None:
        length = _length(message.head, lower, at)
        if length < 0:
            raise self._refused(message, "Content-Length is not one number")
        if length:
            self._left, self._state = length, LENGTH
        else:
            message.complete = True

    def _refused(self, message: Message, why: str) -> Unframeable:
        message.release()
        return Unframeable(why)

    def body(self, data: bytes) -> bytes:
        """Feed bytes of the body; what follows the message. ``message.complete`` tells its end."""
        message = self.message
        assert message is not None  # noqa: S101 - begin_body came first
        if self._state == LENGTH:
            left = self._left - len(data)
            if left > 0:
                self._left = left
                message.add(data, self._limit)
                return b""
            rest = b""
            if left < 0:
                data, rest = data[: self._left], data[self._left :]
            message.add(data, self._limit)
            self._end(message)
            return rest
        if self._state == UNTIL_CLOSE:
            message.add(data, self._limit)
            return b""
        return self._chunks(message, data)

    def _chunks(self, message: Message, data: bytes) -> bytes:
        if self._buffer:
            data, self._buffer = bytes(self._buffer) + data, bytearray()
        at, size = 0, len(data)
        while at < size:
            if self._state == CHUNK_DATA:
                take = data[at : at + self._left]
                message.add(take, self._limit)
                at += len(take)
                self._left -= len(take)
                if not self._left:
                    self._state = CHUNK_END
                continue
            if self._state == CHUNK_END:
                ending = data[at : at + 2]
                if ending == b"\r":
                    break
                if ending != b"\r\n":
                    raise Unframeable("a chunk has another length than it says")
                at += 2
                self._state = CHUNK_SIZE
                continue
            end = data.find(b"\n", at)
            if end < 0:
                if size - at > CHUNK_LINE_MAX:
                    raise Unframeable("a chunk line is too long")
                break
            line, at = data[at : end + 1], end + 1
            if not line.endswith(b"\r\n"):
                raise Unframeable("a line between chunks has no CR")
            if self._line(message, line[:-2]):
                return data[at:]
        self._buffer += data[at:]
        return b""

    def _line(self, message: Message, line: bytes) -> bool:
        """A chunk's size, a trailer, or the empty line that ends the message."""
        if self._state == CHUNK_SIZE:
            found = (_CHUNK_ASKED if self._requests else _CHUNK_ANSWERED).fullmatch(line)
            if found is None or len(line) > CHUNK_LINE_MAX:
                raise Unframeable("a chunk size is not a number")
            self._left = int(found[1], 16)
            self._state = CHUNK_DATA if self._left else TRAILERS
            self._trailer_bytes = 0
            return False
        if not line:
            self._end(message)
            return True
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > TRAILER_BYTES_MAX or _TRAILER.fullmatch(line) is None:
            raise Unframeable("the trailers are not HTTP")
        message.trailers += line + b"\r\n"
        return False

    def close(self) -> bool:
        """The connection ended in good order; whether that is the end of a message that has no other."""
        if self._state != UNTIL_CLOSE or self.message is None:
            return False
        self._end(self.message)
        return True

    def _end(self, message: Message) -> None:
        message.complete = True
        self._state = HEAD


def _length(head: bytes, lower: bytes, at: int) -> int:
    """The one Content-Length of a head, -1 when it has none that all would read alike; repeated ones must be equal."""
    value = head[at + len(_LENGTH) : head.find(b"\r\n", at + 2)].strip(b" \t")
    while (at := lower.find(_LENGTH, at + 2)) >= 0:
        if head[at + len(_LENGTH) : head.find(b"\r\n", at + 2)].strip(b" \t") != value:
            return -1
    return int(value) if value.isdigit() and len(value) <= LENGTH_DIGITS_MAX else -1


def _is_chunked(head: bytes, lower: bytes) -> bool:
    """Whether Transfer-Encoding is said once and is exactly ``chunked``."""
    at = lower.find(_CODING)
    if lower.find(_CODING, at + 2) >= 0:
        return False
    return lower[at + len(_CODING) : head.index(b"\r\n", at + 2)].strip(b" \t") == b"chunked"
