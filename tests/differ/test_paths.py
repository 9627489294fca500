"""Paths of places: one concept for JSON, XML and HTML."""

from __future__ import annotations

import pytest

from differ.paths import common, element_of, inside, is_top, leaf_of, parent_of


@pytest.mark.parametrize(
    ("where", "parent", "leaf", "named", "element"),
    [
        ("body:$.a.b", "body:$.a", ".b", ".b", "body:$.a"),
        ("body:$['a.b'][*]", "body:$['a.b']", "[*]", "['a.b']", "body:$['a.b'][*]"),
        ("body:$.a[*].b.c", "body:$.a[*].b", ".c", ".c", "body:$.a[*]"),
        ("body:$['/x[*]/y']", "body:$", "['/x[*]/y']", "['/x[*]/y']", "body:$['/x[*]"),
        ("body:$", "body:$", "", "body:$", "body:$"),
        ("body:/r/D:a", "body:/r", "/D:a", "/D:a", "body:/r"),
        ("body:/r/a/@id", "body:/r/a", "/@id", "/@id", "body:/r/a"),
        ("body:/r", "body:/r", "", "body:/r", "body:/r"),
        ("body:/htmlish/p", "body:/htmlish", "/p", "/p", "body:/htmlish"),
        ("body:/html/body/p", "body:/html/body", "/p", "body:/html/body/p", "body:/html/body"),
        ("body:/html/body/input[@name='q']/@value", "body:/html/body/input[@name='q']", "/@value", "/input[@name='q']/@value", "body:/html/body/input[@name='q']"),
        ("header:etag", "header:etag", "", "header:etag", "header:etag"),
    ],
)  # fmt: skip
def test_a_place_has_a_container_and_a_name(where: str, parent: str, leaf: str, named: str, element: str) -> None:
    """Of any form; what is a document itself, or no tree, is its own container and name."""
    assert parent_of(where) == (parent, leaf)
    assert leaf_of(where) == named
    assert element_of(where) == element
    assert inside(where) == (where != "header:etag")


@pytest.mark.parametrize(
    ("wheres", "wanted", "top"),
    [
        (["body:$.a.b", "body:$.a.c.d"], "body:$.a", False),
        (["body:$.a", "body:$.b"], "body:$", True),
        (["body:/r/a/b", "body:/r/a/c"], "body:/r/a", False),
        (["body:/r/a", "body:/r/ab"], "body:/r", True),
        (["body:/r/a", "body:/s/a"], "body", True),
        (["body:/r/a", "body:$.a"], "body", True),
        (["body:/html/body/p", "body:/html/body/a"], "body:/html/body", True),
        (["body:/html/body/table/tr/td[1]", "body:/html/body/table/tr/td[2]"], "body:/html/body/table/tr", False),
        (["body", "body"], "body", True),
    ],
)
def test_places_have_a_nearest_container(wheres: list[str], wanted: str, top: bool) -> None:
    """Step by step, never by letters; a whole document holds unlike things."""
    assert common(wheres) == wanted
    assert is_top(wanted) == top
