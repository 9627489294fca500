"""What may be told of a request that is sent: secrets are masked in it as the recorder masks them, whoever gave them.

A target gives its own tokens and keys. They are put into requests, written under the seal only, and masked where an answer repeats them; the
words that say what was rewritten go into the journal, so nothing of them may stand there.
"""

from __future__ import annotations

from collections.abc import Sequence

from echolane.exchange import Request
from echolane.masks import Masker
from echolane.masks.atoms import Atoms
from echolane.masks.names import OPEN, Names

_MASK_MIN = 15
"""Masks are no shorter."""
_names = Names()


class Hiding:
    """Masks under one key."""

    def __init__(self, key: bytes) -> None:
        self._masker = Masker(key)
        self._atoms = Atoms(key)

    def hide(self, request: Request) -> tuple[Request, Sequence[bytes]]:
        """The request with masks (itself where there is nothing to mask), and the secrets that it held."""
        masked = self._masker.request(request)
        return masked.request, masked.known

    def is_mask(self, text: str) -> bool:
        """Whether a recorded value is a mask, so that its original was a secret."""
        if len(text) < _MASK_MIN:
            return False
        data = text.encode("utf-8", "surrogateescape")
        return self._atoms.mask(data) == data


def is_secret(name: str) -> bool:
    """Whether a name promises a secret."""
    return _names.judge(name.encode("latin-1", "replace")) != OPEN
