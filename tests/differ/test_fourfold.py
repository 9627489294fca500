"""All four answers at once: what one version alone gives inside noise is found, and what only looks so is not."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from differ.difference import CLOCK, TYPE, VALUE
from differ.evidence import Observed
from differ.fourfold import Four, beyond, coins, drawn_anew, flipped, four_of, least, only
from differ.gathering import gather
from differ.judging import Judgement, judge
from differ.shifts import Shifts

WHERE = "body:$.n"
Instance = Callable[[int], Any]
"""One process: its value in an exchange."""
Service = Callable[[random.Random, int, int], Instance]
"""How a process (0 base, 1 its control, 2 branch, 3 its control) of so many requests comes to its values."""


def difference(pair: int, old: Any, new: Any) -> tuple[int, str, int, str, str] | None:
    """What the comparison of two values says."""
    if type(old) is type(new) and old == new:
        return None
    alike = type(old) is type(new)
    return (
        pair,
        "value" if alike else "type",
        VALUE if alike else TYPE,
        orjson.dumps(old).decode(),
        orjson.dumps(new).decode(),
    )


def run(service: Service, seed: int, exchanges: int, *, klass: str = "", requests: int = 0) -> Judgement:
    """A run at one endpoint with one place; ``requests``: after so many they come again."""
    chance, rows = random.Random(f"fourfold {seed}"), list[dict[str, Any]]()
    requests = requests or exchanges
    four = [service(random.Random(chance.getrandbits(64)), target, requests) for target in range(4)]
    for n in range(exchanges):
        base, control, branch, again = (instance(n) for instance in four)
        found = [
            one
            for one in (difference(0, base, branch), difference(1, base, control), difference(2, branch, again))
            if one
        ]
        rows.append(
            {
                "exchange": f"{n:08d}", "seq": n, "method": "GET", "target": f"/{n % requests}", "endpoint": "GET /",
                "verdict": "differs", "reason": "", "has_control": True, "has_branch_control": True,
                "d_pair": [one[0] for one in found], "d_where": [WHERE] * len(found), "d_kind": [one[1] for one in found],
                "d_facet": [one[2] for one in found], "d_klass": [klass] * len(found),
                "d_flags": [CLOCK * (klass == "time" and "1970" not in one[3] + one[4]) for one in found],
                "d_old": [one[3] for one in found], "d_new": [one[4] for one in found],
                "d_count": [1] * len(found), "d_values": [hash(one[3:]) & (2**63 - 1) for one in found], "d_signature": ["x"] * len(found),
            }
        )  # fmt: skip
    return judge("shop", gather(rows), {"GET /": Observed(exchanges, exchanges, exchanges)})


def ruled(share: float, draw: Callable[[random.Random], Any], new: Callable[[Any], Any]) -> Service:
    """Values drawn anew; in a share of the requests, the same ones in each of its processes, branch changes them."""

    def service(chance: random.Random, target: int, _requests: int) -> Instance:
        def value(n: int) -> Any:
            drawn = draw(chance)
            return new(drawn) if target >= 2 and random.Random(f"rule {n}").random() < share else drawn

        return value

    return service


def hour(chance: random.Random) -> str:
    """A clock."""
    return f"2026-11-23T10:{chance.randrange(60):02}:{chance.randrange(60):02}.{chance.randrange(1000):03}Z"


CHANGES: dict[str, tuple[Service, int, str, str]] = {
    "a clock stands still": (ruled(1, hour, lambda _: "1970-01-01T00:00:00.000Z"), 30, "time", "one value is given more often"),
    "and now and then only": (ruled(0.15, hour, lambda _: "1970-01-01T00:00:00.000Z"), 200, "time", "one value is given more often"),
    "a token is a constant": (ruled(1, lambda c: f"{c.getrandbits(128):032x}", lambda _: "0" * 32), 30, "hash", "one value is given more often"),
    "a state is new": (ruled(0.15, lambda c: c.choice(["a", "b", "c"]), lambda _: "d"), 200, "", "one value is given more often"),
    "one of three is left": (ruled(1, lambda c: c.choice(["a", "b", "c"]), lambda _: "b"), 40, "", "one value is given more often"),
    "some numbers are negative": (ruled(0.15, lambda c: round(c.random(), 4), lambda v: -v), 200, "", "numbers lie"),
    "some numbers are ten times as high": (ruled(0.15, lambda c: c.randrange(100, 200), lambda v: 10 * v), 200, "", "numbers lie"),
    "nulls are twice as frequent": (ruled(0.25, lambda c: None if c.random() < 0.1 else c.randrange(5, 90), lambda _: None), 200, "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_one_version_alone_gives_inside_noise_is_a_regression(name: str) -> None:
    """Both versions differ from themselves at the place; what is new shows in both processes of branch. Seeds are fixed."""
    service, exchanges, klass, why = CHANGES[name]
    found = [run(service, seed, exchanges, klass=klass) for seed in range(5)]

    assert all(judgement.regressions for judgement in found)
    assert any(why in one.why for judgement in found for one in judgement.weighed)


def counter(chance: random.Random, target: int, _requests: int) -> Instance:
    """Requests since it was started: base and its control long ago, branch and its control together."""
    start = (chance.randrange(10**6), chance.randrange(10**6), 0, 0)[target]
    return lambda n: start + n


def pid(chance: random.Random, _target: int, _requests: int) -> Instance:
    """One of a process's four workers."""
    own = [chance.randrange(10**6) for _ in range(4)]
    return lambda _: f"worker {chance.choice(own)}"


