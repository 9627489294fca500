"""The schedule of a run that workers share is on the monotonic clock, whatever is done to the wall clock meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, strategies as st

from echolane.runlog import Asked, Shared
from replayer.slices import Crowd

HOUR_NS = 3_600_000_000_000


@dataclass
class Clock:
    """Two clocks that have nothing to do with each other."""

    wall: int = 1_700_000_000_000_000_000
    mono: int = 5_000_000_000

    def wall_ns(self) -> int:
        """What people set."""
        return self.wall

    def mono_ns(self) -> int:
        """What only goes on."""
        return self.mono


steps = st.lists(
    st.tuples(
        st.integers(0, 10**10), st.integers(-2 * HOUR_NS, 2 * HOUR_NS), st.one_of(st.just(0), st.integers(0, 10**10))
    ),
    max_size=20,
)


@given(st.integers(-(10**10), 10**10), steps)
def test_the_beginning_of_a_run_moves_by_its_pauses_and_by_nothing_else(ahead_ns, steps):
    """However the wall clock is set: what was due at an instant of the monotonic clock stays due at it."""
    clock = Clock()
    crowd = Crowd(1, clock=clock)
    shared = Shared(Asked(None, 0, "1"))
    assert crowd.begins_ns(shared) == clock.mono + HOUR_NS
    shared.began_ns = clock.wall + ahead_ns
    expected = clock.mono + ahead_ns
    for passed_ns, set_by_ns, paused_ns in steps:
        assert crowd.begins_ns(shared) == expected
        clock.mono += passed_ns
        clock.wall += passed_ns + set_by_ns
        shared.began_ns += paused_ns
        expected += paused_ns
    assert crowd.begins_ns(shared) == expected
