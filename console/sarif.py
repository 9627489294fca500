"""A run as SARIF 2.1.0, which code hosts and viewers read: a rule per kind of change, a result per regression. Pure.

Noise and what is undecided are no results, lest a gate counts them; the run's properties say how many there are. A finding keeps its
fingerprint from run to run (its ``id``), so a host knows it again. Its place is the resource that answers: an address relative to the
branch's own, and a logical location for the endpoint and for the place in its answer. Words come from :mod:`console.words`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import quote

import orjson

from console import words
from console.escapes import json_text, sarif as escaped, short, telling, visible
from console.words_place import place
from console.words_reach import where_told
from echolane import __version__

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {"breaking": "error", "visible": "warning", "cosmetic": "note"}
RESULTS_MAX = 5_000
"""As many as GitHub shows of one run; the gravest come first, and the properties say how many are left out."""
ENDPOINTS_MAX = 50
"""Addresses of one finding that lies at many endpoints; the result names no more of them either."""
TEXT_MAX, VALUE_MAX = 500, 200
"""Characters: a list shows one line of a message, and the page has the values."""
COUNTS = tuple(key for _, *keys in words.COMPARISONS for key in keys)
REACH = ("endpoints", "endpoints_compared", "traffic", "traffic_selected")


def sarif(result: words.Result) -> str:
    """The whole log."""
    found = words.findings(result, "groups")
    shown = found[:RESULTS_MAX]
    kinds = list(dict.fromkeys([*words.KINDS, *(words.text(finding, "kind") for finding in shown)]))
    endpoints = list(dict.fromkeys(name for finding in shown for name in _endpoints(finding)))
    run = {
        "tool": {
            "driver": {
                "name": "Echolane",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(kind) for kind in kinds],
            }
        },
        "automationDetails": {
            "id": f"echolane/{_address(words.text(result, 'service'))}/{_address(words.text(result, 'run'))}",
            "description": {"text": _text(f"Branch against base of {words.text(result, 'service')}")},
        },
        "invocations": [_invocation(result)],
        "originalUriBaseIds": {"BRANCH": _base(result)},
        "logicalLocations": [
            {"name": _name(name), "fullyQualifiedName": _name(name), "kind": "resource"} for name in endpoints
        ],
        "results": [_result(finding, kinds, endpoints) for finding in shown],
        "columnKind": "unicodeCodePoints",
        "properties": _properties(result, len(found) - len(shown)),
    }
    log = _plain({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})
    return json_text(orjson.dumps(log, option=orjson.OPT_INDENT_2).decode()) + "\n"


def _plain(tree: Any) -> Any:
    """The same with what cannot be seen spelled as its escape, in names too: what is no text at all would be no JSON."""
    if isinstance(tree, str):
        return visible(tree, "\u200b")
    if isinstance(tree, Mapping):
        return {_plain(str(key)): _plain(value) for key, value in cast("Mapping[object, Any]", tree).items()}
    return [_plain(one) for one in cast("list[Any]", tree)] if isinstance(tree, list) else tree


def _text(text: str, limit: int = TEXT_MAX) -> str:
    """Foreign text in a message, bounded."""
    return escaped(short(text, limit))


def _name(text: str, limit: int = TEXT_MAX) -> str:
    """Foreign text as a name, which programs compare and no viewer takes for markup."""
    return visible(short(text, limit))


def _address(text: str, safe: str = "") -> str:
    """Foreign text as a part of an address, relative whatever it is."""
    return quote(visible(short(text, TEXT_MAX)), safe=safe)


def _rule(kind: str) -> dict[str, Any]:
    said = "status changed" if kind == "status" else words.KINDS.get(kind, kind)
    return {
        "id": _text(kind),
        "name": "".join(word.capitalize() for word in said.split()),
        "shortDescription": {"text": _text(words.sentence(said))},
        "fullDescription": {
            "text": _text(f"The branch differs from base more than either differs from itself: {said}.")
        },
        "defaultConfiguration": {"level": "warning"},
    }


def _invocation(result: words.Result) -> dict[str, Any]:
    """Whether a verdict was reached; where none was, why, and what to do."""
    decided = words.verdict(result) != "inconclusive"
    told: dict[str, Any] = {"executionSuccessful": decided}
    for key, name in (("started_at", "startTimeUtc"), ("finished_at", "endTimeUtc")):
        if at := _utc(words.text(result, key)):
            told[name] = at
    if not decided:
        said = f"No verdict: {words.headline(result)}. {words.advice(result)}"
        told["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": _text(said, 2 * TEXT_MAX)}, "properties": _code(result)}
        ]
    return told


def _utc(text: str) -> str:
    """A time as SARIF has them, in UTC to the millisecond; empty where it is none."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def _code(result: words.Result) -> dict[str, str]:
    return {"reason_code": words.text(result, "reason_code")}


