"""Where the scalars of a JSON text stand: their places and spans, so that one can be replaced and all else stays as it was sent. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from replayer.affinity import is_tag

NODES_MAX = 20_000
"""Scalars of one body that are looked at; a body with more is data, not a form, and its end is left as recorded."""
DEPTH_MAX = 64
_TOKEN = re.compile(
    r'[ \t\r\n]*(?:("[^"\\]*(?:\\.[^"\\]*)*")|([{}\[\]:,])|(-?[0-9][0-9.eE+-]*|true|false|null))', re.DOTALL
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


class Scalar(NamedTuple):
    """A string or number of a JSON text."""

    path: tuple[str | int, ...]
    start: int
    end: int
    text: str
    quoted: bool


def scalars(text: str) -> list[Scalar]:
    """Strings and numbers in order, up to where the text is no JSON any more."""
    found: list[Scalar] = []
    where = _Where()
    at = 0
    while len(found) < NODES_MAX:
        token = _TOKEN.match(text, at)
        if token is None:
            break
        at = token.end()
        string, sign, bare = token.groups()
        if sign:
            if not where.step(sign):
                break
        elif string and where.expects_key:
            where.name(unquoted(string))
        elif string:
            found.append(Scalar(tuple(where.path), token.start(1), at, unquoted(string), quoted=True))
        elif bare not in {"true", "false", "null"}:
            found.append(Scalar(tuple(where.path), token.start(3), at, bare, quoted=False))
    return found


def names(found: list[Scalar]) -> list[str]:
    """What each is called: the member it stands in, or where that is only a type in an object of its own (``{"S": "p1"}``), what holds it."""
    called: list[str] = []
    for at, scalar in enumerate(found):
        last = scalar.path[-1] if scalar.path else ""
        called.append(last if isinstance(last, str) and not is_tag(last) else _holder(found, at))
    return called


def _holder(found: list[Scalar], at: int) -> str:
    """The innermost member above that is no type."""
    path, innermost = found[at].path, ""
    for depth in range(len(path) - 1, -1, -1):
        step = path[depth]
        if isinstance(step, str):
            if not is_tag(step) or not _is_alone(found, at, depth):
                return step
            innermost = innermost or step
    return innermost


def _is_alone(found: list[Scalar], at: int, depth: int) -> bool:
    """Whether the object at a depth has no second member, as far as the neighbours in the text tell: all below one object is together."""
    path = found[at].path
    for other in (*found[max(0, at - 1) : at], *found[at + 1 : at + 2]):
        if other.path[:depth] == path[:depth] != other.path and other.path[depth] != path[depth]:
            return False
    return True


class _Where:
    """Where a reader of JSON stands."""

    def __init__(self) -> None:
        self.path: list[str | int] = []
        self.expects_key = False
        self._lists: list[bool] = []

    def name(self, key: str) -> None:
        """The member that comes."""
        self.path[-1] = key
        self.expects_key = False

    def step(self, sign: str) -> bool:
        """Past a bracket, comma or colon; False where it cannot stand here or is too deep."""
        if sign in "{[":
            self._lists.append(sign == "[")
            self.path.append(0 if sign == "[" else "")
            self.expects_key = sign == "{"
            return len(self._lists) <= DEPTH_MAX
        if not self._lists:
            return False
        if sign in "}]":
            self._lists.pop()
            self.path.pop()
            self.expects_key = False
        elif sign == ",":
            last = self.path[-1]
            if isinstance(last, int):
                self.path[-1] = last + 1
            self.expects_key = not self._lists[-1]
        return True


def unquoted(string: str) -> str:
    """The text of a JSON string; itself without quotes where its escapes are none."""
    if "\\" not in string:
        return string[1:-1]
    try:
        return msgspec.json.decode(string.encode("utf-8", "surrogatepass"), type=str)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return string[1:-1]


def written(text: str, *, quoted: bool) -> str:
    """A value as JSON: a number where one stood and it is one, else a string."""
    if not quoted and _NUMBER.fullmatch(text):
        return text
    return msgspec.json.encode(text).decode()


def place_of(path: tuple[str | int, ...]) -> str:
    """A path as it is shown: ``$.items[3]['odd key']``."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN.fullmatch(step):
            parts.append(f".{step}")
        else:
            escaped = step.replace("\\", "\\\\").replace("'", "\\'")
            parts.append(f"['{escaped}']")
    return "".join(parts)
