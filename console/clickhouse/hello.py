"""The first answer that ClickHouse's client for Go (and so Grafana's plugin) reads, before it knows how blocks are written here.

It says ``client_protocol_version`` and reads the answer that holds ``revision()`` as of that revision; from then on it reads blocks as of the
lower of both, which is 0: as the engine writes them. So this one answer, of texts and whole numbers, is written as it expects.
"""

from __future__ import annotations

import re

BLOCK_INFO, SERIALIZATION = 51_903, 54_454
"""Revisions from which a block begins with its info, and a column says how its values are laid out."""
BYTES_MAX = 4096
_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_REVISION = re.compile(r"\brevision\s*\(\s*\)", re.IGNORECASE)
_WIDTHS = {"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8}


def greeted(statement: str, body: bytes, revision: str) -> bytes:
    """The answer in the client's revision where it greets; any other as it is."""
    if not revision.isdigit() or int(revision) < BLOCK_INFO or len(body) > BYTES_MAX or not _REVISION.search(statement):
        return body
    try:
        return _INFO + _block(body, b"\x00" if int(revision) >= SERIALIZATION else b"")
    except (IndexError, KeyError):
        return body  # more than a greeting


def _block(body: bytes, mark: bytes) -> bytes:
    columns, at = _number(body, 0)
    rows, at = _number(body, at)
    whole = body[:at]
    for _ in range(columns):
        name, at = _text(body, at)
        kind, at = _text(body, at)
        begin = at
        if kind[1:] == b"String":
            for _ in range(rows):
                _, at = _text(body, at)
        else:
            at += _WIDTHS[kind[1:].decode()] * rows
        whole += name + kind + mark + body[begin:at]
    if at != len(body):
        raise IndexError
    return whole


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    while True:
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _text(body: bytes, at: int) -> tuple[bytes, int]:
    """A short text with its length before it, and where it ends."""
    size, begin = _number(body, at)
    if begin + size > len(body) or begin - at != 1:
        raise IndexError
    return body[at : begin + size], begin + size
