"""The splitter of HAR texts: the same elements as a whole parse, whatever the pieces, and a clear place where it is broken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from capture.importing.splitting import Broken, Element, Splitter

TEXTS = st.text(st.sampled_from('ab"\\{}[],: \n\té🐵\u2028'), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
ENTRIES = st.lists(VALUES, max_size=6)


def split(data: bytes, pieces: list[bytes] | None = None, **limits: int) -> list[Element]:
    """All elements of a text that is fed in pieces."""
    splitter = Splitter(**limits)
    found = [element for piece in (pieces or [data]) for element in splitter.feed(piece)]
    splitter.finish()
    return found


@settings(max_examples=200, deadline=None)
@given(ENTRIES, VALUES, st.booleans(), st.sampled_from([None, 1]), st.booleans(), st.data())
def test_any_pieces_give_the_elements_of_a_whole_parse(entries, other, ascii_only, indent, before, data):
    """However a HAR is cut into pieces, its elements and their places are those of a parse of the whole."""
    log = {"pages": other, "entries": entries, "x": other} if before else {"entries": entries, "pages": other}
    text = json.dumps({"comment": other, "log": log}, ensure_ascii=ascii_only, indent=indent).encode("utf-8")
    text = (
        data.draw(st.sampled_from([b"", b"\xef\xbb\xbf", b" \r\n"])) + text + data.draw(st.sampled_from([b"", b"\n "]))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found = split(text, pieces)
    assert [json.loads(element.data) for element in found] == entries
    assert all(text[e.offset : e.offset + len(e.data)] == e.data for e in found)


@settings(max_examples=100, deadline=None)
@given(ENTRIES, st.data())
def test_every_cut_end_is_seen(entries, data):
    """A HAR that lacks its end is never taken for a whole one."""
    text = json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(Broken):
        split(text[:end])


def test_one_byte_at_a_time():
    """Escapes and UTF-8 that are cut in the middle do no harm."""
    text = '{"log":{"entries":[{"a":"\\\\\\"]}"},"\\u00e9é🐵",12.5,null]}}'.encode()
    found = split(text, [text[i : i + 1] for i in range(len(text))])
    assert [json.loads(e.data) for e in found] == [{"a": '\\"]}'}, "éé🐵", 12.5, None]


@pytest.mark.parametrize(
    ("text", "position", "what"),
    [
        (b"", 0, "empty"),
        (b"  \n", 3, "empty"),
        (b"[1]", 0, "begins with"),
        (b"<html>", 0, "begins with"),
        (b"\xff\xfe{\0", 0, "UTF-16"),
        (b'{"log": [1]}', 8, "not an object"),
        (b'{"log": {"entries": {}}}', 20, "not a list"),
        (b'{"log": {}}', 0, "no `log.entries`"),
        (b'{"entries": []}', 0, "no `log.entries`"),
        (b'{"a": {"log": {"entries": []}}}', 0, "no `log.entries`"),
        (b'{"log": {"entries": [1,]}}', 23, "value was expected"),
        (b'{"log": {"entries": [1 2]}}', 23, "not expected"),
        (b'{"log": {"entries": []}} x', 25, "more after the end"),
        (b'{"log": {"entries": [], "pages": [1,}}', 36, "not JSON"),
        (b'{"log": {"entries": [], 5: 1}}', 24, "in quotes"),
        (b'{"log": {"entries": [{"a": 1}', 29, "in the middle"),
    ],
)
def test_broken_texts_are_named_with_their_place(text, position, what):
    """What is no whole HAR raises, with the byte and the reason."""
    with pytest.raises(Broken) as caught:
        split(text)
    assert what in caught.value.what
    assert caught.value.position == position


def test_a_value_beyond_the_limit_is_refused():
    """One entry larger than the limit ends the import instead of the memory, also when its end never comes."""
    text = b'{"log": {"entries": [{"a": "' + b"x" * 500 + b'"}]}}'
    assert len(split(text, limit=1000)) == 1
    with pytest.raises(Broken, match="larger than"):
        split(text, limit=100)
    with pytest.raises(Broken, match="larger than"):
        split(text[:400], limit=100)
