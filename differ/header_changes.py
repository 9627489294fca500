"""How two values of one header field differ, by the field's own grammar (:mod:`differ.header_grammars`)."""

from __future__ import annotations

import re
from collections import Counter

from differ.classes import format_of, timing_name
from differ.difference import CLOCK, FORMAT, PERMUTATION, TYPE, VALUE
from differ.header_grammars import FIELD_MAX, GRAMMARS, Grammar, Part
from differ.http_dates import http_date
from differ.sink import CLOCK_SLACK_NS, Change, texts

DATES = frozenset(("date", "expires", "last-modified", "retry-after", "sunset", "deprecation"))
VALIDATORS = frozenset(("etag", "last-modified"))
"""Made for one state of one instance: two that differ prove nothing by themselves."""
DIGESTED = frozenset(("content-md5", "digest", "content-digest", "repr-digest"))
"""Whose values are hashes, whatever they look like."""
MEASURED = frozenset(("age", "x-runtime"))
"""Numbers that measure the process or the time since something: they differ by nature."""
DRAWN = frozenset(("nonce", "nextnonce", "cnonce", "opaque", "rspauth", "boundary"))
"""Parts that are drawn anew for each answer, whatever they look like."""
SIGNATURE_MAX = 160
_MEASURE = re.compile(r"\d+(?:\.\d+)?\s?(?:ms|us|µs|ns|s)?")
_TAG = re.compile(r'(W/)?"([^"]*)"')


def changed(name: str, old: str, new: str, now_ns: tuple[int, int]) -> Change | None:
    """How two texts of a field differ; None where both say the same. ``name`` is in lower case."""
    grammar = GRAMMARS.get(name)
    if grammar is not None and len(old) <= FIELD_MAX and len(new) <= FIELD_MAX:
        return by_parts(name, grammar, old, new, now_ns)
    change = None
    if name in DATES:
        change = dates(old, new, now_ns)
    elif name in DIGESTED:
        change = Change("value", VALUE, old, new, "<hash>", "hash")
    elif name == "etag":
        change = tags(old, new)
    elif (name in MEASURED or timing_name(name)) and _MEASURE.fullmatch(old) and _MEASURE.fullmatch(new):
        change = Change("value", VALUE, old, new, "<time>", "time")
    change = change or texts(old, new, now_ns)
    change.klass = change.klass or ("hash" if name in VALIDATORS and change.facet == VALUE else "")
    change.signature = f"{name}:{change.signature}"
    return change


def dates(old: str, new: str, now_ns: tuple[int, int]) -> Change | None:
    """Two points in time; None where one of them is something else (``Expires: 0``)."""
    one, two = http_date(old), http_date(new)
    if one is None or two is None:
        return None
    if one[1] != two[1]:
        return Change("format", FORMAT, old, new, f"{one[1]}>{two[1]}")
    return Change("value", VALUE, old, new, "<time>", "time", clock(one[0], two[0], now_ns))


def clock(old_s: int, new_s: int, now_ns: tuple[int, int]) -> int:
    """CLOCK when both times, in seconds, are the instants of their answers."""
    return CLOCK if near(old_s, now_ns[0]) and near(new_s, now_ns[1]) else 0


def near(at_s: int, now_ns: int) -> bool:
    """Whether a time in seconds is that of an answer; never where that is not known."""
    return now_ns != 0 and abs(at_s * 1_000_000_000 - now_ns) < CLOCK_SLACK_NS


def tags(old: str, new: str) -> Change | None:
    """Two entity tags (RFC 9110 §8.8.3); None where one is no tag. Weak against strong is another promise to caches."""
    one, two = _TAG.fullmatch(old), _TAG.fullmatch(new)
    if one is None or two is None:
        return None
    if one[1] != two[1]:
        return Change("format", FORMAT, old, new, "weak>strong" if one[1] else "strong>weak")
    form = format_of(old)
    return Change("value", VALUE, old, new, form[:80] if form == format_of(new) else "<hash>", "hash")


