"""The search for the highest safe level: judgements in, next step out. Pure: no clock, no socket, no chance.

Climb by a factor while healthy → bisect between the highest healthy and the lowest broken level → hold what was found. After every
broken interval comes rest and a recovery below the highest healthy level, so that no two intervals in a row are above a broken rule.
A rule that is broken by little is looked at again before it counts, two of three deciding; brackets only ever close, except that a hold
which breaks takes its level as broken. Everything is bounded: :data:`INTERVALS_MAX` in all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from replayer.capacity.rules import BROKEN, HEALTHY, OWN_FIRING, VOID, Judgement

CLIMB, BISECT, HOLD, RECOVER, OVER = "climb", "bisect", "hold", "recover", "over"
INTERVALS_MAX = 200
"""Of one evaluation, voided ones included: twice what the widest search with the finest step takes."""
VOIDS_MAX = 8
"""In a row: then what voids them is the limit, not bad luck."""
BLOCKED_AFTER = 4
"""In a row, in each of which a rule broke: the level can be shown neither safe nor broken, so that it is not called safe."""
GAP_MOST = 0.1
"""Between what was held and the lowest level that broke for certain. With more, and with levels between that could not be judged, the
limit may be ours."""
RECOVERIES_MAX = 6
"""In a row: a target that is not healthy far below what it bore is damaged, and is left alone."""
HOLDS_MAX = 8
"""Levels that are held before the search gives up: each lies a step below the one before."""
FOUND, AT_LEAST, NONE, UNSURE, DAMAGED, EXHAUSTED = "found", "at-least", "none", "unsure", "damaged", "exhausted"


@dataclass(frozen=True, slots=True)
class Range:
    """Where and how finely to search."""

    start: float
    most: float
    factor: float = 1.5
    """Of the climb. An interval above the limit is above it by less than this."""
    precision: float = 0.025
    """Relative width of the bracket at which the search ends."""
    holds: int = 3
    """Healthy intervals in a row at what was found."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next."""

    phase: str
    level: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One interval, as the search took it."""

    phase: str
    level: float
    judgement: Judgement


@dataclass(slots=True)
class Search:
    """The search; ``step`` says what comes next, ``see`` takes what came of it."""

    range: Range
    low: float = 0.0
    """The highest level that was healthy; 0 before there is one."""
    high: float = math.inf
    """The lowest level at which a rule broke."""
    blocked: float = math.inf
    """The lowest level above :attr:`low` that could be shown neither safe nor broken."""
    doubted: float = 0.0
    """The highest such level."""
    seen: list[Seen] = field(default_factory=list[Seen])
    state: str = ""
    """How it ended; empty while it goes on."""
    limiting: Seen | None = None
    """What broke first at the lowest broken level."""
    held: int = 0
    _phase: str = CLIMB
    _level: float = 0.0
    _recovering: bool = False
    _votes: list[str] = field(default_factory=list[str])
    _voids: int = 0
    _doubts: int = 0
    """Of these, those in which a rule broke at the level that is looked at."""
    _recoveries: int = 0
    _levels_held: int = 0

    def __post_init__(self) -> None:
        self._level = self.range.start

    @property
    def step(self) -> Step:
        """What to do now."""
        if self.state:
            return Step(OVER, 0.0)
        if self._recovering:
            return Step(RECOVER, self._below())
        return Step(self._phase, self._level)

    @property
    def safe(self) -> float:
        """The highest level that was found safe so far; 0 where there is none."""
        return self.low

    def see(self, judgement: Judgement) -> None:
        """Take what came of :attr:`step`."""
        step = self.step
        self.seen.append(Seen(step.phase, step.level, judgement))
        if step.phase == RECOVER and judgement.signal == OWN_FIRING and judgement.excess <= 1.0:
            self._recovered(Judgement(HEALTHY))  # late as we were, it answered as it should
        elif judgement.state == VOID:
            self._voids += 1
            # It may have been too much for all we know, so that it is not repeated without a rest either.
            if judgement.excess > 1.0 and step.phase == RECOVER:
                self._recovered(judgement)
            self._recovering = self._recovering or judgement.excess > 1.0
            self._doubts += judgement.excess > 1.0 and step.phase != RECOVER
            if not self.state and self._doubts >= BLOCKED_AFTER and (self.low or self._phase == HOLD):
                self._block()
            elif self._voids >= VOIDS_MAX:
                self.state = self.state or UNSURE
        elif step.phase == RECOVER:
            self._recovered(judgement)
        else:
            self._voids = self._doubts = 0
            self._decide(judgement)
        if not self.state and len(self.seen) >= INTERVALS_MAX:
            self.state = EXHAUSTED

    def _recovered(self, judgement: Judgement) -> None:
        self._recoveries += 1
        if judgement.state == HEALTHY:
            self._recovering, self._recoveries = False, 0
        elif self._recoveries >= RECOVERIES_MAX:
            self.state = DAMAGED

    def _decide(self, judgement: Judgement) -> None:
        """A vote about the level that is looked at; where one is enough, or two of three agree, it counts."""
        self._votes.append(judgement.state)
        broken, healthy = self._votes.count(BROKEN), self._votes.count(HEALTHY)
        if judgement.state == BROKEN:
            self._recovering = True
            if judgement.decisive or broken >= 2:
                self._broke()
        elif not broken or healthy >= 2:
            self._bore()

    def _bore(self) -> None:
        self._votes = []
        self.low = max(self.low, self._level)
        if self.low >= self.blocked:  # what was in doubt below it is not any more
            self.blocked, self.doubted = math.inf, 0.0
        if self._phase == HOLD:
            self.held += 1
            if self.held >= self.range.holds:
                self._finish()
            return
        self._narrow()

    def _broke(self) -> None:
        self._votes = []
        if self._level < self.high:
            self.high, self.limiting = self._level, self.seen[-1]
        if self._phase == HOLD:
            self.low = self.held = 0
        if self.high <= self.range.start and not self.low and self._phase != HOLD:
            self._descend()
            return
        if self._phase == HOLD:
            self._step_back()
            return
        self._narrow()

    def _block(self) -> None:
        """Whether it was the target or ourselves cannot be told here: look lower, without calling it the target's limit."""
        self._votes, self._voids, self._doubts = [], 0, 0
        self.blocked, self.doubted = min(self.blocked, self._level), max(self.doubted, self._level)
        if self._phase == HOLD:
            self.low = self.held = 0
            self._step_back()
        else:
            self._narrow()

    def _finish(self) -> None:
        """What was found is held: whether it is the target's limit that is known."""
        if self.blocked < self.high and self.high > self.low * (1 + GAP_MOST):
            self.state = UNSURE
        else:
            self.state = FOUND if self.high < math.inf else AT_LEAST

    def _descend(self) -> None:
        """Even the first level was too much: look below, a few times."""
        self._level = self._level / self.range.factor**2
        self._phase = CLIMB
        if self._level < self.range.start / 64:
            self.state = NONE

    def _step_back(self) -> None:
        """What was held broke: hold a little less."""
        self._levels_held += 1
        self._level *= 1 - self.range.precision
        if self._levels_held >= HOLDS_MAX:
            self.state = UNSURE

    def _narrow(self) -> None:
        low, high = self.low, min(self.high, self.blocked)
        if high == math.inf:
            if low >= self.range.most:
                self._hold()
            else:
                self._phase, self._level = CLIMB, min(low * self.range.factor, self.range.most)
        elif low and high <= low * (1 + self.range.precision):
            if (above := self._above_doubt()) > 0:
                self._phase, self._level = BISECT, above
            else:
                self._hold()
        else:
            self._phase, self._level = BISECT, math.sqrt(low * high)

    def _above_doubt(self) -> float:
        """Where to look for what breaks for certain above levels in doubt; 0 where that is near enough, or cannot be drawn closer.

        On a machine that is always late by a little nothing can be told just above the limit, and something that breaks for certain
        close above is what says that the limit is the target's.
        """
        if self.blocked >= self.high or self.high <= self.low * (1 + GAP_MOST):
            return 0.0
        if self.high == math.inf:
            return min(self.doubted * self.range.factor, self.range.most) if self.doubted < self.range.most else 0.0
        return math.sqrt(self.doubted * self.high) if self.high > self.doubted * (1 + self.range.precision) else 0.0

    def _hold(self) -> None:
        self._phase, self._level, self.held = HOLD, self.low, 0
        if not self.range.holds:
            self._finish()

    def _below(self) -> float:
        """Where to recover: half of what was borne, below half of what was not, and half again each time it was too much."""
        known = [level for level in (self.low, min(self.high, self._level)) if level]
        return min(known) / 2 ** (1 + self._recoveries)
