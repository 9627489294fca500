"""Answers that are no JSON and hold the same: lines of it, events, forms, calls with it; read for ids by the same alignment."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given as drawn, strategies as st

from echolane.exchange import Given
from replayer import trees
from replayer.origins import Reader, shown, values
from tests.replayer.linked import answer, replayed, step

FORM, LINES, EVENTS, SCRIPT = (
    b"application/x-www-form-urlencoded",
    b"application/x-ndjson",
    b"text/event-stream",
    b"application/javascript; charset=utf-8",
)


def lines(rows, kind=LINES, end="\n"):
    """One JSON a line."""
    return answer(end.join(map(json.dumps, rows)).encode() + end.encode(), kind=kind)


def events(rows, end="\n"):
    """An event for each; what is no text is JSON."""
    said = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return answer("".join(f"data: {one}{end}{end}" for one in said).encode(), kind=EVENTS)


def form(members):
    """As a browser sends one."""
    return answer(urlencode(members).encode(), kind=FORM)


def call(content, before="cb("):
    """JSON that a script is called with."""
    return answer(f"/**/ {before}{json.dumps(content)});".encode(), kind=SCRIPT)


KINDS = {
    "lines": lambda v: lines([{"name": "first", "id": "7"}, {"name": "order", "order_id": v}]),
    "labelled json": lambda v: lines([{"a": 1}, {"order_id": v}], b"application/json"),
    "json-seq": lambda v: answer(b"\x1e" + json.dumps({"order_id": v}).encode() + b"\n", kind=b"application/json-seq"),
    "events": lambda v: events([{"state": "begun"}, {"order": {"id": v}}], "\r\n"),
    "form": lambda v: form({"state": "made", "order_id": v}),
    "call": lambda v: call({"order": {"id": v}}),
    "call of a member": lambda v: call([{"order_id": v}], "typeof jQuery === 'function' && jQuery.c_1("),
    "call labelled json": lambda v: answer(f"cb({json.dumps({'order_id': v})})".encode(), kind=b"application/json"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new"), [("17", "42"), ("ord-9c41-77ab-0f", "ord-1d20-33cd-9e")])
@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_taken_from_every_kind_of_answer(kind, old, new):
    """Short by its name, long by its value: the later request asks for the target's own, and the note has its place."""
    made = KINDS[kind]
    steps = [step("POST /orders", made(old)), step(f"GET /orders/{old}", answer({}))]
    sent = replayed(steps, [made(new), answer({})])
    assert sent[1].request.target == f"/orders/{new}"
    assert "from POST /orders at body:$" in sent[1].notes[0]


def test_the_id_of_an_event_goes_into_where_a_client_goes_on():
    """`Last-Event-ID` is what the stream said last, whether its events carry JSON or words."""
    for data in ('{"n": 1}', "hello there"):

        def stream(last, data=data):
            return answer(f": keep\nid: e-1f4c-aa01\nevent: a\ndata: {data}\n\nid: {last}\ndata: {data}\n\n".encode(), kind=EVENTS)  # fmt: skip

        old, new = "e-77b2-90cd", "e-5a5a-1b3f"
        steps = [
            step("GET /feed", stream(old)),
            step("GET /feed", answer(), headers=[(b"Last-Event-ID", old.encode())]),
        ]
        assert (b"Last-Event-ID", new.encode()) in replayed(steps, [stream(new), answer()])[1].request.headers


def test_a_word_in_an_event_and_in_a_script_is_still_found():
    """Events that carry sentences, and scripts that are no call with JSON, are read for words as before."""
    old, new = "k7f3-99aa-21xq", "n0w7-it1s-e1se"
    for text, kind in (("data: your code is {0} now\n\n", EVENTS), ("start({{code: '{0}'}});", b"text/javascript")):
        given = [answer(text.format(v).encode(), kind=kind) for v in (old, new)]
        steps = [step("GET /code", given[0]), step(f"GET /use/{old}", answer())]
        assert replayed(steps, [given[1], answer()])[1].request.target == f"/use/{new}"


def test_a_line_is_found_by_what_was_written_in_it():
    """Another order at the target: the line that is called the same gives its short id, not the one at the same place."""
    recorded = lines([{"name": "pen", "id": 17}, {"name": "ink", "id": 18}])
    other = lines([{"name": "ink", "id": 42}, {"name": "pen", "id": 43}])
    sent = replayed([step("GET /things", recorded), step("GET /things/18", answer())], [other, answer()])
    assert sent[1].request.target == "/things/42"


def test_an_event_that_moved_is_still_the_one_that_was_meant():
    """Nothing tells events apart but what they hold: one with the recorded value is it, wherever it stands."""
    first, second = {"id": "t-11aa-22bb"}, {"id": "t-33cc-44dd"}
    steps = [step("GET /things", events([first, second])), step("GET /things/t-33cc-44dd", answer())]
    sent = replayed(steps, [events([second, first]), answer()])
    assert sent[1].request.target == "/things/t-33cc-44dd"


