"""What a target gave is put into later requests: by place, never blindly, and with the reason."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given as drawn, strategies as st
from msgspec.structs import replace as changed

from echolane.exchange import Given
from echolane.masks import Masker
from echolane.masks.atoms import Atoms
from replayer.carrying import BYTES_MAX, Learned, carried
from tests.replayer.linked import HIDING, answer, links_of, replayed, step

HTML, XML, TEXT, FORM = b"text/html", b"application/xml", b"text/plain", b"application/x-www-form-urlencoded"


def test_an_id_in_a_path_is_the_targets_and_a_quantity_of_the_same_value_stays():
    """The answer holds 17 twice; the target gives 42 and 17: the path gets 42, the body's quantity stays, and the note says why."""
    steps = [
        step("POST /orders", answer({"id": 17, "qty": 17}), {"qty": 17}),
        step("GET /orders/17", answer({"id": 17, "qty": 17})),
        step("PATCH /orders/17", answer({"id": 17, "qty": 17}), {"qty": 17}),
    ]
    sent = replayed(steps, [answer({"id": 42, "qty": 17})] * 3)
    assert [one.request.target for one in sent] == ["/orders", "/orders/42", "/orders/42"]
    assert sent[2].request.body.data == b'{"qty": 17}'
    assert sent[1].notes == ['"/orders/17" -> "/orders/42": id from POST /orders at body:$.id']


def test_a_short_number_without_a_telling_name_is_found_by_what_changed():
    """Two unnamed places hold 17 and only one is given differently: a path takes that one, a body takes neither."""
    steps = [
        step("POST /things", answer({"blip": 17, "zork": 17})),
        step("GET /things/17", answer({})),
        step("PUT /state", answer({}), {"foo": 17}),
    ]
    sent = replayed(steps, [answer({"blip": 42, "zork": 17}), answer({}), answer({})])
    assert sent[1].request.target == "/things/42"
    assert sent[2].request.body.data == b'{"foo": 17}'


def test_a_number_that_clients_fill_in_themselves_is_never_taken_for_an_id():
    """A field that held other values elsewhere is the client's, also where it is an id by chance."""
    steps = []
    for n, amount in ((17, 3), (18, 18), (19, 5), (20, 2)):
        session = f"{n:016x}"
        steps += [
            step("POST /carts", answer({"blip": n}), session=session),
            step(f"POST /carts/{n}/lines", answer({}), {"amount": amount}, session=session),
        ]
    given = [answer({"blip": 40 + n}) for n in range(len(steps))]
    sent = replayed(steps, given)
    assert [one.request.target for one in sent[1::2]] == [f"/carts/{40 + n}/lines" for n in (0, 2, 4, 6)]
    assert [json.loads(one.request.body.data)["amount"] for one in sent[1::2]] == [3, 18, 5, 2]


