"""Whether base answers at a place as was recorded. Pure, bounded; what it needs is read by :mod:`differ.looking`.

A date, a hash or an id that differs between the versions and never within one may have been made when an instance was started: two
instances of a version agree by luck on the second in which that was, or on one of few values. The recorded answer was given by another
instance, at another time. Where base says today what was said then, its value is no doing of a start or a clock: branch's other value is
a difference, whether branch has another one for good or makes one at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import orjson

from differ.classes import instant_ns
from differ.compare import Compared, compare
from differ.context import Context
from differ.difference import CLOCK, DERIVED, VALUE
from differ.echoes import NOBODY, Own
from differ.evidence import REGRESSION, TESTED
from differ.gathering import Gathering
from differ.judging import Judgement, Spots
from differ.rows import owns_in
from differ.sink import CLOCK_SLACK_NS
from echolane.exchange import Exchange, Response
from echolane.observation import BASE, BRANCH, Observation

ASKED_MAX = 32
"""Places of a run that are looked at, those with the most exchanges."""
_STEPS = frozenset(".[/@:")
"""By what a place goes on behind that of its container."""
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
    looks: dict[str, _Look] = {}
    found: set[tuple[str, str]] = set()
    for (endpoint, where), pairs in looked.items():
        here = [looks.setdefault(one.exchange, _Look(one, exchange, base)) for one, exchange in pairs]
        if here and all(look.as_recorded(where) for look in here):
            found.add((endpoint, where))
    return frozenset(found)


def as_recorded(observation: Observation, exchange: Exchange, where: str, base: Own = NOBODY) -> bool:
    """Whether base's answer says at a place what was recorded, and branch's something else that is not near it in time."""
    return _Look(observation, exchange, base).as_recorded(where)


class _Look:
    """One exchange, compared once for all places that are asked of it: a large body takes half a second each time."""

    def __init__(self, observation: Observation, exchange: Exchange, base: Own) -> None:
        self._recorded, self._one, self._other = (
            exchange.response,
            observation.answer_of(BASE),
            observation.answer_of(BRANCH),
        )
        (base,) = owns_in([base], observation)
        self._asked, self._base = (observation.method, observation.target), base
        self._sent = Own(sent=base.sent) if base.sent else NOBODY
        """Of what was recorded nothing is an echo but a name that targets are sent, which mostly is the recorded one."""

    def as_recorded(self, where: str) -> bool:
        """See :func:`as_recorded`."""
        recorded, one, other = self._recorded, self._one, self._other
        if recorded is None or one is None or other is None or recorded.status != one.status:
            return False
        if where.startswith("body") and (recorded.body.truncated or one.body.truncated or recorded.incomplete):
            return False
        held = any(_holds(one.where, where) and one.kind != "order" for one in self._then.differences)
        return not held and _found(self._then, where) == [] and self._is_apart(where)

    def _is_apart(self, where: str) -> bool:
        """Whether two values at a place are more than instants near each other, which instances that were started together may have."""
        pairs = _found(self._now, where)
        for old, new in pairs or ():
            before, after = (None if text is None else instant_ns(_value(text)) for text in (old, new))
            if before is not None and after is not None and abs(before - after) < CLOCK_SLACK_NS:
                return False
        return bool(pairs)

    @cached_property
    def _then(self) -> Compared:
        """What was recorded, and what base says."""
        return self._compared(self._recorded, self._one, (self._sent, self._base))

    @cached_property
    def _now(self) -> Compared:
        """What base and branch say."""
        return self._compared(self._one, self._other, (NOBODY, NOBODY))

    def _compared(self, left: Response | None, right: Response | None, own: tuple[Own, Own]) -> Compared:
        assert left is not None  # noqa: S101 - asked for where all three are there
        assert right is not None  # noqa: S101
        method, path = self._asked
        return compare(left, right, Context(method=method, path=path, own=own))


def _found(compared: Compared, where: str) -> list[tuple[str | None, str | None]] | None:
    """The two values of each difference at a place; None where the bodies, of which it is one, could not be compared."""
    if compared.uncomparable and where.startswith("body"):
        return None
    return [(d.old, d.new) for d in compared.differences if d.where == where and not d.flags & (CLOCK | DERIVED)]


def _holds(container: str, where: str) -> bool:
    """Whether a place is inside of what another one names: where that is not there, or is shorter, nothing is said of what is in it."""
    return where.startswith(container) and where[len(container) : len(container) + 1] in _STEPS


def _value(text: str) -> object:
    """The value of an excerpt; the text itself where it was cut."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
