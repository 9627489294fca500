"""Gather rows into evidence: rows with differences come by once, in any order; places with their counts stay. Pure, bounded."""

from __future__ import annotations

import json
import re
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast
from zlib import crc32

import orjson

from differ.difference import CLOCK, DERIVED, GREEDY, ORDER_OF, PERMUTATION, RENAMING, form_of
from differ.evidence import Place
from differ.fourfold import FOURS_MAX, four_of
from differ.profiles import Learning
from differ.ruled import Ruled
from differ.rules import RULED
from differ.shifts import PAIRS, Shifts
from differ.successors import Successors
from differ.tallies import NO_DIFFERENCE, Pattern, Spot

PLACES_MAX = 50_000
"""Places of one run, some 1 KB each. A service with 1,000 endpoints has 50 at each; what goes beyond stays undecided and is counted."""
PAIRS_MAX = 512
"""Distinct pairs of values remembered per place: a test is sure after ten."""
PAIRS_ALL_MAX = 400_000
"""Of these in a run: about 100 MB."""
REQUESTS_MAX = 1024
"""Requests remembered per place that differ there: a test is sure after ten, of noise that is seen in each answer after some hundred."""
REQUESTS_ALL_MAX = 500_000
"""Of these in a run: about 100 MB."""
COMBINATIONS_MAX = 20_000
"""Different sets of differences that exchanges of a run show. A cause shows as few; a run with more is read once more to account for it."""
SIGNATURES_MAX = 4
SHIFTS_MAX = 5_000
"""Places whose values are measured, the first that differ: up to 20 KB each where all their numbers vary."""
FOURS_ALL_MAX = 100_000
"""Exchanges at places of which all four values are remembered: about 60 MB."""
UNMEASURED = CLOCK | DERIVED | PERMUTATION | RULED
FLAPS_MAX = 256
"""Pairs of statuses that flap; a service has a few."""
MOVED_MAX = 16
"""Members of one list that are counted: sixteen are worth forty coins."""
SAMPLES_MAX = 3
_DIGEST = re.compile(r"[0-9a-fA-F]{32,}")
X, A, B = range(3)

Row = dict[str, Any]
Key = tuple[str, str, str, int, str, str]
"""Endpoint, where, kind, facet, nature, form."""
Combination = tuple[str, tuple[int, ...]]
"""Why an exchange could not be compared in full, and its differences: twice the number of a place, plus one where a version
differs from itself."""
OVERFLOW = -1
"""In a combination: a difference at a place beyond PLACES_MAX."""
EXPLAINED_BY_RULE = -2
"""In a combination: differences that rules explain."""


