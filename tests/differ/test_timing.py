"""Times in a result: percentiles and histograms from the rows of a run, held against the plain way to compute them."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from differ.rows import RowMaker
from differ.timing import PERCENTILES, STEPS, folded, timing, timing_json
from echolane.observation import ANSWERED, FAILED, SPARED, Observation, Shot
from echolane.settings import Differ
from echolane.store import open_store
from tests.differ.poisoned_runs import shot, spec

ERROR = 2 ** (1 / STEPS)


def buckets(values: list[int]) -> list[dict[str, int]]:
    """Rows as the store gives them."""
    found: dict[int, list[int]] = {}
    for us in values:
        found.setdefault(math.floor(math.log2(max(us, 1)) * STEPS), []).append(us)
    return [{"bucket": b, "n": len(v), "top": max(v), "total": sum(v)} for b, v in found.items()]


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_values(values: list[int]) -> None:
    """Within the width of a bucket of the value that stands at that rank; count, mean and greatest are exact, and the histogram is whole."""
    told = folded(buckets(values))
    assert told is not None
    ordered = sorted(values)
    for name, share in PERCENTILES.items():
        exact = max(1, ordered[math.ceil(share * len(ordered)) - 1])
        assert exact / ERROR - 1 <= told[name] <= exact * ERROR + 1, name
    assert (told["count"], told["max_us"], told["mean_us"]) == (
        len(values),
        ordered[-1],
        round(sum(values) / len(values)),
    )
    assert told["p50_us"] <= told["p90_us"] <= told["p99_us"] <= told["p999_us"] <= max(1, told["max_us"])
    assert sum(number for _, number in told["histogram"]) == len(values)
    below = Counter(2 ** (int(math.log2(max(us, 1))) + 1) for us in values)
    assert dict(map(tuple, told["histogram"])) == below  # type: ignore[arg-type]


def test_without_a_pace_nothing_is_late() -> None:
    """Nothing is due with `max`: no lateness, no response time; a target that answered nothing has no times."""
    told = timing_json([{"series": "service:1", "bucket": 0, "n": 1, "top": 1, "total": 1},
                        {"series": "lateness", "bucket": 0, "n": 1, "top": 0, "total": 0}], "max")  # fmt: skip
    assert (told["lateness"], told["session_wait"], told["targets"]["base"]["response"]) == (None, None, None)
    assert told["targets"]["base"]["service"]["count"] == 1
    assert told["targets"]["branch"] == {"service": None, "response": None}


@pytest.mark.parametrize("seed", [1])
def test_the_store_counts_what_the_rows_say(tmp_path: Path, seed: int) -> None:
    """Rows as the worker makes them: failures, sparings and what was skipped have no latency; response is service, lateness and wait."""
    rng = random.Random(seed)
    run = replace(spec(), pace="recorded")
    maker, wanted = (
        RowMaker(run, Differ()),
        {name: list[int]() for name in ("lateness", "session_wait", "service", "response")},
    )
    for n in range(400):
        late, wait, took = (
            rng.randrange(5_000_000),
            rng.choice([0, rng.randrange(10**10)]),
            int(10 ** rng.uniform(0, 10)),
        )
        fails = n % 7 == 0
        first = Shot(FAILED, "timeout", duration_ns=took) if fails else replace(shot(b"{}"), duration_ns=took)
        shots = [
            first,
            Shot(SPARED, "sampled"),
            replace(shot(b"{}"), duration_ns=took),
            Shot(ANSWERED, same_as=2, duration_ns=took),
        ]
        seen = Observation(f"x{n}", n, 1, "GET /", "GET", "/", 200, 1 + n, shots, "", "", late, wait)
        maker.put(seen, 0, n, maker.judged(seen))
        wanted["lateness"].append(late // 1000)
        if wait // 1000:
            wanted["session_wait"].append(wait // 1000)
        if not fails:
            wanted["service"].append(took // 1000)
            wanted["response"].append(took // 1000 + late // 1000 + wait // 1000)
    skipped = Observation("x9", 999, 1, "GET /", "GET", "/", 200, 0, [], "late")
    maker.put(skipped, 0, 999, maker.judged(skipped))
    store = open_store(tmp_path / "home")
    try:
        store.insert("results", maker.take())
        told = timing(store, run)
    finally:
        store.close()
    base = told["targets"]["base"]
    found = {"lateness": told["lateness"], "session_wait": told["session_wait"], **base}
    assert found == {name: folded(buckets(values)) for name, values in wanted.items()}
    assert told["targets"]["control"]["service"] is None
    assert told["targets"]["branch"]["service"]["count"] == 400
    assert told["pace"] == "recorded"
