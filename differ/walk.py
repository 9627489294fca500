"""The structural comparison of two trees: exact, aligned, bounded.

Works on what :mod:`differ.jsons` gives (dict, list, str, int, float, bool, None, exact numbers) and on XML nodes
(:mod:`differ.xmls`). Differences go to a :class:`~differ.sink.Sink`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson

from differ.aligning import aligned, exactly_equal
from differ.classes import timing_name
from differ.difference import FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE
from differ.sink import MISSING, Change, Sink, TooMuch, clock_flag, texts
from differ.xmls import Node

OURS = frozenset({"x-lane", "baggage", "traceparent", "x-echolane-replay"})
"""Headers that the sender adds, echoed as keys of a body; a lane is sent to the branch only."""
DEADLINE_MASK = 255
"""The clock is asked every 256 nodes: at some microseconds each, a deadline is kept to a millisecond."""
LEAVES = frozenset({str, int, float, bool, type(None)})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@lru_cache(maxsize=4096)
def step(key: str) -> str:
    """One key as a step of a path (■ §7)."""
    if _PLAIN.fullmatch(key):
        return "." + key
    text = key.replace("\\", "\\\\").replace("'", "\\'")
    return "['" + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text) + "']"


_KINDS: dict[type[Any], str] = {type(None): "null", bool: "boolean", str: "string", dict: "object", list: "array"}


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    kind = value.__class__
    return _KINDS.get(kind, "number")


class Walk:
    """One comparison of two trees. Places are texts, made only on the way down to a difference."""

    __slots__ = ("deadline", "depth_max", "mixed", "nodes_left", "sink", "time_s")

    def __init__(self, sink: Sink, bounds: tuple[int, int, float], *, mixed: bool) -> None:
        self.sink, self.mixed = sink, mixed
        self.depth_max, self.nodes_left, self.time_s = bounds
        self.deadline: float | None = None

    def same(self, old: Any, new: Any) -> bool:
        """Exact equality: ``==`` where it can be trusted, the written value where 1, 1.0 and true may hide behind it."""
        if old != new:
            return False
        kind = old.__class__
        if not self.mixed or (kind in LEAVES and kind is new.__class__):
            return True
        return exactly_equal(old, new)

    def walk(self, old: Any, new: Any, where: str, depth: int = 0) -> None:
        """Emit what differs between two values that are not the same."""
        self.nodes_left -= 1
        if not self.nodes_left & DEADLINE_MASK or depth > self.depth_max:
            self._check(depth)
        kind = old.__class__
        if kind is dict and new.__class__ is dict:
            self._objects(old, new, where, depth)
        elif kind is list and new.__class__ is list:
            self._arrays(old, new, where, depth)
        elif (name := kind_of(old)) != (other := kind_of(new)):
            self.sink.add(where, Change("type", TYPE, old, new, f"{name}>{other}"))
        else:
            self._scalars(old, new, where)

    def _check(self, depth: int) -> None:
        """The bounds; the clock is asked now and then, and starts at the first asking, since most walks are short."""
        if depth > self.depth_max:
            raise TooMuch("too-deep")
        if self.nodes_left <= 0:
            raise TooMuch("too-many-nodes")
        now = time.thread_time()
        if self.deadline is None:
            self.deadline = now + self.time_s
        elif now > self.deadline:
            raise TooMuch("too-slow")

    def _objects(self, old: dict[str, Any], new: dict[str, Any], where: str, depth: int) -> None:
        """Keys by name: missing, added, or compared."""
        get = new.get
        if self.mixed:
            changed = [
                key
                for key, value in old.items()
                if (other := get(key, MISSING)) is not value
                and (
                    other != value
                    or (kind := value.__class__) is not other.__class__
                    or (kind not in LEAVES and not exactly_equal(value, other))
                )
            ]
        else:
            changed = [key for key, value in old.items() if value != get(key, MISSING)]
        for key in changed:
            value, other = old[key], get(key, MISSING)
            if other is not MISSING:
                self.walk(value, other, where + step(key), depth + 1)
            elif key.lower() not in OURS:
                self.sink.add(where + step(key), Change("missing", PRESENCE, value, MISSING, kind_of(value)))
        if len(new) == len(old) and new.keys() == old.keys():
            return
        for key, value in new.items():
            if key not in old and key.lower() not in OURS:
                self.sink.add(where + step(key), Change("added", PRESENCE, MISSING, value, kind_of(value)))

    def _arrays(self, old: list[Any], new: list[Any], where: str, depth: int) -> None:
        """Elements by key or by what is equal; order told apart from change."""
        left: list[tuple[Any, Any]] | None = None
        if len(old) == len(new):
            # What is equal at its own place is no part of the question.
            left = self._unlike(zip(old, new, strict=True))
            if len(left) == 1:
                self.walk(*left[0], where + "[*]", depth + 1)
                return
            if len(left) < len(old):
                old, new = [pair[0] for pair in left], [pair[1] for pair in left]
        else:
            grew = "grew" if len(new) > len(old) else "shrank"
            self.sink.add(where, Change("length", FORMAT, len(old), len(new), grew))
        fit = aligned(old, new)
        if fit is None or fit.moved:
            self.sink.add(where, Change("order", VALUE, old, new, "order", flags=PERMUTATION))
        if fit is None:
            return
        inside = where + "[*]"
        if left is None or not fit.in_place:
            left = self._unlike((old[i], new[j]) for i, j in fit.pairs)
        for one, two in left:
            self.walk(one, two, inside, depth + 1)

    def _unlike(self, pairs: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """Those pairs that are not the same."""
        if not self.mixed:
            return [pair for pair in pairs if pair[0] != pair[1]]
        found = list(pairs)
        try:
            # Written text tells 1, 1.0 and true apart; two orders of keys are not the commonest case.
            written = zip(
                map(orjson.dumps, [one for one, _ in found]), map(orjson.dumps, [two for _, two in found]), strict=True
            )
            return [
                pair for pair, (one, two) in zip(found, written, strict=True) if one != two and not self.same(*pair)
            ]
        except TypeError:  # exact numbers, or deeper than orjson writes
            return [pair for pair in found if not self.same(*pair)]

    def _scalars(self, old: Any, new: Any, where: str) -> None:
        """Two values of one type."""
        sink = self.sink
        if sink.ports and sink.echoed(old, new):
            return
        if old.__class__ is str:
            sink.add(where, texts(old, new, sink.now_ns))
            return
        flags, klass, signature = 0, "", "number"
        if old.__class__ is bool:
            signature = f"{old}>{new}"
        else:
            flags = clock_flag(old, new, sink.now_ns)
            klass = "time" if flags or timing_name(where) else ""
        sink.add(where, Change("value", VALUE, old, new, signature, klass, flags))

    def nodes(self, old: Node, new: Node, where: str, depth: int = 0) -> None:
        """Two XML elements: name, attributes, text, children by name and rank."""
        self.nodes_left -= 1
        if not self.nodes_left & DEADLINE_MASK or depth > self.depth_max:
            self._check(depth)
        where = f"{where}/{old.name}"
        if old.name != new.name:
            self.sink.add(where, Change("type", TYPE, old.name, new.name, f"<{old.name}>-<{new.name}>"))
            return
        for name in [*old.attributes, *(n for n in new.attributes if n not in old.attributes)]:
            values = old.attributes.get(name, MISSING), new.attributes.get(name, MISSING)
            if values[0] != values[1]:
                self._leaf(f"{where}/@{name}", *values)
        if old.text != new.text:
            self._leaf(where, old.text, new.text)
        self._children(old, new, where, depth)

    def _leaf(self, where: str, old: Any, new: Any) -> None:
        if old is MISSING or new is MISSING:
            self.sink.add(where, Change("added" if old is MISSING else "missing", PRESENCE, old, new, "attribute"))
        else:
            self._scalars(old, new, where)

    def _children(self, old: Node, new: Node, where: str, depth: int) -> None:
        """Children of one name are a list; a name that came or went covers what is under it."""
        groups = old.by_name(), new.by_name()
        for name in [*groups[0], *(n for n in groups[1] if n not in groups[0])]:
            olds, news = groups[0].get(name, []), groups[1].get(name, [])
            if not olds or not news:
                values = (olds[0].shown(), MISSING) if olds else (MISSING, news[0].shown())
                self.sink.add(f"{where}/{name}", Change("missing" if olds else "added", PRESENCE, *values, "element"))
                continue
            if len(olds) != len(news):
                self.sink.add(f"{where}/{name}", Change("length", FORMAT, len(olds), len(news), "elements"))
            for one, two in zip(olds, news, strict=False):
                if one != two:
                    self.nodes(one, two, where, depth + 1)


__all__ = ["MISSING", "TooMuch", "Walk", "kind_of", "step"]
