"""Two runs beside each other: each finding once, as new, gone, changed or the same; by ids, never by chance; harmless whatever was recorded."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, strategies as st

from console.api.page_compare import ROWS_MAX, compared
from console.two_runs import CHANGES, compare, counts, ledgers
from tests.console.results import RESULTS, failing
from tests.console.results_findings import finding

Result = dict[str, Any]
MIRROR = {"new": "gone", "gone": "new", "changed": "changed", "same": "same"}


KNOWN = set(
    "html head meta title link body a header svg path circle form input button main section div h1 h2 p span time code b table thead tbody "  # noqa: SIM905
    "tr th td details summary footer nav script".split()
)


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"} and value != "/logout"]


def made(*told: tuple[str, str, int, int]) -> Result:
    """A run that tells these: id, verdict, in how many of how many exchanges."""
    result = failing()
    result |= {"groups": [], "undecided": [], "noise": [], "expected": []}
    parts = {"regression": "groups"}
    for id, verdict, differing, observed in told:  # noqa: A001
        one = finding("GET /a", f"body:$.{id}", "value", "visible", [], verdict=verdict)
        result[parts.get(verdict, verdict)].append({**one, "id": id, "differing": differing, "observed": observed})
    return result


def by_change(before: Result, after: Result) -> dict[str, list[str]]:
    """The ids of each change."""
    found: dict[str, list[str]] = {change: [] for change in CHANGES}
    for pair in compare(before, after):
        found[pair.change].append(pair.id)
    return {change: sorted(ids) for change, ids in found.items() if ids}


def test_each_sort_of_change_is_told() -> None:
    """By its id: there only, here only, heavier or oftener, alike; what is noise in one run is no finding there, and the side says so; undecided alone is none."""
    before = made(
        *(
            ("a", "regression", 1, 10),
            ("b", "regression", 5, 10),
            ("c", "regression", 5, 10),
            ("d", "undecided", 1, 10),
        ),
        *(("e", "noise", 3, 10), ("f", "regression", 4, 10), ("g", "noise", 1, 10), ("i", "regression", 3, 9)),
    )
    after = made(
        *(
            ("b", "regression", 6, 10),
            ("c", "regression", 10, 20),
            ("d", "regression", 1, 10),
            ("e", "regression", 3, 10),
        ),
        *(("f", "noise", 4, 10), ("g", "noise", 9, 10), ("h", "undecided", 1, 10), ("i", "regression", 3, 9)),
    )
    after["groups"][-1]["severity"] = "breaking"

    assert by_change(before, after) == {
        "new": ["e"],
        "gone": ["a", "f"],
        "changed": ["b", "d", "i"],
        "same": ["c"],
    }
    found = {pair.id: pair for pair in compare(before, after)}
    assert found["e"].before is not None
    assert found["e"].before["verdict"] == "noise"
    assert found["f"].after is not None
    assert found["f"].after["verdict"] == "noise"
    assert found["a"].shown["id"] == "a"
    assert counts(compare(before, after)) == {"new": 1, "gone": 2, "changed": 3, "same": 1}


TOLD = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.sampled_from(["regression", "undecided", "noise", "expected"]),
        st.integers(0, 9),
        st.integers(9, 12),
    ),
    max_size=10,
    unique_by=lambda one: one[0],
)


@given(TOLD, TOLD)
def test_two_runs_the_other_way_round_are_their_mirror(one: list[Any], other: list[Any]) -> None:
    """New is gone; every finding of either run is told once; a run beside itself is the same."""
    before, after = made(*one), made(*other)
    there, back = by_change(before, after), by_change(after, before)
    found = {told[0] for told in (*one, *other) if told[1] == "regression"}

    assert {MIRROR[change]: ids for change, ids in back.items()} == there
    assert sorted(one for ids in there.values() for one in ids) == sorted(found)
    assert set(by_change(before, before)) <= {"same"}


def test_accounts_stand_beside_each_other(fail: Result) -> None:
    """Each whole once, its parts below it, with the numbers of both ledgers."""
    other = RESULTS["pass"]()
    rows = {name: (was, now) for name, was, now in ledgers(fail, other)}

    assert list(rows)[:3] == ["selected", " fired", " skipped"]
    assert rows["selected"] == (fail["ledger"]["selected"], other["ledger"]["selected"])
    assert rows[" same"] == (fail["ledger"]["same"], other["ledger"]["same"])
    assert len(rows) == len(ledgers(fail, other))


def test_the_page_has_no_markup_of_theirs(poisoned: Result, fail: Result) -> None:
    """Hostile values make no element, attribute or address of their own; links lead to the two runs alone."""
    for text in (compared(poisoned, fail, word="w"), compared(fail, poisoned, word="w")):
        seen = Elements()
        seen.feed(text)
        assert seen.names <= KNOWN
        assert text.count("<script") == 1
        assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
        assert all(
            link.startswith(("/runs/", "#main", "/assets/", "data:image/svg"))
            or link in {"/", "/recordings", "/api/v1/docs"}
            for link in seen.links
        )


@pytest.mark.parametrize("number", [0, 10_000])
def test_the_page_is_bounded(number: int) -> None:
    """Ten thousand new findings are counted, and the gravest shown, within a second; none at all is said."""
    before, after = made(), made(*((f"f{n:05}", "regression", 1, 2) for n in range(number)))
    began = time.process_time()
    text = compared(before, after, word="")

    assert time.process_time() - began < 2.0
    assert len(text) < 400_000
    assert text.count('class="row pair"') == min(number, ROWS_MAX)
    assert (f"{number:,} new" if number else "No finding in either run") in text
