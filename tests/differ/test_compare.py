"""Two answers become differences: laws, examples in the contract's spellings, and inputs that want to hurt."""

from __future__ import annotations

import copy

import orjson
import pytest
from hypothesis import given, strategies as st

from differ.compare import compare
from differ.context import Context
from differ.difference import CLOCK, DERIVED, FORMAT, PERMUTATION, PRESENCE, TYPE, VALUE, Difference
from differ.echoes import Own
from echolane.exchange import Body, Response

JSON = [(b"Content-Type", b"application/json")]
HTML = [(b"Content-Type", b"text/html")]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


def answer(data: bytes | str, headers: list[tuple[bytes, bytes]] | None = None, status: int = 200) -> Response:
    """An answer with a body."""
    raw = data.encode() if isinstance(data, str) else data
    return Response(status, "1.1", list(JSON if headers is None else headers), Body(raw, len(raw)))


def between(
    old: bytes | str, new: bytes | str, headers: list[tuple[bytes, bytes]] | None = None, context: Context | None = None
) -> list[Difference]:
    """The differences between two bodies."""
    found = compare(answer(old, headers), answer(new, headers), context or Context())
    assert not found.uncomparable
    return found.differences


def places(differences: list[Difference]) -> set[tuple[str, str]]:
    """Where and kind of each."""
    return {(difference.where, difference.kind) for difference in differences}


def json_text(tree: object) -> str:
    """A tree as JSON text that keeps every digit."""
    import json

    return json.dumps(tree)


@given(trees)
def test_an_answer_never_differs_from_itself(tree: object) -> None:
    """compare(x, x) is empty, whatever x is, and however its text is laid out."""
    import json

    assert between(json_text(tree), json_text(tree)) == []
    assert between(json_text(tree), json.dumps(tree, indent=2)) == []


@given(trees, scalars, st.randoms(use_true_random=False))
def test_any_changed_leaf_is_seen(tree: object, leaf: object, random: object) -> None:
    """Replace one leaf by another value: the change is found, at that place or at a container of it."""
    changed = {"root": copy.deepcopy(tree)}
    old, path = json_text({"root": tree}), ["root"]
    node: object = changed
    while isinstance(node[path[-1]], dict | list) and node[path[-1]]:
        node = node[path[-1]]
        path.append(random.choice(sorted(node) if isinstance(node, dict) else range(len(node))))
    same = type(node[path[-1]]) is type(leaf) and node[path[-1]] == leaf
    node[path[-1]] = leaf

    assert bool(between(old, json_text(changed))) is not same


@given(trees, trees)
def test_a_mirrored_comparison_mirrors(one: object, two: object) -> None:
    """What is missing one way is added the other way; nothing else changes."""
    mirror = {"missing": "added", "added": "missing"}
    there, back = between(json_text(one), json_text(two)), between(json_text(two), json_text(one))

    assert {(where, mirror.get(kind, kind)) for where, kind in places(there)} == places(back)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("1", "1.0", "value"),
        ("1", "true", "type"),
        ("0", "false", "type"),
        ("[1]", "[true]", "type"),
        ('"1"', "1", "type"),
        ("null", "0", "type"),
        ("10000000000000000000000000001", "10000000000000000000000000002", "value"),
        ("0.1000000000000000055", "0.1", "value"),
        ("1e400", "1e401", "value"),
    ],
)
def test_numbers_are_compared_exactly(old: str, new: str, kind: str) -> None:
    """1 is not 1.0 and not true, and no digit of a long number is lost."""
    assert places(between(f'{{"n": {old}}}', f'{{"n": {new}}}')) <= {("body:$.n", kind), ("body:$.n[*]", kind)}
    assert between(f'{{"n": {old}}}', f'{{"n": {new}}}')


