"""Tallies: how often a place differs between the versions and within each, at every facet. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from differ.chances import mcnemar

NO_DIFFERENCE = 4
"""The facet behind the last: the two answers agree at the place."""
STUCK_SHARE = 0.5
"""Of noise that is seen again in an answer to the same request: from here on it is kept by the process, and not drawn for each answer."""
BLOCKS_MIN, BLOCK_SHARE = 4, 0.75
"""The same of any request: so many at least, and more of them, since what differs at all in a run is often one of few."""
Pattern = tuple[int, int, int]
"""One exchange at one place: the coarsest facet at which x, a and b differ."""
Pairs = tuple[int, int, int, int, int, int]
"""A pattern, and the digests of the pairs of values of x, a and b."""


@dataclass(slots=True)
class Tally:
    """How often a place differs at a facet or a coarser one, over exchanges with all their answers."""

    x: int = 0
    a: int = 0
    b: int = 0
    x_not_a: int = 0
    a_not_x: int = 0
    x_not_b: int = 0
    b_not_x: int = 0
    b_not_a: int = 0
    a_not_b: int = 0
    all_three: int = 0
    """All four answers are at odds: noise with so many values that two of them do not agree by luck."""
    mirrored: int = 0
    """a and b differ, x does not. What is random alike in four answers does this as often as it shows x alone."""
    x_alone: int = 0
    coins: float = 0.0
    """Of orders that no version disagrees about with itself: how many fair coins their agreeing by luck is worth."""
    members: int = 0
    """How many members the longest of these lists has, those that did not move too."""

    def add(self, differs: tuple[bool, bool, bool], count: int = 1) -> None:
        """Exchanges of one pattern."""
        x, a, b = differs
        self.x += count * x
        self.a += count * a
        self.b += count * b
        self.x_not_a += count * (x and not a)
        self.a_not_x += count * (a and not x)
        self.x_not_b += count * (x and not b)
        self.b_not_x += count * (b and not x)
        self.b_not_a += count * (b and not a)
        self.a_not_b += count * (a and not b)
        self.all_three += count * (x and a and b)
        self.mirrored += count * (a and b and not x)
        self.x_alone += count * (x and not a and not b)

    @property
    def p_value(self) -> float:
        """The larger of the two tests' p-values."""
        if self.coins:
            return 0.5**self.coins
        return max(mcnemar(self.x_not_a, self.a_not_x), mcnemar(self.x_not_b, self.b_not_x))

    @property
    def p_flaky(self) -> float:
        """How likely branch differs from itself that much more often than base does, by chance."""
        return mcnemar(self.b_not_a, self.a_not_b)

    @property
    def p_least(self) -> float:
        """The smallest p that this many discordant exchanges could have given, however they fell."""
        if self.coins:
            return 0.5**self.coins
        return max(0.5 ** (self.x_not_a + self.a_not_x), 0.5 ** (self.x_not_b + self.b_not_x))

    @property
    def lucky(self) -> bool:
        """Whether the noise here is of a kind that may agree by luck: some noisy exchange had two equal answers."""
        return not self.a == self.b == self.all_three


@dataclass(slots=True)
class Draws:
    """Exchanges at one place, each run of the same counted once: what a process keeps is one draw, however often it is seen."""

    counts: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    beside: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """Of exchanges in which the versions have two statuses."""
    last: dict[int, tuple[bool, int]] = field(default_factory=dict[int, tuple[bool, int]])
    """By request: whether a version differed from itself when it was last seen here, and a digest of what the answers showed."""
    repeats: int = 0
    """Exchanges that follow on noise."""
    stuck: int = 0
    """Those of them that show the very same again."""

    def add(self, request: int, pattern: Pattern, values: int, *, beside: bool) -> None:
        """One exchange."""
        before, now = self.last.get(request), (min(pattern[1:]) != NO_DIFFERENCE, values)
        if before is not None and before[0]:
            self.repeats += 1
            self.stuck += before == now
        if before != now:
            self.last[request] = now
            counts = self.beside if beside else self.counts
            counts[pattern] = counts.get(pattern, 0) + 1

    def settle(self, *, counted: bool) -> None:
        """Take what was seen beside another status for draws like others, or for none."""
        for pattern, count in self.beside.items() if counted else ():
            self.counts[pattern] = self.counts.get(pattern, 0) + count
        self.beside.clear()