def by_parts(name: str, grammar: Grammar, old: str, new: str, now_ns: tuple[int, int]) -> Change | None:
    """Which parts came, went or changed."""
    one, two = grammar.parts(old), grammar.parts(new)
    if one == two:
        return None
    before, after = Counter(one), Counter(two)
    if before == after:
        if grammar.order == "free":
            return None
        flags = PERMUTATION if grammar.order == "set" else 0
        return Change("order", VALUE, told(one), told(two), f"{name}:order", "", flags)
    if before.keys() == after.keys():
        counts = ", ".join(
            f"{label(part)} {before[part]}>{count}" for part, count in after.items() if count != before[part]
        )
        return Change("length", FORMAT, old, new, f"{name}: {counts}"[:SIGNATURE_MAX])
    if name == "content-type" and one[:1] != two[:1]:
        return Change("type", TYPE, old, new, f"{name}: {one[0][1]}>{two[0][1]}"[:SIGNATURE_MAX])
    pairs, gone, come = paired(list((before - after).elements()), list((after - before).elements()))
    if gone or come:
        news = [f"-{label(part)}" for part in gone] + [f"+{label(part)}" for part in come]
        return Change("value", FORMAT, old, new, f"{name}: {' '.join(news)}"[:SIGNATURE_MAX])
    return united(name, old, new, [(key, one_part(name, key, was, now, now_ns)) for key, was, now in pairs])


def told(parts: list[Part]) -> str:
    """Parts as one text, as they are compared."""
    return ", ".join(f"{key} {value}" if value else key for key, value in parts)


def label(part: Part) -> str:
    """One part in a few words, its numbers and ids masked: the same change at other endpoints has the same name."""
    key, value = part
    return key if not value else format_of(f"{key}{value}" if value[0] in "=;" else f"{key} {value}" if key else value)


def paired(gone: list[Part], come: list[Part]) -> tuple[list[tuple[str, str, str]], list[Part], list[Part]]:
    """Parts that say something else under the same name, or differ in what is masked alone; and those left over."""
    pairs: list[tuple[str, str, str]] = []
    for how in (_key, _form):
        waiting: dict[str, list[Part]] = {}
        for part in come:
            waiting.setdefault(how(part), []).append(part)
        left: list[Part] = []
        for part in gone:
            same = waiting.get(how(part))
            if not same:
                left.append(part)
                continue
            other = same.pop(0)
            pairs.append((part[0], part[1], other[1]) if part[0] == other[0] else ("", part[0], other[0]))
        gone, come = left, [part for parts in waiting.values() for part in parts]
    return pairs, gone, come


def _key(part: Part) -> str:
    return part[0]


def _form(part: Part) -> str:
    """What a member looks like; a name with a value is no member."""
    return f"{part[0]}{part[1]}" if part[1] else format_of(part[0])


def one_part(name: str, key: str, old: str, new: str, now_ns: tuple[int, int]) -> Change:
    """How one part says something else."""
    if name in DIGESTED:
        return Change("value", VALUE, old, new, "<hash>", "hash")
    if key.rpartition(".")[2] in DRAWN:
        return Change("value", VALUE, old, new, "<token>", "token")
    if key.endswith(".dur"):
        return Change("value", VALUE, old, new, "<time>", "time")
    return texts(old.removeprefix("="), new.removeprefix("="), now_ns)


def united(name: str, old: str, new: str, changes: list[tuple[str, Change]]) -> Change:
    """Changed parts as one change. What is plain counts by itself: the noise of another part must not hide it."""
    drawn = [change for _, change in changes if change.klass or change.flags]
    if len(drawn) == len(changes):
        flags = drawn[0].flags
        for change in drawn[1:]:
            flags &= change.flags
        kind = changes[0][1].kind if len(changes) == 1 else "value"
        klass = next((change.klass for change in drawn if change.klass), "hash" if kind == "value" else "")
        facet = min(change.facet for change in drawn)
    else:
        kind, klass, flags = "value", "", 0
        facet = FORMAT if drawn else min(change.facet for _, change in changes)
    says = " ".join(f"{key}>{change.signature}" for key, change in changes if not drawn or change not in drawn)
    signature = says or " ".join(key for key, _ in changes)
    return Change(kind, facet, old, new, f"{name}: {signature}"[:SIGNATURE_MAX], klass, flags)
