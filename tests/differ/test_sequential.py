"""Evidence that may be looked at after every exchange: exact, a martingale, and quiet about noise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from differ.difference import CLOCK, FORMAT, PRESENCE, TYPE, VALUE, Difference
from differ.sequential import Live, e_value

counts = st.integers(0, 200)


@given(counts, counts)
def test_under_a_fair_coin_it_stays_where_it_is_in_the_mean(only_x: int, only_control: int) -> None:
    """The law that makes looking free: the mean of what comes next is what is there now."""
    mean = (e_value(only_x + 1, only_control) + e_value(only_x, only_control + 1)) / 2

    assert mean == pytest.approx(e_value(only_x, only_control), rel=1e-6)


@pytest.mark.parametrize(("only_x", "only_control"), [(0, 0), (1, 0), (7, 0), (5, 2), (0, 9), (12, 11)])
def test_it_is_the_mean_likelihood_ratio(only_x: int, only_control: int) -> None:
    """By the definition, summed up over chances between one half and one."""
    steps = 200_000
    chances = ((step + 0.5) / steps / 2 + 0.5 for step in range(steps))
    mean = sum((2 * chance) ** only_x * (2 * (1 - chance)) ** only_control for chance in chances) / steps

    assert e_value(only_x, only_control) == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("chance", [0.5, 0.4])
@pytest.mark.parametrize("alpha", [0.2, 0.05])
def test_looking_after_each_exchange_is_wrong_as_seldom_as_promised(chance: float, alpha: float) -> None:
    """Ville's inequality, exactly: the share of all runs of 150 discordant exchanges that ever reach 1/alpha."""
    open_runs, reached = {(0, 0): 1.0}, 0.0
    for _ in range(150):
        later: dict[tuple[int, int], float] = {}
        for (x, c), share in open_runs.items():
            for after, part in (((x + 1, c), chance), ((x, c + 1), 1 - chance)):
                later[after] = later.get(after, 0.0) + share * part
        reached += sum(share for after, share in later.items() if e_value(*after) >= 1 / alpha)
        open_runs = {after: share for after, share in later.items() if e_value(*after) < 1 / alpha}

    assert 0 < reached <= alpha


def one(pair: int, where: str, facet: int = FORMAT, klass: str = "", flags: int = 0) -> tuple[int, Difference]:
    """A difference of one comparison."""
    return pair, Difference(where, "value", facet, klass, flags)


def test_a_change_in_every_answer_is_sure_soon_and_noise_never() -> None:
    """Among places whose versions differ from themselves as often, one that changed is sure within twenty exchanges."""
    chance, live, sure_after = random.Random(3), Live(), 0
    for number in range(1, 600):
        noise = [one(pair, f"body:$.n{n}") for n in range(20) for pair in range(3) if chance.random() < 0.4]
        live.add("GET /a", [one(0, "body:$.price", VALUE), *noise])
        if live.sure and not sure_after:
            sure_after = number

    assert live.sure == {("GET /a", "body:$.price")}
    assert sure_after <= 30


@pytest.mark.parametrize(
    "differences",
    [
        [one(0, "header:date", VALUE, "time", CLOCK)],
        [one(0, "body:$.id", VALUE, "uuid")],
        [one(0, "body:$.a"), one(1, "body:$.a"), one(2, "body:$.a")],
        [one(0, "body:$.a"), one(1, "", PRESENCE)],
        [one(0, "body:$.a"), one(1, "status", TYPE)],
        [one(0, "body:$.a"), one(1, "body:$.a", VALUE, "time")],
    ],
)
def test_what_says_nothing_is_never_sure(differences: list[tuple[int, Difference]]) -> None:
    """Clocks, values drawn anew, what all comparisons show, and answers that could not be compared or flap."""
    live = Live()
    for _ in range(200):
        live.add("GET /a", differences)

    assert live.sure == set()


@pytest.mark.parametrize("control", [1, 2])
def test_what_one_version_alone_is_unsure_of_is_not_sure(control: int) -> None:
    """A value that is random in base alone, or in branch alone, makes branch differ from base as often as that version from itself."""
    chance, live = random.Random(8), Live()
    for _ in range(2000):
        shown = [one(pair, "body:$.a") for pair in (0, control) if chance.random() < 0.5]
        live.add("GET /a", shown)

    assert live.sure == set()
