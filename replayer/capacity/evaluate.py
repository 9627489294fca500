"""Evaluate a capacity: the search says which level, the lever holds it, the rules judge, until the search is over; then rest.

Whatever ends it, the lever is let go of at once: :func:`evaluate` never leaves load behind, and a rule that broke is followed by rest
before anything else is asked of the target.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from replayer.capacity.confidence import Confidence, confidence
from replayer.capacity.lever import Lever
from replayer.capacity.prometheus import MetricsUnreadable
from replayer.capacity.rules import (
    BACKLOG,
    BROKEN,
    ERRORS,
    HEALTHY,
    LATENCY,
    OWN_FIRING,
    VOID,
    Interval,
    Judgement,
    Rule,
    judge,
)
from replayer.capacity.search import OVER, RECOVER, Range, Search, Seen, Step

UNAVAILABLE, INTERRUPTED, UNFAITHFUL = "unavailable", "interrupted", "unfaithful"
REFUSED_MOST = 0.02
"""Of the answers of a light load that may be 401 or 403 where the recording has something else, as in a run: with more, how fast it
refuses would be told as what it bears. Under more load than it bore before it may shed in that way, which is an error like others."""
SHORTER = 0.5
"""A recovery takes this part of an interval."""


class Metrics(Protocol):
    """The target's own metrics, as signals."""

    async def read(self) -> dict[str, float]:
        """Now; :class:`MetricsUnreadable` where one cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """When a target is healthy."""

    quantile: float = 0.99
    latency_ms: float = 500.0
    errors: float = 0.01
    backlog: float = 0.01
    """How much latency may rise, seconds a second: the share of the load that is not answered in time."""
    others: Sequence[Rule] = ()

    @property
    def rules(self) -> list[Rule]:
        """All of them."""
        own = [Rule(ERRORS, self.errors), Rule(LATENCY, self.latency_ms, unit="ms"), Rule(BACKLOG, self.backlog)]
        return [*own, *self.others]


@dataclass(frozen=True, slots=True)
class Told:
    """One interval, for who listens."""

    step: Step
    interval: Interval
    judgement: Judgement
    at_ns: int
    """Wall clock at its beginning."""


@dataclass(slots=True)
class Evaluation:
    """What came of it."""

    search: Search
    rules: Sequence[Rule]
    state: str = ""
    """``found``, ``at-least``, ``none``, ``unsure``, ``damaged``, ``exhausted``, ``unfaithful``, ``unavailable`` or ``interrupted``."""
    reason: str = ""
    told: list[Told] = field(default_factory=list[Told])

    @property
    def safe(self) -> float:
        """The highest level that was found safe."""
        return self.search.safe

    @property
    def limiting(self) -> Seen | None:
        """What broke first at the lowest level at which anything broke."""
        return self.search.limiting

    @property
    def confidence(self) -> Confidence | None:
        """Where the limit is."""
        votes = [
            (one.level, one.judgement.state == BROKEN)
            for one in self.search.seen
            if one.phase != RECOVER and one.judgement.state in {BROKEN, HEALTHY}
        ]
        return confidence(votes, (self.search.low, self.search.high))


async def evaluate(
    lever: Lever,
    range_: Range,
    health: Health,
    seconds: float,
    stop: asyncio.Event,
    metrics: Metrics | None = None,
    listen: Callable[[Told], None] = lambda _: None,
) -> Evaluation:
    """Search until the highest safe level is known, or it is told why it is not."""
    found = Evaluation(Search(range_), health.rules)
    try:
        while not found.state:
            step = found.search.step
            if step.phase == OVER:
                found.state = found.search.state
            elif stop.is_set():
                found.state = INTERRUPTED
            else:
                await _interval(found, step, seconds, lever, metrics, listen)
    finally:
        lever.release()
    found.reason = found.reason or reason_of(found)
    return found


async def _interval(
    found: Evaluation,
    step: Step,
    seconds: float,
    lever: Lever,
    metrics: Metrics | None,
    listen: Callable[[Told], None],
) -> None:
    """One step: hold, judge, tell; rest where a rule broke."""
    at_ns = time.time_ns()
    interval = await lever.hold(step.level, seconds * (SHORTER if step.phase == RECOVER else 1.0))
    if interval.stopped:
        lever.release()
        found.state = INTERRUPTED
        return
    if interval.dead:
        lever.release()
        found.state, found.reason = UNAVAILABLE, interval.dead
        return
    if metrics is not None:
        interval = await _with_metrics(interval, metrics)
    judgement = judge(interval, found.rules)
    if judgement.state == BROKEN or judgement.excess > 1.0:
        dead = await lever.rest()
        if dead:
            found.state, found.reason = UNAVAILABLE, dead
    light = step.phase == RECOVER or not found.told
    if light and interval.refused > REFUSED_MOST and not found.state:
        found.state, found.reason = UNFAITHFUL, refused_reason(interval.refused)
    found.search.see(judgement)
    found.told.append(Told(step, interval, judgement, at_ns))
    listen(found.told[-1])


async def _with_metrics(interval: Interval, metrics: Metrics) -> Interval:
    """The interval with the target's own signals; those that cannot be read are missing, and it is said why."""
    try:
        return replace(interval, signals={**interval.signals, **await metrics.read()})
    except MetricsUnreadable as error:
        return replace(interval, missing=str(error))


def refused_reason(share: float) -> str:
    """Why it is not evaluated any further, and what to do."""
    return (
        f"the target answered 401 or 403 to {share:.0%} of the requests, which were answered otherwise when recorded, so that it would "
        "be known only how fast it refuses; give it credentials that it accepts (targets.NAME.credentials in echolane.toml), or record "
        "again with seals"
    )


def reason_of(found: Evaluation) -> str:
    """Why it ended as it did, for a person."""
    search = found.search
    last = next((one.judgement for one in reversed(search.seen) if one.judgement.state == VOID), None)
    missing = next((told.interval.missing for told in reversed(found.told) if told.interval.missing), "")
    limit = search.limiting.judgement.signal if search.limiting else ""
    level = f"{search.step.level or (search.seen[-1].level if search.seen else 0):,.1f}"
    unsure = "what was found did not hold: the target bears less from one interval to the next"
    if search.blocked < search.high and search.held:
        unsure = (
            f"above {search.blocked:,.1f} it is our own firing that is late: {search.safe:,.1f} was held, "
            "what the target bears may be more; use a machine that is less busy, or a longer --interval"
        )
    elif last is not None and search.seen and search.seen[-1].judgement.state == VOID:
        unsure = {
            OWN_FIRING: f"this machine fires late at {level}: the limit is ours, not the target's; "
            "use a machine that is less busy, or a longer --interval",
            "session-order": f"the sessions of the recording allow no more than {search.safe:,.1f}: "
            "each waits for its own answers; record more users, or leave out --methods all",
        }.get(last.signal, f"`{last.signal}` could not be read: {missing}")
    return {
        "found": f"held; {limit} is the first limit",
        "at-least": "no rule broke up to --max",
        "none": f"{limit} breaks even at {search.high:,.2f}",
        "unsure": unsure,
        "damaged": f"the target is not healthy any more at {level}, which it bore before: {limit or 'a rule'} stays broken; it was left alone",
        "exhausted": "the number of intervals was used up",
        INTERRUPTED: "stopped by a signal",
    }.get(found.state, found.state)
