"""Which exchanges are kept as samples: those that a finding is shown with, however many processes compare, and in whatever order."""

from __future__ import annotations

from hypothesis import given, strategies as st

from differ.difference import Difference
from differ.samples import SAMPLES_MAX, Samples
from echolane.observation import ANSWERED, Observation, Shot

RANKS = st.permutations(range(12))


def kept(ranks: list[int]) -> set[int]:
    """The ranks of what one process keeps, which compares these exchanges in this order."""
    samples = Samples("run")
    for rank in ranks:
        shots = [Shot(ANSWERED)] * 4
        observation = Observation(f"x{rank}", rank, 1, "GET /", "GET", "/", 200, 0, shots, "", "", 0, 0)
        samples.take(observation, [(0, Difference("body:$.a", "value", "1", "2"))])
    return set(samples.columns()["seq"])


@given(RANKS, st.integers(1, 11))
def test_the_first_of_a_run_are_kept_by_whoever_compares_them(ranks: list[int], cut: int) -> None:
    """One process or two, in any order: the first three by rank are among what is kept."""
    first = set(range(SAMPLES_MAX))

    assert first <= kept(ranks)
    assert first <= kept(ranks[:cut]) | kept(ranks[cut:])


def test_exchanges_in_order_cost_three_samples() -> None:
    """Compared as they were recorded, three are kept and no more; one that is compared again replaces itself."""
    assert kept(list(range(12))) == {0, 1, 2}
    assert kept([0, 1, 2, 1, 1, 3]) == {0, 1, 2}
