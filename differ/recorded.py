"""Whether base answers at a place as was recorded. Pure, bounded; what it needs is read by :mod:`differ.looking`.

A date, a hash or an id that differs between the versions and never within one may have been made when an instance was started: two
instances of a version agree by luck on the second in which that was, or on one of few values. The recorded answer was given by another
instance, at another time. Where base says today what was said then, its value is no doing of a start or a clock: branch's other value is
a difference, whether branch has another one for good or makes one at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from differ.classes import instant_ns
from differ.compare import compare
from differ.context import Context
from differ.difference import CLOCK, DERIVED, VALUE
from differ.echoes import NOBODY, Own
from differ.evidence import REGRESSION, TESTED
from differ.gathering import Gathering
from differ.judging import Judgement, Spots
from differ.sink import CLOCK_SLACK_NS
from echolane.exchange import Exchange, Response
from echolane.observation import BASE, BRANCH, Observation

ASKED_MAX = 32
"""Places of a run that are looked at, those with the most exchanges."""
Recorded = tuple[Observation, Exchange]
"""What was answered to an exchange, and what was recorded of it."""


def open_draws(judgement: Judgement, gathering: Gathering) -> dict[tuple[str, str], list[str]]:
    """Endpoints and places of dates, hashes and ids that no version ever varied and that no test decided; some exchanges of each."""
    found: dict[tuple[str, str], list[str]] = {}
    often: dict[tuple[str, str], int] = {}
    for place, weighed in zip(judgement.places, judgement.weighed, strict=True):
        if place.nature != "generative" or weighed.verdict == REGRESSION or weighed.basis != TESTED:
            continue
        spot = place.endpoint, place.where
        tally = gathering.spots[spot].tally(VALUE)
        if tally.x_alone and not (tally.a or tally.b):
            found.setdefault(spot, []).extend(exchange for _, exchange in place.seen)
            often[spot] = tally.x_alone
    kept = sorted(found, key=lambda spot: (-often[spot], spot))[:ASKED_MAX]
    return {spot: found[spot] for spot in kept}


def spots_as_recorded(looked: Mapping[tuple[str, str], Iterable[Recorded]], base: Own) -> Spots:
    """Those of the places at which base said in every answer that was read what had been recorded; ``base``: what it echoes of itself."""
    return frozenset(spot for spot, pairs in looked.items() if _always(list(pairs), spot[1], base))


def _always(pairs: list[Recorded], where: str, base: Own) -> bool:
    return bool(pairs) and all(as_recorded(observation, exchange, where, base) for observation, exchange in pairs)


def as_recorded(observation: Observation, exchange: Exchange, where: str, base: Own = NOBODY) -> bool:
    """Whether base's answer says at a place what was recorded, and branch's something else that is not near it in time."""
    recorded, one, other = exchange.response, observation.answer_of(BASE), observation.answer_of(BRANCH)
    if recorded is None or one is None or other is None or recorded.status != one.status:
        return False
    if where.startswith("body") and (recorded.body.truncated or one.body.truncated or recorded.incomplete):
        return False
    then = _found(recorded, one, Context(method=observation.method, path=observation.target, own=(NOBODY, base)), where)
    return then == [] and _apart(one, other, observation, where)


def _apart(one: Response, other: Response, observation: Observation, where: str) -> bool:
    """Whether two values at a place are more than instants near each other, which instances that were started together may have."""
    pairs = _found(one, other, Context(method=observation.method, path=observation.target), where)
    for old, new in pairs or ():
        before, after = (None if text is None else instant_ns(_value(text)) for text in (old, new))
        if before is not None and after is not None and abs(before - after) < CLOCK_SLACK_NS:
            return False
    return bool(pairs)


def _found(left: Response, right: Response, context: Context, where: str) -> list[tuple[str | None, str | None]] | None:
    """The two values of each difference at a place; None where the bodies, of which it is one, could not be compared."""
    compared = compare(left, right, context)
    if compared.uncomparable and where.startswith("body"):
        return None
    return [(d.old, d.new) for d in compared.differences if d.where == where and not d.flags & (CLOCK | DERIVED)]


def _value(text: str) -> object:
    """The value of an excerpt; the text itself where it was cut."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
