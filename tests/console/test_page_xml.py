"""XML as a tree: faithful to the letter, bounded, honest about what is not kept, no entity or document type read, and text alone."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given, strategies as st

from console.page_json import DEPTH_MAX, Node, Twin, compared
from console.page_views import of_texts, of_values
from console.page_xml import markup
from tests.console.results import HOSTILE
from tests.console.results_findings import feeds
from tests.console.test_page import VOID, outline
from tests.console.test_page_views import ELEMENTS

ATTRIBUTES = {"class", "open", "tabindex", "role", "aria-label"}
SHOWN = st.sampled_from(["a", "1 &lt; 2", "<![CDATA[<b>]]>", "<!-- c -->", "<?p i?>", "\n ", "ü"])
XML = st.recursive(
    SHOWN | st.sampled_from(["<i/>", '<i id="1"/>']),
    lambda x: st.tuples(
        st.sampled_from(["a", "item"]),
        st.sampled_from(["", ' id="1"', " id='2'  k=\"a>b\""]),
        st.lists(x, max_size=4),
    ).map(lambda one: f"<{one[0]}{one[1]}>{''.join(one[2])}</{one[0]}>"),
    max_leaves=12,
).map(lambda inner: f"<r>{inner}</r>")
"""Well-formed XML as people write it."""


def leaves(twin: Twin) -> Iterator[Twin]:
    """Places that have no places of their own."""
    if not twin.twins:
        yield twin
    for each in twin.twins:
        yield from leaves(each)


def node_of(text: str) -> Node:
    """The root of whole XML."""
    found = markup(text)
    assert found is not None
    return found.node


def words_of(shown: str) -> str:
    """The text of a view."""
    return re.sub(r"[ \n]+", " ", " ".join(outline(shown).text))


@given(XML, XML)
def test_equal_texts_are_alike_and_others_are_told(base: str, branch: str) -> None:
    """A tree holds the text of its elements as it came; equal texts are alike, and what is told as changed is."""
    old, new = node_of(base), node_of(branch)
    twin = compared(old, new)

    assert old.text == re.sub(r">\s+<", "><", base) or "\n" in base
    assert compared(old, old).state == "same"
    assert (twin.state == "same") >= (base == branch)
    assert all(one.old != one.new for one in leaves(twin) if one.state == "changed")


@given(XML, st.integers(1, 60))
@example("<r><a><i/><item>a</item></a></r>", 16)
@example("<r>1 &lt; 2</r>", 8)
@example('<r><i id="1"/><i/></r>', 9)
def test_what_is_not_kept_is_never_told_as_missing(text: str, kept: int) -> None:
    """The beginning of XML has no difference from the whole of it, on whichever side it is."""
    cut, whole = markup(text[:kept], cut=True), node_of(text)
    for twin in (compared(cut.node, whole), compared(whole, cut.node)) if cut is not None and kept < len(text) else ():
        assert {each.state for each in leaves(twin)} <= {"same", "cut"}


def test_what_changed_is_told_at_its_place() -> None:
    """An attribute, a text, an element that went and one that came, each by the name of what holds it; neighbours are folded."""
    text = words_of(of_values(*feeds()))

    assert "feed : element, 5 of 15 changed" in text
    assert "entry : @id: b-3 : element, 1 of 4 changed" in text
    assert "~ @currency : EUR USD" in text
    assert (
        "~ title : A fine thing &amp; more for the kitchen, number 5 A fine thing &amp; more for the kitchen, number five"
        in text
    )
    assert "- note : <note/>" in text
    assert "+ more : <more>a long text that wraps" in text
    assert "- tag : <tag>n9</tag>" in text
    assert '4 parts alike @lang: en <entry id="b-0"><title>' in text


def test_a_text_of_a_sample_is_a_tree_too() -> None:
    """A body that a sample holds as JSON text, on one line: a tree, and JSON beside XML is none."""
    base = json.dumps("<a><b>" + "long " * 30 + "</b><c>1</c></a>")
    shown = of_values(base, base.replace("<c>1", "<c>2"))

    assert "~ c : 1 2" in words_of(shown)
    assert "Tree" not in of_texts("<a>\n</a>", '{"a":\n1}', 1 << 20)


BOMB = '<!DOCTYPE a [<!ENTITY b "ha">' + "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 9))


@pytest.mark.parametrize(
    "text",
    [
        f"{BOMB}]>\n<a>&b8;</a>",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd">\n<a/>',
        "<!doctype html>\n<html><p>one<p>two</html>",
        "<a>\n&unknown;</a>",
        "<a>\n</b>",
        "<a>\n</a><b/>",
        "<a\n",
        "<a>\n\x00</a>",
        "<a>\n\ud800</a>",
        "text\n<a/>",
        "",
    ],
    ids=repr,
)
def test_other_texts_are_lines(text: str) -> None:
    """A document type, with or without entities, and what is not well-formed are no tree: both texts stay lines."""
    shown = of_texts(text, f"{text} \nmore", 1 << 20)

    assert markup(text) is None
    assert 'aria-label="tree view"' not in shown
    assert "root:" not in shown


@pytest.mark.parametrize("cut", [False, True])
def test_depth_is_bounded(cut: bool) -> None:
    """Thousands of levels are read, and below a few dozen an element is one text."""
    deep = "<a>" * 2_000 + "x" + "</a>" * (0 if cut else 2_000)
    found = markup(deep, cut=cut)
    assert found is not None
    node, levels = found.node, 0
    while node.members and node.kind:
        node, levels = node.members[0].node, levels + 1

    assert levels == DEPTH_MAX
    other = markup(deep.replace("x", "y"), cut=cut)
    assert other is not None
    assert {one.state for one in leaves(compared(found.node, other.node))} == {"changed"}


@pytest.mark.parametrize(
    "text",
    [
        f"<{'a' * 16_000}/>",
        f"<a{' ' * 16_000}b='1'/>",
        f"<a b='{'c=' * 8_000}'/>",
        f"<a>{'&amp;' * 3_000}</a>",
        "<a>" * 2_300 + "</a>" * 2_300,
        f"<a>{'<b/>' * 4_000}</a>",
        "<a" + "".join(f" b{n}='1'" for n in range(1_500)) + "/>",
    ],
    ids=lambda text: text[:6],
)
def test_the_largest_texts_that_are_kept_take_no_time_to_speak_of(text: str) -> None:
    """Long names, gaps and values, many elements or attributes, deep ones, whole and cut: each is read in steps that its length bounds."""
    for one in (markup(text), markup(text[:-5], cut=True)):
        assert one is None or compared(one.node, one.node).state in {"same", "cut"}
    assert markup(text) is not None


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_xml_is_text(text: str) -> None:
    """In a text, an attribute, a name of an element: no element of theirs comes of it, and none of ours is left open."""
    inner = html.escape(text, quote=True)
    for base in (
        f'<a><b c="{inner}">{inner}</b><d>1</d>{"<e/>" * 30}</a>',
        f"<a><![CDATA[{text}]]><d>1</d>{'<e/>' * 30}</a>",
        f"<a><!-- {text} --><d>1</d>{'<e/>' * 30}</a>",
        f"<a><?p {text}?><d>1</d>{'<e/>' * 30}</a>",
    ):
        for branch in (base.replace("<d>1", "<d>2"), base.replace(inner, "x"), base[: len(base) // 2]):
            shown = of_texts(base, branch, len(base.encode("utf-8", "replace")))
            parsed = outline(shown)
            assert {tag for tag, _ in parsed.elements} <= ELEMENTS - VOID
            assert {name for _, names in parsed.elements for name in names} <= ATTRIBUTES
            assert (parsed.crossed, parsed.open) == (0, [])
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
