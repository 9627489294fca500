"""JSON as others test it: texts a parser must accept, equality as schemas and patches mean it, each disagreement explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from differ.compare import compare
from differ.context import Context
from tests.differ.foreign import JSON, answer, equal, figures, steps, told

NUMBERS = "a number's spelling is what a typed client meets: 1 and 1.0 are one number to a schema and two to a version"
TWICE = "a parser that keeps the last member of a name sees one; a client with another parser meets both"
SCHEMA_APART: dict[str, str] = {
    "const / const with 0 does not match other zero-like types / float zero is valid": NUMBERS,
    "const / const with 1 does not match true / float one is valid": NUMBERS,
    "const / const with -2.0 matches integer and float types / integer -2 is valid": NUMBERS,
    "const / float and integers are equal up to 64-bit representation limits / float is valid": NUMBERS,
    "enum / enum with 0 does not match false / float zero is valid": NUMBERS,
    "enum / enum with [0] does not match [false] / [0.0] is valid": NUMBERS,
    "enum / enum with 1 does not match true / float one is valid": NUMBERS,
    "enum / enum with [1] does not match [true] / [1.0] is valid": NUMBERS,
}
"""Where a schema calls two values equal and we do not, with the reason."""
TEXTS_APART: dict[tuple[str, str], str] = {
    ("y_object_duplicated_key_and_value.json", "y_object_with_newlines.json"): TWICE,
}
"""Two texts that parse to one value and that we tell apart, with the reason."""
INDEX = re.compile(r"0|[1-9]\d*")
"""How a JSON pointer writes the place of an element."""


def strict(tree: Any) -> Any:
    """A tree as something that equals another's exactly if they mean the same, booleans and numbers told apart."""
    if isinstance(tree, dict):
        return frozenset((key, strict(value)) for key, value in tree.items())
    if isinstance(tree, list):
        return ("list", *map(strict, tree))
    if isinstance(tree, Number):
        return ("decimal" if set(tree) & set(".eE") else "int", Decimal(tree))
    return (type(tree).__name__, tree)


@pytest.fixture(scope="module")
def texts(inputs: Path) -> list[tuple[str, bytes]]:
    """The texts a parser must accept."""
    return [(path.name, path.read_bytes()) for path in sorted((inputs / "suites" / "json-parsing").glob("y_*.json"))]


def between(old: bytes, new: bytes) -> list[tuple[str, str]]:
    """Where and how two JSON bodies differ."""
    found = compare(answer(old, JSON), answer(new, JSON), Context())
    assert not found.uncomparable
    return [(one.where, one.kind) for one in found.differences]


@pytest.mark.inputs
def test_white_space_and_spelling_mean_nothing(texts: list[tuple[str, bytes]]) -> None:
    """A text equals itself spread over lines, and itself with every character escaped."""
    for name, data in texts:
        assert between(data, data) == [], name
        assert between(data, b"\r\n\t " + data + b" \n") == [], name
        pairs = json.loads(data, object_pairs_hook=Twice, parse_float=Number, parse_int=Number)
        for options in ({"indent": 3}, {"ensure_ascii": False, "separators": (" ,\n", "\t: ")}):
            assert between(data, respelled(pairs, **options)) == [], (name, options)


class Twice(list[tuple[str, Any]]):
    """The members of an object, those of one name too."""


class Number(str):
    """A number as it is spelled."""

    __slots__ = ()


def respelled(value: Any, **options: Any) -> bytes:
    """The same value in another layout: strings as ``json`` spells them, numbers as they were, members in their order."""
    comma, colon = options.get("separators", (",\n   ", ":  "))

    def write(one: Any) -> str:
        if isinstance(one, Number):
            return one
        if isinstance(one, Twice):
            return "{ " + comma.join(write(key) + colon + write(each) for key, each in one) + " }"
        if isinstance(one, list):
            return "[ " + comma.join(map(write, one)) + "\n]"
        return json.dumps(one, ensure_ascii=options.get("ensure_ascii", True))

    return write(value).encode("utf-8", "surrogatepass")


@pytest.mark.inputs
def test_texts_of_other_values_are_told_apart(texts: list[tuple[str, bytes]]) -> None:
    """Any two texts of the suite differ exactly if they parse to other values, numbers by every digit, but for the table."""
    values = [(name, data, strict(json.loads(data, parse_float=Number, parse_int=Number))) for name, data in texts]
    pairs = list(combinations(values, 2))
    apart = {
        (one, other)
        for (one, old, value), (other, new, second) in pairs
        if (between(old, new) == []) is not (value == second)
    }

    assert apart == set(TEXTS_APART)
    assert figures(TWICE) == (len(apart),)
    assert figures("JSON parsing, in pairs") == (len(pairs), len(pairs) - len(apart), len(apart), 0)


