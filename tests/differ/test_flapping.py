"""A status that flaps in branch alone is never called noise before the controls show as much; base against itself stays quiet."""

from __future__ import annotations

import random

import pytest

from differ.difference import TYPE, VALUE
from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed
from differ.gathering import Row, gather
from differ.judging import Judgement, judge, verdict_of
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


def test_what_varies_elsewhere_leaves_a_status_as_sure() -> None:
    """Seven of seven are sure beside fifty noisy places, too; base's and branch's noise there stays noise."""
    rows = [row(n, status(0, 2) if n % 2 else status(2)) for n in range(7)]
    for n in range(20):
        noisy = [
            (pair, f"body:$.at{k}", "value", VALUE, 100 * n + 10 * k + pair) for k in range(50) for pair in range(3)
        ]
        rows.append(row(100 + n, noisy[n % 3 :]))
    found = verdicts(judged(rows))

    assert found.pop(STATUS) == REGRESSION
    assert set(found.values()) == {NOISE}


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


def told(found: Row, *changes: str) -> Row:
    """The row with these words for its changes, one for each comparison it shows."""
    return found | {"d_signature": [f"status:{change}" for change in changes]}


def judged_once_each(rows: list[Row]) -> Judgement:
    """The judgement of a run with one exchange an endpoint."""
    return judge("shop", gather(rows), {one["endpoint"]: Observed(1, 1, 1) for one in rows})


@pytest.mark.parametrize(
    ("change", "wanted"),
    [("404>200", REGRESSION), ("200>503", UNDECIDED), ("404>503", UNDECIDED), ("200>504", UNDECIDED), ("200>500", REGRESSION)],
)  # fmt: skip
def test_a_flap_excuses_no_status_that_never_flapped(change: str, wanted: str) -> None:
    """Where 503 comes now and then, a new 503, or 504, may be one of them; a page that was not there and now is, or a fault, cannot."""
    flaps = [told(row(n, status(0, 2), f"GET /flaps/{n}"), "200>503", "503>200") for n in range(3)]
    found = judged_once_each([*flaps, told(row(9, status(0), "GET /x"), change)])

    assert [w.verdict for p, w in zip(found.places, found.weighed, strict=True) if p.endpoint == "GET /x"] == [wanted]


def test_base_against_itself_with_several_flapping_statuses_stays_quiet() -> None:
    """Four instances that fail alike in three ways: what none of them was seen to do alone is seldom what two of them do together."""
    words: list[str] = []
    for seed in range(120):
        chance, rows = random.Random(f"several {seed}"), list[Row]()
        for n in range(60):
            four = [chance.choice((500, 503, 404)) if chance.random() < 0.05 else 200 for _ in range(4)]
            shown = [
                (pair, f"{four[one]}>{four[two]}")
                for pair, (one, two) in enumerate(((0, 2), (0, 1), (2, 3)))
                if four[one] != four[two]
            ]
            if shown:
                rows.append(
                    told(row(n, status(*(pair for pair, _ in shown)), f"GET /{n}"), *(text for _, text in shown))
                )
        words += verdicts(judged_once_each(rows)).values()
    assert words.count(REGRESSION) <= 2
