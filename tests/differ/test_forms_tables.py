"""CSV, multipart, NDJSON and server-sent events: rows, parts and events by what they are called, in their order."""

from __future__ import annotations

import pytest

from differ.difference import FORMAT
from tests.differ.forms import answer, between, places

CSV, SSE, NDJSON = "text/csv", "text/event-stream", "application/x-ndjson"
TABLE = "id,name,price\n1,apple,1.50\n2,banana,2.00\n3,cherry,9.00\n"


@pytest.mark.parametrize(
    "same",
    [
        TABLE.replace("\n", "\r\n"),
        TABLE.rstrip("\n"),
        TABLE.replace("apple", '"apple"'),
        "\ufeff" + TABLE,
    ],
)
def test_one_table_in_other_words_is_the_same(same: str) -> None:
    """Line ends, quotes, a last line end and a mark of byte order do not count."""
    assert between(TABLE, same, CSV) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("2.00", "2.50", {("body:$[*].price", "value")}),
        ("2,banana,2.00\n", "", {("body:$", "length")}),
        ("3,cherry,9.00\n", "3,cherry,9.00\n4,date,1.00\n", {("body:$", "length")}),
        ("name", "title", {("body:$[*].name", "missing"), ("body:$[*].title", "added")}),
        ("3,cherry,9.00", "3,cherry", {("body:$[*].price", "missing")}),
        ("3,cherry,9.00", "3,cherry,9.00,red", {("body:$[*]['column 4']", "added")}),
    ],
)
def test_a_changed_cell_is_told_by_its_column(old: str, new: str, found: set[tuple[str, str]]) -> None:
    """Rows are objects with the header's names; rows that came and columns that went are told as such."""
    assert old in TABLE
    assert places(between(TABLE, TABLE.replace(old, new), CSV)) == found


def test_rows_belong_together_by_their_key() -> None:
    """A row that was inserted in front does not make all others differ."""
    longer = TABLE.replace("\n1,", "\n9,quince,3.00\n1,").replace("9.00\n", "8.00\n")

    assert places(between(TABLE, longer, CSV)) == {("body:$", "length"), ("body:$[*].price", "value")}


def test_other_columns_and_delimiters_are_told() -> None:
    """Who reads by position or by comma is broken, though every value is there."""
    (columns,) = between("a,b\n1,2\n", "b,a\n2,1\n", CSV)
    (delimiter,) = between("a,b\n1,2\n", "a;b\n1;2\n", CSV)
    (header,) = between("a,b\n", "a,c\n", CSV)

    assert (columns.where, columns.kind, columns.facet, columns.flags) == ("body:$", "order", FORMAT, 0)
    assert (delimiter.where, delimiter.kind) == ("body", "format")
    assert (header.where, header.kind) == ("body:$", "value")


def test_a_table_without_names_is_compared_by_position() -> None:
    """Numbers in the first row name nothing."""
    assert places(between("1,2\n3,4\n", "1,2\n3,5\n", CSV)) == {("body:$[*][*]", "value")}
    assert places(between("1\t2\n3\t4\n", "1\t2\n3\t5\n", "text/tab-separated-values")) == {("body:$[*][*]", "value")}


def test_a_table_beyond_its_bounds_is_compared_by_lines() -> None:
    """A cell that is too long, or too many of them: still compared, and the signature says why."""
    for large in ("a,b\n" + "x" * 200_000 + ",1\n", "a,b\n" + "1,2\n" * 60_000):
        (found,) = between(large, large + "3,4\n", CSV)
        assert found.where == "body"
        assert found.signature.startswith("value:no text/csv")


FORM = "multipart/form-data; boundary={}"
PART = '--{0}\r\nContent-Disposition: form-data; name="{1}"{2}\r\n\r\n{3}\r\n'


def form(boundary: str, *parts: tuple[str, str, str]) -> str:
    """A multipart form of (name, rest of the headers, content)."""
    return "".join(PART.format(boundary, *part) for part in parts) + f"--{boundary}--\r\n"