@dataclass(slots=True)
class Gathering:
    """All places of a run."""

    places: list[Place] = field(default_factory=list[Place])
    numbers: dict[Key, int] = field(default_factory=dict[Key, int])
    spots: dict[tuple[str, str], Spot] = field(default_factory=dict[tuple[str, str], Spot])
    shifts: dict[tuple[str, str], Shifts] = field(default_factory=dict[tuple[str, str], Shifts])
    """By endpoint and where: which way its values differ."""
    combinations: dict[Combination, int] = field(default_factory=dict[Combination, int])
    """How many exchanges show exactly these differences."""
    uncounted: int = 0
    """Exchanges whose combination found no room."""
    overflow: int = 0
    """Differences between base and branch at places beyond PLACES_MAX."""
    ruled: Ruled = field(default_factory=Ruled)
    """What rules explain. It stays evidence of its place, so that a rule moves no other verdict."""
    learning: Learning = field(default_factory=Learning)
    """What base shows against itself, for the profile of its version."""
    successors: Successors = field(default_factory=Successors)
    """Which field has which other name in branch."""
    flaps: set[str] = field(default_factory=set[str])
    """Statuses by which a version was seen to differ from itself, in the words of their changes (``200>503``)."""
    given_up: dict[str, int] = field(default_factory=dict[str, int])
    """Exchanges by endpoint that all targets answered and of which a comparison had to be given up."""
    _pairs: int = 0
    _fours: int = 0
    _requests: int = 0

    def add(self, row: Row) -> None:
        """Count one exchange."""
        shown, whole = read(row)
        answered = bool(row["has_control"] and row["has_branch_control"])
        if answered and not whole:
            self.given_up[row["endpoint"]] = self.given_up.get(row["endpoint"], 0) + 1
        whole = whole and answered
        self.learning.add(row)
        endpoint, combination = row["endpoint"], list[int]()
        request = hash((row["method"], row["target"]))
        # Two answers of one version with two statuses are two documents: what else differs in them is no noise of a place.
        status = shown.get("status")
        flapping = status is not None and min(status.facets[A], status.facets[B]) != NO_DIFFERENCE
        answered_else = status is not None and not flapping
        if flapping and whole and len(self.flaps) < FLAPS_MAX:
            self.flaps.update(flaps_of(row))
        for where, here in shown.items():
            spot = self._spot(endpoint, where)
            if spot is None:
                here.kinds = self._unruled(row, here.kinds, combination)
                self.overflow += len(here.kinds)
                combination += [OVERFLOW] * len(here.kinds)
                continue
            if flapping and where != "status":
                spot.flapped += 1
            else:
                beside = answered_else and where != "status"
                spot.count(here.pattern, whole=whole, beside=beside)
                if whole:
                    self._draw(spot, request, here, beside=beside)
                    self._remember_values(spot, row, here)
            for index in self._unruled(row, here.kinds, combination):
                number = self._place(row, index)
                facet = row["d_facet"][index]
                noisy = here.facets[A] <= facet or here.facets[B] <= facet
                combination.append(number if number == OVERFLOW else 2 * number + noisy)
                if number != OVERFLOW and not noisy:
                    self.places[number].clear += 1
        self.successors.add(row, self.numbers)
        if whole and not flapping:
            self._shift(row)
        elif whole and status is not None:
            self._shift(row, "status")
        if combination:
            self._combine((row["reason"], tuple(sorted(combination))))

    def _draw(self, spot: Spot, request: int, here: Here, *, beside: bool) -> None:
        """Count an exchange by its request; one of a request that finds no room is no draw, whatever it shows."""
        known = spot.by_request.last
        if request not in known:
            if len(known) >= REQUESTS_MAX or self._requests >= REQUESTS_ALL_MAX:
                return
            self._requests += 1
        spot.draw(request, here.pattern, hash((here.pattern, *here.values)), beside=beside)

    def _shift(self, row: Row, only: str = "") -> None:
        """Which way each place differs: clocks, what follows from a body and unordered members have no way."""
        endpoint, flags, klasses = row["endpoint"], row["d_flags"], row["d_klass"]
        seen: dict[str, list[tuple[str, str] | None]] = {}
        for index, where in enumerate(row["d_where"]):
            flag = flags[index]
            if only not in {"", where} or (endpoint, where) not in self.spots or row["d_kind"][index] == "renamed":
                continue  # keys that are drawn anew are no values of the map
            pair, values = row["d_pair"][index], (row["d_old"][index], row["d_new"][index])
            three = seen.setdefault(where, [None, None, None])
            if flag & (UNMEASURED & ~CLOCK) or len(three) < PAIRS or three[pair] is not None:
                three.clear()  # no value of its own, or more than one difference
            else:
                three[pair] = values
            shifts = None if flag & UNMEASURED or klasses[index] == "time" else self._shifts(endpoint, where)
            if shifts is not None:
                shifts.add(pair, row["d_kind"][index], *values)
        times = {where for where, klass in zip(row["d_where"], klasses, strict=True) if klass == "time"}
        for where, three in seen.items():
            four = four_of(row["target"], three[X], three[A], three[B]) if len(three) == PAIRS else None
            if four is None or self._fours >= FOURS_ALL_MAX or (shifts := self._shifts(endpoint, where)) is None:
                continue
            self._fours += len(shifts.fours) < FOURS_MAX
            shifts.four(four, time=where in times)

    def _shifts(self, endpoint: str, where: str) -> Shifts | None:
        """What is measured at a place; None beyond the bound."""
        found = self.shifts.get((endpoint, where))
        if found is None and len(self.shifts) < SHIFTS_MAX:
            found = self.shifts[endpoint, where] = Shifts()
        return found

    def _unruled(self, row: Row, kinds: list[int], combination: list[int]) -> list[int]:
        """The differences that no rule explains; the others go to their rules, and their places are weighed all the same."""
        flags, left = row["d_flags"], list[int]()
        for index in kinds:
            if not flags[index] & RULED:
                left.append(index)
                continue
            self.ruled.add(row, index)
            self._place(row, index, counted=False)
            if EXPLAINED_BY_RULE not in combination:
                combination.append(EXPLAINED_BY_RULE)
        return left

    def _spot(self, endpoint: str, where: str) -> Spot | None:
        spot = self.spots.get((endpoint, where))
        if spot is None and len(self.spots) < PLACES_MAX:
            spot = self.spots[endpoint, where] = Spot()
        return spot

    def _place(self, row: Row, index: int, *, counted: bool = True) -> int:
        """The number of the place of one difference between base and branch, which has now been seen once more."""
        key = key_of(row, index)
        number = self.numbers.get(key)
        if number is None:
            if len(self.places) >= PLACES_MAX:
                self.overflow += counted
                return OVERFLOW
            number = self.numbers[key] = len(self.places)
            self.places.append(Place(*key))
        place = self.places[number]
        place.flags &= row["d_flags"][index]
        place.klass = max(place.klass, row["d_klass"][index])
        place.digest = place.digest and is_digest(row, index)
        if not counted:
            return number
        place.count += 1
        place.greedy += row["d_flags"][index] & GREEDY != 0
        if len(place.signatures) < SIGNATURES_MAX:
            signature = row["d_signature"][index]
            place.signatures.add(form_of(signature)[1] if place.form else signature)
        seen = (row["seq"], row["exchange"])
        if len(place.seen) < SAMPLES_MAX or seen < place.seen[-1]:
            insort(place.seen, seen)
            del place.seen[SAMPLES_MAX:]
        return number

    def _remember_values(self, spot: Spot, row: Row, here: Here) -> None:
        """What was moved where a list has another order, and the values of what is drawn anew."""
        if here.moved and len(spot.orders) < PAIRS_MAX:
            spot.orders.setdefault(here.values[X], here.moved)
            spot.members = max(spot.members, here.members, listed(row, here))
        x, a, b = here.pattern
        if here.natured and not x == a == b:
            self._remember(spot, (x, a, b, here.values[X], here.values[A], here.values[B]))

    def _remember(self, spot: Spot, pairs: tuple[int, int, int, int, int, int]) -> None:
        if len(spot.pairs) < PAIRS_MAX and self._pairs < PAIRS_ALL_MAX and pairs not in spot.pairs:
            spot.pairs.add(pairs)
            self._pairs += 1

    def _combine(self, combination: Combination) -> None:
        count = self.combinations.get(combination)
        if count is None and len(self.combinations) >= COMBINATIONS_MAX:
            self.uncounted += 1
        else:
            self.combinations[combination] = (count or 0) + 1


