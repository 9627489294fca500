"""Two runs of a service beside each other: which findings are new, gone, changed and the same, by their ids. Pure.

A finding is a regression of either run; its id is the same in every run (design §7). One that is noise or expected in the other run, or not
there at all, is new or gone, and its other side says which; one that is undecided there has changed. The same is what has the same
verdict, severity and endpoints, and the same share of exchanges: twice as much traffic changes no finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from console import words
from differ.reach import rank

Change = Literal["new", "gone", "changed", "same"]
CHANGES: tuple[Change, ...] = ("new", "gone", "changed", "same")
PARTS = ("groups", "undecided", "noise", "expected")
"""What is told of an id in one run goes by the gravest."""
EXPLAINED = frozenset({"noise", "expected"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A finding in both runs; None where a run does not tell it at all."""

    id: str
    change: Change
    before: words.Finding | None
    after: words.Finding | None

    @property
    def shown(self) -> words.Finding:
        """The side that says where it is: the later one, unless the finding is gone."""
        first, second = (self.before, self.after) if self.change == "gone" else (self.after, self.before)
        return first or second or {}


def compare(before: words.Result, after: words.Result) -> list[Pair]:
    """Every finding of either run: new ones first, then gone, changed, the same; each the gravest first."""
    one, other = _by_id(before), _by_id(after)
    pairs: list[Pair] = []
    for id in dict.fromkeys([*other, *one]):  # noqa: A001 - what it is
        was, now = one.get(id), other.get(id)
        if "regression" in {_verdict(was), _verdict(now)}:
            pairs.append(Pair(id, _change(was, now), was, now))
    order = {pair.id: number for number, pair in enumerate(pairs)}
    return sorted(pairs, key=lambda pair: (CHANGES.index(pair.change), rank(pair.shown), order[pair.id]))


def counts(pairs: list[Pair]) -> dict[Change, int]:
    """How many of each change."""
    found = Counter(pair.change for pair in pairs)
    return {change: found[change] for change in CHANGES}


def _by_id(result: words.Result) -> dict[str, words.Finding]:
    """All that a run tells, by id."""
    found: dict[str, words.Finding] = {}
    for part in PARTS:
        for finding in words.findings(result, part):
            found.setdefault(words.text(finding, "id"), finding)
    return found


def _verdict(finding: words.Finding | None) -> str:
    return "" if finding is None else words.text(finding, "verdict")


def _change(was: words.Finding | None, now: words.Finding | None) -> Change:
    if was is None or _verdict(was) in EXPLAINED:
        return "new"
    if now is None or _verdict(now) in EXPLAINED:
        return "gone"
    return "same" if _weight(was) == _weight(now) and _same_share(was, now) else "changed"


def _weight(finding: words.Finding) -> tuple[object, ...]:
    return tuple(finding.get(key) for key in ("verdict", "severity", "endpoint", "endpoints"))


def _same_share(was: Mapping[str, object], now: Mapping[str, object]) -> bool:
    (a, b), (x, y) = ([int(str(one.get(key) or 0)) for key in ("differing", "observed")] for one in (was, now))
    return a * y == x * b


def ledgers(before: words.Result, after: words.Result) -> list[tuple[str, int, int]]:
    """The accounts beside each other: what was counted, in both runs; parts are indented by a space."""
    one, other = (words.account(words.ledger(result)) for result in (before, after))
    rows: list[tuple[str, int, int]] = []
    for was, now in zip(one, other, strict=True):
        if was.name not in {row[0].strip() for row in rows}:
            rows.append((was.name, was.whole, now.whole))
        rows += [
            (f" {name}", number, after_number)
            for (name, number, _), (_, after_number, _) in zip(was.parts, now.parts, strict=True)
        ]
    return rows
