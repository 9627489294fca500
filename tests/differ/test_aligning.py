"""Elements of two arrays are paired so that least differs: laws against exhaustive search, keys and moves."""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
from hypothesis import assume, example, given, settings, strategies as st

from differ import matching
from differ.aligning import aligned, by_members
from differ.assigning import assigned
from differ.compare import Compared, compare
from differ.context import Context
from differ.difference import GREEDY, PERMUTATION, Difference
from differ.keying import learned
from differ.matching import Effort, leaves
from echolane.exchange import Body, Response

small = st.sampled_from([0, 1, 2, "x", None, True, 1.5])
objects = st.fixed_dictionaries({"a": small, "b": small, "c": small})
elements = st.one_of(objects, small, st.lists(small, max_size=3), st.dictionaries(st.sampled_from("ab"), small))


def answer(tree: Any) -> Response:
    """An answer of JSON."""
    data = tree if isinstance(tree, bytes) else orjson.dumps(tree)
    return Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(data, len(data)))


def told(old: Any, new: Any, context: Context | None = None) -> Compared:
    """What a comparison of two trees finds."""
    return compare(answer(old), answer(new), context or Context())


def by_place(old: Any, new: Any) -> dict[tuple[str, str], Difference]:
    """The differences of two trees."""
    found = told(old, new)
    assert not found.uncomparable
    return {(d.where, d.kind): d for d in found.differences}


def held(value: Any, place: str = "") -> Counter[str]:
    """The leaves of an element, by definition: where, and what."""
    if isinstance(value, dict) and value:
        return sum((held(item, f"{place}.{key}") for key, item in value.items()), Counter[str]())
    if isinstance(value, list) and value:
        return sum((held(item, f"{place}[]") for item in value), Counter[str]())
    return Counter({f"{place}={orjson.dumps(value).decode()}": 1})


def distance(one: Any, two: Any) -> int:
    """Leaves that one has and the other has not."""
    left, right = held(one), held(two)
    return ((left - right) + (right - left)).total()


def least(old: list[Any], new: list[Any]) -> int:
    """The least sum of distances over all ways to pair the shorter side's elements."""
    short, long = sorted((old, new), key=len)
    costs = [[distance(one, two) for two in long] for one in short]
    return min(
        sum(costs[row][column] for row, column in enumerate(way))
        for way in itertools.permutations(range(len(long)), len(short))
    )


@given(st.integers(1, 5), st.integers(0, 2), st.data())
def test_an_assignment_costs_the_least(rows: int, more: int, data: st.DataObject) -> None:
    """The sum of costs is that of exhaustive search, and no column is used twice."""
    line = st.lists(st.integers(0, 9), min_size=rows + more, max_size=rows + more)
    costs = data.draw(st.lists(line, min_size=rows, max_size=rows))
    found = assigned(costs)

    assert len(set(found)) == rows
    assert sum(costs[row][column] for row, column in enumerate(found)) == min(
        sum(costs[row][column] for row, column in enumerate(way))
        for way in itertools.permutations(range(rows + more), rows)
    )


@settings(max_examples=200, deadline=None)
# To Python -1 and -2 have one hash, and an empty text is written as two quotes.
@example([{"a": -1, "b": 0}], [{"a": -2, "b": 0}, {"a": -1, "b": 0, "c": 0}])
@example([[""]], [["''"], ["", 0]])
@example([[0, 1]], [[0, "x"], [2, 1, 3]])
@given(st.lists(elements, min_size=1, max_size=5), st.lists(elements, min_size=1, max_size=5))
def test_without_a_key_the_least_differs(old: list[Any], new: list[Any]) -> None:
    """Whatever the elements: the pairs have the least sum of distances that any way of pairing has."""
    assume(learned(old, new) is None)
    fit = aligned(old, new, Effort())
    paired = 0 if fit is None else sum(distance(one, two) for one, two in zip(fit.olds, fit.news, strict=True))

    assert paired == least(old, new)


