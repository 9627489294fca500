"""JUnit, Markdown and terminal: the same numbers as the page, harmless whatever was recorded, bounded."""

from __future__ import annotations

import html
import io
import json
import re
import shlex
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, strategies as st
from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import Console

from console import words
from console.escapes import json_text, markdown as escaped, markdown_code, telling, terminal, xml
from console.junit import junit
from console.markdown import markdown
from console.page import render_page
from console.progress import Progress
from console.terminal import plain_verdict, print_verdict
from console.words_place import exceptions, place
from console.words_undecided import deciding
from differ.unpaired import MISSING_MAX
from tests.console.results import JUNIT_ELEMENTS
from tests.console.results_findings import finding

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def suite(result: dict[str, Any]) -> ET.Element:
    """The suite as a CI server reads it, from bytes."""
    return ET.fromstring(junit(result).encode("utf-8")).find("testsuite")


def test_junit_counts_what_it_holds(result: dict[str, Any]) -> None:
    """The suite's numbers are those of its cases: a failure a regression, an error without a verdict, a skip where undecided."""
    found = suite(result)

    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(found.get(name)) == len(found.findall(f"testcase/{tag}"))
    assert int(found.get("tests")) == len(found.findall("testcase"))
    assert int(found.get("failures")) == len(result["groups"])
    assert int(found.get("errors")) == (result["verdict"] == "inconclusive")
    assert found.get("time") == "5.757"


def test_junit_is_xml_whatever_was_recorded(poisoned: dict[str, Any]) -> None:
    """Hostile values keep the document well-formed and add no element."""
    found = suite(poisoned)

    assert {each.tag for each in found.iter()} <= JUNIT_ELEMENTS
    assert len(found.findall("testcase/failure")) == 12


@given(st.text(st.characters(), max_size=40))
def test_xml_takes_any_text(text: str) -> None:
    """Any text, with characters that XML 1.0 cannot hold too, is an element's and an attribute's text."""
    parsed = ET.fromstring(f'<a b="{xml(text)}">{xml(text)}</a>'.encode())

    assert parsed.text == parsed.get("b") or (parsed.text or "") == ""


def test_markdown_is_short_and_says_all(result: dict[str, Any]) -> None:
    """At most 60 lines: the verdict first, endpoints by severity, five findings, the account."""
    text = markdown(result)

    assert text.count("\n") <= 60
    assert text.splitlines()[1].startswith("### ")
    assert f"{result['verdict']}: {result['reason'].split(';')[0]}"[:30] in text.splitlines()[1]
    assert "**Account**" in text
    assert text.count("| **") == min(len(result["groups"]), 5)
    assert len(text) < 20_000


def rendered(text: str) -> str:
    """The comment as a host shows it."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_markdown_has_no_markup_of_theirs(poisoned: dict[str, Any]) -> None:
    """A hostile value makes no link, mention, image, element, table cell or line."""
    text = markdown(poisoned)
    page = rendered(text)
    tags = {tag.lower() for tag in re.findall(r"</?([a-zA-Z][\w-]*)", page)}
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)

    assert tags <= {"h3", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "strong", "em", "br"}
    assert {row.count("<td") + row.count("<th") for row in rows} <= {4, 5}
    assert not re.search(r"@\w|(?<!&)#\d|https?://|www\.", text)
    assert not re.search(r"[@#](?!\u200b)", html.unescape(re.sub(r"<!--.*?-->", "", page)))
    assert page.count("<!--") == 1
    assert not CONTROL.search(text.replace("\n", ""))
    assert text.count("\n") <= 60
    assert len(text) < 60_000


@given(st.text(st.characters(codec="utf-8"), max_size=40))
@example("a | b \\| c `|` \\")
def test_markdown_shows_a_value_as_it_is(value: str) -> None:
    """What a reader sees in a table's cell is the value, letter by letter, as code and as words."""
    page = rendered(f"| a | b | c |\n|---|---|---|\n| {markdown_code(value)} | {escaped(value)} | y |\n")
    cells = [html.unescape(re.sub(r"</?code>", "", cell)) for cell in re.findall(r"<td>(.*?)</td>", page, re.DOTALL)]
    seen = " ".join(terminal(value).split())

    assert [" ".join(cell.replace("\u200b", "").split()) for cell in cells] == [seen, seen, "y"]


def test_the_terminal_needs_eighty_columns(result: dict[str, Any]) -> None:
    """No line is wider than the window, for any run."""
    assert max(cell_len(line) for line in plain_verdict(result, 80).splitlines()) <= 80


def test_the_terminal_is_told_no_control_characters(poisoned: dict[str, Any]) -> None:
    """Recorded text moves no cursor, changes no colour and turns no direction."""
    text = plain_verdict(poisoned, 80)

    assert not CONTROL.search(text.replace("\n", ""))
    assert [line for line in text.splitlines() if cell_len(line) > 80] == []


