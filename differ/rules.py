"""Rules where differences are made: those that a rule explains whole are marked with it, all else stays as it was. Pure but for ``ask``.

A :class:`Rulebook` is made once a run. For each endpoint and status it gives a :class:`Lens`, the rules in scope with their places in a
trie; a :class:`RuledSink` looks every difference up there once. A difference of one exchange (a place and a kind, with all its values) is
explained when one rule explains each of its values; else nothing of it changes. Rules are asked about base against branch only: what
versions show against themselves stays evidence, so that a rule changes no verdict but of what it explains.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from differ.difference import TYPE, Difference, names_of
from differ.rules_automaton import Budget
from differ.rules_matchers import ALWAYS, Matcher, matcher_of
from differ.rules_places import Trie, covers, path_of, pattern_of, steps_of
from differ.sink import MISSING, Change, Sink, excerpt, written
from echolane.rules import CUSTOM, IGNORE_ORDER, Rule

RULED, EXPECTED = 64, 128
"""Flags of a difference: a rule explains it; that rule is bound to a branch."""
GRAVE = frozenset(("status", "failure", "missing", "added", "type", "truncated", "encoding"))
"""Kinds that no rule explains unless it names them: a value that is there, of its type, is all that rules are mostly about."""
BY_DEFAULT = frozenset(("value", "format"))
ORDERS = frozenset(("order", "moved"))
CAUSES = frozenset(("status", "body"))
"""Places of what all else in an exchange may follow from: another status, another kind of body."""
PLUGIN = "plugin"
"""Why an exchange could not be compared in full: the function of a rule failed."""
LOOKED_UP_MAX = 20_000
"""Places and kinds whose rules are remembered for one endpoint; with more, all are forgotten at once."""
LENSES_MAX = 4096
"""Endpoints and statuses whose rules are remembered: each has a trie."""
ASKED_MAX, ASKED_BYTES_MAX = 1000, 4 * 1024 * 1024
"""Values of one place that a function is asked about, and their size; a difference with more is not explained by it."""

Pair = tuple[str | None, str | None]
"""Two values as JSON texts; None where one is missing."""
Ask = Callable[[str, str, str, list[Pair]], list[bool]]
"""Name of a function, place, kind, pairs of values: whether each is explained. Raises :class:`Unanswered`."""


class Unanswered(Exception):  # noqa: N818 - what came of a question
    """A function crashed, hung or answered what is no answer."""


def nobody(name: str, where: str, kind: str, pairs: list[Pair]) -> list[bool]:  # noqa: ARG001 - what Ask is given
    """No function is to be had here."""
    raise Unanswered(f"no function `{name}` can be asked here")


def kinds_of(rule: Rule) -> frozenset[str]:
    """The kinds of differences that a rule explains."""
    return frozenset(rule.kinds) or (ORDERS if rule.matcher == IGNORE_ORDER else BY_DEFAULT)


class Compiled(msgspec.Struct, frozen=True, gc=False):
    """One rule, ready to be asked."""

    number: int
    """From 1, as rows name it."""
    rule: Rule
    kinds: frozenset[str]
    matcher: Matcher | None
    always: bool
    flags: int
    exact: bool = False
    """Whether it asks which change it is, which is known when all are found."""

    def takes(self, kind: str, facet: int) -> bool:
        """Whether it may explain a kind of difference: what changes type or presence only where its kind says so."""
        return kind in self.kinds and (facet > TYPE or kind in GRAVE)


def compiled(number: int, rule: Rule) -> Compiled:
    """One rule of those that were not refused."""
    flags = RULED | (EXPECTED if rule.branch else 0)
    exact = bool(rule.changes or rule.beside)
    return Compiled(number, rule, kinds_of(rule), matcher_of(rule), rule.matcher in ALWAYS and not exact, flags, exact)


class Lens:
    """The rules in scope at one endpoint and status."""

    def __init__(self, rules: Sequence[Compiled], ask: Ask) -> None:
        self.ask = ask
        self._by_number = {one.number: one for one in rules}
        self._trie = Trie()
        for one in rules:
            self._trie.add(pattern_of(one.rule.where), one.number)
        self._looked_up: dict[str, tuple[Compiled, ...]] = {}

    def at(self, where: str) -> tuple[Compiled, ...]:
        """The rules whose place this is."""
        found = self._looked_up.get(where)
        if found is None:
            if len(self._looked_up) >= LOOKED_UP_MAX:
                self._looked_up.clear()
            numbers = self._trie.find(steps_of(where))
            found = self._looked_up[where] = tuple(self._by_number[number] for number in numbers)
        return found

    def sink(self, now_ns: tuple[int, int], ports: tuple[str, str] | None, port: int) -> RuledSink:
        """Where a comparison with these rules puts what it finds."""
        return RuledSink(now_ns, ports, port, lens=self)


class Rulebook:
    """The rules of a run."""

    def __init__(self, rules: Sequence[Rule], ask: Ask = nobody) -> None:
        self.rules = [compiled(number, rule) for number, rule in enumerate(rules, 1)]
        self._ask = ask
        self._lenses: dict[tuple[str, int], Lens | None] = {}

    def lens(self, endpoint: str, status: int) -> Lens | None:
        """The rules in scope of an endpoint (``GET /items/{id}``) and base's status; None when there are none."""
        key = (endpoint, status)
        if key not in self._lenses:
            if len(self._lenses) >= LENSES_MAX:
                self._lenses.clear()
            rules = [one for one in self.rules if out_of_scope(one.rule, endpoint, status) == ""]
            self._lenses[key] = Lens(rules, self._ask) if rules else None
        return self._lenses[key]


