"""Functions of custom rules: what they say is explained, and one that crashes, hangs, forks or lies costs its exchange only."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from differ.rows import RowMaker
from differ.rules import Pair, Unanswered
from differ.rules_custom import FAILURES_MAX, HANGS_MAX, Functions, installed
from differ.watch import SetAside
from echolane.observation import ANSWERED, BASE, BRANCH, Observation, Shot, TargetInfo
from echolane.recordings import Recording
from echolane.rules import Rule
from echolane.runspec import RunSpec
from echolane.settings import Differ
from tests.differ.test_rules import ENDPOINT, answer, compared, rule

PLUGINS = """
import os, sys, time
print("imported, and printing")
def same_money(where, kind, base, branch):
    print("noise on stdout")
    os.write(1, b"more noise\\n")
    return round(float(base), 1) == round(float(branch), 1)
def crashes(**_): raise RuntimeError("no")
def exits(**_): os._exit(3)
def leaves(**_): sys.exit(3)
def hangs(**_): time.sleep(60)
def lies(**_): return "yes"
def forks(**_):
    if not os.fork(): time.sleep(0.3)
    return True
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with functions for rules, as pip would install it."""
    (tmp_path / "shop_plugins.py").write_text(PLUGINS, "ascii")
    info = tmp_path / "shop_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-plugins\nVersion: 1.0\n", "ascii")
    names = ("same_money", "crashes", "exits", "leaves", "hangs", "lies", "forks")
    (info / "entry_points.txt").write_text(
        "[echolane.matchers]\n" + "".join(f"{n} = shop_plugins:{n}\n" for n in names), "ascii"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def custom(name: str) -> Rule:
    """A rule that asks a function."""
    return rule("body:$[*].p", matcher="custom", function=name)


def test_a_function_says_what_is_explained(plugins: None) -> None:
    """In a process of its own, whatever it prints; all values of a place in one question."""
    functions = Functions(60.0)
    try:
        assert {"same_money", "hangs"} <= installed()
        old, near, far = ([{"id": n, "p": p} for n in range(30)] for p in (1.0, 1.01, 2.0))
        assert [d.rule for d in compared(old, near, custom("same_money"), ask=functions).differences] == [1]
        assert [d.rule for d in compared(old, far, custom("same_money"), ask=functions).differences] == [0]
    finally:
        functions.close()


@pytest.mark.parametrize("name", ["crashes", "exits", "leaves", "hangs", "lies", "not_there"])
def test_a_function_that_fails_costs_its_exchange_only(plugins: None, name: str) -> None:
    """uncomparable{plugin}, the difference stays as if there were no rule, and the next question finds a process again."""
    functions = Functions(1.5 if name == "hangs" else 60.0)
    try:
        found = compared([{"id": 1, "p": 1.0}], [{"id": 1, "p": 2.0}], custom(name), ask=functions)
        assert found.uncomparable == "plugin"
        assert [(d.where, d.rule) for d in found.differences] == [("body:$[*].p", 0)]
        functions._answer_s = 60.0
        assert (
            compared([{"id": 1, "p": 1.0}], [{"id": 1, "p": 1.01}], custom("same_money"), ask=functions).uncomparable
            == ""
        )
    finally:
        functions.close()


def test_a_function_that_hangs_sets_its_exchange_aside_where_others_wait(plugins: None) -> None:
    """No fault of its own: it is asked again where nothing waits. After three in a row it is not waited for any more; an answer counts anew."""
    functions = Functions(0.2, aside=True)
    question = ("body:$", "value", [("1.0", "1.01")])
    try:
        for _ in range(HANGS_MAX - 1):
            with pytest.raises(SetAside, match=r"`hangs`: it gave no answer within 0\.2 s"):
                functions("hangs", *question)
        functions._hangs["same_money"] = HANGS_MAX - 1
        functions._answer_s = 60.0
        assert functions("same_money", *question) == [True]
        assert "same_money" not in functions._hangs
        functions._answer_s = 0.2
        with pytest.raises(SetAside):
            functions("hangs", *question)
        asked = functions._number
        with pytest.raises(SetAside, match="3 times in a row"):
            functions("hangs", *question)
        assert functions._number == asked
    finally:
        functions.close()


def test_what_a_forked_child_says_answers_no_other_question(plugins: None) -> None:
    """A function that forks has two to answer; the second answer is late, and explains nothing that was asked since."""
    functions = Functions()
    try:
        compared([{"id": 1, "p": 1.0}], [{"id": 1, "p": 2.0}], custom("forks"), ask=functions)
        time.sleep(0.6)
        found = compared([{"id": 1, "p": 1.0}], [{"id": 1, "p": 2.0}], custom("same_money"), ask=functions)
        assert [(d.where, d.rule) for d in found.differences] == [("body:$[*].p", 0)]
    finally:
        functions.close()


def test_more_values_than_a_function_may_be_asked_about_stay_a_difference() -> None:
    """A thousand are asked about in one question; of more, nothing is claimed."""
    asked: list[int] = []

    def agrees(name: str, where: str, kind: str, pairs: list[Pair]) -> list[bool]:
        asked.append(len(pairs))
        return [True] * len(pairs)

    for count, number in ((1000, 1), (1001, 0)):
        old, new = ([{"id": n, "p": p} for n in range(count)] for p in (1, 2))
        assert [d.rule for d in compared(old, new, custom("f"), ask=agrees).differences] == [number]
    assert asked == [1000]


def test_a_function_that_always_fails_is_not_asked_for_ever(plugins: None) -> None:
    """After some faults it costs nothing any more."""
    functions = Functions(5.0)
    try:
        for _ in range(FAILURES_MAX):
            with pytest.raises(Unanswered):
                functions("crashes", "status", "status", [("1", "2")])
        begun = time.process_time()
        for _ in range(1000):
            with pytest.raises(Unanswered):
                functions("crashes", "status", "status", [("1", "2")])
        assert time.process_time() - begun < 2  # a process that is asked anew takes some 50 ms, each time
    finally:
        functions.close()


def test_a_failing_function_is_the_reason_of_the_row() -> None:
    """All answers were compared, so the row has no gap; its reason is plugin."""

    def fails(name: str, where: str, kind: str, pairs: list[Pair]) -> list[bool]:
        raise Unanswered(name)

    spec = RunSpec(
        "r",
        "shop",
        Recording("r", "shop", 0, "everything", []),
        [TargetInfo("")] * 4,
        rules=[rule("body:$.p", matcher="custom", function="f")],
    )
    maker = RowMaker(spec, Differ(), fails)
    shots = [
        Shot(ANSWERED, "", answer({"p": 1})),
        Shot(ANSWERED, "", None, BASE),
        Shot(ANSWERED, "", answer({"p": 2})),
        Shot(ANSWERED, "", None, BRANCH),
    ]
    maker.add(Observation("e", 1, 1, ENDPOINT, "GET", "/items/1", 200, 1, shots), 0, 1)
    columns = maker.take()

    assert (columns["verdict"], columns["reason"], columns["d_where"]) == (["differs"], ["plugin"], [["body:$.p"]])