@given(st.text(st.characters(codec="utf-8"), max_size=40))
@example("\x7f\x9b\u202e ##[error]x \t::error::x")
def test_json_is_the_same_data_without_what_a_terminal_obeys(text: str) -> None:
    """What is spelled reads back as it was, as a key and as a value; no control, mark of direction or command to a runner is left."""
    printed = json_text(json.dumps({text: [text]}, ensure_ascii=False))

    assert json.loads(printed) == {text: [text]}
    assert not CONTROL.search(printed)
    assert not re.search(r"##(\[|vso\[|teamcity\[)", printed + terminal(text))
    assert not re.search(r"^\s*::[a-z]", terminal(text), re.IGNORECASE | re.MULTILINE)


def test_colour_only_adds_to_words(fail: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the words are the same as without; NO_COLOR takes the colours away."""
    colour, plain, log = io.StringIO(), io.StringIO(), io.StringIO()
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_verdict(fail, Console(file=colour, force_terminal=True, width=80, color_system="standard"))
    monkeypatch.setenv("NO_COLOR", "1")
    print_verdict(fail, Console(file=plain, force_terminal=True, width=80))
    print_verdict(fail, Console(file=log))
    without = re.sub(r"\x1b\[[\d;]*m", "", colour.getvalue())

    assert "\x1b[1;37;41m FAIL " in colour.getvalue()
    assert without == re.sub(r"\x1b\[[\d;]*m", "", plain.getvalue())
    assert not re.search(r"\x1b\[[\d;]*3[1-7]", plain.getvalue())
    assert "\x1b" not in log.getvalue()
    assert "FAIL  12 regressions in 57 endpoints" in log.getvalue()


def test_all_faces_print_the_same_numbers(fail: dict[str, Any]) -> None:
    """Verdict, counts, sums and fidelity are the same in the comment, the terminal and JUnit."""
    sums = [words.sum_text(line) for line in words.account(fail["ledger"])]
    faces = (markdown(fail), plain_verdict(fail, 400), junit(fail))

    assert sums[0] == "selected 300 = fired 280 + skipped 20"
    for face in faces:
        assert all(text in face for text in (*sums, "99.2 %", "12 regressions in 57 endpoints", "118 of 120"))


def test_greedy_pairs_are_said_where_there_are_any(fail: dict[str, Any]) -> None:
    """On the terminal, on the page and in JUnit, and nowhere for findings without them."""
    said = "paired greedily in 3 exchanges"

    assert not any(said in face(fail) for face in (plain_verdict, render_page, junit))
    fail["groups"][0]["greedy"] = 3
    assert all(face(fail).count(said) == 1 for face in (plain_verdict, render_page, junit))


@pytest.mark.parametrize("letter", ["x", "書", "\n"])
def test_two_long_values_are_shown_where_they_part(fail: dict[str, Any], letter: str) -> None:
    """What both begin with gives way, in every face that cuts; what is short or parts early is shown from its beginning."""
    sample = fail["groups"][0]["samples"][0]
    sample["base"], sample["branch"] = (letter * 2_000 + f"¤{cents}¤" + letter * 100 for cents in (10, 11))

    for face in (plain_verdict, markdown, junit):
        assert "¤10¤" in face(fail)
        assert "¤11¤" in face(fail)
    assert telling("a" * 20, "a" * 19 + "b", 20) == ("a" * 20, "a" * 19 + "b")
    assert telling("ab" + "c" * 90, "aX" + "c" * 90, 20) == ("ab" + "c" * 90, "aX" + "c" * 90)
    assert telling(None, "a" * 90, 20) == (None, "a" * 90)


def test_fidelity_is_never_rounded_up() -> None:
    """A share just below a bound does not read as the bound."""
    assert [words.percent(value) for value in (0.89996, 0.9, 1.0, 0.29, 0.0)] == [
        "89.9 %",
        "90 %",
        "100 %",
        "29 %",
        "0 %",
    ]


def test_a_command_line_is_quoted(fail: dict[str, Any]) -> None:
    """The command to run it again is read by a shell as the words it was made of, and names a control that is its own."""
    fail["targets"]["control"]["url"] = "http://127.0.0.1:8011"
    fail["targets"]["branch"]["url"] = "http://h/$(touch x) ';&"
    line = dict(words.commands(fail))["Run it again"]

    assert shlex.split(line)[2:] == [
        *("--service", "shop", "--base", "http://127.0.0.1:8001", "--branch", "http://h/$(touch x) ';&"),
        *("--control", "http://127.0.0.1:8011", "--branch-control", "http://127.0.0.1:8002", "--lane", "feat-1"),
    ]


def test_progress_is_silent_where_nobody_watches() -> None:
    """In a log there is no bar; on a terminal there is one, with rate and total."""
    log, screen = io.StringIO(), io.StringIO()
    for out, terminal_like in ((log, False), (screen, True)):
        with Progress(Console(file=out, force_terminal=terminal_like, width=80)) as progress:
            progress.update(40, 100)

    assert log.getvalue() == ""
    assert "40/100" in screen.getvalue()
    assert "replaying" in screen.getvalue()


@pytest.mark.parametrize(
    ("where", "places", "count", "said"),
    [
        ("status", ["body", "status"], 2, "status"),
        ("body:$", ["body:$.a"], 1, "body:$.a"),
        ("body:$", ["body:$.a", "body:$.b"], 2, "body:$ (.a, .b)"),
        ("body:$.x", ["body:$.x.a", "body:$.x.b", "body:$.x.c", "body:$.x.d"], 9, "body:$.x (.a, .b, .c and 6 more)"),
        ("body", [], 0, "body"),
        ("body", ["body:/html/@lang", "body:/html/head/title"], 2, "body (/html/@lang, /html/head/title)"),
    ],
)
def test_a_container_names_the_members_that_changed(where: str, places: list[str], count: int, said: str) -> None:
    """Nobody takes six missing members for a missing body."""
    assert place({"where": where, "places": places, "places_count": count}) == said


@pytest.mark.parametrize(
    ("where", "pairs", "count", "said"),
    [
        ("body:$.price", [["body:$.price", "body:$.price_cents"]], 1, "body:$.price → .price_cents"),
        ("body:/a/@b", [["body:/a/@b", "body:/a/@c"]], 1, "body:/a/@b → /@c"),
        (
            "body:$.u",
            [["body:$.u.a", "body:$.u.x"], ["body:$.u.b", "body:$.u.y"]],
            9,
            "body:$.u (.a → .x, .b → .y and 7 more)",
        ),
        (
            "body:$.p.a",
            [["body:$.p.a", "body:$.p.x"], ["body:$.q.a", "body:$.q.x"]],
            2,
            "body:$.p.a → .x, body:$.q.a → .x",
        ),
    ],
)
def test_a_renamed_field_is_said_by_both_names(where: str, pairs: list[list[str]], count: int, said: str) -> None:
    """The old place and what it is called now, in a container as at a place."""
    places = [one for pair in pairs for one in pair]

    assert place({"where": where, "places": places, "renamed": pairs, "renamed_count": count}) == said


def test_every_face_names_the_exceptions_of_a_finding(result: dict[str, Any]) -> None:
    """Three of them and how many more there are, harmless whatever they are called; nothing where nobody looked, or they are the most."""
    names = ["GET /<b>kept", "GET /two", "GET /three", "GET /four"]
    told = {"exceptions": names, "exceptions_count": 23}
    result["groups"] = [finding("*", "header:x-a", "value", "breaking", [('"a"', '"b"')], endpoints=23, **told)]
    said = "but not at GET /<b>kept, GET /two, GET /three and 20 more"
    faces = (
        plain_verdict(result),
        html.unescape(junit(result)),
        html.unescape(markdown(result)),
        html.unescape(render_page(result)),
    )

    assert exceptions(result["groups"][0]) == said
    assert [said[4:] in face for face in faces] == [True] * 4
    assert "<b>kept" not in render_page(result)
    assert [exceptions({}), exceptions({"exceptions": []}), exceptions(result["groups"][0] | {"endpoints": 22})] == [
        ""
    ] * 3


UNSURE = {"verdict": "undecided", "basis": "tested", "p_value": 0.1, "q_value": 0.2}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"missing_samples": 2}, "2 more samples of GET /x like these would decide it"),
        ({"missing_samples": 1}, "1 more sample of GET /x like these would decide it"),
        ({"missing_samples": MISSING_MAX}, f"{MISSING_MAX} or more samples of GET /x like these would decide it"),
        ({"missing_samples": 2, "endpoints": 3}, "2 more samples of one of its 3 endpoints like these would decide it"),
        ({"missing_samples": 2, "q_value": None, "explanation": "no control answered"}, "no control answered"),
        ({"explanation": "too many places"}, "too many places"),
    ],
)
def test_what_is_undecided_says_what_would_decide_it(result: dict[str, Any], told: dict[str, Any], said: str) -> None:
    """Samples of a named endpoint, and the reason where no number of them would, at the terminal, in JUnit and on the page."""
    one = finding("GET /x", "body:$.a", "value", "visible", [], **UNSURE | told)
    result |= {"groups": [], "undecided": [one]}
    faces = plain_verdict(result), junit(result), html.unescape(render_page(result))

    assert deciding(one) == said
    assert [said[1:] in face for face in faces] == [True] * 3
    assert "GET /x" in faces[0] or "3 endpoints" in faces[0]


def test_a_terminal_shows_some_of_what_is_undecided(result: dict[str, Any]) -> None:
    """Three, and how many more there are: what is wrong needs the screen."""
    result["undecided"] = [finding(f"GET /{n}", "body:$.a", "value", "visible", [], **UNSURE) for n in range(9)]
    shown = plain_verdict(result)

    assert len(re.findall(r"^undecided +GET /\d · ", shown, re.MULTILINE)) == 3
    assert "and 6 more undecided" in shown