def out_of_scope(rule: Rule, endpoint: str, status: int | None) -> str:
    """Which field of a rule leaves an endpoint out; empty when none does. The service was looked at before the run."""
    method, _, path = endpoint.partition(" ")
    if rule.endpoints and endpoint not in rule.endpoints:
        return "endpoints"
    if rule.methods and method not in rule.methods:
        return "method"
    if rule.endpoint and not covers(path_of(rule.endpoint), path_of(path)):
        return "endpoint"
    if rule.status and status is not None and status not in statuses_of(rule.status):
        return "status"
    return ""


def statuses_of(texts: Sequence[str]) -> frozenset[int]:
    """``200`` and ``2xx`` as numbers."""
    found: set[int] = set()
    for text in texts:
        found |= set(range(100 * int(text[0]), 100 * int(text[0]) + 100)) if text[1:] == "xx" else {int(text)}
    return frozenset(found)


class RuledChange(Change, gc=False):
    """A change at a place that rules are about. What it tells is the same with and without them, save who explains it."""

    candidates: tuple[Compiled, ...] = ()
    """Rules that explain all of its values so far."""
    budget: Budget | None = None
    stray: tuple[Any, Any] | None = None
    """The first values that no rule explains, where others are: they are what to show."""
    pairs: list[Pair] = msgspec.field(default_factory=list[Pair])
    """What a function is to be asked about."""
    room: int = ASKED_BYTES_MAX
    settled: bool = False
    """Whether the first candidate needs no function, or its function has said yes to all."""

    def consider(self, old: Any, new: Any, facet: int) -> None:
        """Drop the rules that do not explain two values."""
        budget = self.budget or Budget()
        left = tuple(
            one
            for one in self.candidates
            if one.takes(self.kind, facet) and (one.always or one.matcher is None or one.matcher(old, new, budget))
        )
        if not left and self.candidates:
            self.stray, self.settled = (old, new), False
        self.candidates = left
        if left and not left[0].always and any(one.rule.matcher == CUSTOM for one in left):
            self._ask_later(written(old), written(new))

    def _ask_later(self, old: bytes, new: bytes) -> None:
        """Keep two values for the functions, where there is room."""
        self.room -= len(old) + len(new)
        if self.room > 0 and len(self.pairs) < ASKED_MAX:
            self.pairs.append((old.decode() if old else None, new.decode() if new else None))

    def again(self, facet: int, klass: str, flags: int, old: Any, new: Any) -> None:
        """The same kind of change at the same place once more."""
        Change.again(self, facet, klass, flags, old, new)
        if self.candidates and not (self.candidates[0].always and facet > TYPE):
            self.consider(old, new, facet)

    def settle(self, where: str, ask: Ask, causes: frozenset[str]) -> None:
        """Ask the functions of the rules that are left, in order, up to one that explains all; Unanswered when one fails."""
        left, self.candidates = self.candidates, ()
        for one in left:
            if one.exact and not meant(one.rule, f"{self.kind}:{self.signature}", causes):
                continue
            asked = one.rule.matcher == CUSTOM
            if asked and len(self.pairs) != self.count:
                continue
            if not asked or all(ask(one.rule.function, where, self.kind, self.pairs)):
                self.candidates, self.settled = (one,), True
                return

    def told(self, where: str) -> Difference:
        """The whole change, with the rule that explains it, or with values that none does."""
        found = Change.told(self, where)
        if self.settled:
            one = self.candidates[0]
            return msgspec.structs.replace(found, flags=found.flags | one.flags, rule=one.number)
        if self.stray is None:
            return found
        old, new = self.stray
        return msgspec.structs.replace(found, old=excerpt(written(old)), new=excerpt(written(new)))


