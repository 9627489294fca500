"""Header fields compared by their own grammar: what is spelling, what is a change, and what noise must not hide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.difference import CLOCK, FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE, Difference
from differ.echoes import Own
from differ.header_grammars import GRAMMARS
from echolane.exchange import Body, Response

NOW_NS = 1_795_626_000_400_000_000
"""Wed, 25 Nov 2026 17:00:00.4 GMT"""
CONTEXT = Context(now_ns=(NOW_NS, NOW_NS))


def answer(*headers: tuple[str, str], body: bytes = b"") -> Response:
    """An answer with these headers."""
    return Response(200, "1.1", [(n.encode(), v.encode()) for n, v in headers], Body(body, len(body)))


def between(name: str, old: str, new: str) -> list[Difference]:
    """The differences between two values of a field."""
    found = compare(answer((name, old)), answer((name, new)), CONTEXT)
    assert not found.uncomparable
    return found.differences


SPELLING = [
    ("Vary", "Accept, Origin", "accept,ORIGIN"),
    ("Vary", "Accept,, Origin", "Accept, Origin,"),
    ("Allow", "GET,HEAD", "GET ,\tHEAD"),
    ("Accept", "text/html;q=1, a/b;q=0.50", "text/html, a/b;q=0.5"),
    ("Accept", "text/html;level=1;q=1.000", 'text/html;level="1"'),
    ("Access-Control-Allow-Headers", "X-One, X-Two", "x-one,x-two"),
    ("Cache-Control", "Max-Age=60, PRIVATE", 'max-age="60", private'),
    ("Content-Type", "text/html; charset=utf-8", 'Text/HTML;charset="UTF-8"'),
    ("Content-Type", "a/b; x=1; y=2", "a/b;y=2;x=1"),
    ("Content-Disposition", 'attachment; filename="a.txt"', "Attachment;filename=a.txt"),
    ("Strict-Transport-Security", "max-age=1; includeSubDomains", 'includesubdomains; Max-Age="1"'),
    ("Content-Security-Policy", "default-src 'self' x; img-src y", "img-src y; default-src x 'self'"),
    ("Link", '</a>; rel="next"; title="t"', "</a>;title=t;rel=Next"),
    ("Link", '</a,b>; rel="up prev"', "</a,b>; rel='prev up'".replace("'", '"')),
    ("WWW-Authenticate", 'Basic realm="a", Digest qop="auth", nonce=x1', 'basic realm=a, Digest nonce="x1", qop=auth'),
    ("X-Frame-Options", "DENY", "deny"),
    ("Set-Cookie", "a=1; Path=/; HttpOnly; SameSite=Lax", "a=1; samesite=lax;httponly ; path=/"),
    ("Set-Cookie", "a=1; Max-Age=060", "a=1; max-age=60"),
    ("Set-Cookie", "a=1; Expires=Wed, 25 Nov 2026 18:00:00 GMT", "a=1; Expires=Wed, 25-Nov-2026 18:00:00 GMT"),
]


@pytest.mark.parametrize(("name", "old", "new"), SPELLING)
def test_spelling_is_no_difference(name: str, old: str, new: str) -> None:
    """Case, blanks, quotes, default weights and the order of parameters say nothing."""
    assert between(name, old, new) == []


CHANGES = [
    ("Vary", "Accept", "Accept, Origin", "value", FORMAT, "", "value:vary: +origin"),
    ("Vary", "Accept, Origin", "Origin", "value", FORMAT, "", "value:vary: -accept"),
    ("Vary", "Accept", "Accept, accept", "length", FORMAT, "", "length:vary: accept 1>2"),
    ("Allow", "GET, HEAD", "get, HEAD", "value", FORMAT, "", "value:allow: -GET +get"),
    ("Accept", "a/b;q=0.5", "a/b;q=0.7", "value", VALUE, "", None),
    (
        "Cache-Control",
        "max-age=60, private",
        "max-age=90, private",
        "value",
        VALUE,
        "",
        "value:cache-control: max-age><number>",
    ),
    ("Cache-Control", "max-age=60, private", "max-age=60", "value", FORMAT, "", "value:cache-control: -private"),
    ("Cache-Control", 'private="a, b"', 'private="a, c"', "value", FORMAT, "", None),
    (
        "Content-Type",
        "text/html; charset=utf-8",
        "text/html",
        "value",
        FORMAT,
        "",
        "value:content-type: -charset=utf-<number>",
    ),
    ("Content-Type", "text/html", "text/plain", "type", TYPE, "", "type:content-type: text/html>text/plain"),
    (
        "Content-Type",
        "multipart/form-data; boundary=aa",
        "multipart/form-data; boundary=zz9",
        "value",
        VALUE,
        "token",
        None,
    ),
    ("Strict-Transport-Security", "max-age=1; preload", "max-age=1", "value", FORMAT, "", None),
    ("Content-Security-Policy", "script-src 'nonce-abc' x", "script-src 'nonce-xyz' x", "value", VALUE, "token", None),
    ("Content-Security-Policy", "script-src 'nonce-abc' x", "script-src 'nonce-xyz' y", "value", FORMAT, "", None),
    ("Link", '</a?page=2>; rel="next"', '</a?page=3>; rel="next"', "value", VALUE, "", None),
    ("Link", '</a>; rel="next"', '</a>; rel="next", </z>; rel="last"', "value", FORMAT, "", None),
    ("Link", "</a,b>; rel=next", "</a,c>; rel=next", "value", FORMAT, "", "value:link: rel=next></a,b>></a,c>"),
    ("Location", "http://h/a", "/a", "value", FORMAT, "", None),
    (
        "WWW-Authenticate",
        'Digest nonce="a1", qop="auth"',
        'Digest nonce="b7", qop="auth"',
        "value",
        VALUE,
        "token",
        None,
    ),
    ("WWW-Authenticate", 'Digest nonce="a1", stale=true', 'Digest nonce="b7", stale=false', "value", FORMAT, "", None),
    ("WWW-Authenticate", 'Basic realm="a"', 'Bearer realm="a"', "value", FORMAT, "", None),
    ("Via", "1.1 a, 1.1 b", "1.1 b, 1.1 a", "order", VALUE, "", None),
    ("Date", "Wed, 25 Nov 2026 17:00:00 GMT", "Wednesday, 25-Nov-26 17:00:00 GMT", "format", FORMAT, "", None),
    ("Expires", "0", "Wed, 25 Nov 2026 17:00:00 GMT", "format", FORMAT, "", None),
    ("Last-Modified", "Wed, 25 Nov 2020 17:00:00 GMT", "Wed, 25 Nov 2020 17:00:03 GMT", "value", VALUE, "time", None),
    ("ETag", '"abcdef"', 'W/"abcdef"', "format", FORMAT, "", "format:etag:strong>weak"),
    ("ETag", '"v1"', '"v2"', "value", VALUE, "hash", None),
    ("Age", "3", "4", "value", VALUE, "time", None),
    ("X-Runtime", "0.012", "0.3", "value", VALUE, "time", None),
    ("Server-Timing", "db;dur=5.1, app;dur=9", "db;dur=7, app;dur=8.25", "value", VALUE, "time", None),
    ("Server-Timing", "db;dur=5.1, app;dur=9", "db;dur=7", "value", FORMAT, "", None),
    ("Retry-After", "30", "60", "value", VALUE, "", None),
    ("Accept-Ranges", "bytes", "none", "value", FORMAT, "", None),
    ("Content-MD5", "aaaa", "b+b=", "value", VALUE, "hash", None),
]


@pytest.mark.parametrize(("name", "old", "new", "kind", "facet", "klass", "signature"), CHANGES)
def test_a_change_is_told_by_its_grammar(
    name: str, old: str, new: str, kind: str, facet: int, klass: str, signature: str | None
) -> None:
    """One difference at the field's place: its kind, how coarse it is, whether it is random by nature, and its cause."""
    (found,) = between(name, old, new)

    assert (found.where, found.kind, found.facet, found.klass) == (f"header:{name.lower()}", kind, facet, klass)
    assert signature is None or found.signature == signature
    assert not found.flags


