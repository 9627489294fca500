"""From raw bytes to an exchange's request and response. The recorder's part; nothing here runs in the relay. Pure."""

from __future__ import annotations

from capture.exchanging import Half
from echolane.bodies import decode
from echolane.exchange import EMPTY, Body, Headers, Request, Response


def headers_of(block: bytes) -> Headers:
    """Name-value pairs of a checked head's lines, as sent; blanks around a value are not part of it."""
    pairs: Headers = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            pairs.append((name, value.strip(b" \t")))
    return pairs


def body_of(half: Half, headers: Headers) -> Body:
    """The body, decoded where its Content-Encoding could be undone."""
    if not half.size:
        return Body(chunked=True) if half.chunked else EMPTY
    encoding = (
        b",".join(value for name, value in headers if name.lower() == b"content-encoding").decode("latin-1").lower()
    )
    data, undecoded = half.body, ""
    if encoding:
        decoded = decode(half.body, encoding, partial=half.truncated or not half.complete)
        data, undecoded = decoded.data, decoded.undecoded
    return Body(
        data=data,
        size=half.size,
        encoding="" if undecoded else encoding,
        digest=half.digest,
        truncated=half.truncated,
        undecoded=undecoded,
        chunked=half.chunked,
    )


def request_of(half: Half, authority: str) -> Request:
    """The request of a checked head; ``authority`` is used where it names no host."""
    line, _, rest = half.head.partition(b"\r\n")
    method, _, tail = line.lstrip(b"\r\n").partition(b" ")
    target, _, version = tail.rpartition(b" ")
    headers = headers_of(rest)
    host = next((value for name, value in headers if name.lower() == b"host"), None)
    return Request(
        method=method.decode("latin-1"),
        scheme="http",
        authority=host.decode("latin-1") if host is not None else authority,
        target=target.decode("latin-1"),
        http_version=version[5:].decode("latin-1"),
        headers=headers,
        body=body_of(half, headers),
        trailers=headers_of(half.trailers) if half.trailers else [],
    )


def response_of(half: Half) -> Response:
    """The response of a checked head."""
    line, _, rest = half.head.partition(b"\r\n")
    headers = headers_of(rest)
    return Response(
        status=int(line[9:12]),
        http_version=line[5:8].decode("latin-1"),
        headers=headers,
        body=body_of(half, headers),
        trailers=headers_of(half.trailers) if half.trailers else [],
        reason=line[13:],
        incomplete=not half.complete,
    )
