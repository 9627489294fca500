"""Edits of a text: which bytes are replaced by what, and how to take the replacement back.

Scanners (:mod:`echolane.masks.scan`, :mod:`echolane.masks.pairs`, :mod:`echolane.masks.forms`) claim spans; :func:`apply` settles
overlaps and returns what :mod:`echolane.seal` needs to restore the original.
"""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """A span of the original and what stands there instead; an edit that changes nothing still claims its span."""

    start: int
    end: int
    mask: bytes


Undo = tuple[int, int, bytes]
"""Where a mask stands in the masked text, its length, and the original."""


def apply(data: bytes, edits: list[Edit]) -> tuple[bytes, list[Undo]]:
    """The text with all edits made, the first and longest claim winning, and how to undo them."""
    if len(edits) > 1:
        edits.sort(key=_first_longest)
    parts: list[bytes] = []
    undo: list[Undo] = []
    at = size = 0
    for start, end, mask in edits:
        if start < at:
            continue
        original = data[start:end]
        parts.append(data[at:start])
        parts.append(mask)
        if mask != original:
            undo.append((size + start - at, len(mask), original))
        size += start - at + len(mask)
        at = end
    if not undo:
        return data, undo
    parts.append(data[at:])
    return b"".join(parts), undo


def revert(data: bytes, undo: list[Undo]) -> bytes:
    """The original of a masked text; ValueError if the undo list does not fit it."""
    parts: list[bytes] = []
    at = 0
    for start, length, original in undo:
        if start < at or start + length > len(data):
            raise ValueError(f"no mask at {start}")
        parts.append(data[at:start])
        parts.append(original)
        at = start + length
    parts.append(data[at:])
    return b"".join(parts)


def _first_longest(edit: Edit) -> tuple[int, int]:
    return edit.start, -edit.end
