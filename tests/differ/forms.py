"""Answers of one content type and what differs between two of them, for the tests of body forms."""

from __future__ import annotations

from differ.compare import compare
from differ.context import Context
from differ.difference import Difference
from echolane.exchange import Body, Response


def answer(data: bytes | str, media: str) -> Response:
    """An answer with a body that calls itself so."""
    raw = data.encode() if isinstance(data, str) else data
    return Response(200, "1.1", [(b"Content-Type", media.encode())] if media else [], Body(raw, len(raw)))


def between(old: bytes | str, new: bytes | str, media: str, context: Context | None = None) -> list[Difference]:
    """The differences between two bodies of one content type."""
    found = compare(answer(old, media), answer(new, media), context or Context())
    assert not found.uncomparable
    return found.differences


def places(differences: list[Difference]) -> set[tuple[str, str]]:
    """Where and kind of each."""
    return {(difference.where, difference.kind) for difference in differences}
