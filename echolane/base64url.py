"""Bytes as text of the URL-safe alphabet without padding (RFC 4648 §5): marks, tokens, parts of a JSON Web Token."""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

import orjson

_URLSAFE = bytes.maketrans(b"+/", b"-_")


def encode(data: bytes) -> bytes:
    """The text; a third of the time that :mod:`base64` takes for it, which each mark of a replay pays."""
    return binascii.b2a_base64(data, newline=False).translate(_URLSAFE, b"=")


def decode(text: bytes) -> bytes:
    """The bytes of such a text; ValueError where it has a length that none has. Signs of no alphabet are passed over."""
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def object_of(text: bytes) -> dict[str, Any] | None:
    """The JSON object that a part of a JSON Web Token holds; None where it holds none."""
    try:
        value = orjson.loads(decode(text))
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
