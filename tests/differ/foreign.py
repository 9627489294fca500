"""What the tests of suites by others share: answers made of their cases, and the figures that the documents tell of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from differ.compare import Compared, compare
from differ.context import Context
from echolane.exchange import Body, Headers, Response

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "foreign-truth.md"
JSON: Headers = [(b"Content-Type", b"application/json")]
FORM: Headers = [(b"Content-Type", b"application/x-www-form-urlencoded")]
TEXT: Headers = [(b"Content-Type", b"text/plain")]
Way = tuple[str | int, ...]


def answer(data: bytes | str, headers: Headers, status: int = 200) -> Response:
    """An answer with a body."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return Response(status, "1.1", list(headers), Body(raw, len(raw)))


def told(old: Any, new: Any) -> Compared:
    """What is found between two trees as JSON bodies."""
    found = compare(answer(json.dumps(old), JSON), answer(json.dumps(new), JSON), Context())
    assert not found.uncomparable
    return found


def equal(old: Any, new: Any) -> bool:
    """Whether nothing is found between two trees, in either direction."""
    forth, back = told(old, new).differences, told(new, old).differences
    assert bool(forth) is bool(back), (old, new)
    return not forth


def steps(tree: Any, path: Way = ()) -> Iterator[Way]:
    """The way to each node of a tree but its root."""
    if path:
        yield path
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, child in below:
        yield from steps(child, (*path, step))


def figures(suite: str) -> tuple[int, ...]:
    """The numbers in the row of a suite, as the page tells them: cases, agreed, disagreed, not of answers."""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith(f"| {suite} |"):
            return tuple(int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+) (?=\|)", line))
    raise LookupError(suite)
