"""Whether the order of a list is fixed by the instance that gives it. Pure, bounded.

A set in hash order has one order for the life of its process, so its order in a thousand answers is one draw. What refutes that is an
instance that gives the same two members both ways: then nothing that was drawn at its start decides their order, and each exchange counts.
Rows tell only where answers differ. Of lists on which they agree, and of those beside, this reads some answers of an endpoint again.

What is left to luck is an order that is drawn at the start of a process for each of two kinds of answers apart (ties of a key that is not
shown, in hash order): four such processes give two members so once in 25 times that they differ at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from typing import Any, cast

from differ.aligning import canonical
from differ.bodies import reading
from differ.bodies_of import JSON, OPENING
from differ.difference import VALUE
from differ.echoes import Own
from differ.evidence import REGRESSION
from differ.gathering import MOVED_MAX, Gathering
from differ.judging import Judgement, Spots
from differ.places import Place, root
from differ.rows import owns_in
from echolane.exchange import Response
from echolane.observation import ANSWERED, Observation

ASKED_MAX = 8
"""Places of a run that are looked at again, those with the most exchanges."""
LOOKED_MAX = 16
"""Exchanges that differ at such a place, and as many that do not: a process that gives two members both ways does so in one of a few."""
CHANGED_MIN = 7
"""Exchanges that differ there; fewer could not decide whatever is found."""
LISTS_MAX = 64
"""Lists of one answer: 16 members each have 120 pairs, so an answer is read in some milliseconds."""
BYTES_MAX = 32 * 1024 * 1024
"""Of bodies that are read for one place: about a third of a second."""
BODY = "body:$"

Ways = dict[tuple[bytes, bytes], int]
"""By two members in the order of their texts: 1 where they were given in it, 2 where the other way round, 3 where both ways."""
ONE, OTHER, BOTH = 1, 2, 3


def open_orders(judgement: Judgement, gathering: Gathering) -> list[tuple[str, str]]:
    """Endpoints and places of lists whose members changed places without a version ever varying them, and that could not be decided."""
    found: dict[tuple[str, str], int] = {}
    for place, weighed in zip(judgement.places, judgement.weighed, strict=True):
        if place.nature != "permutation" or weighed.verdict == REGRESSION or not place.where.startswith(BODY):
            continue
        tally = gathering.spots[place.endpoint, place.where].tally(VALUE)
        if tally.x_alone >= CHANGED_MIN and not (tally.a or tally.b):
            found[place.endpoint, place.where] = tally.x_alone
    return sorted(found, key=lambda spot: (-found[spot], spot))[:ASKED_MAX]


def both_ways(observations: Iterable[Observation], where: str, owns: Sequence[Own]) -> bool:
    """Whether two members that branch turned round at a place are given both ways by both instances of one version.

    Of an exchange only pairs count on which each version agrees with itself and not with the other; ``owns``: what targets echo.
    """
    seen: list[Ways] = [{}, {}, {}, {}]
    turned: set[tuple[bytes, bytes]] = set()
    room = BYTES_MAX
    for observation in observations:
        here = list(_ways_of(observation, where, owns))
        room -= sum(0 if shot.answer is None else len(shot.answer.body.data) for shot in observation.shots)
        if room < 0:
            break
        for ways, own_ways in zip(seen, here, strict=True):
            for pair, way in own_ways.items():
                ways[pair] = ways.get(pair, 0) | way
        control, branch, again = (one.get for one in here[1:])
        for pair, way in here[0].items():
            if way == control(pair) and branch(pair) == again(pair) and branch(pair) not in {None, way}:
                turned.add(pair)
    return any(seen[one].get(pair) == seen[two].get(pair) == BOTH for pair in turned for one, two in ((0, 1), (2, 3)))


def spots_both_ways(observed: Mapping[tuple[str, str], Iterable[Observation]], owns: Sequence[Own]) -> Spots:
    """Those of the places that are given both ways."""
    return frozenset(spot for spot, observations in observed.items() if both_ways(observations, spot[1], owns))


def _ways_of(observation: Observation, where: str, owns: Sequence[Own]) -> Iterator[Ways]:
    """In which order each target gives each two members of the lists at a place; what is the same bytes is read once."""
    read: list[Ways] = []
    for shot, own in zip(observation.shots, owns_in(owns, observation), strict=True):
        if shot.same_as >= 0:
            read.append(read[shot.same_as])
        else:
            try:
                read.append({} if shot.outcome != ANSWERED or shot.answer is None else _ways(shot.answer, where, own))
            except RecursionError:
                read.append({})
        yield read[-1]


def _ways(answer: Response, where: str, own: Own) -> Ways:
    """In which order an answer gives each two members of the lists at a place."""
    found: Ways = {}
    for members in islice(_lists(answer, where, own), LISTS_MAX):
        texts = [canonical(member) for member in members[:MOVED_MAX]]
        if len(set(texts)) < len(texts):  # what is there twice stands nowhere
            continue
        for one, two in combinations(texts, 2):
            pair, way = ((one, two), ONE) if one < two else ((two, one), OTHER)
            found[pair] = found.get(pair, 0) | way
    return found


def _lists(answer: Response, where: str, own: Own) -> Iterator[list[Any]]:
    """The lists that stand at a generalised place."""
    body = answer.body
    if body.truncated or body.undecoded or body.data[:1] not in OPENING:
        return
    parsed = reading(answer, own, None).parse()
    if parsed.form == JSON:
        yield from _under(parsed.value, root(BODY), where)


def _under(value: Any, place: Place, where: str) -> Iterator[list[Any]]:
    if isinstance(value, list):
        if place.text == where:
            yield cast("list[Any]", value)
        inside = place.children.get(None) or place.child(None)
        if where.startswith(inside.text):
            for item in cast("list[Any]", value):
                yield from _under(item, inside, where)
    elif isinstance(value, dict):
        inside = place.children.get(None) or place.child(None)
        drawn = where.startswith(inside.text)  # the map is one whose keys are drawn anew
        for key, item in cast("dict[str, Any]", value).items():
            below = inside if drawn else place.children.get(key) or place.child(key)
            if drawn or where.startswith(below.text):
                yield from _under(item, below, where)
