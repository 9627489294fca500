"""Some answers of a run once more, at its close: what rows do not keep of a place is still in the journal.

Bounded by :mod:`differ.orders`, :mod:`differ.recorded` and :mod:`differ.spread`, which say what is asked and what it means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from differ.evidence import Observed
from differ.gathering import Gathering, Row
from differ.judging import Judgement, Spots
from differ.letters import observed as observed_at, topic_of
from differ.orders import LOOKED_MAX, open_orders, spots_both_ways
from differ.recorded import Recorded, open_draws, spots_as_recorded
from differ.rows import owns_of
from differ.spread import asked_of, exceptions_of
from echolane.errors import EcholaneError
from echolane.exchange import Exchange
from echolane.frame import FrameDamaged, decode_frame
from echolane.journal import Journal
from echolane.observation import BASE, BRANCH, Observation
from echolane.recordings import Recording, topic_of as recorded_in
from echolane.runspec import RunSpec
from echolane.store import Store

SOME = f"""
SELECT exchange, attempt, partition, position FROM
  (SELECT exchange, version AS attempt, partition, position, has(d_where, {{where:String}}) AS shows FROM results_v
   WHERE run = {{run:String}} AND endpoint = {{endpoint:String}} AND verdict IN ('same', 'differs')
     AND length(outcomes) = 4 AND arrayAll(o -> o = 'answered', outcomes))
ORDER BY cityHash64(exchange), exchange LIMIT {LOOKED_MAX} BY shows"""  # noqa: S608 - constants
"""Those that differ at a place and those that do not, by a chance that is the same whenever the run is closed."""

ANY_MAX = 2
"""Answers of an endpoint that say whether it has a place."""
ANY = f"""
SELECT exchange, version AS attempt, partition, position FROM results_v
WHERE run = {{run:String}} AND endpoint IN {{endpoints:Array(String)}} AND verdict IN ('same', 'differs')
  AND length(outcomes) = 4 AND outcomes[{BASE + 1}] = 'answered' AND outcomes[{BRANCH + 1}] = 'answered'
ORDER BY cityHash64(exchange), exchange LIMIT {ANY_MAX} BY endpoint"""  # noqa: S608 - constants
OF = """
SELECT exchange, version AS attempt, partition, position FROM results_v
WHERE run = {run:String} AND exchange IN {exchanges:Array(String)}"""
FRAMES_MAX = 2_000
FRAMES_BYTES_MAX = 16 * 1024 * 1024
"""Of a recording, from its beginning, where the exchanges that are asked for stand: about a second of reading."""


def given_both_ways(
    store: Store, journal: Journal | None, spec: RunSpec, judgement: Judgement, gathering: Gathering
) -> Spots:
    """The places of orders that could not be decided and that an instance itself gives both ways; what cannot be read shows nothing."""
    asked = open_orders(judgement, gathering) if journal is not None else []
    if journal is None or not asked:
        return frozenset()
    looked = {spot: _some(store, journal, spec.run, *spot) for spot in asked}
    try:
        return spots_both_ways(looked, owns_of(spec.targets))
    except EcholaneError:  # the journal is away: the orders stay undecided
        return frozenset()


def _some(store: Store, journal: Journal, run: str, endpoint: str, where: str) -> Iterator[Observation]:
    rows = store.query(SOME, {"run": run, "endpoint": endpoint, "where": where})
    yield from _observations(journal, run, rows)


def given_as_recorded(
    store: Store, journal: Journal | None, spec: RunSpec, judgement: Judgement, gathering: Gathering
) -> Spots:
    """The places of dates, hashes and ids that could not be decided and at which base says what was recorded."""
    asked = open_draws(judgement, gathering) if journal is not None else {}
    if journal is None or not asked:
        return frozenset()
    wanted = {exchange for exchanges in asked.values() for exchange in exchanges}
    try:
        recorded = _recorded(journal, spec.recording, wanted)
        rows = store.query(OF, {"run": spec.run, "exchanges": sorted(recorded)})
        answered = {one.exchange: (one, recorded[one.exchange]) for one in _observations(journal, spec.run, rows)}
    except EcholaneError:  # the journal is away, or the recording is gone: the places stay undecided
        return frozenset()
    looked: dict[tuple[str, str], list[Recorded]] = {
        spot: [answered[exchange] for exchange in exchanges if exchange in answered]
        for spot, exchanges in asked.items()
    }
    return spots_as_recorded(looked, owns_of(spec.targets)[BASE])


def given_exceptions(
    store: Store,
    journal: Journal | None,
    spec: RunSpec,
    judgement: Judgement,
    gathering: Gathering,
    observed: Mapping[str, Observed],
) -> dict[str, list[str]]:
    """By the id of each finding that spans endpoints, those that have its place and do not show it; nothing where answers cannot be read."""
    asked = asked_of(judgement, gathering, observed) if journal is not None else {}
    if journal is None or not asked:
        return {}
    endpoints = {name for *_, names in asked.values() for name in names}
    try:
        rows = store.query(ANY, {"run": spec.run, "endpoints": sorted(endpoints)}) if endpoints else []
        return exceptions_of(asked, _observations(journal, spec.run, rows))
    except EcholaneError:  # the journal is away: nothing is said of exceptions
        return {}


def _recorded(journal: Journal, recording: Recording, wanted: set[str]) -> dict[str, Exchange]:
    """Those of the exchanges that stand near the beginning of a recording; the first of a run are asked for."""
    found: dict[str, Exchange] = {}
    topic = recorded_in(recording.service)
    for part in recording.ranges if topic in journal.topics() else ():
        frames, left = FRAMES_MAX // len(recording.ranges), FRAMES_BYTES_MAX // len(recording.ranges)
        for entry in journal.read(topic, part.partition, part.start, part.stop):
            frames, left = frames - 1, left - len(entry.frame)
            if frames < 0 or left < 0 or len(found) == len(wanted):
                break
            try:
                found |= {one.id: one for one in decode_frame(entry.frame, Exchange) if one.id in wanted}
            except FrameDamaged:
                continue
    return found


def _observations(journal: Journal, run: str, rows: Iterable[Row]) -> Iterator[Observation]:
    wanted: dict[tuple[int, int], set[tuple[str, int]]] = defaultdict(set)
    for row in rows:
        wanted[row["partition"], row["position"]].add((row["exchange"], row["attempt"]))
    for (partition, position), exchanges in sorted(wanted.items()):
        for one in observed_at(journal, topic_of(run), partition, position):
            if (one.exchange, one.attempt) in exchanges:
                yield one
