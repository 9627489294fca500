"""The comparison of two XML elements: attributes, text, children. Aligned and bounded as that of JSON (:mod:`differ.walk`).

Children of one name are a list, and are paired as the elements of an array are: by a key that an attribute or a child promises, else by
what they share (:mod:`differ.aligning`). Children of different names have no order. A list has the place of its elements
(``body:/feed/entry``), where it says its length; in which order its elements stand is told at the element that holds them, so that an
order which varies says nothing of their texts.
"""

from __future__ import annotations

from typing import Any

from differ.aligning import Aligned, aligned, by_keys
from differ.difference import FORMAT, ORDER_OF, PERMUTATION, PRESENCE, TYPE, VALUE
from differ.keying import KEYS, unique
from differ.matching import Effort
from differ.sink import MISSING, Change
from differ.walk import DEADLINE_MASK, NESTED, Walk
from differ.xmls import Node

Pairs = list[tuple[Node, Node]]
Pending = list[tuple[Node, Node, str, int]]
"""Elements that differ, the place of what holds them, and how deep they stand."""


def elements(walk: Walk, old: Node, new: Node) -> None:
    """Emit what differs between two documents; without recursion, since these may nest as deep as Python calls.

    Raises:
        TooMuch: a bound of the walk was reached.
    """
    left: Pending = [(old, new, "body:", 0)]
    while left:
        one, two, above, depth = left.pop()
        walk.met += 1
        if not walk.met & DEADLINE_MASK or depth > walk.bounds.depth:
            walk.check(depth)
        where = f"{above}/{one.name}"
        if one.name != two.name:
            walk.sink.add(where, Change("type", TYPE, one.name, two.name, f"<{one.name}>-<{two.name}>"))
            continue
        for name in [*one.attributes, *(name for name in two.attributes if name not in one.attributes)]:
            values = one.attributes.get(name, MISSING), two.attributes.get(name, MISSING)
            if values[0] != values[1]:
                _attribute(walk, f"{where}/@{name}", *values)
        if one.text != two.text:
            walk.strings(one.text, two.text, (where, "value"))
        if one.children or two.children:
            pairs = _children(walk, one, two, where, depth)
            left += [(*pair, where, depth + 1) for pair in reversed(pairs)]


def _attribute(walk: Walk, where: str, old: Any, new: Any) -> None:
    if old is MISSING or new is MISSING:
        walk.sink.add(where, Change("added" if old is MISSING else "missing", PRESENCE, old, new, "attribute"))
    else:
        walk.strings(old, new, (where, "value"))


def _children(walk: Walk, old: Node, new: Node, where: str, depth: int) -> Pairs:
    """Children that belong together and differ; a name that came or went covers what is under it."""
    groups, pairs = (old.by_name(), new.by_name()), Pairs()
    for name in [*groups[0], *(name for name in groups[1] if name not in groups[0])]:
        olds, news = groups[0].get(name, []), groups[1].get(name, [])
        if not olds or not news:
            values = (olds[0].shown(), MISSING) if olds else (MISSING, news[0].shown())
            walk.sink.add(f"{where}/{name}", Change("missing" if olds else "added", PRESENCE, *values, "element"))
        elif len(olds) == len(news) == 1:
            pairs += _unlike(olds, news)
        else:
            pairs += _listed(walk, olds, news, where, depth)
    return pairs


def _unlike(olds: list[Node], news: list[Node]) -> Pairs:
    """Those pairs of two lists of one length and name that are not the same."""
    return [(one, two) for one, two in zip(olds, news, strict=True) if one.plain != two.plain]


def _listed(walk: Walk, olds: list[Node], news: list[Node], where: str, depth: int) -> Pairs:
    """Elements of one name under ``where`` that belong together and differ; order told apart from change."""
    place, members = f"{where}/{olds[0].name}", len(olds)
    if len(olds) == len(news):
        # What is equal at its own place is no part of the question.
        left = _unlike(olds, news)
        if len(left) < 2:
            return left
        olds, news = [one for one, _ in left], [two for _, two in left]
    else:
        walk.sink.add(place, Change("length", FORMAT, len(olds), len(news), "elements"))
    effort = walk.effort
    if effort is None:
        effort = walk.effort = Effort()
    if depth > NESTED:
        walk.check(depth)
    ones, twos = [node.plain for node in olds], [node.plain for node in news]
    fit = _by_promised(ones, twos, effort) or aligned(ones, twos, effort)
    if fit is None or fit.moved:
        walk.sink.add(where, Change("order", VALUE, ones, twos, f"{ORDER_OF}{members}", flags=PERMUTATION))
    if fit is None:
        return []
    for one, two in fit.changed:
        walk.sink.add(place, Change("moved", VALUE, one, two, "moved"))
    if fit.greedy:
        walk.sink.greedily(place)
    here, there = ({_name_of(node.plain): node for node in side} for side in (olds, news))
    return _unlike([here[_name_of(one)] for one in fit.olds], [there[_name_of(two)] for two in fit.news])


def _name_of(plain: Any) -> Any:
    """What leads back from what an element holds to the element: texts that are equal are of equal elements."""
    return plain if plain.__class__ is str else id(plain)


def _by_promised(old: list[Any], new: list[Any], effort: Effort) -> Aligned | None:
    """Pairs by an attribute, or a child that is a text, whose name promises a key (``id``, ``D:href``); None when there is none such."""
    if not all(item.__class__ is dict for side in (old, new) for item in side):
        return None
    ways = {_local(key): key for key, value in old[0].items() if value.__class__ is str}
    for key in [ways[name] for name in KEYS if name in ways]:
        keys = [item.get(key) for item in old], [item.get(key) for item in new]
        if not (unique(keys[0]) and unique(keys[1])):
            continue
        if keys[0] == keys[1]:
            return Aligned(old, new, moved=False, in_place=True)
        if (fit := by_keys(old, new, *keys, effort)) is not None:
            return fit
    return None


def _local(name: str) -> str:
    """A name without what says that it is an attribute, without its prefix, in small letters."""
    return name.removeprefix("@").rpartition(":")[2].lower()


__all__ = ["elements"]
