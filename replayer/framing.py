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

import msgspec

from echolane.exchange import ANSWER_BODY_KEPT, Headers

HEAD_BYTES_MAX = 1024 * 1024
"""Bytes of one head. Servers stop at 8-64 KiB; beyond 1 MiB an endless head would fill our memory."""
HEADERS_MAX = 16_384
"""Header lines of one head or trailer section: far above any application's, and their parsing stays below 20 ms."""
INTERIM_MAX = 32
"""1xx answers before the final one; a server that sends more is not going to answer."""
_LINE_MAX = 512
"""A status line is shorter; a head whose first line does not end in CR LF within it uses bare line feeds."""
CHUNK_LINE_MAX = 4096
"""A chunk size with its extensions."""

_STATUS = re.compile(rb"HTTP/1\.([01]) +([1-5][0-9][0-9])(?: ([^\r\n]*))?(\r?\n|\Z)")
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding|connection)[ \t]*:([^\r\n]*)")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_FIRST, _HEAD, _LENGTH, _CLOSE, _CHUNK_SIZE, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _DONE = range(9)


class _Hash(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""
        ...

    def digest(self) -> bytes:
        """The digest so far."""
        ...


class Garbage(Exception):  # noqa: N818 - it names what came, not a fault of ours
    """What came is no HTTP/1 response; ``reason`` is a word of :data:`echolane.observation.FAILURES`."""

    def __init__(self, reason: str = "garbage") -> None:
        super().__init__(reason)
        self.reason = reason


class Answer(msgspec.Struct, gc=False):
    """One response as it came over the wire, its head unparsed, its body without chunks."""

    status: int = 0
    head: bytes = b""
    """Status line and headers, without the empty line."""
    body: bytes = b""
    """At most ANSWER_BODY_KEPT bytes of it."""
    size: int = 0
    """Length of all of it."""
    digest: bytes = b""
    """blake2b-128 of all of it; only when it is not kept whole."""
    chunked: bool = False
    trailers: bytes = b""
    incomplete: bool = False

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {self.size} bytes{', incomplete' if self.incomplete else ''}>"

    def same(self, other: Answer) -> bool:
        """Whether both came as the same bytes (chunk sizes aside)."""
        return (
            self.head == other.head
            and self.body == other.body
            and self.size == other.size
            and self.incomplete == other.incomplete
            and self.trailers == other.trailers
            and self.digest == other.digest
        )


def whole(data: bytes, *, head_only: bool) -> Answer | None:
    """The answer when ``data`` is exactly one, framed by its length, after which the connection stays open; else None.

    Most answers are; the others go through :class:`AnswerReader`, which gives the same result for these, too.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end]
    known = _known.get(head)
    if known is None:
        if _is_bare(head):
            return None
        known = _learn(head)
    status, state, left, alive = known
    if status < 200 or not alive:
        return None
    if head_only or state == _DONE:
        return Answer(status, head) if len(data) == end + 4 else None
    if state == _LENGTH and left == len(data) - end - 4 and left <= ANSWER_BODY_KEPT:
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
        known = _known.get(head)
        if known is None:
            known = _learn(head)
        status, state, left, alive = known
        if status < 200 and status != 101:
            return False
        answer = self.answer
        answer.status, answer.head = status, head
        if self._head_only:
            state = _DONE
        answer.chunked = state == _CHUNK_SIZE
        self._state, self._left, self.keep_alive = state, left, alive
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
        room = ANSWER_BODY_KEPT - self._kept
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


def headers_of(head: bytes) -> tuple[str, bytes, Headers]:
    """HTTP version, reason and headers of a head: order, case and repetition kept, folded lines joined by a blank."""
    parsed = _parsed.get(head)
    if parsed is None:
        line = _STATUS.match(head)
        rest = head[line.end() :] if line else head
        version = f"1.{line[1].decode()}" if line else "1.1"
        parsed = version, (line[3] or b"").strip() if line else b"", pairs_of(rest)
        if len(head) <= _KNOWN_HEAD_MAX:
            if len(_parsed) >= _KNOWN_MAX:
                _parsed.clear()
            _parsed[head] = parsed
    return parsed


def pairs_of(block: bytes) -> Headers:
    """Name-value pairs of header or trailer lines."""
    pairs: Headers = []
    if not block:
        return pairs
    for raw in block.split(b"\n"):
        name, colon, value = raw.partition(b":")
        if raw[:1] in {b" ", b"\t"} and pairs:
            last, before = pairs[-1]
            pairs[-1] = (last, before + b" " + raw.strip())
        elif colon:
            pairs.append((name, value.strip(b" \t\r")))
        elif raw.strip():
            pairs.append((raw.strip(), b""))
    return pairs


_Framing = tuple[int, int, int, bool]
_known: dict[bytes, _Framing] = {}
"""Heads seen lately and what they say: most answers of a second share theirs, and a look-up costs a tenth of reading it."""
_parsed: dict[bytes, tuple[str, bytes, Headers]] = {}
_KNOWN_MAX = 512
_KNOWN_HEAD_MAX = 2048


def _learn(head: bytes) -> _Framing:
    """Status, how the body is framed, its length, and whether the connection stays open (RFC 9112 §6.3 and §9.3)."""
    if len(head) > HEAD_BYTES_MAX or (len(head) > HEADERS_MAX and head.count(b"\n") > HEADERS_MAX):
        raise Garbage("too-large")
    line = _STATUS.match(head)
    if line is None:
        raise Garbage
    status = int(line[2])
    connection, lengths, codings = _framing_headers(head)
    alive = b"close" not in connection and (line[1] == b"1" or b"keep-alive" in connection)
    state, left = _CLOSE, 0
    if status in {204, 304} or status < 200:
        state = _DONE
        alive = alive and status != 101
    elif codings:
        state = _CHUNK_SIZE if codings[-1] == b"chunked" else _CLOSE
        alive = alive and not lengths  # both: where the next answer begins is in doubt
    elif lengths:
        if len(set(lengths)) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
            raise Garbage
        left = int(lengths[0])
        state = _LENGTH if left else _DONE
    framing = (status, state, left, alive and state != _CLOSE)
    if len(head) <= _KNOWN_HEAD_MAX:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        _known[head] = framing
    return framing


def _framing_headers(head: bytes) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Members of Connection, of Content-Length and of Transfer-Encoding, in order."""
    connection: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for name, value in _FRAMING.findall(head.lower()):
        sink = connection if name == b"connection" else lengths if name == b"content-length" else codings
        sink += [member.strip() for member in value.split(b",")]
    return connection, lengths, [coding for coding in codings if coding]


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
