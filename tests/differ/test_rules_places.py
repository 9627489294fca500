"""Patterns over places: what they stand for, through the trie and one by one, and whether two can mean one place."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from differ.rules_places import NoPlace, Trie, covers, intersect, path_of, pattern_of, steps_of

STEPS = st.sampled_from(["a", "b", "c", "[*]"])
PATTERN = st.lists(st.sampled_from(["a", "b", "*", "**", "[*]"]), max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("pattern", "where", "wanted"),
    [
        ("body:$.items[*].price", "body:$.items[*].price", True),
        ("body:$.items[*].price", "body:$.items[*].prices", False),
        ("body:$.items[*].price", "body:$.items.price", False),
        ("body:$.*.price", "body:$.a.price", True),
        ("body:$.*.price", "body:$[*].price", True),
        ("body:$.*.price", "body:$.a.b.price", False),
        ("body:$.**.price", "body:$.price", True),
        ("body:$.**.price", "body:$.a[*].b.price", True),
        ("body:$.meta.**", "body:$.meta", True),
        ("body:$.meta.**", "body:$.meta['a b'][*]", True),
        ("body:$.meta.**", "body:$.metas", False),
        ("body:$['a']", "body:$.a", True),
        ("body:$['*']", "body:$.a", False),
        (r"body:$['it\'s']", r"body:$['it\'s']", True),
        ("header:date", "header:date", True),
        ("header:date", "trailer:date", False),
        ("header:set-cookie[sid]", "header:set-cookie[sid]", True),
        ("header:set-cookie[*]", "header:set-cookie[sid]", True),
        ("header:set-cookie", "header:set-cookie[sid]", False),
        ("body:/a/*/@id", "body:/a/b/@id", True),
        ("body:/a/**/@id", "body:/a/b/c/@id", True),
        ("status", "status", True),
        ("body", "body:$.a", False),
    ],
)
def test_a_pattern_stands_for_its_places(pattern: str, where: str, wanted: bool) -> None:
    """One by one, and through the trie."""
    trie = Trie()
    trie.add(pattern_of(pattern), 7)

    assert covers(pattern_of(pattern), steps_of(where)) is wanted
    assert trie.find(steps_of(where)) == ([7] if wanted else [])


@pytest.mark.parametrize(
    "text",
    [
        "items",
        "body:$.",
        "body:$.a[0]",
        "body:$[-1]",
        "body:$['a",
        "header:Date",
        "header:",
        "body:/a//b",
        "body:/a*",
        "header:x-*",
        "",
        "**x",
    ],
)
def test_what_is_no_place_is_said(text: str) -> None:
    """A text that is no place is refused, not taken for something else."""
    with pytest.raises(NoPlace):
        pattern_of(text)


@given(st.lists(PATTERN, max_size=6), st.lists(STEPS, max_size=5).map(tuple))
def test_the_trie_finds_what_each_pattern_covers(patterns: list[tuple[str, ...]], steps: tuple[str, ...]) -> None:
    """However many patterns share their steps."""
    trie = Trie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern, number)

    assert trie.find(steps) == [n for n, pattern in enumerate(patterns) if covers(pattern, steps)]


@given(PATTERN, PATTERN, st.lists(STEPS, max_size=5).map(tuple))
def test_patterns_that_mean_one_place_intersect(
    one: tuple[str, ...], two: tuple[str, ...], steps: tuple[str, ...]
) -> None:
    """A place that both stand for is a proof that they intersect, in either order."""
    assert intersect(one, two) == intersect(two, one)
    if covers(one, steps) and covers(two, steps):
        assert intersect(one, two)


def test_patterns_of_different_places_do_not_intersect() -> None:
    """Names that differ part them, whatever wildcards stand around."""
    assert not intersect(pattern_of("body:$.a.**.x"), pattern_of("body:$.b.**.x"))
    assert not intersect(path_of("/v1/*"), path_of("/v1/a/b"))
    assert intersect(path_of("/v1/**"), path_of("/v1/{id}/b"))


def test_a_path_covers_templates() -> None:
    """A parameter by any name is a parameter; * takes one segment, ** any number."""
    assert covers(path_of("/items/{n}"), path_of("/items/{id}"))
    assert covers(path_of("/items/*"), path_of("/items/{id}"))
    assert not covers(path_of("/items/*"), path_of("/items/{id}/parts"))
    assert covers(path_of("/**"), path_of("/"))
