"""Exact JSON: what orjson cannot hold (long digits, exponents, duplicate keys, NaN) read without loss."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

_RISKY = re.compile(rb"[0-9]{16}|[0-9][eE][+-]?[0-9]|NaN|Infinity|[0-9]\.[0-9]|\btrue\b|\bfalse\b")
_LONG = re.compile(rb"[0-9]{16}|[0-9][eE][+-]?[0-9]|NaN|Infinity")


class NotJson(ValueError):  # noqa: N818
    """The bytes are not JSON."""


def risky(data: bytes) -> bool:
    """Whether ``==`` on what orjson gives could be wrong for this text."""
    return _RISKY.search(data) is not None


class Exact:
    """A number kept as written."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.value: Any = Decimal(text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact) and self.value == other.value and ("." in self.text) == ("." in other.text)

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return self.text


def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; the second of two equal keys is kept under its own name."""
    found: dict[str, Any] = {}
    for key, value in items:
        name = key
        while name in found:
            name += "\u2032"
        found[name] = value
    return found


def parse_exact(data: bytes) -> Any:
    """Parse without loss; NotJson when it is not JSON or nests too deeply."""
    import orjson

    if not _LONG.search(data):
        return orjson.loads(data)
    try:
        return json.loads(
            data, parse_float=Exact, parse_int=lambda t: Exact(t) if len(t) > 15 else int(t), object_pairs_hook=pairs
        )
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
