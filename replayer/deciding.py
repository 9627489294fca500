"""Decide which ties of a recording are real, and number the values that targets have to give. Pure.

A long random value is met twice on purpose: its likeliest origin is taken. A short number is met by chance, so it needs a word for it:
names that agree, the same tie with other values elsewhere in the recording, or, in a path or under a name that no client ever filled by
itself, that nothing else could be meant. Where two places are equally likely both are kept: only the one that a target gives differently tells.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from echolane.exchange import Given, Taken
from replayer.affinity import HINT, MEANT, RELATED, STRONG, WEAK, is_identity, is_position, is_quantity
from replayer.linking import Linker, Origin, Use, folded
from replayer.origins import Found, shown
from replayer.pieces import position
from replayer.wire import SAFE_METHODS

KEPT = 3
"""Origins of one value that a target may give it at."""
SUPPORT = 30
"""What it weighs that a place of a request always holds what that place of an answer had, against what names say."""
_LEAST = -1_000
"""Less than anything scores."""
MENTION = 10
"""So much more must speak for a value that stands by itself than for the same one in a list; standing in a list costs 4 or 8."""
SURE_SHARE, SURE_VALUES = 0.6, 3
"""A place holds what another one had in most of its requests, with so many different values: no chance."""
_IDENTIFIED = re.compile(r"body:(?:input|textarea|select|meta|button|form|param)\[")
_Source = tuple[str, str, str]
_Place = tuple[str, str]
_Habits = defaultdict[_Place, defaultdict[_Source, "_Habit"]]


class _Tie(NamedTuple):
    """A use that is real; what is written of it into the plan is made when its item is: many ties are held at once."""

    use: Use
    given: tuple[int, ...]
    tied: int
    origins: tuple[Origin, ...]

    def taken(self) -> Taken:
        """As a plan says it."""
        use, whys = self.use, [_why(origin) for origin in self.origins]
        return Taken(use.where, use.start, use.end, use.escape, list(self.given), self.tied, whys)


class Links:
    """What a plan writes into its items, by rank."""

    def __init__(self) -> None:
        self.dropped = 0
        self._gives: defaultdict[int, list[Given]] = defaultdict(list)
        self._takes: defaultdict[int, list[_Tie]] = defaultdict(list)

    def __repr__(self) -> str:
        return f"<Links of {len(self._takes)} requests to {len(self._gives)} answers>"

    def __bool__(self) -> bool:
        return bool(self._takes)

    def add(self, given: Given, rank: int) -> None:
        """A value of this exchange's answer is needed."""
        self._gives[rank].append(given)

    def tie(self, tie: _Tie) -> None:
        """A value of this exchange's request comes from earlier answers."""
        self._takes[tie.use.rank].append(tie)

    def gives(self, rank: int) -> list[Given]:
        """What an exchange's answer gives."""
        return self._gives.get(rank, [])

    def takes(self, rank: int) -> list[Taken]:
        """What an exchange's request takes."""
        return [tie.taken() for tie in self._takes.get(rank, ())]


class _Habit:
    """How often a place of a request held what a place of an answer had."""

    __slots__ = ("total", "values")

    def __init__(self) -> None:
        self.total = 0
        self.values: set[str] = set()
        """The first few different ones."""

    def add(self, text: str) -> None:
        """Once more."""
        self.total += 1
        if len(self.values) < SURE_VALUES:
            self.values.add(text)


def decide(linker: Linker) -> Links:
    """The ties that are real."""
    habits = _habits(linker.uses)
    numbers: dict[tuple[int, str, str], int] = {}
    links = Links()
    links.dropped = linker.dropped
    often = Counter((use.rank, use.text) for use in linker.uses if use.strength == WEAK)
    for use in linker.uses:
        ranked = _ranked(use, linker, habits)
        if not ranked or not _is_real(use, ranked, linker, habits, alone=often[use.rank, use.text] == 1):
            continue
        kept = ranked[:KEPT]
        given: list[int] = []
        for _, origin in kept:
            found = origin.found
            place = shown(found)
            key = (origin.rank, place, found.sub)
            if key not in numbers:
                numbers[key] = len(numbers)
                links.add(Given(numbers[key], place, list(found.path), found.sub, _one_of_many(found)), origin.rank)
            given.append(numbers[key])
        origins = tuple(origin for _, origin in kept)
        links.tie(_Tie(use, tuple(given), _tied(kept), origins))
    return links


def _habits(uses: list[Use]) -> _Habits:
    """By place of use and source: what ties them."""
    found: _Habits = defaultdict(lambda: defaultdict(_Habit))
    for use in uses:
        sources = found[_place_of(use)]
        for source in {_source_of(origin) for _, origin in use.candidates}:
            sources[source].add(use.text)
    return found


def _place_of(use: Use) -> _Place:
    return use.endpoint, folded(use.where)


def _source_of(origin: Origin) -> _Source:
    return origin.endpoint, folded(shown(origin.found)), position(origin.found.sub)