@pytest.mark.parametrize("number", ["NaN", "-Infinity"])
def test_what_is_no_number_is_equal_to_itself(number: str) -> None:
    """Many servers write NaN; two answers that both say it agree there, whatever else differs."""
    assert places(between(f'{{"n": {number}, "a": 1}}', f'{{"n": {number}, "a": 2}}')) == {("body:$.a", "value")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1e9999999", "1e9999998"),
        ("1e-9999999", "2e-9999999"),
        ("123456789012345678901", '"integer 123456789012345678901"'),
    ],
)
def test_no_order_hides_a_number(old: str, new: str) -> None:
    """Beside elements in another order a number that changed is told, however large, small or like a text it is."""
    found = between(f"[{old}, 1, 2]", f"[{new}, 2, 1]")

    assert {where for where, _ in places(found)} == {"body:$", "body:$[*]"}


def test_a_repeated_key_is_seen() -> None:
    """A parser that drops the first of two equal keys would call these two the same."""
    assert between('{"a": 1, "a": 2}', '{"a": 2}')


def test_places_are_spelled_as_in_the_contract() -> None:
    """Paths of keys, elements and odd keys."""
    found = between(
        '{"a": {"b-c": [{"x y": 1}, {"x y": 2}]}, "it\'s": 1}', '{"a": {"b-c": [{"x y": 3}, {"x y": 2}]}, "it\'s": 2}'
    )

    assert places(found) == {("body:$.a.b-c[*]['x y']", "value"), ("body:$['it\\'s']", "value")}


def test_a_missing_container_covers_its_members() -> None:
    """One place, not one for every key below."""
    found = between('{"a": {"b": {"c": 1, "d": 2}}, "z": 0}', '{"z": 0}')

    assert [(d.where, d.kind, d.facet) for d in found] == [("body:$.a", "missing", PRESENCE)]


def test_elements_with_ids_are_compared_with_themselves() -> None:
    """An element that was inserted in front does not make all others differ."""
    old = [{"id": n, "v": n * 2} for n in range(20)]
    new = [{"id": 99, "v": 0}, *copy.deepcopy(old)]
    new[7]["v"] = -1

    assert places(between(orjson.dumps(old), orjson.dumps(new))) == {("body:$", "length"), ("body:$[*].v", "value")}


def test_a_new_order_is_told_from_a_change() -> None:
    """A permutation is kind order with its flag; a changed member beside it is a place of its own."""
    (only,) = between('["a", "b", "c"]', '["c", "a", "b"]')
    both = between('["a", "b", "c", "d"]', '["d", "x", "a", "b"]')

    assert (only.kind, only.flags & PERMUTATION, only.facet) == ("order", PERMUTATION, VALUE)
    assert places(both) == {("body:$", "order"), ("body:$[*]", "value")}


def test_headers_are_compared_by_name_with_repetition() -> None:
    """Order and case of names do not matter; a second line of the same name does."""
    old = answer("", [(b"A", b"1"), (b"B", b"2"), (b"C", b"3"), (b"Allow", b"GET, HEAD")])
    new = answer("", [(b"b", b"2"), (b"a", b"1"), (b"a", b"1"), (b"D", b"4"), (b"Allow", b"HEAD, GET")])
    found = {d.where: d for d in compare(old, new, Context()).differences}

    assert {where: d.kind for where, d in found.items()} == {
        "header:a": "length",
        "header:c": "missing",
        "header:d": "added",
        "header:allow": "order",
    }
    assert found["header:allow"].flags & PERMUTATION


def test_cookies_are_compared_by_their_own_names() -> None:
    """Each Set-Cookie is a place of its own."""
    old = answer("", [(b"Set-Cookie", b"a=1; Path=/"), (b"Set-Cookie", b"b=2")])
    new = answer("", [(b"Set-Cookie", b"b=2"), (b"Set-Cookie", b"a=1; Path=/; Secure")])

    assert {d.where for d in compare(old, new, Context()).differences} == {"header:set-cookie[a]"}


