"""From what a person wrote (:mod:`console.rules_files`) to a rule: every field by its type, every fault with its line. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple, cast

from echolane.rules import KINDS, MATCHERS, REGEX, Rule

INVALID = "INVALID"
FIELDS = (
    *("name", "service", "method", "endpoint", "status", "where", "kinds", "matcher", "absolute", "relative", "within"),
    *(
        "pattern",
        "class",
        "function",
        "reason",
        "owner",
        "expires",
        "permanent",
        "branch",
        "endpoints",
        "change",
        "beside",
    ),
)
LISTED_MAX = 1000
"""Texts of one list: endpoints by name; a service has some hundred."""
TEXT_MAX = 1000
"""Characters of one field."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
NEEDED = ("where", "matcher", "reason", "owner")
"""Fields that no rule lacks."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_STATUS = re.compile(r"[1-5](?:\d\d|xx)")
_SERVICE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Written(NamedTuple):
    """One rule as a file has it."""

    fields: Mapping[str, Any]
    file: str
    line: int
    lines: Mapping[str, int] = {}
    """Where each field stands, where that is known."""


class Refusal(NamedTuple):
    """Why a rule is not applied."""

    code: str
    rule: str
    source: str
    """File and line."""
    text: str
    """What is wrong and what to do."""


class Wrong(ValueError):  # noqa: N818
    """A field's value is not what it should be."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def read(written: Written) -> Rule | Refusal:
    """A rule, or why it is none."""
    name = written.fields.get("name")
    called = name if isinstance(name, str) and name else str(written.fields.get("where", "?"))[:100]
    try:
        return _read(written, called)
    except Wrong as error:
        line = written.lines.get(error.field, written.line)
        return Refusal(INVALID, called, f"{written.file}:{line}", str(error))


def _read(written: Written, called: str) -> Rule:
    fields = written.fields
    for key in fields:
        if key not in FIELDS:
            close = difflib.get_close_matches(key, FIELDS, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(FIELDS)}"
            raise Wrong(key, f"unknown field `{key}`{hint}")
    for key in NEEDED:
        if not _text(fields, key):
            raise Wrong(key, f"`{key}` is missing or empty, and a rule needs it")
    expires, permanent = _day(fields), fields.get("permanent", False)
    if not isinstance(permanent, bool):
        raise Wrong("permanent", f"`permanent` needs true or false, not {permanent!r}")
    if bool(expires) == permanent:
        raise Wrong(
            "expires", "a rule has a day on which it ends (`expires`), or `permanent = true` and a reason for it"
        )
    return Rule(
        name=_text(fields, "name") or called,
        where=_text(fields, "where"),
        service=_formed(fields, "service", _SERVICE, "the name of a service, for example shop"),
        methods=[_one_of("method", text.upper(), METHODS) for text in _texts(fields, "method")],
        endpoint=_endpoint(fields),
        endpoints=[_named(text) for text in _texts(fields, "endpoints")],
        status=[_status(text) for text in _texts(fields, "status")],
        kinds=[_one_of("kinds", text, KINDS) for text in _texts(fields, "kinds")],
        changes=_texts(fields, "change", strip=False),
        beside=_texts(fields, "beside", strip=False),
        matcher=_one_of("matcher", _text(fields, "matcher"), MATCHERS),
        absolute=_number(fields, "absolute"),
        relative=_number(fields, "relative"),
        within_s=_span(fields),
        pattern=_text(fields, "pattern", strip=False),
        klass=_text(fields, "class"),
        function=_text(fields, "function"),
        reason=_text(fields, "reason"),
        owner=_text(fields, "owner"),
        expires=expires,
        permanent=permanent,
        branch=_text(fields, "branch"),
        source=f"{written.file}:{written.line}",
    )


def _text(fields: Mapping[str, Any], key: str, *, strip: bool = True) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise Wrong(key, f"`{key}` needs a text, not {value!r}"[:300])
    if len(value) > TEXT_MAX:
        raise Wrong(key, f"`{key}` has {len(value)} characters; {TEXT_MAX} are the most")
    return value.strip() if strip else value


def _texts(fields: Mapping[str, Any], key: str, *, strip: bool = True) -> list[str]:
    """One text or number, or a list of them."""
    value = fields.get(key, [])
    found = cast("list[object]", value if isinstance(value, list) else [value])
    if any(isinstance(one, bool) or not isinstance(one, str | int) for one in found) or (key in fields and not found):
        raise Wrong(key, f"`{key}` needs a text or a list of texts, not {value!r}"[:300])
    if len(found) > LISTED_MAX or any(len(str(one)) > TEXT_MAX for one in found):
        raise Wrong(key, f"`{key}` has at most {LISTED_MAX} texts of at most {TEXT_MAX} characters")
    return [str(one).strip() if strip else str(one) for one in found]


def _formed(fields: Mapping[str, Any], key: str, form: re.Pattern[str], what: str) -> str:
    text = _text(fields, key)
    if text not in {"", "*"} and not form.fullmatch(text):
        raise Wrong(key, f"`{key}` is {text!r}; it must be {what}")
    return "" if text == "*" else text


def _endpoint(fields: Mapping[str, Any]) -> str:
    text = _text(fields, "endpoint")
    if text and not text.startswith("/"):
        raise Wrong(
            "endpoint",
            f"`endpoint` is {text!r}; it must be a path, for example /items/* (a method has a field of its own)",
        )
    for part in text.split("/"):
        if "*" in part and part not in {"*", "**"}:
            raise Wrong("endpoint", f"`{part}`: a segment is named whole, or * for any, or ** for any number of them")
    return text


def _named(text: str) -> str:
    if " /" not in text or text.partition(" ")[0] not in METHODS:
        raise Wrong(
            "endpoints", f"`endpoints` has {text!r}; each is a method and a path, for example GET /items/{{id}}"[:300]
        )
    return text


def _status(text: str) -> str:
    if not _STATUS.fullmatch(text):
        raise Wrong("status", f"`status` is {text!r}; it must be like 200 or 2xx")
    return text


def _one_of(key: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        close = difflib.get_close_matches(text, known, n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        raise Wrong(key, f"`{key}` is {text!r}; known are {', '.join(known)}{hint}")
    return text


def _number(fields: Mapping[str, Any], key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise Wrong(key, f"`{key}` needs a number that is not negative, not {value!r}"[:300])
    return float(value)


def _span(fields: Mapping[str, Any]) -> float | None:
    text = _text(fields, "within")
    found = _SPAN.fullmatch(text)
    if text and not found:
        raise Wrong("within", f"`within` is {text!r}; it must be a span of time such as 500ms, 5s or 2m")
    return float(found[1]) * _UNIT_S[found[2]] if found else None


def _day(fields: Mapping[str, Any]) -> str:
    value: Any = fields.get("expires", "")
    text: Any = value.isoformat() if type(value) is date else value
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except (ValueError, TypeError) as error:
        raise Wrong("expires", f"`expires` needs a day such as 2027-03-31, not {value!r}"[:300]) from error


def belongs(rule: Rule) -> dict[str, bool]:
    """Which fields of a matcher a rule has."""
    return {
        "tolerance": rule.absolute is not None or rule.relative is not None or rule.within_s is not None,
        REGEX: bool(rule.pattern),
        "class": bool(rule.klass),
        "custom": bool(rule.function),
    }
