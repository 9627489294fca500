"""What folds into one finding, and in what time: nothing is a symptom that also shows alone, and no run of many causes holds up its close."""

from __future__ import annotations

import random
import time

import pytest

from differ.evidence import REGRESSION, TESTED, Place, Weighed
from differ.folding import COMBINATIONS_COMPARED, Finding, Shows, fold

Combinations = dict[tuple[str, tuple[int, ...]], int]


def folded(places: list[Place], combinations: Combinations) -> list[Finding]:
    """The findings of regressions; combinations name places by their numbers."""
    shown = {(why, tuple(2 * number for number in numbers)): count for (why, numbers), count in combinations.items()}
    return fold("shop", places, range(len(places)), Shows(shown, [Weighed(REGRESSION, TESTED) for _ in places]))


def place(where: str, kind: str, signature: str = "x") -> Place:
    """A place of one endpoint that was seen once."""
    return Place("GET /a", where, kind, 0, count=1, signatures={signature})


@pytest.mark.parametrize(
    ("alone", "wanted"), [(False, ["body:$.stock", "status"]), (True, ["body:$.price", "body:$.stock", "status"])]
)
def test_what_also_shows_alone_is_no_symptom(alone: bool, wanted: list[str]) -> None:
    """However many more frequent combinations there are in which it shows beside another status only."""
    places = [place("status", "status"), place("body:$.price", "value"), place("body:$.stock", "value")]
    combinations: Combinations = {("", (0, 1)): 9}
    for number in range(COMBINATIONS_COMPARED):
        combinations[f"reason {number}", (2,)] = 5
    if alone:
        combinations["", (1,)] = 1

    assert sorted(one.where for one in folded(places, combinations)) == wanted


@pytest.mark.parametrize("begin", ["header:x", "body:/html/x"])
def test_many_causes_fold_in_time(begin: str) -> None:
    """Three thousand headers or nodes of pages that change in exchanges of their own, fifty in each."""
    chance, count = random.Random(5), 3000
    combinations = {("", tuple(chance.sample(range(count), 50))): 1 for _ in range(2000)}
    begun = time.process_time()

    assert len(folded([place(f"{begin}{n}", "value") for n in range(count)], combinations)) > 2000
    assert time.process_time() - begun < 6


def test_many_members_that_went_fold_in_time() -> None:
    """Six thousand keys that are gone, three of each container: two thousand findings."""
    places = [place(f"body:$.a{n // 3}.b{n}", "missing") for n in range(6000)]
    begun = time.process_time()
    found = folded(places, {("", (n,)): 1 for n in range(len(places))})

    assert {len(one.members) for one in found} == {3}
    assert len(found) == 2000
    assert time.process_time() - begun < 3
