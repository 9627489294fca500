"""Pages of lists that are made anew for each call: a cursor names the thing after which to go on, not how many there were before it.

What is added or removed between two calls so neither repeats nor skips another. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType

from console.api.problems import Problem

T = TypeVar("T")
Cursor = str | UnsetType


def newest_first(
    things: Sequence[T], key: Callable[[T], tuple[int, str]], cursor: Cursor, limit: int
) -> tuple[list[T], str | None]:
    """A page of things by their time, the newest first, and its `next`; ``key`` gives the time (ns) and a name of its own."""

    def place(thing: T) -> tuple[int, str]:
        at_ns, name = key(thing)
        return -at_ns, name

    ordered = sorted(things, key=place)
    if isinstance(cursor, str):
        at_ns, _, name = cursor.partition("_")
        ordered = [thing for thing in ordered if place(thing) > (-int(at_ns), name)]
    page = ordered[:limit]
    if len(ordered) == len(page):
        return page, None
    at_ns, name = key(page[-1])
    return page, f"{at_ns}_{name}"


def in_order(
    things: Sequence[T],
    name: Callable[[T], str],
    cursor: Cursor,
    limit: int,
    fits: Callable[[T], bool] = lambda _: True,
) -> tuple[list[T], str | None]:
    """A page of things in the order that they have, and its `next`: the name of its last one, and which of that name it is (`NAME_2`).

    ``fits`` chooses among them. A cursor is a place among all, so one whose thing fits no longer still leads on.

    Raises:
        Problem: what the cursor names is not in the list.
    """
    names, seen = list[str](), Counter[str]()
    for thing in things:
        here = name(thing)
        seen[here] += 1
        names.append(here if seen[here] == 1 else f"{here}_{seen[here]}")
    start = 0
    if cursor is not UNSET:
        if cursor not in names:
            raise Problem("conflict", f"cursor: `{cursor}` is not in this list; begin without one")
        start = names.index(cursor) + 1
    fit = [place for place in range(start, len(things)) if fits(things[place])]
    page = fit[:limit]
    return [things[place] for place in page], names[page[-1]] if len(page) < len(fit) else None