def _base(result: words.Result) -> dict[str, Any]:
    """Where the branch was; ``http:`` alone says nothing, so an address that is unknown is left out."""
    url = words.text(words.section(words.section(result, "targets"), "branch"), "url")
    told: dict[str, Any] = {"description": {"text": "The branch, where this run fired at it"}}
    if re.fullmatch(r"https?://[!-~]+", url):
        told["uri"] = url.rstrip("/") + "/"
    return told


def _endpoints(finding: words.Finding) -> list[str]:
    names = [str(name) for name in words.listed(finding, "endpoint_names")] or [words.text(finding, "endpoint")]
    return names[:ENDPOINTS_MAX]


def _result(finding: words.Finding, kinds: list[str], endpoints: list[str]) -> dict[str, Any]:
    kind, names = words.text(finding, "kind"), _endpoints(finding)
    first, *others = [_location(finding, name, endpoints.index(name)) for name in names]
    told: dict[str, Any] = {
        "ruleId": _text(kind),
        "ruleIndex": kinds.index(kind),
        "kind": "fail",
        "level": LEVELS[words.severity(finding)],
        "message": {"text": message_of(finding)},
        "locations": [first],
        "partialFingerprints": {"echolaneFinding/v1": words.text(finding, "id")},
        "occurrenceCount": max(1, int(finding.get("differing") or 0)),
        "properties": _facts(finding),
    }
    if others:
        told["relatedLocations"] = [{"id": number, **other} for number, other in enumerate(others, 1)]
    return told


def message_of(finding: words.Finding) -> str:
    """What a finding is, in one line of bounded length."""
    at, traffic = where_told(finding)
    said = f"{place(finding)}: {words.kind(finding)} in {words.seen(finding)} exchanges at {at}"
    said = f"{_text(said, TEXT_MAX - len(traffic))}{traffic}"  # long names give way to the figure, which is ours
    sample = next(iter(words.samples(finding)), None)
    if sample is None:
        return said
    texts = telling(sample.get("base"), sample.get("branch"), VALUE_MAX)
    base, branch = ("missing" if text is None else short(text, VALUE_MAX) for text in texts)
    return f"{said}: {_text(base)} → {_text(branch)}"


def path_of(finding: words.Finding) -> str:
    """The address that answers, the first where there are several, as a path without the slash before it."""
    return _path(_endpoints(finding)[0])


def _path(endpoint: str) -> str:
    return _address((endpoint.partition(" ")[2] or endpoint).lstrip("/"), safe="/")


def _location(finding: words.Finding, endpoint: str, parent: int) -> dict[str, Any]:
    where = words.text(finding, "where")
    return {
        "physicalLocation": {"artifactLocation": {"uri": _path(endpoint), "uriBaseId": "BRANCH"}},
        "logicalLocations": [
            {
                "name": _name(where),
                "fullyQualifiedName": _name(f"{endpoint} {where}", 2 * TEXT_MAX),
                "kind": "property",
                "parentIndex": parent,
            }
        ],
        "message": {"text": _text(f"{endpoint} {where}")},
    }


def _facts(finding: words.Finding) -> dict[str, Any]:
    """The counts, how far it reaches and what the verdict rests on, as the result has them."""
    told: dict[str, Any] = {key: finding.get(key) for key in (*COUNTS, *REACH, "basis", "p_value", "q_value")}
    told["severity"] = words.severity(finding)
    told["places"] = [_name(str(place)) for place in words.listed(finding, "places")]
    told["explanation"] = _text(words.explanation(finding))
    told["exchanges"] = [words.text(sample, "exchange") for sample in words.samples(finding)]
    return told


def _properties(result: words.Result, left_out: int) -> dict[str, Any]:
    facts: dict[str, Any] = {key: words.text(result, key) for key in ("run", "service", "verdict", "reason_code")}
    facts["reason"] = _text(words.text(result, "reason"))
    facts["fidelity"] = result.get("fidelity")
    facts["findings"] = len(words.findings(result, "groups"))
    facts |= {part: len(words.findings(result, part)) for part in ("undecided", "noise", "expected")}
    facts["left_out"] = left_out
    facts["ledger"] = dict(words.ledger(result))
    facts["balance"] = _text(words.balance(words.ledger(result)))
    return facts
