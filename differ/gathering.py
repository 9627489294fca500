"""Gather rows into evidence: rows with differences come by in any order, places with their tallies stay. Pure, bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from differ.difference import PERMUTATION
from differ.evidence import DISTINCT_MAX, SAMPLES_MAX, Place, Sample

PLACES_MAX = 200_000
"""Places of one run. Endpoints are bounded (1,000) and places per comparison too; a run with more is folded into ``other``."""
X, A, B = range(3)

Row = dict[str, Any]


@dataclass(slots=True)
class _Here:
    """The differences of one exchange at one place: for each comparison its coarsest facet, and whether all is generative."""

    facet: list[int] = field(default_factory=lambda: [9, 9, 9])
    values: list[int] = field(default_factory=lambda: [0, 0, 0])


class Gathering:
    """All places of a run."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str, str, int, str], Place] = {}
        self._by_where: dict[tuple[str, str], list[Place]] = {}
        self._distinct: dict[tuple[str, str, int], dict[str, set[int]]] = {}
        self.overflow = 0

    def learn_kinds(self, row: Row) -> None:
        """First pass: which places differ between base and branch, and how."""
        for index, pair in enumerate(row["d_pair"]):
            if pair != X:
                continue
            key = (
                row["endpoint"],
                row["d_where"][index],
                row["d_kind"][index],
                row["d_facet"][index],
                signature_class(row, index),
            )
            place = self.places.get(key)
            if place is None:
                if len(self.places) >= PLACES_MAX:
                    self.overflow += 1
                    continue
                place = self.places[key] = Place(key[0], key[1], key[2], key[3], row["d_signature"][index])
                self._by_where.setdefault((key[0], key[1]), []).append(place)
            flags, klass = row["d_flags"][index], row["d_klass"][index]
            place.flags &= flags
            place.permutation = place.permutation or bool(flags & PERMUTATION)
            place.klass = place.klass or klass
            place.generative = place.generative or bool(klass) or bool(flags & PERMUTATION)
            place.kind_x += 1
            if len(place.samples) < SAMPLES_MAX:
                place.samples.append(
                    Sample(row["exchange"], row["seq"], text(row["d_old"][index]), text(row["d_new"][index]))
                )

    def count(self, row: Row) -> None:
        """Second pass: tally one exchange at every known place of its endpoint."""
        here: dict[str, _Here] = {}
        for index, pair in enumerate(row["d_pair"]):
            seen = here.setdefault(row["d_where"][index], _Here())
            if row["d_facet"][index] < seen.facet[pair]:  # noqa: PLR1730 - min() of an Any is no int to the type checker
                seen.facet[pair] = row["d_facet"][index]
            seen.values[pair] ^= row["d_values"][index]
        for where, seen in here.items():
            for place in self._by_where.get((row["endpoint"], where), ()):
                differs = [facet <= place.facet for facet in seen.facet]
                if any(differs):
                    place.all.add(*differs)
                    if place.generative:
                        self._count_distinct(place, differs, seen.values)

    def _count_distinct(self, place: Place, differs: list[bool], values: list[int]) -> None:
        """Each distinct pair of values once, for each of the counts of a tally."""
        known = self._distinct.setdefault((place.endpoint, place.where, place.facet), {})
        x, a, b = differs
        tally = place.distinct
        for name, holds, value in (
            ("x", x, values[X]),
            ("a", a, values[A]),
            ("b", b, values[B]),
            ("x_not_a", x and not a, values[X]),
            ("a_not_x", a and not x, values[A]),
            ("x_not_b", x and not b, values[X]),
            ("b_not_x", b and not x, values[B]),
        ):
            if holds:
                seen = known.setdefault(f"{place.kind}{name}", set())
                if value not in seen and len(seen) < DISTINCT_MAX:
                    seen.add(value)
                    setattr(tally, name, getattr(tally, name) + 1)


def signature_class(row: Row, index: int) -> str:
    """Permutations and generative values are tallied apart from other changes at the same place and facet."""
    if row["d_flags"][index] & PERMUTATION:
        return "permutation"
    return "generative" if row["d_klass"][index] else ""


def gather(first: Iterable[Row], second: Iterable[Row]) -> Gathering:
    """All places of the rows; the two iterables give the same rows."""
    found = Gathering()
    for row in first:
        found.learn_kinds(row)
    for row in second:
        found.count(row)
    return found


def text(value: str) -> str | None:
    """A stored value: the store has no null in arrays, and JSON text is never empty."""
    return value or None
