"""Watching inside noise: whether values that vary in both versions lie elsewhere, or further apart, in the branch. Pure.

A place that varies anyway says nothing by differing, but the way it differs must be as often the one as the other: if branch draws
from what base draws from, swapping the two answers of an exchange changes nothing. So of the exchanges in which branch is higher,
longer, null or absent and those in which base is, neither may outweigh the other (the sign test, Arbuthnott 1710; exact, since each
exchange is a fair coin under the null). Asked of the values' distances from their common median it tells a wider spread from a
narrower one. Only what the controls do not lean on either counts: instances that differ for life lean without a change of version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import cast

import orjson

from differ.chances import Q_MAX, mcnemar
from differ.classes import instant_ns
from differ.evidence import P_NOISE
from differ.fourfold import ENDS, FOURS_MAX, VARIED_MIN, Four, Sides, beyond, flipped, least, lively, only, step

PAIRS_MAX = 256
"""Pairs of numbers remembered per place and comparison: forty tell a shift by half a deviation, and these 4 KB are held for many places."""
WORDS_MAX = 64
"""Different pairs of values up to which a place has a few values that come again, as a state or a flag does."""
WORD_MAX = 64
"""Characters of such a value."""
Drawn = tuple[float, float]
P_LEAN, LEAN_RATIO = 0.005, 100
"""Controls lean when their p is below the one, or below P_NOISE and not this many times that of branch against base."""
NUMBER, SPREAD, LENGTH, COMMON, ONLY, BEYOND = "number", "spread", "length", "common", "only", "beyond"
VARYING = frozenset({NUMBER, SPREAD, LENGTH, COMMON, BEYOND})
"""Measures of values that count only where both versions vary; what is or is not there counts where one does."""
PARTIAL = frozenset({ONLY, BEYOND})
"""Measures of some values only (:mod:`differ.fourfold`)."""
Q_PARTIAL = Q_MAX / 10
"""What some values say must be surer: they are the ones that look odd."""
DRAWN = VARYING | {ONLY}
"""Measures of values: what they find is how these are distributed."""
PAIRS = 3
"""Comparisons: branch against base, base and branch each against its control."""
WORDS = {
    NUMBER: ("numbers are higher", "numbers are lower"),
    SPREAD: ("numbers lie further apart", "numbers lie closer together"),
    LENGTH: ("texts are longer", "texts are shorter"),
    COMMON: ("its commonest value is more frequent", "its commonest value is less frequent"),
    ONLY: ("one value is given more often", "one value is given less often"),
    BEYOND: ("numbers lie beyond all of base's", "no numbers lie as far out as base's"),
    "presence": ("it is there more often", "it is missing more often"),
    "null": ("it is null more often", "it is null less often"),
    "status": ("the status is higher more often", "the status is lower more often"),
}
KINDS = {
    NUMBER: frozenset({"value", "length"}),
    SPREAD: frozenset({"value", "length"}),
    LENGTH: frozenset({"value", "format", "length"}),
    COMMON: frozenset({"value", "format"}),
    ONLY: frozenset({"value", "format", "length", "type"}),
    BEYOND: frozenset({"value", "length"}),
    "presence": frozenset({"missing", "added"}),
    "null": frozenset({"type"}),
    "status": frozenset({"status"}),
}
"""The kinds of difference that each measure speaks about."""


@dataclass(slots=True)
class Leaning:
    """How often one measure goes up and down, in each comparison."""

    up: list[int] = field(default_factory=lambda: [0] * PAIRS)
    down: list[int] = field(default_factory=lambda: [0] * PAIRS)
    steps: Counter[int] = field(default_factory=Counter[int])
    """Of all four answers: how often so many more of branch's two show it than of base's; empty where that is not counted."""
    able: int = 0
    """Exchanges that could have told, where these are more than those that go up or down."""
    choices: int = 1
    """Questions among which this one was chosen."""

    def p_value(self, pair: int) -> float:
        """How likely one way outweighs the other so much by chance, two-sided."""
        up, down = self.up[pair], self.down[pair]
        if pair == 0 and self.steps:
            return flipped(self.steps)
        choices = 1 if pair else self.choices
        return min(1.0, 2 * choices * mcnemar(max(up, down), min(up, down))) if up + down else 1.0

    @property
    def p_least(self) -> float:
        """The smallest p that these exchanges could have given."""
        if self.steps:
            return least(self.steps)
        return min(1.0, 2 * self.choices * 0.5 ** max(self.able, self.up[0] + self.down[0]))

    @property
    def higher(self) -> bool:
        """Whether branch is the higher one."""
        total = sum(size * count for size, count in self.steps.items())
        return total > 0 if total else self.up[0] > self.down[0]

    @property
    def balanced(self) -> bool:
        """Whether neither version leans against itself."""
        least = max(P_LEAN, min(P_NOISE, LEAN_RATIO * self.p_value(0)))
        return self.p_value(1) > least and self.p_value(2) > least

    def speaks(self, measure: str) -> bool:
        """Whether the versions do not lean against themselves, and vary enough for values to be drawn anew."""
        return self.balanced and (
            measure not in VARYING or all(self.up[pair] + self.down[pair] >= VARIED_MIN for pair in (1, 2))
        )


def _three() -> tuple[set[Drawn], ...]:
    return set(), set(), set()


@dataclass(slots=True)
class Shifts:
    """What was seen of one place of one endpoint."""

    counts: dict[str, Leaning] = field(default_factory=dict[str, Leaning])
    """Of what is or is not there, by measure."""
    numbers: tuple[set[Drawn], ...] = field(default_factory=_three)
    lengths: tuple[set[Drawn], ...] = field(default_factory=_three)
    """Distinct pairs of a place's values in each comparison."""
    words: Counter[tuple[int, str, str]] = field(default_factory=Counter[tuple[int, str, str]])
    """How often a pair of values was seen in a comparison, while there are few."""
    wordy: bool = False
    """Whether there are more than WORDS_MAX."""
    fours: list[Four] = field(default_factory=list[Four])
    """The values of all four answers, in the order of the exchanges."""

    def four(self, four: Four, *, time: bool) -> None:
        """One exchange with all its answers; of times and durations only instants are looked at: to be slower is another question."""
        if not time:
            # Where none has it, or as many of either, nothing is said. To be there is not to be missing.
            for measure, size in (("null", step(four, "null")), ("presence", -step(four, ""))):
                if size:
                    self.counts.setdefault(measure, Leaning()).steps[size] += 1
        if len(self.fours) < FOURS_MAX and not (time and not all(map(_instant, four[1:]))):
            self.fours.append(four)

    def add(self, pair: int, kind: str, old: str, new: str) -> None:
        """One difference, its values as JSON texts (empty where missing)."""
        if kind in {"missing", "added"}:
            self._count("presence", pair, up=kind == "added")
        elif kind == "type" and (old == "null") != (new == "null"):
            self._count("null", pair, up=new == "null")
        elif kind == "status":
            self._count("status", pair, up=len(old) == len(new) and old < new)
        elif kind in {"value", "format", "length"}:
            self._value(pair, old, new)

    def _count(self, measure: str, pair: int, *, up: bool) -> None:
        leaning = self.counts.setdefault(measure, Leaning())
        (leaning.up if up else leaning.down)[pair] += 1

    def _value(self, pair: int, old: str, new: str) -> None:
        word = (pair, old, new)
        short = len(old) <= WORD_MAX >= len(new)
        if not self.wordy and short and (word in self.words or len(self.words) < WORDS_MAX):
            self.words[word] += 1
        else:
            self.wordy = True
            self.words.clear()
        if old[:1] == new[:1] == '"':
            # A number written as text has digits for a length, which says less than it seems to.
            if len(old) != len(new) and not (old[1:2].isdigit() and new[1:2].isdigit()):
                _keep(self.lengths[pair], (len(old), len(new)))
            return
        one, two = number(old), number(new)
        if one is not None and two is not None and one != two:
            _keep(self.numbers[pair], (one, two))

    def leanings(self) -> Iterator[tuple[str, Leaning]]:
        """Every measure that says something of the versions."""
        found = dict(self.counts)
        found[NUMBER], found[LENGTH] = _leaning(self.numbers), _leaning(self.lengths)
        values = [value for pairs in self.numbers for two in pairs for value in two]
        if values and found[NUMBER].balanced:
            middle = median(values)
            found[SPREAD] = _leaning([{(abs(o - middle), abs(n - middle)) for o, n in pairs} for pairs in self.numbers])
        if self.words and lively(self.fours):
            found[COMMON] = self._common()
        alone = [_sided(sides, choices=1) for sides in only(self.fours)]
        asked = [leaning for leaning in alone if leaning.speaks(ONLY)]
        if asked:
            found[ONLY] = replace(min(asked, key=lambda leaning: leaning.p_value(0)), choices=len(alone))
        if (sides := beyond(self.fours, self._read())) is not None:
            numbers = found[NUMBER]
            lean = (numbers.up[1], numbers.down[1]), (numbers.up[2], numbers.down[2])
            found[BEYOND] = _sided(sides._replace(controls=lean), choices=ENDS)
        for measure, leaning in found.items():
            if leaning.speaks(measure):
                yield measure, leaning

    def _read(self) -> dict[str, float]:
        """The numbers among the values that are remembered."""
        found = {text: number(text) for text in {text for four in self.fours for text in four[1:]}}
        return {text: value for text, value in found.items() if value is not None}

    def _common(self) -> Leaning:
        """How often the commonest value is branch's and not base's, and the other way round."""
        often = Counter[str]()
        for (_, old, new), count in self.words.items():
            often[old] += count
            often[new] += count
        top = max(often, key=lambda value: (often[value], value))
        found = Leaning()
        for (pair, old, new), count in self.words.items():
            found.up[pair] += count * (new == top)
            found.down[pair] += count * (old == top)
        return found


def _sided(sides: Sides, *, choices: int) -> Leaning:
    (up, down), (also_up, also_down) = sides.controls
    return Leaning([sides.branch, up, also_up], [sides.base, down, also_down], able=sides.able, choices=choices)


def _instant(text: str) -> bool:
    """Whether a value is a text that says when; of a clock, not of a stopwatch."""
    return len(text) > 12 and text[0] == text[-1] == '"' and instant_ns(text[1:-1]) is not None


def _keep(pairs: set[Drawn], pair: Drawn) -> None:
    if len(pairs) < PAIRS_MAX:
        pairs.add(pair)


def _leaning(pairs: Sequence[set[Drawn]]) -> Leaning:
    found = Leaning()
    for index, values in enumerate(pairs):
        found.up[index] = sum(one < two for one, two in values)
        found.down[index] = sum(one > two for one, two in values)
    return found


def number(text: str) -> float | None:
    """A JSON number; None for anything else."""
    if text[:1] not in "-0123456789" or not text:
        return None
    try:
        value = cast("object", orjson.loads(text))
    except orjson.JSONDecodeError:
        return None
    return float(value) if isinstance(value, int | float) else None
