"""Digests of a body that a request states of itself: written anew where the body was rewritten. Pure.

A digest is only touched when the recorded one matched the recorded body: a wrong one was sent wrong, and is sent so again. What is
known: Content-MD5, Digest (RFC 3230), Content-Digest and Repr-Digest (RFC 9530), x-amz-content-sha256.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from echolane.exchange import Headers

_NAMES = frozenset({b"content-md5", b"digest", b"content-digest", b"repr-digest", b"x-amz-content-sha256"})
_ALGORITHMS = {b"md5": "md5", b"sha": "sha1", b"sha-256": "sha256", b"sha-512": "sha512"}
_MEMBER = re.compile(rb"(?P<name>[A-Za-z0-9-]+)(?P<open>=:?)(?P<value>[A-Za-z0-9+/]+={0,2})(?P<close>:?)")


class Bodies(NamedTuple):
    """A body in the two forms a digest may be of."""

    wire: bytes
    """As it is sent, encoded."""
    plain: bytes
    """Decoded."""


def has_digest(headers: Headers) -> bool:
    """Whether any header states a digest of the body."""
    return any(name.lower() in _NAMES for name, _ in headers)


def with_digests(headers: Headers, before: Bodies, after: Bodies) -> tuple[Headers, list[str]]:
    """The headers with the digests of ``after`` where they had those of ``before``, and what was written anew, in words."""
    out: Headers = []
    notes: list[str] = []
    for name, value in headers:
        low = name.lower()
        new = _anew(low, value, before, after) if low in _NAMES else value
        if new != value:
            notes.append(f"header {low.decode('latin-1')}: digest of the rewritten body")
        out.append((name, new))
    return (out, notes) if notes else (headers, notes)


def _anew(name: bytes, value: bytes, before: Bodies, after: Bodies) -> bytes:
    if name == b"content-md5":
        return _swapped("md5", value, before, after, base64.b64encode) or value
    if name == b"x-amz-content-sha256":
        return _swapped("sha256", value, before, after, lambda digest: digest.hex().encode()) or value

    def member(found: re.Match[bytes]) -> bytes:
        algorithm = _ALGORITHMS.get(found["name"].lower())
        new = _swapped(algorithm, found["value"], before, after, base64.b64encode) if algorithm else None
        return found[0] if new is None else found["name"] + found["open"] + new + found["close"]

    return _MEMBER.sub(member, value)


def _swapped(
    algorithm: str, stated: bytes, before: Bodies, after: Bodies, written: Callable[[bytes], bytes]
) -> bytes | None:
    """The digest of the new body in the form in which the old one matched; None where it did not."""
    for old, new in zip(before, after, strict=True):
        if written(_digest(algorithm, old)) == stated:
            return written(_digest(algorithm, new))
    return None


def _digest(algorithm: str, data: bytes) -> bytes:
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()
