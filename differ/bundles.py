"""What folding works on: bundles of places, and in which exchanges they show. Pure; :mod:`differ.folding` says what becomes one bundle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from differ.evidence import Weighed


class Shows:
    """Which exchanges show which places: as combinations of places, with how many exchanges show exactly those."""

    def __init__(self, combinations: Mapping[tuple[str, tuple[int, ...]], int], weighed: Sequence[Weighed]) -> None:
        self.counts: list[int] = []
        self._of: dict[int, set[int]] = defaultdict(set)
        for (_, numbers), count in sorted(combinations.items(), key=lambda item: (-item[1], item[0])):
            for number in numbers:
                # Where a version differs from itself in this very exchange, the exchange does not show the finding.
                if number >= 0 and (
                    number % 2 == 0 or weighed[number // 2].verdict != "regression" or weighed[number // 2].firm
                ):
                    self._of[number // 2].add(len(self.counts))
            self.counts.append(count)

    def of(self, members: Iterable[int]) -> set[int]:
        """The combinations that show at least one of these places."""
        return set[int]().union(*(self._of[number] for number in members))

    def exchanges(self, combinations: Iterable[int]) -> int:
        """How many exchanges show these combinations."""
        return sum(self.counts[index] for index in combinations)


@dataclass(slots=True, eq=False)
class Bundle:
    """Places that are folded so far."""

    where: str
    kind: str
    signature: str
    members: list[int]
    shown: frozenset[int] = field(default_factory=frozenset[int])
    """The frequent combinations that show it."""
    rare: bool = False
    """Whether others show it, too, so that nothing can be said of all of them."""
    form: str = ""
    """Of whole bodies: their media type, where that says what they are."""


def united(where: str, kind: str, signature: str, bundles: Sequence[Bundle]) -> Bundle:
    """One bundle of several."""
    members = [number for bundle in bundles for number in bundle.members]
    return Bundle(where, kind, signature, members, frozenset[int]().union(*(bundle.shown for bundle in bundles)))