DECOYS = [
    (lines([{"page": 17, "total": 17}]), lines([{"page": 42, "total": 42}]), "GET /report/17"),
    (form({"limit": "20", "amount": "17"}), form({"limit": "50", "amount": "42"}), "GET /list?size=20"),
    (call({"count": 17}), call({"count": 42}), "GET /things/17"),
    (events([{"price": 17}]), events([{"price": 42}]), "GET /things/17"),
    (events([{"state": "waiting_for_payment"}]), events([{"state": "paid"}]), "GET /list?state=waiting_for_payment"),
    (lines([{"day": "2024-01-02"}]), lines([{"day": "2025-05-06"}]), "GET /report/2024-01-02"),
    (answer(b"cb(17)", kind=SCRIPT), answer(b"cb(42)", kind=SCRIPT), "GET /things/17"),
    (answer(b"// order 17\nrun();", kind=SCRIPT), answer(b"// order 42\nrun();", kind=SCRIPT), "GET /things/17"),
]


@pytest.mark.parametrize(("recorded", "other", "line"), DECOYS)
def test_what_is_equal_by_custom_stays(recorded, other, line):
    """Totals, amounts, limits, states and dates are no ids, whatever an answer is written in."""
    sent = replayed([step("GET /begin", recorded), step(line, answer())], [other, answer()])
    assert f"GET {sent[1].request.target}" == line


TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\x85\u2028\u2029"), max_size=12
)
SCALARS = st.one_of(TEXTS, st.integers(-(2**40), 2**40), st.booleans(), st.none())
OBJECTS = st.dictionaries(TEXTS, SCALARS, min_size=1, max_size=4)
ROWS = st.lists(OBJECTS, min_size=1, max_size=6)


@drawn(ROWS, st.sampled_from(["\n", "\r\n"]))
def test_lines_and_events_are_the_list_of_what_they_hold(rows, end):
    """What is read of them is what JSON would have had in one list."""
    kind = LINES.decode()
    assert trees.tree_of(lines(rows, end=end).body.data, kind) == rows
    found = trees.tree_of(events(rows, end).body.data, EVENTS.decode())
    assert [event["data"] for event in found] == rows


@drawn(OBJECTS, st.sampled_from(["cb(", "a.b.$c (", "window.x(", "typeof f === 'function' && f("]))
def test_a_call_is_the_json_that_it_is_called_with(content, before):
    """Whatever it is called."""
    assert trees.tree_of(call(content, before).body.data, "text/javascript") == content


@drawn(st.lists(st.tuples(TEXTS.filter(bool), TEXTS.filter(bool)), min_size=1, max_size=8))
def test_a_form_is_its_members(members):
    """A name that comes again has all its values, in their order."""
    expected: dict[str, object] = {}
    for name, _ in members:
        same = [value for other, value in members if other == name]
        expected[name] = same if len(same) > 1 else same[0]
    assert trees.tree_of(form(members).body.data, FORM.decode()) == expected


TYPES = (
    LINES,
    EVENTS,
    FORM,
    SCRIPT,
    b"application/json",
    b"text/javascript",
    EVENTS + b"; x=ndjson",
    FORM + b"; x=event-stream",
)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"num%E9ro=ord-9c41-77ab-0f", FORM),
        (b"num\xe9ro=ord-9c41-77ab-0f", FORM),
        (b'event: caf\xe9\ndata: {"id": "ord-9c41-77ab-0f"}\n\nevent: th\xe9\ndata: {"id": "x1"}\n\n', EVENTS),
        (b"abc", EVENTS + b"; x=ndjson"),
        (b"1\n2", EVENTS + b"; x=ndjson"),
    ],
)
def test_other_encodings_and_types_of_two_kinds_are_read_and_kept(data, kind):
    """A name that is no UTF-8 can be written with the plan, and a type that says two things is one of them."""
    said = answer(data, kind=kind)
    Reader(said)
    given = [Given(0, shown(found), list(found.path), found.sub, found.text) for found in values(said)]
    assert msgspec.json.decode(msgspec.json.encode(given), type=list[Given]) == given


@drawn(st.binary(max_size=300), st.sampled_from(TYPES))
def test_any_bytes_are_read_or_not(data, kind):
    """Nothing breaks, and each value that is found is found again at its place in the same answer."""
    said = answer(data, kind=kind)
    reader = Reader(said)
    msgspec.json.encode([shown(found) for found in values(said)])  # what is kept of it is written as UTF-8
    for found in values(said):
        if not found.place.startswith("header"):
            given = Given(0, shown(found), list(found.path), found.sub, found.text)
            assert reader.value(given) in {found.text, None if found.place == "body" else found.text}


@pytest.mark.parametrize(
    ("piece", "kind"),
    [
        (b"1\n", LINES), (b"\n", LINES), (b"{}\n", LINES), (b"data: 1\n\n", EVENTS), (b"data: x\n", EVENTS), (b":\n", EVENTS),
        (b"\r", EVENTS), (b"id: 1\n", EVENTS), (b"a=1&", FORM), (b"&", FORM), (b"%", FORM), (b"cb(", SCRIPT), (b"(", SCRIPT),
        (b"a.", SCRIPT), (b" ", SCRIPT), (b")", SCRIPT), (b"[", LINES), (b"data: [\n", EVENTS),
    ],
)  # fmt: skip
def test_a_hostile_body_is_bounded(piece, kind):
    """A megabyte of one thing: no more items are read than values of an answer are remembered, and no nesting breaks the reader."""
    said = answer(piece * (1024 * 1024 // len(piece)), kind=kind)
    tree = trees.tree_of(said.body.data, kind.decode())
    assert tree is None or len(tree) <= trees.ITEMS_MAX
    assert len(values(said)) <= trees.ITEMS_MAX
