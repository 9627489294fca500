"""Cutting JSON into raw texts says the same as comparing whole trees, and never more than the parser would take."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings, strategies as st

from differ import bodies, raws
from differ.compare import Compared, compare
from differ.context import Context
from differ.echoes import Own
from echolane.exchange import Body, Response

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, 1, -1, 8001, 1_795_428_000]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1.0, 1.5, 1e22, 1e-7]),
)
SELF = "SELF.test"
"""Stands for the name of the target that answers."""
URLS = [f"http://{SELF}/a", f"x {SELF}", SELF]
TRACES = [f"00-{'a' * 32}-{'b' * 16}-00", f"00-{'c' * 32}-{'d' * 16}-01"]
OWN = (
    Own((b"127.0.0.1:8001", b"localhost:8001"), "8001"),
    Own((b"127.0.0.1:8002", b"localhost:8002"), "8002"),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(max_size=5),
    st.sampled_from(["a", "a,b", "b,a", "1", "é", *URLS, *TRACES]),
)
keys = st.sampled_from(["id", "name", "a", "b", "x y", "traceparent", *URLS[:2]])
trees = st.recursive(
    scalars, lambda t: st.one_of(st.lists(t, max_size=4), st.dictionaries(keys, t, max_size=4)), max_leaves=16
)


@contextmanager
def whole_trees() -> Iterator[None]:
    """Without cutting."""
    with mock.patch.object(bodies, "cut", return_value=False):
        yield


def answer(data: str | bytes) -> Response:
    """An answer of JSON."""
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return Response(200, "1.1", [(b"Content-Type", b"application/json")], Body(data, len(data)))


def told(found: Compared) -> tuple[Any, ...]:
    """What a comparison says. Numbers are read, for one path may keep the spelling; an array in another order is no more than that."""
    said: list[tuple[Any, ...]] = []
    for d in found.differences:
        values = [
            None if d.kind == "order" or text is None else json.dumps(json.loads(text)) for text in (d.old, d.new)
        ]
        said.append((d.where, d.kind, d.facet, d.klass, d.flags, d.count, d.signature, *map(str, values)))
    return found.uncomparable, sorted(said)


@st.composite
def near(draw: st.DrawFn) -> tuple[Any, Any]:
    """A tree and one made of it by a few changes: leaves, keys, order, length."""
    old = {"root": draw(trees)}
    new = copy.deepcopy(old)
    for _ in range(draw(st.integers(1, 3))):
        node: Any = new
        while True:
            inner = [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list) and v]
            if not inner or draw(st.booleans()):
                break
            node = draw(st.sampled_from(inner))
        match draw(st.sampled_from(["set", "drop", "add", "shuffle"])):
            case "shuffle" if isinstance(node, list):
                node[:] = draw(st.permutations(node))
            case "drop" if len(node) > 1:
                node.pop(draw(st.sampled_from(list(node))) if isinstance(node, dict) else 0)
            case "add":
                node.update({draw(keys): draw(trees)}) if isinstance(node, dict) else node.insert(0, draw(trees))
            case _ if node:
                place = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
                node[place] = draw(trees)
            case _:
                pass
    return old, new


@settings(max_examples=400)
@given(
    st.one_of(near(), st.tuples(trees, trees)), st.sampled_from([None, 1]), st.booleans(), st.sampled_from([0, 1024])
)
def test_cut_texts_differ_as_whole_trees_do(
    pair: tuple[Any, Any], indent: int | None, ascii_only: bool, large: int
) -> None:
    """Whatever the trees, their echoes and layout, and from which size on elements are cut: the same places, kinds, facets, values."""
    old = json.dumps(pair[0]).replace(SELF, "127.0.0.1:8001")
    new = json.dumps(pair[1], indent=indent, ensure_ascii=ascii_only).replace(SELF, "127.0.0.1:8002")
    context = Context(own=OWN)
    with mock.patch.object(raws, "LARGE", large):
        cut = compare(answer(old), answer(new), context)
    with whole_trees():
        whole = compare(answer(old), answer(new), context)

    assert told(cut) == told(whole)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"a":1,"a":2,"b":1}', '{"a":3,"a":2,"b":1}'),
        ('{"a":[1,2],"n":1}', '{"a":[true,2],"n":1}'),
        ('{"a":[0,{"id":1,"v":1}],"n":1}', '{"a":[0,{"id":1,"v":1.0}],"n":2}'),
        ('{"n":12345678901234567890.5}', '{"n":12345678901234567890.25}'),
        ('{"n":12345678901234567890.5,"m":1}', '{"n":12345678901234567890.25,"m":2}'),
        ('{"n":123456789012345678901,"m":1}', '{"n":123456789012345678902,"m":2}'),
        ('{"n":1e-400,"m":1}', '{"n":0.0,"m":2}'),
        ('{"n":1e400,"m":1}', '{"n":1e401,"m":1}'),
        ('{"n":1e-400}', '{"n":0}'),
        ('[{"id":1,"v":1},{"id":2,"v":1}]', '[{"id":2,"v":1},{"id":1,"v":2}]'),
        ('[{"id":1,"v":1},{"id":1,"v":2}]', '[{"id":1,"v":2},{"id":1,"v":3}]'),
        ('[{"id":"\\u0061","v":1},{"id":"b","v":2}]', '[{"id":"a","v":2},{"id":"b","v":3}]'),
        ('[{"id":1,"v":1},7]', '[{"id":1,"v":2},8]'),
        ('{"a":[NaN,1]}', '{"a":[NaN,2]}'),
        ('{"a":tru}', '{"a":true}'),
        ('[{"id":1,"v":1},{"id":2,"v":true}]', '[{"id":1,"v":1.0},{"id":2,"v":1}]'),
        ('[{"id":1,"v":1},{"id":2,"v":1}]', '[{"id":true,"v":2},{"id":2,"v":2}]'),
        (
            '[{"id":1,"v":12345678901234567890.5},{"id":2,"v":1}]',
            '[{"id":1,"v":12345678901234567890.25},{"id":2,"v":2}]',
        ),
        ('[{"id":1,"v":1e400},{"id":2,"v":1}]', '[{"id":1,"v":1e401},{"id":2,"v":2}]'),
        ('[{"id":1,"v":"\\ud800"},{"id":2,"v":1}]', '[{"id":1,"v":"\\ud801"},{"id":2,"v":2}]'),
        ('[{"id":1,"v":1,"v":2},{"id":2,"v":1}]', '[{"id":1,"v":3},{"id":2,"v":2}]'),
        ('[{"id":1,"v":null},{"id":2,"v":1}]', '[{"id":1,"w":1},{"id":2,"v":2}]'),
        ('[{"id":1,"v":null,"w":1},{"id":2,"v":1}]', '[{"w":2,"id":1,"v":0},{"id":2,"v":2}]'),
        ('[{"id":1,"v":-0.0,"w":1},{"id":2,"v":1}]', '[{"id":1,"v":0.0,"w":2},{"id":2,"v":2}]'),
        ('[{"id":1,"v":[1,{"x":1}]},{"id":2,"v":{"x":1}}]', '[{"id":1,"v":[1,{"x":true}]},{"id":2,"v":{"x":1.0}}]'),
        ('[{"id":1,"v":"a","w":1},{"id":2,"v":1}]', '[{"id":1,"v":"\\u0061","w":2},{"id":2,"v":2}]'),
        ('{"http://127.0.0.1:8001/":1,"b":1}', '{"http://127.0.0.1:8002/":2,"b":2}'),
        ('[["http://127.0.0.1:8001/a",1],["x",1]]', '[["http://127.0.0.1:8002/a",2],["x",2]]'),
        (
            '[{"id":1,"u":"http://127.0.0.1:8001/","v":1},{"id":2,"u":"http://127.0.0.1:8001/","v":1}]',
            '[{"id":1,"u":"http://127.0.0.1:8002/","v":2},{"id":2,"u":"http://127.0.0.1:8002/","v":1}]',
        ),
        (
            '[{"id":1,"u":"http://127.0.0.1:8001/","v":1},{"id":2,"v":1}]',
            '[{"id":1,"u":"http://127.0.0.1:8001/","v":2},{"id":2,"v":2}]',
        ),
        ("[" * 40 + "1" + "]" * 40, "[" * 40 + "2" + "]" * 40),
        ("[" * 2000 + "1" + "]" * 2000, "[" * 2000 + "2" + "]" * 2000),
        ("\ufeff[1]", "\ufeff[2]"),
    ],
)
@pytest.mark.parametrize("large", [0, 1024])
def test_what_a_parser_gets_wrong_is_told_alike(old: str, new: str, large: int) -> None:
    """Repeated keys, equal numbers of other types, long digits, elements that moved, echoes, and texts that are no JSON."""
    with mock.patch.object(raws, "LARGE", large):
        cut = compare(answer(old), answer(new), Context(own=OWN))
    with whole_trees():
        whole = compare(answer(old), answer(new), Context(own=OWN))

    assert told(cut) == told(whole)
    assert cut.differences or cut.uncomparable


def test_bytes_that_are_no_text_are_not_cut() -> None:
    """Cutting does not look at UTF-8, the parser does: both answers are then no JSON."""
    found = compare(answer(b'["\xff",1]'), answer(b'["\xff",2]'), Context())

    assert [difference.where for difference in found.differences] == ["body"]


def test_deep_nesting_costs_no_more_than_a_parse_a_level() -> None:
    """A megabyte under five hundred levels is not read five hundred times."""
    import time

    filler = json.dumps(["x" * 50] * 18_000)
    old, new = ('{"a":' * 500 + f"[{filler},{n}]" + "}" * 500 for n in (1, 2))
    begun = time.process_time()
    found = compare(answer(old), answer(new), Context())

    assert found.differences or found.uncomparable
    assert time.process_time() - begun < 1.5