def _ranked(use: Use, linker: Linker, habits: _Habits) -> list[tuple[int, Origin]]:
    """Candidates, the likeliest first; of one place only the last before the use, and the first as its stand-in."""
    place = _place_of(use)
    seen, sources = linker.seen[place], habits[place]
    scored: list[tuple[int, Origin]] = []
    for points, origin in _meant(use):
        habit = sources[_source_of(origin)]
        share = habit.total / seen if seen >= SURE_VALUES and len(habit.values) >= SURE_VALUES else 0
        scored.append((points + round(SUPPORT * min(1.0, share)), origin))
    return sorted(scored, key=lambda one: (-one[0], -one[1].rank))


def _meant(use: Use) -> Sequence[tuple[int, Origin]]:
    """Candidates without mentions: a short value that stands by itself, and as what it is called also in a list of the same answer.

    It is the last one there, or the newest one. Which one that is depends on the list's order; which thing a client meant does not, so
    the list tells of it, unless names say that it is a list of other things. A place that says where to go on takes what stood by itself.
    """
    listed: dict[tuple[int, str], int] = {}
    if use.strength == WEAK:
        for points, origin in use.candidates:
            if _is_listed(origin.found):
                key = origin.rank, origin.found.name
                listed[key] = max(points, listed.get(key, points))
    if not listed:
        return use.candidates
    if is_position(use.where):
        return [one for one in use.candidates if not _is_listed(one[1].found)] or use.candidates
    return [
        one
        for one in use.candidates
        if _is_listed(one[1].found) or one[0] > listed.get((one[1].rank, one[1].found.name), _LEAST) + MENTION
    ]


def _is_real(use: Use, ranked: list[tuple[int, Origin]], linker: Linker, habits: _Habits, *, alone: bool) -> bool:
    """Whether a use is a tie; ``alone``: its request has the value nowhere else."""
    points, origin = ranked[0]
    text, in_path = use.text, use.in_path
    if use.strength == MEANT:
        if not in_path and not any(sign.isdigit() for sign in text):
            return False  # a state, a zone, a kind of file: what a client chose among some, under the same name as the service
        return points >= (HINT if in_path else RELATED) - 5
    if use.strength == WEAK and text.isdigit() and is_quantity(use.name):
        return False  # so many are so many at each target
    if use.strength == STRONG or points >= RELATED - 5:
        return True
    place = _place_of(use)
    habit = habits[place][_source_of(origin)]
    seen = linker.seen[place]
    if len(linker.kinds.get(place, ())) >= SURE_VALUES:
        return len(habit.values) >= SURE_VALUES and habit.total / seen >= SURE_SHARE and not origin.echo
    if use.strength != WEAK or not _is_brought(use, ranked):
        return False
    return in_path or (alone and not (_is_customary(text) or linker.owned[use.name]))


def _is_brought(use: Use, ranked: list[tuple[int, Origin]]) -> bool:
    """Whether an answer brought a short value into being, as far as can be told without a name for the place where it is taken.

    The answer made something, or calls the value an identity; it is none of a list; and nothing else was it as likely, neither what
    another place held nor what the client itself had sent.
    """
    points, origin = ranked[0]
    if use.own or origin.echo or len(use.text) == 1 or _is_numbered(origin.found):
        return False
    if origin.method in SAFE_METHODS and not is_identity(origin.found.name):
        return False
    return all(o.echo or o.found.name == origin.found.name or p <= points - HINT for p, o in ranked)


def _is_customary(text: str) -> bool:
    """Whether a number is one that people and programs like: a page's size, a limit, a year."""
    if not text.isdigit():
        return False
    number = int(text)
    return number % 5 == 0 or number % 8 == 0 or number % 12 == 0 or 1900 <= number < 2100


def _is_listed(found: Found) -> bool:
    """Whether a value is one of a list's, known by its index or by what stands beside it."""
    return any(not isinstance(step, str) for step in found.path)


def _is_numbered(found: Found) -> bool:
    """Whether a value is known by its index only."""
    return any(isinstance(step, int) for step in found.path) or found.place.endswith("]")


def _one_of_many(found: Found) -> str:
    """The value itself where it may be one of a list's or page's, else nothing."""
    if found.path:
        return found.text if _is_listed(found) else ""
    return found.text if found.place.startswith("body:") and not _IDENTIFIED.match(found.place) else ""


def _tied(ranked: list[tuple[int, Origin]]) -> int:
    """How many different places lead with the same points."""
    places = {_source_of(origin) for points, origin in ranked if points == ranked[0][0]}
    if len(places) == 1:
        return 1
    return sum(points == ranked[0][0] for points, _ in ranked)


def _why(origin: Origin) -> str:
    found = origin.found
    label = found.name or "value"
    part = f" ({found.sub})" if found.sub else ""
    return f"{label} from {origin.method} {origin.path[:120]} at {shown(found)}{part}"[:400]
