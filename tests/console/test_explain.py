"""One sample in every detail: exact, of the whole bodies where they are kept, bounded, harmless to read."""

from __future__ import annotations

import ast
import json
import shutil
import time
from pathlib import Path

import pytest

from console.explain import finding_of, lines
from differ import explain as door
from differ.explain import explain
from echolane.errors import UsageError
from tests.e2e.conftest import world
from tests.e2e.world import World

__all__ = ["world"]

ROOT = Path(__file__).resolve().parents[2]


def told(old: str | None, new: str | None, **how: bool) -> list[tuple[str, str, str | None, str | None]]:
    """Path, kind and both values of each change."""
    found = explain(old, new, **how)
    assert not found.reason
    return [(step.path, step.kind, step.base, step.branch) for step in found.steps]


def test_every_change_is_told_with_its_index_and_its_digits() -> None:
    """Arrays in any order; decimals as they were written; a key that came, a type that changed."""
    old = '{"items":[{"id":1,"price":1.50},{"id":2,"price":2}],"note":"a"}'
    new = '{"items":[{"id":2,"price":2},{"id":1,"price":"1.50"}],"note":"a","more":12345678901234567890123}'

    assert told(old, new) == [
        ("$.items[0].price", "type", "1.50", '"1.50"'),
        ("$.more", "added", None, "12345678901234567890123"),
    ]
    assert told("[1,2]", "[2,1]") == []
    assert len(told("[1,2]", "[2,1]", ordered=True)) == 2


def test_long_texts_are_told_by_lines() -> None:
    """A page is not two walls of text."""
    old = "\n".join(f"<li>{n}</li>" for n in range(300))
    (step,) = explain(old, old.replace("<li>7</li>", "<li>x</li>")).steps

    assert {"-<li>7</li>", "+<li>x</li>"} <= set(step.lines)
    assert len(step.lines) < 12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, "1"),
        ("[" * 900 + "1" + "]" * 900, "[" * 900 + "2" + "]" * 900),
        ('{"a":"\ud800"}', '{"a":NaN}'),
        ('"\\ud800"', '"\\udfff"'),
        ("9" * 5000, "8" * 5000),
        ("\x00\x1b[31m", "{"),
        ("x" * (door.TEXT_MAX + 1), "y"),
    ],
)
def test_whatever_the_values_are_there_is_an_answer(old: str | None, new: str | None) -> None:
    """An explanation or the reason why there is none."""
    found = explain(old, new)

    assert found.reason in {"too-large", "failed"} or found.count


def test_half_a_character_is_told_as_a_question_mark() -> None:
    """What no encoding can write is no reason to tell nothing, as a value and in the lines of a text."""
    assert told(r'{"a":"\ud800","b":1}', r'{"a":"x","b":2}') == [
        ("$.a", "value", '"?"', '"x"'),
        ("$.b", "value", "1", "2"),
    ]
    (step,) = explain(r'{"a":"a\nb\ud800"}', r'{"a":"a\nc"}').steps

    assert "-b?" in step.lines


@pytest.mark.parametrize("patience_s", [0.05, door.WAIT_S])
def test_an_explanation_is_ended_in_time(monkeypatch: pytest.MonkeyPatch, patience_s: float) -> None:
    """Arrays whose best match is dear: the child is ended by the clock or by its limit of computing, and says so."""
    monkeypatch.setattr(door, "WAIT_S", patience_s)
    items = [[n, [n], {"a": 5}] for n in range(34_000)]
    others = [[n, [n], {"a": 6}] for n in reversed(range(34_000))]
    begun = time.monotonic()
    found = explain(json.dumps(items), json.dumps(others))

    assert time.monotonic() - begun < 2 * patience_s + 60  # it would compute for hours
    assert found.reason == "too-slow"


def test_deepdiff_has_one_door() -> None:
    """No other module imports it."""
    for path in ROOT.glob("*/**/*.py"):
        if path.parts[len(ROOT.parts)] in {"echolane", "capture", "replayer", "differ", "console"}:
            names = {
                name
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.Import | ast.ImportFrom)
                for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
            }
            assert ("deepdiff" in names) is (path == ROOT / "differ" / "explain.py"), path


def test_a_finding_is_named_by_its_beginning() -> None:
    """One match is meant; none and several are told apart."""
    result = {"groups": [{"id": "abc1"}], "noise": [{"id": "abd1"}]}

    assert finding_of(result, "abc")["id"] == "abc1"
    for text in ("ab", "x"):
        with pytest.raises(UsageError):
            finding_of(result, text)


def test_of_findings_with_one_id_the_gravest_is_meant() -> None:
    """One change may be a regression at one endpoint and undecided at another; no longer beginning tells them apart."""
    result = {"groups": [{"id": "abc1", "kind": "value"}], "undecided": [{"id": "abc1", "kind": "x"}]}

    assert finding_of(result, "abc1")["kind"] == "value"


def test_a_stored_run_is_explained(world: World) -> None:
    """A finding of a real run, by the bodies in the journal, and by the sample's values when those are gone."""
    world.record(world.app(), [(f"/items/{n}", {}) for n in range(1, 9)])
    _, result = world.run("--base-cmd", world.app_command(), "--branch-cmd", world.app_command("price"))
    finding = result["groups"][0]
    words = ("show", "latest", "--explain", finding["id"][:8], "--home", world.home)
    found = world.call(*words, "--json").result
    shown = world.call(*words)

    assert (found["of"], found["finding"], found["reason"]) == ("bodies", finding["id"], None)
    assert [(one["path"], one["kind"]) for one in found["changes"]] == [("$.price", finding["kind"])]
    assert found["changes"][0]["base"] == finding["samples"][0]["base"]
    assert shown.code == 0
    assert "$.price" in shown.out
    assert found["changes"][0]["branch"] in shown.out
    assert world.call("show", "latest", "--explain", "zzz", "--home", world.home).code == 2
    shutil.rmtree(next((world.home / "journal").glob("observations.*")))
    assert world.call(*words, "--json").result["of"] == "values"


def test_a_terminal_gets_no_control_characters() -> None:
    """Foreign text stays text."""
    step = {"path": "$.a", "kind": "value", "base": "\x1b[2J", "branch": None, "lines": []}
    found = {
        **dict.fromkeys(("endpoint", "where", "exchange"), "\x1b]0;x\x07"),
        "kind": "value", "of": "values", "ordered": False, "reason": None, "count": 1, "changes": [step], "elsewhere": [],
    }  # fmt: skip

    assert all(line.isprintable() for line in lines(found))