COOKIES = [
    ("a=1; Path=/", "a=1; Path=/; Secure", "format", TYPE, "format:a: +secure"),
    ("a=1; Path=/", "a=1; Path=/x", "format", TYPE, "format:a: path =/>=/x"),
    ("sid=q1; HttpOnly", "sid=zz; ", "format", TYPE, "format:sid: -httponly"),
    ("a=1; Max-Age=60", "a=2; Max-Age=0", "format", TYPE, "format:a: max-age 60>0 set>deleted"),
    ("a=1", "a=2", "value", VALUE, None),
    ("a=1", "a=", "value", FORMAT, None),
    (
        "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        "a=; Expires=Wed, 25 Nov 2026 18:00:00 GMT",
        "format",
        TYPE,
        "format:a: deleted>set",
    ),
    ("a=1; SameSite=Lax", "a=1; SameSite=None", "format", TYPE, None),
]


@pytest.mark.parametrize(("old", "new", "kind", "facet", "signature"), COOKIES)
def test_a_cookie_is_compared_by_its_attributes(
    old: str, new: str, kind: str, facet: int, signature: str | None
) -> None:
    """What a cookie is counts before what it carries, so that a random value hides no flag."""
    (found,) = between("Set-Cookie", old, new)

    assert (found.kind, found.facet, found.klass) == (kind, facet, "")
    assert signature is None or found.signature == signature


