"""XML: what it is known by, and that its elements are paired as those of arrays are."""

from __future__ import annotations

import random
import time
from xml.sax.saxutils import escape

import orjson
import pytest
from hypothesis import example, given, settings, strategies as st

from differ.bodies_of import HTML, TEXT, XML, parsed
from differ.compare import compare
from differ.context import Context
from differ.difference import FORMAT, GREEDY, PERMUTATION, TYPE, VALUE
from tests.differ.forms import answer, between, places

MEDIA = "application/xml"
Record = dict[str, str]


def document(records: list[Record], *, prefix: str = "") -> str:
    """A list of records as XML."""
    inside = "".join(
        f"<item>{''.join(f'<{prefix}{key}>{escape(value)}</{prefix}{key}>' for key, value in record.items())}</item>"
        for record in records
    )
    return f"<list>{inside}</list>"


def as_json(where: str) -> str:
    """The place that the JSON of the same records has."""
    head, mark, field = where.removeprefix("body:/list").partition("/item")
    return f"body:$.item[*].{field[1:]}" if field else "body:$.item" if mark or not head else where


texts = st.sampled_from(["a", "b", "c", "one two three", "7", ""])
records = st.lists(st.fixed_dictionaries({"id": texts, "v": texts, "w": texts}), min_size=1, max_size=6)


@settings(max_examples=300)
@given(records, records)
@example(
    [{"id": "a", "v": "1", "w": ""}, {"id": "b", "v": "2", "w": ""}],
    [{"id": "b", "v": "2", "w": ""}, {"id": "a", "v": "3", "w": ""}],
)
def test_elements_are_paired_as_those_of_arrays_are(old: list[Record], new: list[Record]) -> None:
    """The same records as JSON and as XML have the same differences, at places that correspond."""
    json = between(orjson.dumps({"item": old}), orjson.dumps({"item": new}), "application/json")
    xml = between(document(old), document(new), MEDIA)

    told = {(as_json(d.where), d.kind, d.facet, d.flags, d.count) for d in xml if d.kind != "moved"}
    assert told == {(d.where, d.kind, d.facet, d.flags, d.count) for d in json if d.kind != "moved"}
    assert len([d for d in xml if d.kind == "moved"]) == len([d for d in json if d.kind == "moved"])


@pytest.mark.parametrize(
    "item",
    [
        "<response><D:href>/{n}</D:href><propstat><prop><etag>{v}</etag><data>{v} {v} {v}</data></prop></propstat></response>",
        "<item id='{n}'><v>{v}</v></item>",
        "<item Name='{n}' v='{v}'/>",
        "<item><kind>x</kind><OrderId>o-{n}</OrderId><v>{v}</v></item>",
    ],
)
def test_a_changed_element_is_seen_in_an_answer_of_any_order(item: str) -> None:
    """By the key of an element, or by the key that is learned; the order is one difference at the element that holds the list."""
    chance = random.Random(4)
    numbers = list(range(12))
    old = [item.format(n=n, v=f"w{n % 2}") for n in numbers]
    new = [item.format(n=n, v="changed" if n == 5 else f"w{n % 2}") for n in numbers]
    chance.shuffle(new)
    found = between(f"<r>{''.join(old)}</r>", f"<r>{''.join(new)}</r>", MEDIA)

    order = [d for d in found if d.kind == "order"]
    assert [(d.where, d.facet, d.flags) for d in order] == [("body:/r", VALUE, PERMUTATION)]
    others = [d for d in found if d.kind != "order"]
    assert others
    assert all("changed" in (d.new or "") and d.count == 1 for d in others)


@pytest.mark.parametrize("key", ["<D:href>{}</D:href>", "<ID>{}</ID>", ""])
def test_two_elements_belong_together_by_their_key(key: str) -> None:
    """Though each looks like the other one of before; a name promises a key with any prefix, in any letters, on an attribute too."""
    item = f"<i{{0}}>{key}<v>{{1}}</v><w>{{1}} of {{1}}</w></i>"
    if key:
        item = item.replace(key, key.replace("{}", "{2}")).replace("{0}", "")
    one, two, changed, other = (item.format(f" x:id='{n}'", v, n) for n, v in [(1, "a"), (2, "b"), (1, "b"), (2, "a")])
    found = between(f"<r>{one}{two}</r>", f"<r>{other}{changed}</r>", MEDIA)

    assert places(found) == {("body:/r", "order"), ("body:/r/i/v", "value"), ("body:/r/i/w", "value")}


def test_an_order_alone_is_an_order() -> None:
    """At every level, whatever the order of elements of different names."""
    old = "<r><a><t>1</t><t>2</t></a><a><t>3</t></a><b>x</b></r>"
    assert places(between(old, "<r><b>x</b><a><t>3</t></a><a><t>1</t><t>2</t></a></r>", MEDIA)) == {
        ("body:/r", "order")
    }
    assert places(between(old, "<r><a><t>2</t><t>1</t></a><a><t>3</t></a><b>x</b></r>", MEDIA)) == {
        ("body:/r/a", "order")
    }
    assert between(old, "<r><b>x</b><a><t>1</t><t>2</t></a><a><t>3</t></a></r>", MEDIA) == []


def test_an_inserted_element_leaves_its_siblings_alone() -> None:
    """It is the length that changed, wherever it stands and whether or not elements have a key."""
    plain = [f"<p><a>{n}</a><b>{n % 3}</b></p>" for n in range(9)]
    for at in (0, 4, 9):
        new = [*plain[:at], "<p><a>new</a><b>0</b></p>", *plain[at:]]
        assert places(between(f"<r>{''.join(plain)}</r>", f"<r>{''.join(new)}</r>", MEDIA)) == {("body:/r/p", "length")}


