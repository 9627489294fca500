"""What each finding of a run covers: places, kinds, endpoints and changes, so that a word about it can be exactly that wide. Pure.

One row of the table ``findings`` holds all of them (:data:`MEMBERS_ID`). A finding that covers more than a person can have looked at has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from differ.difference import TYPE
from differ.evidence import Place
from differ.folding import Finding
from differ.gathering import SIGNATURES_MAX
from differ.judging import Judgement
from differ.rules import GRAVE
from echolane.store import Store
from echolane.triage import Scope

MEMBERS_ID = "members"
SCOPES_MAX = 50
"""Places and kinds of one finding: as many as a result lists of it."""
ENDPOINTS_MAX = 1_000
ANY_VALUE = frozenset(("value", "format", "order"))
"""Kinds inside a body of which the place is the cause, whatever the values are."""
Parts = tuple[str, str, tuple[str, ...], tuple[str, ...], bool]


def members_json(judgement: Judgement) -> str:
    """The members of all findings: by id a list of scopes, or null where there are too many."""
    found: dict[str, Any] = {}
    for finding in (*judgement.regressions, *judgement.undecided, *judgement.noise):
        scopes = merged([*(found.get(finding.id) or []), *scopes_of(finding, judgement.places)])
        found[finding.id] = scopes if finding.id not in found or found[finding.id] is not None else None
    return orjson.dumps(
        {name: None if scopes is None else msgspec.to_builtins(scopes) for name, scopes in found.items()}
    ).decode()


def scopes_of(finding: Finding, places: Sequence[Place]) -> list[Scope]:
    """What a finding covers. What follows from another status or body is covered beside that alone."""
    members = [places[number] for number in finding.members if places[number].count]
    caused = finding.where in {"status", "body"} and not finding.signature.startswith("page:")
    causes = {text for one in members if caused and one.where == finding.where for text in changes_of(one)}
    return [
        Scope(
            place.where,
            place.kind,
            [place.endpoint],
            changes_of(place),
            sorted(causes) if place.where != finding.where else [],
            place.facet <= TYPE and place.kind not in GRAVE,
        )
        for place in members
    ]


def changes_of(place: Place) -> list[str]:
    """The signatures of a place's changes; empty where any change of its kind is meant, or more were seen than are kept."""
    inside = place.where.startswith("body:") and place.kind in ANY_VALUE
    return [] if inside or len(place.signatures) >= SIGNATURES_MAX else sorted(place.signatures)


def merged(scopes: Sequence[Scope]) -> list[Scope] | None:
    """The same with the endpoints of equal ones together; None where they are too many."""
    found: dict[Parts, set[str]] = {}
    for one in scopes:
        key = one.where, one.kind, tuple(one.changes), tuple(one.beside), one.coarse
        found.setdefault(key, set()).update(one.endpoints)
    if len(found) > SCOPES_MAX or len(set[str]().union(*found.values())) > ENDPOINTS_MAX:
        return None
    return [
        Scope(where, kind, sorted(endpoints), list(changes), list(beside), coarse)
        for (where, kind, changes, beside, coarse), endpoints in sorted(found.items())
    ]


def members_of(store: Store, run: str, finding: str) -> list[Scope] | None:
    """What a finding of a run covers; None where that is too much, or where an older version closed the run."""
    rows = store.query(
        "SELECT json FROM findings_v WHERE run = {run:String} AND id = {id:String}", {"run": run, "id": MEMBERS_ID}
    )
    found = orjson.loads(rows[0]["json"]) if rows else {finding: None}
    scopes = found.get(finding, [])
    return None if scopes is None else msgspec.convert(scopes, list[Scope])
