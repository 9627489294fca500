"""XML as a tree, safely: no DTD, no entities of its own, bounded depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

DEPTH_MAX = 512


@dataclass(slots=True)
class Node:
    """One element; ``text`` is all of its own text, outer blanks removed."""

    name: str
    attributes: dict[str, str] = field(compare=False)
    text: str = field(default="", compare=False)
    children: list[Node] = field(default_factory=list["Node"], compare=False)
    plain: Any = ""
    """What it holds, as JSON would: its text, where that is all; else an object of ``@attribute``, its text under an empty name, and its
    children by name, those that share one as an array. Two elements of one name are the same where these are equal."""

    def by_name(self) -> dict[str, list[Node]]:
        """Children by their name, in order."""
        groups: dict[str, list[Node]] = {}
        for child in self.children:
            groups.setdefault(child.name, []).append(child)
        return groups

    def close(self) -> None:
        """The element is read: put together what it holds, in a step for each child."""
        self.text = self.text.strip()
        if not self.attributes and not self.children:
            self.plain = self.text
            return
        plain: dict[str, Any] = {f"@{name}": value for name, value in self.attributes.items()}
        if self.text:
            plain[""] = self.text
        for name, group in self.by_name().items():
            plain[name] = group[0].plain if len(group) == 1 else [child.plain for child in group]
        self.plain = plain

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
        stack.pop().close()

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
