"""Whether a delivery comes from who has the secret: over the bytes as they came, and in a time that says nothing. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

STALE_S = 300
"""A signed time may be so far from ours, as Standard Webhooks says."""
SIGNATURES_MAX = 8
"""Of one header: an old and a new secret are two."""


def is_signed_hex(secret: bytes, body: bytes, given: str, prefix: str = "") -> bool:
    """Whether a header is the HMAC-SHA256 of the body in hex digits, as GitHub and Gitea write it."""
    expected = prefix + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return is_same(expected.encode(), given)


def is_same(secret: bytes, given: str) -> bool:
    """Whether a header is the secret itself, as older GitLabs send it."""
    return hmac.compare_digest(secret, given.encode("utf-8", "surrogateescape"))


def is_fresh(timestamp: str, now_s: float) -> bool:
    """Whether a signed time is about now."""
    return (
        timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16 and abs(int(timestamp) - now_s) <= STALE_S
    )


def is_signed_standard(secret: bytes, id: str, timestamp: str, body: bytes, given: str) -> bool:  # noqa: A002
    """Whether one of the signatures of a header is that of Standard Webhooks: of id, time and body."""
    expected = standard_signature(secret, id, timestamp, body)
    parts = given.split(" ")[:SIGNATURES_MAX]
    return any([is_same(expected, part) for part in parts])  # noqa: C419 - all of them, so that the time says nothing


def standard_signature(secret: bytes, id: str, timestamp: str, body: bytes) -> bytes:  # noqa: A002
    """The signature of Standard Webhooks: ``v1,`` and the base64 of the HMAC-SHA256 over id, time and body."""
    content = b".".join((id.encode("utf-8", "surrogateescape"), timestamp.encode("utf-8", "surrogateescape"), body))
    return b"v1," + base64.b64encode(hmac.new(standard_key(secret), content, hashlib.sha256).digest())


def standard_key(secret: bytes) -> bytes:
    """The key that a secret stands for: ``whsec_`` and base64, or its bytes."""
    if not secret.startswith(b"whsec_"):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        return secret
