"""Whether a value that a target answered may stand where the recorded one stood. Pure.

A target may answer anything: an error page where a token was, a line break that would begin another header, ``..`` for a number. What
does not fit is not put in; the recorded value is then sent, as where a target gives nothing.
"""

from __future__ import annotations

import re

from replayer.affinity import NEVER, strength
from replayer.places import BODY, FORM, PATH, RAW, STRING, TEXT_MAX, Atom

_SHORT = 8
"""Characters below which a value is short: what replaces it must be one of its kind."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = frozenset((".", ".."))
"""Segments that lead elsewhere, however they are escaped."""


def fits(value: str, old: str, atom: Atom, escape: int) -> bool:
    """Whether ``value`` can replace ``old`` there; ``escape`` is how a part of the atom is written (:class:`~echolane.exchange.Taken`)."""
    if not value.strip() or len(value) > TEXT_MAX or not _is_text(value):
        return False
    if _CONTROL.search(value) and atom.codec not in {STRING, FORM}:
        return False
    if (atom.codec == PATH or escape == 1) and value in _DOTS:
        return False
    if atom.codec == RAW and not escape and not _is_raw(value, old, atom):
        return False
    if old.isdigit() or (len(old) < _SHORT and not old.isalpha()):
        return strength(value) > NEVER  # where a number stood, a word is another thing
    return True


def _is_text(value: str) -> bool:
    """Whether it is text: bytes that were none came through as surrogates, and nothing escapes those."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_raw(value: str, old: str, atom: Atom) -> bool:
    """Whether it can stand unescaped: in a header's line, between the semicolons of cookies, between the boundaries of a form."""
    if atom.part == BODY:
        return not value.startswith("--")
    if atom.where.startswith("cookie:") and ";" in value:
        return False
    if value != "".join(value.split()) and old == "".join(old.split()):
        return False  # behind ``Bearer`` a second word is another thing
    return value == value.strip() and all(ord(sign) < 256 for sign in value)
