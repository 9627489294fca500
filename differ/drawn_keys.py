"""Maps whose keys are drawn anew (ids, hashes, instants): which keys are, and which members of two such maps belong together. Pure, bounded.

Only keys that one of two maps has are asked about, so a map whose keys stay is compared by name, whatever its keys look like. A key by
whose looks nothing else can be meant is enough together with one on the other side; one that could be a name (``17``, ``user-3``) only
where the maps share hardly any. Keys that are taken for drawn still say by :func:`renamed` that they are others: where the controls
keep theirs, that is a change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from differ.aligning import best, canonical
from differ.classes import format_of, klass_of, notation_of
from differ.difference import FORMAT, VALUE
from differ.ids import LENGTH_MAX, OPAQUE
from differ.matching import TRIED_EACH, Effort, by_kind
from differ.sink import SIZED, Change, clock_flag

SHORT_MIN, LONG_MIN = 8, 12
"""Characters of an id that is told by its turns between letters and digits, and of one that no other map has by luck."""
DIGITS_MIN = 6
"""Digits of a number that is no rank, status or year."""
JOINED_MIN = 3
"""Ids of one length beside which a word of small letters as long is one of them, drawn without a digit."""
NONE: frozenset[str] = frozenset()
_TELLING = re.compile(r"[\d@]")
_TURN = re.compile(r"\d[A-Za-z]|[A-Za-z](?=\d)|[a-z](?=[A-Z])")
_ID = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.\w+")
_MADE = re.compile("<(?:uuid|time|hash|token)>")
_LIKE = frozenset((*OPAQUE, "id"))
"""Forms of which one may be drawn so that it does not look like one."""

Pair = tuple[str, str]


class Map(NamedTuple):
    """The members of two maps whose keys are drawn, each on one side only."""

    old: dict[str, Any]
    new: dict[str, Any]
    kept: bool = False
    """Whether the two share other keys that look drawn, so that keys are drawn seldom, and another one says more."""


def drawn_keys(old: Mapping[str, Any], new: Mapping[str, Any], ones: list[str], twos: list[str]) -> frozenset[str]:
    """Those of the keys that only the one or only the other map has which were drawn anew; none where that cannot be said of both sides."""
    if not _TELLING.search("".join(ones + twos)):
        return NONE  # words alone: the commonest case, told by one look
    forms = {key: form for key in (*ones, *twos) if (form := form_of_key(key))}
    if "number" in forms.values():
        forms |= {key: "number" for key in (*ones, *twos) if _NUMBER.fullmatch(key)}
    sides = [key for key in ones if key in forms], [key for key in twos if key in forms]
    if all(sides):
        return frozenset((*forms, *_joined(ones, forms), *_joined(twos, forms)))
    if any(sides):
        # Where one side has none of them it has a map without members; where they share some, the keys stay, and a member is gone.
        sure = all(form == "number" or klass_of(key) for key, form in forms.items())
        return frozenset(forms) if sure and not keep(old, new) else NONE
    return _alike(ones, twos, [key for key in old if key in new])


def only(members: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """These of the members."""
    return {key: value for key, value in members.items() if key in keys}


def keep(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two maps share a key that looks drawn."""
    return any(form_of_key(key) for key in old if key in new)


def form_of_key(key: str) -> str:
    """What a key is by its looks, where it can be no name: ``uuid``, ``number``, ``id``, or ``job-<hash>``; empty otherwise."""
    if len(key) > LENGTH_MAX or _TELLING.search(key) is None:
        return ""
    if klass := klass_of(key):
        return klass
    if _NUMBER.fullmatch(key):
        return "number" if len(key) >= DIGITS_MIN else ""
    if _MAIL.fullmatch(key):
        return "mail"
    if len(key) >= SHORT_MIN and _ID.fullmatch(key) and len(_TURN.findall(key)) > 1:
        return "token" if len(key) >= LONG_MIN else "id"
    form = format_of(key)
    return form if _MADE.search(form) else ""


def _joined(keys: list[str], forms: Mapping[str, str]) -> list[str]:
    """Keys that are as long as ids beside them, which are drawn without a digit now and then."""
    lengths = Counter(len(key) for key in keys if forms.get(key) in _LIKE) or Counter(
        len(key) for key, form in forms.items() if form in _LIKE
    )
    found: list[str] = []
    for key in keys:
        if key in forms or not lengths[len(key)] or not _ID.fullmatch(key):
            continue
        if not key.islower() or _TELLING.search(key) or (lengths[len(key)] >= JOINED_MIN and key.isalpha()):
            found.append(key)
    return found


