"""Paths of places inside a body, one concept for every form of tree. Pure.

JSON and what is read like it has ``body:$.a[*]['b']``, XML ``body:/a/b/@c``, HTML ``body:/html/body/form/input[@name='q']/@value``. A step is
``.a``, ``['b']``, ``[*]`` or ``/a``; the first step of XML and HTML is the document itself, as ``$`` is. No name in a step of the latter holds
a slash (:mod:`differ.pages`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

VALUES, NODES, PAGE = "body:$", "body:/", "body:/html"
"""How the places of JSON, of XML and HTML, and of HTML begin."""
ITEMS = "[*]"
_STEP = r"\.[A-Za-z_][\w-]*|\['(?:[^'\\]|\\.)*'\]|\[\*\]"
_STEPS = re.compile(_STEP)
_LAST = re.compile(rf"(?P<parent>.*?)(?P<leaf>{_STEP})$", re.DOTALL)
_TOPS = frozenset(("body", VALUES, PAGE, f"{PAGE}/body", f"{PAGE}/head"))


def inside(where: str) -> bool:
    """Whether a place is one of a tree."""
    return where.startswith((VALUES, NODES))


def of_page(where: str) -> bool:
    """Whether a place is one of an HTML page."""
    return where.startswith(PAGE) and where[len(PAGE) :][:1] in {"", "/"}


def parent_of(where: str) -> tuple[str, str]:
    """A place inside a body as its container and its last step; the place itself and nothing when it has no container."""
    if where.startswith(NODES):
        parent, _, name = where.rpartition("/")
        return (parent, f"/{name}") if parent != "body:" else (where, "")
    found = _LAST.match(where) if where.startswith(VALUES) else None
    return (found["parent"], found["leaf"]) if found else (where, "")


def leaf_of(where: str) -> str:
    """The last key of a place, without the list it may be in: what names a field wherever it stands; the place itself elsewhere.

    An element of a page names nothing, save a field that has a name.
    """
    parent, leaf = parent_of(where)
    while leaf == ITEMS:
        parent, leaf = parent_of(parent)
    if of_page(where):
        field = parent_of(parent)[1] + leaf if leaf.startswith("/@") else leaf
        return field if "[@name=" in field else where
    return leaf or where


def element_of(where: str) -> str:
    """The nearest list element that holds a place, else its container."""
    head, mark, _ = where.rpartition(ITEMS) if where.startswith(VALUES) else ("", "", "")
    return head + mark if mark else parent_of(where)[0]


def common(wheres: Sequence[str]) -> str:
    """The nearest container of all these places of one body; ``body`` where they are of two documents."""
    begins = {VALUES if where.startswith(VALUES) else "body:" if where.startswith(NODES) else "" for where in wheres}
    begin = min(begins)
    if len(begins) > 1 or not begin:
        return "body"
    ways = [_steps_of(where, begin) for where in wheres]
    shared: list[str] = []
    for steps in zip(*ways, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return begin + "".join(shared) if shared or begin == VALUES else "body"


def _steps_of(where: str, begin: str) -> list[str]:
    path = where.removeprefix(begin)
    return _STEPS.findall(path) if begin == VALUES else [f"/{name}" for name in path.split("/")[1:]]


def is_top(where: str) -> bool:
    """Whether a place is a whole document, of which unlike things are part."""
    return where in _TOPS or (where.startswith(NODES) and "/" not in where[len(NODES) :])
