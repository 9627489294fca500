"""The JSON Schema of ``echolane.toml``: its settings, and its other tables, each of the type that reads it."""

from __future__ import annotations

from typing import Any

import msgspec

from console.api.hook_settings import HOOKS_MAX, Hook
from console.api.notify_settings import NOTIFY_MAX, Notify
from console.api.oidc_settings import ROWS_MAX, Row
from console.api.targets import TARGETS_MAX, Target
from console.up_records import RECORDS_MAX, Recorded
from console.write_rules import KEYS as OF_WRITES, REASON_MAX, RULES_MAX
from differ.rules_reading import FIELDS, LISTED_MAX, NEEDED, TEXT_MAX
from echolane import settings_schema
from echolane.authorities import FORM, OWN, RECORDED
from echolane.credentials import PROVIDERS, Credentials
from echolane.rules import KINDS, MATCHERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TABLES = {
    "api_targets": (Target, TARGETS_MAX, "where runs of the server may fire"),
    "hooks": (Hook, HOOKS_MAX, "pushes that start runs"),
    "notify": (Notify, NOTIFY_MAX, "who is told when a verdict changes"),
    "oidc.roles": (Row, ROWS_MAX, "what those who sign in may do"),
    "up.record": (Recorded, RECORDS_MAX, "what `echolane up` records"),
}
_TEXT = {"type": "string", "maxLength": TEXT_MAX}
_WORD = {"type": ["string", "integer"]}
_TEXTS = {"anyOf": [_WORD, {"type": "array", "minItems": 1, "maxItems": LISTED_MAX, "items": _WORD}]}
_AMOUNT = {"type": "number", "minimum": 0}
_KIND = {"enum": list(KINDS)}
_OF_RULES: dict[str, Any] = {
    **dict.fromkeys(("method", "status", "endpoints", "change", "beside"), _TEXTS),
    **dict.fromkeys(("absolute", "relative"), _AMOUNT),
    "kinds": {"anyOf": [_KIND, {"type": "array", "minItems": 1, "items": _KIND}]},
    "matcher": {"enum": list(MATCHERS)},
    "permanent": {"type": "boolean"},
    "expires": {"type": "string", "format": "date"},
}
"""Fields of a rule that are more than a text."""


def schema() -> dict[str, Any]:
    """The whole file."""
    root = settings_schema.table()
    kinds = [*(kind for kind, _, _ in _TABLES.values()), Credentials]
    references, defs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    *rows, credentials = references
    for (name, (_, most, what)), row in zip(_TABLES.items(), rows, strict=True):
        room, dot, leaf = name.rpartition(".")
        node = root["properties"][room] if dot else root
        node["properties"][leaf] = _listed(row, most, what)
    defs["Credentials"]["properties"].pop("source")  # where it stands, which the reader adds
    root["properties"] |= {
        "targets": _targets(credentials),
        "writes": _listed(_writes(), RULES_MAX, "which writes a run may fire; the first that fits decides"),
        "rules": _listed(_rules(), None, "which differences are no regressions"),
    }
    title, what = "echolane.toml", "Settings of Echolane, and what it is told in tables: targets, hooks, rules."
    return {"$schema": DIALECT, "title": title, "description": what, **root, "$defs": defs}


def _listed(item: dict[str, Any], most: int | None, what: str) -> dict[str, Any]:
    bound = {} if most is None else {"maxItems": most}
    return {"description": what, "type": "array", **bound, "items": item}


def _targets(credentials: dict[str, Any]) -> dict[str, Any]:
    told = {"anyOf": [{"enum": list(PROVIDERS)}, credentials]}
    host = {"type": "string", "pattern": f"^{FORM}$"}
    host["description"] = f"what it is called in Host: {OWN} (as its URL says), {RECORDED}, or a name"
    origin = {"type": "boolean", "default": False}
    origin["description"] = "whether it may be where the recording comes from"
    told_of = {"credentials": told, "host": host, "origin": origin}
    target = {"type": "object", "additionalProperties": False, "properties": told_of}
    what = "credentials and names of targets, by role, host or `default`"
    return {"description": what, "type": "object", "additionalProperties": target}


def _writes() -> dict[str, Any]:
    told: dict[str, Any] = {
        name: {"type": "boolean"} if kind is bool else {"type": "string", "minLength": 1}
        for name, kind in OF_WRITES.items()
    }
    told["reason"] |= {"maxLength": REASON_MAX}
    return {"type": "object", "additionalProperties": False, "properties": told, "required": list(told)}


def _rules() -> dict[str, Any]:
    told = {name: _OF_RULES.get(name, _TEXT) for name in FIELDS}
    return {"type": "object", "additionalProperties": False, "properties": told, "required": list(NEEDED)}
