"""Values of parameters as the engine reads them: pure, and the one place where a value meets a statement.

The embedded engine takes them beside the statement (:func:`literal`). A server is sent the statement with each ``{name:Type}``
replaced by a cast of a quoted text (:func:`bound`): the same for every version of the protocol, and nothing in a value can end the quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from echolane.store import QueryError

_PARTS = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*" | --[^\n]* | /\*.*?\*/ | \{(\w+):([^{}]+)\}""",
    re.VERBOSE | re.DOTALL,
)
"""Texts, names and comments, in which braces mean nothing, and parameters."""


def bound(sql: str, params: Mapping[str, object]) -> str:
    """The statement with its parameters written into it.

    Raises:
        QueryError: a parameter is missing, or has a type that is not taken.
    """

    def put(found: re.Match[str]) -> str:
        name, kind = found[1], found[2]
        if name is None:
            return found[0]
        if name not in params:
            raise QueryError(f"the statement has a parameter {name!r} that was not given")
        value = params[name]
        if value is None:
            return f"CAST(NULL, {quoted(kind.strip())})"
        # A text is itself; of anything else the engine reads the text by its type, which refuses what does not fit.
        return f"CAST({quoted(value if isinstance(value, str) else literal(value))}, {quoted(kind.strip())})"

    return _PARTS.sub(put, sql)


def quoted(text: str) -> str:
    """A text as a literal of a statement."""
    return "'" + _escape(text, "\\'\t\n\r\0") + "'"


def literal(value: object) -> str:
    """A parameter's value as the engine reads it, by the rules of tab separated text; never part of the statement."""
    if isinstance(value, str):
        return _escape(value, "\\\t\n\r\0")
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ",".join(map(_element, cast("Iterable[object]", value))) + "]"
    return _number(value)


def _element(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    return "NULL" if value is None else literal(value)


def _number(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float):
        return repr(value)
    raise QueryError(f"a parameter of type {type(value).__name__} is not taken; give text, a number or a list of them")


_ESCAPES = {"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"}


def _escape(text: str, which: str) -> str:
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return clean.translate({ord(char): _ESCAPES[char] for char in which})
