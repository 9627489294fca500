"""Orders that rows cannot decide: an instance that gives two members both ways has no order for life; sets in hash order stay quiet."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from differ.close import close_run
from differ.echoes import NOBODY
from differ.evidence import NOISE, REGRESSION, UNDECIDED, Observed
from differ.gathering import gather
from differ.judging import Looked, judge
from differ.orders import CHANGED_MIN, LOOKED_MAX, both_ways, open_orders, spots_both_ways
from differ.rows import RowMaker
from echolane.journal import open_journal
from echolane.ledger import run_identities
from echolane.observation import Observation
from echolane.settings import Differ
from echolane.store import open_store
from tests.differ import poisoned_runs
from tests.differ.poisoned_runs import FRAME, observed, shot, spec

WHERE = "body:$.tags"
Four = Sequence[Any]


def observation(number: int, four: Four) -> Observation:
    """An exchange with these bodies."""
    shots = [shot(json.dumps(body, separators=(",", ":")).encode()) for body in four]
    return Observation(f"{number:08d}", number, 1, "GET /items", "GET", f"/items?{number}", 200, 1_000 + number, shots)


def tagged(four: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Bodies with a list each."""
    return [{"tags": list(tags)} for tags in four]


def verdict(exchanges: Iterable[Four]) -> str:
    """What becomes of the order at :data:`WHERE`, by the differ's own path; empty where branch never differs from base."""
    maker, every = RowMaker(spec(), Differ()), [observation(n, four) for n, four in enumerate(exchanges)]
    for one in every:
        maker.add(one, 0, one.seq)
    columns = maker.take()
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    gathering = gather(row | {"has_control": True, "has_branch_control": True} for row in rows if row["d_pair"])
    seen = {"GET /items": Observed(len(every), len(every), len(every))}
    judgement = judge("shop", gathering, seen)
    looked = dict.fromkeys(open_orders(judgement, gathering), every[:LOOKED_MAX])
    judgement = judge("shop", gathering, seen, looked=Looked(spots_both_ways(looked, [NOBODY] * 4)))
    found = [w.verdict for p, w in zip(judgement.places, judgement.weighed, strict=True) if p.where.startswith(WHERE)]
    return min(found, key=(REGRESSION, UNDECIDED, NOISE).index) if found else ""


AB, BA = ["a", "b"], ["b", "a"]
SAME, TURNED = tagged([AB, AB, AB, AB]), tagged([AB, AB, BA, BA])


@pytest.mark.parametrize(
    ("changed", "same", "wanted"),
    [(CHANGED_MIN, 3, REGRESSION), (CHANGED_MIN - 1, 3, NOISE), (30, 0, NOISE), (20, 1, REGRESSION)],
)
def test_two_members_that_branch_gives_both_ways_are_no_set(changed: int, same: int, wanted: str) -> None:
    """A pair that always changed places is what hash seeds do in one of seven; one that did in some answers only is a change."""
    assert (
        verdict([SAME, TURNED] * min(changed, same) + [TURNED] * (changed - same) + [SAME] * (same - changed)) == wanted
    )


def test_a_list_beside_that_is_in_the_old_order_tells_the_same() -> None:
    """The same two members in two lists of one answer, of which branch turned one."""
    old, new = {"tags": [{"of": [AB, [*AB, "c"]]}]}, {"tags": [{"of": [BA, [*AB, "c"]]}]}

    assert verdict([[old, old, new, new]] * 20) == REGRESSION
    assert (
        verdict([[old, old, {"tags": [{"of": [BA, [*BA, "c"]]}]}, {"tags": [{"of": [BA, [*BA, "c"]]}]}]] * 20)
        != REGRESSION
    )


def test_a_version_that_varies_an_order_has_none() -> None:
    """However often branch gives both orders, its control at odds once is a set drawn for each answer."""
    assert verdict([SAME, TURNED] * 20 + [tagged([AB, AB, AB, BA])]) == NOISE


def test_one_instance_that_gives_both_ways_says_nothing_of_its_twin() -> None:
    """Both instances of a version must: one of two may have been started anew meanwhile."""
    alone = [tagged([AB, AB, BA, BA]), [{"tags": AB}, {"tags": AB}, {"tags": AB}, {}]]

    assert not both_ways([observation(n, four) for n, four in enumerate(alone)], WHERE, [NOBODY] * 4)
    assert both_ways([observation(0, TURNED), observation(1, SAME)], WHERE, [NOBODY] * 4)


def by_seed(seed: int, members: Sequence[str]) -> list[str]:
    """A set in the order of an instance's hash seed."""
    return sorted(members, key=lambda member: random.Random(f"{seed} {member}").random())


def by_table(seed: int, members: Sequence[str]) -> list[str]:
    """The same with another order from five members on, where the table of a set grows."""
    return by_seed(2 * seed + (len(members) > 4), members)


@pytest.mark.parametrize("ordered", [by_seed, by_table])
@pytest.mark.parametrize("vocabulary", [2, 3, 5, 7])
def test_sets_in_hash_order_raise_no_alarm(ordered: Callable[[int, Sequence[str]], list[str]], vocabulary: int) -> None:
    """Four instances with hash seeds of their own, and answers with some of the members each; seeds are fixed."""
    words, false, chance = [f"w{n}" for n in range(vocabulary)], 0, random.Random(vocabulary)
    for _ in range(100):
        seeds = [chance.getrandbits(40) for _ in range(4)]
        subsets = [chance.sample(words, chance.randrange(2, vocabulary + 1)) for _ in range(12)]
        false += verdict(tagged([ordered(seed, subset) for seed in seeds]) for subset in subsets) == REGRESSION
    assert false <= 1


def test_ties_of_a_hidden_key_are_the_one_thing_left_to_luck() -> None:
    """All that four processes may give which draw an order for each of two kinds of answers: what is said of it is counted."""
    orders = list(permutations("ab"))
    drawn = [(one, two) for one in product(orders, repeat=4) for two in product(orders, repeat=4)]
    pairs = [four for four in drawn if all(one[0] == one[1] and one[2] == one[3] for one in four)]
    shown = [
        four
        for four in pairs
        if any(one[0] != one[2] for one in four) and any(four[0][n] != four[1][n] for n in (0, 2))
    ]
    seen = [four for four in drawn if any(len(set(one)) > 1 for one in four)]

    assert len(shown) / len(seen) == pytest.approx(1 / 25.2)


def test_a_close_reads_the_answers_again(tmp_path: Path) -> None:
    """From the journal, where rows leave it undecided; without one it stays so. The ledger balances either way."""
    listed = [json.dumps({"tags": tags}).encode() for tags in (AB, BA)]
    home = observed(tmp_path, [listed[n % 2] for n in range(30)], listed[0])
    journal = open_journal(home.path)
    with open_store(home.path) as store:
        maker = RowMaker(spec(), Differ())
        for n in range(30):
            maker.add(poisoned_runs.observation(n, listed[n % 2], listed[0]), 0, n // FRAME)
        store.insert("results", maker.take())
        results = [
            close_run(store, spec(), state="finished", reason="", selected=30, fired_per_s=1.0, journal=one)
            for one in (None, journal)
        ]
    journal.close()

    assert [len(result["groups"]) for result in results] == [0, 1]
    assert results[1]["groups"][0]["where"] == WHERE
    assert [run_identities(result["ledger"]) for result in results] == [[], []]
