"""Changes that a new version may make, planted into raw answers: what each needs, what it does to the bytes, where it must be found.

A mutation first picks a place in one answer, then changes that place in every answer it is given. What may be expected of a differ
is said with each (:data:`STEADY`, :data:`ELSEWHERE`, :data:`RESTLESS`, :data:`HARMLESS`), from the bench's own look at the values.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bench.accuracy_wire import Answer, Span, spans

STEADY = "steady"
"""The facet never varies within a version and the value is of no generative class: one changed exchange is enough."""
ELSEWHERE = "elsewhere"
"""Generative values and orders, quiet in the controls: twenty changed exchanges are enough."""
RESTLESS = "restless"
"""The facet that changes varies within a version too: no promise, the peers are the measure."""
HARMLESS = "harmless"
"""Means the same: a finding is a false alarm."""

_GENERATIVE = (
    re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
    re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), .* GMT"),
    re.compile(r"(?=[^0-9]*\d)(?=[^a-f]*[a-f])[0-9a-f]{8,}|(?=[^0-9]*\d)(?=[^A-F]*[A-F])[0-9A-F]{8,}"),
    re.compile(r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w+/=-]{20,}"),
)
_TIMING = re.compile(r"(?i)(duration|elapsed|latency|took|uptime|_ms|millis|nanos)$")
ELEMENT = "[*]"


@dataclass(frozen=True, slots=True)
class Pick:
    """The place that a case changes."""

    path: str
    """Of the body, or the name of a header."""
    places: tuple[str, ...]
    """Where a finding counts, and everything that contains it."""
    promise: str = STEADY
    below: bool = False
    """Whether a finding under the place counts too: an element or a subtree became another."""
    every: bool = True
    """Whether all values at the path change, or the first only."""
    salt: int = 0
    old: bytes = b""
    """The value at the place when it was picked."""


Chooser = Callable[[Answer, random.Random, frozenset[str]], Pick | None]
"""Of an answer, chance, and the places that are noisy: a place to change; None where the answer has none."""
Changer = Callable[[Answer, Pick, random.Random], Answer]
"""The changed answer; the very same where this one has no such place. Chance is that of one instance and exchange."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One kind of change."""

    name: str
    pick: Chooser
    change: Changer
    needs: tuple[str, ...] = ()
    """Sources of noise that must be there."""
    flaky: bool = False
    """Whether each instance of branch decides for itself which answers are changed: a race, not a rule."""
    own: bool = False
    """Whether each instance of branch draws its own value."""
    group: str = "json"


KINDS: dict[str, Mutation] = {}


def known(mutations: Iterable[Mutation]) -> None:
    """Add kinds to the bench."""
    for mutation in mutations:
        if mutation.name in KINDS:
            raise ValueError(f"two mutations are named {mutation.name}")
        KINDS[mutation.name] = mutation


def promised(path: str, old: bytes, new: bytes) -> str:
    """What is to be expected of a change of one value: both sides generative, or a timing, is less than any other."""
    one, two = old.strip(b'"').decode("utf-8", "replace"), new.strip(b'"').decode("utf-8", "replace")
    if _TIMING.search(path) and re.fullmatch(rb"-?\d[\d.eE+-]*", old) and re.fullmatch(rb"-?\d[\d.eE+-]*", new):
        return ELSEWHERE
    return ELSEWHERE if generative(one) and generative(two) else STEADY


def generative(text: str) -> bool:
    """Whether a text looks like a time, a UUID, a hash or a token, as a whole or by a part of it."""
    return any(pattern.fullmatch(text) for pattern in _GENERATIVE)


def values(answer: Answer, quiet_but: frozenset[str]) -> list[Span]:
    """All values of a JSON body under the root that noise does not touch."""
    root = spans(answer.body)
    if root is None:
        return []
    return [span for span in root.walk() if span.parent is not None and not noisy("body:" + span.path, quiet_but)]


def noisy(place: str, names: frozenset[str]) -> bool:
    """Whether a place is a noisy one or under one."""
    return any(place == name or place.startswith((name + ".", name + "[")) for name in names)


Suits = Callable[[Span, bytes], bool]
"""Whether a value is one that a mutation changes; of a value and its text."""


def at(answer: Answer, pick: Pick, suits: Suits) -> list[Span]:
    """The values of an answer at the picked path that suit: all of them, or the first."""
    root, body = spans(answer.body), answer.body
    found = [span for span in root.walk() if span.path == pick.path and suits(span, span.raw(body))] if root else []
    return found if pick.every else found[:1]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A chooser of values in JSON, and what becomes of each."""

    suits: Suits
    new: Callable[[bytes, random.Random], bytes]
    promise: str = ""
    """Empty: by the values."""
    below: bool = False
    shape: Callable[[Span], tuple[str, ...]] = field(default=lambda span: ("body:" + span.path,))

    def pick(self, answer: Answer, chance: random.Random, quiet_but: frozenset[str]) -> Pick | None:
        """One path at random among those with a suitable value: few paths of many values are as likely as single ones."""
        paths: dict[str, Span] = {}
        for span in values(answer, quiet_but):
            raw = span.raw(answer.body)
            if span.path not in paths and self.suits(span, raw) and self.new(raw, random.Random(1)) != raw:
                paths[span.path] = span
        if not paths:
            return None
        path = chance.choice(sorted(paths))
        span, salt = paths[path], chance.getrandbits(32)
        old = span.raw(answer.body)
        promise = self.promise or promised(path, old, self.new(old, random.Random(salt)))
        return Pick(path, self.shape(span), promise, self.below, chance.random() < 0.5, salt, old)

    def change(self, answer: Answer, pick: Pick, chance: random.Random) -> Answer:
        """The values at the path, replaced."""
        body = answer.body
        for span in reversed(at(answer, pick, self.suits)):  # one inside another cannot be: a path has one depth
            body = body[: span.start] + self.new(span.raw(answer.body), chance) + body[span.end :]
        return answer if body == answer.body else replace(answer, body=body)


def leaf(name: str, suits: Suits, new: Callable[[bytes, random.Random], bytes], **kept: object) -> Mutation:
    """A mutation of single JSON values."""
    made = Leaf(suits, new, str(kept.get("promise", "")), bool(kept.get("below", False)))
    return Mutation(name, made.pick, made.change, own=bool(kept.get("own", False)))


def noise_leaf(
    name: str, source: str, new: Callable[[bytes, random.Random], bytes], promise: str, **kept: bool
) -> Mutation:
    """A mutation of the member that a source of noise fills."""

    def pick(answer: Answer, chance: random.Random, _: frozenset[str]) -> Pick | None:
        root = spans(answer.body)
        for span in root.walk() if root else ():
            if span.key == source and span.path in {f"$.{source}", f"$[*].{source}"}:
                below = kept.get("below", False)
                return Pick(span.path, ("body:" + span.path,), promise, below, salt=chance.getrandbits(32))
        return None

    made = Leaf(lambda _span, _raw: True, new)
    return Mutation(name, pick, made.change, (source,), own=kept.get("own", False), group="noisy")
