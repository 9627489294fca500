"""One place at which two answers differ: what :mod:`differ.compare` finds and :mod:`differ.evidence` weighs."""

from __future__ import annotations

import re

import msgspec

PRESENCE, TYPE, FORMAT, VALUE = range(4)
FACETS = ("presence", "type", "format", "value")
PERMUTATION, CLOCK, DERIVED, GREEDY = 1, 2, 4, 8
"""Flags. GREEDY: in an array of so many elements without a key that another pairing of them might show fewer differences."""
EXCERPT_BYTES = 16 * 1024
BROKEN, RENAMING = "relation-broken:", "renaming:"
"""How the signature of a change begins that :mod:`differ.renaming` has placed."""
ORDER_OF = "order of "
"""What the signature of a list in another order says before how many members it has; what is shown are those that moved."""
UNSAID = frozenset(("", "text/plain", "application/octet-stream"))
"""Media types that do not say what a text or bytes are."""
_MEDIA = re.compile(r"[a-z0-9][\w.+-]{0,60}/[a-z0-9][\w.+-]{0,60}", re.ASCII)
_FORMED = re.compile(rf"(\w+:)as ({_MEDIA.pattern}):", re.ASCII)


class Difference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One place (generalised, ``[*]``) of one pair of answers; the same (where, kind) twice is one with ``count``."""

    where: str
    kind: str
    facet: int
    """The first facet at which the two values differ."""
    klass: str = ""
    """Generative class of either value: time, uuid, hash, counter, token; empty otherwise."""
    flags: int = 0
    count: int = 1
    old: str | None = None
    """JSON text, at most 16 KiB; None where missing."""
    new: str | None = None
    values: int = 0
    """64-bit digest of the pair of whole values; :func:`turned` where they came and none went."""
    signature: str = ""
    """Equal for the same change at other endpoints."""
    rule: int = 0
    """Number of the rule that explains it, from 1; 0 where none does."""


def turned(values: int) -> int:
    """The digest of values that went as that of the same values that came, and the other way round."""
    return values >> 32 | (values & 0xFFFF_FFFF) << 32


def formed(media: str, signature: str) -> str:
    """The signature of a change of a whole body of this media type, which has no places by which one document is told from another."""
    return signature if media in UNSAID or _MEDIA.fullmatch(media) is None else f"as {media}:{signature}"


def form_of(signature: str) -> tuple[str, str]:
    """The media type that the signature of a change names, and the signature without it."""
    found = _FORMED.match(signature)
    return (found[2], found[1] + signature[found.end() :]) if found else ("", signature)


def names_of(signature: str) -> tuple[str, str]:
    """By what a rule may name a change: as it is told, and without its media type."""
    return signature, form_of(signature)[1]
