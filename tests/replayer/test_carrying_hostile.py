"""Whatever a target answers and however long a recording is: requests keep their shape, secrets stay unsaid, memory and time are bounded."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ET
from urllib.parse import parse_qs, unquote

import pytest
from hypothesis import example, given as drawn, strategies as st
from msgspec.structs import replace as changed

from echolane.exchange import Body, Exchange
from echolane.masks import Masker
from echolane.masks.atoms import Atoms
from echolane.templating import Templates
from replayer import linking
from replayer.carrying import Learned, carried
from replayer.linking import Linker
from replayer.wire import Wires
from tests.replayer.linked import HIDING, answer, in_time, links_of, replayed, step

HTML, XML, TEXT, FORM = b"text/html", b"application/xml", b"text/plain", b"application/x-www-form-urlencoded"
OLD = "k7f3-99aa-21xq"
MULTIPART = f'--q\r\nContent-Disposition: form-data; name="zig"\r\n\r\n{OLD}\r\n--q--\r\n'.encode()
REQUESTS = {
    "path": step(f"GET /a/{OLD}/b", answer()),
    "query": step(f"GET /a?x=1&zig={OLD}&y=2", answer()),
    "header": step("GET /a", answer(), headers=[(b"X-Zig", OLD.encode())]),
    "bearer": step("GET /a", answer(), headers=[(b"Authorization", b"Bearer " + OLD.encode())]),
    "cookie": step("GET /a", answer(), headers=[(b"Cookie", f"a=1; zig={OLD}; b=2".encode())]),
    "referer": step("GET /a", answer(), headers=[(b"Referer", f"http://shop/a/{OLD}?z={OLD}".encode())]),
    "json": step("POST /a", answer(), {"some": [1, {"zig": OLD}]}),
    "form": step("POST /a", answer(), f"a=1&zig={OLD}&b=2".encode(), kind=FORM),
    "multipart": step("POST /a", answer(), MULTIPART, kind=b"multipart/form-data; boundary=q"),
    "xml": step("POST /a", answer(), f"<q><zig at='{OLD}'>{OLD}</zig></q>".encode(), kind=XML),
}
HOSTILE = [
    "x1\r\nX-Evil: 1\r\n\r\n",
    "a1; admin=1",
    "..",
    ".",
    "--q--",
    "\x01here\x01",
    "q1\udcff",
    "\ud800",
    "ключ-12345",
    "a\x00b1",
    " b1 ",
]


def shape(request: Exchange) -> object:
    """What of a request no value may change, read as a server does."""
    sent = request
    path, _, query = sent.target.partition("?")
    head = [(name, value.count(b";") if name == b"Cookie" else 0, value.count(b" ")) for name, value in sent.headers]
    kind = dict(sent.headers)[b"Content-Type"]
    body: object = None
    if kind == b"application/json" and sent.body.data:
        read = json.loads(sent.body.data)
        body = sorted(read), read["some"][0], sorted(read["some"][1])
    elif kind == FORM:
        body = sorted(parse_qs(sent.body.data.decode(), keep_blank_values=True))
    elif kind == XML:
        body = [(one.tag, sorted(one.attrib)) for one in ET.fromstring(sent.body.data.decode()).iter()]
    elif b"multipart" in kind:
        body = sent.body.data.count(b"\r\n"), [line for line in sent.body.data.split(b"\r\n") if line.startswith(b"--")]
    return path.count("/"), sorted(parse_qs(query, keep_blank_values=True)), head, body


@pytest.mark.parametrize("place", REQUESTS)
@drawn(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.text(alphabet=st.characters(exclude_categories=())),
        st.text(alphabet="./;&=%\r\n -\"'<>", max_size=6),
    )
)
@example("x1\r\nX-Evil: 1")
def test_no_value_of_a_target_changes_the_shape_of_a_request(place, value):
    """Line breaks, semicolons, dots, control characters, broken text: as one value where a value stood, or not at all."""
    steps = [step("GET /start", answer({"pulse": OLD})), REQUESTS[place]]
    links = links_of(steps)
    assert links.takes(1)
    request = steps[1].request
    sent = carried(request, request, links.takes(1), lambda _: value, HIDING).request
    assert shape(sent) == shape(request)
    if place == "path":
        assert unquote(sent.target).split("/")[2] not in {".", ".."}
    prepared = Wires("run1", [None] * 4, b"k" * 32, None).prepare(changed(in_time(steps)[1], seal=b""))
    prepared.ready = [b"as recorded"] * 4
    wire, notes = prepared.carried(
        0, lambda masked, opened: carried(masked, opened, links.takes(1), lambda _: value, HIDING)
    )
    assert (wire == b"as recorded") == (not notes)
    assert b"\r\nX-Evil" not in wire.partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    "other",
    [
        answer(b"<input name='pulse' value='M\xfcller-12345'>", kind=HTML),
        answer(b"\xff\xfe-12345-abc", kind=TEXT),
        answer(b"", (b"X-Pulse", b"\xff\xfe-12345")),
        answer(b'{"pulse": "\xff-12345678"}'),
    ],
)
@pytest.mark.parametrize("place", REQUESTS)
def test_bytes_that_are_no_text_break_nothing(place, other):
    """A page in another encoding than it says gives nothing that a request could not hold."""
    for said in (
        answer(b"<input name='pulse' value='%b'>" % OLD.encode(), kind=HTML),
        answer(OLD.encode(), kind=TEXT),
        answer(b"", (b"X-Pulse", OLD.encode())),
    ):
        sent = replayed([step("GET /start", said), REQUESTS[place]], [other, answer()])[1]
        assert shape(sent.request) == shape(REQUESTS[place].request)


@pytest.mark.parametrize(
    "other",
    [
        answer({"id": "8b1c-request-4711"}, status=500),
        answer({"id": 4711}, status=404),
        answer({"id": 42.5}),
        answer({"id": 10**30}),
        answer({"id": None}),
        answer({"id": {"id": 42}}),
        answer({"id": [42]}),
        answer({"id": True}),
        answer({"id": "not-found"}),
        answer({"id": ""}),
        answer([{"id": 42}]),
        answer(b'{"id": 42'),
        answer(b"<html><p>sorry, 17 and 42</p></html>", kind=HTML),
        changed(answer({"id": 42}), incomplete="length"),
        changed(answer(), body=Body(b'{"id": 42}', 99, truncated=True)),
        changed(answer(), body=Body(b'{"id": 42}', 10, undecoded="corrupt")),
    ],
)
def test_an_answer_that_failed_gives_nothing(other):
    """An error's own number is not the order's: the recorded one is sent, and the target says what it thinks of it."""
    for kind in (b"application/json", HTML):
        steps = [step("POST /orders", answer({"id": 17}, status=201)), step("GET /orders/17", answer())]
        steps[0] = changed(steps[0], response=changed(steps[0].response, headers=[(b"Content-Type", kind)]))
        assert replayed(steps, [other, answer()])[1].notes == []


def test_a_page_that_stands_where_a_token_was_is_no_token():
    """A target that answers 200 with a page, where the recording had a bare token, gives none."""
    steps = [step("GET /token", answer(OLD.encode(), kind=TEXT)), REQUESTS["query"]]
    page = b"<html><body>Please wait a moment</body></html>"
    assert replayed(steps, [answer(page, kind=HTML), answer()])[1].notes == []


def test_a_recording_that_begins_in_the_middle_of_a_session_is_sent_as_it_was():
    """Ids that no answer of the recording gave are the recorded ones, whatever answers repeat them."""
    steps = [
        step("GET /orders/88127341", answer({"id": 88127341, "cart": 5512})),
        step("POST /orders/88127341/pay", answer({"order": 88127341}), {"order": 88127341}),
        step("GET /orders/88127341", answer({"id": 88127341})),
    ]
    sent = replayed(steps, [answer({"id": 1, "cart": 2, "order": 3})] * 3)
    assert [one.request for one in sent] == [one.request for one in steps]


# --- what is said of a rewrite ---

TOKEN = "ak_99887766554433aa"
THEIRS = "tok-0f-the-target-5512"
AWS = "AKIAIOSFODNN7EXAMPLE"


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        ("GET /token/{0}/orders/17", {}, None),
        ("GET /reset?api_key={0}&order=17", {}, None),
        ("GET /orders/17", {"Authorization": "Bearer {0}"}, None),
        ("GET /orders/17", {"Cookie": "sid={0}; order=17"}, None),
        ("POST /orders/17", {}, {"password": "{0}", "order_id": 17}),
    ],
)
def test_no_secret_is_said_of_a_rewrite(line, headers, body, opens):
    """Secrets that the client sent and those that the target gave stand in no note, also where another value beside them was rewritten."""
    masker, atoms = Masker(b"k" * 32), Atoms(b"k" * 32)
    said = answer({"blip": TOKEN})
    sent = step(
        line.format(TOKEN), answer(), {k: TOKEN if v == "{0}" else v for k, v in body.items()} if body else b"",
        headers=[(name.encode(), value.format(TOKEN).encode()) for name, value in headers.items()],
    )  # fmt: skip
    masked = masker.request(sent.request).request
    assert TOKEN.encode() not in repr(masked).encode()
    steps = [
        step("POST /orders", answer({"id": 17}, status=201)),
        step("GET /start", masker.response(said).response),
        changed(sent, request=masked),
    ]
    links = links_of(steps, lambda text: atoms.mask(text.encode()).decode())
    learned = Learned()
    learned.learn(links.gives(0), answer({"id": 42}))
    learned.learn(links.gives(1), answer({"blip": THEIRS}))
    got = carried(masked, sent.request if opens else masked, links.takes(2), learned.get, HIDING)
    assert THEIRS in repr(got.request)
    assert got.notes
    assert THEIRS not in repr(got.notes)
    assert TOKEN not in repr(got.notes)
    assert THEIRS.encode() in got.values


@pytest.mark.parametrize("place", REQUESTS)
@pytest.mark.parametrize("theirs", [AWS, "ann.smith@corp.example", "4111111111111111"])
def test_a_value_that_looks_like_a_secret_is_not_said(place, theirs):
    """A target that gives a key, an address or a card where the recording had none: sent, and masked in what is said."""
    steps = [step("GET /start", answer({"pulse": OLD})), REQUESTS[place]]
    got = replayed(steps, [answer({"pulse": theirs}), answer()])[1]
    assert got.notes
    assert theirs not in repr(got.notes)


# --- time and memory ---


@pytest.mark.parametrize("kind", ["rows", "named", "links", "page"])
def test_a_list_whose_every_thing_is_asked_for_costs_little(kind):
    """A crawler's session: a long list of things, and a request for each; the list is read once, not once a thing."""
    count = 1_000 if kind == "named" else 4_000
    ids = [f"{n:08x}" for n in range(count)]
    if kind == "page":
        listed, other = (
            answer("".join(f'<a href="/things/{one}">{one}</a>' for one in some).encode(), kind=HTML)
            for some in (ids, ids[::-1])
        )
    else:
        rows = {
            "rows": lambda _, one: {"z": one},
            "named": lambda n, one: {"what": "thing " + "abcdefghij"[n % 10] * (1 + n // 30), "z": one, "n": n},
            "links": lambda _, one: {"z": f"/things/{one}?a=1&b=2"},
        }[kind]
        made = [rows(n, one) for n, one in enumerate(ids)]
        listed, other = answer(made), answer(made[::-1])
    steps = [step("GET /things", listed), *(step(f"GET /things/{one}", answer()) for one in ids)]
    links = links_of(steps)
    assert len(links.gives(0)) > 400
    begun = time.process_time()
    learned = Learned()
    learned.learn(links.gives(0), other)
    assert time.process_time() - begun < 1
    assert learned.get(links.takes(1)[0].given[0]) == ids[0]


def long_sessions(count: int, size: int):
    """Sessions of two requests whose answers weigh ``size``, one after the other."""
    for n in range(count):
        said = answer({"id": f"{n:08x}", "filler": [f"{n:08x}{at:08x}" for at in range(size // 20)]})
        yield step("POST /things", said, session=f"{n:016x}")
        yield step(f"GET /things/{n:08x}", said, session=f"{n:016x}")


@pytest.mark.parametrize("one", [False, True])
def test_what_a_plan_remembers_is_bounded(monkeypatch, one):
    """Many sessions with large answers, or a single endless one: the oldest is forgotten, what comes next to each other is tied."""
    monkeypatch.setattr(linking, "BYTES_MAX", 1_000_000)
    linker, most = Linker(), 0
    templates = Templates()
    for rank, seen in enumerate(in_time(list(long_sessions(200, 5_000)))):
        linker.see(seen, "a" * 16 if one else seen.session, rank, templates.template("GET", seen.request.target))
        held = sum(session.weight for session in linker._sessions.values())
        assert held == linker._bytes <= 1_000_000
        most = max(most, len(linker._sessions))
    assert most == 1 if one else 3 < most < 40
    assert len(linker.uses) == 200


def test_names_that_a_client_makes_up_are_not_all_counted(monkeypatch):
    """Ten thousand members with a name each: counted up to the bound."""
    monkeypatch.setattr(linking, "PLACES_MAX", 100)
    linker = Linker()
    for rank, seen in enumerate(
        in_time(
            [
                step("POST /a", answer({"id": 17}), {f"m{n}x{at}": f"value{n}-{at}" for at in range(100)})
                for n in range(20)
            ]
        )
    ):
        linker.see(seen, seen.session, rank, "POST /a")
    assert max(len(linker.seen), len(linker.kinds), len(linker.owned)) <= 100
