"""HTML is compared as what a browser makes of it: places, noise and what does not count."""

from __future__ import annotations

import pytest

from differ.difference import FORMAT, VALUE
from differ.htmls import BYTES_MAX, DEPTH_MAX, NODES_MAX, page_of
from differ.pages import COLUMNS_MAX
from tests.differ.forms import between, places

HTML = "text/html; charset=utf-8"
PAGE = """<!DOCTYPE html>
<html><head><title>Shop</title><link rel="stylesheet" href="/app.css"></head>
<body class="shop wide"><h1>Basket</h1>
<ul><li><a href="/a">Apples</a></li><li><a href="/b">Bananas</a></li></ul>
<form action="/pay" method="post"><input type="hidden" name="csrf" value="q8Zt1Wb6yK2mVx0aPq9s"><input name="count" value="2"></form>
<p>2 things, 13.50</p><pre>  a
   b</pre><footer>made in 13 ms</footer></body></html>"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n<ul><li>", "<ul>\n\n   <li>"),
        ('rel="stylesheet" href="/app.css"', "href='/app.css' rel=stylesheet"),
        ('class="shop wide"', 'class="wide  shop"'),
        ("<h1>Basket</h1>", "<H1 >Bas&#107;et</H1>"),
        ("</li>", ""),
        ("<html><head>", "<HTML>"),
        ("</body></html>", ""),
        ("<!DOCTYPE html>", "<!doctype   HTML>"),
        ('value="2">', 'value="2" />'),
    ],
)
def test_one_page_in_other_words_is_the_same(old: str, new: str) -> None:
    """Blanks, quotes, case, entities, order of attributes and classes, and tags that may be left out do not count."""
    assert old in PAGE
    assert between(PAGE, PAGE.replace(old, new), HTML) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "facet"),
    [
        ('href="/a"', 'href="/apples"', "body:/html/body/ul/li/a/@href", FORMAT),
        (">Apples<", ">Pears<", "body:/html/body/ul/li/a", FORMAT),
        ("2 things, 13.50", "3 things, 14.50", "body:/html/body/p", VALUE),
        ('name="count" value="2"', 'name="count" value="3"', "body:/html/body/form/input[@name='count']/@value", VALUE),
        ('name="count"', 'name="amount"', "body:/html/body/form/input[@name='count']", FORMAT),
        ('method="post"', "", "body:/html/body/form/@method", FORMAT),
        ("<!DOCTYPE html>", "", "body:/html/doctype()", FORMAT),
        ("  a\n   b", "a b", "body:/html/body/pre", FORMAT),
        ("<title>Shop</title>", "", "body:/html/head/title", FORMAT),
        ("13 ms", "9 ms", "body:/html/body/footer", VALUE),
        ("q8Zt1Wb6yK2mVx0aPq9s", "A1pLmWb6yK2mVx0aPq9s", "body:/html/body/form/input[@name='csrf']/@value", VALUE),
    ],
)
def test_a_change_is_told_at_its_place(old: str, new: str, where: str, facet: int) -> None:
    """Each node that changed, came or went has a place of its own."""
    assert old in PAGE
    found, *more = between(PAGE, PAGE.replace(old, new), HTML)

    assert (found.where, found.kind, found.facet) == (where, "value", facet)
    assert len(more) == (old == 'name="count"'), "a field that has another name is another field"


def test_tags_that_may_be_left_out_are_put_in() -> None:
    """A table, a list of terms, a choice and paragraphs, written short and in full."""
    short = "<table><tr><td>1<td>2<tr><td>3</table><dl><dt>a<dd>b<dt>c</dl><select><option>x<option>y</select><p>one<p>two<div>three</div>"
    full = (
        "<html><head></head><body><table><tbody><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></tbody></table><dl><dt>a</dt><dd>b</dd>"
        "<dt>c</dt></dl><select><option>x</option><option>y</option></select><p>one</p><p>two</p><div>three</div></body></html>"
    )

    assert between(short, full, HTML) == []
    assert between(short, full.replace("<p>two</p><div>three</div>", "<p>two<span>three</span></p>"), HTML)


def test_what_is_shown_is_what_changed() -> None:
    """A person reads the changed nodes, not two pages."""
    found = between(PAGE, PAGE.replace('href="/a"', 'href="/apples"').replace("<title>Shop</title>", ""), HTML)

    assert {d.where: (d.old, d.new) for d in found} == {
        "body:/html/body/ul/li/a/@href": ('"/a"', '"/apples"'),
        "body:/html/head/title": ('"<title>Shop"', None),
    }


def test_noise_in_one_corner_says_nothing_about_another() -> None:
    """A fresh token and a timing stand at their own places, classed, beside a change of wording and one of a number."""
    noisy = PAGE.replace("13 ms", "8 ms").replace("q8Zt1Wb6", "A1pLmXb7")
    by_place = {d.where: d for d in between(PAGE, noisy.replace("Apples", "Pears"), HTML)}
    numbers = {d.where: d for d in between(PAGE, noisy.replace("13.50", "12.50"), HTML)}

    token, footer = "body:/html/body/form/input[@name='csrf']/@value", "body:/html/body/footer"
    assert {where: d.klass for where, d in by_place.items()} == {
        "body:/html/body/ul/li/a": "",
        token: "token",
        footer: "time",
    }
    assert {where: d.klass for where, d in numbers.items()} == {"body:/html/body/p": "", token: "token", footer: "time"}


def test_random_by_purpose_is_classed() -> None:
    """A nonce is a token and an integrity a hash, whatever they look like; a time by its id is a time."""
    page = '<script nonce="{}" integrity="{}">go()</script><span id="elapsed_ms">{}</span>'
    found = between(page.format("abc", "sha256-ab", 1), page.format("xyz", "sha256-xy", 2), HTML)

    assert {(d.where.rsplit("/", 1)[1], d.klass, d.facet) for d in found} == {
        ("@nonce", "token", VALUE),
        ("@integrity", "hash", VALUE),
        ("span", "time", VALUE),
    }


def test_a_cell_has_the_place_of_its_column() -> None:
    """A clock in one column hides nothing in the next; equal values of two columns that change places are two changes."""
    table = "<table><tr><th>Name<th>Stock<th>Seen</tr>{}</table>"
    row = "<tr><td>{}<td>{}<td><i>{}</i></tr>"
    old = table.format(row.format("lamp", 3, "12:00:01") + row.format("rug", 5, "12:00:02"))
    new = table.format(row.format("lamp", 3, "12:00:03") + row.format("rug", 4, "12:00:04"))
    top = "body:/html/body/table/tbody/tr"

    assert places(between(old, new, HTML)) == {(f"{top}/td[2]", "value"), (f"{top}/td[3]/i", "value")}
    two = between(table.format(row.format(3, 5, 1)), table.format(row.format(5, 3, 1)), HTML)
    assert places(two) == {(f"{top}/td[1]", "value"), (f"{top}/td[2]", "value")}


def test_rows_of_another_number_of_cells_have_no_columns() -> None:
    """A cell that came is one change, and does not move the others to other places; of very many columns the last share one."""
    top = "body:/html/body/table/tbody/tr"
    wide = ["<table><tr>" + "".join(f"<td>{n + more}" for n in range(100)) + "</table>" for more in (0, 500)]

    assert places(between("<table><tr><td>1<td>2</table>", "<table><tr><td>1<td>7<td>2</table>", HTML)) == {
        (f"{top}/td", "value")
    }
    assert len(places(between(*wide, HTML))) == COLUMNS_MAX + 1


def test_items_that_moved_are_an_order() -> None:
    """The same items in another order are no other page."""
    page = "<ul>{}</ul>"
    one, two = "<li>one</li>", "<li>two</li>"

    assert places(between(page.format(one + two), page.format(two + one), HTML)) == {("body:/html/body/ul", "order")}


def test_an_inserted_item_leaves_the_others_alone() -> None:
    """What is shown is the one item, not all behind it."""
    items = [f"<li><b>item</b> {n * n}</li>" for n in range(30)]
    (found,) = between(
        f"<ul>{''.join(items)}</ul>", f"<ul>{''.join(items[:3])}<li>new</li>{''.join(items[3:])}</ul>", HTML
    )

    assert (found.where, found.old, found.new) == ("body:/html/body/ul/li", None, '"<li>new"')


def test_a_page_against_a_text_is_compared_as_text() -> None:
    """Another label of nearly the same text shows the lines that differ."""
    from differ.compare import compare
    from differ.context import Context
    from tests.differ.forms import answer

    found = compare(answer("<p>one</p>", "text/html"), answer("one", "text/plain"), Context()).differences

    assert ("body", "value") in places(found)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (("Not Found", "text/plain"), ("<html><h1>Not Found</h1></html>", "text/html"), {("body", "format")}),
        (("<!DOCTYPE html><p>a", "text/html"), ("a", "text/plain"), {("body", "format")}),
        (("<html><p>a</html>", "text/html"), ("<html><p>a</html>", "text/plain"), set[tuple[str, str]]()),
        (("<html><p>a</html>", "text/html"), ("<html><p>b</html>", "text/plain"), {("body", "value")}),
    ],
)
def test_a_whole_page_is_no_text(old: tuple[str, str], new: tuple[str, str], wanted: set[tuple[str, str]]) -> None:
    """A page in the place of a word is another kind of body; the same page that is called a text is none."""
    from differ.compare import compare
    from differ.context import Context
    from tests.differ.forms import answer

    found = compare(answer(*old), answer(*new), Context()).differences

    assert {place for place in places(found) if place[0] == "body"} == wanted


@pytest.mark.parametrize(
    "hostile",
    [
        "<a " * 8_000,
        '<a b="' * 8_000,
        "<a b='\"" * 8_000,
        "<!--" * 8_000,
        "<![CDATA[" * 8_000,
        "</p" * 8_000,
        "<script>" * 8_000,
        "<div>" * 8_000,
        "<p><table>" * 4_000,
        "</x>" * 8_000,
        "&#" + "9" * 40_000,
        "<a" + " " * 90_000,
        "<a b" + " " * 90_000,
        "<" * 90_000,
        "&" * 90_000,
    ],
)
def test_hostile_pages_are_read_in_linear_time(hostile: str) -> None:
    """Nothing that is never closed is looked for again and again; nothing nests without end."""
    import time

    begin = time.thread_time()
    page_of(hostile)
    between(hostile, hostile + "x", HTML)
    assert time.thread_time() - begin < 2.0


def test_a_page_beyond_its_bounds_is_compared_by_lines() -> None:
    """Too many nodes, or too long: still compared, as text, and the signature says why."""
    for large in ("<b>x</b>\n" * NODES_MAX, "x\n" * BYTES_MAX):
        (found,) = between(large, large + "<i>more</i>", HTML)
        assert (found.where, found.facet) == ("body", FORMAT)
        assert found.signature.startswith("value:no text/html:")


def test_what_nests_too_deeply_is_flattened_not_lost() -> None:
    """The deepest text still counts."""
    deep = "<div>" * (DEPTH_MAX + 50) + "<title>{}</title>"

    assert between(deep.format("one"), deep.format("two"), HTML)