@pytest.mark.parametrize(("ages", "clock"), [(("3600", "3600"), True), (("3600", "3599"), None), (("60", "60"), False)])
def test_an_expiry_that_follows_from_max_age_is_the_clock(ages: tuple[str, str], clock: bool | None) -> None:
    """Expires is now plus Max-Age, then it tells nothing of its own; a Max-Age that changed is told."""
    old = f"a=1; Max-Age={ages[0]}; Expires=Wed, 25 Nov 2026 18:00:00 GMT"
    (found,) = between("Set-Cookie", old, f"a=1; Max-Age={ages[1]}; Expires=Wed, 25 Nov 2026 18:00:01 GMT")

    assert (found.facet, bool(found.flags & CLOCK)) == ((TYPE, False) if clock is None else (VALUE, clock))


def test_cookies_of_one_name_are_told_apart_by_their_paths() -> None:
    """Two cookies of a name may come in any order; a third is seen."""
    one, two = ("Set-Cookie", "a=1; Path=/x"), ("Set-Cookie", "a=2; Path=/y")

    assert compare(answer(one, two), answer(two, one), CONTEXT).differences == []
    (found,) = compare(answer(one, two), answer(one, two, one), CONTEXT).differences
    assert (found.where, found.kind) == ("header:set-cookie[a]", "length")


def test_a_cookie_named_after_its_targets_port_is_one_cookie() -> None:
    """Its value and attributes are compared; a longer number, or a port of two digits, is a name like any other."""
    own = (Own((b"127.0.0.1:8001",), "8001"), Own((b"127.0.0.1:8002",), "8002"))
    lines = [f"id-127-0-0-1-{port}=10:id-127-0-0-1-{port}; Path=/" for port in (8001, 8002)]
    one, two, other = (answer(("Set-Cookie", line)) for line in (*lines, lines[1] + "; Secure"))

    assert compare(one, two, Context(own=own)).differences == []
    (found,) = compare(one, other, Context(own=own)).differences
    assert (found.where, found.kind) == ("header:set-cookie[id-127-0-0-1-{port}]", "format")
    for short, long in (("80", "81"), ("18001", "18002")):
        pair = [answer(("Set-Cookie", f"id-{port}=1")) for port in (short, long)]
        context = Context(own=(Own((), short[-4:]), Own((), long[-4:])))
        assert {d.kind for d in compare(*pair, context).differences} == {"missing", "added"}


def test_a_second_line_of_a_name_is_seen() -> None:
    """A list in two lines is the same list; a line that repeats a member, or a second value, is a change."""
    lines = answer(("Vary", "a"), ("Vary", "b"))

    assert compare(lines, answer(("Vary", "a, b")), CONTEXT).differences == []
    for name in ("Vary", "Content-Type", "X-Own", "ETag"):
        (found,) = compare(answer((name, "a")), answer((name, "a"), (name, "a")), CONTEXT).differences
        assert (found.kind, found.facet) == ("length", FORMAT), name


def test_a_field_is_masked_where_it_names_its_own_target() -> None:
    """Link and Location of each target's own address are equal; another path beside it is not."""
    context = Context(own=(Own((b"127.0.0.1:8001",), "8001"), Own((b"127.0.0.1:8002",), "8002")))

    def links(port: int, path: str) -> Response:
        url = f"http://127.0.0.1:{port}{path}"
        return answer(("Location", url), ("Link", f'<{url}>; rel="next"'))

    assert compare(links(8001, "/a"), links(8002, "/a"), context).differences == []
    found = compare(links(8001, "/a"), links(8002, "/b"), context).differences
    assert {d.where for d in found} == {"header:location", "header:link"}


TOKENS = st.text("abcdefghijkXYZ-", min_size=1, max_size=6)
SETS = sorted(
    name for name, grammar in GRAMMARS.items() if grammar.order == "set" and name not in {"link", "server-timing"}
)


@settings(max_examples=60)
@given(
    st.sampled_from(SETS),
    st.lists(TOKENS, min_size=2, max_size=6, unique_by=str.lower),
    st.randoms(use_true_random=False),
)
def test_members_in_another_order_are_an_order_at_most(name: str, members: list[str], chance: object) -> None:
    """A set may come in any order: the one difference is its order, flagged as a permutation."""
    mixed = list(members)
    chance.shuffle(mixed)
    found = between(name, ", ".join(members), " ,".join(mixed))

    assert [(d.kind, d.flags) for d in found] == ([] if mixed == members else [("order", PERMUTATION)])


