"""The search for a capacity, its health rules and its confidence: pure laws."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from replayer.capacity.confidence import confidence
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
from replayer.capacity.search import AT_LEAST, DAMAGED, FOUND, INTERVALS_MAX, NONE, OVER, RECOVER, UNSURE, Range, Search

RULES = [Rule(ERRORS, 0.01), Rule(LATENCY, 500, unit="ms"), Rule(BACKLOG, 0.01)]
GOOD = Judgement(HEALTHY)


def broke(excess: float = 5.0) -> Judgement:
    """A broken rule."""
    return Judgement(BROKEN, LATENCY, 500 * excess, 500, excess)


def searched(
    limit: float, range_: Range, wrong: float = 0.0, void: float = 0.0, seed: int = 0, *, slight: bool = False
) -> Search:
    """A search at a target with this limit, whose judgements are sometimes wrong or void."""
    draw, search = random.Random(seed), Search(range_)
    while search.step.phase != OVER:
        level = search.step.level
        if draw.random() < void:
            search.see(Judgement(VOID, OWN_FIRING, 80.0, excess=2.0 if level > limit else 0.0))
            continue
        over = (level > limit) != (draw.random() < wrong)
        search.see(broke(1.0 + (1 if slight else 5) * draw.random()) if over else GOOD)
    return search


LIMITS = st.floats(5.0, 5_000.0)


@settings(max_examples=200)
@given(LIMITS, st.floats(1.0, 200.0), st.floats(1.1, 2.5), st.floats(0.005, 0.1))
def test_the_limit_is_found_to_the_asked_precision(limit: float, start: float, factor: float, precision: float) -> None:
    """Without noise what is found lies below the limit by no more than the precision, and was held."""
    search = searched(limit, Range(start, 10_000.0, factor, precision))

    if limit < start / 64:
        assert search.state == NONE
        return
    if search.state == NONE:
        assert limit < start / 16
        return
    assert search.state == FOUND
    assert search.low <= limit <= search.high <= search.low * (1 + precision) * (1 + 1e-9)
    assert search.held == search.range.holds
    assert search.limiting is not None
    assert search.limiting.level == search.high


@settings(max_examples=300)
@given(LIMITS, st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 2**32))
def test_no_two_intervals_in_a_row_are_above_a_broken_rule(limit: float, wrong: float, void: float, seed: int) -> None:
    """Whatever the judgements: after a broken rule, told or voided, comes a level below half of it, and each recovery is lower still."""
    search = searched(limit, Range(20.0, 10_000.0), wrong, void, seed)

    for before, after in zip(search.seen, search.seen[1:], strict=False):
        if before.judgement.excess > 1.0:
            assert after.phase == RECOVER
            assert after.level <= before.level / 2 * (1 + 1e-9)


@settings(max_examples=300)
@given(LIMITS, st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**32))
def test_it_ends_within_a_bounded_number_of_intervals(limit: float, wrong: float, void: float, seed: int) -> None:
    """Also where judgements mean nothing."""
    search = searched(limit, Range(20.0, 10_000.0), wrong, void, seed)

    assert len(search.seen) <= INTERVALS_MAX
    assert search.state


@settings(max_examples=300)
@given(LIMITS, st.floats(0, 0.4), st.floats(0, 0.3), st.integers(0, 2**32))
def test_brackets_only_close(limit: float, wrong: float, void: float, seed: int) -> None:
    """The lowest broken level never rises, and the highest healthy one falls only when what is held breaks."""
    draw, search = random.Random(seed), Search(Range(20.0, 10_000.0))
    while search.step.phase != OVER:
        low, high, phase = search.low, search.high, search.step.phase
        over = (search.step.level > limit) != (draw.random() < wrong)
        search.see(Judgement(VOID, OWN_FIRING) if draw.random() < void else broke(1.5) if over else GOOD)
        assert search.high <= high
        assert search.low >= low or phase == "hold"
        assert search.low < search.high


def test_a_single_wrong_judgement_that_is_not_decisive_costs_nothing() -> None:
    """A rule that breaks by little is looked at again; two of three decide."""
    search = Search(Range(10.0, 1_000.0))
    search.see(GOOD)
    level = search.step.level
    search.see(broke(1.2))
    assert search.step.phase == RECOVER
    search.see(GOOD)
    assert search.step.level == level
    search.see(GOOD)
    assert search.step.level == level
    search.see(GOOD)

    assert search.low == level
    assert search.high == math.inf


def test_what_never_breaks_is_at_least_the_most() -> None:
    """The climb ends at the level that was allowed."""
    search = searched(math.inf, Range(10.0, 123.0))

    assert (search.state, search.low) == (AT_LEAST, 123.0)
    assert max(seen.level for seen in search.seen) == 123.0


def test_a_target_that_stays_broken_is_left_alone() -> None:
    """Recoveries that are never healthy end the search."""
    search = Search(Range(64.0, 1_000.0))
    search.see(GOOD)
    while search.step.phase != OVER:
        search.see(broke())

    assert search.state == DAMAGED
    assert len(search.seen) < 12


def test_what_does_not_hold_is_stepped_back_from() -> None:
    """A level that breaks while it is held is taken as broken, and a little less is held."""
    search = Search(Range(10.0, 10.0))
    search.see(GOOD)
    assert search.step.phase == "hold"
    search.see(broke())
    search.see(GOOD)

    assert search.step.level == pytest.approx(9.75)
    assert search.high == 10.0
    for _ in range(3):
        search.see(GOOD)
    assert (search.state, search.low) == (FOUND, pytest.approx(9.75))


def test_what_our_own_lateness_can_explain_is_void() -> None:
    """Late by 60 ms: a latency of 100 ms too much may be ours; of 600 ms it is not; a healthy interval stays healthy."""

    def seen(latency: float, late_ms: float, **more: object) -> Interval:
        return Interval(100.0, 3.0, {ERRORS: 0.0, LATENCY: latency, BACKLOG: 0.0}, late_ms, **more)

    assert judge(seen(600, 60), RULES).state == VOID
    assert judge(seen(600, 60), RULES).excess > 1.0
    assert judge(seen(600, 5), RULES).state == BROKEN
    assert judge(seen(1_100, 60), RULES).state == BROKEN
    assert judge(seen(30, 60), RULES).state == HEALTHY
    assert judge(seen(30, 400), RULES) == Judgement(VOID, OWN_FIRING, 400)
    assert judge(seen(5_000, 400), RULES).state == VOID
    assert judge(seen(30, 0, ours="session-order"), RULES).signal == "session-order"


def test_a_signal_that_cannot_be_read_is_not_taken_for_health() -> None:
    """Without it nothing is known, unless another rule is broken anyway."""
    rules = [*RULES, Rule("cpu", 0.8)]

    assert judge(Interval(1.0, 1.0, {ERRORS: 0.0, LATENCY: 1.0, BACKLOG: 0.0}), rules) == Judgement(VOID, "cpu")
    assert judge(Interval(1.0, 1.0, {ERRORS: 0.5, LATENCY: 1.0, BACKLOG: 0.0, "cpu": None}), rules).signal == ERRORS
    assert judge(Interval(1.0, 1.0, {ERRORS: 0.0, LATENCY: 1.0, BACKLOG: 0.0, "cpu": 0.9}), rules).signal == "cpu"


def test_voids_without_end_are_told_as_ours() -> None:
    """A machine that is always late finds no limit of the target."""
    search = searched(100.0, Range(10.0, 1_000.0), void=1.0)

    assert search.state == UNSURE
    assert search.limiting is None


def test_a_level_that_cannot_be_judged_is_not_called_safe_nor_the_limit() -> None:
    """Void each time with a rule broken: the search goes lower; near a sure limit it is found, far from one it is ours."""

    def doubtful(begin: float, limit: float) -> Search:
        search = Search(Range(20.0, 10_000.0))
        while search.step.phase != OVER:
            level = search.step.level
            doubt = Judgement(VOID, OWN_FIRING, 40.0, excess=1.5)
            search.see(broke() if level > limit else doubt if level > begin else GOOD)
        return search

    near, far = doubtful(97.0, 100.0), doubtful(97.0, 300.0)

    assert near.state == FOUND
    assert near.low <= 97.0 < near.high
    assert far.state == UNSURE
    assert far.low <= 97.0 <= far.low * 1.025
    assert far.held == far.range.holds


@settings(max_examples=100)
@given(st.floats(-100, 100), st.floats(-100, 100), st.booleans())
def test_a_rule_is_broken_exactly_beyond_its_bound(value: float, bound: float, at_least: bool) -> None:
    """Excess is above one exactly where the bound is passed."""
    rule = Rule("x", bound, at_least=at_least)

    assert (rule.excess(value) > 1.0) == (value < bound if at_least else value > bound)


@settings(max_examples=60, deadline=None)
@given(LIMITS, st.integers(0, 2**32))
def test_the_interval_of_confidence_holds_the_limit(limit: float, seed: int) -> None:
    """Of judgements that are right it holds the limit; it lies about the bracket."""
    search = searched(limit, Range(20.0, 10_000.0), seed=seed)
    votes = [(one.level, one.judgement.state == BROKEN) for one in search.seen if one.phase != RECOVER]
    found = confidence(votes, (search.low, search.high))

    assert found is not None
    assert found.low <= limit * 1.0001
    assert found.high >= limit * 0.9999
    assert not found.open


def test_confidence_covers_what_it_says() -> None:
    """Of 200 limits with one judgement in twenty wrong, at least nine in ten intervals hold theirs (seed 7)."""
    draw, held = random.Random(7), 0
    for number in range(200):
        limit = 20 * 50 ** draw.random()
        search = searched(limit, Range(20.0, 10_000.0), wrong=0.05, seed=number, slight=True)
        votes = [
            (one.level, one.judgement.state == BROKEN)
            for one in search.seen
            if one.phase != RECOVER and one.judgement.state != VOID
        ]
        found = confidence(votes, (search.low, search.high))
        assert found is not None
        held += found.low <= limit <= found.high

    assert held >= 180
