"""Fold judged places into findings: one cause is shown once, with its spread. Pure.

Folds, in this order, each deterministic:

1. the same place, kind and change at many endpoints;
2. a change told in many texts (a Location per page) is one finding per place and kind, of whole bodies per media type: a style sheet and a
   script, which share no place inside, are two documents;
3. what only ever shows in exchanges whose status or whole body changed is a symptom of that;
4. ids that are renamed alike at several places (:mod:`differ.renaming`);
5. members that came or went together: siblings under one container, or one key under many containers, whichever says more; then what went
   and what came in its place with the same values, each time, is what was renamed (:mod:`differ.successors`);
6. equally named elements of XML that are written in another way alike, wherever they stand; then values that changed all over one element
   (another element stands there) are one finding at the element;
7. headers that come, go and change together (another framework), nodes of pages that change where another one does (another
   template), and places of one document that always change together.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace

from differ.bundles import Bundle, Shows, united
from differ.difference import BROKEN, FORMAT, RENAMING
from differ.evidence import Place
from differ.paths import NODES, common, element_of, inside, is_top, leaf_of, of_page, parent_of
from differ.siblings import containers
from differ.successors import RENAMED, is_renamed, renamed
from echolane.ids import finding_id

TEXTS_MAX = 3
"""More texts than this of one change at one place are one cause told in many words."""
SIBLINGS_MIN = 3
"""From this many members on that change alike, the container is the place to look at."""
DOCUMENT_MIN = 4
"""From this many places on that always change together, the document is what changed."""
CONTAINER_MIN = 2
"""The same where they lie inside one member of it."""
TOGETHER_MIN = 0.8
"""Share of exchanges that two headers' changes have in common when they have one cause."""
COMBINATIONS_COMPARED = 2_000
"""Combinations that are looked at to see what shows together, the most frequent first: it bounds the time of folding."""
CLUSTERS_COMPARED = 200
"""Causes of headers, or of nodes of pages, that others are compared with, those that show most first; it bounds the time, too."""


NO_PAIRS: Mapping[int, int] = {}
_Way = tuple[str, str, str]
"""Leaf, kind and signature."""
_OF = re.compile(r"(?:[A-Za-z]+[-_])+(?=<)")
"""What an id says that it is of."""
_IDS = re.compile(rf"\w+:{_OF.pattern}<(?:hash|uuid|token)>>(?:{_OF.pattern})?<(?:hash|uuid|token)>")


@dataclass(slots=True)
class Finding:
    """Differences with one cause."""

    id: str
    where: str
    kind: str
    signature: str
    members: list[int]
    """Numbers of its places."""
    lead: int
    """The member with the most to show."""
    endpoints: list[str]
    places: list[str]
    differing: int
    """Exchanges that show it."""


def fold(
    service: str,
    places: Sequence[Place],
    numbers: Iterable[int],
    shows: Shows,
    kind: str = "",
    pairs: Mapping[int, int] = NO_PAIRS,
) -> list[Finding]:
    """The findings among these places, most differing exchanges first; ``kind`` is that of all, else they keep their own.

    ``pairs``: by a place that went, the place that has its values now.
    """
    bundles = _same_change(places, numbers, apart=not kind)
    bundles = _many_texts(bundles)
    for bundle in bundles:
        everywhere = shows.of(bundle.members)
        bundle.shown = frozenset(index for index in everywhere if index < COMBINATIONS_COMPARED)
        bundle.rare = len(bundle.shown) < len(everywhere)
    bundles = _symptoms(bundles)
    bundles = _renamings(bundles, places)
    bundles = renamed(_members(bundles), pairs)
    bundles = _namesakes(bundles, places)
    bundles = _siblings(bundles, places)
    bundles = _headers_together(bundles, shows)
    bundles = _pages(bundles, shows)
    bundles = _documents(bundles, places)
    for bundle in bundles:
        bundle.kind = kind or bundle.kind
    merged: dict[str, Bundle] = {}
    for bundle in bundles:
        name = finding_id(service, bundle.where, bundle.kind, bundle.signature)
        if name in merged:
            merged[name].members += bundle.members
        else:
            merged[name] = bundle
    findings = [_finding(name, bundle, places, shows, pairs) for name, bundle in merged.items()]
    return sorted(findings, key=lambda f: (-f.differing, f.where, f.kind, f.id))