OLD, NEW = "k7f3-99aa-21xq", 'n0w/it+is "else" 8'
PAGE = '<form action="/do?nonce={0}"><input type=hidden name="csrf_token" value="{1}"><input name=user></form>'
GIVING = {
    "json": (lambda v: answer({"deep": [{"er": {"pulse": v}}]}), None),
    "header": (lambda v: answer(b"", (b"X-Pulse", v.encode())), None),
    "text": (lambda v: answer(f"Your word of today is {v}\n".encode(), kind=TEXT), "n0w-it-is-else-8"),
    "whole text": (lambda v: answer(v.encode(), kind=TEXT), None),
    "xml text": (lambda v: answer(f"<a><b>1</b><b>{v}</b></a>".encode(), kind=XML), "n0w-it-is-else-8"),
    "xml attribute": (lambda v: answer(f"<a><b c='{v}'/></a>".encode(), kind=XML), "n0w-it-is-else-8"),
    "hidden input": (lambda v: answer(PAGE.format("z", v).encode(), kind=HTML), "n0w-it-is-else-8"),
    "script": (lambda v: answer(f"<script>var pulse = '{v}';</script>".encode(), kind=HTML), "n0w-it-is-else-8"),
}
TAKING = {
    "path": (lambda v: step(f"GET /a/{v}/b", answer()), "/a/{path}/b"),
    "query": (lambda v: step(f"GET /a?x=1&zig={v}", answer()), "/a?x=1&zig={query}"),
    "header": (lambda v: step("GET /a", answer(), headers=[(b"X-Zig", v.encode())]), None),
    "bearer": (lambda v: step("GET /a", answer(), headers=[(b"Authorization", b"Bearer " + v.encode())]), None),
    "cookie": (lambda v: step("GET /a", answer(), headers=[(b"Cookie", b"a=1; zig=" + v.encode())]), None),
    "json": (lambda v: step("POST /a", answer(), {"some": [1, {"zig": v}]}), None),
    "form": (lambda v: step("POST /a", answer(), f"a=1&zig={v}".encode(), kind=FORM), None),
    "multipart": (
        lambda v: step(
            "POST /a", answer(), f'--q\r\nContent-Disposition: form-data; name="zig"\r\n\r\n{v}\r\n--q--\r\n'.encode(),
            kind=b"multipart/form-data; boundary=q",
        ),
        None,
    ),
    "xml": (lambda v: step("POST /a", answer(), f"<q><zig>{v}</zig></q>".encode(), kind=XML), None),
    "text": (lambda v: step("POST /a", answer(), f"please take {v}".encode(), kind=TEXT), None),
}  # fmt: skip


@pytest.mark.parametrize("giving", GIVING)
@pytest.mark.parametrize("taking", TAKING)
def test_every_place_that_gives_reaches_every_place_that_takes(giving, taking):
    """A value that any kind of answer gave is put in at any place of a request, and written as that place needs."""
    give, new = GIVING[giving]
    new = "n0w-it-is-else-8" if new or taking in {"bearer", "cookie", "header", "text", "multipart"} else NEW
    take, _ = TAKING[taking]
    sent = replayed([step("GET /start", give(OLD)), take(OLD)], [give(new), answer()])[1]
    expected = take("n0w-it-is-else-8") if new != NEW else take("%s")
    if new != NEW:
        assert (sent.request.target, sent.request.headers) == (expected.request.target, expected.request.headers)
        assert sent.request.body.data == expected.request.body.data
    else:
        written = {
            "path": "n0w%2Fit+is%20%22else%22%208",
            "query": "n0w%2Fit%2Bis%20%22else%22%208",
            "form": "n0w%2Fit%2Bis%20%22else%22%208",
            "json": 'n0w/it+is \\"else\\" 8',
            "xml": "n0w/it+is &quot;else&quot; 8",
        }[taking]
        assert written in sent.request.target + sent.request.body.data.decode()
    assert len(sent.notes) == 1
    assert "from GET /start at " in sent.notes[0]


@pytest.mark.parametrize(
    ("given", "other", "line", "expected"),
    [
        ({"next": "http://prod/l?page=2&c=b2xk"}, {"next": "/l?page=2&c=bmV3"}, "/l?page=2&c=b2xkZXJj", None),
        ({"next": "http://prod/l?page=2&c=b2xkZXJj1"}, {"next": "/l?page=2&c=bmV3%2F"}, "/l?page=2&c=b2xkZXJj1", "/l?page=2&c=bmV3%2F"),
        ({"id": 17}, {"id": 42}, "/x?ref=ref-17", "/x?ref=ref-42"),
        ({"id": "order:8812734"}, {"id": "order:99"}, "/orders/8812734", "/orders/99"),
        ({"u": "/files/a81b22cc?sig=99ffeedd00&e=1"}, {"u": "/files/zz?sig=11&e=1"}, "/files/a81b22cc?sig=99ffeedd00&e=1", "/files/zz?sig=11&e=1"),
        ({"id": "a b/c-12345"}, {"id": "d e/f"}, "/q/a%20b%2Fc-12345", "/q/d%20e%2Ff"),
    ],
)  # fmt: skip
def test_a_value_inside_another_is_found_and_its_surroundings_stay(given, other, line, expected):
    """Cursors in links, ids in references and presigned links: the part is replaced, escapes and neighbours are as they were."""
    sent = replayed([step("GET /start", answer(given)), step(f"GET {line}", answer())], [answer(other), answer()])
    assert sent[1].request.target == (expected or line)


