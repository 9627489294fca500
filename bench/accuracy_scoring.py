"""Scores of the accuracy bench: was the planted change found, was anything else reported, by the differ and by the peers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.accuracy_cases import Case, Exchange, harmless, simulated
from bench.accuracy_harness import Four, Shown, judged
from bench.accuracy_mutations import RESTLESS, Pick
from bench.accuracy_noise import instances
from bench.accuracy_peers import Peers

FOUND, UNDECIDED, NOISE, SAME = "found", "undecided", "noise", "same"
OURS = "ours"
PEERS = ("diffy", "plain")


@dataclass(slots=True)
class Score:
    """What one case gave."""

    seed: str
    kind: str
    shape: str
    profile: str
    service: str
    promise: str
    changed: int
    """Exchanges in which the change really shows."""
    verdict: str = ""
    """Of the planted place: found, undecided, noise or same."""
    false: int = 0
    """Findings of verdict regression where nothing was planted."""
    findings: int = 0
    p_values: list[float] = field(default_factory=list[float])
    """Of places where nothing was planted."""
    peers: dict[str, tuple[bool, int]] = field(default_factory=dict[str, tuple[bool, int]])
    """Of each peer: whether it found the change, and how many other places it showed."""
    twins: dict[str, bool] = field(default_factory=dict[str, bool])
    """Of us (``ours``) and each peer, where the facet varies within a version too: whether the place is shown with nothing planted there."""
    note: str = ""
    """What a person looks at when this is a miss or a false alarm."""


def scored(case: Case) -> Score:
    """Simulate a case and judge it."""
    exchanges: list[Exchange] = list(simulated(case))
    ports = [inst.port for inst in instances(random.Random(case.seed + " run"))]
    found = judged(_fours(exchanges), ports)
    promise = "null" if case.pick is None else case.pick.promise
    score = Score(
        case.seed,
        case.kind,
        case.shape.name,
        case.profile,
        case.sample.service,
        promise,
        sum(e.planted for e in exchanges),
    )
    also = frozenset[str]().union(*(exchange.also for exchange in exchanges))
    own, clean = case.sample.endpoint, harmless(case)

    def false(endpoints: Iterable[str], places: Iterable[str]) -> bool:
        return clean or own not in endpoints or not touches(places, case.pick, also)

    score.findings = len(found.findings)
    wrong = [one for one in found.of("regression") if false(one.endpoints, one.places)]
    score.false = len(wrong)
    score.p_values = [p for (endpoint, where), p in found.p_values.items() if false((endpoint,), (where,))]
    if not clean:
        score.verdict, note = _told([one for one in found.findings if own in one.endpoints], case.pick)
        score.note = note if score.verdict != FOUND else ""
    if wrong:
        score.note += " false: " + "; ".join(f"{f.where} {f.kind} ({f.basis}, {f.differing})" for f in wrong[:4])
    score.peers = dict(_peers(exchanges, case, false))
    if promise == RESTLESS and score.changed:
        score.twins = twins(case, ports)
    return score


def twins(case: Case, ports: Sequence[int]) -> dict[str, bool]:
    """Whether we and each peer show the place in the same exchanges with nothing planted: then showing it says nothing of the change."""
    exchanges, own = list(simulated(case, plant=False)), case.sample.endpoint
    shown = [one for one in judged(_fours(exchanges), ports).of("regression") if own in one.endpoints]
    out = {OURS: any(covers(place, case.pick) for one in shown for place in one.places)}
    return out | {name: hit for name, (hit, _) in _peers(exchanges, case, lambda _endpoints, _places: False)}


def _fours(exchanges: Iterable[Exchange]) -> Iterator[Four]:
    for exchange in exchanges:
        sample = exchange.sample
        yield Four(sample.endpoint, sample.method, f"/x/{exchange.number}", exchange.answers, exchange.at.now_ns)


def _told(findings: Iterable[Shown], pick: Pick | None) -> tuple[str, str]:
    """The best word that any finding has for the planted place, and what it says."""
    words: dict[str, Shown] = {}
    for finding in findings:
        if any(covers(place, pick) for place in finding.places):
            words.setdefault(finding.verdict, finding)
    for verdict, word in (("regression", FOUND), ("undecided", UNDECIDED), ("noise", NOISE)):
        if verdict in words:
            one = words[verdict]
            return word, f"{one.where} {one.kind} ({one.basis}, {one.differing} differ): {one.why}"
    return SAME, "nothing is reported there"


def _peers(
    exchanges: Iterable[Exchange], case: Case, false: Callable[[Iterable[str], Iterable[str]], bool]
) -> Iterator[tuple[str, tuple[bool, int]]]:
    """Whether each peer finds the change, and how many other places it shows, over all endpoints."""
    peers: dict[str, Peers] = {}
    for exchange in exchanges:
        peers.setdefault(exchange.sample.endpoint, Peers()).add(*exchange.answers[:3])
    for name in PEERS:
        shown = {(endpoint, place) for endpoint, one in peers.items() for place in getattr(one, name)()}
        hit = any(endpoint == case.sample.endpoint and covers(place, case.pick) for endpoint, place in shown)
        yield name, (hit and not harmless(case), sum(false((endpoint,), (place,)) for endpoint, place in shown))


def covers(place: str, pick: Pick | None) -> bool:
    """Whether a reported place tells of the planted one: it is the same or contains it; below it where a subtree changed."""
    return pick is not None and any(
        place == planted or within(planted, place) or (pick.below and within(place, planted)) for planted in pick.places
    )


def touches(places: Iterable[str], pick: Pick | None, also: frozenset[str]) -> bool:
    """Whether places have to do with what was planted, or with what follows from it."""
    planted = (*(pick.places if pick else ()), *also)
    return any(p == one or within(p, one) or within(one, p) for p in places for one in planted)


def within(place: str, container: str) -> bool:
    """Whether a place is inside another."""
    if container == "body":
        return place.startswith("body")
    return place.startswith((container + ".", container + "[", container + "/"))
