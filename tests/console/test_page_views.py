"""Two values in one column of lines and as a tree: faithful to the letter, bounded, honest about what is not kept, and text alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from console import page
from console.page import render_page
from console.page_json import DEPTH_MAX, Node, Twin, compared, tree
from console.page_unified import AROUND, stretches, unified
from console.page_views import ITEMS_SHOWN, LINES_SHOWN, of_texts, of_values
from differ.difference import EXCERPT_BYTES, Difference
from differ.samples import excerpt
from differ.sink import excerpt as sunk
from tests.console.results import HOSTILE
from tests.console.results_findings import long_pages
from tests.console.test_page import VOID, outline
from tests.console.test_page_values import JSON

LINES = st.text(st.sampled_from("ab \n\r"), max_size=40)
EDITED = st.recursive(
    st.sampled_from(["1", "1.0", "1e3", '"a"', '"b"', "true", "null", "{}", "[]"]),
    lambda x: (
        st.lists(x, max_size=4).map(lambda some: f"[{','.join(some)}]")
        | st.lists(st.tuples(st.sampled_from(["id", "a", "b"]), x), max_size=4).map(
            lambda some: "{" + ",".join(f'"{key}":{value}' for key, value in some) + "}"
        )
    ),
    max_leaves=14,
)
"""JSON as it may be written: a key twice, and numbers that a parser takes for one."""
ORDER = {"id": 7, "lines": [{"id": number, "price": 1.0, "name": f"item {number}"} for number in range(9)], "total": 9}
ELEMENTS = {"div", "details", "summary", "span", "del", "ins", "b", "p", "ul", "li", "code"}


def changed(value: Any, **more: Any) -> str:
    """A value as JSON, members changed."""
    return json.dumps({**value, **more})


def leaves(twin: Twin) -> Iterator[Twin]:
    """Places that have no places of their own."""
    if not twin.twins:
        yield twin
    for each in twin.twins:
        yield from leaves(each)


@given(LINES, LINES)
@example("a\n\n\n\n\n\n\n\nb", "a\n\n\n\n\n\n\n\nc\n")
def test_both_texts_can_be_made_of_the_lines(base: str, branch: str) -> None:
    """Without what was added the lines are base, without what was removed they are branch; so are they in stretches."""
    lines = unified(base, branch)
    again = [line for stretch in stretches(lines) for line in stretch.lines]

    assert again == lines
    assert "\n".join(line.text for line in lines if line.sign != "+") == base
    assert "\n".join(line.text for line in lines if line.sign != "-") == branch


@given(LINES, LINES)
def test_what_is_folded_is_alike_and_away_from_a_change(base: str, branch: str) -> None:
    """No change is in a fold, nor are the lines around one."""
    lines = unified(base, branch)
    place = 0
    for stretch in stretches(lines):
        end = place + len(stretch.lines)
        if stretch.folded:
            assert {line.sign for line in lines[max(0, place - AROUND) : end + AROUND]} == {" "}
        place = end


def rebuilt(twin: Twin) -> str:
    """The base that a tree was made of."""
    if not twin.twins:
        return twin.old.text if twin.old else ""
    assert twin.old is not None
    held = [f"{each.key}:{rebuilt(each)}" if each.key else rebuilt(each) for each in twin.twins if each.old is not None]
    return twin.old.kind + ",".join(held) + {"{": "}", "[": "]"}[twin.old.kind]


@given(EDITED, EDITED)
def test_both_texts_can_be_made_of_the_tree(base: str, branch: str) -> None:
    """Each side of a tree is its text, token by token; equal texts are alike, and what is told as changed is."""
    old, new = tree(base), tree(branch)
    assert old is not None
    assert new is not None
    twin = compared(old, new)

    assert rebuilt(twin) == base
    assert rebuilt(compared(new, old)) == branch
    assert (twin.state == "same") >= (base == branch)
    assert all(one.old != one.new for one in leaves(twin) if one.state == "changed")


@given(JSON)
def test_only_what_is_json_is_a_tree(value: object) -> None:
    """Whatever JSON is written is read to its last token, and with more behind it is none."""
    text = json.dumps(value)
    node = tree(text)

    assert node is not None
    assert node.text == re.sub(r"\s", "", text) or '"' in text
    assert tree(f"{text}]") is None
    assert tree(f"{text} {text}") is None


@pytest.mark.parametrize(
    "text", ["", "[INFO] started", "{a: 1}", '{"a" 1}', "[1,]", "[1 2]", '{"a":1,}', "[", '"', "]", "01", "{]"]
)
def test_other_texts_are_lines(text: str) -> None:
    """What only begins like JSON is none, so no white space of it is lost."""
    assert tree(text) is None


@given(EDITED, st.integers(1, 30))
@example("[1,0.5,0]", 4)
@example('[{"id":10,"a":2},{"id":1}]', 8)
def test_what_is_not_kept_is_never_told_as_missing(text: str, kept: int) -> None:
    """The beginning of a text has no difference from the whole of it, on whichever side it is."""
    cut, whole = tree(text[:kept], cut=True), tree(text)
    assert whole is not None
    for twin in (compared(cut, whole), compared(whole, cut)) if cut is not None and kept < len(text) else ():
        assert {each.state for each in leaves(twin)} <= {"same", "cut"}


def test_numbers_and_keys_are_as_they_were_written() -> None:
    """1.0 is not 1, 1e400 stays, and of a key that comes twice the second is told apart."""
    base = '{"a":1.0,"b":1e400,"c":1,"c":2,"d":10000000000000000000000000001,"e":"a long text so that it is laid out"}'
    shown = of_values(base, base.replace("1.0", "1").replace('"c":2', '"c":3'))
    text = words_of(shown)

    assert '~ "a" : 1.0 1' in text
    assert '~ "c" : 2 3' in text
    assert "1e400" in text
    assert '- "a": 1.0 , + "a": 1 ,' in re.sub(r"\s+", " ", text)


def words_of(shown: str) -> str:
    """The text of a view."""
    return re.sub(r"[ \n]+", " ", " ".join(outline(shown).text))


def test_an_element_that_came_moves_no_other() -> None:
    """Elements are paired by what they are called, so that one new element is one, and one changed price another."""
    lines = [{"id": 99, "price": 2.0, "name": "new"}, *ORDER["lines"]]
    lines[4] = {**lines[4], "price": "1.0"}
    old, new = tree(json.dumps(ORDER)), tree(changed(ORDER, lines=lines))
    assert old is not None
    assert new is not None
    twin = compared(old, new)

    told = [(each.key, each.state) for each in leaves(twin) if each.state != "same"]
    assert told == [("", "added"), ('"price"', "changed")]


def test_what_did_not_change_is_folded_and_counted() -> None:
    """Of nine elements the eight alike take a line before and one behind the changed one."""
    lines = [*ORDER["lines"]]
    lines[4] = {**lines[4], "price": 2.5}
    shown = of_values(json.dumps(ORDER), changed(ORDER, lines=lines))

    assert shown.count("<summary>4 elements alike</summary>") == 2
    assert "<code>&quot;lines&quot;</code>: list, 1 of 9 changed" in shown
    assert re.search(r"<summary>\d\d lines alike</summary>", shown)
    assert '<del class="line">-      &quot;price&quot;: 1.0,' not in shown
    assert re.search(r'<del class="line">-      &quot;price&quot;: .*?1\..*?,\n</del><ins class="line">\+', shown)


def test_views_say_when_the_end_is_not_kept() -> None:
    """Values that the store has cut, by the differ and by the sample, and bodies: both views say whose, and mark what is behind."""
    long = json.dumps({"first": 1, "more": [f"value {number} " + "w" * 80 for number in range(300)], "last": True})
    for kept in (excerpt(long), sunk(long.encode()) or ""):
        assert len(kept) < len(long)
        shown = of_values(kept, '{"first":2,"more":[],"last":true,"and":"something more to make it long enough"}')
        assert shown.count("Only the beginning is kept of base.") == 2
        assert shown.count("behind what is kept of base") == 2  # "last" and "and"
        assert "The end of base is not kept, so these lines may be alike:" in shown
    body = long[:EXCERPT_BYTES]
    assert (
        of_texts(body, long.replace("1", "2", 1)[:EXCERPT_BYTES], EXCERPT_BYTES).count("kept of base and branch.") == 2
    )
    assert "is kept of" not in of_texts(body[:-1] + "\n", body[:-1], EXCERPT_BYTES + 9)
    difference = Difference("body", "value", 0, "", 0, 1, '"a … b\\nc"', '"a … d\\ne"', 1, "")
    assert "words that both have may be left out" in of_values(difference.old, difference.new)


@pytest.mark.parametrize(
    ("base", "branch"),
    [(None, '{"a":1}'), ("200", "500"), ('{"a":1}', '{"a":2}'), ('"' + "w" * 900 + '"', '"v"'), ('"a\\nb"', '"a\\nb"')],
)
def test_where_two_columns_show_all_there_is_no_other_view(base: str | None, branch: str) -> None:
    """A missing value, short ones, a line against a line, and equal ones."""
    assert of_values(base, branch) == ""


def test_order_alone_and_white_space_alone_are_said() -> None:
    """A tree in which no member differs says why there is something to show."""
    one = json.dumps({"name": "a" * 50, "other": "b" * 50})
    shown = of_values(one, json.dumps({"other": "b" * 50, "name": "a" * 50}))
    spaced = of_texts(one, one.replace(":", " :"), EXCERPT_BYTES)

    assert "No member differs: the order of members does, or white space." in shown
    assert "they differ in white space" in spaced


def nested(depth: int, end: str) -> str:
    """A list in a list."""
    return "[" * depth + end + "]" * depth


@pytest.mark.parametrize(
    ("base", "branch"),
    [
        (nested(8_000, "1"), nested(8_000, "2")),
        ("[" * 16_000, "[" * 15_999 + "]"),
        (json.dumps([1] * 8_000), json.dumps([2] * 8_000)),
        (json.dumps("\n" * 8_000 + "a"), json.dumps("\n" * 7_000 + "b\n" * 4_000)),
        (json.dumps({f"k{n}": n for n in range(1_200)}), json.dumps({f"k{n}": -n for n in range(1_200)})),
        ('{"' + "k" * 16_000 + '":1}', '{"' + "k" * 16_000 + '":2}'),
        long_pages(),
    ],
)
def test_views_are_bounded_in_size_and_depth(base: str, branch: str) -> None:
    """However deep, long or many, a view has so many boxes, and its elements close as they were opened."""
    shown = of_values(base, branch)
    parsed = outline(shown)

    assert (parsed.crossed, parsed.open) == (0, [])
    assert shown.count('class="line"') <= LINES_SHOWN
    assert shown.count("<li>") <= 2 * ITEMS_SHOWN + 2 * DEPTH_MAX
    assert len(shown) < 600_000


def test_json_that_would_be_all_indentation_has_its_tree_alone() -> None:
    """Laid out it would grow more than fourfold, so it is a line against a line; its tree says what changed."""
    base, branch = (json.dumps({"a": [{"b": [{"c": [number] * 20}] * 5}] * 20}) for number in (0, 1))
    shown = of_values(base, branch)

    assert "<summary>Unified</summary>" not in shown
    assert "~ <del>0</del> <ins>1</ins>" in shown
    assert "more places are left out here" in shown


def test_what_is_left_out_is_counted() -> None:
    """Lines and places beyond the bounds are told by their number."""
    base, branch = json.dumps([1] * 3_000), json.dumps([2] * 3_000)
    shown = of_values(base, branch)

    assert f"{6_002 - LINES_SHOWN:,} more lines are left out here" in shown
    assert f"{3_001 - ITEMS_SHOWN:,} more places are left out here" in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_text_in_every_view(text: str) -> None:
    """As a key, a value, a line, and cut in the middle: no element but ours, no attribute of theirs, nothing invisible."""
    text = text.encode("utf-8", "replace").decode()
    base = json.dumps({text: [text, {"a": text, "b": "x" * 90}], "gone": text, "same": {text: 1}}, ensure_ascii=False)
    branch = json.dumps(
        {text: [text, {"a": 1, "b": "y" * 90}], "came": {text: text}, "same": {text: 1}}, ensure_ascii=False
    )
    lines = json.dumps(f"{text}\n{text}\nx"), json.dumps(f"{text}\n{text}{text}\ny")
    for shown in (
        of_values(base, branch),
        of_values(base[: len(base) // 2] + "…", branch),
        of_values(*lines),
        of_texts(base, branch, EXCERPT_BYTES),
        of_texts(f"{text}\nx", f"{text}\ny", 3),
    ):
        parsed = outline(shown)
        assert shown
        assert {tag for tag, _ in parsed.elements} <= ELEMENTS - VOID
        assert {name for _, names in parsed.elements for name in names} <= {
            "class",
            "open",
            "tabindex",
            "role",
            "aria-label",
        }
        assert (parsed.crossed, parsed.open) == (0, [])
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert text.isprintable() <= (
        html.escape(json.dumps(text, ensure_ascii=False)[1:-1]) in of_values(base, branch).replace("&#39;", "&#x27;")
    )


def test_a_page_gives_samples_its_room_before_views(fail: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """With little room every sample stays and views are left out; with more each sample that has more than a line has both."""
    lines = [*ORDER["lines"]]
    lines[4] = {**lines[4], "price": 2.5}
    one = {"exchange": "e", "base": json.dumps(ORDER), "branch": changed(ORDER, lines=lines)}
    fail["groups"] = [{**fail["groups"][0], "samples": [one, one]}, fail["groups"][1]]
    fail["noise"], fail["undecided"] = [], []
    whole = render_page(fail)
    bare = len(re.sub(r'<div class="views">.*?</div></details></div>', "", whole, flags=re.DOTALL).encode())
    monkeypatch.setattr(page, "PAGE_BYTES", bare + 200)
    small = render_page(fail)
    monkeypatch.undo()
    monkeypatch.setattr(page, "VIEWED_MAX", 3 * len(one["base"]))
    some = render_page(fail)

    assert some.count('<div class="views">') == 1
    assert whole.count('<div class="views">') == 2
    assert small.count('<div class="views">') == 0
    assert small.count('class="sample') == whole.count('class="sample') > 3
    assert whole.index('class="views"') > whole.index('class="sample"')


def test_a_node_without_tokens_is_shown_as_nothing() -> None:
    """A key behind which the value is cut off has no value."""
    node = tree('{"a":1,"b":', cut=True)
    assert node is not None
    assert [member.key for member in node.members] == ['"a"']
    assert node.cut
    assert Node(()).text == ""
