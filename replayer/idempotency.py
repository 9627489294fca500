"""Idempotency keys: each run and target gets keys of its own, so that no server takes a replay for a repetition. Pure.

A service that keeps the recorded key would answer from its memory instead of doing what it is asked, and one shared by base and branch
would answer the second of them with the first's result. The same recorded key becomes the same key within a run and target, so a
repetition that was recorded stays one. Keys keep their length and look (UUID, hexadecimal, digits, words before the chance).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator

from echolane.exchange import Headers

_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CLASSES = (
    (re.compile(rb"[0-9]"), b"0123456789"),
    (re.compile(rb"[a-z]"), b"abcdefghijklmnopqrstuvwxyz"),
    (re.compile(rb"[A-Z]"), b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
)
_HEX = re.compile(rb"(?=.*[A-Fa-f])(?:[0-9a-f-]{8,}|[0-9A-F-]{8,})")
_PARTS = re.compile(rb"([^0-9A-Za-z]+)")
_WORD = re.compile(rb"[A-Za-z]+|[^0-9A-Za-z]+|")
CHANCE_MIN = 6
"""Characters that are drawn anew at least; where words leave fewer, the words are drawn, too."""
KEY_MIN = 8
"""Shorter keys would meet each other when their characters are drawn anew, and have no chance to be met by others: 40 bits."""


class Keys:
    """The keys of one run."""

    def __init__(self, secret: bytes, run: str, names: Collection[str]) -> None:
        self._seed = hashlib.blake2b(run.encode(), key=secret[:64], digest_size=32, person=b"echolane-idemp").digest()
        self._names = frozenset(name.lower().encode("latin-1", "replace") for name in names)

    def __repr__(self) -> str:
        return f"<Keys of {len(self._names)} headers>"

    def replaces(self, name: bytes, value: bytes) -> bool:
        """Whether a header is a key that is replaced."""
        return name.lower() in self._names and len(value) >= KEY_MIN

    def rewritten(self, headers: Headers, target: int, turn: int = 0) -> tuple[Headers, dict[bytes, bytes]]:
        """The headers for one target, and of each key that was replaced: ours → the recorded one.

        What is fired over and over has other keys in each ``turn``.
        """
        found: dict[bytes, bytes] = {}
        out = headers
        for place, (name, value) in enumerate(headers):
            if self.replaces(name, value):
                new = self._key(value, b"%d.%d" % (target, turn) if turn else b"%d" % target)
                if new == value:
                    continue
                found[new] = value
                out = headers.copy() if out is headers else out
                out[place] = (name, new)
        return out, found

    def _key(self, recorded: bytes, whose: bytes) -> bytes:
        digest = hashlib.blake2b(b"%b;%b" % (whose, recorded), key=self._seed, digest_size=32).digest()
        stream = iter(hashlib.shake_128(digest).digest(4 * len(recorded) + 16))
        if _UUID.fullmatch(recorded):
            text = bytearray(_drawn(recorded, stream, hexadecimal=True))
            text[14:15] = recorded[14:15]  # its version and variant stay what they were
            text[19:20] = recorded[19:20]
            return bytes(text)
        if _HEX.fullmatch(recorded):
            return _drawn(recorded, stream, hexadecimal=True)
        # A word before or behind the chance (`client-…`, `order_…`) is what a service may ask for.
        parts = _PARTS.split(recorded)
        chance = [not _WORD.fullmatch(part) for part in parts]
        if sum(len(part) for part, drawn in zip(parts, chance, strict=True) if drawn) < CHANCE_MIN:
            return _drawn(recorded, stream, hexadecimal=False)
        return b"".join(
            _drawn(part, stream, hexadecimal=_HEX.fullmatch(part) is not None) if drawn else part
            for part, drawn in zip(parts, chance, strict=True)
        )


def _drawn(recorded: bytes, draw: Iterator[int], *, hexadecimal: bool) -> bytes:
    """Each letter and digit drawn anew from its class; all else stays."""
    upper = hexadecimal and recorded.upper() == recorded
    digits = b"0123456789ABCDEF" if upper else b"0123456789abcdef"
    out = bytearray()
    for char in recorded:
        one = bytes((char,))
        if hexadecimal and one != b"-":
            out.append(digits[next(draw) % 16])
            continue
        letters = next((letters for form, letters in _CLASSES if form.match(one)), b"")
        # Subtle: 16 bits for 26 letters, so that none is favoured noticeably.
        out.append(letters[(next(draw) << 8 | next(draw)) % len(letters)] if letters else char)
    return bytes(out)
