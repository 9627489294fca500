"""How often each finding shows: exchanges, not places, counted from the rows in one pass. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from differ.folding import Finding
from differ.gathering import Row, X, signature_class

PlaceKey = tuple[str, str, str, int, str]


class Counting:
    """For each finding and each of the three comparisons, the exchanges in which it shows."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._by_place: dict[PlaceKey, str] = {}
        self._by_where: dict[tuple[str, str], set[str]] = {}
        self.counts: dict[str, Counter[int]] = {}
        for finding in findings:
            self.counts[finding.id] = Counter()
            for place, _, _ in finding.members:
                group = "permutation" if place.permutation else "generative" if place.klass else ""
                self._by_place[place.endpoint, place.where, place.kind, place.facet, group] = finding.id
                self._by_where.setdefault((place.endpoint, place.where), set()).add(finding.id)

    def count(self, row: Row) -> None:
        """One exchange."""
        seen: set[tuple[str, int]] = set()
        endpoint = row["endpoint"]
        for index, pair in enumerate(row["d_pair"]):
            where = row["d_where"][index]
            if pair == X:
                key = (endpoint, where, row["d_kind"][index], row["d_facet"][index], signature_class(row, index))
                found = self._by_place.get(key)
                if found is not None:
                    seen.add((found, X))
            else:
                seen.update((found, pair) for found in self._by_where.get((endpoint, where), ()))
        for found, pair in seen:
            self.counts[found][pair] += 1

    def of(self, finding: str) -> Mapping[int, int]:
        """The counts of one finding by comparison."""
        return self.counts.get(finding, {})