def _finding(name: str, bundle: Bundle, places: Sequence[Place], shows: Shows, pairs: Mapping[int, int]) -> Finding:
    members = sorted(
        bundle.members, key=lambda n: (-places[n].count, places[n].endpoint, places[n].where, places[n].kind)
    )
    own = [n for n in members if places[n].where == bundle.where and bundle.kind in {places[n].kind, "distribution"}]
    own = own or [n for n in members if n in pairs and bundle.kind == RENAMED]
    return Finding(
        id=name,
        where=bundle.where,
        kind=bundle.kind,
        signature=bundle.signature,
        members=members,
        lead=(own or members)[0],
        endpoints=sorted({places[n].endpoint for n in members}),
        places=sorted({places[n].where for n in members}),
        differing=max(shows.exchanges(shows.of(members)), places[members[0]].count if not shows.counts else 0),
    )


def _joined(groups: Mapping[tuple[str, str, str, str], list[int]]) -> list[Bundle]:
    return [Bundle(*key[:3], members, form=key[3]) for key, members in sorted(groups.items())]


def _same_change(places: Sequence[Place], numbers: Iterable[int], *, apart: bool) -> list[Bundle]:
    """``apart``: documents of unlike forms are; not where the finding is how all values of a place are distributed."""
    groups: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for number in numbers:
        place = places[number]
        # What a value inside a structure changed to differs from answer to answer; where it stands is its cause.
        within = place.where.startswith("body:") and place.kind in {"value", "format", "order"}
        signature = "" if within or (place.form and not apart) else place.signature or _any_text(place.form)
        groups[place.where, place.kind, signature, place.form if apart else ""].append(number)
    return _joined(groups)


def _many_texts(bundles: Sequence[Bundle]) -> list[Bundle]:
    texts: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for bundle in bundles:
        texts[bundle.where, bundle.kind, bundle.form].add(bundle.signature)
    groups: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for bundle in bundles:
        many = len(texts[bundle.where, bundle.kind, bundle.form]) > TEXTS_MAX
        # One and the same text is one change in documents of whatever form.
        groups[bundle.where, bundle.kind, _coarse(bundle) if many else bundle.signature, ""] += bundle.members
    return _joined(groups)


def _coarse(bundle: Bundle) -> str:
    """A signature that forgets the text and keeps the class of the change."""
    if bundle.where == "status" and bundle.kind == "status":
        return re.sub(r"(\d)\d\d", r"\1xx", bundle.signature)
    return _any_text(bundle.form)


def _any_text(form: str) -> str:
    """The signature of many texts of documents of one form."""
    return form and f"as {form}"


def _is_cause(bundle: Bundle) -> bool:
    """Whether everything else in an exchange follows from it: another status, no answer, another kind of body."""
    return bundle.where == "status" or (bundle.where == "body" and bundle.kind in {"format", "truncated"})


def _symptoms(bundles: Sequence[Bundle]) -> list[Bundle]:
    """What never shows without a cause goes to the cause that it shows most with."""
    causes = sorted((b for b in bundles if _is_cause(b)), key=lambda b: (b.where != "status", b.kind, b.signature))
    everywhere = frozenset[int]().union(*(cause.shown for cause in causes))
    out: list[Bundle] = []
    for bundle in sorted(bundles, key=lambda b: (b.where != "status", b.where != "body", b.where, b.kind, b.signature)):
        before = [cause for cause in causes if cause.where == "status" or bundle.where != "body"]
        best = max(before, key=lambda cause: len(cause.shown & bundle.shown), default=None)
        covered = bundle.shown <= (
            everywhere if not _is_cause(bundle) else frozenset[int]().union(*(c.shown for c in before))
        )
        if bundle.where == "status" or not bundle.shown or bundle.rare or best is None or not covered:
            out.append(bundle)
        else:
            best.members = [*best.members, *bundle.members]
    return out


