"""Which writes a run may fire, route by route: the first rule that fits an unsafe request decides, and says why.

Rules stand in ``echolane.toml`` as ``[[writes]]`` (:mod:`console.write_rules` reads them), and travel in a run's spec, so that a run
that is resumed fires what it would have fired. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from echolane.errors import UsageError

REFUSED = "write-refused"
"""The reason with which a write is skipped that a rule keeps back."""
_ROUTE = re.compile(r"(\*|[A-Z]+(?:,[A-Z]+)*)\s+(/\S*)")
STARS_MAX = 1
"""Stars within one segment: with more a long segment would be tried at each of its letters for each of them."""


class WriteRule(msgspec.Struct, frozen=True):
    """One rule."""

    route: str
    """``POST /orders/*/pay``, ``PUT,PATCH /users/**``, ``* /admin/**``: ``*`` is one segment, ``**`` any number of them."""
    fire: bool
    reason: str
    source: str = ""
    """File and line, for a person."""


def checked_route(route: str) -> str:
    """The route, where it is one; UsageError says what it should look like."""
    found = _ROUTE.fullmatch(route)
    if found and any(part.count("*") > STARS_MAX for part in found[2].split("/") if part != "**"):
        raise UsageError(f"`{route}` has more than one `*` in a segment")
    if not found:
        raise UsageError(f"`{route}` is no route; use a method and a path, for example `POST /orders/*/pay`")
    return route


def rule_for(rules: Sequence[WriteRule], method: str, target: str) -> WriteRule | None:
    """The first rule that fits a request; None where none does. The query is no part of a route."""
    segments = target.partition("?")[0].partition("#")[0].split("/")[1:]
    for rule in rules:
        methods, pattern = _compiled(rule.route)
        if (methods is None or method in methods) and _fits(pattern, segments):
            return rule
    return None


def _fits(pattern: Sequence[re.Pattern[str] | None], segments: Sequence[str]) -> bool:
    """Whether a pattern fits a whole path.

    The last ``**`` takes one segment more wherever what follows does not fit: that is enough, and costs at most pattern times path.
    """
    at = place = 0
    star, taken = -1, 0
    while at < len(segments):
        if place < len(pattern) and pattern[place] is None:
            star, taken, place = place, at, place + 1
        elif place < len(pattern) and (one := pattern[place]) is not None and one.fullmatch(segments[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = taken, star + 1
        else:
            return False
    return all(one is None for one in pattern[place:])


@lru_cache(256)
def _compiled(route: str) -> tuple[frozenset[str] | None, list[re.Pattern[str] | None]]:
    """Methods (None for any), and a pattern for each segment (None for any number of them)."""
    found = _ROUTE.fullmatch(route)
    assert found is not None  # noqa: S101 - checked when it was read
    methods = None if found[1] == "*" else frozenset(found[1].split(","))
    return methods, [None if part == "**" else _segment(part) for part in found[2].split("/")[1:]]


def _segment(part: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(piece) for piece in part.split("*")), re.DOTALL)
