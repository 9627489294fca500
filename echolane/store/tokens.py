"""A foreign statement cut into tokens, so that what reaches the engine is one statement, without comments, in plain characters.

Not a parser: the engine's own parser says what a statement means (:mod:`echolane.store.gate`). This says where quotes and comments
begin and end, by rules narrower than the engine's: what the two could read differently is refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v]+ | --[^\n]* | /\*.*?\*/)
  | (?P<text>'(?:[^'\\]|\\.|'')*')
  | (?P<name>"(?:[^"\\\x00-\x1f\x7f]|"")*" | `(?:[^`\\\x00-\x1f\x7f]|``)*`)
  | (?P<word>[A-Za-z0-9_]+)
  | (?P<mark>[()\[\]{},.;:?=<>!+*/%|-])
    """,
    re.VERBOSE | re.DOTALL,
)


class Unreadable(ValueError):  # noqa: N818 - it says what was met, as the errors of the floor do
    """A character or a quote that stands where this reader does not take it."""


class Token(NamedTuple):
    """One token: its kind (``text``, ``name``, ``word`` or ``mark``) and how it is written."""

    kind: str
    written: str
    apart: bool
    """Whether a space or a comment stands before it."""

    @property
    def upper(self) -> str:
        """A word as keywords are compared; empty for anything else."""
        return self.written.upper() if self.kind == "word" else ""


def tokens(statement: str) -> list[Token]:
    """The tokens in order.

    Raises:
        Unreadable: an open quote or comment, a control character, or one outside of quotes that no statement of ours needs.
    """
    found: list[Token] = []
    at, apart = 0, False
    while at < len(statement):
        match = _TOKEN.match(statement, at)
        if match is None or (match[0] == "/" and statement.startswith("/*", at)):
            raise Unreadable(f"{statement[at : at + 12]!r} at position {at} is not taken here")
        at = match.end()
        kind = str(match.lastgroup)
        if kind == "space":
            apart = True
        else:
            found.append(Token(kind, match[0], apart))
            apart = False
    return found


def written(found: list[Token]) -> str:
    """A statement of these tokens: each as it was, one space where there was room."""
    return "".join(f"{' ' if token.apart else ''}{token.written}" for token in found).strip()
