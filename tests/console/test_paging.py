"""Pages of lists: each thing once, whatever is added or removed between two calls."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET

from console.api.paging import Cursor, in_order, newest_first
from console.api.problems import Problem

Thing = tuple[int, str]
THINGS = st.lists(st.tuples(st.integers(0, 5), st.text("abc-", min_size=1, max_size=3)), unique=True, max_size=30)


def key(thing: Thing) -> Thing:
    """The time and the name of a thing."""
    return thing


@given(things=THINGS, added=THINGS, gone=st.sets(st.integers(0, 29)), limit=st.integers(1, 7))
def test_what_changes_between_two_pages_neither_repeats_nor_skips(
    things: list[Thing], added: list[Thing], gone: set[int], limit: int
) -> None:
    """Newest first, page by page: what is there all the time comes once, in order, also where others come and go after the first page."""
    page, cursor = newest_first(things, key, UNSET, limit)
    found = list(page)
    stays = [thing for at, thing in enumerate(things) if at not in gone]
    later = list({*stays, *added})
    while cursor is not None:
        page, cursor = newest_first(later, key, cursor, limit)
        found += page
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=lambda thing: (-thing[0], thing[1]))
    assert set(stays) <= set(found)


def test_a_list_in_an_order_of_its_own_goes_on_behind_what_the_cursor_names() -> None:
    """What was put before it between two pages shifts nothing; a name that is not there is said."""
    names = list("cafebd")
    page, cursor = in_order(names, str, UNSET, 2)
    assert (page, cursor) == (["c", "a"], "a")
    found: list[str] = []
    after: Cursor | None = cursor
    while after is not None:
        page, after = in_order(["x", *names], str, after, 2)
        found += page
    assert found == ["f", "e", "b", "d"]
    assert in_order([], str, UNSET, 2) == ([], None)
    with pytest.raises(Problem, match="`nowhere` is not in this list; begin without one"):
        in_order(names, str, "nowhere", 2)


@given(things=st.lists(st.integers(0, 9), max_size=20), limit=st.integers(1, 4), wanted=st.sets(st.integers(0, 9)))
def test_what_fits_comes_once_in_order_and_ends_with_the_last_that_fits(
    things: list[int], limit: int, wanted: set[int]
) -> None:
    """Chosen among all, page by page: exactly what fits, no page is short before the last, and none is empty but the only one."""
    fit = [thing for thing in things if thing in wanted]
    found: list[int] = []
    after: Cursor | None = UNSET
    while after is not None:
        page, after = in_order(things, str, after, limit, wanted.__contains__)
        found += page
        assert len(page) == limit or after is None
        assert page or not fit
    assert found == fit


@given(names=st.lists(st.sampled_from("abc"), max_size=12), limit=st.integers(1, 4))
def test_things_of_one_name_come_once_each(names: list[str], limit: int) -> None:
    """A finding may be a regression at one endpoint and undecided at another: a list with a name twice has an end, and all of it comes."""
    things = list(enumerate(names))
    page, after = in_order(things, lambda thing: thing[1], UNSET, limit)
    found = list(page)
    while after is not None:
        page, after = in_order(things, lambda thing: thing[1], after, limit)
        found += page
        assert len(found) <= len(things)
    assert found == things
