"""Two texts as one column of lines, removed, added and alike, as ``diff -u`` has them. Pure; :mod:`console.page_views` shows it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

from console.page_values import EFFORT_MAX, Piece, effort_of, matched
from differ.aligning import common_ends
from differ.longest import common

LINES_MAX = 4096
"""Lines between the common ends of which the longest common order is found, in some 10 ms; more are one change."""
AROUND = 3
"""Lines alike that stay in sight before and after a change, as ``diff -u`` keeps them."""
FOLDED_MIN = 3
"""Lines from which a stretch is folded: its fold takes a line, too."""
ALIKE_MIN = 0.4
"""Share of a line that must be alike for its changed words to be marked: marks on everything say nothing."""

Sign = Literal[" ", "-", "+"]


class Line(NamedTuple):
    """A line of one side, or of both."""

    sign: Sign
    pieces: Sequence[Piece]

    @property
    def text(self) -> str:
        """The line without its end."""
        return "".join(piece.text for piece in self.pieces)


class Stretch(NamedTuple):
    """Lines that follow each other."""

    folded: bool
    """Whether they are all alike and away from any change."""
    lines: Sequence[Line]


def unified(base: str, branch: str) -> list[Line]:
    """All lines of both: without those of ``+`` they are base's, without those of ``-`` they are branch's.

    A line ends at a line feed alone, so that another sign before it is a difference that is seen.
    """
    ones, twos = base.split("\n"), branch.split("\n")
    out: list[Line] = []
    i = j = 0
    effort = EFFORT_MAX
    for up, down in [*anchors(ones, twos), (len(ones), len(twos))]:
        block, spent = _block(ones[i:up], twos[j:down], effort)
        effort -= spent
        out += block
        out += [_plain(" ", line) for line in ones[up : up + 1]]
        i, j = up + 1, down + 1
    return out


def anchors(ones: Sequence[Hashable], twos: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places of what both have, in one order: as many as can be, where there are not too many to look at."""
    begin, end = common_ends(ones, twos)
    middles = ones[begin : len(ones) - end], twos[begin : len(twos) - end]
    between = common(*middles) if max(map(len, middles)) <= LINES_MAX else []
    return [
        *((place, place) for place in range(begin)),
        *((begin + one, begin + two) for one, two in between),
        *((len(ones) - rest, len(twos) - rest) for rest in range(end, 0, -1)),
    ]


def _block(olds: Sequence[str], news: Sequence[str], effort: int) -> tuple[list[Line], int]:
    """Lines between two that are alike, and what it took; where as many came as went, changed words are marked."""
    spent = 0
    removed, added = [_plain("-", line) for line in olds], [_plain("+", line) for line in news]
    if len(olds) == len(news):
        for place, (old, new) in enumerate(zip(olds, news, strict=True)):
            cost = effort_of(old, new)
            if spent + cost > effort:
                break
            spent += cost
            ones, twos = matched(old, new, cost)
            if sum(len(piece.text) for piece in ones if not piece.changed) >= ALIKE_MIN * max(len(old), len(new)):
                removed[place], added[place] = Line("-", ones), Line("+", twos)
    return [*removed, *added], spent


def _plain(sign: Sign, text: str) -> Line:
    return Line(sign, (Piece(changed=False, text=text),))


def stretches(lines: Sequence[Line]) -> list[Stretch]:
    """The lines in their order, those far from any change apart from the others; a fold of few lines is none."""
    near: set[int] = set()
    for place, line in enumerate(lines):
        if line.sign != " ":
            near.update(range(place - AROUND, place + AROUND + 1))
    out: list[Stretch] = []
    for far, places in groupby(range(len(lines)), lambda place: place not in near):
        some = [lines[place] for place in places]
        out.append(Stretch(far and len(some) >= FOLDED_MIN, some))
    return out
