"""An answer as it came over the wire, and what its head says. Pure; :mod:`replayer.framing` cuts it out of the stream.

Heads are kept as bytes: four equal answers are recognised without parsing any, and what a head says is looked up where the same
head was seen a moment ago. The rules of framing are those of RFC 9112 §6.3; what breaks them is :class:`Garbage`.
"""

from __future__ import annotations

import re

import msgspec

from echolane.exchange import Headers

HEAD_BYTES_MAX = 1024 * 1024
"""Bytes of one head. Servers stop at 8-64 KiB; beyond 1 MiB an endless head would fill our memory."""
HEADERS_MAX = 16_384
"""Header lines of one head or trailer section: far above any application's, and their parsing stays below 20 ms."""
BY_CLOSE, BY_LENGTH, BY_CHUNKS, NO_BODY = range(4)
"""How a body ends."""
_STATUS = re.compile(rb"HTTP/1\.([01]) +([1-5][0-9][0-9])(?: ([^\r\n]*))?(\r?\n|\Z)")
_FRAMING = re.compile(rb"\n(content-length|transfer-encoding|connection)[ \t]*:([^\r\n]*)")


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
    """At most OBSERVED_BODY_KEPT bytes of it."""
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


Framing = tuple[int, int, int, bool]
KNOWN: dict[bytes, Framing] = {}
"""Heads seen lately and what they say: most answers of a second share theirs, and a look-up costs a tenth of reading it."""
_parsed: dict[bytes, tuple[str, bytes, Headers]] = {}
_KNOWN_MAX = 512
_KNOWN_HEAD_MAX = 2048


def learn(head: bytes) -> Framing:
    """Status, how the body is framed, its length, and whether the connection stays open (RFC 9112 §6.3 and §9.3)."""
    if len(head) > HEAD_BYTES_MAX or (len(head) > HEADERS_MAX and head.count(b"\n") > HEADERS_MAX):
        raise Garbage("too-large")
    line = _STATUS.match(head)
    if line is None:
        raise Garbage
    status = int(line[2])
    connection, lengths, codings = _framing_headers(head)
    alive = b"close" not in connection and (line[1] == b"1" or b"keep-alive" in connection)
    framed, left = BY_CLOSE, 0
    if status in {204, 304} or status < 200:
        framed = NO_BODY
        alive = alive and status != 101
    elif codings:
        framed = BY_CHUNKS if codings[-1] == b"chunked" else BY_CLOSE
        alive = alive and not lengths  # both: where the next answer begins is in doubt
    elif lengths:
        if len(set(lengths)) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
            raise Garbage
        left = int(lengths[0])
        framed = BY_LENGTH if left else NO_BODY
    framing = (status, framed, left, alive and framed != BY_CLOSE)
    if len(head) <= _KNOWN_HEAD_MAX:
        if len(KNOWN) >= _KNOWN_MAX:
            KNOWN.clear()
        KNOWN[head] = framing
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