@settings(max_examples=150, deadline=None)
@given(st.lists(objects, min_size=1, max_size=5), st.lists(objects, min_size=1, max_size=5))
def test_what_is_reported_is_least(old: list[Any], new: list[Any]) -> None:
    """Objects of the same keys: as many values are reported as the best of all ways of pairing has."""
    assume(learned(old, new) is None)
    found = told({"x": old}, {"x": new})
    values = sum(d.count for d in found.differences if d.where.startswith("body:$.x[*].") and d.kind != "moved")

    assert 2 * values == least(old, new)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 3), st.sampled_from(["id", "sku"]), st.data())
def test_with_a_key_the_least_of_the_rest_differs(
    gone: int, came: int, kept: int, name: str, data: st.DataObject
) -> None:
    """Elements of one key belong together; those whose keys are on one side only are paired so that least differs."""
    assume(kept >= max(1, min(gone, came)))
    both = [f"k{n}" for n in range(kept)]

    def side(keys: list[str]) -> list[dict[str, Any]]:
        return data.draw(st.permutations([{name: key, **data.draw(objects)} for key in keys]))

    old, new = side(both + [f"o{n}" for n in range(gone)]), side(both + [f"n{n}" for n in range(came)])
    assume(old != new)
    fit = aligned(old, new, Effort())
    if fit is None:
        assert sorted(map(orjson.dumps, old)) == sorted(map(orjson.dumps, new))
        return
    keyed = {one[name]: two[name] for one, two in zip(fit.olds, fit.news, strict=True)}
    rest = [[item for item in items if item[name] not in both] for items in (old, new)]

    assert all(keyed.get(key, key) == key for key in both)
    assert sum(distance(one, two) for one, two in zip(fit.olds, fit.news, strict=True) if one[name] not in both) == (
        least(*rest) if all(rest) else 0
    )


def test_a_changed_element_is_not_blamed_on_its_neighbours() -> None:
    """Without a key: one element inserted in front, one removed, two changed; only the changed members differ."""
    old = [{"at": {"x": n, "y": n * n}, "on": n % 2 == 0, "r": [n, n + 1]} for n in range(30)]
    new = [{"at": {"x": -1, "y": -1}, "on": True, "r": [7]}, *copy.deepcopy(old)]
    new[9]["r"] = [0]
    new[21]["on"] = None
    del new[15]
    found = by_place(old, new)

    assert ("body:$[*].on", "type") in found
    assert ("body:$[*].at.x", "value") in found  # what came stands for what went
    assert found["body:$[*].at.x", "value"].count == 1
    assert ("body:$", "order") not in found


def test_an_element_that_changed_and_moved_is_moved() -> None:
    """Kind moved at the elements, beside the member that changed; equal ones that moved are another order."""
    old = [{"b": [n, f"t{n}", n / 2, n + 50], "c": {"d": 1}, "f": 1} for n in range(6)]
    new = [{**item, "f": 100 + n} for n, item in enumerate(old)]
    new.insert(0, new.pop(4))
    found = by_place(old, new)

    assert set(found) == {("body:$[*]", "moved"), ("body:$[*].f", "value")}
    assert found["body:$[*]", "moved"].count == 1
    assert not found["body:$[*]", "moved"].flags & PERMUTATION


def test_noise_that_looks_like_another_element_moves_nothing() -> None:
    """Two elements that swap one noisy value are still where they were."""
    old = [{"kind": "cpu", "ok": True, "load": 3}, {"kind": "cpu", "ok": True, "load": 7}]
    new = [{"kind": "cpu", "ok": True, "load": 7}, {"kind": "cpu", "ok": True, "load": 4}]

    assert {kind for _, kind in by_place(old, new)} <= {"value"}


@pytest.mark.parametrize(
    "member",
    ["sku", "accountNumber", "mail"],
)
def test_a_key_is_learned(member: str) -> None:
    """A member that all elements have and no two share is a key, whatever its name, in arrays of any length."""
    old = [{member: f"{n}-{n * 7919 % 1000}", "size": n % 3, "tags": ["t"]} for n in range(300)]
    new = copy.deepcopy(old)
    random.Random(1).shuffle(new)
    new[5]["size"] = 9
    found = by_place(old, new)

    assert set(found) == {("body:$", "order"), ("body:$[*].size", "value")}
    assert found["body:$[*].size", "value"].count == 1
    assert not found["body:$[*].size", "value"].flags & GREEDY