def _renamings(bundles: Sequence[Bundle], places: Sequence[Place]) -> list[Bundle]:
    """Places that show one and the same renaming of ids are one finding at the place where the thing names itself."""
    families: dict[str, list[Bundle]] = defaultdict(list)
    out: list[Bundle] = []
    for bundle in bundles:
        texts = {text for number in bundle.members for text in places[number].signatures}
        renamings = sorted(text for text in texts if f":{RENAMING}" in text)
        broken = any(f":{BROKEN}" in text for text in texts)
        if len(renamings) == 1 and not broken:
            families[renamings[0]].append(bundle)
        else:
            out.append(bundle)
    for signature, family in families.items():
        kind, _, text = signature.partition(":")
        out += family if len(family) == 1 else [united(text.removeprefix(RENAMING), kind, text, family)]
    return out


def _members(bundles: Sequence[Bundle]) -> list[Bundle]:
    """Members that are missing or added: by container or by key, greedily by whichever covers more."""
    rest = [b for b in bundles if b.kind in {"missing", "added", "type"} and inside(b.where)]
    chosen = {id(bundle) for bundle in rest}
    out = [bundle for bundle in bundles if id(bundle) not in chosen]
    families: dict[tuple[str, str, str], list[Bundle]] = defaultdict(list)
    for bundle in rest:
        for family in _families(bundle):
            families[family].append(bundle)
    sizes = {family: len(members) for family, members in families.items()}
    # A heap of what there is still of each family: it is looked at again only when it comes first.
    ranked = sorted(families)
    heap = [(-sizes[family], -rank) for rank, family in enumerate(ranked)]
    heapify(heap)
    while heap and -heap[0][0] >= SIBLINGS_MIN:
        size, rank = heap[0]
        family = ranked[-rank]
        if sizes[family] < -size:
            heapreplace(heap, (-sizes[family], rank))
            continue
        heappop(heap)
        axis, name, kind = family
        best = [bundle for bundle in families[family] if id(bundle) in chosen]
        where = name if axis == "parent" else min(b.where for b in best)
        out.append(united(where, kind, f"{axis}:{name}", best))
        for bundle in best:
            chosen.remove(id(bundle))
            for other in _families(bundle):
                sizes[other] -= 1
    return out + [bundle for bundle in rest if id(bundle) in chosen]


def _families(bundle: Bundle) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """What a member may have in common with others: its container, or its key."""
    parent, leaf = parent_of(bundle.where)
    return ("parent", parent, bundle.kind), ("leaf", leaf, bundle.kind)


def _namesakes(bundles: Sequence[Bundle], places: Sequence[Place]) -> list[Bundle]:
    """Equally named elements of XML that are written anew in one and the same way, wherever they stand: each answer may have another root.

    Of several ways in which one changed, that counts which most others share; so the members of a finding have one in common. Ids that say
    what they are of (``order-7f…``) are drawn by one hand: from SIBLINGS_MIN names on, all that are written anew alike are one finding.
    """
    ways = {id(bundle): _ways(bundle, places) for bundle in bundles}
    shared = Counter(way for each in ways.values() for way in each)
    families: dict[_Way, list[Bundle]] = defaultdict(list)
    out: list[Bundle] = []
    for bundle in bundles:
        way = max(ways[id(bundle)], key=lambda way: (shared[way], way), default=None)
        (out if way is None else families[way]).append(bundle)
    drawn: dict[tuple[str, str], list[_Way]] = defaultdict(list)
    for way in families:
        if _IDS.fullmatch(way[2]) is not None:
            drawn[way[1], _OF.sub("*-", way[2])].append(way)
    for (kind, text), each in drawn.items():
        if len(each) >= SIBLINGS_MIN:
            family = [bundle for way in each for bundle in families.pop(way)]
            out.append(united(min(b.where for b in family), kind, f"ids:{text}", family))
    for (leaf, kind, text), family in families.items():
        where = min(b.where for b in family)
        out += family if len(family) == 1 else [united(where, kind, f"leaf:{leaf} {text}", family)]
    return out


def _ways(bundle: Bundle, places: Sequence[Place]) -> list[_Way]:
    """How an element of XML is written anew; nothing where that is not what changed."""
    if bundle.kind not in {"value", "format"} or not bundle.where.startswith(NODES):
        return []
    if any(places[number].facet != FORMAT for number in bundle.members):
        return []
    texts = {text for number in bundle.members for text in places[number].signatures}
    return [(leaf_of(bundle.where), bundle.kind, text) for text in sorted(texts)]


