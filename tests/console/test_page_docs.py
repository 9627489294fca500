"""The API's page: everything of the OpenAPI document, by itself alone."""

from __future__ import annotations

import html
import json
import re
import shlex

import msgspec
import pytest

from console.api import openapi
from console.api.context import Operation
from console.api.page_docs import curl, docs, example
from console.api.table import OPERATIONS

DOCUMENT = json.loads(openapi.document(OPERATIONS))
TYPES = DOCUMENT["components"]["schemas"]
PAGE = docs(DOCUMENT, "https://echolane.example/")
BODIES = [one for one in OPERATIONS if one.body is not None]


def part(id: str) -> str:  # noqa: A002
    """An operation or a type of the page, without its tags."""
    found = re.search(rf'<article class="op" id="{re.escape(id)}">(.*?)</article>', PAGE, re.DOTALL)
    assert found, id
    return html.unescape(re.sub(r"<[^>]+>", "", found[1]))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_an_operation_is_told_whole(operation: Operation) -> None:
    """Method, path, role, parameters, body, every answer, and a call that a shell takes."""
    told = DOCUMENT["paths"][operation.path][operation.method.lower()]
    text = part(operation.name)
    assert text.startswith(f"{operation.method} {operation.path}")
    assert (f"Role {operation.role}" if operation.role else operation.signature or "No token needed") in text
    for parameter in told.get("parameters", []):
        assert f"{parameter['name']} in the {parameter['in']}" in text
    if operation.body is not None:
        assert f"Body{operation.body.__name__}" in text
    for status, answer in told["responses"].items():
        assert f"{status}{answer['description']}: " in text
    words = shlex.split(curl(operation.method, operation.path, told, TYPES, "https://echolane.example/"))
    assert words[0] == "curl"
    assert words[-1].startswith("https://echolane.example/")
    assert not set("{}") & set(words[-1])
    assert ("Authorization: Bearer $TOKEN" in words) == bool(operation.role)


@pytest.mark.parametrize("operation", BODIES, ids=lambda one: one.name)
def test_an_example_is_what_its_operation_takes(operation: Operation) -> None:
    """The least body that is allowed."""
    least = example({"$ref": f"#/components/schemas/{operation.body.__name__}"}, TYPES)
    assert isinstance(msgspec.convert(least, operation.body), operation.body)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_type_is_told_whole(name: str) -> None:
    """Each of its fields."""
    text = part(f"type-{name}")
    for field in TYPES[name].get("properties", {}):
        assert field in text


def test_the_page_stands_alone() -> None:
    """Every link within it leads somewhere, every name is there once, and nothing is loaded but our two styles and the script of keys."""
    ids = re.findall(r' id="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', PAGE)) <= set(ids)
    loaded = re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', PAGE)
    assert loaded == ["/assets/page.css", "/assets/list.css", "/assets/keys.js"]
    assert PAGE.count("<script") == 1
    assert " style=" not in PAGE


def test_what_the_document_says_is_text() -> None:
    """A description with markup is shown, not done."""
    tree = json.loads(json.dumps(DOCUMENT))
    tree["info"]["description"] = "<img src=x> `<b>`"
    assert "<img" not in docs(tree, "http://x")
    assert "<code>&lt;b&gt;</code>" in docs(tree, "http://x")
