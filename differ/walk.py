"""The structural comparison of two trees: exact, aligned, bounded.

Works on what :mod:`differ.jsons` gives (dict, list, str, int, float, bool, None, exact numbers); :mod:`differ.xml_walk` goes through
XML with the same bounds. Differences go to a :class:`~differ.sink.Sink`.
"""

from __future__ import annotations

import time
from itertools import compress
from operator import ne, not_
from typing import Any

import msgspec

from differ.aligning import aligned, exactly_equal
from differ.difference import FORMAT, ORDER_OF, PERMUTATION, PRESENCE, TYPE, VALUE
from differ.drawn_keys import NONE, Map, drawn_keys, keep, members, only, partners, renamed
from differ.graphqls import ERRORS, named
from differ.jwts import OPENING, tokens
from differ.matching import Effort
from differ.places import Place, root
from differ.sink import MISSING, Change, Sink, TooMuch, clock_flag, texts

OURS = frozenset({"x-lane", "baggage", "traceparent", "x-echolane-replay"})
"""Headers that the sender adds, echoed as headers or as keys of a body; a lane is sent to the branch only."""
DEADLINE_MASK = 255
"""The clock is asked every 256 nodes: at some microseconds each, a deadline is kept to a millisecond."""
NESTED = 8
"""Levels below which it is asked for each array that is aligned: each level reads all below it once more, few nodes and much time."""
LEAVES = frozenset({str, int, float, bool, type(None)})
NUMBERS = frozenset({int, float})
SIZE_TIMED = 2 * 1024 * 1024
"""Bytes of both texts for which the nodes and the time of a comparison are meant."""
EARLIEST = 1e9
"""A smaller number is no instant in any unit."""
_KINDS: dict[type[Any], str] = {type(None): "null", bool: "boolean", str: "string", dict: "object", list: "array"}


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    kind = value.__class__
    return _KINDS.get(kind, "number")


def _two_lists() -> tuple[list[Any], list[Any]]:
    return [], []


class Bounds(msgspec.Struct, frozen=True, gc=False):
    """How deep, how far and how long a comparison goes."""

    depth: int = 512
    nodes: int = 200_000
    time_s: float = 0.25
    """Nodes and time are meant for bodies of up to a megabyte; larger ones get as much for each."""


