"""A status that flaps in branch alone is never called noise before the controls show as much; base against itself stays quiet."""

from __future__ import annotations

import random

import pytest

from differ.difference import TYPE
from differ.evidence import NOISE, REGRESSION, UNDECIDED
from differ.gathering import gather
from differ.judging import verdict_of
from tests.differ.test_verdicts import Difference, judged, row, verdicts

STATUS = ("status", "status")


def status(*pairs: int) -> list[Difference]:
    """The comparisons that show two statuses."""
    return [(pair, "status", "status", TYPE, 7 + pair) for pair in pairs]


@pytest.mark.parametrize("failed", [1, 2, 3])
def test_a_status_that_only_branch_flaps_in_is_undecided(failed: int) -> None:
    """Too seldom to be sure, but nothing of base excuses it; its exchanges are undecided as well, and it says what is missing."""
    rows = [row(n, status(0, 2) if n % 2 else status(2)) for n in range(2 * failed)]
    found = judged(rows)
    (weighed,) = found.weighed

    assert weighed.verdict == UNDECIDED
    assert weighed.missing_samples == 7 - 2 * failed
    assert f"in {2 * failed} of 1000 exchanges, base never does" in weighed.why
    assert found.undecided[0].kind == "status"
    assert {verdict_of(one, found.weighed) for one in gather(rows).combinations} == {UNDECIDED}


def test_a_status_that_flaps_in_seven_answers_of_branch_is_a_regression() -> None:
    """Seven of seven are sure."""
    rows = [row(n, status(0, 2) if n % 2 else status(2)) for n in range(7)]
    assert verdicts(judged(rows)) == {STATUS: REGRESSION}


def test_an_outage_is_one_event() -> None:
    """Twenty failures in a row say no more than one of them: branch was down for a while, once, which no rate can be told from."""
    assert verdicts(judged([row(n, status(0, 2)) for n in range(20)])) == {STATUS: UNDECIDED}


def test_what_base_shows_as_often_is_noise() -> None:
    """Here, or at other endpoints at such a rate."""
    branch = [row(1, status(0, 2)), row(2, status(2))]
    assert verdicts(judged([*branch, row(3, status(1))])) == {STATUS: NOISE}
    elsewhere = [row(10 + n, status(1), "GET /other") for n in range(2)]
    assert verdicts(judged([*branch, *elsewhere])) == {STATUS: NOISE}


def test_a_rate_that_base_does_not_have_is_not_excused_by_one_flap() -> None:
    """Six of branch's answers failed, of base's one, at another endpoint: one goes with no such rate."""
    rows = [row(n, status(0, 2)) for n in range(6)] + [row(50, status(1), "GET /other")]
    assert verdicts(judged(rows)) == {STATUS: UNDECIDED}


def test_base_against_itself_with_a_flapping_status_stays_quiet() -> None:
    """Four instances that flap alike, from seldom to often: the level of a run is one of a hundred; only what is rare stays undecided."""
    for rate in (0.002, 0.01, 0.05, 0.3):
        words: list[str] = []
        for seed in range(60):
            chance = random.Random(f"flapping {rate} {seed}")
            rows = []
            for n in range(200):
                base, control, branch, twin = (chance.random() < rate for _ in range(4))
                pairs = [
                    pair
                    for pair, (one, two) in enumerate(((base, branch), (base, control), (branch, twin)))
                    if one != two
                ]
                if pairs:
                    rows.append(row(n, status(*pairs)))
            words += verdicts(judged(rows)).values()
        assert words.count(REGRESSION) <= 2, (rate, words)
        assert rate < 0.05 or words.count(UNDECIDED) <= 5, (rate, words)
