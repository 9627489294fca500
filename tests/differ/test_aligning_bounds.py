"""Arrays that want to hurt: many, long, deep, or hard to tell apart. Each ends in time, with differences or with the reason why not."""

from __future__ import annotations

import random
import time
from typing import Any
from unittest import mock

import orjson
import pytest

from differ import matching
from differ.aligning import by_equality
from differ.compare import compare
from differ.context import Context
from differ.difference import GREEDY, PERMUTATION
from tests.differ.test_aligning import answer, told


def hard(name: str) -> tuple[Any, Any]:
    """Arrays whose elements are hard to tell apart, or many, within a megabyte."""
    chance = random.Random(9)

    def rows(count: int, width: int, values: int) -> list[list[Any]]:
        return [
            [chance.randrange(values), *({"v": chance.randrange(values)} for _ in range(width))] for _ in range(count)
        ]

    match name:
        case "all alike":  # every assignment is as good as any other
            return rows(64, 8, 2), rows(64, 8, 2)
        case "many squares":
            return [rows(63, 4, 3) for _ in range(100)], [rows(63, 4, 3) for _ in range(100)]
        case "many rows":
            return rows(6000, 8, 40), rows(6000, 8, 40)
        case "many small keys":
            return [[{"a": n % 90, "b": n // 90, "c": 1} for n in range(8000)] for _ in (1,)], [
                [{"a": n % 90, "b": n // 90, "c": n % 5} for n in range(8000, 0, -1)] for _ in (1,)
            ]
        case "nested":
            return [rows(12, 3, 3) for _ in range(900)], [rows(13, 3, 3) for _ in range(900)]
        case _:
            return [f"{n} is a line of words {n % 7}" for n in range(20_000)], [
                f"{n} was a line of words {n % 5}" for n in range(20_000, 0, -1)
            ]


@pytest.mark.parametrize("name", ["all alike", "many squares", "many rows", "many small keys", "nested", "lines"])
def test_no_arrays_blow_up(name: str) -> None:
    """Each pair of at most a megabyte ends in time: with differences, or with the reason why it was given up."""
    old, new = map(orjson.dumps, hard(name))
    one, two = answer(old), answer(new)
    begun = time.process_time()
    found = compare(one, two, Context())
    spent = time.process_time() - begun

    assert found.differences or found.uncomparable
    assert len(old) < 1_100_000
    assert spent < 1.5  # a quarter of a second on an idle core of today


def test_of_thousands_of_arrays_the_first_are_matched_and_the_rest_paired_in_order() -> None:
    """An array that was tried is cheap to be given up: a document of many still gets its verdict, and says how it was found."""
    count = 3000
    old = [{"id": n, "a": [n, n + 1, n + 2, n + 3], "o": [1, 2, 3]} for n in range(count)]
    new = [{"id": n, "a": [-7, *one["a"]], "o": [1, 2, 3]} for n, one in enumerate(old)]
    new[-1]["o"] = [3, 1, 2]
    with mock.patch("differ.aligning.by_equality", wraps=by_equality) as tried:
        found = told(old, new, Context(time_s=60))
    kinds = {(one.where, one.kind): one for one in found.differences}

    assert not found.uncomparable
    assert 0 < tried.call_count < matching.TRIED_ALL_MAX / matching.TRIED_EACH
    assert kinds["body:$[*].a", "length"].count == count
    assert kinds["body:$[*].a", "length"].flags & GREEDY
    assert kinds["body:$[*].o", "order"].flags == PERMUTATION


def test_a_long_array_deep_inside_others_ends_in_time() -> None:
    """Arrays in arrays, each of which has changed, around one of two megabytes: the time box holds though there are few nodes."""

    def nested(start: int) -> bytes:
        return b"".join(b"[%d," % (start + n) for n in range(240)) + orjson.dumps(core) + b"]" * 240

    core = list(range(10**6, 10**6 + 250_000))
    old = nested(0)
    core[-1] = 0
    new = nested(1000)
    begun = time.process_time()
    found = told(old, new, Context(time_s=0.05))

    assert found.uncomparable == "too-slow"
    assert found.differences
    assert time.process_time() - begun < 1


def test_a_million_differences_are_counted() -> None:
    """Ten megabytes of numbers of which each differs: one place, bounded excerpts, and the exact count."""
    old, new = orjson.dumps(list(range(10**6, 2 * 10**6))), orjson.dumps(list(range(-(10**6), -(2 * 10**6), -1)))
    found = told(old, new, Context(time_s=10))

    assert not found.uncomparable
    assert [(d.where, d.kind, d.count) for d in found.differences] == [("body:$[*]", "value", 10**6)]


def test_a_million_places_are_given_up_with_what_was_found() -> None:
    """Where each difference is a place of its own, the report is bounded and says so."""
    found = told({f"k{n}": 1 for n in range(500_000)}, {f"n{n}": 1 for n in range(500_000)}, Context(time_s=10))

    assert found.uncomparable == "too-many-differences"
    assert len(found.differences) <= 10_001
