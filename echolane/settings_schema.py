"""The settings as JSON Schema, made of their types and defaults, what they mean, their bounds and forms (:mod:`echolane.settings`)."""

from __future__ import annotations

import re
from typing import Any, cast

from echolane.settings import BOUNDS, FORMS, SHORT, WHAT, Settings

_WORDS = re.compile(r"[a-z-]+(\|[a-z-]+)*")
_TYPES: dict[type[Any], str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def table() -> dict[str, Any]:
    """The schema of all settings of one value, each in its table. Whoever reads other tables of the file adds them."""
    root = _table()
    for key, what in WHAT.items():
        *rooms, name = key.split(".")
        node = root
        for room in rooms:
            node = node["properties"].setdefault(room, _table())
        node["properties"][name] = setting(key, what)
    for short, key in SHORT.items():
        # The short name is that of the table: a text there is the setting itself.
        root["properties"][short] = {"anyOf": [setting(key, WHAT[key]), root["properties"][short]]}
    return root


def setting(key: str, what: str) -> dict[str, Any]:
    """The schema of one setting."""
    default: Any = Settings()
    for name in key.split("."):
        default = getattr(default, name)
    told: dict[str, Any] = {"description": what}
    if isinstance(default, list):
        told |= {"type": "array", "items": {"type": "string"}}
    else:
        told |= {"type": _TYPES[cast("type[Any]", type(default))]}
    told["default"] = default
    if key in BOUNDS:
        told["minimum"], told["maximum"] = BOUNDS[key]
    if key in FORMS:
        pattern = FORMS[key][0].pattern
        told |= {"enum": pattern.split("|")} if _WORDS.fullmatch(pattern) else {"pattern": f"^(?:{pattern})$"}
    return told


def _table() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}
