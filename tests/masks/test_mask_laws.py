"""Laws of masks: the seal restores every byte, a mask of a mask is itself, texts stay what they are, differences stay."""

from __future__ import annotations

import base64
import os
import re
import string
import tracemalloc
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given, settings, strategies as st

from echolane.exchange import Body, Request, Response
from echolane.keys import SealKey, SealKeys
from echolane.masks import Masker, MaskRules
from echolane.masks.atoms import Atoms
from echolane.seal import open_seal

KEY = SealKey.of(bytes(range(32)))
KEYS = SealKeys(KEY)
MASKER = Masker(KEY.mask_key(), seal_key=KEY)
ATOMS = Atoms(KEY.mask_key())

SECRETS = st.sampled_from(
    [
        "hunter2", "ann@example.com", "4111111111111111", "4111 1111 1111 1111", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF-123",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "c9bf9e57-1685-4c89-bafb-ff5af830be8a", "deadbeefdeadbeef", "1234", "0", "-1.5e3",
        "p\u0061ss w\u00f6rd", "a\\b", 'q"q', "a%40b.example", "user\u002btag@example.com", "Bearer abc123", "a=1; b=2",
    ]
)  # fmt: skip
NAMES = st.sampled_from(
    ["password", "token", "X-Api-Key", "api_key", "sid", "key", "tokens", "name", "user[password]", "expires_in", "Cookie", "Set-Cookie",
     "Authorization", "email", "csrf", "client secret", "cookies", "p\u0061ss"]
)  # fmt: skip
WORDS = st.one_of(SECRETS, NAMES, st.text(max_size=12))
BETWEEN = st.sampled_from(
    [" ", "=", ": ", "&", ";", "?", "\\", '"', "<", ">", "/", "%", "\n", "{", "[", ", ", "\t", "'", "%20", "|"]
)
PROSE = st.lists(st.tuples(WORDS, BETWEEN), max_size=6).map(
    lambda pairs: "".join(text for pair in pairs for text in pair)
)
JSON = st.recursive(
    st.one_of(
        PROSE,
        SECRETS,
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(NAMES, PROSE), inner, max_size=4)),
    max_leaves=8,
)
HEADER = st.tuples(
    st.one_of(NAMES.map(str.encode), st.sampled_from([b"Referer", b"X-Debug", b"WWW-Authenticate", b"From", b"Date"])),
    st.one_of(
        PROSE.map(str.encode),
        SECRETS.map(lambda text: b"Bearer " + text.encode()),
        PROSE.map(lambda text: b"Basic " + base64.b64encode(text.encode())),
        SECRETS.map(lambda text: b'Digest username="' + text.encode() + b'", realm="r", nonce=abc, uri="/x"'),
        st.lists(st.tuples(NAMES, PROSE), max_size=3).map(
            lambda pairs: "; ".join(f"{n}={v}" for n, v in pairs).encode()
        ),
    ),
)
TARGET = st.one_of(
    PROSE.map(lambda text: "/" + text),
    st.lists(st.tuples(NAMES, PROSE), max_size=4).map(lambda pairs: "/x?" + "&".join(f"{n}={v}" for n, v in pairs)),
)
BODY = st.one_of(
    st.binary(max_size=60).map(lambda data: (b"", data)),
    PROSE.map(lambda text: (b"text/plain", text.encode())),
    JSON.map(lambda value: (b"application/json", orjson.dumps(value))),
    JSON.map(lambda value: (b"application/json", orjson.dumps(value, option=orjson.OPT_INDENT_2))),
    JSON.map(lambda value: (b"application/json", orjson.dumps({"wrapped": orjson.dumps(value).decode()}))),
    st.lists(st.tuples(NAMES, PROSE), max_size=4).map(
        lambda pairs: (b"application/x-www-form-urlencoded", "&".join(f"{n}={v}" for n, v in pairs).encode())
    ),
    st.lists(st.tuples(NAMES, PROSE), max_size=3).map(
        lambda pairs: (b"multipart/form-data; boundary=BB", "".join(
            f'--BB\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in pairs).encode() + b"--BB--\r\n")
    ),
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests with secrets, names and plain things in every position."""
    kind, data = draw(BODY)
    headers = draw(st.lists(HEADER, max_size=4))
    if kind:
        headers.append((b"Content-Type", kind))
    body = Body(data, len(data), truncated=draw(st.booleans()) and len(data) > 3)
    authority = draw(st.sampled_from(["h", "h:80", "ann:hunter2@h"]))
    return Request("POST", "http", authority, draw(TARGET), "1.1", headers, body, draw(st.lists(HEADER, max_size=1)))


@given(requests())
@settings(max_examples=120, deadline=None)
def test_a_seal_restores_every_byte(request: Request):
    """For any request: opened again, the masked request is the request."""
    masked = MASKER.request(request)

    assert open_seal(masked.request, masked.seal, KEYS) == request
    assert (masked.request == request) == (masked.masks == 0)


@given(requests())
@settings(max_examples=120, deadline=None)
def test_a_mask_of_a_mask_is_itself(request: Request):
    """Masked again, as in an echo or a replay without seals, nothing changes."""
    once = MASKER.request(request).request
    twice = MASKER.request(once)

    assert twice.request == once
    assert twice.masks == 0


@given(requests(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_response_is_masked_like_a_request(request: Request, data: st.DataObject):
    """The same body and headers have the same masks on either side, so a value is recognised across."""
    del data
    there = MASKER.request(request).request
    back = MASKER.response(Response(200, "1.1", request.headers, request.body, request.trailers)).response

    assert (back.headers, back.body, back.trailers) == (there.headers, there.body, there.trailers)


@given(
    st.lists(requests(), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([b"", b"text/html", b"application/json"])), max_size=8),
    st.lists(SECRETS.map(str.encode), max_size=1),
)
@settings(max_examples=60, deadline=None)
def test_what_was_met_before_changes_no_mask(
    made: list[Request], again: list[tuple[int, bytes]], known: list[bytes]
) -> None:
    """A masker that has met lines and bodies before, under other types and beside other secrets, masks as a new one does."""
    warm = Masker(KEY.mask_key())
    plain = Body(b'{"items": [1, 2], "name": "hunter2"}', 36)
    bodies = [plain, *(one.body for one in made)]
    for place, kind in [(0, b""), *again, (0, b"text/html"), (0, b"")]:
        body, headers = bodies[place % len(bodies)], made[place % len(made)].headers
        answer = Response(200, "1.1", [*headers, (b"Content-Type", kind)] if kind else headers, body)
        assert warm.response(answer, known) == Masker(KEY.mask_key()).response(answer, known)
        assert warm.response(answer) == Masker(KEY.mask_key()).response(answer)


def test_a_body_is_remembered_as_the_kind_of_text_that_it_was() -> None:
    """``pin=1234`` is a secret in a form and words in a text: that a text was clean says nothing of the form."""
    masker, data = Masker(KEY.mask_key()), b"x=1&pin=1234"
    text, form = ([(b"Content-Type", kind)] for kind in (b"text/plain", b"application/x-www-form-urlencoded"))
    for headers, masked in ((text, False), (form, True), (text, False), (form, True)):
        answer = masker.response(Response(200, "1.1", headers, Body(data, len(data)))).response
        assert (b"1234" not in answer.body.data) == masked


def test_a_remembered_body_that_is_cut_is_read_as_cut() -> None:
    """The word in which a body was cut is masked, also where the same bytes were whole and clean before."""
    masker, data = Masker(KEY.mask_key()), b'{"name": "Ann", "text": "half of a wo'
    whole, cut = Body(data, len(data)), Body(data, 90, truncated=True)
    for body, told in ((whole, True), (whole, True), (cut, False), (whole, True)):
        assert masker.response(Response(200, "1.1", [], body)).response.body.data.endswith(b" wo") == told


def test_bodies_that_are_remembered_are_bounded() -> None:
    """However many different answers come, those that are remembered weigh a few MiB at most, and large ones never count."""
    masker = Masker(KEY.mask_key())
    for number in range(300):
        data = b'{"n": %d, "text": "%b"}' % (number, b"ab " * 10_000)
        masker.response(Response(200, "1.1", [], Body(data, len(data))))
    large = b'{"n": ["%b"]}' % (b"ab " * 30_000)
    masker.response(Response(200, "1.1", [], Body(large, len(large))))

    assert 0 < sum(map(len, masker._clean)) <= 4 * 1024 * 1024
    assert large not in masker._clean


def same_shape(one: object, other: object) -> bool:
    """Whether two JSON values have the same containers and the same types of leaves."""
    if isinstance(one, dict) and isinstance(other, dict):
        return len(one) == len(other) and all(map(same_shape, one.values(), other.values()))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_shape, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isinstance(one, bool) == isinstance(other, bool)
    return type(one) is type(other)


@given(JSON, st.sampled_from([0, orjson.OPT_INDENT_2]))
@settings(max_examples=120, deadline=None)
@example({"token": "a\\nb@c.de", "x": '{"password":"\\u0041b\\"c"}'}, 0)
@example({'password":': "", "y": 1, "say": 'token":', "z": "v"}, 0)
def test_json_stays_json(value: object, option: int):
    """A masked JSON body parses, and has the same containers and types at the same places."""
    data = orjson.dumps(value, option=option)
    out = MASKER.response(
        Response(200, "1.1", [(b"content-type", b"application/json")], Body(data, len(data)))
    ).response

    masked = orjson.loads(out.body.data)
    if len(set(keys_of(value))) == len(set(keys_of(masked))):
        assert same_shape(value, masked)


def keys_of(value: object) -> list[str]:
    """Every key below a JSON value."""
    if isinstance(value, dict):
        return [*value, *(key for child in value.values() for key in keys_of(child))]
    return [key for child in value for key in keys_of(child)] if isinstance(value, list) else []


@given(st.binary(min_size=1, max_size=80), st.binary(min_size=1, max_size=80))
@settings(max_examples=120, deadline=None)
@example(b"1", b"01")
@example(b"1.5", b"1.50")
@example(b"ABCDEF12", b"abcdef12")
def test_different_values_have_different_masks(one: bytes, other: bytes):
    """A mask hides the value, never that it is another one."""
    assert (ATOMS.mask(one) == ATOMS.mask(other)) == (one == other)
    assert ATOMS.mask(one) not in {one, other}
    assert ATOMS.mask(ATOMS.mask(one)) == ATOMS.mask(one)


ALPHABETS = [
    string.digits,
    "0123456789abcdef",
    "0123456789ABCDEF",
    string.ascii_lowercase,
    string.ascii_letters + string.digits,
]


@given(st.sampled_from(ALPHABETS).flatmap(lambda letters: st.text(letters, min_size=16, max_size=200)))
@settings(max_examples=100, deadline=None)
def test_long_values_keep_length_and_class(text: str):
    """Where there is room, a mask is as long as its value and of the same letters."""
    mask = ATOMS.mask(text.encode()).decode()

    assert len(mask) == len(text)
    assert not text.isdigit() or mask.isdigit()
    assert not set(text) <= set("0123456789abcdef") or set(mask) <= set("0123456789abcdef")
    assert any(c.isupper() for c in mask) == any(c.isupper() for c in text) or text.isdigit()


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (b"c9bf9e57-1685-4c89-bafb-ff5af830be8a", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF", r"eyJhbGciOiJIUzI1NiJ9\.eyJzdWIi[\w-]+\.[\w-]{16}"),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.a.b.cDEF", r"eyJ[\w-]{17}\.eyJ[\w-]{12}\.[\w-]\.[\w-]\.[\w-]{4}"),
        (b"someone.else@example.com", r"mk[a-z2-7]{15}@x\.test"),
        (b"4111111111111111", r"9[0-9]{15}"),
        (b"-12.50", r"9[0-9]{14}\.5"),
        (b"dark", r"mp[a-z2-7]{14}"),
        (b"x" * 5000, r"mk[a-z2-7]{4998}"),
    ],
)
def test_masks_look_like_what_they_hide(value: bytes, shape: str):
    """An id stays an id, a JWT a JWT, an e-mail an e-mail, so what reads them still can."""
    import re

    assert re.fullmatch(shape, ATOMS.mask(value).decode())


def test_another_key_makes_other_masks():
    """Masks tell nothing without the key: no two installations share them."""
    other = Atoms(bytes(32))

    assert other.mask(b"hunter2hunter2") != ATOMS.mask(b"hunter2hunter2")
    assert other.token(b"hunter2") != ATOMS.token(b"hunter2")


NAUGHTY = Path(os.environ.get("ECHOLANE_INPUTS_DIR", "/nowhere")) / "suites" / "naughty-strings"


def test_naughty_strings_survive():
    """Strings known to break programs are masked, restored and left valid JSON in every position."""
    if not NAUGHTY.is_dir():
        if os.environ.get("ECHOLANE_REQUIRE_ALL"):
            pytest.fail("ECHOLANE_INPUTS_DIR has no suites/naughty-strings")
        pytest.skip("needs suites/naughty-strings under ECHOLANE_INPUTS_DIR")
    file = next(NAUGHTY.rglob("blns.json"))
    for text in orjson.loads(file.read_bytes()):
        raw = text.encode().translate(None, b"\r\n\0")
        body = orjson.dumps({"password": text, text: [text], "note": f"token={text}"})
        headers = [
            (b"Cookie", b"a=" + raw),
            (b"Authorization", b"Bearer " + raw),
            (b"X", raw),
            (b"content-type", b"application/json"),
        ]
        request = Request("POST", "http", "h", "/x?token=" + text + "&q=" + text, "1.1", headers, Body(body, len(body)))
        masked = MASKER.request(request)

        assert open_seal(masked.request, masked.seal, KEYS) == request
        assert MASKER.request(masked.request).masks == 0, text
        orjson.loads(masked.request.body.data)


def test_rules_add_and_keep_names():
    """A user's own names are masked wherever they stand, and names that must stay stay."""
    masker = Masker(KEY.mask_key(), rules=MaskRules(names=("customerRef",), keep=("session",), emails=False))
    body = b'{"customer_ref":"A-77-1","session":"keep-me-please","mail":"ann@example.com"}'
    out = masker.response(Response(200, "1.1", [(b"X-Customer-Ref", b"A-77-1")], Body(body, len(body)))).response

    assert b"A-77-1" not in out.body.data
    assert b"keep-me-please" in out.body.data
    assert b"ann@example.com" in out.body.data
    assert out.headers[0][1] != b"A-77-1"


KEYS_OF_ISSUERS = ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLF", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk_test_abcdefghij",
                   "ghp_" + "a1B2c3D4e5" * 3, "sk-proj-" + "Ab1-" * 40 + "x" * 20, "glpat-abcdefgh123456789xyz"]  # fmt: skip


@given(
    st.lists(st.sampled_from(KEYS_OF_ISSUERS), min_size=1, max_size=8),
    st.sampled_from([",", " ", "'>", "\n", "</a><a>", '","']),
)
@example(["AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"], "'>")
@example(["sk_test_abcdefghij", "AKIAIOSFODNN7EXAMPLE"], " ")
def test_keys_that_stand_close_to_each_other_are_all_masked(keys, between):
    """A list of keys, one in an attribute beside one in a text: none of them is passed over because another was found nearby."""
    long = [key for key in keys if len(key) >= 20]
    text = between.join([*keys, "AKIAIOSFODNN7EXAMPLE"]).encode()
    answer = Response(200, "1.1", [(b"Content-Type", b"text/plain")], Body(text, len(text)))
    masked = MASKER.response(answer).response.body.data
    assert not any(key[9:].encode() in masked for key in long), masked
    assert masked.count(between.encode()) == len(keys)


def test_short_bodies_that_are_remembered_take_no_more_than_their_bound():
    """Eighty thousand short answers, none like another: what each takes beside its bytes counts, so all that is kept of them stays below 5 MiB."""
    masker = Masker(KEY.mask_key())
    headers = [(b"Content-Type", b"application/json")]
    tracemalloc.start()
    try:
        for number in range(80_000):
            body = b'{"n":%d}' % number
            masker.response(Response(200, "1.1", headers, Body(body, len(body))))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert kept < 5 * 2**20


@given(
    st.lists(
        st.sampled_from(['"password"', '"a"', ":", ": ", " :", '"', ", ", "x", "\n", "\\", '"s3cret"', "{", "}", '"t": 1', "token: abc1", "token=abc2"]),
        max_size=12,
    )
)  # fmt: skip
@example(['password"', ":", '"s3cret"'])
@example(['"password"', " :", '"s3cret"', ",", '"a"', ":", '"x"'])
@settings(max_examples=1000)
def test_keys_that_are_found_whole_are_those_that_colons_tell(parts: list[str]) -> None:
    """A JSON text is masked alike whether its keys are found whole or each text before a colon is looked at."""
    data = ("{" + "".join(parts)).encode()
    pairs, held, anew = MASKER._pairs, list[bytes](), list[bytes]()
    found = pairs.find_json(data, held)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echolane.masks.pairs._KEY", re.compile(rb"(?!)"))
        patch.setattr("echolane.masks.pairs._LOOSE", re.compile(rb""))
        assert (pairs.find_json(data, anew), anew) == (found, held)
