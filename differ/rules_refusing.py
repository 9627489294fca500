"""Refuse rules that could hide more than their authors mean. Each code is stable and told in ``docs/reference/rules.md``. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations

import msgspec

from differ.rules import BY_DEFAULT, GRAVE, ORDERS, kinds_of, out_of_scope, statuses_of
from differ.rules_automaton import Budget, automaton
from differ.rules_matchers import ALWAYS, CLASSES
from differ.rules_places import ANY, DEEP, NoPlace, Steps, intersect, literal, path_of, pattern_of, wild
from differ.rules_reading import INVALID, Refusal, Written, belongs, read
from differ.rules_regex import Unsafe
from echolane.rules import CLASS, CUSTOM, IGNORE, IGNORE_ORDER, REGEX, TOLERANCE, Rule, version_of

STRUCTURAL, ARRAY_LENGTH, ROOT_VALUE, UNREPRESENTABLE = "STRUCTURAL", "ARRAY_LENGTH", "ROOT_VALUE", "UNREPRESENTABLE"
OVER_BROAD, ORDER_AMBIGUOUS, UNRESOLVED, UNSCOPED = "OVER_BROAD", "ORDER_AMBIGUOUS", "UNRESOLVED", "UNSCOPED"
UNSAFE_REGEX, EXPIRED, CONTRADICTION = "UNSAFE_REGEX", "EXPIRED", "CONTRADICTION"
CODES = (
    *(STRUCTURAL, ARRAY_LENGTH, ROOT_VALUE, UNREPRESENTABLE, OVER_BROAD, ORDER_AMBIGUOUS, UNRESOLVED, INVALID),
    *(UNSCOPED, UNSAFE_REGEX, EXPIRED, CONTRADICTION),
)
RULES_MAX = 1000
"""Rules of a repository: two by two they are looked at for contradictions, and no person keeps more in mind."""
WITHIN_MAX_S = 86_400.0
"""Two times a day apart are no two readings of one clock."""
PROBES = ("a", "7", "~", "Zebra 42, ok?", "2024-01-01T00:00:00Z", "x" * 40, '{"a": [1]}', "ü")
"""Texts that have nothing in common: a pattern that matches them all says nothing of a value."""
ROOTS = frozenset(("body", "body:$", "body:/"))


def decided(written: Sequence[Written], *, today: str, functions: Collection[str]) -> tuple[list[Rule], list[Refusal]]:
    """The rules that hold, in their order, and why the others do not. ``today`` is an ISO day."""
    rules: list[Rule] = []
    refusals: list[Refusal] = []
    names: dict[str, str] = {}
    for number, one in enumerate(written):
        found = read(one) if number < RULES_MAX else _too_many(one)
        if isinstance(found, Rule):
            found = next(faults(found, today, functions), found)
        if isinstance(found, Rule):
            found = _named_once(found, names, given=bool(one.fields.get("name")))
        if isinstance(found, Rule):
            rules.append(found)
        else:
            refusals.append(found)
    contradictions = list(contradicting(rules))
    named = {(one.rule, one.source) for one in contradictions}
    return [rule for rule in rules if (rule.name, rule.source) not in named], [*refusals, *contradictions]


def _named_once(rule: Rule, names: dict[str, str], *, given: bool) -> Rule | Refusal:
    """A rule by a name of its own: findings are told apart by it, so that of two none hides the other. ``names``: those taken, and where."""
    if not given and rule.name in names:  # the place alone names several: what else they say tells them apart
        rule = msgspec.structs.replace(rule, name=f"{rule.name} {version_of([rule])[:8]}")
    if rule.name in names:
        return Refusal(
            INVALID,
            rule.name,
            rule.source,
            f"a rule of this name stands at {names[rule.name]}; give one of them another `name`",
        )
    names[rule.name] = rule.source
    return rule


def _too_many(written: Written) -> Refusal:
    return Refusal(INVALID, "?", f"{written.file}:{written.line}", f"there are more than {RULES_MAX} rules")


def faults(rule: Rule, today: str, functions: Collection[str]) -> Iterator[Refusal]:
    """Everything that is wrong with one rule, the gravest first."""

    def refuse(code: str, text: str) -> Refusal:
        return Refusal(code, rule.name, rule.source, text)

    try:
        steps = pattern_of(rule.where)
    except NoPlace as error:
        yield refuse(
            UNREPRESENTABLE, f"`where` is {rule.where!r}, which {error}" if "`" not in str(error) else str(error)
        )
        return
    for code, text in (*_of_matcher(rule, functions), *_of_place(rule, steps), *_of_kinds(rule, steps)):
        yield refuse(code, text)
    if not rule.service and not rule.endpoints and not literal_path(rule.endpoint):
        yield refuse(
            UNSCOPED, "it holds everywhere; name a `service`, or an `endpoint` with at least one segment by name"
        )
    if rule.expires and rule.expires < today:
        yield refuse(
            EXPIRED,
            f"it ended on {rule.expires}; see whether it is still needed, and take it out or give it another day",
        )


def literal_path(pattern: str) -> bool:
    """Whether a pattern over paths names at least one segment."""
    return any(step not in {ANY, DEEP, "{}"} for step in path_of(pattern))


def _of_matcher(rule: Rule, functions: Collection[str]) -> Iterator[tuple[str, str]]:
    for name, there in belongs(rule).items():
        if there and name != rule.matcher:
            yield INVALID, f"it has fields of the matcher `{name}`, and its matcher is `{rule.matcher}`"
        if not there and name == rule.matcher:
            needs = {
                TOLERANCE: "`absolute`, `relative` or `within`",
                REGEX: "`pattern`",
                CLASS: "`class`",
                CUSTOM: "`function`",
            }
            yield INVALID, f"the matcher `{name}` needs {needs[name]}"
    if rule.relative is not None and rule.relative >= 1:
        yield (
            OVER_BROAD,
            f"a relative tolerance of {rule.relative:g} takes any number for any other; it must be below 1 (100 %)",
        )
    if rule.within_s is not None and rule.within_s > WITHIN_MAX_S:
        yield (
            OVER_BROAD,
            "times more than a day apart are no two readings of one clock; use the class `time`, or a shorter span",
        )
    if rule.klass and rule.klass not in CLASSES:
        yield INVALID, f"`class` is {rule.klass!r}; known are {', '.join(CLASSES)}"
    if rule.function and rule.function not in functions:
        yield UNRESOLVED, f"no entry point `{rule.function}` is installed in the group echolane.matchers"
    if rule.pattern:
        yield from _of_pattern(rule.pattern)


def _of_pattern(pattern: str) -> Iterator[tuple[str, str]]:
    try:
        found = automaton(pattern)
    except Unsafe as error:
        yield UNSAFE_REGEX, f"`pattern` {error}"
        return
    if found.matches("", Budget()):
        yield OVER_BROAD, "`pattern` matches the empty text"
    elif all(found.matches(text, Budget()) for text in PROBES):
        yield OVER_BROAD, "`pattern` matches whatever stands there; say what the value looks like, or use `ignore`"


def _of_place(rule: Rule, steps: Steps) -> Iterator[tuple[str, str]]:
    kinds = kinds_of(rule)
    if (
        len(steps) == 1
        and steps[0] in ROOTS
        and rule.matcher in {IGNORE, CLASS, TOLERANCE, CUSTOM}
        and kinds & BY_DEFAULT
    ):
        yield ROOT_VALUE, "it takes the whole body for noise; name the places in it that are"
    elif steps[0] == "body:$" and len(steps) > 1 and all(step == "[*]" for step in steps[1:]) and kinds & BY_DEFAULT:
        yield ROOT_VALUE, "it takes every element of the whole body for noise; name a key in them"
    elif not literal(steps) and not (steps == ("body:$",) or set(steps[1:]) == {"[*]"}):
        yield OVER_BROAD, f"`{rule.where}` names no place; at least one step of it must be a name"


def _of_kinds(rule: Rule, steps: Steps) -> Iterator[tuple[str, str]]:
    kinds = kinds_of(rule)
    if steps == ("status",) and not kinds & {"status", "failure"}:
        yield STRUCTURAL, "a status changes by the kinds `status` and `failure`, which a rule has to name in `kinds`"
    if kinds & GRAVE and rule.matcher not in {IGNORE, CUSTOM}:
        grave = ", ".join(sorted(kinds & GRAVE))
        yield STRUCTURAL, f"the matcher `{rule.matcher}` compares two values, and {grave} is no change of a value"
    if kinds & GRAVE and wild(steps):
        grave = ", ".join(sorted(kinds & GRAVE))
        yield STRUCTURAL, f"it would hide {grave} at places that it does not name; write each place out"
    if "length" in kinds and (rule.matcher not in {IGNORE, CUSTOM} or wild(steps)):
        yield (
            ARRAY_LENGTH,
            "a list that grew or shrank is hidden by `ignore` or `custom` at a place that is named, and by nothing else",
        )
    if rule.matcher == IGNORE_ORDER and not kinds <= ORDERS:
        yield STRUCTURAL, "`ignore-order` is about the kinds `order` and `moved`; use another rule for the others"
    if kinds & ORDERS and wild(steps):
        yield ORDER_AMBIGUOUS, "the order of lists that are not named is not one order; name the list"
    if kinds & ORDERS and rule.matcher not in ALWAYS | {CUSTOM}:
        yield ORDER_AMBIGUOUS, f"the matcher `{rule.matcher}` says nothing of an order; use `ignore-order`"


def contradicting(rules: Sequence[Rule]) -> Iterator[Refusal]:
    """Rules that ask different things of one place: nobody knows which was meant, so neither holds."""
    for one, two in combinations(rules, 2):
        if clash(one, two):
            for rule, other in ((one, two), (two, one)):
                text = f"it asks another thing of the same place than rule `{other.name}` ({other.source}); keep one of them"
                yield Refusal(CONTRADICTION, rule.name, rule.source, text)


def clash(one: Rule, two: Rule) -> bool:
    """Whether two rules ask different things of one difference."""
    if one.test == two.test or bool(one.branch) != bool(two.branch) or not kinds_of(one) & kinds_of(two):
        return False
    return meet(one, two)


def meet(one: Rule, two: Rule) -> bool:
    """Whether there may be a difference that is in the scope and at the place of both rules."""
    for named, other in ((one, two), (two, one)):
        if named.endpoints and all(out_of_scope(other, name, None) for name in named.endpoints):
            return False
    if one.service and two.service and one.service != two.service:
        return False
    if one.methods and two.methods and not set(one.methods) & set(two.methods):
        return False
    if one.status and two.status and not statuses_of(one.status) & statuses_of(two.status):
        return False
    if one.endpoint and two.endpoint and not intersect(path_of(one.endpoint), path_of(two.endpoint)):
        return False
    return intersect(pattern_of(one.where), pattern_of(two.where))


def in_force(rules: Iterable[Rule], service: str, branch_name: str) -> list[Rule]:
    """The rules of a run: those of its service, and of those that are bound to a branch the ones whose branch it is."""
    return [
        rule
        for rule in rules
        if rule.service in {"", service}
        and (not rule.branch or (branch_name != "" and fnmatchcase(branch_name, rule.branch)))
    ]


__all__ = ["CODES", "IGNORE", "clash", "contradicting", "decided", "faults", "in_force"]
