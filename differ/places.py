"""Places of a tree as objects that are made once: a step from one to the next is a look into a dict, not a new text."""

from __future__ import annotations

import re
from functools import lru_cache

from differ.classes import timing_name

PLACES_MAX = 20_000
"""Places that are remembered; a service whose keys are ids has ever new ones, and then all are forgotten at once."""
TEXT_MAX = 512
"""A longer place is used and not remembered."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@lru_cache(maxsize=4096)
def step(key: str) -> str:
    """One key as a step of a path (■ §7)."""
    if _PLAIN.fullmatch(key):
        return "." + key
    text = key.replace("\\", "\\\\").replace("'", "\\'")
    return "['" + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + "']"


class Place:
    """One generalised place, and those under it that were met."""

    __slots__ = ("children", "text", "timing", "value")

    def __init__(self, text: str) -> None:
        self.text = text
        self.value = (text, "value")
        """What a sink calls the commonest change here."""
        self.timing = timing_name(text)
        """Whether numbers here measure the process itself."""
        self.children: dict[str | None, Place] = {}
        """By key; None leads to the elements of an array."""

    def child(self, key: str | None) -> Place:
        """A place under this one that was not met before."""
        found = Place(self.text + ("[*]" if key is None else step(key)))
        if len(found.text) <= TEXT_MAX and _roots.room():
            self.children[key] = found
        return found


class _Roots:
    """The trees of all places that are remembered."""

    __slots__ = ("left", "trees")

    def __init__(self) -> None:
        self.trees: dict[str, Place] = {}
        self.left = PLACES_MAX

    def room(self) -> bool:
        """Whether one more place may be remembered."""
        self.left -= 1
        return self.left >= 0


_roots = _Roots()


def root(text: str) -> Place:
    """The place at which a tree begins. Places are forgotten here, never in the middle of a comparison."""
    if _roots.left < 0:
        _roots.trees.clear()
        _roots.left = PLACES_MAX
    found = _roots.trees.get(text)
    if found is None:
        found = _roots.trees[text] = Place(text)
    return found
