"""A rule: a person's word, kept in git, that a difference of a certain kind at a place is no regression.

Rules are written in ``echolane.toml`` or ``rules/*.yaml`` (``docs/reference/rules.md``), read and refused by :mod:`differ.rules_reading`
and :mod:`differ.rules_refusing`, and travel in a run's spec, so that a run that is resumed has the rules it began with.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from echolane.ids import digest16

IGNORE, IGNORE_ORDER, TOLERANCE, REGEX, CLASS, CUSTOM = (
    "ignore",
    "ignore-order",
    "tolerance",
    "regex",
    "class",
    "custom",
)
MATCHERS = (IGNORE, IGNORE_ORDER, TOLERANCE, REGEX, CLASS, CUSTOM)
KINDS = (
    *("value", "type", "format", "missing", "added", "order", "length", "status", "failure", "truncated", "renamed"),
    *("moved", "encoding", "distribution"),
)
"""■ design §7: every kind of difference that a rule may name."""
FUNCTIONS = "echolane.matchers"
"""The group of entry points in which functions of custom rules are installed."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule as it is applied: scope, place, kinds, matcher, and who answers for it until when."""

    name: str
    where: str
    """A pattern over the places of design §7: ``[*]``, ``*`` for one step, ``**`` for any number of them."""
    service: str = ""
    methods: list[str] = []
    endpoint: str = ""
    """A pattern over the path of an endpoint's template: ``/items/*``, ``/v2/**``."""
    endpoints: list[str] = []
    """Endpoints by name, ``GET /items/{id}``: where it holds, when there are any."""
    status: list[str] = []
    """Statuses of base's answer: ``200``, ``2xx``."""
    kinds: list[str] = []
    """Kinds of differences that the rule explains; empty for those its matcher is made for."""
    changes: list[str] = []
    """Signatures of differences (``d_signature`` of the store): explains these changes alone; empty for any."""
    beside: list[str] = []
    """Signatures of a change of status or of the whole body: explains only in exchanges that show one of them; empty for all."""
    matcher: str = IGNORE
    absolute: float | None = None
    relative: float | None = None
    within_s: float | None = None
    """Of two times: how far they may be apart."""
    pattern: str = ""
    klass: str = msgspec.field(default="", name="class")
    function: str = ""
    reason: str = ""
    owner: str = ""
    expires: str = ""
    """The last day on which it holds, ISO 8601; empty where it is permanent."""
    permanent: bool = False
    branch: str = ""
    """A glob over branch names: an expected change, which ends with its branch."""
    source: str = ""
    """File and line, for a person."""
    finding: str = ""
    """The finding of which it was said in triage; empty where it is from a file."""

    @property
    def test(self) -> tuple[object, ...]:
        """What the matcher asks of two values; equal for rules that ask the same."""
        return (self.matcher, self.absolute, self.relative, self.within_s, self.pattern, self.klass, self.function)


def version_of(rules: Sequence[Rule]) -> str:
    """A digest that names what these rules say, wherever they stand in their files; empty without rules."""
    if not rules:
        return ""
    texts = sorted(msgspec.json.encode(msgspec.structs.replace(rule, source="")).decode() for rule in rules)
    return digest16("rules", *texts)
