"""Some answers of a run once more, at its close: what rows do not keep of a place is still in the journal. Bounded by :mod:`differ.orders`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from differ.gathering import Gathering
from differ.judging import Judgement, Spots
from differ.letters import observed, topic_of
from differ.orders import LOOKED_MAX, open_orders, spots_both_ways
from differ.rows import own_of
from echolane.errors import EcholaneError
from echolane.journal import Journal
from echolane.observation import Observation
from echolane.runspec import RunSpec
from echolane.store import Store

SOME = f"""
SELECT exchange, attempt, partition, position FROM
  (SELECT exchange, version AS attempt, partition, position, has(d_where, {{where:String}}) AS shows FROM results_v
   WHERE run = {{run:String}} AND endpoint = {{endpoint:String}} AND verdict IN ('same', 'differs')
     AND length(outcomes) = 4 AND arrayAll(o -> o = 'answered', outcomes))
ORDER BY cityHash64(exchange), exchange LIMIT {LOOKED_MAX} BY shows"""  # noqa: S608 - constants
"""Those that differ at a place and those that do not, by a chance that is the same whenever the run is closed."""


def given_both_ways(
    store: Store, journal: Journal | None, spec: RunSpec, judgement: Judgement, gathering: Gathering
) -> Spots:
    """The places of orders that could not be decided and that an instance itself gives both ways; what cannot be read shows nothing."""
    asked = open_orders(judgement, gathering) if journal is not None else []
    if journal is None or not asked:
        return frozenset()
    looked = {spot: _some(store, journal, spec.run, *spot) for spot in asked}
    try:
        return spots_both_ways(looked, [own_of(target) for target in spec.targets])
    except EcholaneError:  # the journal is away: the orders stay undecided
        return frozenset()


def _some(store: Store, journal: Journal, run: str, endpoint: str, where: str) -> Iterator[Observation]:
    wanted: dict[tuple[int, int], set[tuple[str, int]]] = defaultdict(set)
    for row in store.query(SOME, {"run": run, "endpoint": endpoint, "where": where}):
        wanted[row["partition"], row["position"]].add((row["exchange"], row["attempt"]))
    for (partition, position), exchanges in sorted(wanted.items()):
        for one in observed(journal, topic_of(run), partition, position):
            if (one.exchange, one.attempt) in exchanges:
                yield one