@dataclass(slots=True)
class Here:
    """The differences of one exchange at one place: for each comparison its coarsest facet and its values."""

    facets: list[int]
    values: list[int]
    natured: bool = False
    moved: frozenset[int] = frozenset()
    """Digests of the members that stand elsewhere in branch than in base, where they are the same ones."""
    members: int = 0
    """How many that list has."""
    kinds: list[int] = field(default_factory=list[int])
    """Indexes of the differences between base and branch."""

    @property
    def pattern(self) -> Pattern:
        """The coarsest facet of each comparison."""
        x, a, b = self.facets
        return x, a, b


def read(row: Row) -> tuple[dict[str, Here], bool]:
    """The differences of an exchange by place, and whether no comparison of two answers had to be given up."""
    found: dict[str, Here] = {}
    whole = True
    wheres, facets, flags, klasses = row["d_where"], row["d_facet"], row["d_flags"], row["d_klass"]
    pairs: list[int] = row["d_pair"]
    for index, pair in enumerate(pairs):
        where = wheres[index]
        if not where:  # this comparison could not be made
            whole = False
            continue
        here = found.get(where)
        if here is None:
            here = found[where] = Here([NO_DIFFERENCE] * 3, [0, 0, 0])
        facet: int = facets[index]
        here.facets[pair] = min(here.facets[pair], facet)
        if flags[index] & PERMUTATION:
            here.natured = True
            swap, moved, members = swapped(row["d_old"][index], row["d_new"][index])
            here.values[pair] ^= swap or row["d_values"][index]
            if pair == X:
                here.moved, here.members = moved, members
        else:
            here.natured = here.natured or bool(klasses[index])
            here.values[pair] ^= row["d_values"][index]
        if pair == X:
            here.kinds.append(index)
    return found, whole


