"""Times as a person reads them."""

from __future__ import annotations

import pytest

from console.words_timing import duration, timing_lines


@pytest.mark.parametrize(
    ("us", "text"),
    [(0, "0 µs"), (999, "999 µs"), (1000, "1 ms"), (12_345, "12.3 ms"), (999_400, "999 ms"), (1_500_000, "1.5 s"), (7_200_000_000, "7,200 s")],
)  # fmt: skip
def test_a_duration_has_three_digits(us: float, text: str) -> None:
    """In the unit in which it is read."""
    assert duration(us) == text


def test_base_and_branch_stand_side_by_side() -> None:
    """Service time, response time, lateness and waits; what is null is not mentioned."""
    one, two = {"p50_us": 1500, "p99_us": 90_000, "count": 9}, {"p50_us": 100, "p99_us": 200, "count": 3}
    targets = {"base": {"service": one, "response": two}, "branch": {"service": two, "response": one}, "control": {}}
    result = {"timing": {"targets": targets, "lateness": two, "session_wait": one}}
    assert list(timing_lines(result)) == [
        "answered in base p50 1.5 ms, p99 90 ms · branch p50 100 µs, p99 200 µs",
        "answered, from the instant due, in base p50 100 µs, p99 200 µs · branch p50 1.5 ms, p99 90 ms",
        "sent late by p50 100 µs, p99 200 µs · 9 waited for their session, p50 1.5 ms, p99 90 ms",
    ]
    result["timing"] |= {"lateness": None, "session_wait": None}
    targets["base"]["response"] = targets["branch"]["response"] = None
    assert list(timing_lines(result)) == ["answered in base p50 1.5 ms, p99 90 ms · branch p50 100 µs, p99 200 µs"]
    assert list(timing_lines({})) == []
