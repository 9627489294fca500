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
from bench.accuracy_wire import Answer, spans

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
    anyway: dict[str, int] = field(default_factory=dict[str, int])
    """Where we give a false alarm: how many of ours (``ours``) and of each peer's are there with nothing planted, too."""
    draws: int = 0
    """Different pairs of values, of base and of branch, among the exchanges in which the change shows: what comes again is no draw of its own."""
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
    alarms = dict(_peers(exchanges, case, false))
    score.peers = {name: (hit, len(places)) for name, (hit, places) in alarms.items()}
    score.draws = draws(exchanges, case.pick)
    if (promise == RESTLESS and score.changed) or wrong:
        shown, there = twins(case, ports)
        score.twins = shown if promise == RESTLESS else {}
        if wrong:
            ours = sum((one.where, one.kind) in there[OURS] for one in wrong)
            score.anyway = {OURS: ours} | {name: len(alarms[name][1] & there[name]) for name in PEERS}
    return score


Places = frozenset[tuple[str, str]]
"""What was told: of ours where and kind, of a peer's endpoint and place."""


def twins(case: Case, ports: Sequence[int]) -> tuple[dict[str, bool], dict[str, Places]]:
    """The same exchanges with nothing planted: whether we and each peer show the place, and all that we and they show.

    Who shows the place then says nothing of the change, and what is shown then is the noise's doing.
    """
    exchanges, own = list(simulated(case, plant=False)), case.sample.endpoint
    told = judged(_fours(exchanges), ports).of("regression")
    shown = {OURS: any(covers(place, case.pick) for one in told if own in one.endpoints for place in one.places)}
    there = {OURS: frozenset((one.where, one.kind) for one in told)}
    for name, (hit, places) in _peers(exchanges, case, lambda _endpoints, _places: True):
        shown[name], there[name] = hit, places
    return shown, there


def draws(exchanges: Iterable[Exchange], pick: Pick | None) -> int:
    """How many different pairs of values base and branch have at the changed place; 0 where it is none of JSON."""
    if pick is None or not pick.path.startswith("$"):
        return 0
    changed = (exchange.answers for exchange in exchanges if exchange.planted)
    return len({(_at(base, pick.path), _at(branch, pick.path)) for base, _, branch, _ in changed})


def _at(answer: Answer, path: str) -> tuple[bytes, ...]:
    root = spans(answer.body)
    return tuple(span.raw(answer.body) for span in root.walk() if span.path == path) if root else ()


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
) -> Iterator[tuple[str, tuple[bool, Places]]]:
    """Whether each peer finds the change, and which other places it shows, over all endpoints."""
    peers: dict[str, Peers] = {}
    for exchange in exchanges:
        peers.setdefault(exchange.sample.endpoint, Peers()).add(*exchange.answers[:3])
    for name in PEERS:
        shown = {(endpoint, place) for endpoint, one in peers.items() for place in getattr(one, name)()}
        hit = any(endpoint == case.sample.endpoint and covers(place, case.pick) for endpoint, place in shown)
        others = frozenset((endpoint, place) for endpoint, place in shown if false((endpoint,), (place,)))
        yield name, (hit and not harmless(case), others)


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
