"""Watching inside noise: a shift, a spread, a length or a rate is found where values vary anyway, and variation alone is not."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from differ.difference import FORMAT, TYPE, VALUE
from differ.evidence import NOISE, REGRESSION, Observed
from differ.gathering import gather
from differ.judging import Judgement, judge

WHERE = "body:$.n"
Draw = Callable[[random.Random, int], Any]
"""A value of a target (0 base, 1 its control, 2 branch, 3 its control)."""


def difference(pair: int, old: Any, new: Any) -> tuple[int, str, int, str, str, int] | None:
    """What the comparison of two values says."""
    if old == new and type(old) is type(new):
        return None
    texts = orjson.dumps(old).decode(), orjson.dumps(new).decode()
    kinds = [None if value is None else str if isinstance(value, str) else float for value in (old, new)]
    kind, facet = ("type", TYPE) if kinds[0] is not kinds[1] else ("value", VALUE)
    return pair, kind, facet, *texts, hash(texts) & (2**63 - 1)


def run(draw: Draw, seed: int, exchanges: int = 200, klass: str = "") -> Judgement:
    """A run at one endpoint with one place, whose values are drawn anew for each of four answers."""
    chance, rows = random.Random(seed), list[dict[str, Any]]()
    for n in range(exchanges):
        base, control, branch, again = (draw(chance, target) for target in range(4))
        pairs = [difference(0, base, branch), difference(1, base, control), difference(2, branch, again)]
        found = [one for one in pairs if one is not None]
        rows.append(
            {
                "exchange": f"{n:08d}", "seq": n, "method": "GET", "target": "/", "endpoint": "GET /",
                "verdict": "differs", "reason": "", "has_control": True, "has_branch_control": True,
                "d_pair": [one[0] for one in found], "d_where": [WHERE] * len(found), "d_kind": [one[1] for one in found],
                "d_facet": [one[2] for one in found], "d_klass": [klass] * len(found), "d_flags": [0] * len(found),
                "d_old": [one[3] for one in found], "d_new": [one[4] for one in found],
                "d_count": [1] * len(found), "d_values": [one[5] for one in found], "d_signature": ["x"] * len(found),
            }
        )  # fmt: skip
    return judge("shop", gather(rows), {"GET /": Observed(exchanges, exchanges, exchanges)})


def branch_of(target: int) -> bool:
    """Whether a target is of the new version."""
    return target >= 2


SHIFTS: dict[str, Draw] = {
    "numbers are higher": lambda c, t: round(c.gauss(50, 10) + 10 * branch_of(t), 3),
    "numbers lie further apart": lambda c, t: round(c.gauss(50, 10 + 25 * branch_of(t)), 3),
    "numbers lie closer together": lambda c, t: round(c.gauss(50, 30 - 25 * branch_of(t)), 3),
    "texts are longer": lambda c, t: "x" * (c.randrange(5, 40) + 15 * branch_of(t)),
    "its commonest value is less frequent": lambda c, t: (
        "ready" if c.random() < (0.5 if branch_of(t) else 0.8) else "built"
    ),
    "it is null more often": lambda c, t: None if c.random() < (0.5 if branch_of(t) else 0.1) else 7,
}


@pytest.mark.parametrize("why", SHIFTS)
def test_what_lies_elsewhere_inside_noise_is_a_regression(why: str) -> None:
    """Both versions differ from themselves at the place as often as from each other; seeds are fixed."""
    found = [run(SHIFTS[why], seed) for seed in range(5)]

    for judgement in found:
        (finding,) = judgement.regressions
        assert why in judgement.weighed[finding.lead].why
        assert finding.kind == ("type" if "null" in why else "distribution")


SAME: dict[str, Draw] = {
    "numbers": lambda c, _: round(c.gauss(50, 10), 3),
    "few numbers": lambda c, _: c.randrange(4),
    "texts": lambda c, _: "x" * c.randrange(5, 40),
    "states": lambda c, _: c.choices(["ready", "built", "queued"], [8, 1, 1])[0],
    "nulls": lambda c, _: None if c.random() < 0.3 else 7,
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_drawn_alike_is_noise(name: str) -> None:
    """At level 0.01 a hundred runs of pure noise give a false finding about once; more than four are a fault."""
    assert sum(bool(run(SAME[name], seed, 60).regressions) for seed in range(100)) <= 4


def counter(offsets: list[int]) -> Draw:
    """A number that counts up, from another beginning at each target."""
    seen = [0, 0, 0, 0]

    def draw(_: random.Random, target: int) -> int:
        seen[target] += 1
        return offsets[target] + seen[target]

    return draw


@pytest.mark.parametrize("offsets", [[0, 3, 9, 11], [9, 7, 4, 0], [5, 5, 9, 2]])
def test_instances_that_differ_for_life_are_no_shift(offsets: list[int]) -> None:
    """Counters with other beginnings lean one way in every exchange, and so do the controls."""
    assert run(counter(offsets), 1).regressions == []


def test_noise_of_the_branch_alone_is_no_shift() -> None:
    """Base counts up and branch draws at random: the numbers are higher, and no version draws as the other does."""
    numbers = counter([0, 0, 0, 0])
    found = run(lambda c, t: c.randrange(10**6) if branch_of(t) else numbers(c, t), 3)

    assert found.regressions == []


def test_clocks_are_not_measured() -> None:
    """A duration is longer in the slower version by nature; its class keeps it out."""
    found = run(SHIFTS["numbers are higher"], 1, klass="time")

    assert {one.verdict for one in found.weighed} == {NOISE}


def test_an_exchange_with_a_shifted_value_is_different() -> None:
    """The finding holds although each version differs from itself in the same exchanges."""
    found = run(SHIFTS["numbers are higher"], 2)

    assert [(one.verdict, one.firm) for one in found.weighed] == [(REGRESSION, True)]
    assert FORMAT not in {place.facet for place in found.places}
