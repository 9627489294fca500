"""XML as a tree, safely: no DTD, no entities."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat


def xml_tree(data: bytes) -> Any:
    """Nested [name, attributes, children] with texts; None when it is not XML or brings a DTD."""
    parser = expat.ParserCreate()
    root: list[Any] = ["", {}, []]
    stack = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        node: list[Any] = [name, attributes, []]
        stack[-1][2].append(node)
        stack.append(node)

    def end(_: str) -> None:
        stack.pop()

    def text(value: str) -> None:
        if value.strip():
            children = stack[-1][2]
            if children and isinstance(children[-1], str):
                children[-1] += value
            else:
                children.append(value)

    def refuse(*_: Any) -> None:
        raise ValueError("a DTD is not read")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError):
        return None
    return root[2][0] if root[2] else None