class RuledSink(Sink, gc=False):
    """The differences of one comparison, with the rules that are about it."""

    lens: Lens | None = None
    budget: Budget | None = None
    """Of all values that this comparison looks at; made with the first."""

    def put(self, key: tuple[str, str], change: Change) -> None:
        """One change of a kind at a place; where rules are about it, it is made to ask them."""
        if key not in self.found and self.lens is not None and (rules := self.lens.at(key[0])):
            rules = tuple(one for one in rules if one.takes(change.kind, change.facet))
            if rules:
                change = self._asking(change, rules)
        Sink.put(self, key, change)

    def _asking(self, change: Change, rules: tuple[Compiled, ...]) -> RuledChange:
        """The same change, which asks rules about its values."""
        old, new, facet = change.old, change.new, change.facet
        told = (change.kind, facet, old, new, change.signature, change.klass, change.flags, change.count, change.more)
        if rules[0].always:
            return RuledChange(*told, candidates=rules[:1], settled=True)
        if self.budget is None:
            self.budget = Budget()
        found = RuledChange(*told, candidates=rules, budget=self.budget)
        found.consider(old, new, facet)
        return found

    def settle(self) -> str:
        """Ask what is left to ask; ``plugin`` when a function gave no answer: then no rule explains that difference."""
        reason = ""
        causes = frozenset(
            name
            for (where, _), one in self.found.items()
            if where in CAUSES
            for name in names_of(f"{one.kind}:{one.signature}")
        )
        for key, change in self.found.items():
            if isinstance(change, RuledChange) and self.lens is not None:
                try:
                    change.settle(key[0], self.lens.ask, causes)
                except Unanswered:
                    reason = PLUGIN
        return reason


def meant(rule: Rule, signature: str, causes: Collection[str]) -> bool:
    """Whether a rule is about this very change; ``causes``: signatures at :data:`CAUSES` in the same exchange."""
    return (not rule.changes or any(name in rule.changes for name in names_of(signature))) and (
        not rule.beside or any(text in rule.beside for text in causes)
    )


def explains(one: Compiled, kind: str, facet: int, old: Any, new: Any) -> bool | None:
    """Whether a rule that asks no function explains a difference of one pair of values; None when a function has to say."""
    if not one.takes(kind, facet):
        return False
    if one.rule.matcher in ALWAYS:
        return True
    if one.matcher is None:
        return None
    if old is MISSING or new is MISSING:
        return False
    return one.matcher(old, new, Budget())


__all__ = ["Lens", "Rulebook", "Unanswered", "explains"]