@pytest.mark.parametrize(
    ("new", "klass", "clock"),
    [
        ("gone=; expires=Wed, 25 Nov 2026 17:00:01 GMT; Path=/", "time", True),
        ("gone=; expires=Wed, 25 Nov 2026 18:00:01 GMT; Path=/", "", False),
        ("gone=; expires=Wed, 25 Nov 2026 17:00:01 GMT; Path=/; Secure", "", False),
        ("gone=1; expires=Wed, 25 Nov 2026 17:00:01 GMT; Path=/", "", False),
        ("gone=; expires=Wed, 25 Nov 2026 17:00:00 GMT; Path=/x", "", False),
    ],
)
def test_a_time_inside_a_text_is_a_clock_when_nothing_else_differs(new: str, klass: str, clock: bool) -> None:
    """A cookie's expiry in seconds differs by luck; a flag, a value or a path beside it does not, nor does an hour's life instead of none."""
    now = 1_795_626_000_400_000_000
    old = answer("", [(b"Set-Cookie", b"gone=; expires=Wed, 25 Nov 2026 17:00:00 GMT; Path=/")])
    (found,) = compare(old, answer("", [(b"Set-Cookie", new.encode())]), Context(now_ns=(now, now))).differences

    assert (found.klass, bool(found.flags & CLOCK)) == (klass, clock)


def test_failures_are_answers() -> None:
    """One side failing is a difference of kind failure; both failing alike is the same."""
    (one,) = compare(answer("x"), "reset", Context()).differences

    assert (one.where, one.kind, one.facet) == ("status", "failure", PRESENCE)
    assert compare("reset", "reset", Context()).differences == []
    assert compare("reset", "timeout", Context()).differences


def test_a_targets_own_name_is_no_difference() -> None:
    """Each target echoes its own host and port, as text and as a number; a changed path beside it is still seen."""
    own = (Own((b"127.0.0.1:8001",), "8001"), Own((b"127.0.0.1:8002",), "8002"))
    old, new = '{"url": "http://127.0.0.1:8001/a", "port": 8001}', '{"url": "http://127.0.0.1:8002/a", "port": 8002}'

    assert between(old, new, context=Context(own=own)) == []
    assert places(between(old, new.replace("/a", "/b"), context=Context(own=own))) == {("body:$.url", "value")}


def test_a_name_that_a_target_is_sent_is_its_own_on_both_sides() -> None:
    """A sent name against the other's address is no difference, also in a query; longer names that hold it stay what they are."""
    sent = (b"shop.example",)
    own = (Own((b"127.0.0.1:8001",), "8001", sent=sent), Own((b"127.0.0.1:8002",), "8002", sent=sent))
    old = '{"url": "http://shop.example/a", "next": "?u=http%3A%2F%2Fshop.example%2Fa", "by": "work.shop.example.org"}'
    new = old.replace("//shop.example", "//127.0.0.1:8002").replace("%2Fshop.example", "%2F127.0.0.1%3A8002")

    assert between(old, new, context=Context(own=own)) == []
    assert between(old, old.replace("shop.example", "SELF"), context=Context(own=own)) != []
    other = new.replace("work.shop.example.org", "work.127.0.0.1:8002.org")
    assert places(between(old, other, context=Context(own=own))) == {("body:$.by", "value")}


def test_two_clocks_are_flagged() -> None:
    """Times of the answers themselves are known as clocks, in any of the usual spellings; a fixed date is not."""
    now = 1_795_448_000_000_000_000
    clocks = Context(now_ns=(now, now + 1_000_000_000))
    for old, new in (
        ('"2026-11-23T15:33:20Z"', '"2026-11-23T15:33:21Z"'),
        ("1795448000", "1795448001"),
        ("1795448000123", "1795448001456"),
    ):
        (found,) = between(f'{{"at": {old}}}', f'{{"at": {new}}}', context=clocks)
        assert found.flags & CLOCK, old
    (fixed,) = between('{"at": "2020-01-01T00:00:00Z"}', '{"at": "2020-01-02T00:00:00Z"}', context=clocks)
    assert not fixed.flags & CLOCK