def test_a_key_of_several_members_and_one_in_a_wrapper_are_learned() -> None:
    """Two members that are unique only together, and the id inside an envelope around each element."""
    for old in (
        [{"row": r, "column": c, "v": 1} for r in range(12) for c in range(11)],
        [{"node": {"id": n, "v": n % 3}, "rank": 0} for n in range(132)],
    ):
        assert learned(old, old[::-1])
        new = copy.deepcopy(old)
        random.Random(2).shuffle(new)
        new[7] = {**new[7], "rank": 5}

        assert {kind for _, kind in by_place(old, new)} <= {"order", "value", "added"}
        assert sum(d.count for d in by_place(old, new).values()) == 2


def test_a_number_that_counts_is_no_key() -> None:
    """Ranks say where an element stands: after an insertion in front, elements are still compared with themselves."""
    old = [{"rank": n, "point": {"x": n * 7 % 101, "y": n * 11 % 103}} for n in range(40)]
    new = [{"rank": 0, "point": {"x": -5, "y": -5}}, *({**item, "rank": item["rank"] + 1} for item in old)]

    assert set(by_place(old, new)) == {("body:$", "length"), ("body:$[*].rank", "value")}


def test_arrays_shuffled_at_every_level_are_orders() -> None:
    """Rows of numbers in another order, and each row's numbers too: two orders and no value."""
    chance = random.Random(5)
    rows = [[chance.randrange(10**6) for _ in range(30)] for _ in range(300)]
    worst = [chance.sample(row, len(row)) for row in chance.sample(rows, len(rows))]

    assert set(by_place(rows, worst)) == {("body:$", "order"), ("body:$[*]", "order")}


def test_equal_elements_that_were_inserted_move_nothing() -> None:
    """One more of what is there several times is no new order."""
    assert set(by_place(list("abacad"), list("babaxcaad"))) == {("body:$", "length")}
    assert ("body:$", "order") in by_place(list("abcd"), list("badcx"))


def test_rows_of_the_same_numbers_belong_together() -> None:
    """A table shuffled at every level: each row has its own again, however many and long they are, and nothing is greedy."""
    chance = random.Random(6)
    old = [[chance.randrange(10**6) for _ in range(matching.LEAVES_MAX + 9)] for _ in range(matching.SQUARE_MAX * 4)]
    new = [chance.sample(row, len(row)) for row in chance.sample(old, len(old))]
    fit = aligned(old, new, Effort())

    assert fit is not None
    assert all(sorted(one) == sorted(two) for one, two in zip(fit.olds, fit.news, strict=True))
    assert (fit.moved, fit.greedy) == (True, False)


@given(st.lists(st.lists(st.integers(0, 2) | st.booleans() | st.text("ab", max_size=1), max_size=3), max_size=5))
def test_rows_need_an_own_partner_each(old: list[Any]) -> None:
    """Rows that come twice, mixed or empty ones are left to the match of all others; turned rows stay in one order."""
    new = [row[::-1] for row in old]
    fit = by_members(old, new)
    sound = all(len(set(map(type, row))) == 1 and type(row[0]) is not bool for row in old)

    assert (fit is not None) == (sound and len({tuple(sorted(row)) for row in old}) == len(old))
    assert fit is None or (fit.olds, fit.news, fit.moved) == (old, new, False)


def test_more_elements_than_are_assigned_exactly_are_said_to_be() -> None:
    """Beyond SQUARE_MAX elements without a key pairs are found greedily; differences there carry a flag, others do not."""
    chance = random.Random(4)

    def pair(count: int) -> tuple[list[Any], list[Any]]:
        old = [[[chance.randrange(50)], {"v": chance.randrange(50)}, chance.randrange(3)] for _ in range(count)]
        return old, [[item[0], item[1], 9] for item in chance.sample(old, count)]

    old, new = pair(matching.SQUARE_MAX * 4)
    few, other = pair(8)
    flags = {d.where: bool(d.flags & GREEDY) for d in told({"a": old, "b": few}, {"a": new, "b": other}).differences}

    assert {flag for where, flag in flags.items() if where.startswith("body:$.a")} == {True}
    assert {flag for where, flag in flags.items() if where.startswith("body:$.b")} == {False}


