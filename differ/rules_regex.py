"""Regular expressions with the guarantee of RE2: time linear in the text, whatever the pattern. Pure.

CPython's :mod:`re` tries alternatives one after another, so that ``(a+)+$`` can take an hour over forty letters. Here a pattern is read
by a parser of its own, which knows only what an automaton can do (no references back, no looking around, no atomic groups), into an
automaton without captures (Thompson 1968); its sets of states are made when a text first leads to them (as Cox tells of RE2, 2007).
A pattern matches a value when it matches the whole of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

STATES_MAX = 1000
"""States of an automaton: a counted repetition is written out, and ``((a{99}){99}){99}`` would be a million."""
SETS_MAX = 2000
"""Sets of states that are remembered; beyond it they are forgotten and made again, as RE2 does."""
NEST_MAX = 50
"""Groups within groups."""
PATTERN_MAX = 1000
"""Characters of a pattern."""
REPEAT_MAX = 1000
"""The largest number in ``{n,m}``, as in RE2."""

Test = Callable[[str], bool]


class Unsafe(ValueError):  # noqa: N818 - what a pattern is
    """A pattern that is malformed or asks for more than an automaton can do; the message says what."""


class Ranges(NamedTuple):
    """A set of characters."""

    pairs: tuple[tuple[str, str], ...]
    negated: bool = False

    def has(self, char: str, *, fold: bool) -> bool:
        """Whether a character is in it; ``fold``: whatever its case."""
        chars = {char, char.lower(), char.upper()} if fold else {char}
        return any(low <= one <= high for one in chars for low, high in self.pairs) != self.negated


class Node(NamedTuple):
    """A part of a pattern: ``set``, ``begin``, ``end``, ``all`` (one after another), ``any`` (one of) or ``repeat``."""

    what: str
    parts: tuple[Node, ...] = ()
    ranges: tuple[Ranges, ...] = ()
    """Of a set: a character is in it when one of these has it."""
    negated: bool = False
    least: int = 0
    most: int | None = None
    fold: bool = False


DIGIT = Ranges((("0", "9"),))
WORD = Ranges((("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")))
SPACE = Ranges(((" ", " "), ("\t", "\n"), ("\f", "\r")))
LINE = Ranges((("\n", "\n"),), negated=True)
EVERY = Ranges((("\0", chr(0x10FFFF)),))
_CLASSES = {"d": DIGIT, "w": WORD, "s": SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REFUSED = {
    "?=": "looks ahead",
    "?!": "looks ahead",
    "?<=": "looks behind",
    "?<!": "looks behind",
    "?>": "is atomic",
    "?P=": "refers back",
    "?(": "depends on another group",
    "?#": "is a comment",
}


class Parser:
    """Reads one pattern."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_MAX:
            raise Unsafe(f"has {len(text)} characters; {PATTERN_MAX} are the most")
        self.text, self.at, self.depth = text, 0, 0
        self.fold = self.dot_all = False

    def parse(self) -> Node:
        """The whole pattern."""
        node = self._one_of()
        if self.at < len(self.text):
            raise Unsafe(f"has a `)` too many at {self.at + 1}")
        return node

    def _take(self, *texts: str) -> str:
        for text in texts:
            if self.text.startswith(text, self.at):
                self.at += len(text)
                return text
        return ""

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise Unsafe("ends in the middle")
        self.at += 1
        return self.text[self.at - 1]

    def _one_of(self) -> Node:
        parts = [self._all()]
        while self._take("|"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Node("any", tuple(parts))

    def _all(self) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeated(self._atom()))
        return Node("all", tuple(parts))

    def _repeated(self, atom: Node) -> Node:
        begin = self.at
        sign = self._take("*", "+", "?", "{")
        if not sign:
            return atom
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1), "{": (0, 0)}[sign]
        if sign == "{":
            counts = self._counts()
            if counts is None:  # a brace that is no count is a brace, as in RE2
                self.at = begin
                return atom
            least, most = counts
        if self._take("+"):
            raise Unsafe(f"is possessive at {self.at}, which RE2 does not know")
        self._take("?")  # which of several matches is taken makes no difference to whether there is one
        again = self.at
        if self._take("*", "+", "?") or (self._take("{") and self._counts() is not None):
            raise Unsafe(f"repeats a repetition at {self.at}")
        self.at = again
        if atom.what in {"begin", "end"}:
            raise Unsafe(f"repeats an anchor at {begin + 1}")
        return Node("repeat", (atom,), least=least, most=most)

    def _counts(self) -> tuple[int, int | None] | None:
        end = self.text.find("}", self.at)
        low, comma, high = self.text[self.at : end].partition(",") if end > 0 else ("", "", "")
        if not low.isdecimal() or not low.isascii() or (high and not (high.isdecimal() and high.isascii())):
            return None
        self.at = end + 1
        least = count_of(low)
        most = least if not comma else count_of(high) if high else None
        if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
            raise Unsafe(f"`{{{low}{comma}{high}}}` is no count from 0 to {REPEAT_MAX}")
        return least, most

    def _atom(self) -> Node:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._set()
        if char in "*+?":
            raise Unsafe(f"repeats nothing at {self.at}")
        if char in "^$":
            return Node("begin" if char == "^" else "end")
        if char == ".":
            return Node("set", ranges=(EVERY if self.dot_all else LINE,))
        if char == "\\":
            return self._escape()
        return self._char(char)

    def _char(self, char: str) -> Node:
        return Node("set", ranges=(Ranges(((char, char),)),), fold=self.fold)

    def _escape(self) -> Node:
        char = self._next()
        if char in "Az":
            return Node("begin" if char == "A" else "end")
        if char.lower() in _CLASSES:
            return Node("set", ranges=(_CLASSES[char.lower()],), negated=char.isupper())
        return self._char(self._escaped(char))

    def _escaped(self, char: str) -> str:
        """What stands for itself after a backslash."""
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char in {"x", "u"}:
            digits = self.text[self.at : self.at + (2 if char == "x" else 4)]
            self.at += len(digits)
            try:
                return chr(int(digits, 16))
            except ValueError as error:
                raise Unsafe(f"`\\{char}{digits}` is no character") from error
        if char.isdigit():
            raise Unsafe(f"refers back at {self.at}, which no automaton can")
        if char.isalpha():
            raise Unsafe(f"`\\{char}` at {self.at} is not known here")
        return char

    def _group(self) -> Node:
        self.depth += 1
        if self.depth > NEST_MAX:
            raise Unsafe(f"nests deeper than {NEST_MAX} groups")
        fold, dot_all = self.fold, self.dot_all
        if self.text.startswith("?", self.at) and not self._take("?:"):
            if self._named():
                pass
            elif not self._flags():  # flags for the rest of the group around
                self.depth -= 1
                return Node("all")
        node = self._one_of()
        if not self._take(")"):
            raise Unsafe("has a group that does not end")
        self.depth -= 1
        self.fold, self.dot_all = fold, dot_all
        return node

    def _named(self) -> bool:
        for begin, why in _REFUSED.items():
            if self.text.startswith(begin, self.at):
                raise Unsafe(f"{why} at {self.at}, which no automaton can")
        if not self._take("?P<", "?<"):
            return False
        end = self.text.find(">", self.at)
        if end < 0 or not self.text[self.at : end].isidentifier():
            raise Unsafe(f"has a group without a name at {self.at}")
        self.at = end + 1
        return True

    def _flags(self) -> bool:
        """Read ``?i``, ``?s``, ``?i:``; whether a group begins with them."""
        self._take("?")
        while True:
            char = self._next()
            if char == "i":
                self.fold = True
            elif char == "s":
                self.dot_all = True
            elif char in ":)":
                return char == ":"
            else:
                raise Unsafe(f"has a flag `{char}` at {self.at}; i and s are known")

    def _set(self) -> Node:
        negated, ranges, pairs, first = bool(self._take("^")), list[Ranges](), list[tuple[str, str]](), True
        while True:
            if self._take("[:", "[."):
                raise Unsafe(f"has a named class at {self.at}; use \\d, \\w, \\s or a range")
            char = self._next()
            if char == "]" and not first:
                break
            first = False
            if char == "\\" and self.text[self.at : self.at + 1].lower() in _CLASSES:
                name = self._next()
                klass = _CLASSES[name.lower()]
                ranges.append(klass._replace(negated=name.isupper()))
                continue
            low = self._escaped(self._next()) if char == "\\" else char
            high = low
            if self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at):
                self.at += 1
                high = self._next()
                high = self._escaped(self._next()) if high == "\\" else high
            if high < low:
                raise Unsafe(f"has a range from `{low}` to `{high}` at {self.at}")
            pairs.append((low, high))
        return Node("set", ranges=(*ranges, Ranges(tuple(pairs))), negated=negated, fold=self.fold)


def count_of(digits: str) -> int:
    """A number in braces; too large a one is only more than REPEAT_MAX."""
    return int(digits) if len(digits) <= 9 else REPEAT_MAX + 1


def parse(text: str) -> Node:
    """A pattern as a tree; Unsafe says what is wrong with it."""
    return Parser(text).parse()


def test_of(node: Node) -> Test:
    """Whether one character is in a set."""
    ranges, negated, fold = node.ranges, node.negated, node.fold

    def has(char: str) -> bool:
        return any(one.has(char, fold=fold) for one in ranges) != negated

    return has
