"""What goes into the store comes out of it: values, types, parameters, pages, and what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from echolane.errors import HomeError
from echolane.store import TABLES, QueryError, Store, client, server
from echolane.store.columns import arrow_type
from echolane.store.literals import literal

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
AGAIN = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@AGAIN
@given(texts=st.lists(TEXT, min_size=1, max_size=20))
def test_any_text_comes_back_as_it_was(any_store: Store, texts: list[str]) -> None:
    """Quotes, control characters, NUL and every script survive a column and an array of texts."""
    run = f"text-{hash(tuple(texts))}"
    any_store.insert(
        "results",
        {
            "run": [run] * len(texts),
            "id": [str(rank) for rank in range(len(texts))],
            "seq": list(range(len(texts))),
            "target": texts,
            "d_old": [texts[:rank] for rank in range(len(texts))],
        },
    )

    rows = any_store.query("SELECT target, d_old FROM results_v WHERE run = {r:String} ORDER BY seq", {"r": run})

    assert [row["target"] for row in rows] == texts
    assert [row["d_old"] for row in rows] == [texts[:rank] for rank in range(len(texts))]


@AGAIN
@given(text=TEXT, texts=st.lists(TEXT, max_size=5), number=st.integers(-(2**63), 2**63 - 1))
def test_a_parameter_is_a_value_and_never_a_part_of_the_statement(
    any_store: Store, text: str, texts: list[str], number: int
) -> None:
    """Whatever a parameter holds, the statement sees exactly that value."""
    (row,) = any_store.query(
        "SELECT {text:String} AS text, {texts:Array(String)} AS texts, {number:Int64} AS number",
        {"text": text, "texts": texts, "number": number},
    )

    assert row == {"text": text, "texts": texts, "number": number}


def test_hostile_parameters_stay_values(any_store: Store) -> None:
    """Quotes, comments, braces and escapes do not end the literal."""
    for text in ["' OR 1=1 --", "\\' ; DROP TABLE results; --", "{x:String}", "\\N", "\\", "a\tb\nc\r\0d", "]'[", ""]:
        (row,) = any_store.query("SELECT {a:String} AS a, {b:Array(String)} AS b", {"a": text, "b": [text, text]})
        assert row == {"a": text, "b": [text, text]}


def test_parameters_of_other_types(any_store: Store) -> None:
    """Numbers, booleans, lists of numbers and nulls are taken as their declared type."""
    (row,) = any_store.query(
        "SELECT {i:UInt64} AS i, {f:Float64} AS f, {b:Bool} AS b, {l:Array(UInt32)} AS l, {n:Nullable(String)} AS n",
        {"i": 2**64 - 1, "f": 0.1, "b": True, "l": [1, 2], "n": None},
    )

    assert row == {"i": 2**64 - 1, "f": 0.1, "b": True, "l": [1, 2], "n": None}


def test_a_parameter_of_no_known_type_is_refused() -> None:
    """Bytes have no type in the store, so they are not guessed at."""
    with pytest.raises(QueryError, match="bytes"):
        literal(b"x")


def test_a_full_row_comes_back_as_it_was(any_store: Store, results: Callable[..., Any]) -> None:
    """Each column of a result keeps its value to the last bit, nanoseconds and 64-bit digests included."""
    columns = results("full", 0, 25)
    any_store.insert("results", columns)

    rows = any_store.query("SELECT * FROM results_v WHERE run = 'full' ORDER BY seq")

    for name, values in columns.items():
        assert [row[name] for row in rows] == values, name
    assert {row["reason"] for row in rows} == {""}


def test_every_table_takes_the_columns_it_names(any_store: Store) -> None:
    """A row of defaults goes into each table and is seen through its view."""
    for table in TABLES:
        (column,) = {"service"} if table in {"noise", "triage"} else {"run"}
        any_store.insert(table, {column: ["defaults"]} | ({"verdict": ["noise"]} if table == "findings" else {}))
        assert len(any_store.query(f"SELECT * FROM {table}_v WHERE {column} = 'defaults'")) == 1


def test_a_lone_surrogate_costs_one_character_and_not_the_batch(any_store: Store) -> None:
    """Text that has no UTF-8 is stored with a replacement character; its neighbours are untouched."""
    any_store.insert(
        "results",
        {
            "run": ["lone"] * 2,
            "id": ["0", "1"],
            "seq": [0, 1],
            "target": ["a\ud800b", "fine"],
            "d_old": [["\udfff"], ["fine"]],
        },
    )

    rows = any_store.query("SELECT target, d_old FROM results_v WHERE run = 'lone' ORDER BY seq")

    assert rows == [{"target": "a?b", "d_old": ["?"]}, {"target": "fine", "d_old": ["fine"]}]


def test_a_character_cut_in_two_by_a_function_is_no_error(any_store: Store) -> None:
    """An answer which is not UTF-8 is read with replacement characters."""
    (row,) = any_store.query("SELECT substring('é', 1, 1) AS cut, 'whole' AS rest")

    assert row == {"cut": "\N{REPLACEMENT CHARACTER}", "rest": "whole"}


def test_what_the_table_does_not_know_is_named(any_store: Store) -> None:
    """An unknown table or column, unequal lengths and a value that does not fit each say which one it is."""
    with pytest.raises(QueryError, match="no table 'nope'"):
        any_store.insert("nope", {"a": [1]})
    with pytest.raises(QueryError, match="no column 'colour'"):
        any_store.insert("results", {"colour": ["red"]})
    with pytest.raises(QueryError, match="differ in length"):
        any_store.insert("results", {"run": ["a", "b"], "seq": [1]})
    with pytest.raises(QueryError, match="column recorded_status"):
        any_store.insert("results", {"run": ["a"], "recorded_status": [70_000]})
    with pytest.raises(QueryError, match="column seq"):
        any_store.insert("results", {"run": ["a"], "seq": ["seven"]})


def test_a_wrong_statement_is_the_callers_fault_and_the_store_goes_on(any_store: Store) -> None:
    """Bad SQL, a missing parameter and a parameter of the wrong type raise QueryError; the next statement works."""
    for sql, params in [
        ("SELEC", None),
        ("SELECT * FROM nope", None),
        ("SELECT {a:String}", None),
        ("SELECT {a:UInt8}", {"a": "x"}),
        ("SELECT throwIf(number = 50000) FROM numbers(100000)", None),
        ("ALTER TABLE results DROP COLUMN nope", None),
    ]:
        with pytest.raises(QueryError):
            any_store.query(sql, params)
    assert any_store.query("SELECT 1 AS one") == [{"one": 1}]


def test_statements_that_answer_nothing(any_store: Store) -> None:
    """An empty answer and a statement without one are both an empty list."""
    assert any_store.query("SELECT * FROM runs_v WHERE run = 'nobody'") == []
    assert any_store.query("OPTIMIZE TABLE runs") == []
    assert list(any_store.stream("SELECT 1 WHERE 0")) == []
    any_store.insert("runs", {})
    any_store.insert("runs", {"run": []})


def test_a_stream_comes_in_pages_of_the_asked_size(any_store: Store) -> None:
    """Every page but the last is full, order is kept, nothing is lost at the seams."""
    pages = list(any_store.stream("SELECT number FROM numbers(25_001) ORDER BY number", rows=1_000))

    assert [len(page) for page in pages] == [1_000] * 25 + [1]
    assert [row["number"] for page in pages for row in page] == list(range(25_001))


def test_pages_of_wide_rows_are_bounded_by_their_bytes(any_store: Store) -> None:
    """Rows of 64 KiB come in pages far below the asked number of rows."""
    pages = [len(page) for page in any_store.stream("SELECT repeat('x', 65536) AS wide FROM numbers(500)")]

    assert sum(pages) == 500
    assert max(pages) <= 129


def test_an_answer_too_large_to_hold_is_refused(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """query() says to stream what it will not collect."""
    for where in (client, server):
        monkeypatch.setattr(where, "ANSWER_BYTES_MAX", 1_000_000)

    with pytest.raises(QueryError, match=r"stream\(\)"):
        any_store.query("SELECT repeat('x', 1000) AS wide FROM numbers(4000)")


def test_reading_may_be_left_in_the_middle_and_mixed_with_writing(any_store: Store) -> None:
    """A half-read stream disturbs neither inserts nor queries nor the next stream."""
    for page in any_store.stream("SELECT number AS n FROM numbers(1_000_000)", rows=100):
        any_store.insert("runs", {"run": ["mixed"], "version": [len(page)]})
        break

    assert any_store.query("SELECT count() AS n FROM runs_v WHERE run = 'mixed'") == [{"n": 1}]
    assert sum(map(len, any_store.stream("SELECT number FROM numbers(300)", rows=100))) == 300


def test_a_statement_that_wants_all_memory_is_refused_and_not_fatal(any_store: Store) -> None:
    """The engine's bound holds: one greedy statement fails with one line, the next works."""
    with pytest.raises(HomeError, match="memory"):
        any_store.query("SELECT length(groupArray(repeat('x', 1000))) FROM numbers(3_000_000)")
    assert any_store.query("SELECT 1 AS one") == [{"one": 1}]


def test_a_large_batch_is_cut_and_whole(any_store: Store, results: Callable[..., Any]) -> None:
    """A batch of more rows than one message holds arrives complete."""
    any_store.insert("results", results("large", 0, 40_000))

    (row,) = any_store.query("SELECT count() AS n, uniqExact(id) AS ids FROM results_v WHERE run = 'large'")

    assert row == {"n": 40_000, "ids": 40_000}


def test_a_caller_that_seeds_its_chance_loses_no_rows(any_store: Store) -> None:
    """Each insert has a name of its own, also where the generator begins anew before it."""
    for rank in range(2):
        random.seed(1)
        any_store.insert("results", {"run": ["seeded"], "id": [str(rank)], "seq": [rank]})

    assert any_store.query("SELECT count() AS n FROM results_v WHERE run = 'seeded'") == [{"n": 2}]


def test_types_that_cannot_be_sent_are_named() -> None:
    """A column of an unknown type is refused by name, not sent as something else."""
    with pytest.raises(QueryError, match="Map"):
        arrow_type("Map(String, String)")
    assert str(arrow_type("Array(LowCardinality(Nullable(String)))")) == "list<item: string>"
