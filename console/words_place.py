"""Where a finding is and where it is not, in the words of every face of a result. Pure."""

from __future__ import annotations

from console.words import Finding, listed, text
from differ.paths import parent_of

PLACES_NAMED = 3
"""Of a container whose members changed alike; the rest is counted, and listed where the finding is opened."""


def place(finding: Finding) -> str:
    """Where a finding is: its place, its container with the members that changed, or the old and the new name of a field."""
    where, places = text(finding, "where"), [str(one) for one in listed(finding, "places")]
    if pairs := renamed(finding):
        inside = where not in [old for old, _ in pairs]
        named = [f"{_below(where, old) if inside else old} → {parent_of(new)[1]}" for old, new in pairs[:PLACES_NAMED]]
        told = ", ".join(named) + _more(finding, "renamed_count", len(pairs), len(named))
        return f"{where} ({told})" if inside else told
    if not places or where in places:  # others that it has are symptoms of it
        return where
    if len(places) == 1:
        return places[0]
    named = [_below(where, one) for one in places[:PLACES_NAMED]]
    return f"{where} ({', '.join(named)}{_more(finding, 'places_count', len(places), len(named))})"


def exceptions(finding: Finding) -> str:
    """Where a finding of several endpoints does not show though its place is there; empty where that is not known, or nowhere.

    Where it does not show at more endpoints than it does, these are no exceptions; the page lists them all the same.
    """
    names = [str(name) for name in listed(finding, "exceptions")]
    if not names or int(finding.get("exceptions_count") or 0) > int(finding.get("endpoints") or 1):
        return ""
    return f"but not at {', '.join(names[:PLACES_NAMED])}{_more(finding, 'exceptions_count', len(names), len(names[:PLACES_NAMED]))}"


def renamed(finding: Finding) -> list[tuple[str, str]]:
    """The old and the new place of each field that has another name in branch."""
    pairs: list[list[str]] = listed(finding, "renamed")
    return [(str(pair[0]), str(pair[1])) for pair in pairs]


def _below(where: str, place: str) -> str:
    """What a place is called within a container."""
    return place.removeprefix(where).removeprefix(":")


def _more(finding: Finding, key: str, told: int, named: int) -> str:
    total = finding.get(key)
    more = (total if isinstance(total, int) else told) - named
    return f" and {more} more" if more > 0 else ""