@pytest.mark.parametrize("condition", ["(<{0}>)", "({0})", '</f> (<{0}> ["v3"])'])
def test_the_token_of_a_lock_goes_into_the_condition_that_names_it(condition):
    """A name in brackets is one value, whatever signs it has (RFC 4918, If)."""
    old, new = "urn:uuid:5d9d5f7a-1111-4222-8333-444455556666", "urn:uuid:9e0e6a8b-1111-4222-8333-444455556666"
    locked = [answer(f"<p><locktoken><href>{token}</href></locktoken></p>".encode(), kind=XML) for token in (old, new)]
    write = step("PUT /f", answer(), b"x", headers=[(b"If", condition.format(old).encode())], kind=TEXT)

    sent = replayed([step("LOCK /f", locked[0]), write], [locked[1], answer()])

    assert dict(sent[1].request.headers)[b"If"].decode() == condition.format(new)


def test_an_etag_goes_back_to_where_it_came_from():
    """Two resources have the same entity tag in the recording and different ones at the target: each request gets its own resource's."""
    tag = (b"ETag", b'W/"3"')
    steps = [
        step("GET /a/1", answer({}, tag)), step("GET /a/2", answer({}, tag)),
        step("PUT /a/1", answer({}), {"x": 1}, headers=[(b"If-Match", b'W/"3"')]),
        step("GET /a/2", answer({}), headers=[(b"If-None-Match", b'W/"3"')]),
    ]  # fmt: skip
    given = [answer({}, (b"ETag", b'"77"')), answer({}, (b"ETag", b'"88"')), answer({}), answer({})]
    sent = replayed(steps, given)
    assert dict(sent[2].request.headers)[b"If-Match"] == b'"77"'
    assert dict(sent[3].request.headers)[b"If-None-Match"] == b'"88"'


def test_elements_of_a_list_are_found_by_what_was_written_not_by_their_order():
    """The target lists the same things in another order: the id belongs to the name that had it in the recording."""
    recorded = {"items": [{"what": "hammer", "z": "aaaa1111"}, {"what": "saw", "z": "bbbb2222"}]}
    other = {"items": [{"what": "nail", "z": "n0"}, {"what": "saw", "z": "s9"}, {"what": "hammer", "z": "h9"}]}
    sent = replayed(
        [step("GET /items", answer(recorded)), step("GET /items/bbbb2222", answer())], [answer(other), answer()]
    )
    assert sent[1].request.target == "/items/s9"


def test_a_csrf_token_goes_from_page_to_header_and_field():
    """A hidden input's token is put into the form, a meta's into the header, and no note tells a secret."""
    page = '<meta name="csrf-token" content="{0}"><form><input type="hidden" name="_csrf" value="{0}"></form>'
    steps = [
        step("GET /form", answer(page.format("tok-8812-aa").encode(), kind=HTML)),
        step("POST /form", answer(), b"_csrf=tok-8812-aa&n=1", headers=[(b"X-CSRF-Token", b"tok-8812-aa")], kind=FORM),
    ]
    sent = replayed(steps, [answer(page.format("tok-9999-zz").encode(), kind=HTML), answer()])[1]
    assert sent.request.body.data == b"_csrf=tok-9999-zz&n=1"
    assert dict(sent.request.headers)[b"X-CSRF-Token"] == b"tok-9999-zz"
    assert len(sent.notes) == 2
    assert "tok-" not in " ".join(sent.notes)
    assert set(sent.values) == {b"tok-9999-zz"}


def test_what_a_client_brought_itself_is_not_taken_from_an_echo():
    """A key that the client made and the service repeats is the client's, whatever a target repeats."""
    key = [(b"Idempotency-Key", b"5b1c-client-made-77")]
    echo = {"key": "5b1c-client-made-77"}
    steps = [step("POST /pay", answer(echo), headers=key), step("POST /pay", answer(echo), headers=key)]
    sent = replayed(steps, [answer({"key": "other-1234-abcd"}), answer()])
    assert sent[1].notes == []


