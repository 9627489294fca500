"""What is inside a value: segments and members of a URL, the token behind a scheme, what stands in quotes, words. Pure.

The same cut is made in a recorded answer, in a target's answer and in a request, so that ``17`` in ``ref-17`` or the cursor in a link
is one thing at one place. ``sub`` names the place inside the value; counts are part of it, so that a text of another build matches nothing.
A segment of a URL is also known by the one before it, since versions put their links under other prefixes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from replayer.places import PATH, target_atoms

PIECES_MAX = 64
_CUT_MAX = 2_048
"""Characters of a value that is cut into pieces; a longer one is a document of its own."""
_URL = re.compile(r"https?://[^\s\"'<>]+|/[^\s\"'<>]*")
_REL = re.compile(r"[^<]*?rel=\"?([A-Za-z]+)")
_QUOTED = re.compile(r"\"([^\"]+)\"")
_HELD = re.compile(r"[(<]([^\s\"'<>()]+)[)>]")
"""What stands in brackets: a lock's token in ``If: (<urn:uuid:…>)`` is one name, whatever signs it has."""
_WORD = re.compile(r"[^\s\"'<>(){}\[\],;|=&?/:#]+")
_PART = re.compile(r"[A-Za-z0-9]+")
_SEGMENT = " path["
_BEHIND = "] after "
"""In the name of a segment: between where it stands in its URL and what stands before it."""


class Piece(NamedTuple):
    """A part of a value."""

    sub: str
    """Where in the value; empty for the whole."""
    start: int
    end: int
    text: str
    name: str
    """What it is called there: a member's name, the segment before; empty where nothing says."""
    escape: int
    """0 as it is, 1 percent-encoded as in a path, 2 as in a query."""


def pieces(text: str) -> list[Piece]:
    """The whole value first, then its parts, larger ones first."""
    found = [Piece("", 0, len(text), text, "", 0)]
    if len(text) > _CUT_MAX or text.isalnum():
        return found
    spans = {(0, len(text))}
    for piece in _parts(text):
        span = (piece.start, piece.end)
        if span not in spans and piece.text:
            spans.add(span)
            found.append(piece)
            if len(found) >= PIECES_MAX:
                break
    return found


def _parts(text: str) -> Iterator[Piece]:
    covered: list[tuple[int, int]] = []
    if "/" in text:
        seen: Counter[str] = Counter()
        for url in _URL.finditer(text):
            if url.start() and text[url.start() - 1].isalnum():
                continue  # a slash between words is no URL
            covered.append(url.span())
            rel = _REL.match(text, url.end()) if text[url.start() - 1 : url.start()] == "<" else None
            label = f"link[{rel[1]}]" if rel else "url" if url.span() == (0, len(text)) else "link"
            seen[label] += 1
            label = f"{label}[{seen[label]}]" if seen[label] > 1 else label
            found = list(target_atoms(url[0]))
            last = max((rank for rank, atom in enumerate(found) if atom.codec == PATH and atom.text), default=0)
            for rank, atom in enumerate(found):
                start, end = url.start() + atom.start, url.start() + atom.end
                behind = f"{_BEHIND}{atom.name}" if atom.name else "]"
                at = f"path[{rank} of {last}{behind}" if atom.codec == PATH else atom.where
                yield Piece(f"{label} {at}", start, end, atom.text, atom.name, 1 if atom.codec == PATH else 2)
    quoted = list(_QUOTED.finditer(text))
    for number, match in enumerate(quoted):
        yield Piece(f"quoted[{number + 1} of {len(quoted)}]", match.start(1), match.end(1), match[1], "", 0)
    held = list(_HELD.finditer(text))
    for number, match in enumerate(held):
        yield Piece(f"held[{number + 1} of {len(held)}]", match.start(1), match.end(1), match[1], "", 0)
    for label, pattern in (("word", _WORD), ("part", _PART)):
        words = [word for word in pattern.finditer(text) if not any(a <= word.start() < b for a, b in covered)]
        for number, word in enumerate(words):
            yield Piece(f"{label}[{number + 1} of {len(words)}]", *word.span(), word[0], "", 0)


def position(sub: str) -> str:
    """Where a part stands, without what stands before it, which is another thing's id as often as a word."""
    head, behind, _ = sub.partition(_BEHIND)
    return f"{head}]" if behind and _SEGMENT in sub else sub


def part_at(parts: Mapping[str, str], sub: str) -> str | None:
    """The part of another value, given as its parts by ``sub``, that corresponds to one called ``sub``; None where none does.

    In a URL that is the one segment behind the same one, wherever it stands; else the one at the same index of as many.
    """
    if sub in parts or _SEGMENT not in sub:
        return parts.get(sub)
    label, word, index = sub.partition(_SEGMENT)[0] + _SEGMENT, sub.partition(_BEHIND)[2], position(sub)
    behind = [text for at, text in parts.items() if at.startswith(label) and at.partition(_BEHIND)[2] == word]
    if word and len(behind) == 1:
        return behind[0]
    return next((text for at, text in parts.items() if at.startswith(label) and position(at) == index), None)


def text_pieces(text: str) -> Iterator[Piece]:
    """Words with a digit in a longer text, each known by what stands before it."""
    seen: Counter[str] = Counter()
    before = 0
    for word in _WORD.finditer(text):
        sub = f"after {text[before : word.start()][-32:]!r}"
        before = word.start()
        value = word[0].rstrip(".!")
        if any(sign.isdigit() for sign in value) or len(value) >= 16:
            seen[sub] += 1
            nth = f"{sub}[{seen[sub]}]" if seen[sub] > 1 else sub
            yield Piece(nth, word.start(), word.start() + len(value), value, "", 0)


def put(text: str, piece_start: int, piece_end: int, value: str, escape: int) -> str:
    """A value with one part replaced."""
    written = value if not escape else quote(value, safe="-._~!$&'()*+,;=:@" if escape == 1 else "-._~")
    return text[:piece_start] + written + text[piece_end:]
