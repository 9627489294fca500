"""Which queued runs may begin: where one of two writes, they do not fire at one place at the same time. Pure.

A place is where a run fires: an address, and the lane there. Runs that only read share one as they like. Whoever is older counts also
while it waits, so that a run that writes gets its turn however many come after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from console.flags import place_of
from echolane.runspec import RunSpec

TWINS = (("base", "control"), ("branch", "branch-control"))


class Claim(msgspec.Struct, frozen=True):
    """Where a run fires, and whether it writes there."""

    places: list[str] = []
    """``HOST:PORT``, or ``HOST:PORT in lane NAME``."""
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """What a queued run waits for, beside its turn."""

    run: str
    """The going or older run."""
    place: str
    """At which both fire."""


@dataclass(slots=True)
class Turns:
    """Who may begin now, the oldest first, and what others wait for."""

    begin: list[str] = field(default_factory=list[str])
    waits: dict[str, Wait] = field(default_factory=dict[str, Wait])


def claim_of_flags(flags: Sequence[str]) -> Claim:
    """What the flags of a new run claim."""
    known = dict(flag.removeprefix("--").split("=", 1) for flag in flags if "=" in flag)
    pairs = [
        (known[name], known.get("lane", "") if twins[0] == "branch" else "")
        for twins in TWINS
        for name in twins
        if known.get(name)
    ]
    return _claim(pairs, known.get("methods", ""))


def claim_of_spec(spec: RunSpec) -> Claim:
    """What a run that has begun claims; its own copies are nobody else's."""
    pairs = [(one.url, one.lane or "") for one in spec.targets if one.url and not one.managed]
    return _claim(pairs, spec.methods)


def turns(going: Iterable[tuple[str, Claim]], queued: Iterable[tuple[str, Claim]], free: int) -> Turns:
    """Look at the queue in its order, and begin as many as there is room for."""
    found = Turns()
    by_any: dict[str, str] = {}
    by_writers: dict[str, str] = {}

    def hold(run: str, claim: Claim) -> None:
        for place in claim.places:
            by_any.setdefault(place, run)
            if claim.writes:
                by_writers.setdefault(place, run)

    for run, claim in going:
        hold(run, claim)
    for run, claim in queued:
        held = by_any if claim.writes else by_writers
        place = next((one for one in claim.places if one in held), None)
        if place is not None:
            found.waits[run] = Wait(held[place], place)
        elif len(found.begin) < free:
            found.begin.append(run)
        hold(run, claim)
    return found


def _claim(pairs: Iterable[tuple[str, str]], methods: str) -> Claim:
    places: dict[str, None] = {}
    for url, lane in pairs:
        host, port = place_of(url)
        places[f"{host}:{port}" + (f" in lane {lane}" if lane else "")] = None
    return Claim(list(places), methods == "all")