def _siblings(bundles: Sequence[Bundle], places: Sequence[Place]) -> list[Bundle]:
    """Values and formats under one container, from SIBLINGS_MIN of them at one endpoint on."""
    families: dict[str, list[Bundle]] = defaultdict(list)
    out: list[Bundle] = []
    for bundle in bundles:
        # What stands side by side on a page has little in common but that: there, what shows together counts.
        if inside(bundle.where) and not of_page(bundle.where) and bundle.kind in {"value", "format"}:
            families[element_of(bundle.where)].append(bundle)
        else:
            out.append(bundle)
    for container, family in families.items():
        endpoints = [frozenset(places[number].endpoint for number in bundle.members) for bundle in family]
        left = dict(enumerate(family))
        for endpoint, members in containers(endpoints, SIBLINGS_MIN):
            out.append(united(container, "value", f"siblings {endpoint}", [left.pop(index) for index in members]))
        out += left.values()
    return out


def _headers_together(bundles: Sequence[Bundle], shows: Shows) -> list[Bundle]:
    """Headers whose changes show in nearly the same exchanges."""
    out = [b for b in bundles if not b.where.startswith("header:")]
    for cluster in _clusters([b for b in bundles if b.where.startswith("header:")], shows, within=False):
        first = min(cluster, key=lambda b: (b.where, b.kind, b.signature))
        out.append(first if len(cluster) == 1 else united(first.where, first.kind, first.signature, cluster))
    return out


def _pages(bundles: Sequence[Bundle], shows: Shows) -> list[Bundle]:
    """Nodes of pages that only ever change where another one does: a template was rewritten, and its pages are what changed."""
    out = [b for b in bundles if not of_page(b.where)]
    clusters = _clusters([b for b in bundles if of_page(b.where)], shows, within=True)
    return out + [
        cluster[0] if len(cluster) == 1 else united("body", "value", f"page:{cluster[0].where}", cluster)
        for cluster in clusters
    ]


def _clusters(bundles: Sequence[Bundle], shows: Shows, *, within: bool) -> list[list[Bundle]]:
    """Bundles that show in nearly the same exchanges as the first of their cluster; ``within``, in no other ones than it does."""
    spreads = {id(bundle): shows.exchanges(bundle.shown) for bundle in bundles}
    clusters: list[list[Bundle]] = []
    for bundle in sorted(bundles, key=lambda b: (-spreads[id(b)], b.where, b.kind, b.signature)):
        for cluster in clusters[:CLUSTERS_COMPARED] if bundle.shown else ():
            first = cluster[0]
            held = within and not bundle.rare and bundle.shown <= first.shown
            near = spreads[id(bundle)] >= TOGETHER_MIN * spreads[id(first)]
            if held or (near and _alike(first.shown, bundle.shown, shows)):
                cluster.append(bundle)
                break
        else:
            clusters.append([bundle])
    return clusters


def _alike(one: frozenset[int], two: frozenset[int], shows: Shows) -> bool:
    return shows.exchanges(one & two) >= TOGETHER_MIN * shows.exchanges(one | two)


def _documents(bundles: Sequence[Bundle], places: Sequence[Place]) -> list[Bundle]:
    """Places inside bodies that show in the very same exchanges: one document became another, or at several endpoints a part of theirs did."""
    families: dict[tuple[tuple[str, ...], frozenset[int]], list[Bundle]] = defaultdict(list)
    out: list[Bundle] = []
    for bundle in bundles:
        endpoints = tuple(sorted({places[number].endpoint for number in bundle.members}))
        if bundle.where.startswith("body:") and bundle.shown and not (bundle.rare and len(endpoints) > 1):
            families[endpoints, bundle.shown].append(bundle)
        else:
            out.append(bundle)
    for (endpoints, _), family in families.items():
        where = common([b.where for b in family])
        # Fewer places say as much where all of them lie inside one member of the document; a field that was renamed is two.
        several, fields = len(endpoints) > 1, [b for b in family if is_renamed(b)]
        least = DOCUMENT_MIN if is_top(where) else CONTAINER_MIN
        if len(family) < 2 or len(family) + len(fields) < least or (several and is_top(where)):
            out += family
        else:
            kind = RENAMED if len(fields) == len(family) else "value"
            out.append(united(where, kind, f"document:{'*' if several else endpoints[0]}", family))
    return out