def test_masks_tie_what_was_masked_and_the_original_is_replaced():
    """The recording has masks, the opened request the originals: the place is the same, and what stands around the mask is kept."""
    steps = [
        step("POST /login", answer({"token": "mk2abcdefghijkl7"})),
        step("GET /me", answer(), headers=[(b"Authorization", b"Bearer mk2abcdefghijkl7")]),
    ]
    links, learned = links_of(steps), Learned()
    learned.learn(links.gives(0), answer({"token": "fresh-one"}))
    opened = step("GET /me", answer(), headers=[(b"Authorization", b"Bearer the-original-77")]).request
    sent = carried(steps[1].request, opened, links.takes(1), learned.get, HIDING)
    assert dict(sent.request.headers)[b"Authorization"] == b"Bearer fresh-one"
    assert sent.values == [b"fresh-one"]
    assert "fresh" not in sent.notes[0]


def test_another_sessions_values_are_no_business_of_this_one():
    """Two sessions share a number; only the one whose answer gave it is rewritten."""
    steps = [
        step("POST /orders", answer({"id": 17}), session="a" * 16),
        step("GET /orders/17", answer(), session="b" * 16),
    ]
    assert not links_of(steps)


def test_memory_of_a_target_is_bounded():
    """The values learned first are given up when there are too many; one that is too long for any place is never learned."""
    learned = Learned()
    big = "x" * 8_000
    for n in range(6_000):
        learned.learn([Given(n, "body:$.v", ["v"])], answer({"v": big}))
    assert learned.get(0) is None
    assert learned.get(5_999) == big
    assert sum(learned.get(n) is not None for n in range(6_000)) == BYTES_MAX // len(big)
    learned.learn([Given(6_000, "body:$.v", ["v"])], answer({"v": "x" * 10_000}))
    assert learned.get(6_000) is None


IDS = st.lists(st.integers(10, 99_999_999), min_size=4, max_size=4, unique=True)


def shop(ids: list[int], cursor: str):
    """A session of a small shop: requests as a client makes them of the answers, and the answers."""
    cart, line, order, pay = ids
    return [
        step("POST /carts", answer({"blip": cart})),
        step(f"POST /carts/{cart}/lines", answer({"seq": line, "qty": 3}), {"qty": 3, "sku": "S-1"}),
        step(f"DELETE /carts/{cart}/lines/{line}", answer(b"", status=204)),
        step("POST /orders", answer(b"", (b"Location", f"/orders/{order}".encode()), status=201), {"cart": cart}),
        step(f"POST /orders/{order}/payment", answer({"receipt": f"r-{pay}"}), {"total": 99}),
        step(f"GET /receipts/r-{pay}", answer({"more": cursor})),
        step(f"GET /history?from={cursor}", answer()),
    ]


@drawn(IDS, IDS, st.binary(min_size=11, max_size=11), st.binary(min_size=11, max_size=11))
def test_a_target_that_renames_all_ids_gets_the_session_in_its_own_names(old, new, first, second):
    """A session replayed at a target with other ids asks exactly what a user there would have asked; with the same ids, what was recorded."""
    cursors = [base64.urlsafe_b64encode(raw + b"\x00").decode() for raw in (first, second)]
    recorded, theirs = shop(old, cursors[0]), shop(new, cursors[1])
    links = links_of(recorded)
    for wanted in (theirs, recorded):
        sent = replayed(recorded, [one.response for one in wanted])
        assert [one.request for one in sent] == [one.request for one in wanted]
    assert all(not one.notes for one in replayed(recorded, [one.response for one in recorded]))
    again = [carried(one.request, one.request, links.takes(n), Learned().get, HIDING) for n, one in enumerate(theirs)]
    assert [one.request for one in again] == [one.request for one in theirs]


