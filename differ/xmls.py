"""XML as a tree, safely: no DTD, no entities of its own, bounded depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

DEPTH_MAX = 512


@dataclass(slots=True)
class Node:
    """One element; ``text`` is all of its own text, outer blanks removed."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list["Node"])

    def by_name(self) -> dict[str, list[Node]]:
        """Children by their name, in order."""
        groups: dict[str, list[Node]] = {}
        for child in self.children:
            groups.setdefault(child.name, []).append(child)
        return groups

    def shown(self) -> str:
        """A short text of this element."""
        attributes = "".join(f' {name}="{value}"' for name, value in self.attributes.items())
        return f"<{self.name}{attributes}>{self.text[:200]}{'…' if self.children else ''}</{self.name}>"


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """What is not read: a DTD, or nesting beyond DEPTH_MAX."""


def xml_tree(data: bytes) -> Node | None:
    """The root element; None when the bytes are not XML, bring a DTD, or nest too deeply."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    root = Node("", {})
    stack = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        node = Node(name, attributes)
        stack[-1].children.append(node)
        stack.append(node)
        if len(stack) > DEPTH_MAX:
            raise _Refused

    def end(_: str) -> None:
        node = stack.pop()
        node.text = node.text.strip()

    def text(value: str) -> None:
        stack[-1].text += value

    def doctype(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _Refused):
        return None
    return root.children[0] if root.children else None
