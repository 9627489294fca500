"""From raw halves to the vocabulary's request and response. The recorder's part; nothing here runs in the relay."""

from __future__ import annotations

from capture.exchanging import Half
from echolane.bodies import keep
from echolane.exchange import ANSWER_BODY_KEPT, EMPTY, REQUEST_BODY_KEPT, Body, Headers, Request, Response

_LINES_MAX = 4096
"""Header lines remembered: most repeat from request to request, and a look-up is cheaper than taking one apart."""
_LINE_BYTES_MAX = 256  # so that they take 1 MiB at most, and no body-sized cookie stays
_lines: dict[bytes, tuple[bytes, bytes]] = {}


def request_of(half: Half, authority: str, limit: int = REQUEST_BODY_KEPT) -> Request:
    """The request of a checked head; ``authority`` is used where it names none, ``limit`` is for the decoded body."""
    line, _, rest = half.head.partition(b"\r\n")
    method, _, tail = line.partition(b" ")
    raw_target, _, version = tail.rpartition(b" ")
    target = raw_target.decode("latin-1")
    headers = headers_of(rest)
    if raw_target.startswith(b"/") or not (named := authority_in(target)):
        for name, value in headers:
            if len(name) == 4 and name.lower() == b"host":
                named = value.decode("latin-1")
                break
        else:
            named = authority
    return Request(
        method.decode("latin-1"),
        "http",
        named,
        target,
        version[5:].decode("latin-1"),
        headers,
        body_of(half, headers, limit),
        headers_of(half.trailers) if half.trailers else [],
    )


def response_of(half: Half, limit: int = ANSWER_BODY_KEPT) -> Response:
    """The response of a checked head; ``limit`` is for the decoded body."""
    line, _, rest = half.head.partition(b"\r\n")
    headers = headers_of(rest)
    return Response(
        int(line[9:12]),
        line[5:8].decode("latin-1"),
        headers,
        body_of(half, headers, limit),
        headers_of(half.trailers) if half.trailers else [],
        line[13:],
        not half.complete,
    )


def headers_of(block: bytes) -> Headers:
    """Name-value pairs of the lines of a checked head (or trailers), as sent."""
    get = _lines.get
    return [get(line) or _pair(line) for line in block.rstrip(b"\r\n").split(b"\r\n") if line]


def _pair(line: bytes) -> tuple[bytes, bytes]:
    """One name-value pair; blanks around a value are not part of it."""
    name, _, value = line.partition(b":")
    pair = (name, value.strip(b" \t"))
    if len(line) <= _LINE_BYTES_MAX:
        if len(_lines) >= _LINES_MAX:
            _lines.clear()
        _lines[line] = pair
    return pair


def body_of(half: Half, headers: Headers, limit: int) -> Body:
    """The body, decoded where its Content-Encoding can be undone, and cut."""
    if not half.size:
        return Body(chunked=True) if half.chunked else EMPTY
    return keep(
        half.body, limit, encoding=encoding_of(headers), chunked=half.chunked, size=half.size, digest=half.digest
    )


def encoding_of(headers: Headers) -> str:
    """All Content-Encoding values of a message, in order."""
    values = [value for name, value in headers if len(name) == 16 and name.lower() == b"content-encoding"]
    return b",".join(values).decode("latin-1") if values else ""


def authority_in(target: str) -> str:
    """The authority of a target in absolute form, or of CONNECT; empty for any other."""
    scheme, colon, rest = target.partition("://")
    if colon and scheme.isalpha():
        return rest.partition("/")[0].partition("?")[0]
    return ""
