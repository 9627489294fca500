"""Fold judged places into findings: one cause is shown once, with its spread. Pure.

Folds, each deterministic, applied to places of one verdict:

1. the same place, kind and change at many endpoints;
2. a header or status whose change has many texts (a Location per page) is one finding per place and kind;
3. members that came or went together: siblings under one container, or one key under many containers, whichever says more;
4. values that changed all over one element (another element stands there) are one finding at the element.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from differ.evidence import Place, Weighed
from echolane.ids import finding_id

TEXTS_MAX = 3
"""More texts than this of one change at one place are one cause told in many words."""
SIBLINGS_MIN = 3
"""From this many members on that change alike, the container is the place to look at."""
_LAST = re.compile(r"(?P<parent>.*?)(?P<leaf>\.[A-Za-z_][\w-]*|\['(?:[^'\\]|\\.)*'\]|\[\*\])$", re.DOTALL)

Judged = tuple[Place, Weighed, float]
"""A place, what the evidence says of it, and its q-value."""


@dataclass(slots=True)
class Finding:
    """Differences with one cause."""

    id: str
    where: str
    kind: str
    signature: str
    members: list[Judged]
    places: list[str] = field(default_factory=list[str])

    @property
    def endpoints(self) -> list[str]:
        """Where it shows, sorted."""
        return sorted({place.endpoint for place, _, _ in self.members})

    @property
    def lead(self) -> Judged:
        """The member with the most to show."""
        return max(self.members, key=lambda judged: (judged[0].kind_x, judged[0].endpoint))


@dataclass(slots=True)
class _Bundle:
    """Places that are folded so far."""

    where: str
    kind: str
    signature: str
    members: list[Judged]


def fold(service: str, judged: Iterable[Judged]) -> list[Finding]:
    """The findings of one verdict, most differing exchanges first."""
    bundles = _same_change(judged)
    bundles = _many_texts(bundles)
    bundles = _members(bundles)
    bundles = _siblings(bundles)
    findings = [
        Finding(
            finding_id(service, b.where, b.kind, b.signature),
            b.where,
            b.kind,
            b.signature,
            b.members,
            sorted({place.where for place, _, _ in b.members}),
        )
        for b in bundles
    ]
    return sorted(findings, key=lambda f: (-sum(p.kind_x for p, _, _ in f.members), f.where, f.kind, f.id))


def _joined(groups: dict[tuple[str, str, str], list[Judged]]) -> list[_Bundle]:
    return [_Bundle(where, kind, signature, members) for (where, kind, signature), members in groups.items()]


def _same_change(judged: Iterable[Judged]) -> list[_Bundle]:
    groups: dict[tuple[str, str, str], list[Judged]] = defaultdict(list)
    for item in judged:
        place = item[0]
        # What a value inside a structure changed to differs from answer to answer; where it stands is its cause.
        signature = (
            "" if place.where.startswith("body:") and place.kind in {"value", "format", "order"} else place.signature
        )
        groups[place.where, place.kind, signature].append(item)
    return _joined(groups)


def _many_texts(bundles: Sequence[_Bundle]) -> list[_Bundle]:
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for bundle in bundles:
        texts[bundle.where, bundle.kind].add(bundle.signature)
    groups: dict[tuple[str, str, str], list[Judged]] = defaultdict(list)
    for bundle in bundles:
        many = len(texts[bundle.where, bundle.kind]) > TEXTS_MAX
        signature = _coarse(bundle) if many else bundle.signature
        groups[bundle.where, bundle.kind, signature].extend(bundle.members)
    return _joined(groups)


def _coarse(bundle: _Bundle) -> str:
    """A signature that forgets the text and keeps the class of the change."""
    if bundle.where == "status" and bundle.kind == "status":
        return re.sub(r"(\d)\d\d", r"\1xx", bundle.signature)
    return ""


def parent_of(where: str) -> tuple[str, str]:
    """A place inside a body as its container and its last step; the place itself and nothing when it has no container."""
    found = _LAST.match(where) if where.startswith("body:$") else None
    return (found["parent"], found["leaf"]) if found else (where, "")


def _members(bundles: Sequence[_Bundle]) -> list[_Bundle]:
    """Members that are missing or added: by container or by key, greedily by whichever covers more."""
    out = [b for b in bundles if b.kind not in {"missing", "added", "type"} or not b.where.startswith("body:$")]
    rest = [b for b in bundles if b not in out]
    by_parent: Callable[[_Bundle], tuple[str, str, str]] = lambda b: ("parent", parent_of(b.where)[0], b.kind)  # noqa: E731
    by_leaf: Callable[[_Bundle], tuple[str, str, str]] = lambda b: ("leaf", parent_of(b.where)[1], b.kind)  # noqa: E731
    while rest:
        families: dict[tuple[str, str, str], list[_Bundle]] = defaultdict(list)
        for bundle in rest:
            families[by_parent(bundle)].append(bundle)
            families[by_leaf(bundle)].append(bundle)
        (axis, name, kind), best = max(families.items(), key=lambda item: (len(item[1]), item[0]))
        if len(best) < SIBLINGS_MIN:
            out += rest
            break
        out.append(_Bundle(name if axis == "parent" else best[0].where, kind, f"{axis}:{name}", _all(best)))
        rest = [bundle for bundle in rest if bundle not in best]
    return out


def _siblings(bundles: Sequence[_Bundle]) -> list[_Bundle]:
    """Values, formats and lengths under one container, from SIBLINGS_MIN of them on."""
    families: dict[tuple[str, str], list[_Bundle]] = defaultdict(list)
    out: list[_Bundle] = []
    for bundle in bundles:
        if bundle.where.startswith("body:$") and bundle.kind in {"value", "format"}:
            families[_element(bundle.where), ""].append(bundle)
        else:
            out.append(bundle)
    for (container, _), family in families.items():
        if len(family) < SIBLINGS_MIN:
            out += family
        else:
            out.append(_Bundle(container, "value", "siblings", _all(family)))
    return out


def _element(where: str) -> str:
    """The nearest list element that holds a place, else its container."""
    head, mark, _ = where.rpartition("[*]")
    return head + mark if mark else parent_of(where)[0]


def _all(bundles: Sequence[_Bundle]) -> list[Judged]:
    return [member for bundle in bundles for member in bundle.members]