@example(
    [0, {"a": 0, "b": 0, "c": 0}, {"a": 0, "b": 0, "c": 1}, 0, [], {"a": 0, "b": 0, "c": 0}],
    [0, [], {"a": 0, "b": 1, "c": 1}, 0, 0, 0],
)
@example([[0, 0, 0], {"a": 1, "b": 0}, {"a": 0, "b": 0, "c": 0}, {}], [{}, {"a": 1}, 0, 0])
@given(st.lists(elements, max_size=6), st.lists(elements, max_size=6))
@settings(max_examples=200, deadline=None)
def test_greedy_pairs_are_mirrored_too(one: list[Any], two: list[Any]) -> None:
    """Beyond the bounds, too, the same pairs are chosen whichever array is first, and the same of them moved."""
    for square, leaves_all in ((1, 60_000), (64, 10), (64, 40), (64, 120)):
        with (
            mock.patch.object(matching, "SQUARE_MAX", square),
            mock.patch.object(matching, "LEAVES_ALL_MAX", leaves_all),
        ):
            there, back = aligned(one, two, Effort()), aligned(two, one, Effort())

        assert (there is None) == (back is None)
        if there is not None and back is not None:
            assert paired(there.olds, there.news) == paired(back.news, back.olds)
            assert len(there.changed) == len(back.changed)
            assert (there.moved, there.greedy) == (back.moved, back.greedy)


def paired(olds: list[Any], news: list[Any]) -> Counter[str]:
    """Pairs of elements, however they are listed."""
    return Counter(map(repr, zip(olds, news, strict=True)))


def test_equally_good_pairs_are_chosen_alike_both_ways() -> None:
    """Each element shares one member with each of two others, in a ring: the same pairs come out whichever side is first."""
    old = [{f"x{i}{j}": 1 for j in range(3) if i != j} for i in range(3)]
    new = [{f"x{i}{j}": 1 for i in range(3) if i != j} for j in range(3)]
    there, back = aligned(old, new, Effort()), aligned(new, old, Effort())

    assert there
    assert back
    assert sorted(map(repr, zip(there.olds, there.news, strict=True))) == sorted(
        map(repr, zip(back.news, back.olds, strict=True))
    )


def test_leaves_are_bounded() -> None:
    """However large and deep an element is, a bounded part of it is looked at."""
    deep: Any = 1
    for _ in range(300):
        deep = [deep, [deep]] if not isinstance(deep, list) else [deep]

    assert len(leaves({str(n): n for n in range(10_000)})) == matching.LEAVES_MAX
    assert len(leaves([[]] * 10_000)) <= matching.LEAVES_MAX
    assert leaves(deep) == []


EXPLAINED: dict[str, str] = {}
"""Cases of the patch suite whose patch touches more or fewer elements than differ, each with the reason."""


@pytest.mark.inputs
def test_patches_of_arrays_touch_what_is_reported(inputs: Path) -> None:
    """The patch suite of others: where one operation inserts, removes or moves an element, that is what is said, and nothing else."""
    kinds = {"add": {"length"}, "remove": {"length"}, "move": {"order"}}
    seen = 0
    for path in sorted((inputs / "suites" / "json-patch").glob("*tests.json")):
        for case in orjson.loads(path.read_bytes()):
            patch = case.get("patch", [])
            if "expected" not in case or case.get("disabled") or len(patch) != 1 or not patch[0]["path"]:
                continue
            operation, doc = patch[0], {"x": case["doc"]}
            holder: Any = case["doc"]
            try:
                for step in operation["path"].split("/")[1:-1]:
                    holder = holder[int(step)] if isinstance(holder, list) else holder[step]
            except (KeyError, ValueError, IndexError, TypeError):
                continue
            inside = str(operation.get("from", "")).rpartition("/")[0] == operation["path"].rpartition("/")[0]
            if (
                not isinstance(holder, list)
                or operation["op"] not in kinds
                or (operation["op"] == "move" and not inside)
            ):
                continue
            seen += 1
            found = {d.kind for d in told(doc, {"x": case["expected"]}).differences}
            assert found == kinds[operation["op"]] or case.get("comment") in EXPLAINED, case
    assert seen >= 10