@settings(max_examples=60)
@given(st.sampled_from(SETS), st.lists(TOKENS, min_size=1, max_size=6, unique_by=str.lower), TOKENS)
def test_a_member_more_or_less_is_found(name: str, members: list[str], more: str) -> None:
    """Whatever the list, one member more is a change of format that names it."""
    if more.lower() in {member.lower() for member in members}:
        more += "q"
    (found,) = between(name, ", ".join(members), ", ".join([*members, more]))

    assert found.facet == FORMAT
    assert "+" + more.lower() in found.signature.lower()


@settings(max_examples=60)
@given(st.dictionaries(TOKENS.map(str.lower), TOKENS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_attributes_of_a_cookie_in_any_order_and_case(attributes: dict[str, str], chance: object) -> None:
    """Another order and case of attributes is nothing, one less is a change."""
    pieces = [f"{name}={value}" for name, value in attributes.items()]
    mixed = [f"{name.upper()}={value}" for name, value in attributes.items()]
    chance.shuffle(mixed)

    assert between("Set-Cookie", "; ".join(["n=v", *pieces]), ";".join(["n=v", *mixed])) == []
    assert between("Set-Cookie", "; ".join(["n=v", *pieces]), ";".join(["n=v", *mixed[1:]]))


NAMES = st.sampled_from(
    [*sorted(GRAMMARS), "set-cookie", "etag", "date", "expires", "age", "content-length", "location"]
)
PIECES = st.lists(
    st.sampled_from([*"ab,;=\" \t<>\\/1.-'", "\n", "q=", "rel=", "nonce", "Path", "\x00", "é", "'nonce-"]), max_size=14
)
BYTES = st.binary(max_size=40) | PIECES.map(lambda pieces: "".join(pieces).encode())


@settings(max_examples=300)
@given(NAMES, BYTES, BYTES)
def test_any_bytes_of_a_field_are_compared(name: str, old: bytes, new: bytes) -> None:
    """Whatever a field holds: differences or none, never an exception, and the same seen from the other side."""
    left, right = (Response(200, "1.1", [(name.encode(), value)], Body()) for value in (old, new))
    there, back = compare(left, right, CONTEXT), compare(right, left, CONTEXT)

    assert not there.uncomparable
    assert not back.uncomparable
    assert {d.facet for d in there.differences} == {d.facet for d in back.differences}


@settings(max_examples=300)
@given(NAMES, PIECES, st.integers(0, 13), st.sampled_from("klmnop"))
def test_a_new_letter_anywhere_is_found(name: str, pieces: list[str], at: int, letter: str) -> None:
    """A letter that was not there changes what a field says, wherever it stands: no grammar loses text."""
    old = "".join(pieces)
    at = min(at, len(old))
    new = old[:at] + letter + old[at:]

    assert between(name, old, new)


def test_a_comma_in_quotes_parts_nothing() -> None:
    """Two directives in another order, one of them with a comma and an escaped quote inside: an order, told in full."""
    (found,) = between("Cache-Control", r'private="x\", 7", max-age=1', r'max-age=1, private="x\", 7"')

    assert (found.kind, found.old) == ("order", r'"private =\"x\\\", 7\", max-age =1"')


def test_a_long_field_is_compared_as_a_text() -> None:
    """Beyond what a head may hold nothing is parsed, and the change is still seen."""
    long = ", ".join(f"m{n}" for n in range(20_000))

    assert [d.where for d in between("Vary", long, long + ", z")] == ["header:vary"]


def test_presence_of_a_field_counts_before_all() -> None:
    """A header that is gone is missing, whatever its grammar."""
    (found,) = compare(answer(("Content-MD5", "x")), answer(), CONTEXT).differences

    assert (found.kind, found.facet, found.flags) == ("missing", PRESENCE, 0)


@pytest.mark.parametrize("name", ["traceparent", "X-Echolane-Replay", "x-lane", "baggage"])
def test_an_echo_of_what_the_sender_adds_is_missed_by_nobody(name: str) -> None:
    """A version that repeats its request's headers repeats those of the replay, which no client sends; another field of it is missed."""
    echo = answer((name, "00-" + "a" * 32 + "-" + "b" * 16 + "-00"), ("X-Own", "1"))
    for sides in ((echo, answer()), (answer(), echo)):
        found = compare(*sides, CONTEXT).differences
        assert [(one.where, one.facet) for one in found] == [("header:x-own", PRESENCE)]