def _alike(ones: list[str], twos: list[str], shared: list[str]) -> frozenset[str]:
    """Keys that could be names, where the maps share hardly any and all are made alike."""
    if not ones or not twos:
        return NONE
    numbers = [[key for key in keys if _NUMBER.fullmatch(key)] for keys in (ones, twos, shared)]
    if numbers[0] and numbers[1]:
        least = min(len(numbers[0]), len(numbers[1])) + len(numbers[2])
        return frozenset(numbers[0] + numbers[1]) if 2 * len(numbers[2]) < least else NONE
    if shared:
        return NONE
    every = ones + twos
    if min(len(ones), len(twos)) > 1 and len(masked := set(map(format_of, every))) == 1 and "<number>" in min(masked):
        return frozenset(every)
    same = len(set(map(len, every))) == 1 and all(map(_ID.fullmatch, every))
    turning = sum(len(_TURN.findall(key)) > 1 for key in every)
    return frozenset(every) if same and 2 * turning > len(every) else NONE


def partners(changes: Iterable[Change], maps: Iterable[Map]) -> dict[str, str]:
    """By the values that differ elsewhere: which key of a map has which other name in the other answer."""
    olds, news = set[str](), set[str]()
    for one in maps:
        olds.update(one.old)
        news.update(one.new)
    forward, back = dict[str, str](), dict[str, str]()
    left = set[str]()
    for change in changes:
        more = change.more or ()
        for old, new in ((change.old, change.new), *zip(more[::2], more[1::2], strict=True)):
            if old.__class__ is not str or new.__class__ is not str or old not in olds or new not in news:
                continue
            if forward.setdefault(old, new) != new or back.setdefault(new, old) != old:
                left |= {old, new}
    return {old: new for old, new in forward.items() if old not in left and new not in left}


def members(one: Map, names: Mapping[str, str], effort: Effort) -> tuple[list[Pair], bool]:
    """Which members belong together, in the order of the first map: by what their keys are called elsewhere, else by what they share.

    Also whether there were so many that the pairs may not be the best.
    """
    old, new, _ = one
    pairs = [(key, name) for key in old if (name := names.get(key)) is not None and name in new]
    took = {key for key, _ in pairs}, {name for _, name in pairs}
    rest_old = [key for key in old if key not in took[0]]
    rest_new = [key for key in new if key not in took[1]]
    same = _equal(one, rest_old, rest_new)
    pairs += same
    took = {key for key, _ in same}, {name for _, name in same}
    rest_old = [key for key in rest_old if key not in took[0]]
    rest_new = [key for key in rest_new if key not in took[1]]
    olds, news = [old[key] for key in rest_old], [new[key] for key in rest_new]
    greedy = effort.tried <= 0
    if greedy:
        found = by_kind(olds, news, range(len(olds)), range(len(news)))
    else:
        effort.tried -= len(olds) + len(news) + TRIED_EACH
        found, _, greedy = best(olds, news, effort)
    pairs += [(rest_old[i], rest_new[j]) for i, j in found]
    rank = {key: number for number, key in enumerate(old)}
    return sorted(pairs, key=lambda pair: rank[pair[0]]), greedy and len(olds) > 1


def _equal(one: Map, olds: Iterable[str], news: Iterable[str]) -> list[Pair]:
    """Members of equal values, each with the first that is left."""
    there: dict[bytes, list[str]] = {}
    for key in news:
        there.setdefault(canonical(one.new[key]), []).append(key)
    for keys in there.values():
        keys.reverse()
    return [(key, keys.pop()) for key in olds if (keys := there.get(canonical(one.old[key])))]


def renamed(one: Map, pairs: Iterable[Pair], now_ns: tuple[int, int]) -> Change | None:
    """That members have other keys: of which form, and whether of another one; None where there are none."""
    others = [pair for pair in pairs if pair[0] != pair[1]]
    if not others:
        return None
    form, other = _form(list(one.old)), _form(list(one.new))
    flags = -1
    for old, new in others:
        flags &= clock_flag(old, new, now_ns)
    klass = form.partition(":")[0] if form == other and not one.kept else ""
    klass = klass if klass in OPAQUE else "time" if flags else ""
    signature = f"keys:{form}" if form == other else f"keys:{form}>{other}"
    change = Change("renamed", VALUE if form == other else FORMAT, *others[0], signature, klass, flags)
    for old, new in others[1:]:
        change.again(change.facet, klass, flags, old, new)
    return change


def _form(keys: list[str]) -> str:
    """What most drawn keys of one map are, with their length where all of a kind have one, with the notation of times."""
    found = Counter(form for key in keys if (form := form_of_key(key)))
    if not found:
        masked = set(map(format_of, keys))
        return "number" if all(map(_NUMBER.fullmatch, keys)) else min(masked)[:60] if len(masked) == 1 else "id"
    form = min(found, key=lambda one: (-found[one], one))
    if form in SIZED and len(sizes := set(map(len, keys))) == 1:
        return f"{form}:{min(sizes)}"
    if form == "time":
        return f"{form}:{notation_of(next(key for key in keys if form_of_key(key) == form))}"
    return form