def test_a_changed_template_is_told_from_its_timing() -> None:
    """A timing in a page stands at its own place, what came beside it at another."""
    page = "<html>\n<p>hello</p>\n" + "<p>filler</p>\n" * 30 + "<p>took {} ms</p>\n{}</html>"
    (timing,) = between(page.format(13, ""), page.format(9, ""), HTML)
    changed = between(page.format(13, ""), page.format(9, "<b>new</b>\n"), HTML)

    assert (timing.where, timing.facet, timing.klass) == ("body:/html/body/p", VALUE, "time")
    assert {(d.where, d.facet) for d in changed} == {("body:/html/body/p", VALUE), ("body:/html/body/b", FORMAT)}


def test_another_format_of_the_body_is_one_difference() -> None:
    """JSON that became text is not one missing place per key."""
    found = compare(answer('{"a": 1, "b": 2}'), answer("Not Found"), Context()).differences

    assert [(d.where, d.kind, d.facet) for d in found] == [("body", "format", TYPE)]


def test_xml_is_compared_as_a_tree_without_entities() -> None:
    """Attributes and texts have places; a document with a DTD is compared as text and never expanded."""
    xml = [(b"Content-Type", b"application/xml")]
    found = between('<a><b c="1">x</b><b c="2">y</b></a>', '<a><b c="1">x</b><b c="3">y</b><d/></a>', xml)
    bomb = '<!DOCTYPE a [<!ENTITY x "' + "y" * 1000 + '">]><a>&x;</a>'

    assert places(found) == {("body:/a/b/@c", "value"), ("body:/a/d", "added")}
    assert places(between(bomb, bomb.replace("y", "z"), xml)) == {("body", "value")}


def test_content_length_follows_the_body_except_on_head() -> None:
    """It is flagged as derived where the body itself is compared, and stands alone on HEAD."""
    old, new = answer("0123456789", [(b"Content-Length", b"10")]), answer("0123456789ab", [(b"Content-Length", b"12")])

    assert compare(old, new, Context(method="GET")).differences[0].flags & DERIVED
    assert not compare(old, new, Context(method="HEAD")).differences[0].flags & DERIVED


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[" * 700 + "1" + "]" * 700, "[" * 700 + "2" + "]" * 700, "too-deep"),
        (orjson.dumps(list(range(3000))), orjson.dumps([-n - 1 for n in range(3000)]), "too-many-nodes"),
    ],
)
def test_bounds_end_a_comparison_with_a_reason(old: bytes | str, new: bytes | str, reason: str) -> None:
    """Depth and nodes are bounded; the answer says which bound it was."""
    found = compare(answer(old), answer(new), Context(depth=512, nodes=2000, time_s=10))

    assert found.uncomparable == reason


def test_nesting_that_no_parser_survives_is_text() -> None:
    """A hundred thousand brackets are compared as text, not as a crash."""
    assert between("[" * 100_000, "[" * 99_999) != []


def test_a_slow_comparison_ends_in_time() -> None:
    """Shuffled arrays of 100 KB stay far inside the time box."""
    import time

    items = [{"k": f"{n % 7}", "v": [n, n * 2, {"deep": n}]} for n in range(2500)]
    begun = time.process_time()
    between(orjson.dumps(items), orjson.dumps(items[::-1]), context=Context(time_s=5))

    assert time.process_time() - begun < 2.0


def test_one_long_number_leaves_the_others_equal() -> None:
    """Where only one of two texts holds a number that a double cannot, the other numbers are still compared as what they are."""
    old, new = '{"a":1.5,"b":12345678901234567890.5,"c":[1,2.25]}', '{"a":1.5,"b":3.5,"c":[1,2.25]}'

    assert [found.where for found in between(old, new)] == ["body:$.b"]
    assert [found.where for found in between(new, old)] == ["body:$.b"]
    assert [found.where for found in between(f"{old}\n{{}}", f"{new}\n{{}}")] == ["body:$[*].b"]
    assert between('{"a":1.50}', '{"a": 1.5}') == []
    assert between('{"a":1.50,"b":12345678901234567890}', '{"b": 12345678901234567890, "a": 1.5}') == []
