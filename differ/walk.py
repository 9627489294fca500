"""The structural comparison of two trees: exact, aligned, bounded.

Works on what :mod:`differ.jsons` gives (dict, list, str, int, float, bool, None, exact numbers) and on XML nodes
(:mod:`differ.xmls`). Paths are linked pairs, rendered only when a difference is emitted to the :class:`~differ.sink.Sink`.
"""

from __future__ import annotations

import re
import time
from typing import Any

from differ.aligning import aligned, canonical
from differ.classes import timing_name
from differ.difference import FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE
from differ.sink import MISSING, Change, Sink, TooMuch, clock_flag, texts
from differ.xmls import Node

OURS = frozenset({"x-lane", "baggage", "traceparent", "x-echolane-replay"})
"""Headers that the sender adds, echoed as keys of a body; a lane is sent to the branch only."""
DEADLINE_EVERY = 256
"""Nodes between two looks at the clock: at some microseconds each, a deadline is kept to a millisecond."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

Path = tuple[Any, str] | None


def render(path: Path, root: str) -> str:
    """The place as text: ``body:$.a[*]['b c']``."""
    parts: list[str] = []
    while path is not None:
        parts.append(path[1])
        path = path[0]
    parts.append(root)
    return "".join(reversed(parts))


def step(key: str) -> str:
    """One key as a step of a path (■ §7)."""
    if _PLAIN.fullmatch(key):
        return "." + key
    text = key.replace("\\", "\\\\").replace("'", "\\'")
    return "['" + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + "']"


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case dict():
            return "object"
        case list():
            return "array"
        case _:
            return "number"


class Walk:
    """One comparison of two trees."""

    def __init__(self, sink: Sink, root: str, bounds: tuple[int, int, float], *, risky: bool) -> None:
        self.sink, self.root, self.risky = sink, root, risky
        self.depth_max, self.nodes_left, time_s = bounds
        self.deadline = time.thread_time() + time_s

    def same(self, old: Any, new: Any) -> bool:
        """Exact equality: ``==`` where it can be trusted, canonical text where 1, 1.0 and true may hide behind it."""
        return old == new and (not self.risky or canonical(old) == canonical(new))

    def walk(self, old: Any, new: Any, path: Path = None, depth: int = 0) -> None:
        """Emit what differs between two values at ``path``."""
        self._spend(depth)
        kinds = kind_of(old), kind_of(new)
        if kinds[0] != kinds[1]:
            self._emit(path, Change("type", TYPE, old, new, f"{kinds[0]}>{kinds[1]}"))
        elif kinds[0] == "object":
            self._objects(old, new, path, depth)
        elif kinds[0] == "array":
            self._arrays(old, new, path, depth)
        else:
            self._scalars(old, new, path)

    def _spend(self, depth: int) -> None:
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise TooMuch("too-many-nodes")
        if self.nodes_left % DEADLINE_EVERY == 0 and time.thread_time() > self.deadline:
            raise TooMuch("too-slow")
        if depth > self.depth_max:
            raise TooMuch("too-deep")

    def _emit(self, path: Path, change: Change) -> None:
        self.sink.add(render(path, self.root), change)

    def _objects(self, old: dict[str, Any], new: dict[str, Any], path: Path, depth: int) -> None:
        """Keys by name: missing, added, or compared."""
        for key, value in old.items():
            if key in new:
                if not self.same(value, new[key]):
                    self.walk(value, new[key], (path, step(key)), depth + 1)
            elif key.lower() not in OURS:
                self._emit((path, step(key)), Change("missing", PRESENCE, value, MISSING, kind_of(value)))
        for key, value in new.items():
            if key not in old and key.lower() not in OURS:
                self._emit((path, step(key)), Change("added", PRESENCE, MISSING, value, kind_of(value)))

    def _arrays(self, old: list[Any], new: list[Any], path: Path, depth: int) -> None:
        """Elements by key or by what is equal; order told apart from change."""
        if len(old) != len(new):
            grew = "grew" if len(new) > len(old) else "shrank"
            self._emit(path, Change("length", FORMAT, len(old), len(new), grew))
        fit = aligned(old, new)
        if fit is None or fit.moved:
            self._emit(path, Change("order", VALUE, old, new, "order", flags=PERMUTATION))
        if fit is None:
            return
        inside: Path = (path, "[*]")
        for i, j in fit.pairs:
            if not self.same(old[i], new[j]):
                self.walk(old[i], new[j], inside, depth + 1)

    def _scalars(self, old: Any, new: Any, path: Path) -> None:
        """Two values of one type."""
        if self.sink.echoed(old, new):
            return
        if isinstance(old, str):
            self._emit(path, texts(old, new, self.sink.now_ns))
            return
        flags, klass = 0, ""
        if not isinstance(old, bool):
            flags = clock_flag(old, new, self.sink.now_ns)
            klass = "time" if flags or (path is not None and timing_name(path[1])) else ""
        signature = f"{old}>{new}" if isinstance(old, bool) else "number"
        self._emit(path, Change("value", VALUE, old, new, signature, klass, flags))

    def nodes(self, old: Node, new: Node, path: Path = None, depth: int = 0) -> None:
        """Two XML elements: name, attributes, text, children by name and rank."""
        self._spend(depth)
        path = (path, "/" + old.name)
        if old.name != new.name:
            self._emit(path, Change("type", TYPE, old.name, new.name, f"<{old.name}>-<{new.name}>"))
            return
        for name in [*old.attributes, *(n for n in new.attributes if n not in old.attributes)]:
            values = old.attributes.get(name, MISSING), new.attributes.get(name, MISSING)
            if values[0] != values[1]:
                self._leaf((path, f"/@{name}"), *values)
        if old.text != new.text:
            self._leaf(path, old.text, new.text)
        self._children(old, new, path, depth)

    def _leaf(self, path: Path, old: Any, new: Any) -> None:
        if old is MISSING or new is MISSING:
            kind = "added" if old is MISSING else "missing"
            self._emit(path, Change(kind, PRESENCE, old, new, "attribute"))
        else:
            self._scalars(old, new, path)

    def _children(self, old: Node, new: Node, path: Path, depth: int) -> None:
        """Children of one name are a list; a name that came or went covers what is under it."""
        groups = old.by_name(), new.by_name()
        for name in [*groups[0], *(n for n in groups[1] if n not in groups[0])]:
            olds, news = groups[0].get(name, []), groups[1].get(name, [])
            if not olds or not news:
                kind = "missing" if olds else "added"
                values = (olds[0].shown(), MISSING) if olds else (MISSING, news[0].shown())
                self._emit((path, "/" + name), Change(kind, PRESENCE, *values, "element"))
                continue
            if len(olds) != len(news):
                self._emit((path, "/" + name), Change("length", FORMAT, len(olds), len(news), "elements"))
            for one, two in zip(olds, news, strict=False):
                if one != two:
                    self.nodes(one, two, path, depth + 1)


__all__ = ["MISSING", "TooMuch", "Walk", "kind_of", "render", "step"]
