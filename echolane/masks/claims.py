"""What a JSON web token says, with its texts and numbers masked: so that two tokens can be told apart by their claims (RFC 7519).

Names, types, nesting, truths and times stay, as does how it is signed; everything else is masked by itself, so that a claim that
changed shows as another mask of the same name, and one that is equal in two tokens is equal in their masks. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import orjson

from echolane.base64url import encode, object_of

BYTES_MAX = 8 * 1024
"""A longer token is masked as a whole: servers refuse headers of this size."""
_NODES_MAX = 512
"""Values of one token; a token with more is data, and is masked as a whole."""
_DEPTH_MAX = 32
"""Claims are flat, roles of common servers two or three deep; it bounds our own recursion."""
_NAME = re.compile(r"(?!.*[0-9]{4})[A-Za-z_][A-Za-z0-9_:/.#-]{0,63}")
"""Names that somebody wrote into a program, among them addresses of claims; others are masked, for data may be a name, too."""
_PLAIN = frozenset(("alg", "typ", "cty", "enc"))
_KIND = re.compile(r"[A-Za-z0-9+/.-]{1,24}")
_TIMES = frozenset(("iat", "exp", "nbf", "auth_time", "updated_at"))
_SECONDS, _MILLIS = (10**9, 10**10), (10**12, 10**13)
"""Numbers that read as an instant stay such a number: in what else than a time of these names it may be somebody's telephone."""

Mask = Callable[[bytes], bytes]


class _TooMuch(Exception):  # noqa: N818 - ends a walk
    """More values, or deeper ones, than a token has."""


def masked(token: bytes, mask: Mask, number: Callable[[bytes, int], int]) -> bytes | None:
    """Header and claims of a token with masks on, as ``header.claims``; None where it is none that can be read.

    ``mask`` masks a text, ``number`` makes of a value and a bound a keyed number below it.
    """
    parts = token.split(b".")
    if len(parts) != 3 or len(token) > BYTES_MAX:
        return None
    header, claims = object_of(parts[0]), object_of(parts[1])
    if header is None or claims is None:
        return None
    walk = _Walk(mask, number)
    try:
        said = [walk.of_object(header, 0, header=True), walk.of_object(claims, 0)]
    except _TooMuch:
        return None
    return b".".join(encode(orjson.dumps(one)) for one in said)


class _Walk:
    """One token."""

    def __init__(self, mask: Mask, number: Callable[[bytes, int], int]) -> None:
        self._mask, self._number = mask, number
        self._left = _NODES_MAX

    def of_object(self, value: dict[str, Any], depth: int, *, header: bool = False) -> dict[str, Any]:
        """An object with masks on; a header's words about how it is signed stay."""
        out: dict[str, Any] = {}
        for name, held in value.items():
            how = header and name in _PLAIN and isinstance(held, str) and _KIND.fullmatch(held)
            when = depth == 0 and name in _TIMES and isinstance(held, int | float)
            if how or when:
                out[name] = held
            else:
                out[name if _NAME.fullmatch(name) else self._text(name)] = self._of(held, depth + 1)
        return out

    def _of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth > _DEPTH_MAX or self._left < 0:
            raise _TooMuch
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return self._figure(value)
        if isinstance(value, list):
            return [self._of(one, depth + 1) for one in cast("list[Any]", value)]
        return self.of_object(value, depth + 1)

    def _text(self, value: str) -> str:
        return self._mask(value.encode()).decode("latin-1")

    def _figure(self, value: float) -> float:
        """A number of the same type, in the same reading."""
        for low, high in (_SECONDS, _MILLIS):
            if low < value < high:
                kept = low + 1 + self._number(orjson.dumps(value), high - low - 2)
                return kept if isinstance(value, int) else kept + 0.5
        kept = 9 * 10**14 + self._number(orjson.dumps(value), 10**14)
        return kept if isinstance(value, int) else kept + 0.5
