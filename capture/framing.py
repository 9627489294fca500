"""Where HTTP/1 messages end: one direction of a connection, bytes in, messages out. Pure.

Followed only as far as recording needs (RFC 9112): the head is kept as bytes and checked once, the body is taken out of its chunks.
What two parsers could read differently (both length and chunks, two lengths, folded lines, NUL or bare CR, names that are no
token, bad chunk ends) raises :class:`Unframeable`: such bytes are relayed untouched and not recorded. :mod:`capture.exchanging`
pairs requests with answers; :mod:`capture.relay` moves the bytes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

HEAD_BYTES_MAX = 256 * 1024
"""Servers stop at 8 to 64 KiB; a longer head is not worth recording."""
CHUNK_LINE_MAX = 4096
TRAILER_BYTES_MAX = 64 * 1024

_HEADER = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n"
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\r\n\0]+) HTTP/1\.([01])\r\n(?:" + _HEADER + rb")*\r\n")
_RESPONSE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?\r\n(?:" + _HEADER + rb")*\r\n")
_FRAMING = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|upgrade)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
HEAD, LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, UNTIL_CLOSE = range(7)


class Unframeable(Exception):  # noqa: N818
    """These bytes have no end that every parser would agree on."""


class Message:
    """One message as far as it has come. ``body`` is without chunks, kept up to a limit; ``size`` and ``digest`` are of all of it."""

    __slots__ = (
        "_hash",
        "body",
        "chunked",
        "close",
        "complete",
        "head",
        "limit",
        "method",
        "size",
        "status",
        "trailers",
        "truncated",
        "upgrade",
    )

    def __init__(self, head: bytes, limit: int) -> None:
        self.head, self.limit = head, limit
        self.method = b""
        self.status = 0
        self.body: bytes | bytearray = b""
        self.size = 0
        self.chunked = self.truncated = self.complete = self.close = self.upgrade = False
        self.trailers = b""
        self._hash: Any = None

    def add(self, data: bytes) -> None:
        """Body bytes, without chunk framing."""
        self.size += len(data)
        if self.truncated:
            self._hash.update(data)
            return
        if not self.body:
            self.body = data
        else:
            if isinstance(self.body, bytes):
                self.body = bytearray(self.body)
            self.body += data
        if len(self.body) > self.limit:
            self.truncated = True
            self._hash = hashlib.blake2b(self.body, digest_size=16)
            self.body = bytes(self.body[: self.limit])

    @property
    def digest(self) -> bytes:
        """Of the whole body, when it was cut."""
        return self._hash.digest() if self._hash is not None else b""


class Framer:
    """Finds the messages of one direction. ``requests``: whether it is the client's."""

    def __init__(self, *, requests: bool, limit: int) -> None:
        self._requests, self._limit = requests, limit
        self._state = HEAD
        self._buffer = b""
        self._left = 0
        self._seen_trailers = 0
        self.message: Message | None = None
        """The message whose body is being read."""

    @property
    def idle(self) -> bool:
        """Whether no message has begun."""
        return self._state == HEAD and not self._buffer

    def head(self, data: bytes) -> tuple[Message | None, bytes]:
        """Feed bytes while waiting for a head: the message that begins, and the bytes behind its head."""
        if self._buffer:
            data = self._buffer + data
        start = 0
        while (
            self._requests and data[start : start + 2] == b"\r\n"
        ):  # an empty line before a request is to be ignored (§2.2)
            start += 2
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            if len(data) - start > HEAD_BYTES_MAX:
                raise Unframeable("the head is too long")
            self._buffer = data[start:]
            return None, b""
        self._buffer = b""
        head = data[start : end + 4]
        found = (_REQUEST if self._requests else _RESPONSE).fullmatch(head)
        if found is None or len(head) > HEAD_BYTES_MAX:
            raise Unframeable("the head is not HTTP/1")
        message = self.message = Message(head, self._limit)
        if self._requests:
            message.method = found[1]
            message.close = found[3] == b"0"
        else:
            message.status = int(found[2])
            message.close = found[1] == b"0"
        return message, data[end + 4 :]

    def begin_body(self, message: Message, *, bodiless: bool) -> None:
        """Decide how the body of ``message`` ends; ``bodiless``: it has none whatever its head says."""
        length: bytes | None = None
        for name, value in _FRAMING.findall(message.head):
            match name[0] | 0x20:
                case 0x63 if len(name) == 14:  # content-length
                    if not value.isdigit() or (length is not None and length != value):
                        raise Unframeable("Content-Length is not one number")
                    length = value
                case 0x74:  # transfer-encoding
                    if message.chunked or value.lower() != b"chunked":
                        raise Unframeable("Transfer-Encoding is not chunked")
                    message.chunked = True
                case 0x63:  # connection
                    words = value.lower()
                    message.close = b"close" in words or (message.close and b"keep-alive" not in words)
                case _:
                    message.upgrade = True
        if message.chunked and length is not None:
            raise Unframeable("both Content-Length and Transfer-Encoding")
        if bodiless:
            message.complete = True
        elif message.chunked:
            self._state = CHUNK_SIZE
        elif length is not None:
            self._left = int(length)
            message.complete = self._left == 0
            self._state = HEAD if message.complete else LENGTH
        elif self._requests:
            message.complete = True
        else:
            self._state, message.close = UNTIL_CLOSE, True

    def body(self, data: bytes) -> bytes:
        """Feed bytes of the body; what follows the message. ``message.complete`` tells its end."""
        message = self.message
        assert message is not None  # noqa: S101 - begin_body came first
        state = self._state
        if state == LENGTH:
            take, rest = data[: self._left], data[self._left :]
            self._left -= len(take)
            message.add(take)
            if self._left == 0:
                self._finish(message)
            return rest
        if state == UNTIL_CLOSE:
            message.add(data)
            return b""
        return self._chunks(message, data)

    def _chunks(self, message: Message, data: bytes) -> bytes:
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        at = 0
        while not message.complete:
            if self._state in {CHUNK_DATA, CHUNK_END}:
                at = self._chunk_data(message, data, at)
            if at < 0:
                return b""
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > CHUNK_LINE_MAX:
                    raise Unframeable("a chunk line is too long")
                self._buffer = data[at:]
                return b""
            self._chunk_line(message, data[at:end])
            at = end + 2
        return data[at:]

    def _chunk_data(self, message: Message, data: bytes, at: int) -> int:
        """The data of a chunk and the line end behind it; where its successor begins, -1 when more is needed."""
        if self._state == CHUNK_DATA:
            take = data[at : at + self._left]
            message.add(take)
            self._left -= len(take)
            at += len(take)
            if self._left:
                return -1
            self._state = CHUNK_END
        ending = data[at : at + 2]
        if ending != b"\r\n":
            if ending not in {b"", b"\r"}:
                raise Unframeable("a chunk has another length than it says")
            self._buffer = ending
            return -1
        self._state = CHUNK_SIZE
        return at + 2

    def _chunk_line(self, message: Message, line: bytes) -> None:
        """A chunk's size, or a line of the trailers."""
        if self._state == CHUNK_SIZE:
            found = _SIZE.fullmatch(line)
            if found is None:
                raise Unframeable("a chunk size is not a number")
            self._left = int(found[1], 16)
            self._state = CHUNK_DATA if self._left else TRAILERS
            self._seen_trailers = 0
        elif line:
            self._seen_trailers += len(line) + 2
            if self._seen_trailers > TRAILER_BYTES_MAX or b"\r" in line or b"\0" in line:
                raise Unframeable("the trailers are not HTTP")
            message.trailers += line + b"\r\n"
        else:
            self._finish(message)

    def _finish(self, message: Message) -> None:
        message.complete = True
        self._state = HEAD

    def close(self) -> bool:
        """The connection ended; whether that completed the message (a body that lasts until the close)."""
        if self._state == UNTIL_CLOSE and self.message is not None:
            self._finish(self.message)
            return True
        return False