@dataclass(slots=True)
class Spot:
    """What was seen at one place of one endpoint, at every facet at once."""

    patterns: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """How many exchanges showed each pattern."""
    pairs: set[Pairs] = field(default_factory=set[Pairs])
    """Of generative values and permutations: each distinct pair once, where x, a and b are not all alike."""
    orders: dict[int, frozenset[int]] = field(default_factory=dict[int, frozenset[int]])
    """Of permutations of x: the members that moved, by what was swapped first."""
    members: int = 0
    """How many the longest of these lists has."""
    lone: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """Patterns of exchanges of which a control gave no answer, its comparison as if it agreed: evidence only beside a profile's."""
    lone_beside: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """The same where the versions have two statuses."""
    flapped: int = 0
    """Exchanges in which a version has two statuses: they are no evidence of anything else."""
    beside: dict[Pattern, int] = field(default_factory=dict[Pattern, int])
    """Patterns of exchanges in which the versions have two statuses: as good as others, if the status does not flap."""
    by_request: Draws = field(default_factory=Draws)
    """The patterns again, what was seen of the same request before told from what is new."""
    in_order: Draws = field(default_factory=Draws)
    """The same of whatever was asked before."""

    def count(self, pattern: Pattern, *, whole: bool, beside: bool) -> None:
        """One exchange; ``whole``: with all its answers, ``beside``: in which the versions have two statuses."""
        every, aside = (self.patterns, self.beside) if whole else (self.lone, self.lone_beside)
        patterns = aside if beside else every
        patterns[pattern] = patterns.get(pattern, 0) + 1

    def draw(self, request: int, pattern: Pattern, values: int, *, beside: bool) -> None:
        """The same exchange as a draw."""
        self.by_request.add(request, pattern, values, beside=beside)
        self.in_order.add(0, pattern, values, beside=beside)

    @property
    def anew(self) -> dict[Pattern, int]:
        """What counts as evidence: exchanges where noise is seen to change from one to the next of the same request, else draws."""
        found, own, block = [self.patterns], self.by_request, self.in_order
        if own.stuck >= STUCK_SHARE * own.repeats:
            found.append(own.counts)
        if block.repeats >= BLOCKS_MIN and block.stuck >= BLOCK_SHARE * block.repeats:
            found.append(block.counts)
        return min(found, key=lambda counts: sum(counts.values()))

    def settle(self, *, flaps: bool, unsure: bool) -> None:
        """Take what was seen beside another status for evidence, or for none where the status flaps, or may do so."""
        for pattern, count in self.beside.items():
            if flaps:
                self.flapped += count
            elif not unsure:
                self.patterns[pattern] = self.patterns.get(pattern, 0) + count
        for draws in (self.by_request, self.in_order):
            draws.settle(counted=not flaps and not unsure)
        self.beside.clear()

    @property
    def alone(self) -> int:
        """Exchanges in which x differs and a control gave no answer."""
        every = (*self.lone.items(), *self.lone_beside.items())
        return sum(count for (x, _, _), count in every if x != NO_DIFFERENCE)

    @property
    def noisy(self) -> bool:
        """Whether a version ever differs from itself here."""
        return any(min(a, b) != NO_DIFFERENCE for _, a, b in self.patterns)

    def tally(self, facet: int) -> Tally:
        """Exchanges that differ at a facet or a coarser one."""
        return tally_patterns(self.patterns.items(), facet)

    def drawn(self, facet: int) -> Tally:
        """The same, what a process keeps for a request counted once."""
        return tally_patterns(self.anew.items(), facet)

    def tally_lone(self, facet: int, *, flaps: bool) -> Tally:
        """The same of exchanges of which a control gave no answer; ``flaps``: two statuses are two documents, and say nothing."""
        return tally_patterns((*self.lone.items(), *(() if flaps else self.lone_beside.items())), facet)

    def distinct(self, facet: int) -> Tally:
        """The same, with each distinct pair of values counted once."""
        found = tally_distinct(self.pairs, facet)
        if not any(a <= facet or b <= facet for _, a, b in self.patterns):
            found.coins, found.members = coins_of(self.orders.values()), self.members
        return found

    def join(self, other: Spot) -> None:
        """Take what another endpoint showed at the same place."""
        for mine, theirs in (
            (self.patterns, other.patterns),
            (self.by_request.counts, other.anew),
            (self.lone, other.lone),
            (self.lone_beside, other.lone_beside),
        ):
            for pattern, count in theirs.items():
                mine[pattern] = mine.get(pattern, 0) + count
        self.pairs |= other.pairs
        for swap, moved in other.orders.items():
            self.orders.setdefault(swap, moved)
        self.members = max(self.members, other.members)
        self.flapped += other.flapped


def tally_patterns(patterns: Iterable[tuple[Pattern, int]], facet: int) -> Tally:
    """Exchanges that differ at a facet or a coarser one."""
    found = Tally()
    for (x, a, b), count in patterns:
        found.add((x <= facet, a <= facet, b <= facet), count)
    return found


def coins_of(orders: Iterable[frozenset[int]]) -> float:
    """How many fair coins it is worth that both versions agree with themselves on these lists, if all keep members in hash order.

    Lists with a member in common are not independent of each other, so each member counts once: the longest lists first, of every
    later one only what is new in it. Whether that part differs between the versions is not known, so only that it agrees within each counts.
    """
    used, coins = set[int](), 0.0
    for members in sorted(orders, key=lambda one: (-len(one), sorted(one))):
        fresh = members - used
        coins += coins_for(len(fresh)) if fresh == members else 2 * math.lgamma(len(fresh) + 1) / math.log(2)
        used |= fresh
    return coins


def coins_for(members: int) -> float:
    """How many fair coins it is worth that four instances agree in two pairs on the order of so many members, and not all of them.

    Two instances agree on m members once in m! times, and so do the other two. What all four agree on is not seen; of what is seen,
    such a list is one in 1 + m! + m!². (Where one version alone keeps an order, something changed.)
    """
    orders = math.lgamma(members + 1) / math.log(2)
    return 2 * orders + math.log2(1 + 2**-orders + 4**-orders) if members > 1 else 0.0


def tally_distinct(pairs: Iterable[Pairs], facet: int) -> Tally:
    """Count distinct pairs of values instead of exchanges."""
    seen: dict[str, set[int]] = {}
    for fx, fa, fb, vx, va, vb in pairs:
        x, a, b = fx <= facet, fa <= facet, fb <= facet
        for name, holds, value in (
            ("x", x, vx),
            ("a", a, va),
            ("b", b, vb),
            ("x_not_a", x and not a, vx),
            ("a_not_x", a and not x, va),
            ("x_not_b", x and not b, vx),
            ("b_not_x", b and not x, vb),
            ("x_alone", x and not a and not b, vx),
        ):
            if holds:
                seen.setdefault(name, set()).add(value)
    return Tally(**{name: len(values) for name, values in seen.items()})
