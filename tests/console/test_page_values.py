"""Values side by side: faithful to the letter, the change marked and in sight."""

from __future__ import annotations

import html
import json
import re

from hypothesis import example, given, strategies as st

from console.page_values import excerpt, indented, matched, preview, side_by_side, unquoted

TEXT = st.text(max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=5), x, max_size=4),
    max_leaves=12,
)


@given(TEXT, TEXT)
@example("a\nb\n", "a\nc\n")
def test_pieces_give_back_both_texts(base: str, branch: str) -> None:
    """Marking adds and loses nothing: the pieces of a side are its text, and equal pieces are equal on both sides."""
    olds, news = matched(base, branch)

    assert "".join(piece.text for piece in olds) == base
    assert "".join(piece.text for piece in news) == branch
    assert [p.text for p in olds if not p.changed] == [p.text for p in news if not p.changed]


@given(JSON)
def test_indenting_changes_only_white_space(value: object) -> None:
    """JSON laid out in lines means what it meant, token by token."""
    text = json.dumps(value)

    assert json.loads(indented(text)) == value


def test_indenting_keeps_what_a_parser_would_lose() -> None:
    """Long numbers, exponents, double keys and a cut end are shown as they were answered."""
    for text in ('{"a":1.0,"a":1e400,"b":10000000000000000000000000001}', '[{"a":"x, y: {", "b": [1, 2', "[[[]"):
        assert re.sub(r"\s", "", indented(text)) == re.sub(r"\s", "", text)


@given(st.text(max_size=40))
def test_a_json_string_is_read_as_its_text(text: str) -> None:
    """A text value is shown as the text it stands for."""
    assert unquoted(json.dumps(text)) == text


@given(st.text(max_size=200), st.text(max_size=200))
def test_previews_are_short_and_tell_apart(base: str, branch: str) -> None:
    """A preview is short, and two values that differ have previews that differ."""
    old, new = (html.unescape(re.sub(r"</?(?:del|ins)>", "", one)) for one in preview(base, branch))

    assert len(old) <= 10 * 62
    assert (old == new) <= (base == branch)


def test_a_change_deep_in_a_long_value_is_in_sight() -> None:
    """What is equal around it folds away; the changed word is marked, and so it is in the preview."""
    lines = [f"line {number} of a long page with the same words" for number in range(300)]
    base, branch = (
        json.dumps("\n".join([*lines, "price 10.00", *lines])),
        json.dumps("\n".join([*lines, "price 11.50", *lines])),
    )
    old, new = side_by_side(base, branch)
    short_old, short_new = preview(base, branch)

    assert "<del>10.00</del>" in old.body
    assert "<ins>11.50</ins>" in new.body
    assert old.body.index("characters alike</summary>") < old.body.index("<del>")
    assert "<del>10.00</del>" in short_old
    assert "<ins>11.50</ins>" in short_new


def test_a_text_and_a_number_stay_apart() -> None:
    """``"10"`` and ``10`` differ in their type, and both the quotes and the word say it."""
    old, new = side_by_side('"10"', "10")

    assert (old.shape, new.shape) == ("text", "number")
    assert "&quot;10&quot;" in old.body


def test_missing_is_not_the_word_missing() -> None:
    """A value that is not there is told apart from the text ``missing`` and from an empty text."""
    old, new = side_by_side(None, '"missing"')

    assert old.body == '<span class="none">missing</span>'
    assert "<span" not in new.body


def test_an_excerpt_is_cut_at_a_character() -> None:
    """16 KiB are kept, no character is halved, and the rest is counted."""
    text, left_out = excerpt("€" * 10_000)

    assert len(text.encode()) <= 16_384
    assert len(text) + left_out == 10_000
