"""The OpenAPI document as a page: every operation and type, from the document itself and nowhere else; it reads without any script. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast

from console.api.page_list import page
from console.escapes import html

Tree = dict[str, Any]
REF = "#/components/schemas/"
DEPTH = 4
"""Objects within objects of an example."""
LIMITS = {
    "pattern": "like {}",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {}",
    "default": "without it {}",
}


def docs(document: Tree, base: str) -> str:
    """The page. ``base`` is where the server is, for the examples."""
    types: Tree = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, Tree]]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            by_tag.setdefault(told["tags"][0], []).append((method.upper(), path, told))
    contents = "".join(
        f'<li><a href="#{html(tag)}">{html(tag)}</a> <span>{len(told)}</span></li>' for tag, told in by_tag.items()
    )
    parts = "".join(
        f'<section id="{html(tag)}"><h2>{html(tag)}</h2>{"".join(_operation(*one, types, base) for one in listed)}</section>'
        for tag, listed in by_tag.items()
    )
    named = "".join(
        f'<article class="op" id="type-{html(name)}"><h3><code>{html(name)}</code></h3>{_said(told)}{_fields(told)}</article>'
        for name, told in sorted(types.items())
    )
    return page(
        "The HTTP API",
        f'<h1 class="api">The HTTP API</h1><p class="intro">{_prose(document["info"]["description"])}</p>'
        '<p class="intro">Made of the <a href="/api/v1/openapi.json">OpenAPI document</a> of this server.</p>'
        f'<nav class="contents" aria-label="Operations by subject"><ul>{contents}'
        f'<li><a href="#types">types</a> <span>{len(types)}</span></li></ul></nav>'
        f'{parts}<section id="types"><h2>types</h2>{named}</section>',
    )


def _operation(method: str, path: str, told: Tree, types: Tree, base: str) -> str:
    parameters = "".join(
        _field(one["name"], one["schema"], f"in the {one['in']}", one.get("description", ""), must=one["required"])
        for one in told.get("parameters", [])
    )
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    example_of = "\n".join(html(line) for line in curl(method, path, told, types, base).split("\n"))
    answers = "".join(_answer(status, one) for status, one in told["responses"].items())
    return (
        f'<article class="op" id="{html(told["operationId"])}"><h3><span class="verb">{method}</span> <code>{html(path)}</code></h3>'
        f"<p>{_prose(told['summary'])}</p><p class='who'>{_who(told)}</p>"
        + (f"<h4>Parameters</h4><dl>{parameters}</dl>" if parameters else "")
        + (f"<h4>Body</h4><p>{_kind(body)}</p>" if body is not None else "")
        + f"<h4>Answers</h4><dl>{answers}</dl>"
        f"<h4>Example</h4><pre><code>{example_of}</code></pre></article>"
    )


def _who(told: Tree) -> str:
    role, signed = told["x-echolane-role"], [name for one in told["security"] for name in one if name != "token"]
    by = f"or signed in <code>{html(signed[0])}</code>" if signed else ""
    if role:
        return f"<b>Role {html(role)}</b> {by}"
    return f"<b>Signed</b> in <code>{html(signed[0])}</code>" if signed else "<b>No token needed</b>"


def _answer(status: str, told: Tree) -> str:
    kinds = " or ".join(
        f"{_kind(media['schema'])} <span>{html(name)}</span>" for name, media in told.get("content", {}).items()
    )
    return f"<dt><code>{html(status)}</code></dt><dd>{html(told['description'])}: {kinds}</dd>"


def _fields(told: Tree) -> str:
    """What an object is made of."""
    needed = told.get("required", [])
    listed = "".join(
        _field(name, schema, "", schema.get("description", ""), must=name in needed)
        for name, schema in told.get("properties", {}).items()
    )
    return f"<dl>{listed}</dl>" if listed else f"<p>{_kind(told)}</p>"


def _field(name: str, schema: Tree, place: str, what: str, *, must: bool) -> str:
    words = ", ".join(word for word in (place, "required" if must else "") if word)
    said = f"<br>{_prose(what)}" if what else ""
    return f"<dt><code>{html(name)}</code> <span>{words}</span></dt><dd>{_kind(schema)}{said}</dd>"


def _said(told: Tree) -> str:
    return f"<p>{_prose(told['description'])}</p>" if told.get("description") else ""


def _kind(schema: Tree) -> str:
    """A type, in words; one that has a name is a link to it."""
    if "$ref" in schema:
        name = html(schema["$ref"].removeprefix(REF))
        return f'<a href="#type-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{html(json.dumps(one))}</code>" for one in schema["enum"]) + _limits(schema)
    match schema.get("type"):
        case "array":
            text = f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
        case "object":
            more = schema.get("additionalProperties")
            text = f"object of {_kind(cast('Tree', more))}" if isinstance(more, dict) and more else "object"
        case None:
            text = "anything"
        case word:
            text = html(str(word))
    return text + _limits(schema)


def _limits(schema: Tree) -> str:
    found = [
        form.format(f"<code>{html(json.dumps(schema[name]))}</code>")
        for name, form in LIMITS.items()
        if schema.get(name) not in (None, "", [], {})
    ]
    return f" <span>({', '.join(found)})</span>" if found else ""


def _prose(text: str) -> str:
    """Text in which backticks stand around code."""
    parts = html(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))


def curl(method: str, path: str, told: Tree, types: Tree, base: str) -> str:
    """How the operation is called from a shell: what it needs, and nothing else."""
    words = ["curl -s"]
    if method != "GET":
        words.append(f"-X {method}")
    if told["x-echolane-role"]:
        words.append('-H "Authorization: Bearer $TOKEN"')
    signed = [name for one in told["security"] for name in one if name != "token"]
    if signed and not told["x-echolane-role"]:
        words.append(f'-H "{signed[0]}: $SIGNATURE"')
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        words.append("-H 'Content-Type: application/json'")
        words.append(f"-d {shlex.quote(json.dumps(example(body, types)))}")
    for name in _in_path(path):
        path = path.replace(f"{{{name}}}", name.upper())
    return " \\\n  ".join([*words, shlex.quote(base.rstrip("/") + path)])


def _in_path(path: str) -> Iterator[str]:
    for part in path.split("{")[1:]:
        yield part.partition("}")[0]


def example(schema: Mapping[str, Any], types: Tree, depth: int = DEPTH) -> Any:
    """The least value of a type: of an object what it must have."""
    if "$ref" in schema:
        return example(types[schema["$ref"].removeprefix(REF)], types, depth)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], types, depth)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            needed = cast("list[str]", schema.get("required", [])) if depth else []
            return {name: example(schema["properties"][name], types, depth - 1) for name in needed}
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "x" * max(1, schema.get("minLength", 1))


__all__ = ["curl", "docs", "example"]