def test_what_looks_alike_is_not_the_same() -> None:
    """An attribute is no child, a text beside children is no child, and one child is not two."""
    for one, two in [
        ("<a id='5'/>", "<a><id>5</id></a>"),
        ("<a>5<b/></a>", "<a><b/></a>"),
        ("<a><b/></a>", "<a><b/><b/></a>"),
    ]:
        for old, new in ((one, two), (two, one)):
            assert between(f"<r>{old}{old}<z/></r>", f"<r>{old}{new}<z/></r>", MEDIA), (old, new)


@pytest.mark.parametrize(
    "media", ["text/html; charset=utf-8", "application/xhtml+xml", "text/plain", "application/octet-stream", ""]
)
@pytest.mark.parametrize(
    ("text", "is_xml"),
    [
        ('<R xmlns="u"><reason/><id>5</id></R>', True),
        ('<?xml version="1.0"?>\n<!-- c --><R><reason/></R>', True),
        ('<?xml version="1.0"?><sync-state><title>t</title></sync-state>', True),
        ('<html xmlns="http://www.w3.org/1999/xhtml"><body><br/></body></html>', False),
        ('<?xml version="1.0"?><!DOCTYPE html><html><body/></html>', False),
        ("<DIV><p>x</p></DIV>", False),
        ('<svg xmlns="http://www.w3.org/2000/svg"><a/></svg>', False),
        ('<div><svg xmlns="http://www.w3.org/2000/svg"/></div>', False),
        ("<p>one</p><p>two</p>", False),
        ("<R><reason></R>", False),
    ],
)  # fmt: skip
def test_xml_is_known_by_its_content(media: str, text: str, is_xml: bool) -> None:
    """Well-formed XML of another vocabulary than HTML is XML whatever it is called; pages and fragments of them stay what they were."""
    form = parsed(text.encode(), [(b"Content-Type", media.encode())] if media else []).form

    assert form == XML if is_xml else form in {HTML, TEXT}, form


def test_an_element_that_a_page_defines_is_html() -> None:
    """Its name has a hyphen, and nothing says XML."""
    assert parsed(b"<app-menu><b>x</b></app-menu>", [(b"Content-Type", b"text/html")]).form == HTML


def test_an_element_without_content_does_not_swallow_its_siblings() -> None:
    """As it would in a page, which knows no ``<reason/>``."""
    old, new = ('<R xmlns="u"><reason/><id>5</id></R>', '<R xmlns="u"><reason></reason><id>6</id></R>')

    assert places(between(old, new, "text/html")) == {("body:/R/id", "value")}


@pytest.mark.parametrize(("media", "facet"), [("text/html", VALUE), ("text/plain", VALUE)])
def test_both_answers_are_read_alike(media: str, facet: int) -> None:
    """Where one is XML by its content and the other is not, both are what they are called: no other type, and what did not change is equal."""
    old, new = "<R><reason/><id>5</id></R>", "<R><reason/><id>6</id><br></R>"
    for one, two in ((old, new), (new, old)):
        found = between(one, two, media)
        assert found
        assert all(d.facet != TYPE and d.kind != "format" for d in found), found
    assert places(between('<R xmlns="u"><id>5</id></R>', "<html><body><p>x</p></body></html>", "text/html")) >= {
        ("body:/html/body/p", "value")
    }
    labels = compare(answer(old, MEDIA), answer(old.replace("5", "6"), media), Context()).differences
    assert {("body:/R/id", facet)} == {(d.where, d.facet) for d in labels if d.where.startswith("body")}


def test_what_is_no_xml_at_all_beside_it_is_another_form() -> None:
    """An error in JSON where XML was is no text that changed."""
    for media, form in (("text/html", "html"), (MEDIA, "xml")):
        found = between("<R><id>5</id></R>", '{"error": 1}', media)
        assert [(d.where, d.facet, d.signature) for d in found] == [("body", TYPE, f"format:{form}>json")]


@pytest.mark.parametrize(
    "text",
    [
        "<r>" + "".join(f"<i><a>{n % 50}</a><b>{n % 7}</b></i>" for n in range(6000)) + "</r>",
        "<r>" + "".join(f"<i>{''.join(f'<j><k>{n}</k></j>' for n in range(20))}</i>" for _ in range(800)) + "</r>",
        "<i><j>1</j>" * 500 + "</i>" * 500,
        "<i><i/>" * 250 + "</i>" * 250,
        "<!--" * 1000 + "<?" * 1000,
        "<?x ?>" * 500 + "<!-- -->" * 500 + "<r/>",
        "<" + "a" * 1_000_000,
    ],
)  # fmt: skip
def test_no_document_blows_up(text: str) -> None:
    """Many elements without a key, many lists, deep ones: compared in time, or given up within the bounds."""
    chance = random.Random(7)
    other = "".join(chance.choice("0123456789") if char.isdigit() and chance.random() < 0.3 else char for char in text)
    for media in (MEDIA, "text/html"):
        begun = time.process_time()
        found = compare(answer(text, media), answer(other, media), Context())
        assert time.process_time() - begun < 3
        assert found.uncomparable in {"", "too-deep", "too-slow"}


def test_more_elements_than_are_assigned_exactly_are_said_to_be() -> None:
    """With what is inside them."""
    chance = random.Random(3)
    old, new = ("".join(f"<i><a>{chance.random()}</a><b>{n % 2}</b></i>" for n in range(200)) for _ in "ab")
    found = {(d.where, d.kind): d for d in between(f"<r>{old}</r>", f"<r>{new}</r>", MEDIA)}

    assert found["body:/r/i/a", "value"].flags & GREEDY
    assert found["body:/r/i/a", "value"].facet in {FORMAT, VALUE}
