"""The OpenAPI 3.1 document, made of the table of operations and of the types of their requests and answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from console.api.context import Operation
from console.api.messages import NoQuery
from console.api.problems import KIND, TITLES, ProblemDetails
from echolane import __version__

REF = "#/components/schemas/{name}"
PATHS: dict[str, tuple[str, str]] = {
    "run": (r"^[0-9a-f-]{36}$", "A run's id"),
    "other": (r"^[0-9a-f-]{36}$", "The id of a later run of its service"),
    "recording": (r"^[0-9a-f-]{36}$", "A recording's id"),
    "finding": (r"^[0-9A-Za-z-]{1,80}$", "A finding's id: the same in every run"),
    "exchange": (r"^[0-9A-Za-z-]{1,80}$", "An exchange's id: the same in every run"),
    "service": (r"^[A-Za-z0-9-]{1,63}$", "A service"),
    "token": (r"^[0-9a-f]{12}$", "A token's id"),
}
"""What the parts of paths look like; one that looks otherwise is not found."""
ALWAYS = ("bad-request", "wrong-host", "too-many", "unavailable")
WITH_ROLE = ("unauthorised", "forbidden")
WITH_BODY = ("unsupported-type", "too-large", "too-slow")
SIGNED = "A signature over the bytes of the body, with the secret of a hook; for GitLab that or the secret itself (`X-Gitlab-Token`)"
ABOUT = (
    "Everything of Echolane that can be done without a shell. Send `Authorization: Bearer TOKEN`; `echolane token create` makes tokens. "
    "Each operation names the least role it needs (viewer, runner, editor, admin). What a token's services do not include is not found. "
    "Errors are `application/problem+json` (RFC 9457); lists go on with `next` as `cursor`."
)


def document(operations: Sequence[Operation]) -> bytes:
    """The document, as JSON."""
    types = list(dict.fromkeys(_types(operations)))
    (*_,), components = msgspec.json.schema_components(types, ref_template=REF)
    paths: dict[str, Any] = {}
    signatures = dict.fromkeys(one.signature for one in operations if one.signature)
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    told = {
        "openapi": "3.1.0",
        "info": {
            "title": "Echolane",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`echolane token create`"},
                **{
                    name: {"type": "apiKey", "in": "header", "name": name, "description": SIGNED} for name in signatures
                },
            },
        },
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2)


def _types(operations: Iterable[Operation]) -> Iterable[Any]:
    yield ProblemDetails
    for operation in operations:
        yield from (kind for kind in (operation.answer, operation.body) if kind is not None)
        yield from (kind for _, kind in operation.more)


def _operation(operation: Operation) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(operation)],
        "x-echolane-role": operation.role,
        "security": [
            *([{"token": []}] if operation.role else []),
            *([{operation.signature: []}] if operation.signature else []),
        ],
        "responses": _responses(operation),
    }
    if parameters := [*_path_parameters(operation), *_query_parameters(operation), *_headers(operation)]:
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(operation.body)}}}
    elif operation.admit is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return told


def _tag(operation: Operation) -> str:
    parts = operation.path.strip("/").split("/")
    return parts[2] if len(parts) > 2 and parts[0] == "api" else "operations"


def _ref(kind: Any) -> dict[str, str]:
    return {"$ref": REF.format(name=kind.__name__)}


def _responses(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kind in ((operation.status, operation.answer), *operation.more):
        schema = (
            _ref(kind) if kind is not None else ({} if operation.kind == "application/json" else {"type": "string"})
        )
        media = operation.kind if kind is None else "application/json"
        found[str(status)] = {"description": "As asked", "content": {media: {"schema": schema}}}
    codes = [
        *ALWAYS,
        *(WITH_ROLE if operation.role else ()),
        *(("unauthorised",) if operation.admit else ()),
        *(WITH_BODY if operation.body or operation.admit else ()),
        *operation.problems,
    ]
    for status in sorted({TITLES[code][0] for code in codes}):
        titles = [title for code, (number, title) in TITLES.items() if number == status and code in codes]
        content: dict[str, Any] = {KIND: {"schema": _ref(ProblemDetails)}}
        if operation.kind == "text/plain" and status == 503:
            content["text/plain"] = {"schema": {"type": "string"}}
        found[str(status)] = {"description": "; ".join(titles), "content": content}
    return found


def _path_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        pattern, what = PATHS[name]
        schema = {"type": "string", "pattern": pattern}
        yield {"name": name, "in": "path", "required": True, "description": what, "schema": schema}


def _query_parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    if operation.query is NoQuery:
        return
    (schema,), components = msgspec.json.schema_components([operation.query], ref_template=REF)
    own = components[schema["$ref"].rpartition("/")[2]]
    for name, told in own["properties"].items():
        yield {"name": name, "in": "query", "required": name in own.get("required", []), "schema": told}


def _headers(operation: Operation) -> Iterable[dict[str, Any]]:
    if operation.keyed:
        what = "Makes the call safe to repeat: the same key and body give the same run"
        schema = {"type": "string", "pattern": r"^[A-Za-z0-9_.:-]{8,128}$"}
        yield {"name": "Idempotency-Key", "in": "header", "required": False, "description": what, "schema": schema}
