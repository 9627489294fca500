"""What rules would hide in past runs, from the rows of the store: each difference is asked again, and its verdict looked up.

A row keeps the first pair of values of a place, cut to 2 KiB. Where a rule asks about values and there were more, or they were cut, or
a function would have to say, nothing is claimed: those are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from console.words import listed
from differ.evidence import REGRESSION
from differ.gathering import Row, key_of
from differ.judging import difference_verdict
from differ.result import PLACES_ID, differences_of, places_read
from differ.rules import CAUSES, Compiled, Rulebook, explains, meant
from differ.rules_matchers import ALWAYS
from differ.sink import MISSING
from echolane.rules import Rule
from echolane.store import Store

ROWS = """
SELECT endpoint, exchange, seq, statuses, d_pair, d_where, d_kind, d_facet, d_klass, d_flags, d_count, d_old, d_new, d_values, d_signature
FROM results_v WHERE run = {run:String} AND verdict = 'differs' AND (empty({places:Array(String)}) OR hasAny(d_where, {places:Array(String)}))
ORDER BY seq, exchange"""

ENDED = """
SELECT run, service, result FROM runs_v
WHERE notEmpty(result) AND ({service:String} = '' OR service = {service:String})
ORDER BY started_at DESC LIMIT {last:UInt32}"""


@dataclass(slots=True)
class Impact:
    """What one rule would hide."""

    rule: Rule
    differences: int = 0
    unsure: int = 0
    """Differences in its scope and place of which the rows do not tell whether it explains them."""
    runs: set[str] = field(default_factory=set[str])
    findings: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Run and finding."""
    regressions: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def json(self) -> dict[str, Any]:
        """For a script."""
        return {
            "rule": self.rule.name,
            "differences": self.differences,
            "unsure": self.unsure,
            "runs": sorted(self.runs),
            "findings": len(self.findings),
            "regressions": len(self.regressions),
        }


def impacts(store: Store, rules: Sequence[Rule], last: int, service: str = "") -> tuple[list[Impact], list[str]]:
    """Each rule's impact on the last runs that ended, of one service where it is named, and which runs these were."""
    found = [Impact(rule) for rule in rules]
    runs = store.query(ENDED, {"last": last, "service": service})
    for run in runs:
        numbers = [n for n, rule in enumerate(rules) if rule.service in {"", run["service"]}]
        _look(store, str(run["run"]), orjson.loads(run["result"]), [found[n] for n in numbers])
    return found, [str(run["run"]) for run in runs]


def _look(store: Store, run: str, result: Mapping[str, Any], found: Sequence[Impact]) -> None:
    book, findings = Rulebook([one.rule for one in found]), finding_of(result)
    index = store.query(
        "SELECT json FROM findings_v WHERE run = {run:String} AND id = {id:String}", {"run": run, "id": PLACES_ID}
    )
    verdicts = places_read(index[0]["json"] if index else "[]")
    # Of triage the places are those of the rows themselves, so that rows without them need not be looked at.
    places = sorted({one.rule.where for one in found}) if all(one.rule.finding for one in found) else []
    for page in store.stream(ROWS, {"run": run, "places": places}, rows=1000):
        for row in page:
            for number, place, noisy, sure in explained(row, book):
                one, where, kind = found[number - 1], row["d_where"][place], row["d_kind"][place]
                if not sure:
                    one.unsure += 1
                    continue
                one.differences += 1
                one.runs.add(run)
                name = findings.get((row["endpoint"], where, kind)) or f"{where} {kind}"
                one.findings.add((run, name))
                verdict, firm = verdicts.get(key_of(row, place), ("", True))
                if difference_verdict(verdict, firm=firm, noisy=noisy) == REGRESSION:
                    one.regressions.add((run, name))


def explained(row: Row, book: Rulebook) -> Iterator[tuple[int, int, bool, bool]]:
    """Number of the rule, index of the difference, whether it is noise here anyway, and whether the rule surely explains it."""
    lens = book.lens(row["endpoint"], row["statuses"][0] if row["statuses"] else 0)
    if lens is None:
        return
    for index, noisy in differences_of(row):
        for one in lens.at(row["d_where"][index]):
            said = asked(one, row, index)
            if said is not False:
                yield one.number, index, noisy, said is True


def asked(one: Compiled, row: Row, index: int) -> bool | None:
    """Whether a rule explains a difference of a row; None where the row does not tell."""
    kind, facet = row["d_kind"][index], row["d_facet"][index]
    if one.exact and not meant(one.rule, row["d_signature"][index], causes_of(row)):
        return False
    try:
        old, new = (orjson.loads(text) if text else MISSING for text in (row["d_old"][index], row["d_new"][index]))
    except orjson.JSONDecodeError:  # cut
        return False if not one.takes(kind, facet) else True if one.rule.matcher in ALWAYS else None
    said = explains(one, kind, facet, old, new)
    return None if said and one.rule.matcher not in ALWAYS and row["d_count"][index] > 1 else said


def causes_of(row: Row) -> set[str]:
    """Signatures of what all else in an exchange may follow from."""
    parts = zip(row["d_pair"], row["d_where"], row["d_signature"], strict=True)
    return {signature for pair, where, signature in parts if pair == 0 and where in CAUSES}


def finding_of(result: Mapping[str, Any]) -> dict[tuple[str, str, str], str]:
    """The finding that a place of an endpoint was folded into."""
    found: dict[tuple[str, str, str], str] = {}
    for part in ("groups", "undecided", "noise", "expected"):
        for finding in listed(result, part):
            for endpoint in listed(finding, "endpoint_names"):
                for where in listed(finding, "places"):
                    found.setdefault((endpoint, where, finding["kind"]), finding["id"])
    return found
