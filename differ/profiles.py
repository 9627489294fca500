"""Noise profiles: what base shows against itself, learned from one run and asked in the next of the same version. Pure, bounded.

:class:`Learning` counts while :mod:`differ.gathering` streams a run's rows; :mod:`differ.profile_rows` keeps it in the store and reads
it again as a :class:`Profile`. Only base against its control is learned: a branch has a noise of its own, and lends it to nobody. What a
profile may say is decided in :mod:`differ.unpaired` and :mod:`differ.evidence`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from differ.difference import VALUE

A = 1
"""Base against its control, among the comparisons of a row."""
FACETS = VALUE + 1
LEARNED_MAX = 20_000
"""Places of a run that are learned, some 300 bytes each; an endpoint with more is left out whole, so that silence is never taken for quiet."""
CUT = 1000
"""From so many differences on a row may have been cut (:data:`differ.rows.DIFFERENCES_MAX`), and a place that is not in it says nothing."""
MIRRORED = {"added": "missing"}
"""Kinds that are one noise seen from two sides: which of two answers has the key is chance."""
Row = Mapping[str, Any]
Spot = tuple[str, str]
"""Endpoint and where."""


@dataclass(slots=True)
class Seen:
    """How a version differed from itself at one place."""

    counts: list[int] = field(default_factory=lambda: [0] * FACETS)
    """Exchanges by the coarsest facet at which they differ."""
    kinds: list[set[str]] = field(default_factory=lambda: [set() for _ in range(FACETS)])
    """Kinds of differences by their own facet, whatever else an exchange showed at the place."""
    klass: str = ""
    first_ns: int = 0
    last_ns: int = 0

    def again(self, differences: Sequence[tuple[int, str]], klass: str, at_ns: int) -> None:
        """One exchange more: facet and kind of its differences here."""
        self.first_ns = min(self.first_ns or at_ns, at_ns)
        self.last_ns = max(self.last_ns, at_ns)
        self.counts[min(facet for facet, _ in differences)] += 1
        for facet, kind in differences:
            self.kinds[facet].add(MIRRORED.get(kind, kind))
        self.klass = max(self.klass, klass)


@dataclass(slots=True)
class Learning:
    """What a run learns of base."""

    places: dict[Spot, Seen] = field(default_factory=dict[Spot, Seen])
    given_up: dict[str, int] = field(default_factory=dict[str, int])
    """Exchanges by endpoint of which base and its control could not be compared: they were not observed."""
    left_out: set[str] = field(default_factory=set[str])
    """Endpoints with more to learn than there is room for."""

    def add(self, row: Row) -> None:
        """One exchange of which base and its control answered, however the others did."""
        if not row["has_control"] or A not in row["d_pair"]:
            return
        endpoint, wheres = row["endpoint"], row["d_where"]
        found: dict[str, list[int]] = {}
        for index, pair in enumerate(row["d_pair"]):
            if pair != A:
                continue
            if not wheres[index]:
                self.given_up[endpoint] = self.given_up.get(endpoint, 0) + 1
                return
            found.setdefault(wheres[index], []).append(index)
        if sum(map(len, found.values())) >= CUT:
            self.left_out.add(endpoint)
            return
        if "status" in found:  # two statuses are two documents: what else differs in them is no noise of a place
            found = {"status": found["status"]}
        for where, indexes in found.items():
            seen = self._seen((endpoint, where))
            if seen is None:
                self.left_out.add(endpoint)
                continue
            differences = [(row["d_facet"][index], row["d_kind"][index]) for index in indexes]
            seen.again(differences, max(row["d_klass"][index] for index in indexes), row.get("fired_at", 0))

    def _seen(self, spot: Spot) -> Seen | None:
        seen = self.places.get(spot)
        if seen is None and len(self.places) < LEARNED_MAX:
            seen = self.places[spot] = Seen()
        return seen


@dataclass(frozen=True, slots=True)
class Known:
    """What a profile knows of one place at a facet or a coarser one."""

    observed: int = 0
    """Exchanges of which base and its control answered at the endpoint."""
    differing: int = 0
    kinds: frozenset[str] = frozenset()

    def shows(self, kind: str) -> bool:
        """Whether this very kind of difference is known as noise."""
        return self.differing > 0 and MIRRORED.get(kind, kind) in self.kinds


NOTHING_KNOWN = Known()


@dataclass(slots=True)
class Noted:
    """What runs have told of one place at one facet, with controls that are instances of their own and with all."""

    all: int = 0
    own: int = 0
    kinds: set[str] = field(default_factory=set[str])
    klass: str = ""
    first_ns: int = 0
    last_ns: int = 0


@dataclass(slots=True)
class Profile:
    """What earlier runs have learned of one version of a service. :meth:`note` takes them in any order."""

    version: str = ""
    named: bool = False
    """Whether the version has a name, so that it is known to be the same; else it is only known to be started alike."""
    runs: int = 0
    first_ns: int = 0
    last_ns: int = 0
    endpoints: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Exchanges observed, with all controls and with instances of their own."""
    places: dict[Spot, dict[int, Noted]] = field(default_factory=dict[Spot, dict[int, Noted]])
    """By facet."""

    def note(self, row: Row) -> None:
        """One row of the store: an endpoint's exchanges where ``where`` is empty, else how often a place differed."""
        own = bool(row["own"])
        if not row["where"]:
            every, alone = self.endpoints.get(row["endpoint"], (0, 0))
            self.endpoints[row["endpoint"]] = every + row["seen"], alone + row["seen"] * own
            return
        facets = self.places.setdefault((row["endpoint"], row["where"]), {})
        one = facets.setdefault(row["facet"], Noted())
        one.all += row["differed"]
        one.own += row["differed"] * own
        one.kinds |= set(row["kinds_seen"])
        one.klass = max(one.klass, row["klass_seen"])
        one.first_ns = min(one.first_ns or row["first_ns"], row["first_ns"])
        one.last_ns = max(one.last_ns, row["last_ns"])

    @property
    def exchanges(self) -> int:
        """All that were observed."""
        return sum(every for every, _ in self.endpoints.values())

    def known(self, endpoint: str, where: str, facet: int, *, own: bool = False) -> Known:
        """What is known of a place; ``own``: by controls that were instances of their own alone."""
        observed = self.endpoints.get(endpoint, (0, 0))[own]
        if not observed:
            return NOTHING_KNOWN
        if where != "status":  # where base has two statuses, nothing else was looked at
            observed = max(0, observed - self._differing(endpoint, "status", VALUE, own=own))
        kinds = {kind for _, one in self._at(endpoint, where, facet) for kind in one.kinds if not own or one.own}
        return Known(observed, self._differing(endpoint, where, facet, own=own), frozenset(kinds))

    def _at(self, endpoint: str, where: str, facet: int) -> Iterator[tuple[int, Noted]]:
        found = self.places.get((endpoint, where), {})
        return ((here, one) for here, one in found.items() if here <= facet)

    def _differing(self, endpoint: str, where: str, facet: int, *, own: bool) -> int:
        return sum(one.own if own else one.all for _, one in self._at(endpoint, where, facet))

    def noisy(self) -> dict[Spot, int]:
        """The coarsest facet at which each place is known to differ by itself: from there on it says little of a branch."""
        return {spot: min(facets) for spot, facets in self.places.items() if spot[0] in self.endpoints}