def shard(chance: random.Random, _target: int, _requests: int) -> Instance:
    """Each request has one of three for the life of a process."""
    seed = chance.getrandbits(32)
    return lambda n: random.Random(f"{seed} {n % 4}").choice(["left", "middle", "right"])


def cached(chance: random.Random, _target: int, _requests: int) -> Instance:
    """A value that is remembered for a while."""
    seed = chance.getrandbits(32)
    return lambda n: random.Random(f"{seed} {n // 25}").choice(["red", "green", "blue"])


def named(chance: random.Random, _target: int, _requests: int) -> Instance:
    """The name of a process, and what it is asked for."""
    own = chance.getrandbits(32)
    return lambda n: f"{own:08x}/{n % 4}"


def walk(chance: random.Random, _target: int, _requests: int) -> Instance:
    """A load that goes up and down slowly."""
    at = [50.0]

    def value(_n: int) -> float:
        at[0] = 0.98 * at[0] + chance.gauss(1, 2)
        return round(at[0], 2)

    return value


def drawn_in_branch(chance: random.Random, target: int, _requests: int) -> Instance:
    """A number that only branch draws, now and then: noise of its own, as its control shows."""
    return lambda n: chance.randrange(100, 999) if target >= 2 and n % 5 == 0 else 200


ALIKE: dict[str, tuple[Service, str]] = {
    "noise of branch alone": (drawn_in_branch, ""),
    "a counter": (counter, "counter"),
    "a worker's number": (pid, ""),
    "a shard": (shard, ""),
    "a cache": (cached, ""),
    "a name": (named, ""),
    "numbers": (ruled(0, lambda c: round(c.gauss(50, 10), 2), lambda v: v), ""),
    "numbers with outliers": (ruled(0, lambda c: round(c.lognormvariate(0, 2), 3), lambda v: v), ""),
    "states": (ruled(0, lambda c: c.choices(["ready", "built", "queued"], [6, 3, 1])[0], lambda v: v), ""),
    "nulls": (ruled(0, lambda c: None if c.random() < 0.2 else c.randrange(9), lambda v: v), ""),
    "clocks": (ruled(0, hour, lambda v: v), "time"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_only_looks_like_one_versions_own_is_noise(name: str) -> None:
    """Counters, caches, pools of workers, what a process keeps for a request, outliers: at most one of sixty runs says that they lie elsewhere."""
    service, klass = ALIKE[name]
    runs = [run(service, seed, 120, klass=klass, requests=4) for seed in range(60)]
    wrong = [seed for seed, judgement in enumerate(runs) if any(one.drawn for one in judgement.weighed)]

    assert len(wrong) <= 1, wrong


def test_a_load_that_moves_slowly_counts_by_its_runs() -> None:
    """Twenty answers in a row beyond all others are one excursion; the outermost of what is drawn anew are as many coins."""
    chance = random.Random(5)
    drift = walk(chance, 0, 0)
    assert not drawn_anew([drift(n) for n in range(200)])
    assert drawn_anew([chance.gauss(0, 1) for _ in range(200)])
    texts = [[str(50 + n % 7), str(50 + n % 5), str(50 + n % 3), str(51 + n % 4)] for n in range(60)]
    for n in range(20, 40):
        texts[n][2:] = ["90", "91"]
    fours = [Four("/", *four) for four in texts]
    sides = beyond(fours, {text: float(text) for four in texts for text in four})
    assert sides is not None
    assert (sides.branch, sides.base) == (1, 0)


@given(st.lists(st.sampled_from([-2, -1, 1, 2]), max_size=9))
def test_the_chance_of_a_sum_is_that_of_all_signs(steps: list[int]) -> None:
    """The exact chance is the share of all signs whose sum is as far from nought."""
    sums = [
        sum(sign * size for sign, size in zip(signs, steps, strict=True))
        for signs in itertools.product((1, -1), repeat=len(steps))
    ]
    wanted = sum(abs(one) >= abs(sum(steps)) for one in sums) / len(sums)

    assert flipped(Counter(steps)) == pytest.approx(wanted)
    assert least(Counter(steps)) <= flipped(Counter(steps)) + 1e-12


def test_many_steps_have_a_bound_and_never_less_than_their_chance() -> None:
    """Beyond what is counted exactly the chance is bounded from above."""
    few, many = {1: 1100, -1: 890}, {1: 1110, -1: 900}
    assert flipped(few) < flipped(many) < 0.001


_VALUES = st.lists(st.sampled_from("abc"), min_size=4, max_size=4)


@given(st.lists(_VALUES, max_size=40))
def test_swapping_the_versions_swaps_the_sides(values: list[list[str]]) -> None:
    """Nothing that is counted knows which version is which; only that base has to vary does."""
    fours = [Four("/", *four) for four in values]
    swapped = [Four("/", *four[2:], *four[:2]) for four in values]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("differ.fourfold.VARIED_MIN", 0)
        one, two = only(fours), only(swapped)

    assert [(s.branch, s.base, s.able) for s in one] == [(s.base, s.branch, s.able) for s in two]
    numbers = {"a": 1.0, "b": 2.0, "c": 3.0}
    left, right = beyond(fours, numbers), beyond(swapped, numbers)
    assert (left is None) == (right is None)
    if left and right:
        assert max(left.branch, left.base) == max(right.branch, right.base)


def test_a_coin_counts_again_only_when_something_else_was_drawn() -> None:
    """What a process keeps for a while is one draw, and what it keeps for a request, too."""
    assert coins([]) == 0
    assert coins([("/", "a", "b")] * 9) == 1
    assert coins([("/1", "a", "b"), ("/2", "c", "d")] * 9) == 2
    assert coins([(f"/{n}", "ab"[n % 2], "b") for n in range(9)]) == 9
    assert coins([(f"/{n}", "a", "b") for n in range(9)]) == 1
    assert coins([("/", "ab"[n % 2], "b") for n in range(9)]) == 9


def test_what_is_missing_is_no_value_of_its_own() -> None:
    """A header that branch gives to more answers, and that is drawn anew in both versions, is presence there and noise here."""
    chance = random.Random(4)
    drawn = [Four("/", *(f'"{chance.getrandbits(64):016x}"' for _ in range(4))) for _ in range(12)]
    given = [Four("/", "", "", *(f'"{chance.getrandbits(64):016x}"' for _ in range(2))) for _ in range(30)]

    assert only(drawn + given) == only(drawn) == []


def test_four_values_from_three_comparisons() -> None:
    """What no comparison speaks of is as it is in the other answer; comparisons of different elements say nothing."""
    assert four_of("/", ("a", "b"), None, None) == Four("/", "a", "a", "b", "b")
    assert four_of("/", None, ("a", "c"), None) == Four("/", "a", "c", "a", "a")
    assert four_of("/", ("a", "b"), ("a", "c"), ("b", "d")) == Four("/", "a", "c", "b", "d")
    assert four_of("/", ("a", "b"), ("x", "c"), None) is None
    assert four_of("/", ("a", "b"), None, ("x", "c")) is None
    long = four_of("/", ("a" * 90, "b"), None, None)
    assert long is not None
    assert len(long.base) < 48


@pytest.mark.parametrize(("old", "new", "measure", "higher"), [("1", "", "presence", False), ("", "1", "presence", True), ("1", "null", "null", True), ("null", "1", "null", False)])  # fmt: skip
def test_what_is_said_of_a_rate_is_the_way_it_went(old: str, new: str, measure: str, higher: bool) -> None:
    """There more often is not missing more often, whichever of the two is counted."""
    shifts = Shifts()
    for n in range(20):
        kind = "type" if measure == "null" else "added" if higher else "missing"
        shifts.add(0, kind, old, new)
        shifts.four(Four(f"/{n}", old, old, new, new), time=False)
    leaning = shifts.counts[measure]

    assert leaning.higher == higher == (leaning.up[0] > leaning.down[0])
    assert leaning.p_value(0) < 1e-5
