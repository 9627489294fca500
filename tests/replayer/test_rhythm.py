"""How the bench tells whether a recorded rhythm was kept."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from bench.rhythm import kept

SECOND_NS = 1_000_000_000


@given(
    st.lists(st.integers(1, SECOND_NS), min_size=1, max_size=40),
    st.integers(-(10**15), 10**15),
    st.integers(0, 10 * SECOND_NS),
)
def test_only_what_is_later_than_the_first_counts(gaps_ns, start_ns, late_ns):
    """When it began is nobody's drift; how late the last one is against the first is, as a part of the whole."""
    planned = [0]
    for gap in gaps_ns:
        planned.append(planned[-1] + gap)
    arrived = [start_ns + at for at in planned]
    arrived[-1] += late_ns
    found = kept(planned, arrived)
    assert found.planned_s == pytest.approx(planned[-1] / 1e9)
    assert found.drift == pytest.approx(late_ns / planned[-1])
    assert found.worst >= found.drift * (1 - 1e-9)


def test_a_request_that_is_missing_is_no_rhythm():
    """Nothing is said of a run that lost some."""
    with pytest.raises(RuntimeError, match="2 of 3 requests"):
        kept([0, 1, 2], [0, 1])
