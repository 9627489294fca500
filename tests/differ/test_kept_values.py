"""What a process draws once and keeps is one draw however often it is seen; what is drawn for each answer keeps all of its weight."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from bench import accuracy_kept, accuracy_level
from differ.gathering import REQUESTS_MAX
from differ.tallies import NO_DIFFERENCE, Spot
from tests.differ.test_fourfold import Instance, Service, run


def kept(part: Callable[[int], int], choices: int) -> Service:
    """A value that each process draws for a part of the exchanges, once, and gives in all of these."""

    def service(chance: random.Random, _target: int, _requests: int) -> Instance:
        seed = chance.getrandbits(32)
        return lambda n: f"v{random.Random(f'{seed} {part(n)}').randrange(choices)}"

    return service


KEPT: dict[str, tuple[Service, int]] = {
    "for four requests": (kept(lambda n: n % 4, 3), 4),
    "for eight requests": (kept(lambda n: n % 8, 2), 8),
    "for twenty requests": (kept(lambda n: n % 20, 3), 20),
    "for a request, for a while": (kept(lambda n: n % 6 + 6 * (n // 60), 3), 6),
    "for a while, whatever is asked": (kept(lambda n: n // 20, 3), 200),
}
"""What is kept, and after how many exchanges requests come again."""


@pytest.mark.parametrize("name", KEPT)
def test_a_value_that_is_kept_never_counts_by_its_repeats(name: str) -> None:
    """Base against itself: no run of fifty is a regression by copies of one draw. Counted by exchanges it would be one in fifteen."""
    service, requests = KEPT[name]
    wrong = [seed for seed in range(50) if run(service, seed, 160, requests=requests).regressions]

    assert not wrong


@pytest.mark.parametrize("requests", [1, 5, 200])
@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("share", [1, 0.2])
def test_a_change_among_values_that_are_drawn_anew_is_found(requests: int, rate: float, share: float) -> None:
    """However often the same few requests are asked: their noise is seen to change from one answer to the next."""

    def service(chance: random.Random, target: int, _requests: int) -> Instance:
        def value(n: int) -> str:
            if target >= 2 and random.Random(f"rule {n}").random() < share:
                return "new"
            return "noise" if chance.random() < rate else "old"

        return value

    assert all(run(service, seed, 200, requests=requests).regressions for seed in range(5))


SEEN = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 2, NO_DIFFERENCE]), st.sampled_from([0, NO_DIFFERENCE]), st.integers(0, 2)), max_size=60)  # fmt: skip


@given(SEEN)
def test_draws_are_never_more_than_exchanges_and_repeats_add_none(seen: list[tuple[int, int, int, int]]) -> None:
    """Each pattern counts at most as often as it was seen; seen twice in a row by each request, the draws are the same."""
    once, twice = Spot(), Spot()
    for request, x, a, values in seen:
        pattern = (x, a, NO_DIFFERENCE)
        for spot, times in ((once, 1), (twice, 3)):
            for _ in range(times):
                spot.count(pattern, whole=True, beside=False)
                spot.draw(request, pattern, values, beside=False)

    assert all(count <= once.patterns[pattern] for pattern, count in once.anew.items())
    assert once.by_request.counts == twice.by_request.counts
    assert once.in_order.counts == twice.in_order.counts
    assert len(once.by_request.last) <= min(4, REQUESTS_MAX)


def test_the_larger_form_in_the_bench_says_how_often_such_runs_fail() -> None:
    """The same through rows that are compared for real; its table counts every run and names those that failed."""
    found = accuracy_kept.kept(2, "small")
    text = accuracy_level.table(found, "kept")

    assert dict(found.runs) == dict.fromkeys(accuracy_kept.KEPT, 2)
    assert not any(found.fails.values()), found.shown
    assert f"| all | {2 * len(accuracy_kept.KEPT)} | 0 |" in text
    assert "- none failed" in text