@pytest.mark.inputs
def test_a_broken_text_is_told_from_the_whole_one(texts: list[tuple[str, bytes]]) -> None:
    """Every text cut anywhere, or with a byte too many, is compared without an error and equals itself."""
    for name, data in texts:
        for end in range(0, len(data), max(1, len(data) // 20)):
            for broken in (data[:end], data[:end] + b"\x00" + data[end:], data[:end] + b"\xff" + data[end:]):
                assert between(broken, broken) == [], (name, end)
                assert broken.strip() == data.strip() or between(broken, data) != [], (name, end)


def statements(folder: Path) -> Iterator[tuple[str, list[Any], Any, bool]]:
    """What a schema says of equality: the values allowed, one value, and whether it equals one of them."""
    for keyword in ("const", "enum"):
        for group in json.loads((folder / f"{keyword}.json").read_text("utf-8")):
            schema = group["schema"]
            if set(schema) - {"$comment"} == {keyword}:
                allowed = [schema["const"]] if keyword == "const" else schema["enum"]
                for test in group["tests"]:
                    name = f"{keyword} / {group['description']} / {test['description']}"
                    yield name, allowed, test["data"], test["valid"]
    for group in json.loads((folder / "uniqueItems.json").read_text("utf-8")):
        for test in group["tests"] if group["schema"] == {"uniqueItems": True} else ():
            items = test["data"]
            if len(items) == 2:
                yield f"uniqueItems / {test['description']}", items[:1], items[1], not test["valid"]


@pytest.mark.inputs
def test_equality_is_that_of_json_schema(inputs: Path) -> None:
    """``const``, ``enum`` and ``uniqueItems`` say which values are equal: so say we, but for the table."""
    seen, apart = 0, set[str]()
    for name, allowed, value, same in statements(inputs / "suites" / "json-schema" / "draft7"):
        seen += 1
        if any(equal(one, value) for one in allowed) is not same:
            apart.add(name)

    assert apart == set(SCHEMA_APART)
    assert figures(NUMBERS) == (len(apart),)
    assert figures("JSON Schema, of equality") == (seen, seen - len(apart), len(apart), 0)


@pytest.mark.inputs
def test_every_instance_of_the_schema_suite_is_told_from_its_neighbours(inputs: Path) -> None:
    """The instances of one group of tests differ from each other exactly if they are other values."""
    seen = 0
    for path in sorted((inputs / "suites" / "json-schema" / "draft7").rglob("*.json")):
        for group in json.loads(path.read_text("utf-8")):
            for old, new in pairwise(test["data"] for test in group["tests"]):
                seen += 1
                assert equal(old, new) is (strict(old) == strict(new)), (path.name, group["description"], old, new)
    assert seen >= 1000


def target(doc: Any, pointer: str) -> Any:
    """What a JSON pointer names; LookupError where nothing is."""
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(doc, list) and not INDEX.fullmatch(key):
            raise LookupError(key)
        doc = doc[int(key)] if isinstance(doc, list) else doc[key]
    return doc


@pytest.mark.inputs
def test_documents_and_tests_of_the_patch_suite(inputs: Path) -> None:
    """Whole documents before and after a patch, and each ``test`` of a value: equal here exactly where it is there."""
    cases = documents = tested = 0
    for path in sorted((inputs / "suites" / "json-patch").glob("*tests.json")):
        for case in json.loads(path.read_text("utf-8")):
            cases += 1
            patch = case.get("patch", [])
            if "expected" in case and not case.get("disabled"):
                documents += 1
                assert equal(case["doc"], case["expected"]) is (strict(case["doc"]) == strict(case["expected"])), case
            elif len(patch) == 1 and patch[0].get("op") == "test" and "value" in patch[0] and not case.get("disabled"):
                try:
                    value = target(case["doc"], patch[0].get("path", ""))
                except LookupError:
                    continue
                tested += 1
                assert equal(value, patch[0]["value"]) is ("error" not in case), case

    assert figures("JSON Patch") == (cases, documents + tested, 0, cases - documents - tested)


@pytest.mark.inputs
def test_a_patch_of_a_member_is_one_difference(inputs: Path) -> None:
    """Where one operation adds, removes or replaces a member of an object, that place is named, and no other."""
    kinds = {"add": "added", "remove": "missing"}
    seen = 0
    for path in sorted((inputs / "suites" / "json-patch").glob("*tests.json")):
        for case in json.loads(path.read_text("utf-8")):
            patch = case.get("patch", [])
            if "expected" not in case or case.get("disabled") or len(patch) != 1 or patch[0]["op"] not in kinds:
                continue
            holder, key = patch[0]["path"].rpartition("/")[::2]
            held = target(case["doc"], holder) if patch[0]["path"] else None
            if not isinstance(held, dict) or (patch[0]["op"] == "add") is (key in held):
                continue
            seen += 1
            found = told(case["doc"], case["expected"]).differences
            assert [one.kind for one in found] == [kinds[patch[0]["op"]]], case
            assert len(list(steps(case["doc"]))) != len(list(steps(case["expected"])))
    assert seen >= 8


@pytest.mark.inputs
def test_a_repeated_key_is_seen_beside_another_change(texts: list[tuple[str, bytes]]) -> None:
    """The two texts that only a key twice tells apart are told apart in an answer in which something else varies as well."""
    data = dict(texts)
    ((one, other),) = TEXTS_APART
    for noise in ('"12:00:01"', '"9:59"', "17", "null"):
        old, new = (
            b'{"body": %s, "at": %s}' % (data[name], at) for name, at in ((one, b'"12:00:00"'), (other, noise.encode()))
        )
        assert ("body:$.body['a (again 2)']", "missing") in between(old, new), noise
        assert ("body:$.body['a (again 2)']", "added") in between(new, old), noise