FILE = '; filename="a.txt"\r\nContent-Type: text/plain'


def test_parts_are_compared_by_name() -> None:
    """Fields in another order are the same; a changed, missing or repeated one, and a file, have their places."""
    one, two, file = ("a", "", "1"), ("b c", "", "2"), ("f", FILE, "hello")
    media = FORM.format("X")
    whole = form("X", one, two, file)

    assert between(whole, form("X", file, two, one), media) == []
    assert between(whole, "preamble\r\n" + whole + "epilogue", media) == []
    assert places(between(whole, form("X", one, ("b c", "", "3"), file), media)) == {("body:$['b c']", "value")}
    assert places(between(whole, form("X", one, file), media)) == {("body:$['b c']", "missing")}
    assert places(between(whole, form("X", one, one, two, file), media)) == {("body:$.a", "type")}
    assert places(between(whole, whole.replace("a.txt", "b.txt"), media)) == {("body:$.f.filename", "value")}
    assert places(between(whole, whole.replace("hello", "bye"), media)) == {("body:$.f.content", "value")}


def test_the_boundary_between_parts_is_no_difference() -> None:
    """It is drawn for every body."""
    from differ.compare import compare
    from differ.context import Context

    old, new = (answer(form(mark, ("a", "", "1")), FORM.format(mark)) for mark in ("one", '"two x"'.strip('"')[:3]))

    assert {d.where for d in compare(old, new, Context()).differences} <= {"header:content-type"}


def test_json_in_a_part_and_parts_without_names() -> None:
    """A part of JSON is a tree; parts without names are a list in their order."""
    old = form("X", ("meta", "\r\nContent-Type: application/json", '{"v": 1, "w": true}'))
    mixed = "--X\r\nContent-Type: text/plain\r\n\r\none\r\n--X\r\n\r\ntwo\r\n--X--"

    assert places(between(old, old.replace("true", "1"), FORM.format("X"))) == {("body:$.meta.content.w", "type")}
    assert places(between(mixed, mixed.replace("two", "three"), "multipart/mixed; boundary=X")) == {
        ("body:$[*].content", "value")
    }


def test_bytes_in_a_part_are_told_by_size_and_digest() -> None:
    """A file that is no text is not shown as garbage."""
    old = form("X", ("f", '; filename="a.bin"', "@")).encode().replace(b"@", b"\xff\xfe\x00")
    (found,) = between(old, old.replace(b"\xfe", b"\xfd"), FORM.format("X"))

    assert found.where == "body:$.f.content"
    assert "3 bytes" in (found.old or "")


def test_lines_of_json_are_a_sequence() -> None:
    """One changed, one inserted: told at the line's inside and the list's length."""
    old = '{"id": 1, "v": 1}\n{"id": 2, "v": 2}\n{"id": 3, "v": 3}\n'

    assert places(between(old, old.replace('"v": 2', '"v": 5'), NDJSON)) == {("body:$[*].v", "value")}
    assert places(between(old, '{"id": 0, "v": 9}\n' + old, NDJSON)) == {("body:$", "length")}


def test_events_are_a_sequence_with_json_inside() -> None:
    """Data of JSON is a tree; comments and line ends do not count; an event in front moves no other."""
    old = 'id: 1\nevent: tick\ndata: {"n": 1}\n\nid: 2\ndata: {"n": true}\n\n'

    assert between(old, ": hello\n\n" + old.replace("\n", "\r\n"), SSE) == []
    assert places(between(old, old.replace("true", "1"), SSE)) == {("body:$[*].data.n", "type")}
    assert places(between(old, old.replace("tick", "tock"), SSE)) == {("body:$[*].event", "value")}
    assert places(between(b"data: \xff\n\n", b"data: \xfe\n\n", SSE)) == {("body:$[*].data", "value")}
    assert places(between(old, "id: 0\ndata: x\n\n" + old, SSE)) == {("body:$", "length")}
