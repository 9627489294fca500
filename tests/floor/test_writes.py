"""Which writes a run may fire: routes, the first rule that fits, and rules that are none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from console.write_rules import write_rules
from echolane.errors import UsageError
from echolane.settings import load
from echolane.writes import WriteRule, checked_route, rule_for


@pytest.mark.parametrize(
    ("route", "method", "target", "fits"),
    [
        ("POST /orders", "POST", "/orders", True), ("POST /orders", "POST", "/orders?x=/y", True), ("POST /orders", "PUT", "/orders", False),
        ("POST /orders", "POST", "/orders/", False), ("POST /orders", "POST", "/orders/1", False), ("POST /orders", "POST", "/v1/orders", False),
        ("POST /orders/*/pay", "POST", "/orders/17/pay", True), ("POST /orders/*/pay", "POST", "/orders/17/x/pay", False),
        ("POST /orders/*/pay", "POST", "/orders//pay", True), ("PUT,PATCH /a/**", "PATCH", "/a/b/c", True), ("PUT,PATCH /a/**", "POST", "/a/b", False),
        ("* /a/**", "DELETE", "/a", True), ("* /**/pay", "DELETE", "/x/y/pay", True), ("* /**/pay", "DELETE", "/pay", True),
        ("* /**", "DELETE", "/", True), ("POST /a.b", "POST", "/aXb", False), ("POST /f*.json", "POST", "/foo.json", True),
    ],
)  # fmt: skip
def test_a_route_fits_a_request(route: str, method: str, target: str, fits: bool) -> None:
    """Method and path, segment by segment; the query is no part of it."""
    assert (rule_for([WriteRule(route, False, "why")], method, target) is not None) is fits


@given(st.lists(st.sampled_from(["a", "b", "", "long" * 9]), max_size=12))
def test_any_number_of_segments_is_any_path(parts: list[str]) -> None:
    """`**` fits every path, and what stands before and after it must be there."""
    path = "/" + "/".join(parts)
    assert rule_for([WriteRule("* /**", True, "why")], "POST", path) is not None
    assert (rule_for([WriteRule("* /a/**/b", True, "why")], "POST", path) is not None) == (
        path.startswith("/a/") and path.endswith("/b") and len(path) > 3
    )


def test_the_first_rule_decides() -> None:
    """A narrow exception before a wide rule."""
    rules = [WriteRule("POST /orders/*", True, "test data"), WriteRule("* /**", False, "all else")]
    assert [rule.reason for path in ("/orders/1", "/users") if (rule := rule_for(rules, "POST", path))] == [
        "test data",
        "all else",
    ]


def test_a_hostile_path_takes_no_time() -> None:
    """Many wildcards against a long path that does not fit."""
    rule = WriteRule("* /**/a/**/b*c/**/e", False, "why")
    begun = time.process_time()
    assert rule_for([rule], "POST", "/a/bcdcdcd" * 2_000 + "/" + "bc" * 2_000) is None
    assert time.process_time() - begun < 5


WRITTEN = '[[writes]]\nroute = "POST /pay"\nfire = false\nreason = "charges a card"\n'


def test_rules_are_read_with_their_lines(tmp_path: Path) -> None:
    """In their order, beside settings and rules; without a file there are none."""
    path = tmp_path / "echolane.toml"
    assert write_rules(path) == []
    path.write_text(
        f'home = "h"\n\n{WRITTEN}\n[[writes]]\nroute = "* /**"\nfire = true\nreason = "test data"\n', "utf-8"
    )
    assert write_rules(path) == [
        WriteRule("POST /pay", False, "charges a card", f"{path} line 3"),
        WriteRule("* /**", True, "test data", f"{path} line 8"),
    ]
    assert load({}, {}, path).home == "h"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WRITTEN.replace("/pay", "pay"), "line 1: `POST pay` is no route"),
        (WRITTEN.replace("POST ", ""), "line 1: `/pay` is no route"),
        (WRITTEN.replace("POST", "post"), "is no route"),
        (WRITTEN.replace("false", '"no"'), "needs `fire`, true or false"),
        (WRITTEN.replace("charges a card", ""), "needs `reason`, a text"),
        (WRITTEN + "owner = 'me'\n", "has no `owner`"),
        ("writes = 1\n", "each begins with [[writes]]"),
        ("writes = [1]\n", "needs `route`"),
    ],
)
def test_a_rule_that_is_none_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    """What is missing or wrong, and where."""
    path = tmp_path / "echolane.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        write_rules(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_route_is_checked() -> None:
    """It is given back as it is; two stars in a segment would take too long against a long one."""
    with pytest.raises(UsageError, match="more than one"):
        checked_route("POST /a*b*c")
    assert checked_route("PUT,PATCH /a/**") == "PUT,PATCH /a/**"
