"""What is masked: everything by default; a user may add names, keep names, or leave out a look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MaskRules:
    """Which atoms :class:`~echolane.masks.Masker` replaces."""

    emails: bool = True
    cards: bool = True
    tokens: bool = True
    """Values that look like a JWT, a private key or the key of a well-known issuer."""
    names: tuple[str, ...] = ()
    """More names whose values are secret, wherever they stand; spelling and separators do not matter."""
    keep: tuple[str, ...] = ()
    """Names whose values are never masked by name."""


DEFAULT = MaskRules()