def flaps_of(row: Row) -> Iterator[str]:
    """How the status of a version differs from that of its control."""
    for index, where in enumerate(row["d_where"]):
        if where == "status" and row["d_pair"][index] != X:
            yield row["d_signature"][index].rpartition(":")[2]


def key_of(row: Row, index: int) -> Key:
    """What a difference is counted as."""
    nature = "permutation" if row["d_flags"][index] & PERMUTATION else "generative" if row["d_klass"][index] else ""
    where = row["d_where"][index]
    form = form_of(row["d_signature"][index])[0] if where == "body" else ""
    return row["endpoint"], where, row["d_kind"][index], row["d_facet"][index], nature, form


def is_digest(row: Row, index: int) -> bool:
    """Whether two values are hashes of one length of 128 bits or more, and no ids that answers were seen to rename."""
    if row["d_klass"][index] != "hash" or RENAMING in row["d_signature"][index]:
        return False
    old, new = (_DIGEST.search(row[side][index] or "") for side in ("d_old", "d_new"))
    return old is not None and new is not None and len(old[0]) == len(new[0])


def listed(row: Row, here: Here) -> int:
    """How many members the list has whose order changed, where its signature says so."""
    counts = (row["d_signature"][index].partition(ORDER_OF)[2] for index in here.kinds)
    return max((int(count) for count in counts if count.isdigit()), default=0)


def swapped(old: str, new: str) -> tuple[int, frozenset[int], int]:
    """A digest of the first two members in each other's way (0 when the texts do not tell), those that moved, how many there are.

    What a hash seed does to two members it does in every list that has both, so lists that begin with the same swap are one piece
    of evidence, not many.
    """
    first, moved = 0, set[int]()
    olds, news = list(members(old)), list(members(new))
    for one, two in zip(olds, news, strict=False):
        if one != two:
            moved.add(crc32(one))
            first = first or int.from_bytes(blake2b(one + b"\0" + two, digest_size=8).digest(), "big")
            if len(moved) >= MOVED_MAX:
                break
    return first, frozenset(moved), len(olds)


def members(text: str) -> Iterator[bytes]:
    """The members of a JSON list, or of a text which is a list of lines or with commas."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # an excerpt: a value too long for a row
        value = begun(text)
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield orjson.dumps(item)
    elif isinstance(value, str):
        for part in value.split("\n" if "\n" in value else ","):
            yield part.strip().encode("utf-8", "surrogatepass")


def begun(text: str) -> list[object]:
    """The whole members with which the excerpt of a list begins: fewer of them say less, and nothing else."""
    found, at = list[object](), 1
    while text[:1] == "[" and at < len(text):
        try:
            item, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if text[at : at + 1] != ",":  # a number may go on
            break
        found.append(item)
        at += 1
    return found


_DECODER = json.JSONDecoder()


def gather(rows: Iterable[Row]) -> Gathering:
    """All places of the rows."""
    found = Gathering()
    for row in rows:
        found.add(row)
    return found
