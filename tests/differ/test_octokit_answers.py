"""Recorded answers of a large public service: equal to themselves in any order, and one change is found where it was made."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from differ.compare import compare
from differ.context import Context
from differ.difference import BROKEN, RENAMING, Difference
from differ.places import step
from echolane.exchange import Headers, Response
from tests.differ.foreign import Way, answer, figures, steps

SEED, NODES = 11, 25
"""Nodes of each answer that are changed in four ways."""
HASH, NUMBER = r"[0-9a-f]{40}", r"[0-9]{8,12}"
ID = re.compile(rf'(?:(?<=")|(?<=/))(?:{HASH}|{NUMBER})(?=["/?])|(?<="id": ){NUMBER}\b')
"""An id as the service writes it: a text of its own, a step of a link, or the number of a thing."""
SENT = frozenset(("connection", "content-length", "content-encoding", "transfer-encoding"))
"""Headers that say how the message was sent; the recording holds what was in it."""

Recorded = dict[str, Any]


@pytest.fixture(scope="module")
def recorded(inputs: Path) -> list[Recorded]:
    """Every recorded exchange of the suite."""
    paths = sorted((inputs / "suites" / "octokit").glob("*/raw-fixture.json"))
    return [exchange for path in paths for exchange in json.loads(path.read_text("utf-8"))]


def headers_of(exchange: Recorded) -> Headers:
    """The headers as they came, without those of the transfer."""
    raw = exchange["rawHeaders"]
    pairs = zip(raw[::2], raw[1::2], strict=True)
    return [(name.encode(), value.encode()) for name, value in pairs if name.lower() not in SENT]


def answered(exchange: Recorded, body: Any = None) -> Response:
    """The answer of an exchange, with another body where one is given: a tree, or a text as it is sent."""
    told = exchange["response"] if body is None else body
    text = told if isinstance(told, str) else json.dumps(told)
    return answer(text, headers_of(exchange), exchange["status"])


def between(old: Response, new: Response) -> list[Difference]:
    """What is found between two answers."""
    found = compare(old, new, Context())
    assert not found.uncomparable
    return found.differences


def trees(recorded: list[Recorded]) -> Iterator[tuple[Recorded, Any]]:
    """The exchanges whose answers have members or elements."""
    for exchange in recorded:
        if isinstance(exchange["response"], dict | list) and exchange["response"]:
            yield exchange, exchange["response"]


def turned(tree: Any) -> Any:
    """The same tree with the members of every object the other way round."""
    if isinstance(tree, dict):
        return {key: turned(tree[key]) for key in reversed(tree)}
    return [turned(one) for one in tree] if isinstance(tree, list) else tree


def held(tree: Any, way: Way) -> Any:
    """What stands at the end of a way."""
    for one in way:
        tree = tree[one]
    return tree


def place(way: Way) -> str:
    """A way as the comparison spells it."""
    return "body:$" + "".join("[*]" if isinstance(one, int) else step(one) for one in way)


@pytest.mark.inputs
def test_each_answer_equals_itself_in_any_order(recorded: list[Recorded]) -> None:
    """Members of objects and headers of other names have no order; names of headers have no case."""
    for exchange in recorded:
        one = answered(exchange)
        assert between(one, answered(exchange)) == []
        cased = [(name.swapcase(), value) for name, value in sorted(one.headers, key=lambda header: header[0])]
        other = answer(one.body.data, cased, one.status)
        assert between(one, other) == []
    for exchange, tree in trees(recorded):
        assert between(answered(exchange), answered(exchange, turned(tree))) == []
    assert figures("octokit, in another order") == (len(recorded), len(recorded), 0, 0)


def other_value(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, str):
        return value + "x"
    return not value if isinstance(value, bool) else value + 1


def changes(tree: Any, way: Way) -> Iterator[tuple[Any, str, set[str]]]:
    """Trees with one change at a node, where it must be found, and the kinds it may be called."""
    *above, last = way
    holder = held(tree, tuple(above))
    value, listed = holder[last], isinstance(holder, list)

    def changed(change: Any) -> Any:
        new = copy.deepcopy(tree)
        change(held(new, tuple(above)))
        return new

    if isinstance(value, str | int | float):
        # A text that was a time or a hash and is none any more has another format.
        new = changed(lambda holder: holder.__setitem__(last, other_value(value)))
        yield new, place(way), {"value", "format"} if isinstance(value, str) else {"value"}
    if not isinstance(value, list):
        yield changed(lambda holder: holder.__setitem__(last, [value])), place(way), {"type"}
    over = tuple(above)
    gone = changed(lambda holder: holder.__delitem__(last))
    yield (gone, place(over), {"length"}) if listed else (gone, place(way), {"missing"})
    if listed:
        yield changed(lambda holder: holder.insert(last, copy.deepcopy(value))), place(over), {"length"}
    else:
        yield changed(lambda holder: holder.__setitem__("new-one", 1)), place((*over, "new-one")), {"added"}


@pytest.mark.inputs
def test_one_change_is_found_where_it_was_made(recorded: list[Recorded]) -> None:
    """A value, a type, a member or an element changed anywhere is one difference, at its place, in both directions."""
    chance = random.Random(SEED)
    seen: Counter[str] = Counter()
    for exchange, tree in trees(recorded):
        ways = list(steps(tree))
        old = answered(exchange)
        for way in chance.sample(ways, min(NODES, len(ways))):
            for changed, where, kinds in changes(tree, way):
                new = answered(exchange, changed)
                (found,) = between(old, new)
                assert found.where == where, (found, way)
                assert found.kind in kinds, (found, way)
                assert [one.where for one in between(new, old)] == [where]
                seen[found.kind] += 1
    assert figures("octokit, one change each") == (seen.total(), seen.total(), 0, 0)
    assert min(seen[kind] for kind in ("value", "format", "type", "missing", "added", "length")) >= 40


@pytest.mark.inputs
def test_two_changes_are_both_found(recorded: list[Recorded]) -> None:
    """A member that went is found beside one that came elsewhere and a value that changed: none stands in for another."""
    chance = random.Random(SEED)
    seen = 0
    for exchange, tree in trees(recorded):
        ways = [way for way in steps(tree) if not any(isinstance(one, int) for one in way)]
        leaves = [way for way in ways if isinstance(held(tree, way), str | int)]
        for way, leaf in zip(ways, chance.choices(leaves, k=len(ways)), strict=True) if leaves else ():
            if leaf[: len(way)] == way:
                continue
            changed = copy.deepcopy(tree)
            del held(changed, way[:-1])[way[-1]]
            held(changed, leaf[:-1])[leaf[-1]] = other_value(held(tree, leaf))
            held(changed, leaf[:-1])["new-one"] = 1
            wanted = {(place(way), "missing"), (place((*leaf[:-1], "new-one")), "added")}
            found = {(one.where, one.kind) for one in between(answered(exchange), answered(exchange, changed))}
            assert wanted < found
            assert {where for where, _ in found - wanted} == {place(leaf)}
            seen += 1
    assert seen >= 2_000


@pytest.mark.inputs
def test_one_header_is_found_by_its_name(recorded: list[Recorded]) -> None:
    """A header that is missing or added is one difference of that header, whichever it is."""
    for exchange in recorded:
        one = answered(exchange)
        names = Counter(name.lower() for name, _ in one.headers)
        for index, (name, _) in enumerate(one.headers):
            if names[name.lower()] > 1 or name.lower() == b"content-type":
                continue
            fewer = answer(one.body.data, one.headers[:index] + one.headers[index + 1 :], one.status)
            where = f"header:{name.lower().decode()}"
            assert [(d.where, d.kind) for d in between(one, fewer)] == [(where, "missing")]
            assert [(d.where, d.kind) for d in between(fewer, one)] == [(where, "added")]


def places_of_ids(tree: Any) -> dict[str, set[str]]:
    """The places at which each id of an answer stands."""
    found: dict[str, set[str]] = defaultdict(set)
    for way in steps(tree):
        value = held(tree, way)
        if isinstance(value, dict | list):
            continue
        for name in ID.findall(json.dumps({way[-1] if isinstance(way[-1], str) else "": value})):
            found[name].add(place(way))
    return found


def fresh(name: str) -> str:
    """Another id of the same looks."""
    other = name.translate(str.maketrans("0123456789abcdef", "9517036284fadbce"))
    return other if len(name) == 40 else "7" + other[1:]


@pytest.mark.inputs
def test_an_id_renamed_everywhere_is_one_renaming(recorded: list[Recorded]) -> None:
    """An id that stands at several places and is another at all of them is one renaming; at one of them yet another breaks it."""
    renamed = 0
    for exchange, tree in trees(recorded):
        text = json.dumps(tree)
        old = answered(exchange, text)
        for name, places in places_of_ids(tree).items():
            if len(places) < 2:
                continue
            spans = [found.span() for found in ID.finditer(text) if found[0] == name]
            new = ID.sub(lambda found, name=name: fresh(name) if found[0] == name else found[0], text)
            found = between(old, answered(exchange, new))
            assert {one.where for one in found} == places
            (signature,) = {one.signature for one in found}
            assert RENAMING in signature
            begin, end = spans[-1]
            broken = between(old, answered(exchange, new[:begin] + fresh(fresh(name)) + new[end:]))
            assert {one.where for one in broken} == places
            assert any(BROKEN in one.signature for one in broken), (name, broken)
            renamed += 1
    assert figures("octokit, ids renamed") == (renamed, renamed, 0, 0)