@drawn(
    st.text(max_size=200),
    st.sampled_from([b"application/json", HTML, XML, TEXT, FORM, b"multipart/form-data; boundary=q"]),
)
def test_any_answer_and_any_request_can_be_read(text, kind):
    """Whatever stands in a body, nothing breaks, and what nothing ties stays byte for byte."""
    raw = text.encode("utf-8", "surrogatepass")
    steps = [step("GET /a", answer(raw, kind=kind)), step("POST /b", answer(), raw, kind=kind)]
    sent = replayed(steps, [answer(raw, kind=kind), answer()])
    assert sent[1].request == steps[1].request


@pytest.mark.parametrize(
    ("recorded", "other", "line"),
    [
        ([{"id": 7}, {"id": 17}], [{"id": 17}, {"id": 7}], "/posts/17"),
        ([{"id": 7}, {"id": 17}], [{"id": 99}, {"id": 98}], "/posts/17"),
        ([{"n": 7}, {"n": 17}], [{"n": 99}, {"n": 98}], "/posts?_limit=17"),
        ([{"n": "aaaa1111"}, {"n": "bbbb2222"}], [{"n": "bbbb2222"}, {"n": "aaaa1111"}], "/posts/bbbb2222"),
        ({"id": 17}, {"id": "not-found"}, "/posts/17"),
        (b"<p><a>7</a><a>17</a></p>", b"<p><a>7</a><a>next-page</a></p>", "/posts/17"),
        (b'<a href="/posts/7">x</a><a href="/posts/17">y</a>', b'<a href="/posts/17">y</a><a href="/posts/7">x</a>', "/posts/17"),
    ],
)  # fmt: skip
def test_one_of_many_of_a_list_or_page_is_not_taken_for_what_stands_there_now(recorded, other, line):
    """A target that sorts otherwise, or whose page has another text at the place, is asked for the recorded thing."""
    kind = HTML if isinstance(recorded, bytes) else b"application/json"
    steps = [step("GET /posts", answer(recorded, kind=kind)), step(f"GET {line}", answer())]
    assert replayed(steps, [answer(other, kind=kind), answer()])[1].request.target == line


@pytest.mark.parametrize(
    ("recorded", "other", "kind"),
    [
        ([{"id": 17}], [{"id": 42}], b"application/json"),
        (b"<posts><post><id>17</id></post></posts>", b"<posts><post><id>42</id></post></posts>", XML),
        (b'<a href="/posts/17">y</a>', b'<a href="/posts/42">y</a>', HTML),
        (b'<form><input name="id" value="17"></form>', b'<form><input name="id" value="42"></form>', HTML),
    ],
)
def test_a_short_number_that_stands_alone_is_taken(recorded, other, kind):
    """The only element of a list or page, or a named field, is known without an index."""
    steps = [step("POST /posts", answer(recorded, kind=kind)), step("GET /posts/17", answer())]
    assert replayed(steps, [answer(other, kind=kind), answer()])[1].request.target == "/posts/42"


@pytest.mark.parametrize("cursor", ["OTpbdvpzC+Y=", "qhxkzvtrwp", "oTpBdVpZcDy", "abcdefgh"])
def test_a_cursor_without_a_digit_is_carried_on(cursor):
    """A token that looks like no number is known as a link's member, and where it cannot have been written also elsewhere."""
    link = {"more": {"url": "/l?from=" + quote(cursor)}}
    other = {"more": {"url": "/l?from=QQ%3D"}}
    steps = [step("GET /l", answer(link)), step("GET /l?from=" + quote(cursor), answer())]
    assert replayed(steps, [answer(other), answer()])[1].request.target == "/l?from=QQ%3D"
    if cursor != "abcdefgh":
        steps = [step("GET /l", answer({"zig": cursor})), step("POST /l", answer(), {"zag": cursor})]
        assert replayed(steps, [answer({"zig": "new"}), answer()])[1].request.body.data == b'{"zag": "new"}'


@pytest.mark.parametrize("word", ["active", "MyAccount", "red", "express delivery", "internationally"])
def test_a_word_that_a_client_chose_is_its_own(word):
    """A state or colour that an answer had too is sent as recorded, whatever the target's state is now."""
    steps = [step("GET /a", answer({"state": word})), step("PUT /a", answer(), {"state": word})]
    assert replayed(steps, [answer({"state": "pending"}), answer()])[1].notes == []


