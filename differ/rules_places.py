"""Patterns over places (design §7) and over the paths of endpoints: read, matched through a trie, intersected. Pure.

A place is a sequence of steps after its root: ``body:$.items[*].price`` is ``body:$``, ``.items``, ``[*]``, ``.price``. In a pattern
``*`` stands for one step of any sort and ``**`` for any number of steps, none included.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

ANY, DEEP = "*", "**"
"""One step, any number of steps. No step of a place is written like these: keys begin with a dot or a slash."""
STEPS_MAX = 64
"""Steps of a pattern: more than any document that a person names places in."""
Steps = tuple[str, ...]

_STEP = re.compile(
    r"\.(?P<deep>\*\*)|\.(?P<any>\*)|\.(?P<key>[A-Za-z_][A-Za-z0-9_-]*)|(?P<each>\[\*\])|\['(?P<quoted>(?:[^'\\]|\\.)*)'\]",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


class NoPlace(ValueError):  # noqa: N818 - a text that is no place
    """A text is no pattern over places; the message says what is wrong with it."""


def pattern_of(text: str) -> Steps:
    """The steps of a pattern; NoPlace says what is wrong."""
    steps = tuple(_steps(text))
    if len(steps) > STEPS_MAX:
        raise NoPlace(f"has {len(steps)} steps; {STEPS_MAX} are the most")
    return tuple(step for n, step in enumerate(steps) if not (step == DEEP and n and steps[n - 1] == DEEP))


@lru_cache(maxsize=8192)
def steps_of(where: str) -> Steps:
    """The steps of a real place. One that is written in no known way is a single step, which only ``**`` covers."""
    try:
        return tuple(_steps(where))
    except NoPlace:
        return (where,)


def _steps(text: str) -> Iterator[str]:
    if text in {"status", "body", DEEP}:
        yield text
    elif text.startswith("body:$"):
        yield "body:$"
        yield from _tree(text, len("body:$"))
    elif text.startswith("body:/"):
        yield "body:/"
        yield from _xml(text)
    elif text.startswith(("header:", "trailer:")):
        root, _, rest = text.partition(":")
        yield f"{root}:"
        yield from _field(rest)
    else:
        raise NoPlace("begins with none of status, header:, trailer:, body, body:$ and body:/")


def _tree(text: str, at: int) -> Iterator[str]:
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise NoPlace(_unread(text, at))
        if found["quoted"] is not None:
            yield "." + _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else e[2], found["quoted"])
        else:
            yield DEEP if found["deep"] else ANY if found["any"] else "[*]" if found["each"] else f".{found['key']}"
        at = found.end()


def _unread(text: str, at: int) -> str:
    rest = text[at : at + 20]
    if re.match(r"\[\d+\]|\[-\d+\]", rest):
        return f"`{rest}`: elements have no numbers, since lists are aligned before they are compared; use [*]"
    return f"`{rest}` is no step; use .key, ['any key'], [*], .* for one step or .** for any number"


def _xml(text: str) -> Iterator[str]:
    for name in text.removeprefix("body:/").split("/"):
        if not name:
            raise NoPlace("has an empty step between two slashes")
        if "*" in name and name not in {ANY, DEEP}:
            raise NoPlace(f"`{name}`: a step is named whole, or * for any, or ** for any number of them")
        yield name if name in {ANY, DEEP} else f"/{name}"


def _field(name: str) -> Iterator[str]:
    cookie = re.fullmatch(r"set-cookie\[(?P<name>[^\]]+)\](?P<rest>.*)", name, re.DOTALL)
    if cookie:
        yield ".set-cookie"
        yield ANY if cookie["name"] == ANY else f".{cookie['name']}"
        if cookie["rest"]:
            yield cookie["rest"]
    elif name in {ANY, DEEP}:
        yield name
    elif not _NAME.fullmatch(name) or "*" in name:
        raise NoPlace(f"`{name}` is no name of a header in lower case; use it whole, or * for any")
    else:
        yield f".{name}"


def literal(steps: Steps) -> bool:
    """Whether at least one step names something: a key, an element, a header; ``status`` and ``body`` name themselves."""
    if len(steps) == 1:
        return steps[0] not in {ANY, DEEP}
    return any(step not in {ANY, DEEP, "[*]"} for step in steps[1:])


def wild(steps: Steps) -> bool:
    """Whether a pattern stands for places that it does not name."""
    return ANY in steps or DEEP in steps


def path_of(text: str) -> Steps:
    """The segments of an endpoint's path or of a pattern over it; all parameters are one (``{id}``)."""
    parts = (part for part in text.strip("/").split("/") if part)
    return tuple("{}" if part[0] == "{" and part[-1] == "}" else part for part in parts)


def covers(pattern: Sequence[str], steps: Sequence[str]) -> bool:
    """Whether a pattern stands for a sequence of steps."""
    reached = {0}
    for step in steps:
        reached = {
            after
            for at in _past(pattern, reached)
            if at < len(pattern)
            for after in ([at] if pattern[at] == DEEP else [at + 1] if pattern[at] in {ANY, step} else [])
        }
        if not reached:
            return False
    return len(pattern) in _past(pattern, reached)


def _past(pattern: Sequence[str], reached: set[int]) -> set[int]:
    """The same positions and those behind a ``**`` that stands for nothing."""
    found = set(reached)
    for first in sorted(reached):
        at = first
        while at < len(pattern) and pattern[at] == DEEP:
            at += 1
            found.add(at)
    return found


def intersect(one: Steps, two: Steps) -> bool:
    """Whether some sequence of steps is meant by both patterns."""
    seen: set[tuple[int, int]] = set()
    open_ = [(0, 0)]
    while open_:
        pair = open_.pop()
        if pair in seen:
            continue
        seen.add(pair)
        i, j = pair
        if i == len(one) and j == len(two):
            return True
        left, right = one[i] if i < len(one) else None, two[j] if j < len(two) else None
        if DEEP in {left, right}:
            open_ += [(i + 1, j)] if left == DEEP else []
            open_ += [(i, j + 1)] if right == DEEP else []
            if left is not None and right is not None:
                open_.append((i + (left != DEEP), j + (right != DEEP)))
        elif left is not None and right is not None and (ANY in {left, right} or left == right):
            open_.append((i + 1, j + 1))
    return False


class Trie:
    """Numbers by pattern: what patterns share is walked once, however many rules there are."""

    __slots__ = ("children", "deep", "numbers")

    def __init__(self, *, deep: bool = False) -> None:
        self.children: dict[str, Trie] = {}
        self.numbers: list[int] = []
        """Of the patterns that end here."""
        self.deep = deep
        """Whether this stands behind a ``**``, which takes any further step."""

    def add(self, pattern: Steps, number: int) -> None:
        """One pattern more."""
        node = self
        for step in pattern:
            node = node.children.setdefault(step, Trie(deep=step == DEEP))
        node.numbers.append(number)

    def find(self, steps: Steps) -> list[int]:
        """The numbers of all patterns that stand for a place, in order."""
        reached = _closed([self])
        for step in steps:
            after = [node for node in reached if node.deep]
            for node in reached:
                after += [child for name in (step, ANY) if (child := node.children.get(name)) is not None]
            reached = _closed(after)
        return sorted({number for node in reached for number in node.numbers})


def _closed(nodes: list[Trie]) -> list[Trie]:
    """These nodes, each once, and those that a ``**`` of no steps leads to."""
    found: dict[int, Trie] = {}
    for one in nodes:
        node: Trie | None = one
        while node is not None and id(node) not in found:
            found[id(node)] = node
            node = node.children.get(DEEP)
    return list(found.values())
