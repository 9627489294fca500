"""Multipart bodies as their parts: fields and files by name, other parts in order. The boundary between them is nobody's business."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from differ.magics import text_of
from echolane.exchange import Headers

PARTS_MAX = 1_000
"""Parts that are told apart; a form that people fill in has a hundred at most, a batch answer some hundreds."""
HEADER_BYTES_MAX = 16 * 1024
"""Bytes of the headers of one part; servers refuse more."""
_PARAMETER = re.compile(r";\s*([\w*-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]*))")
_ESCAPED = re.compile(r"\\(.)")

Inner = Callable[[bytes, Headers], Any]
"""The value of the content of one part."""


def parameter(value: str, name: str) -> str | None:
    """A parameter of a header's value (RFC 9110, 5.6.6); None where it has none such."""
    for key, quoted, plain in _PARAMETER.findall(value):
        if key.lower() == name:
            return _ESCAPED.sub(r"\1", quoted) or plain
    return None


def boundary_of(headers: Headers) -> bytes | None:
    """What stands between the parts, as the headers say; None where they do not."""
    for name, value in headers:
        if name.lower() == b"content-type":
            found = parameter(value.decode("latin-1"), "boundary")
            return found.encode("latin-1") if found else None
    return None


def parts_of(data: bytes, boundary: bytes, inner: Inner) -> dict[str, Any] | list[Any] | None:
    """The parts by name, those of one name as a list; a list of all where one has no name. None where it is no such body."""
    chunks = _chunks(data, boundary)
    if chunks is None:
        return None
    named: dict[str, list[Any]] = {}
    every: list[Any] = []
    for chunk in chunks:
        headers, content = _part(chunk)
        name, value = _value(headers, content, inner)
        every.append(value)
        if name is not None:
            named.setdefault(name, []).append(value)
    if sum(map(len, named.values())) != len(every):
        return every
    return {name: values if len(values) > 1 else values[0] for name, values in named.items()}


def _chunks(data: bytes, boundary: bytes) -> list[bytes] | None:
    """The bytes of each part, headers and all."""
    mark = b"--" + boundary
    for line in (b"\r\n", b"\n"):
        chunks = (line + data).split(line + mark, PARTS_MAX + 2)
        if len(chunks) > 1:
            break
    else:
        return None
    found: list[bytes] = []
    for chunk in chunks[1:]:
        if chunk.startswith(b"--"):
            break
        found.append(chunk.lstrip(b" \t"))
    return found if len(found) <= PARTS_MAX else None


def _part(chunk: bytes) -> tuple[Headers, bytes]:
    """The headers of a part, and its content."""
    chunk = chunk.removeprefix(b"\r").removeprefix(b"\n")
    if chunk.startswith((b"\r\n", b"\n")):  # no headers at all
        return [], chunk.removeprefix(b"\r").removeprefix(b"\n")
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := chunk.find(mark, 0, HEADER_BYTES_MAX)) >= 0]
    if not ends:
        return [], chunk
    end, length = min(ends)
    headers: Headers = []
    for line in chunk[:end].split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    return headers, chunk[end + length :]


def _value(headers: Headers, content: bytes, inner: Inner) -> tuple[str | None, Any]:
    """The name of a part and what it says: the content of a field; of a file its name and type, too; of others all headers."""
    fields = {name.decode("latin-1"): text_of(value) for name, value in headers}
    disposition, media = fields.get("content-disposition", ""), fields.get("content-type", "")
    name = parameter(disposition, "name")
    value = inner(content, headers)
    if name is None:
        return None, {"headers": fields, "content": value}
    filename = parameter(disposition, "filename*") or parameter(disposition, "filename")
    if filename is None and media in {"", "text/plain"}:
        return name, value
    return name, {"filename": filename, "type": media, "content": value}
