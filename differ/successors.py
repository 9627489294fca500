"""Fields that got another name: what went and what came in the same objects with the same values, each time. Pure, bounded.

:class:`Successors` gathers which places of what came may be the new names of which that went, and a run's every exchange may only take some
away: one in which a field goes without the other, or comes with another value, is a counter-example. :func:`renamed` makes one finding of two
where each place that the one covers has its successor in the other. What is not sure stays two findings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from differ.bundles import Bundle, united
from differ.difference import turned
from differ.evidence import Place
from differ.ids import OPAQUE
from differ.paths import ITEMS, inside, leaf_of, of_page, parent_of
from differ.relating import is_id
from differ.rules import RULED
from differ.sink import all_alike

WENT, CAME, RENAMED = "missing", "added", "renamed"
FITS_MAX = 16
"""Fields of one value that may each be the new name of one that went; where there are more, nothing tells which is."""
IDS_MAX = 100_000
"""Ids of which is remembered how they are renamed, some 10 MB; what comes later is related within its own answer alone."""
DISTINCT_MIN = 3
"""From so many values on two fields are not equal by luck, though each value is one that many fields have."""
COMMON = frozenset(("null", "true", "false", "0", "1", "-1", "0.0", "1.0", '""', "[]", "{}"))
"""Values that two fields may well share without being one."""
_FIELD = "field:"
"""How the signature of a field with another name begins."""
_NONE: frozenset[int] = frozenset()

Row = dict[str, Any]
Key = tuple[str, str, str, int, str, str]
Side = list[tuple[int, int]]
"""Of what went or came in one container: the number of each place, and the index of its difference."""


class Successors:
    """What the exchanges so far say of which field came in the place of which."""

    def __init__(self) -> None:
        self._fits: dict[int, frozenset[int]] = {}
        """By place, the places on the other side that it had its values from, or gave them to, in each exchange."""
        self._digests: dict[int, set[int]] = {}
        self._telling: set[int] = set()
        """Places whose values two fields do not share by luck."""
        self._ids: set[int] = set()

    def add(self, row: Row, numbers: Mapping[Key, int]) -> None:
        """One exchange more, whose places have these numbers."""
        kinds: list[str] = row["d_kind"]
        for index, klass in enumerate(row["d_klass"]):
            if klass in OPAQUE and kinds[index] == "value" and not row["d_pair"][index] and len(self._ids) < IDS_MAX:
                self._ids.add(hash((row["d_old"][index], row["d_new"][index])))
        if WENT not in kinds and CAME not in kinds:
            return
        sides: dict[str, tuple[Side, Side]] = {}
        for index, kind in enumerate(kinds):
            if kind not in {WENT, CAME} or row["d_pair"][index] or row["d_flags"][index] & RULED:
                continue
            where = row["d_where"][index]
            number = numbers.get((row["endpoint"], where, kind, row["d_facet"][index], "", ""))
            parent, name = parent_of(where)
            # Elements of a list have no name, and nodes of a page none that says what they are.
            if number is not None and inside(where) and not of_page(where) and name not in {"", ITEMS}:
                sides.setdefault(parent, ([], []))[kind == CAME].append((number, index))
        for went, came in sides.values():
            self._relate(row, went, came)

    def _relate(self, row: Row, went: Side, came: Side) -> None:
        """Narrow down who fits whom, among the fields of one container."""
        values: list[int] = row["d_values"]
        forward: dict[int, list[int]] = {number: [] for number, _ in went}
        back: dict[int, list[int]] = {number: [] for number, _ in came}
        there: dict[int, list[tuple[int, int]]] = {}
        for number, index in came:
            there.setdefault(turned(values[index]), []).append((number, index))
        ids = [(number, index) for number, index in came if self._ids and is_id(row["d_new"][index])][:FITS_MAX]
        for number, index in went:
            old = row["d_old"][index]
            fit = there.get(values[index], [])
            if ids and ITEMS not in row["d_where"][index] and is_id(old):
                fit = fit + [one for one in ids if hash((old, row["d_new"][one[1]])) in self._ids]
            for other, _ in fit[: FITS_MAX + 1]:
                forward[number].append(other)
                back[other].append(number)
            self._tell(number, old, values[index], row["d_count"][index])
        for number, fits in (*forward.items(), *back.items()):
            self._narrow(number, fits)

    def _narrow(self, number: int, fits: Collection[int]) -> None:
        known = self._fits.get(number)
        if known is None:
            self._fits[number] = frozenset(fits) if len(fits) <= FITS_MAX else _NONE
        elif known:
            self._fits[number] = known.intersection(fits)

    def _tell(self, number: int, value: str, digest: int, count: int) -> None:
        """Whether a place's values are such that another field has them by luck."""
        if number not in self._telling:
            seen = self._digests.setdefault(number, set())
            # Of one value again and again the digest says how often, too, which tells nothing.
            alike = count > 1 and value in COMMON and digest == all_alike(value, count)
            seen.add(all_alike(value, 1) if alike else digest)
            if value not in COMMON or len(seen) >= DISTINCT_MIN:
                self._telling.add(number)
                del self._digests[number]

    def pairs(self, places: Sequence[Place]) -> dict[int, int]:
        """By the number of each place that went, that of what is its name now; only where nothing speaks against it."""
        found: dict[int, int] = {}
        for number, fits in self._fits.items():
            other = next(iter(fits)) if len(fits) == 1 else number
            if (
                places[number].kind == WENT
                and number in self._telling
                and self._fits.get(other) == frozenset((number,))
            ):
                found[number] = other
        if not found:
            return {}
        # A name that stands in both answers of another exchange was not given up, whatever differs at it or below it.
        holders = {(places[n].endpoint, places[n].where): n for pair in found.items() for n in pair}
        kept = set(_held(places, holders))
        spots = {number: (places[number].endpoint, places[number].where) for pair in found.items() for number in pair}
        return {went: came for went, came in found.items() if kept.isdisjoint((spots[went], spots[came]))}


def _held(places: Sequence[Place], holders: Mapping[tuple[str, str], int]) -> Iterator[tuple[str, str]]:
    """Those of these places that are in both answers somewhere."""
    for number, place in enumerate(places):
        at, below = place.where, ""
        while inside(at) and at != below:
            here = (place.endpoint, at)
            if holders.get(here, number) != number:
                yield here
            at, below = parent_of(at)[0], at


def renamed(bundles: Sequence[Bundle], pairs: Mapping[int, int]) -> list[Bundle]:
    """One finding of what went and what came, where each place of the one has its successor in the other."""
    if not pairs:
        return list(bundles)
    came = {frozenset(bundle.members): bundle for bundle in bundles if bundle.kind == CAME}
    out: list[Bundle] = []
    taken: set[int] = set()
    for bundle in bundles:
        others = frozenset(pairs.get(number, -1) for number in bundle.members) if bundle.kind == WENT else _NONE
        other = came.get(others)
        if other is None:
            continue
        names = f"{_FIELD}{leaf_of(bundle.where)}>{leaf_of(other.where)}"
        both = united(bundle.where, RENAMED, names, [bundle, other])
        both.rare = bundle.rare or other.rare
        out.append(both)
        taken |= {id(bundle), id(other)}
    return out + [bundle for bundle in bundles if id(bundle) not in taken]


def is_renamed(bundle: Bundle) -> bool:
    """Whether a bundle is fields with other names."""
    return bundle.kind == RENAMED and bundle.signature.startswith(_FIELD)
