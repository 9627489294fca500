"""Renamings: ids that differ between two answers and still say the same, since each stands for one other wherever it occurs.

Two answers are related by the pairs of ids (:mod:`differ.ids`) at the places where they differ, and by those at which they agree, in
JSON position by position. Where each id has one partner, the differences that share pairs are one renaming: they get one signature,
``renaming:PLACE``, and nothing else, so that a renaming is neither noise nor excused by itself. An id with two partners points
elsewhere: the pairs are matched greedily, the surest first, and a place with a pair that is left over gets the facet FORMAT and the
signature ``relation-broken:PLACE~OTHER``. That is a statement about equality within one answer, which random ids make as firmly as
fixed ones; so its class is dropped, unless the two places are ordered apart, where an order that is drawn by chance looks the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from differ.bodies import reading
from differ.bodies_of import FORM, JSON, NDJSON, SSE
from differ.context import Context
from differ.difference import BROKEN, FORMAT, RENAMING
from differ.echoes import Own
from differ.ids import OPAQUE, Id, ids_in, name_of
from differ.jsons import Exact
from differ.places import Place, root
from differ.sink import Change, Sink
from echolane.exchange import Response

IDS_MAX = 2_000
"""Pairs of ids that are related; an answer with more shows enough of its relation in the first of them."""
MET_MAX = 100_000
"""Values that are met to find where ids agree: a tenth of a second."""
BYTES_MAX = 1 << 20
"""Of both bodies; larger ones are not read once more."""
SEARCHED_MAX = 8
"""Texts that are searched for one by one, which is faster than cutting a body to words."""
KINDS = frozenset(("value", "format"))
TREES = frozenset((JSON, NDJSON, SSE, FORM))
_WORDS = bytes(c if (chr(c).isalnum() and c < 128) or c in b"-_" else 0x20 for c in range(256))


class Met(NamedTuple):
    """A pair of ids at one place of two answers."""

    where: str
    at: str
    """The same with indexes: the element that has it."""
    old: Id
    new: Id


Values = dict[str, set[tuple[Any, Any]]]
"""The pairs of values that differ at each place with ids."""


def mark(sink: Sink, left: Response, right: Response, context: Context) -> None:
    """Say of the differences found so far which are one renaming, and which break one. Never raises."""
    held: list[tuple[str, Change]] = []
    for (where, kind), change in sink.found.items():
        # Most differences are told to be no ids by their type alone.
        if change.old.__class__ is not float and kind in KINDS and _may_hold(where, change):
            held.append((where, change))
    if not held or (len(held) == 1 and alone(held[0][1], left.body.data, right.body.data)):
        return
    values, met = changed(held)
    if not met:
        return
    if explained(met, left.body.data, right.body.data):
        partners = {one.old: one.new for one in met}
        if len(partners) < len(met):
            _unite(sink, met, partners, set())
        return
    positions = positioned(values, met, left, right, context)
    if positions is None:
        return
    met = positions
    partners, left_over = matched(met)
    broken = {one.where for one, _ in left_over}
    for one, other in left_over:
        _break(sink, one, other)
    _unite(sink, met, partners, broken)


def _may_hold(where: str, change: Change) -> bool:
    """Whether the values of a difference may be ids, or links with ids in them."""
    old = change.old
    if old.__class__ is str and (change.klass in OPAQUE or "/" in old or change.kind == "format"):
        return True
    return name_of(where) is not None and (old.__class__ in {str, int} or isinstance(old, Exact))


def alone(change: Change, one: bytes, two: bytes) -> bool:
    """Whether the only ids that differ occur nowhere else in their own body: the commonest case, which costs two searches."""
    if change.more is not None or change.klass not in OPAQUE:
        return False
    old, new = encoded(change.old), encoded(change.new)
    return one.count(old) <= 1 and two.count(new) <= 1


def encoded(text: str) -> bytes:
    """A text as it most likely stands in a body."""
    return text.encode("utf-8", "replace")


def changed(held: list[tuple[str, Change]]) -> tuple[Values, list[Met]]:
    """The differing values at places with ids, and the pairs of ids in them."""
    values: Values = {}
    met: list[Met] = []
    for where, change in held:
        pairs = [(change.old, change.new), *_again(change)]
        if len(pairs) < change.count:  # not all values are known
            continue
        here = [found for old, new in pairs for found in paired(where, where, old, new)]
        if here and len(met) + len(here) <= IDS_MAX:
            values[where] = {(str(old), str(new)) for old, new in pairs}
            met += here
    return values, [one for one in met if one.old != one.new]


def _again(change: Change) -> Iterator[tuple[Any, Any]]:
    more = change.more or ()
    return zip(more[::2], more[1::2], strict=True)


def paired(where: str, at: str, old: Any, new: Any) -> list[Met]:
    """The ids of two values that correspond; none where the values are of different make."""
    (frame, olds), (other, news) = ids_in(old, where), ids_in(new, where)
    if frame != other or len(olds) != len(news):
        return []
    return [Met(where, at, one, two) for one, two in zip(olds, news, strict=True) if one.noun == two.noun]


def explained(met: list[Met], one: bytes, two: bytes) -> bool:
    """Whether the pairs are one to one, and nothing else in the bodies can contradict them.

    That would be a pair with the same old or the same new id, so one more occurrence of it in its own body.
    """
    forward, back = {pair.old: pair.new for pair in met}, {pair.new: pair.old for pair in met}
    if any(forward[pair.old] != pair.new or back[pair.new] != pair.old for pair in met):
        return False
    inside = [pair for pair in met if pair.where.startswith("body")]
    olds, news = Counter(pair.old.text for pair in inside), Counter(pair.new.text for pair in inside)
    return occur({pair.old.text for pair in met}, olds, one) and occur({pair.new.text for pair in met}, news, two)


def occur(texts: set[str], known: Counter[str], data: bytes) -> bool:
    """Whether each of these texts occurs in a body as often as is known."""
    if len(texts) <= SEARCHED_MAX and all(data.count(encoded(text)) == known[text] for text in texts):
        return True
    words = Counter(data.translate(_WORDS).split())
    return all(words[encoded(text)] == known[text] for text in texts)


def positioned(values: Values, met: list[Met], left: Response, right: Response, context: Context) -> list[Met] | None:
    """All pairs of these ids, those that agree too, where both bodies have the same form; None where that cannot be said.

    What stands in an array counts only where its elements were compared each at its own place: an array that was aligned otherwise
    has no positions to relate.
    """
    if len(left.body.data) + len(right.body.data) > BYTES_MAX:
        return None
    trees = [_tree(answer, own, context) for answer, own in zip((left, right), context.own, strict=True)]
    if trees[0] is None or trees[0].__class__ is not trees[1].__class__:
        return None
    texts = {one.old.text for one in met} | {one.new.text for one in met}
    sought: set[Any] = texts | {int(text) for text in texts if text.isdecimal()}
    found: list[Met] = []
    displaced: set[str] = set()
    for where, at, old, new in leaves(trees[0], trees[1], sought):
        if old == new:
            if old.__class__ is str and len(texts) <= SEARCHED_MAX and not any(text in old for text in texts):
                continue  # another link
        elif (pairs := values.get(where)) is None:
            continue
        elif (str(old), str(new)) not in pairs:
            displaced.add(element(where))
            continue
        found += (one for one in paired(where, at, old, new) if one.old.text in texts or one.new.text in texts)
    found = [one for one in found if not any(one.where.startswith(array) for array in displaced)]
    return [one for one in met if not one.where.startswith("body")] + found


def _tree(answer: Response, own: Own, context: Context) -> Any:
    """The body as a tree; None where it is none."""
    parsed = reading(answer, own, context.read).parse()
    return parsed.value if parsed.form in TREES and parsed.value.__class__ in {dict, list} else None


def leaves(old: Any, new: Any, sought: set[Any]) -> Iterator[tuple[str, str, Any, Any]]:
    """Links, and those of the values sought, that stand at one position of two trees: place, position, values.

    At most MET_MAX values are met.
    """
    left: list[tuple[Any, Any, Place, tuple[Any, ...]]] = [(old, new, root("body:$"), ())]
    room = MET_MAX
    while left and room > 0:
        one, two, place, at = left.pop()
        room -= len(one)
        inside: Any
        if one.__class__ is dict:
            inside = ((key, value, two[key]) for key, value in one.items() if key in two)
        else:
            inside = ((rank, *pair) for rank, pair in enumerate(zip(one, two, strict=False)))
        for key, value, other in inside:
            kind = value.__class__
            if kind is not other.__class__:
                continue
            if kind is dict or kind is list:
                left.append((value, other, _below(place, key), (at, key)))
            elif value in sought or other in sought or (kind is str and "/" in value) or kind is Exact:
                yield _below(place, key).text, position((at, key)), value, other


def _below(place: Place, key: Any) -> Place:
    step = None if key.__class__ is int else key
    return place.children.get(step) or place.child(step)


def position(at: tuple[Any, ...]) -> str:
    """The steps to a value as a text."""
    steps: list[str] = []
    while at:
        at, key = at
        steps.append(f"[{key}]" if key.__class__ is int else f".{key}")
    return "".join(reversed(steps))


def element(where: str) -> str:
    """The array element that holds a place; the place itself outside of arrays."""
    head, mark_, _ = where.rpartition("[*]")
    return head + mark_ if mark_ else where


def matched(met: list[Met]) -> tuple[dict[Id, Id], list[tuple[Met, Met]]]:
    """One partner for each id, and the pairs that contradict it, each with one that it contradicts.

    Surest first: ids that agree, then those by which a thing names itself, then the most frequent. The order is the same when the
    answers change sides.
    """
    groups: dict[tuple[Id, Id], list[Met]] = defaultdict(list)
    for one in met:
        groups[one.old, one.new].append(one)
    ranked = sorted(groups.values(), key=_surest)
    forward: dict[Id, list[Met]] = {}
    back: dict[Id, list[Met]] = {}
    left_over: list[tuple[Met, Met]] = []
    for group in ranked:
        old, new = group[0].old, group[0].new
        against = forward.get(old) or back.get(new)
        if against is None:
            forward[old] = back[new] = group
        else:
            left_over += ((one, nearest(one, against)) for one in group)
    return {old: group[0].new for old, group in forward.items()}, left_over


def _surest(group: list[Met]) -> tuple[bool, bool, int, list[tuple[str, str]]]:
    own = any((name := name_of(one.where)) is not None and name.own for one in group)
    return group[0].old != group[0].new, not own, -len(group), sorted((one.where, one.at) for one in group)


def nearest(one: Met, others: list[Met]) -> Met:
    """That of the others which stands in the same element, else the first."""
    return min(others, key=lambda other: (inner(other.at) != inner(one.at), other.where, other.at))


def inner(at: str) -> str:
    """The element of a position, with its indexes; the empty text outside of arrays."""
    return at.rpartition("]")[0]


def _break(sink: Sink, one: Met, other: Met) -> None:
    """Make of a difference one that no noise of its value hides."""
    change = _change(sink, one.where)
    if change is None or (one.old.noun and one.where == other.where):
        return  # a list that shows other things of a few users contradicts nothing
    firm = other.old == other.new or inner(one.at) == inner(other.at)
    if not firm and not change.klass:
        return  # by its value alone it is more than it would be as one of two orders
    change.facet = FORMAT
    if not change.signature.startswith(BROKEN):
        change.signature = f"{BROKEN}{one.where}~{other.where}"
    if firm:
        change.klass = ""


def _change(sink: Sink, where: str) -> Change | None:
    return sink.found.get((where, "value")) or sink.found.get((where, "format"))


def _unite(sink: Sink, met: list[Met], partners: dict[Id, Id], broken: set[str]) -> None:
    """Give the differences that share renamed ids one signature: the place by which the thing names itself, else the first."""
    wheres: dict[str, str] = {}
    shared: dict[Id, str] = {}
    for one in sorted(met, key=lambda one: (not _is_own(one.where), one.where)):
        if one.old == one.new or one.where in broken or partners.get(one.old) != one.new:
            continue
        first = wheres.get(one.where) or shared.get(one.old) or one.where
        wheres.setdefault(one.where, first)
        shared.setdefault(one.old, first)
    several = Counter(wheres.values())
    for where, first in wheres.items():
        change = _change(sink, where)
        if several[first] > 1 and change is not None:
            change.signature = RENAMING + first


def _is_own(where: str) -> bool:
    name = name_of(where)
    return name is not None and name.own
