"""The verdict of a whole run, from what ended it, what can be believed of it, and what it found."""

from __future__ import annotations

from typing import Any

import pytest

from differ.verdict import Facts, decide

LEDGER = {
    "selected": 10, "skipped": {}, "fired": 10, "answered": dict.fromkeys(("base", "control", "branch", "branch_control"), 10),
    "failed": {}, "spared": {}, "in_doubt": {}, "not_compared": {}, "compared": 10, "same": 10, "noise_only": 0, "undecided": 0,
    "different": 0, "uncomparable": {}, "unaccounted": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ("pass", "passed")),
        ({"regressions": [{"kind": "value"}]}, ("fail", "regressions")),
        ({"undecided": [{"kind": "missing"}]}, ("inconclusive", "undecided")),
        ({"undecided": [{"kind": "value"}]}, ("pass", "passed")),
        ({"undecided": [{"kind": "missing"}], "regressions": [{"kind": "value"}]}, ("fail", "regressions")),
        ({"uncontrolled": 1}, ("inconclusive", "controls-missing")),
        ({"fidelity": 0.2}, ("inconclusive", "fidelity")),
        ({"unauthorised": 0.9}, ("inconclusive", "fidelity")),
        ({"state": "interrupted", "regressions": [{"kind": "value"}]}, ("inconclusive", "interrupted")),
        ({"state": "stopped", "reason": "too slow"}, ("inconclusive", "interrupted")),
        ({"state": "stopped", "regressions": [{"kind": "value"}]}, ("fail", "regressions")),
        ({"state": "unavailable"}, ("inconclusive", "target-unavailable")),
        ({"ledger": {**LEDGER, "same": 9}, "regressions": [{"kind": "value"}]}, ("inconclusive", "ledger")),
        ({"ledger": {**LEDGER, "same": 9, "uncomparable": {"too-deep": 1}}}, ("pass", "passed")),
        ({"ledger": {**LEDGER, "same": 8, "uncomparable": {"too-deep": 1, "too-slow": 1}}}, ("inconclusive", "undecided")),
        ({"ledger": {**LEDGER, "same": 0, "uncomparable": {"too-deep": 10}}}, ("inconclusive", "undecided")),
        ({"ledger": {**LEDGER, "compared": 0}}, ("inconclusive", "nothing-compared")),
        ({"lost": "1 frame"}, ("inconclusive", "ledger")),
        ({"lost": "1 frame", "regressions": [{"kind": "value"}]}, ("fail", "regressions")),
    ],
)  # fmt: skip
def test_the_verdict_of_a_run(changes: dict[str, Any], wanted: tuple[str, str]) -> None:
    """What ends a run early comes first, then whether it can be believed, then what it found."""
    facts = {
        "state": "finished", "reason": "", "ledger": LEDGER, "regressions": [], "undecided": [], "fidelity": 1.0, "unauthorised": 0.0,
        "uncontrolled": 0, **changes,
    }  # fmt: skip
    assert decide(Facts(**facts))[:2] == wanted


def test_what_could_not_be_compared_is_said_with_the_verdict() -> None:
    """A pass names how many it knows nothing of, and a run that knows too little says why."""
    few, many = ({"too-deep": 1}, {"too-deep": 1, "too-slow": 4})
    reasons = [
        decide(Facts("finished", "", {**LEDGER, "same": 10 - sum(u.values()), "uncomparable": u}, [], [], 1.0, 0.0, 0))[
            2
        ]
        for u in (few, many)
    ]
    assert reasons == [
        "no regression in 10 compared exchanges, of which 1 could not be compared",
        "5 of 10 exchanges could not be compared (1 too-deep, 4 too-slow)",
    ]
