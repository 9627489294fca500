"""The automaton of a regular expression (:mod:`differ.rules_regex`): which values a pattern matches whole, in linear time. Pure."""

from __future__ import annotations

from functools import lru_cache

from differ.rules_regex import SETS_MAX, STATES_MAX, Node, Test, Unsafe, parse, test_of

STEPS_MAX = 4_000_000
"""States that one comparison may visit, some 0.2 s of work: beyond it a value counts as not matched, so its difference stays."""

STATE_COST = 32
"""What a state costs where a set of states is made, in steps over sets that are there: measured, about 2 µs against 60 ns."""


class Budget:
    """What a comparison may still spend on matching."""

    __slots__ = ("left",)

    def __init__(self, left: int = STEPS_MAX) -> None:
        self.left = left


class _State:
    """One state: what it consumes and where that leads, or where it leads without consuming anything."""

    __slots__ = ("after", "anchor", "test")

    def __init__(self) -> None:
        self.test: Test | None = None
        self.anchor = ""
        """``begin`` or ``end``: the place in the text where its step may be taken."""
        self.after: list[int] = []


class _Set:
    """A set of states that a text led to, and what each character makes of it."""

    __slots__ = ("accepts", "by_char", "states")

    def __init__(self, states: tuple[int, ...], *, accepts: bool) -> None:
        self.states = states
        self.accepts = accepts
        """Whether the text may end here."""
        self.by_char: dict[str, _Set] = {}


class Automaton:
    """A pattern, ready to match."""

    def __init__(self, pattern: str) -> None:
        self._states: list[_State] = []
        self._sets: dict[tuple[int, ...], _Set] = {}
        self._final = self._new()
        self._start = self._build(parse(pattern), self._final)

    def matches(self, text: str, budget: Budget) -> bool:
        """Whether the pattern matches all of a text; False when the budget is spent, which is the careful answer."""
        budget.left -= len(text)
        if budget.left < 0:
            return False
        if not text:  # the one place that is begin and end at once
            return self._final in self._closure([self._start], {"begin", "end"})
        here = self._set(self._closure([self._start], {"begin"}))
        for char in text:
            after = here.by_char.get(char)
            if after is None:
                budget.left -= STATE_COST * len(here.states) + 8
                if budget.left < 0:
                    return False
                after = self._step(here, char)
            here = after
            if not here.states:
                return False
        return here.accepts

    def _step(self, here: _Set, char: str) -> _Set:
        moved: list[int] = []
        for number in here.states:
            state = self._states[number]
            if state.test is not None and state.test(char):
                moved += state.after
        if len(self._sets) >= SETS_MAX:
            self._sets.clear()
            here = _Set(here.states, accepts=here.accepts)  # the old ones go with what they remember
        found = here.by_char[char] = self._set(self._closure(moved, set()))
        return found

    def _set(self, states: frozenset[int]) -> _Set:
        key = tuple(sorted(states))
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = _Set(key, accepts=self._final in self._closure(list(key), {"end"}))
        return found

    def _closure(self, numbers: list[int], anchors: set[str]) -> frozenset[int]:
        """All states that are reached without a character."""
        seen, open_ = set(numbers), list(numbers)
        while open_:
            state = self._states[open_.pop()]
            if state.test is None and (not state.anchor or state.anchor in anchors):
                fresh = [number for number in state.after if number not in seen]
                seen.update(fresh)
                open_ += fresh
        return frozenset(seen)

    def _new(self) -> int:
        if len(self._states) >= STATES_MAX:
            raise Unsafe(f"needs more than {STATES_MAX} states; write less repetition out")
        self._states.append(_State())
        return len(self._states) - 1

    def _build(self, node: Node, after: int) -> int:
        """States for a part of a pattern that lead to ``after``; the first of them."""
        if node.what == "all":
            for part in reversed(node.parts):
                after = self._build(part, after)
            return after
        first = self._new()
        state = self._states[first]
        if node.what == "any":
            state.after = [self._build(part, after) for part in node.parts]
        elif node.what == "repeat":
            state.after = self._repeat(node, after)
        elif node.what == "set":
            state.test, state.after = test_of(node), [after]
        else:
            state.anchor, state.after = node.what, [after]
        return first

    def _repeat(self, node: Node, after: int) -> list[int]:
        part, least, most = node.parts[0], node.least, node.most
        if most is None:
            loop = self._new()
            self._states[loop].after = [self._build(part, loop), after]
            after = loop
        else:
            for _ in range(most - least):
                choice = self._new()
                self._states[choice].after = [self._build(part, after), after]
                after = choice
        for _ in range(least):
            after = self._build(part, after)
        return [after]


@lru_cache(maxsize=256)
def automaton(pattern: str) -> Automaton:
    """The automaton of a pattern, made once; Unsafe says what is wrong with it."""
    return Automaton(pattern)