class Walk(msgspec.Struct, gc=False):
    """One comparison of two trees.

    In a ``mixed`` tree ``==`` does not prove equality, and proof is cheapest for many values at once. So what is equal to Python is
    taken for equal at first and kept in ``held``; at the end all of it is proved in one go. Should that fail, which is rare, the
    trees are walked again with a proof for each value.
    """

    sink: Sink
    bounds: Bounds
    mixed: bool = False
    size: int = 0
    """Bytes of both texts."""
    deadline: float | None = None
    met: int = 0
    """How many differing values were met."""
    careful: bool = False
    held: tuple[list[Any], list[Any]] = msgspec.field(default_factory=_two_lists)
    lossy: bool = False
    """Whether an object was read in a way that loses a key which comes twice."""
    effort: Effort | None = None
    """What may still be spent on matching; few walks match anything."""
    named: bool = False
    """Whether keys are names, whatever they look like: numbers of fields, heads of columns."""
    maps: list[tuple[Map, Place, int]] | None = None
    """Maps with drawn keys that are still to be compared, with their place and depth."""

    def trees(self, old: Any, new: Any, where: str) -> bool:
        """Emit what differs between two values; whether anything does."""
        if old == new:
            if (
                not self.mixed
                or (old.__class__ in LEAVES and old.__class__ is new.__class__)
                or exactly_equal(old, new)
            ):
                return False
            self.careful = True
        top = root(where)
        try:
            self.walk(old, new, top, 0)
            self.settle()
        except TooMuch:
            if self.proved():
                raise
        else:
            if self.proved():
                return True
        self.sink.forget(where)
        self.careful, self.deadline, self.met, self.effort, self.maps = True, None, 0, None, None
        self.walk(old, new, top, 0)
        self.settle()
        return True

    def proved(self) -> bool:
        """Whether all that was taken for equal is."""
        held = self.held
        if not held[0] or self.careful:
            return True
        try:
            return exactly_equal(*held)
        except RecursionError:  # value by value it may yet be told
            return False

    def walk(self, old: Any, new: Any, place: Place, depth: int) -> None:
        """Emit what differs between two values that are not the same."""
        self.met = met = self.met + 1
        if not met & DEADLINE_MASK or depth > self.bounds.depth:
            self.check(depth)
        kind = old.__class__
        if kind is not new.__class__:
            self._types(old, new, place)
        elif kind is dict:
            self.objects(old, new, place, depth)
        elif kind is list:
            self._arrays(old, new, place, depth)
        else:
            self._leaves(old, new, place)

    def _leaves(self, old: Any, new: Any, place: Place) -> None:
        """Two different values of one type that hold no others."""
        kind = old.__class__
        if kind is bool:
            self.sink.put(place.value, Change("value", VALUE, old, new, f"{old}>{new}"))
        elif kind is str:
            self.strings(old, new, place.value)
        else:
            self.numbers(old, new, place)

    def _types(self, old: Any, new: Any, place: Place) -> None:
        """Two values of different Python types."""
        name, other = kind_of(old), kind_of(new)
        if name == other:
            self.numbers(old, new, place)
        else:
            self.sink.add(place.text, Change("type", TYPE, old, new, f"{name}>{other}"))

    def check(self, depth: int) -> None:
        """The bounds; the clock is asked now and then, and starts at the first asking, since most walks are short."""
        if depth > self.bounds.depth:
            raise TooMuch("too-deep")
        times = max(1.0, self.size / SIZE_TIMED)
        if self.met >= self.bounds.nodes * times:
            raise TooMuch("too-many-nodes")
        now = time.thread_time()
        if self.deadline is None:
            self.deadline = now + self.bounds.time_s * times
        elif now > self.deadline:
            raise TooMuch("too-slow")

    def objects(self, old: dict[str, Any], new: dict[str, Any], place: Place, depth: int) -> None:
        """Keys by name: missing, added, or compared."""
        children, gone = place.children, False
        for key, value in old.items():
            other = new.get(key, MISSING)
            if other is value:
                continue
            kind = value.__class__
            if value == other:
                # Only numbers are equal to what is of another type, and texts are the commonest.
                if kind is str or (
                    kind is other.__class__ and (kind in LEAVES or not self.mixed or self._equal(value, other))
                ):
                    continue
            elif kind is other.__class__:
                if kind in NUMBERS:
                    self.numbers(value, other, children.get(key) or place.child(key))
                    continue
                if kind is dict and depth < self.bounds.depth:  # as walk() does, without a call more
                    self.met = met = self.met + 1
                    if not met & DEADLINE_MASK:
                        self.check(depth + 1)
                    self.objects(value, other, children.get(key) or place.child(key), depth + 1)
                    continue
                if kind in LEAVES:
                    self._leaves(value, other, children.get(key) or place.child(key))
                    continue
            elif other is MISSING:
                gone = True
                continue
            self.walk(value, other, children.get(key) or place.child(key), depth + 1)
        if gone or len(new) != len(old):
            self._apart(old, new, place, depth)

    def _apart(self, old: dict[str, Any], new: dict[str, Any], place: Place, depth: int) -> None:
        """Keys that only one of two objects has: missing, added, or drawn anew."""
        gone, came = [key for key in old if key not in new], [key for key in new if key not in old]
        drawn = NONE if self.named else drawn_keys(old, new, gone, came)
        for key in gone:
            if key not in drawn:
                self.came_or_went("missing", place, key, old[key], MISSING)
        for key in came:
            if key not in drawn:
                self.came_or_went("added", place, key, MISSING, new[key])
        if drawn:
            self.put_off(Map(only(old, drawn), only(new, drawn), keep(old, new)), place, depth)

    def put_off(self, here: Map, place: Place, depth: int) -> None:
        """Compare the members of maps with drawn keys last: what differs elsewhere says which of them belong together."""
        if self.maps is None:
            self.maps = []
        self.maps.append((here, place, depth))

    def settle(self) -> None:
        """Compare what was put off."""
        while self.maps:
            maps, self.maps = self.maps, None
            names = partners(list(self.sink.found.values()), [here for here, _, _ in maps])
            for here, place, depth in maps:
                self._members(here, names, place, depth)

    def _members(self, here: Map, names: dict[str, str], place: Place, depth: int) -> None:
        """Members of two maps, whose keys say nothing, by what they hold; how many there are is told apart from that."""
        old, new, _ = here
        effort = self.effort
        if effort is None:
            effort = self.effort = Effort()
        if depth > NESTED:
            self.check(depth)
        if len(old) != len(new):
            grew = "grew" if len(new) > len(old) else "shrank"
            self.sink.add(place.text, Change("length", FORMAT, len(old), len(new), grew))
        pairs, greedy = members(here, names, effort)
        if greedy:
            self.sink.greedily(place.text)
        others = renamed(here, pairs, self.sink.now_ns)
        if others is not None:
            self.sink.add(place.text, others)
        inside = place.children.get(None) or place.child(None)
        for key, name in pairs:
            one, two = old[key], new[name]
            if not exactly_equal(one, two):
                self.walk(one, two, inside, depth + 1)

    def came_or_went(self, kind: str, place: Place, key: str, old: Any, new: Any) -> None:
        """A key is there on one side only; one that the sender adds says nothing."""
        if key.lower() in OURS:
            return
        below = place.children.get(key) or place.child(key)
        value = new if old is MISSING else old
        told = named(value) if below.text == ERRORS else ""
        self.sink.add(below.text, Change(kind, PRESENCE, old, new, told or kind_of(value)))

    def _equal(self, old: Any, new: Any) -> bool:
        """Whether two values that are equal to Python are equal; at first this is believed."""
        if self.careful:
            return exactly_equal(old, new)
        held = self.held
        held[0].append(old)
        held[1].append(new)
        return True

    def _arrays(self, old: list[Any], new: list[Any], place: Place, depth: int) -> None:
        """Elements by key or by what they share; order told apart from change."""
        left: list[tuple[Any, Any]] | None = None
        members = len(old)
        inside = place.children.get(None) or place.child(None)
        if len(old) == len(new):
            # What is equal at its own place is no part of the question.
            left = self._unlike(old, new)
            if len(left) == 1:
                self.walk(*left[0], inside, depth + 1)
                return
            if len(left) < len(old):
                old, new = [pair[0] for pair in left], [pair[1] for pair in left]
        else:
            grew = "grew" if len(new) > len(old) else "shrank"
            self.sink.add(place.text, Change("length", FORMAT, len(old), len(new), grew))
        effort = self.effort
        if effort is None:
            effort = self.effort = Effort()
        if depth > NESTED:
            self.check(depth)
        fit = aligned(old, new, effort)
        if fit is None or fit.moved:
            self.sink.add(place.text, Change("order", VALUE, old, new, f"{ORDER_OF}{members}", flags=PERMUTATION))
        if fit is None:
            return
        for one, two in fit.changed:
            self.sink.add(inside.text, Change("moved", VALUE, one, two, "moved"))
        if fit.greedy:
            self.sink.greedily(place.text)
        if left is None or not fit.in_place:
            left = self._unlike(fit.olds, fit.news)
        for one, two in left:
            self.walk(one, two, inside, depth + 1)

    def _unlike(self, olds: list[Any], news: list[Any]) -> list[tuple[Any, Any]]:
        """Those pairs of two lists of one length that are not the same."""
        differ = list(map(ne, olds, news))
        if not self.mixed:
            return list(compress(zip(olds, news, strict=True), differ))
        if self.careful:
            return [
                (one, two)
                for one, two, unlike in zip(olds, news, differ, strict=True)
                if unlike
                or (not ((kind := one.__class__) in LEAVES and kind is two.__class__) and not exactly_equal(one, two))
            ]
        if False in differ:
            equal = list(map(not_, differ))
            self.held[0].extend(compress(olds, equal))
            self.held[1].extend(compress(news, equal))
        return list(compress(zip(olds, news, strict=True), differ))

    def strings(self, old: str, new: str, key: tuple[str, str]) -> None:
        """Two texts at a place, which is given with the kind it mostly comes to."""
        sink = self.sink
        if sink.ports is not None and old == sink.ports[0] and new == sink.ports[1]:
            return
        change = (tokens(old, new) if old.startswith(OPENING) else None) or texts(old, new, sink.now_ns)
        sink.put(key if change.kind == "value" else (key[0], change.kind), change)

    def numbers(self, old: Any, new: Any, place: Place) -> None:
        """Two numbers."""
        sink, key = self.sink, place.value
        if old == sink.port and sink.echoed(old, new):
            return
        flags = clock_flag(old, new, sink.now_ns) if old.__class__ not in NUMBERS or old > EARLIEST else 0
        klass = "time" if flags or place.timing else ""
        before = sink.found.get(key)
        if before is None:
            sink.put(key, Change("value", VALUE, old, new, "number", klass, flags))
        else:
            before.again(VALUE, klass, flags, old, new)


__all__ = ["MISSING", "Bounds", "TooMuch", "Walk", "kind_of"]