@drawn(
    st.text(max_size=200),
    st.text(max_size=200),
    st.sampled_from([b"application/json", HTML, XML, TEXT]),
    st.sampled_from([b"application/json", XML, TEXT, FORM, b"multipart/form-data; boundary=q"]),
)
def test_whatever_a_target_answers_the_request_can_be_sent(recorded, other, kind, sent_kind):
    """An answer that is not what the recording says gives nothing, or a value; the request keeps its shape either way."""
    raw = [text.encode("utf-8", "surrogatepass") for text in (recorded, other)]
    steps = [step("GET /a", answer(raw[0], kind=kind)), step("POST /b", answer(), raw[0], kind=sent_kind)]
    sent = replayed(steps, [answer(raw[1], kind=kind), answer()])[1].request
    assert (sent.method, len(sent.headers), sent.body.size) == ("POST", 1, len(sent.body.data))


@pytest.mark.parametrize(
    "piece", [b'<a "', b"<!--", b"<script>", b"<a b='", b'{"a":', b"[[", b"a1 ", b'<input name="x" value="1">', b"/a/1"]
)
def test_a_hostile_answer_costs_little(piece):
    """A megabyte of unclosed quotes, comments, scripts or brackets is read in a moment."""
    for kind in (HTML, XML, TEXT, b"application/json"):
        raw = piece * (1_000_000 // len(piece))
        steps = [step("GET /a", answer(raw, kind=kind)), step("GET /b/abc12345", answer())]
        begun = time.process_time()
        links_of(steps)
        assert time.process_time() - begun < 2, kind


def test_a_total_that_is_another_things_number_by_chance_is_not_followed():
    """Pages of a shop show totals; a branch that computes them otherwise is still asked for the things that were asked for."""
    steps = [step(f"GET /mine/{n}", answer({"id": n, "total": n * 10 + 5})) for n in range(1, 17)]
    other = [answer({"id": n, "total": n * 10 + 6}) for n in range(1, 17)]
    assert [one.request.target for one in replayed(steps, other)] == [f"/mine/{n}" for n in range(1, 17)]


def test_one_cart_used_often_is_still_that_cart():
    """A single session with a single cart, whose number has no telling name, is followed however often it comes back."""
    steps = [step("POST /carts", answer({"blip": 17, "floor": 3}))]
    steps += [step(f"GET /carts/17?n={n}", answer({"blip": 17})) for n in range(9)]
    sent = replayed(steps, [answer({"blip": 42, "floor": 3})] * 10)
    assert {one.request.target.partition("?")[0] for one in sent[1:]} == {"/carts/42"}


@pytest.mark.parametrize(
    ("member", "headers", "line"),
    [
        ("nonce", [(b"X-Auth-Token", b"ak_99887766554433aa")], "GET /x"),
        ("blip", [(b"Authorization", b"Bearer ak_99887766554433aa")], "GET /x"),
        ("blip", [], "GET /token/ak_99887766554433aa"),
        ("blip", [], "GET /x?api_key=ak_99887766554433aa"),
    ],
)
def test_a_token_that_is_clear_in_the_answer_and_masked_in_the_request_is_tied(member, headers, line):
    """A name that promises no secret gives a token, one that does takes it: the mask tells that both are one."""
    masker, atoms = Masker(b"k" * 32), Atoms(b"k" * 32)
    said = masker.response(answer({member: "ak_99887766554433aa"})).response
    sent = step(line, answer(), headers=headers)
    steps = [step("GET /start", said), changed(sent, request=masker.request(sent.request).request)]
    assert steps[1].request != sent.request
    links = links_of(steps, lambda text: atoms.mask(text.encode()).decode())
    learned = Learned()
    learned.learn(links.gives(0), answer({member: "tok-of-the-target"}))
    got = carried(steps[1].request, sent.request, links.takes(1), learned.get, HIDING)
    assert b"tok-of-the-target" in repr(got.request).encode()
    assert got.values == [b"tok-of-the-target"]
    assert "tok-of" not in got.notes[0]
